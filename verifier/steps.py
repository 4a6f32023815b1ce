"""The steps of a procedure under way: the first that fails ends it, and those after it are not checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from verifier.errors import Rejected, VerifierError
from verifier.report import Check, Status

C = TypeVar("C", bound=Check)


class Steps(Generic[C]):
    """What was found so far.

    Args:
        kind: the procedure's own sort of check.
        names: its steps, in order.
        on_check: called with each check when it is done, if anybody listens.
    """

    def __init__(self, kind: type[C], names: Mapping[int, str], on_check: Callable[[C], None] | None) -> None:
        self._kind, self._names, self._on_check = kind, names, on_check
        self._step = 1
        self._checks: list[C] = []

    def begin(self, step: int) -> None:
        """Say which step is under way."""
        self._step = step

    def passed(self, compared: str) -> None:
        """The step under way passed."""
        self._add(self._step, Status.PASSED, compared)

    def end(self, failure: VerifierError | None, words: Mapping[int, str] | None = None) -> tuple[C, ...]:
        """All checks: those done, the failure (which learns its step), and every other step as not checked.

        `words`: what to say of a step that was not checked, if anything.
        """
        if failure is not None:
            failure.step = failure.step or self._step
            status = Status.FAILED if isinstance(failure, Rejected) else Status.UNDECIDED
            self._add(failure.step, status, failure.message)
        done = {check.step for check in self._checks}
        for step in self._names:
            if step not in done:
                self._add(step, Status.NOT_CHECKED, (words or {}).get(step, ""))
        return tuple(self._checks)

    def _add(self, step: int, status: Status, compared: str) -> None:
        check = self._kind(step, status, compared)
        self._checks.append(check)
        if self._on_check is not None:
            self._on_check(check)
