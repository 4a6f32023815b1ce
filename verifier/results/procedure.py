"""One procedure for every kind of proof: named steps in order, one report, whatever happens on the way."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Mapping
from typing import ClassVar, Generic, TypeVar

from verifier.children.workers import Deadline, Workers
from verifier.formats.errors import VerifierError
from verifier.results.steps import Check, Steps
from verifier.results.verdict import Judged

R = TypeVar("R", bound=Judged)


class Procedure(ABC, Generic[R]):
    """One verification under way.

    A kind of proof gives `names`, its steps by number, and a method `step_N_NAME` for each of them, which `all_steps`
    calls in order. A step raises to end the procedure: Rejected where a check of the protocol fails, Undecided where
    it could not be carried out.

    Args:
        on_check: called with each check when it is done, if anybody listens.
        left_out: steps that nobody asked for.
    """

    names: ClassVar[Mapping[int, str]]

    def __init__(self, on_check: Callable[[Check], None] | None = None, left_out: Container[int] = ()) -> None:
        self.steps = Steps(self.names, on_check, left_out)

    @abstractmethod
    def all_steps(self, workers: Workers) -> None:
        """Every step, in order; raises a `VerifierError` where one does not pass."""

    @abstractmethod
    def report(self, failure: VerifierError | None, seconds: float) -> R:
        """Everything found, with the verdict."""

    def run(self, time_limit_s: float) -> R:
        """All steps by workers of its own; never raises on what is in an artefact."""
        started = time.monotonic()
        failure: VerifierError | None = None
        try:
            with Workers(Deadline(time_limit_s)) as workers:
                self.all_steps(workers)
        except VerifierError as error:
            failure = error
        return self.report(failure, time.monotonic() - started)

    def run_with(self, workers: Workers) -> R:
        """The same by workers that are there already, as a part of another procedure."""
        started = time.monotonic()
        failure: VerifierError | None = None
        try:
            self.all_steps(workers)
        except VerifierError as error:
            failure = error
        return self.report(failure, time.monotonic() - started)
