"""The commands' common behaviour: a project's error becomes a message on stderr and exit code 2."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import NoReturn

import click

from circuits.digests import storage_error
from circuits.errors import HurefError

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class RefusingCommand(click.Command):
    """Turns the project's errors into a message on stderr and exit code 2; others are bugs and show as such."""

    def invoke(self, context: click.Context) -> object:
        """Runs the command. Exits with 2 after a HurefError or a full disk."""
        try:
            return super().invoke(context)
        except HurefError as error:
            self.refuse(context, error)
        except OSError as error:  # working files lie in the system's temporary folder, which may be full
            if error.errno not in _FULL_DISK:
                raise
            self.refuse(context, storage_error(Path(error.filename or tempfile.gettempdir()), error))

    @staticmethod
    def refuse(context: click.Context, error: HurefError) -> NoReturn:
        """Say what is wrong on stderr and leave with exit code 2."""
        step = f" [{error.step}]" if error.step else ""
        click.echo(f"error ({error.code}){step}: {error.message}", err=True)
        if error.hint:
            click.echo(f"  hint: {error.hint}", err=True)
        context.exit(2)


class CommandGroup(RefusingCommand, click.Group):
    """The same for a group: of whichever of its commands is run."""
