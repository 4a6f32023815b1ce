"""What the commands print: it reaches its reader, or the exit code says so; colours only where a person reads.

Every command prints by `say` (JSON, messages) or `tell` (text whose marks and verdicts are coloured).
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from verifier.results.verdict import EXIT_USAGE

EXIT_CLOSED_PIPE = 141  # 128 + SIGPIPE, as a shell says of a command which that signal ended

_MARK = re.compile(r"^(ok  |FAIL|\?\?  |--  )(?= +\d+  )", re.M)  # as `steps.check_text` begins a step
_VERDICT = re.compile(
    r"^((?:[AB]  )?)(ACCEPTED|REJECTED|UNDECIDED|NOT COMPARED|DERIVED|INCONCLUSIVE|INDEPENDENT)\b", re.M
)
_COLOUR = {"ok  ": "green", "FAIL": "red", "??  ": "yellow", "ACCEPTED": "green", "REJECTED": "red"}


def painted(text: str) -> str:
    """Marks and verdict words at the start of lines, coloured. No other line can begin so: what a maker wrote never
    begins one.

    >>> painted("ACCEPTED: it is")
    '\\x1b[32m\\x1b[1mACCEPTED\\x1b[0m: it is'
    """
    text = _MARK.sub(lambda found: click.style(found[1], fg=_COLOUR.get(found[1], "bright_black")), text)
    return _VERDICT.sub(
        lambda found: found[1] + click.style(found[2], fg=_COLOUR.get(found[2], "yellow"), bold=True), text
    )


def say(text: str, *, err: bool = False) -> None:
    """Print a line; ends the command if it cannot be written."""
    with must_be_written():
        click.echo(text, err=err)


def tell(text: str) -> None:
    """The same with colours, which click drops where no person reads, or none are wanted (`color_option`)."""
    say(painted(text))


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
        sys.exit(EXIT_USAGE)


def _choose(context: click.Context, _option: click.Parameter, value: bool | None) -> None:
    context.color = False if value is None and os.environ.get("NO_COLOR") else value


color_option: Callable[[Any], Any] = click.option(
    "--color/--no-color",
    default=None,
    expose_value=False,
    callback=_choose,
    help="Colour the text, or not.  [default: on a terminal, unless NO_COLOR is set]",
)
quiet_option: Callable[[Any], Any] = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    help="Of the text only the verdict line; of several bundles, those not accepted and the counts.",
)


class Command(click.Command):
    """A command whose help must reach its reader too, and which says at Ctrl-C how to go on."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Reads the arguments; prints help or version if asked for, and nothing else happens here."""
        with must_be_written():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("stopped: nothing was decided and nothing is kept; the same command begins anew", err=True)
            raise
