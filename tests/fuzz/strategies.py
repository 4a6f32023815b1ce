"""Inputs as hypothesis strategies: a seed, changed by drawn choices, so that what is found can be shrunk."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.fuzz.harness import Target


class DrawnDice:
    """Choices that hypothesis makes."""

    def __init__(self, draw: Any) -> None:
        self._draw = draw

    def below(self, count: int) -> int:
        return self._draw(st.integers(0, count - 1))


def changed(target: Target) -> st.SearchStrategy[bytes]:
    """One of the target's seeds, changed once or twice."""
    seeds = list(target.seeds())

    @st.composite
    def build(draw: Any) -> bytes:
        dice = DrawnDice(draw)
        data = seeds[dice.below(len(seeds))]
        for _ in range(1 + dice.below(2)):
            data = target.change(dice, data)[: target.max_bytes]
        return data

    return build()
