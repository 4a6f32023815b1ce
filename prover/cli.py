"""`huref`: the manufacturer's command. Thin: each command parses, calls one function, prints.

Its help says the exit codes. `huref-verify` is a command of its own.
Other packages add commands under the entry points `huref.commands`; they are loaded when used.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points, version

_VERIFY = "huref verify: use huref-verify BUNDLE, a command of its own, which a plain install has"

try:
    import click

    from circuits.cli import circuits_group, srs_group
    from circuits.command_group import CommandGroup
    from circuits.kernel import status
    from circuits.printing import say
    from prover.comparison.published_cli import compare
    from prover.fingerprint.cli import prove
    from prover.inference.cli import feedforward
    from prover.registry.cli import registry
    from prover.release.card_cli import card
    from prover.release.sign_cli import key_group, sign
    from prover.similarity.ics_cli import ics
    from prover.similarity.profile_cli import profile
except ImportError as missing:  # a plain install is the verifier alone
    _MISSING: str | None = missing.name
else:
    _MISSING = None

    class _Huref(CommandGroup):
        """The commands below, and those that installed packages register."""

        def list_commands(self, context: click.Context) -> list[str]:
            return sorted({*super().list_commands(context), *entry_points(group="huref.commands").names})

        def get_command(self, context: click.Context, name: str) -> click.Command | None:
            registered = entry_points(group="huref.commands", name=name)
            if name in self.commands or not registered:
                return super().get_command(context, name)
            command: click.Command = next(iter(registered)).load()
            return command

    def _version(context: click.Context, _option: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            say(f"huref, version {version('huref-zk')}\nrows are committed by {status()}")
            context.exit()

    @click.group(cls=_Huref, context_settings={"help_option_names": ["-h", "--help"]})
    @click.option(
        "-V",
        "--version",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_version,
        help="Show the version, and what commits to rows, and exit.",
    )
    def huref() -> None:
        """Prove fingerprints of language models. `huref-verify` verifies them.

        Exit codes: 0 done; 2 wrong usage, bad input, something wrong, or a result that cannot be written, and nothing
        is left half-written; 5 a verdict that --fail-on names. 141: who read the result stopped reading. compare
        without --prove also has those of huref-verify: 3 undecided, 4 rejected.
        """

    @huref.command(
        hidden=True,
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def verify() -> None:
        """Say which command verifies."""
        raise click.UsageError(_VERIFY)

    huref.add_command(prove)
    huref.add_command(sign)
    huref.add_command(key_group, "key")
    huref.add_command(card)
    huref.add_command(ics)
    huref.add_command(compare)
    huref.add_command(feedforward)
    huref.add_command(profile)
    huref.add_command(registry)
    huref.add_command(circuits_group, "circuits")
    huref.add_command(srs_group, "srs")


def main() -> None:
    """Console entry point."""
    if _MISSING is not None:
        if sys.argv[1:2] == ["verify"]:
            sys.stderr.write(f"{_VERIFY}\n")
            sys.exit(2)
        needs, extras = f"huref needs {_MISSING}, which a plain install leaves out", "prover"
        if sys.argv[1:2] in (["generator"], ["evaluate"]):
            needs, extras = f"huref {sys.argv[1]} needs the fpm extra", "prover,fpm"
        sys.stderr.write(f"{needs}: pip install 'huref-zk[{extras}]'\n")
        sys.exit(2)
    huref(prog_name="huref")


if __name__ == "__main__":
    main()
