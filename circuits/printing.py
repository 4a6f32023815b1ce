"""What the commands print reaches its reader, or the exit code says so."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

import click

EXIT_REFUSED = 2
EXIT_ASKED_FOR = 5  # a comparison's verdict is one that `--fail-on` names; 1 is what a crash of Python ends with
EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell says of a command which that signal ended


def say(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text and a line end; ends the command if it cannot be written."""
    with must_be_written():
        click.echo(text, err=err, nl=nl)


@contextlib.contextmanager
def must_be_written() -> Iterator[None]:
    """Ends the command if the block, which does nothing but print, fails: 141 for a closed pipe, otherwise 2."""
    try:
        yield
    except OSError as error:
        # what is still in the buffer would fail once more when the interpreter ends, which then sets its own exit code
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:  # noqa: PTH123
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            sys.exit(EXIT_CLOSED_PIPE)
        with contextlib.suppress(OSError):
            click.echo(f"the result cannot be written: {error.strerror}", err=True)
        sys.exit(EXIT_REFUSED)
