"""The commands' common behaviour: a project's error becomes a message on stderr and exit code 2.

Help is shown whole, what is printed reaches its reader or the exit code says so, and Ctrl-C says how to go on.
"""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import click

from circuits.digests import storage_error
from circuits.errors import HurefError
from circuits.printing import EXIT_REFUSED, must_be_written, say

_FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WHOLE = 10_000  # characters of a sentence of help, which click cuts to fit a line otherwise


class HurefCommand(click.Command):
    """A command whose help reaches its reader, and which says at Ctrl-C how to go on."""

    after_ctrl_c: ClassVar[str] = "nothing half-written is left; the same command begins anew"

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Reads the arguments; prints help or version if asked for, and nothing else happens here."""
        with must_be_written():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, context: click.Context) -> object:
        """Runs the command."""
        try:
            return super().invoke(context)
        except KeyboardInterrupt:
            if not isinstance(self, click.Group):  # its command has said it
                say(f"stopped: {self.after_ctrl_c}", err=True)
            raise


class ResumingCommand(HurefCommand):
    """One that keeps what is finished."""

    after_ctrl_c = "the same command goes on where it was"


class HurefGroup(HurefCommand, click.Group):
    """A group whose help has each command's whole first sentence."""

    command_class = HurefCommand

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, one.get_short_help_str(_WHOLE)) for name, one in found if one is not None and not one.hidden]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


class RefusingCommand(HurefCommand):
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
        say(f"error ({error.code}){step}: {error.message}", err=True)
        if error.hint:
            say(f"  hint: {error.hint}", err=True)
        context.exit(EXIT_REFUSED)


class CommandGroup(RefusingCommand, HurefGroup):
    """The group that refuses for all of its commands."""
