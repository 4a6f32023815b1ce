"""How well a score separates: ROC AUC, true positives at a given false-positive rate, the null's moments."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

MISSING = -math.inf
"""The score of a pair that a method cannot compare: never called alike."""


def auc(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """Probability that a positive's score is above a negative's, ties counted half (Mann and Whitney)."""
    negative = np.sort(np.array(negatives))
    positive = np.array(positives)
    below = np.searchsorted(negative, positive, side="left")
    upto = np.searchsorted(negative, positive, side="right")
    return float((below + upto).sum() / 2 / (len(positive) * len(negative)))


def threshold_at(negatives: Sequence[float], false_positive_rate: float) -> float:
    """The least threshold above which at most this share of the negatives lies."""
    allowed = math.floor(false_positive_rate * len(negatives) + 1e-9)
    return float(np.sort(np.array(negatives))[len(negatives) - allowed - 1])


def true_positive_rate(positives: Sequence[float], threshold: float) -> float:
    """Share of the positives above the threshold; those that could not be compared are not."""
    return float(np.mean([value > max(threshold, -1e300) for value in positives]))


def null_figures(negatives: Sequence[float]) -> dict[str, Any]:
    """Mean, standard deviation and worst of the pairs that could be compared, and how many could not."""
    found = np.array([value for value in negatives if value != MISSING])
    return {
        "pairs": len(negatives),
        "not_comparable": len(negatives) - len(found),
        "mean": float(found.mean()) if len(found) else None,
        "std": float(found.std()) if len(found) else None,
        "worst": float(found.max()) if len(found) else None,
    }


def separation(
    positives: Sequence[float], negatives: Sequence[float], false_positive_rate: float = 0.01
) -> dict[str, Any]:
    """AUC and true-positive rate of some positives against all negatives."""
    threshold = threshold_at(negatives, false_positive_rate)
    return {
        "pairs": len(positives),
        "auc": auc(positives, negatives),
        "tpr": true_positive_rate(positives, threshold),
        "least": min(positives),
    }
