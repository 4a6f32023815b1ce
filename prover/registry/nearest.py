"""Which published models a fingerprint is nearest to, with p-values corrected for the number of entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from prover.registry.entry import frame_of, unit_z
from prover.registry.index import Index, Listed
from prover.registry.null import p_value, verdict


@dataclass(frozen=True)
class Match:
    """One entry, and how alike it is.

    Args:
        entry: from the index.
        cosine: of the two z.
        p_value: for this entry alone; None where the encoder is not calibrated.
        p_corrected: times the number of entries looked at (Bonferroni), at most 1.
        verdict: of `p_corrected`.
        itself: the same bundle, or the same commitment.
    """

    entry: Listed
    cosine: float
    p_value: float | None
    p_corrected: float | None
    verdict: str
    itself: bool


@dataclass(frozen=True)
class Search:
    """The nearest entries, nearest first, of `comparable` that lie in the same frame, of `entries` in all."""

    matches: tuple[Match, ...]
    comparable: int
    entries: int


def nearest(index: Index, fingerprint: Mapping[str, Any], top: int, bundle: str = "", commitment: str = "") -> Search:
    """The `top` entries whose z have the highest cosine with this fingerprint's.

    Args:
        index: what to search.
        fingerprint: of an accepted bundle, as `huref-verify --json` gives it.
        top: how many to return.
        bundle: the bundle's digest, to recognize it in the registry.
        commitment: its cm, likewise.

    Raises:
        RegistryError: the fingerprint holds no z.
    """
    numbers, vectors = index.vectors(frame_of(fingerprint))
    cosines = vectors @ unit_z(fingerprint)
    count = min(top, len(cosines))
    best = np.argpartition(-cosines, count - 1)[:count] if count else np.zeros(0, int)
    best = best[np.argsort(-cosines[best], kind="stable")]
    null = fingerprint.get("null")
    matches = []
    for entry, cosine in zip(index.numbered(numbers[best].tolist()), cosines[best].tolist(), strict=True):
        p = None if null is None else p_value(cosine, null["effective_dimension"], fingerprint["projection"]["g"])
        corrected = None if p is None else min(1.0, p * len(cosines))
        itself = entry.bundle == bundle or entry.commitment == commitment
        said = "inconclusive" if corrected is None else verdict(corrected)
        matches.append(Match(entry, cosine, p, corrected, said, itself))
    return Search(tuple(matches), len(cosines), index.state()[1])
