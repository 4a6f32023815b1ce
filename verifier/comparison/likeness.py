"""Where a p-value becomes a word: the same for z and for a proven ICS (docs/compare.md). Pure."""

from __future__ import annotations

DERIVED_P = 1e-6  # "derived" is said of at most so many unrelated pairs: its false-positive rate
INDEPENDENT_P = 1e-2  # "independent" is said where at least so many unrelated pairs are as alike


def p_text(p: float | None) -> str:
    """A p-value in words.

    >>> p_text(1e-12), p_text(0.0123), p_text(None)
    ('p <= 1e-12', 'p <= 0.012', 'no p-value')
    """
    if p is None:
        return "no p-value"
    return f"p <= {p:.2g}"
