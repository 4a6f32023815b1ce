"""What every report ends with: one of three verdicts, its exit code, and where it ended. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from verifier.formats.errors import Rejected, VerifierError

EXIT_ACCEPTED, EXIT_USAGE, EXIT_UNDECIDED, EXIT_REJECTED = 0, 2, 3, 4
EXIT_ASKED_FOR = 5  # a comparison's verdict is one that `--fail-on` names; 1 is what a crash of Python ends with
VERDICTS = ("accepted", "undecided", "rejected")

DEVELOPMENT_WARNING = "convinces only those who trust the generator of its development SRS"


class Judged:
    """What every report has that ends with a verdict: `failure`, or None when accepted."""

    failure: VerifierError | None
    steps: ClassVar[Mapping[int, str]]

    @property
    def verdict(self) -> str:
        """accepted, rejected or undecided."""
        if self.failure is None:
            return "accepted"
        return "rejected" if isinstance(self.failure, Rejected) else "undecided"

    @property
    def exit_code(self) -> int:
        """0 accepted, 3 undecided, 4 rejected."""
        return {"accepted": EXIT_ACCEPTED, "undecided": EXIT_UNDECIDED, "rejected": EXIT_REJECTED}[self.verdict]

    def failed_where(self) -> str:
        """At which step it ended without being accepted."""
        step = self.failure.step if self.failure else 0
        return f"at step {step} ({self.steps[step]})" if step in self.steps else "before step 1"

    def verdict_json(self, line: str) -> dict[str, Any]:
        """What every report says of its verdict to machines; `line`: the verdict line."""
        failure = self.failure
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "verdict_line": line,
            "step": failure.step if failure else None,
            "code": failure.code if failure else None,
            "message": failure.message if failure else None,
            "hint": failure.hint if failure else None,
        }
