"""Products of integer matrices, exactly. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

ExactArray = npt.NDArray[np.object_]

EXACT_FLOAT = 1 << 53
EXACT_INT64 = 1 << 63


def exact_product(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`left @ right` of integer matrices, exactly: float64 or int64 within bounds, else Python integers.

    Returns int64 where the bound on every partial sum is below 2^63, else an array of Python integers.
    """
    bound = left.shape[1] * largest(left) * largest(right)
    if bound < EXACT_FLOAT:
        return (left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
    if bound < EXACT_INT64:
        return left.astype(np.int64) @ right.astype(np.int64)
    exact: ExactArray = left.astype(object) @ right.astype(object)
    return exact


def largest(values: npt.NDArray[Any]) -> int:
    """Largest magnitude, as a Python integer (safe for -2^63)."""
    return max(abs(int(values.max())), abs(int(values.min()))) if values.size else 0
