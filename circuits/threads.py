"""Work on all cores by threads: for calls that let other threads of Python run (numpy, hashlib, the native library)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(work: Callable[[Piece], Result], pieces: Sequence[Piece]) -> list[Result]:
    """`work(piece)` of every piece, in the order of the pieces; a thread a core. The first error ends it.

    >>> in_threads(abs, [-1, 2, -3])
    [1, 2, 3]
    """
    threads = min(cores(), len(pieces))
    if threads < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(work, pieces))
