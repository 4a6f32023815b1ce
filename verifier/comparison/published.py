"""How alike two accepted bundles' fingerprints are, and what follows: cosine of z, p-value, verdict. Pure.

docs/compare.md is the reader's version.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from verifier.comparison.likeness import DERIVED_P, INDEPENDENT_P, p_text
from verifier.fingerprint.null_distribution import P_FLOOR, Null, p_value
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report, worst_exit_code
from verifier.fingerprint.verify import verify_bundle
from verifier.fingerprint.z import Fingerprint
from verifier.formats.errors import NotComparable, VerifierError
from verifier.formats.text import printable
from verifier.results.verdict import DEVELOPMENT_WARNING, EXIT_UNDECIDED
from verifier.statement.statement import TERMS

MEANING = {
    "derived": "Unrelated models are not so alike. One derives from the other, both from a common base, or one was "
    "built to match the other.",
    "inconclusive": "More alike than most unrelated models, or nobody measured how alike those are, and not enough to "
    "say that the two have a common base.",
    "independent": "As alike as unrelated models are. Either they are unrelated, or one was changed until the "
    "fingerprint no longer shows it.",
}

NOT_PROVEN = (
    "Copying, or who copied: a common base is symmetric, and weights can be built whose terms equal any target. An "
    "opening of both bundles, or a comparison under a projection drawn after both commitments, would be evidence.",
    "That a low cosine means no common base: changes of the architecture, heavy pruning, distillation or long training "
    "can move a fingerprint.",
    "That either maker serves the committed weights.",
    "That the p-value holds for models unlike the measured ones: synthetic ones, and small trained ones.",
)


@dataclass(frozen=True)
class Likeness:
    """What two fingerprints have in common.

    Args:
        cosine: of the two z.
        p_value: a bound on the chance that unrelated models are as alike; None: nobody measured it for this encoder.
        verdict: derived, inconclusive or independent.
        unreliable: reasons to trust the verdict less, in words.
        null: what `p_value` rests on.
        g: rows of the projection.
    """

    cosine: float
    p_value: float | None
    verdict: str
    unreliable: tuple[str, ...]
    null: Null | None
    g: int

    def thresholds(self) -> tuple[float, float] | None:
        """The cosines below which a pair is independent, and from which it is derived."""
        null = self.null
        if null is None:
            return None
        low, high = (_cosine_where(partial(self._at_most, null, p)) for p in (INDEPENDENT_P, DERIVED_P))
        return low, high

    def _at_most(self, null: Null, p: float, cosine: float) -> bool:
        return p_value(cosine, null, self.g, TERMS) <= p


@dataclass(frozen=True)
class Comparison:
    """Two verifications and, if both were accepted and can be compared, the likeness."""

    reports: tuple[Report, Report]
    likeness: Likeness | None
    failure: VerifierError | None

    @property
    def exit_code(self) -> int:
        """The worse of the two bundles'; 3 when they cannot be compared."""
        return max(worst_exit_code(self.reports), EXIT_UNDECIDED if self.failure is not None else 0)

    @property
    def same_commitment(self) -> bool:
        """Both commit to the same weights with the same salts."""
        return self.reports[0].commitment is not None and self.reports[0].commitment == self.reports[1].commitment

    @property
    def development_srs(self) -> bool:
        """One of the two rests on a development SRS."""
        return any(report.development_srs for report in self.reports)

    def verdict_line(self) -> str:
        """The one line that counts."""
        if self.likeness is None:
            message = self.failure.message if self.failure else "no fingerprint"
            return f"NOT COMPARED: {printable(message)}"
        line = f"{self.likeness.verdict.upper()}: cosine {self.likeness.cosine:+.4f}, {p_text(self.likeness.p_value)}"
        if self.likeness.verdict == "derived":
            line += f"; said of at most 1 in {1 / DERIVED_P:,.0f} unrelated pairs"
        if self.likeness.unreliable:
            line += " [unreliable, see above]"
        return f"{line} [{DEVELOPMENT_WARNING}]" if self.development_srs else line

    def as_json(self) -> dict[str, Any]:
        """For machines. Keys are stable within a major version of `type`."""
        likeness, failure = self.likeness, self.failure
        thresholds = likeness.thresholds() if likeness else None
        return {
            "type": "application/vnd.huref-zk.comparison+json;version=1",
            "exit_code": self.exit_code,
            "verdict": likeness.verdict if likeness else None,
            "verdict_line": self.verdict_line(),
            "code": failure.code if failure else None,
            "message": failure.message if failure else None,
            "hint": failure.hint if failure else None,
            "cosine": likeness.cosine if likeness else None,
            "p_value": likeness.p_value if likeness else None,
            "p_value_floor": P_FLOOR,
            "false_positive_rate": DERIVED_P,
            "derived_from_cosine": thresholds[1] if thresholds else None,
            "independent_below_cosine": thresholds[0] if thresholds else None,
            "unreliable": list(likeness.unreliable) if likeness else [],
            "same_commitment": self.same_commitment,
            "development_srs": self.development_srs,
            "meaning": MEANING[likeness.verdict] if likeness else None,
            "not_proven": list(NOT_PROVEN),
            "bundles": [report.as_json() for report in self.reports],
        }


def compare_bundles(left: Path, right: Path, options: Options = Options()) -> Comparison:  # noqa: B008 - it is frozen
    """Verify two bundles, then say how alike their fingerprints are: cosine of z [512], p-value, verdict.

    Args:
        left: a bundle, a directory or zip.
        right: the other.
        options: what to trust; the time limit in seconds is for each bundle.

    Returns:
        A `Comparison`, also where a bundle was not accepted; `likeness` is None then, and `failure` says why. What is
        in a bundle never raises.

    Source: docs/compare.md.

    >>> trusting = Options(allow_development_srs=True)
    >>> bundles = Path("artifacts/bundles/base"), Path("artifacts/bundles/offspring")
    >>> compare_bundles(*bundles, trusting).likeness.verdict
    'derived'
    """
    return compare_reports(verify_bundle(left, options), verify_bundle(right, options))


def compare_reports(left: Report, right: Report) -> Comparison:
    """Compare what two verifications found; there is no verdict on likeness unless both bundles were accepted."""
    reports = (left, right)
    for report in reports:
        if report.fingerprint is None:
            failure = NotComparable(
                f"{report.bundle} was not accepted ({report.verdict} {report.failed_where()})",
                code="not-accepted",
                hint=report.failure.hint if report.failure else "",
            )
            return Comparison(reports, None, failure)
    if left.fingerprint is None or right.fingerprint is None:  # the loop saw to it; for the type checker
        raise ValueError("no fingerprint")
    try:
        return Comparison(reports, compare(left.fingerprint, right.fingerprint), None)
    except NotComparable as error:
        return Comparison(reports, None, error)


def compare(left: Fingerprint, right: Fingerprint) -> Likeness:
    """The likeness of two fingerprints.

    Raises:
        NotComparable: their z depend on something else besides the weights that is not the same.
    """
    frame = right.frame
    different = [name for name, value in left.frame.items() if value != frame[name]]
    if different:
        raise NotComparable(
            f"the fingerprints cannot be compared: another {', another '.join(different)}",
            hint="both bundles must be made under one encoder, projection and list of tokens"
            if different != ["tokens"]
            else "the vocabularies differ; huref ics compares checkpoints over the tokens that both have",
        )
    cosine = float(np.dot(left.z, right.z) / (np.linalg.norm(left.z) * np.linalg.norm(right.z)))
    unreliable, null = [], left.null
    if left.tokenizer != right.tokenizer:
        unreliable.append(
            "the tokenizer.json files differ, though the tokens compared are the same strings: a low cosine may come "
            "from that, a high one does not"
        )
    if null is None:
        unreliable.append("not calibrated: how alike unrelated models are under this encoder was not measured")
        return Likeness(cosine, None, "inconclusive", tuple(unreliable), None, left.g)
    if left.tokens < null.least_tokens:
        unreliable.append(
            f"K = {left.tokens} tokens: how alike unrelated models are was measured with {null.least_tokens} or more"
        )
    p = p_value(cosine, null, left.g, TERMS)
    return Likeness(cosine, p, _verdict(p), tuple(unreliable), null, left.g)


def _verdict(p: float) -> str:
    if p <= DERIVED_P:
        return "derived"
    return "independent" if p > INDEPENDENT_P else "inconclusive"


def _cosine_where(reached: Callable[[float], bool]) -> float:
    """The least cosine from 0 to 1 for which `reached` holds, which it does from there on."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high
