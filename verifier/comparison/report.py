"""What a proven comparison showed, as text for people and as JSON for machines. Pure. docs/comparison.md section 8."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from verifier.comparison.ics import ProvenIcs
from verifier.comparison.likeness import p_text
from verifier.comparison.steps import STEPS, WHY
from verifier.comparison.threshold import ProvenAtLeast
from verifier.fingerprint.report import Report, bundle_line
from verifier.formats.errors import VerifierError
from verifier.formats.text import printable
from verifier.results.steps import Check, check_text, checks_json
from verifier.results.verdict import DEVELOPMENT_WARNING, Judged

NOT_PROVEN = (
    "Who copied from whom: the ICS is symmetric. Which commitment was there first must be shown by other means.",
    "Which checkpoints were committed: that takes an opening of each bundle (huref-verify BUNDLE --weights --opening).",
    "That either maker serves the committed weights: that takes an inference proof.",
    "That a low ICS means no common base: changes of the architecture can move the terms, and a maker may commit to "
    "weights that he does not serve.",
)
NOT_PROVEN_REDRAWN = (
    "That the projection was drawn once: whoever committed second may have drawn some and kept the lowest ICS or the "
    "highest. A challenge that an auditor names after both commitments ends that."
)
NOT_PROVEN_CHALLENGE = (
    "Who named the challenge, and that both commitments were there before. If you did, say so with --challenge."
)
NOT_PROVEN_HIDDEN = "How high the ICS is: it is hidden, and a low threshold is no sign of a low ICS."

MEANING = {
    "derived": "Unrelated models are not so alike, and weights built to match a known fingerprint are not either: the "
    "projection was drawn after both commitments. One derives from the other, or both from a common base, or the maker "
    "of one had the other's weights.",
    "inconclusive": "More alike than most unrelated models, or nobody measured how alike those are, and not enough "
    "to say that the two have a common base.",
    "independent": "As alike as unrelated models are. The committed weights are unrelated, or one was changed until "
    "the terms no longer show it. If the two fingerprints match all the same, one was built to match the other.",
}


MEANING_REACHED = (
    "The ICS reaches the threshold. That alone does not say that the two have a common base, or nobody measured how "
    "alike unrelated models are; it does not say that they have none either."
)


@dataclass(frozen=True)
class ComparisonReport(Judged):
    """A whole verification of a comparison. `reports`: those of the bundles that were reached, side a first.

    Accepted: either `ics` or `at_least` says what was shown. `challenge`: the comparison's own; `challenge_expected`:
    whether the verifier's user named one, which this then is.
    """

    steps = STEPS

    comparison: str
    paths: tuple[str, str]
    reports: tuple[Report, ...]
    checks: tuple[Check, ...]
    failure: VerifierError | None
    ics: ProvenIcs | None
    seconds: float
    files: dict[str, str] = field(default_factory=dict)
    pinned: dict[str, str] = field(default_factory=dict)
    at_least: ProvenAtLeast | None = None
    challenge: bytes | None = None
    challenge_expected: bool = False

    @property
    def shown(self) -> ProvenIcs | ProvenAtLeast | None:
        """What an accepted comparison showed."""
        return self.ics or self.at_least

    @property
    def meaning(self) -> str:
        """What that means, in words; empty when nothing was shown."""
        if self.shown is None:
            return ""
        if self.at_least is not None and self.at_least.likeness == "inconclusive":
            return MEANING_REACHED
        return MEANING[self.shown.likeness]

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What it does not show."""
        lines = list(NOT_PROVEN)
        if self.at_least is not None:
            lines.append(NOT_PROVEN_HIDDEN)
        if self.challenge is None:
            lines.append(NOT_PROVEN_REDRAWN)
        elif not self.challenge_expected:
            lines.append(NOT_PROVEN_CHALLENGE)
        return tuple(lines)

    @property
    def development_srs(self) -> bool:
        """The proofs rest on a development SRS."""
        return any(report.development_srs for report in self.reports)

    def verdict_line(self) -> str:
        """The one line that counts."""
        warning = f" [{DEVELOPMENT_WARNING}]" if self.development_srs else ""
        if self.failure is not None or self.shown is None:
            message = printable(self.failure.message) if self.failure else "no ICS"
            return f"{self.verdict.upper()} {self.failed_where()}: {message}{warning}"
        drawn = "" if self.challenge is None else " and the challenge"
        return (
            f"ACCEPTED: {self.shown.likeness}, {self.found()}, {p_text(self.shown.p_value)}, "
            f"proven for the committed weights under a projection drawn after both commitments{drawn}{warning}"
        )

    def found(self) -> str:
        """The ICS with its error, or that it is at least so high."""
        if self.at_least is not None:
            return f"ICS at least {self.at_least.at_least:g} (- {self.at_least.error:.1g}; how high is hidden)"
        return f"ICS {self.ics.ics:+.4f} +- {self.ics.error:.1g}" if self.ics else "no ICS"

    def as_json(self) -> dict[str, Any]:
        """For machines. Keys are stable within a major version of `type`."""
        ics, shown = self.ics, self.shown
        return {
            "type": "application/vnd.huref-zk.comparisonreport+json;version=1",
            "comparison": self.comparison,
            "paths": list(self.paths),
            **self.verdict_json(self.verdict_line()),
            "ics": ics.ics if ics else None,
            "at_least": self.at_least.at_least if self.at_least else None,
            "ics_error": shown.error if shown else None,
            "term_cosines": list(ics.cosines) if ics else [],
            "p_value": shown.p_value if shown else None,
            "likeness": shown.likeness if shown else None,
            "meaning": self.meaning or None,
            "challenge": self.challenge.hex() if self.challenge else None,
            "challenge_expected": self.challenge_expected,
            "development_srs": self.development_srs,
            "commitments": [report.commitment for report in self.reports],
            "files": self.files,
            "pinned": self.pinned,
            "seconds": round(self.seconds, 3),
            "checks": checks_json(self.checks, WHY),
            "not_proven": list(self.not_proven),
            "bundles": [report.as_json() for report in self.reports],
        }


def step_text(check: Check) -> str:
    """A step in two or three lines."""
    return check_text(check, WHY)


def closing_text(report: ComparisonReport) -> str:
    """What follows the steps; ends with the verdict line."""
    lines = [""]
    lines += [bundle_line(f"Side {name}", one) for name, one in zip("ab", report.reports, strict=False)]
    if report.ics is not None:
        cosines = ", ".join(f"{value:+.4f}" for value in report.ics.cosines)
        lines.append(f"Cosines of the six terms: {cosines}")
    if report.challenge is not None:
        known = "the one that was expected" if report.challenge_expected else "who named it is not checked"
        lines.append(f"Challenge: {report.challenge.hex()}, {known}")
    if report.shown is not None:
        lines.append(f"{report.shown.likeness.capitalize()}: {report.meaning}")
    lines += [f"Not proven: {line}" for line in report.not_proven]
    if report.failure is not None and report.failure.hint:
        lines.append(f"Hint: {printable(report.failure.hint)}")
    lines.append(f"{report.seconds:.1f} seconds")
    lines.append(report.verdict_line())
    return "\n".join(lines)
