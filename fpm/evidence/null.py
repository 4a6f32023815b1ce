"""The null checked on the zoo: unrelated bases under many projections, and with fewer and fewer tokens.

What theory gives each pair (`prover/similarity/null_distribution.py`) is compared with what is seen: a pair's
distance from its
null's mean, in its null's standard deviations, should have mean 0 and standard deviation 1.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from fpm.evidence.prover_terms import Pair, prover_figures

PROJECTIONS = 12
TOKENS = (64, 128, 256, 512, 1024)
LEAST_TOKENS = (
    512  # what `huref ics` calls reliable; below, offspring and strangers are still told apart, but less well
)


LATER = 4  # projections that an adaptive attacker could not know


def seed(number: int) -> str:
    """Seed of another projection than the profile's, hex."""
    return hashlib.sha256(b"huref-zk evidence projection %d" % number).hexdigest()


def distances(lines: Iterable[dict[str, Any]]) -> list[float]:
    """Each pair's distance from its null's mean, in its standard deviations."""
    return [(line["projected"] - line["null_mean"]) / line["null_std"] for line in lines]


def moments(found: list[float]) -> dict[str, float]:
    """Count, mean, standard deviation, least and greatest."""
    values = np.array(found)
    return {
        "pairs": len(values),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "least": float(values.min()),
        "greatest": float(values.max()),
    }


def null_document(
    folder: Path,
    unrelated: list[Pair],
    related: list[Pair],
    attacked: list[Pair],
    every: list[Pair],
    projections: int = PROJECTIONS,
    tokens: Iterable[int] = TOKENS,
) -> dict[str, Any]:
    """The document of null.json.

    Args:
        folder: of the zoo.
        unrelated: pairs of bases with one tokenizer.
        related: pairs that should be found.
        attacked: pairs to look at under other projections.
        every: related pairs whose most similar blocks are looked for, and then the unrelated ones'.
        projections: how many besides the profile's.
        tokens: other K to try, under the profile's projection.

    Returns:
        `distance`, `cosine`, `p_values_below`: of all unrelated pairs under each projection; `calibration`: what
        `prover/similarity/terms_null.json` must not be below; `tokens`: the same by K; `later`: attacked models under
        other projections; `blocks`: most similar blocks.
    """
    lines: list[dict[str, Any]] = []
    for number in range(projections):
        lines += prover_figures(folder, unrelated, seed=seed(number)).pairs.values()
    found = distances(lines)
    return {
        "unrelated_pairs": len(unrelated),
        "projections": projections,
        "distance": moments(found),
        "cosine": moments([line["projected"] for line in lines]),
        "p_values_below": {f"{p:g}": sum(line["p_value"] <= p for line in lines) for p in (0.5, 0.1, 0.01, 0.001)},
        "distances": sorted(round(value, 3) for value in found),
        "calibration": {
            "shift": round(max(0.0, float(np.mean(found))), 3),
            "scale": round(max(1.0, float(np.std(found))), 3),
            "least_tokens": LEAST_TOKENS,
        },
        "tokens": [_at(folder, unrelated, related, count) for count in tokens],
        "blocks": best_blocks(folder, [*every, *unrelated]),
        "later": later_projections(folder, attacked, min(LATER, projections)),
    }


def later_projections(folder: Path, pairs: list[Pair], count: int) -> list[dict[str, Any]]:
    """Attacked models under projections that were drawn after the attack: cosines and p-values of each pair."""
    if not pairs:
        return []
    seen = [prover_figures(folder, pairs, seed=seed(1000 + number)).pairs for number in range(count)]
    return [
        {
            "base": base,
            "other": other,
            "projected": [round(found[base, other]["projected"], 5) for found in seen],
            "p_values": [found[base, other]["p_value"] for found in seen],
        }
        for base, other in pairs
    ]


def best_blocks(folder: Path, pairs: list[Pair]) -> list[dict[str, Any]]:
    """`huref ics --blocks` on each pair."""
    figures = prover_figures(folder, pairs, blocks=True).pairs
    return [
        {
            "base": base,
            "other": other,
            **{key: line["blocks"][key] for key in ("left", "right", "tried", "p_value", "word")},
            "cosine": round(line["blocks"]["cosine"], 5),
        }
        for (base, other), line in figures.items()
    ]


def _at(folder: Path, unrelated: list[Pair], related: list[Pair], count: int) -> dict[str, Any]:
    strangers = list(prover_figures(folder, unrelated, k_max=count).pairs.values())
    family = list(prover_figures(folder, related, k_max=count).pairs.values())
    return {
        "tokens": count,
        "distance": moments(distances(strangers)),
        "unrelated_worst": max(line["projected"] for line in strangers),
        "related_least": min(line["projected"] for line in family),
        "related_derived": sum(line["verdict"] == "derived" for line in family),
        "related": len(family),
    }
