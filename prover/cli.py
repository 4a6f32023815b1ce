"""`huref`: the manufacturer's command. Thin: each command parses, calls one function, prints.

Exit codes: 0 done, 2 wrong usage or bad input (nothing is left half-written). `huref-verify` is a command of its own.
"""

from __future__ import annotations

import errno
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

try:
    import click

    from circuits.cli import circuits_group, srs_group
    from circuits.digests import storage_error
    from circuits.errors import HurefError
    from prover.ics_cli import ics
    from prover.prove_cli import prove
except ImportError as missing:  # a plain install is the verifier alone
    _MISSING: str | None = missing.name
else:
    _MISSING = None

    _FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

    class _Group(click.Group):
        """Turns the project's errors into a message on stderr and exit code 2; others are bugs and show as such."""

        def invoke(self, context: click.Context) -> object:
            try:
                return super().invoke(context)
            except HurefError as error:
                self._refuse(context, error)
            except OSError as error:  # working files lie in the system's temporary folder, which may be full
                if error.errno not in _FULL_DISK:
                    raise
                self._refuse(context, storage_error(Path(error.filename or tempfile.gettempdir()), error))

        @staticmethod
        def _refuse(context: click.Context, error: HurefError) -> NoReturn:
            step = f" [{error.step}]" if error.step else ""
            click.echo(f"error ({error.code}){step}: {error.message}", err=True)
            if error.hint:
                click.echo(f"  hint: {error.hint}", err=True)
            context.exit(2)

    @click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="huref-zk", prog_name="huref")
    def huref() -> None:
        """Prove fingerprints of language models."""

    huref.add_command(prove)
    huref.add_command(ics)
    huref.add_command(circuits_group, "circuits")
    huref.add_command(srs_group, "srs")


def main() -> None:
    """Console entry point."""
    if _MISSING is not None:
        sys.stderr.write(f"huref needs {_MISSING}, which a plain install leaves out: pip install 'huref-zk[prover]'\n")
        sys.exit(2)
    huref()


if __name__ == "__main__":
    main()
