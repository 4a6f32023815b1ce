"""What a similarity of terms means: p-value, verdict, and when not to rely on it."""

from __future__ import annotations

from dataclasses import dataclass

from prover.similarity.null_distribution import Calibration, calibration, null_cosines, p_value, rotations
from prover.terms.terms import FingerprintInput, cosine, standardised

DERIVED_P = 1e-6  # "derived" is said of at most so many unrelated pairs: the false-positive rate (as `huref compare`)
INDEPENDENT_P = 1e-2  # "independent" is said where at least so many unrelated pairs are as alike
LEAST_SHARED = 0.5  # of the smaller vocabulary; below, the two models' tokens hardly mean the same

MEANING = {
    "derived": "unrelated models are not so alike: a common base, or weights built to match",
    "inconclusive": "more alike than most unrelated models, not enough to say that the two have a common base",
    "independent": "as alike as unrelated models are: unrelated, or changed until it no longer shows",
}


@dataclass(frozen=True)
class Verdict:
    """What follows from the projected terms of two models.

    Args:
        p_value: share of unrelated pairs that are at least as alike.
        word: derived, inconclusive or independent.
        unreliable: reasons to trust it less, in words.
        null_mean, null_std: of the cosines that unrelated models with such terms have.
    """

    p_value: float
    word: str
    unreliable: tuple[str, ...]
    null_mean: float
    null_std: float


def judge(left: FingerprintInput, right: FingerprintInput, shared: float, by: Calibration | None = None) -> Verdict:
    """The verdict on two models whose terms were made with the same g and the same token strings.

    Args:
        left, right: the two.
        shared: strings that both vocabularies have, as a share of the smaller one.
        by: instead of the published calibration.
    """
    by = by or calibration()
    a, b = standardised(left.terms), standardised(right.terms)
    draws = null_cosines(a, b, rotations(left.projection.g))
    p = p_value(cosine(a, b), draws, by)
    unreliable = []
    if left.tokens.count < by.least_tokens:
        unreliable.append(f"only {left.tokens.count} tokens; calibrated for {by.least_tokens} or more")
    if shared < LEAST_SHARED:
        unreliable.append(f"the tokenizers do not match: {shared:.0%} of the smaller vocabulary is in both")
    return Verdict(p, verdict_word(p), tuple(unreliable), float(draws.mean()), float(draws.std()))


def verdict_word(p: float) -> str:
    """derived, inconclusive or independent.

    >>> verdict_word(1e-9), verdict_word(1e-3), verdict_word(0.5)
    ('derived', 'inconclusive', 'independent')
    """
    return "derived" if p <= DERIVED_P else "independent" if p >= INDEPENDENT_P else "inconclusive"
