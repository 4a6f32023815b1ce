"""Size classes: how long committed vectors are, and the circuit parameters that go with that.

Source: docs/protocol.md, section 2. Changing a number here changes the published circuits.
"""

from __future__ import annotations

from dataclasses import dataclass

from circuits.errors import UsageError

FIELD_MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
BASE_FIELD_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583
SALT_LENGTH = 16  # random field elements at the end of every secret vector
RESERVED_ROWS = 64  # rows at the end of the domain that no vector uses; more than any circuit's blinding rows
TERM_COUNT = 6
LINK_SLOTS = 12


@dataclass(frozen=True)
class SizeClass:
    """One row of the table in docs/protocol.md, section 2."""

    name: str
    k: int  # the circuits' domain has 2^k rows
    link_inner_columns: int  # ezkl's num_inner_cols; columns x 2^k is what proving costs
    encoder_inner_columns: int
    decomposition_base: int  # must fit in 2^k rows: larger tables are spread over columns and slow everything
    decomposition_legs: int  # base ** legs bounds what the range check admits
    similarity_inner_columns: int = 2
    activation_inner_columns: int = 2

    @property
    def length(self) -> int:
        """N: entries of a committed vector, salt included."""
        return (1 << self.k) - RESERVED_ROWS

    @property
    def data_length(self) -> int:
        """M: entries of a committed vector before its salt."""
        return self.length - SALT_LENGTH


SIZE_CLASSES = {
    "tiny": SizeClass("tiny", 12, 4, 2, 2**11, 4),
    "base": SizeClass("base", 13, 4, 4, 2**12, 4),
    "large": SizeClass("large", 14, 4, 2, 2**13, 4),
    "xl": SizeClass("xl", 15, 4, 2, 2**14, 4),
}


def size_class(name: str) -> SizeClass:
    """The size class called `name`; UsageError names those there are."""
    try:
        return SIZE_CLASSES[name]
    except KeyError:
        raise UsageError(
            f"unknown size class {name!r}", step="size class", hint=f"one of {', '.join(SIZE_CLASSES)}"
        ) from None


def smallest_class_for(longest: int) -> SizeClass:
    """The smallest class whose vectors hold `longest` entries."""
    for candidate in SIZE_CLASSES.values():
        if longest <= candidate.data_length:
            return candidate
    raise UsageError(
        f"a vector of {longest} entries fits no size class",
        step="size class",
        hint=f"the largest, xl, holds {SIZE_CLASSES['xl'].data_length}",
    )
