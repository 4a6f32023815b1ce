"""The steps of a procedure, numbered as the protocol's page numbers them: what each found, as text and as JSON. Pure.

The first step that fails ends a procedure, and those after it are not checked.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from verifier.formats.errors import Rejected, VerifierError
from verifier.formats.text import printable


class Status(Enum):
    """Outcome of a step."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    NOT_CHECKED = "not checked"


_MARKS = {Status.PASSED: "ok  ", Status.FAILED: "FAIL", Status.UNDECIDED: "??  ", Status.NOT_CHECKED: "--  "}

START = "start"  # the name of what failed before step 1


@dataclass(frozen=True)
class Check:
    """One step: its number and name, and what it compared (or how it failed).

    `seconds`: from its beginning to its end, as a clock on the wall says; 0 if it was not checked. What it waits for
    may have been computed beside earlier steps.
    """

    step: int
    status: Status
    compared: str
    name: str
    seconds: float = field(default=0.0, compare=False)


class Steps:
    """What was found so far.

    Args:
        names: the procedure's steps, in order.
        on_check: called with each check when it is done, if anybody listens.
        left_out: steps that nobody asked for: they are not even reported as not checked.
    """

    def __init__(
        self,
        names: Mapping[int, str],
        on_check: Callable[[Check], None] | None = None,
        left_out: Container[int] = (),
    ) -> None:
        self._names, self._on_check, self._left_out = names, on_check, left_out
        self._step = 1
        self._begun = {self._step: time.monotonic()}
        self._checks: list[Check] = []

    def begin(self, step: int) -> None:
        """Say which step is under way."""
        self._step = step
        self._begun[step] = time.monotonic()

    def passed(self, compared: str) -> None:
        """The step under way passed."""
        self._add(self._step, Status.PASSED, compared)

    def end(self, failure: VerifierError | None, words: Mapping[int, str] | None = None) -> tuple[Check, ...]:
        """All checks: those done, the failure (which learns its step), and every other step as not checked.

        `words`: what to say of a step that was not checked, if anything.
        """
        if failure is not None:
            failure.step = failure.step or self._step
            status = Status.FAILED if isinstance(failure, Rejected) else Status.UNDECIDED
            self._add(failure.step, status, failure.message)
        done = {check.step for check in self._checks}
        for step in self._names:
            if step not in done and step not in self._left_out:
                self._add(step, Status.NOT_CHECKED, (words or {}).get(step, ""))
        return tuple(self._checks)

    def _add(self, step: int, status: Status, compared: str) -> None:
        seconds = 0.0
        if status is not Status.NOT_CHECKED and step in self._begun:
            seconds = time.monotonic() - self._begun[step]
        check = Check(step, status, compared, self._names.get(step, START), seconds)
        self._checks.append(check)
        if self._on_check is not None:
            self._on_check(check)


def checks_json(checks: Sequence[Check], why: Mapping[int, str]) -> list[dict[str, Any]]:
    """The steps of a report for machines; `why` each of them matters."""
    return [
        {
            "step": check.step,
            "name": check.name,
            "status": check.status.value,
            "compared": check.compared,
            "why": why.get(check.step, ""),
        }
        for check in checks
    ]


def check_text(check: Check, why_of: Mapping[int, str]) -> str:
    """A step in two or three lines; `why_of`: why it matters, by step."""
    if check.status is Status.NOT_CHECKED:
        said = printable(check.compared) or "not checked"
        return f"{_MARKS[check.status]} {check.step:>2}  {check.name}: {said}"
    lines = textwrap.wrap(
        f"{check.name}: {printable(check.compared)}",
        108,
        initial_indent="",
        subsequent_indent="",
        break_long_words=True,
    )
    first = f"{_MARKS[check.status]} {check.step:>2}  " + "\n         ".join(lines)
    why = why_of.get(check.step)
    return f"{first}\n         {why}" if why else first
