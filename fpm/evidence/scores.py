"""Every method on every pair: bases against all checkpoints of the zoo."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from circuits.profiles import load_profile
from fpm.evidence import methods
from fpm.evidence.methods import Array, Factors, Weights
from fpm.evidence.prover_terms import Pair, ProverFigures, prover_figures
from fpm.evidence.recipes import root
from fpm.evidence.statistics import MISSING
from fpm.evidence.workshop import Recipe, Workshop

METHODS = {
    "pcs": "PCS",
    "released": "ICS, released code",
    "projected": "ICS, folded and projected",
    "z": "z after the encoder",
    "picture": "picture",
    "profile": "intrinsic fingerprint",
    "reef": "REEF (CKA)",
}
"""Titles by key, in the tables' order."""


def pairs_of(recipes: dict[str, Recipe]) -> list[Pair]:
    """Each base with every other checkpoint; two bases once."""
    bases = [name for name, recipe in recipes.items() if recipe.kind == "base"]
    listed = []
    for i, base in enumerate(bases):
        listed += [(base, name) for name in recipes if name not in bases[: i + 1]]
    return listed


class Scorer:
    """Keeps what was read of each checkpoint, and processor seconds by method: `reading`, `comparing`."""

    def __init__(self, shop: Workshop) -> None:
        self.shop = shop
        self.seconds: dict[str, dict[str, float]] = defaultdict(lambda: {"reading": 0.0, "comparing": 0.0})
        self._weights: dict[str, Weights] = {}
        self._factors: dict[tuple[str, tuple[int, ...]], Factors] = {}
        self._grams: dict[str, Array] = {}
        self._z: dict[str, Array] = {}
        self._seen: dict[str, Array] = {}
        self._texts: list[str] = []
        self._prints = methods.Fingerprints(load_profile())

    @contextmanager
    def _timed(self, method: str, part: str) -> Iterator[None]:
        started = time.process_time()
        yield
        self.seconds[method][part] += time.process_time() - started

    def scores(self, pair: Pair, prover: ProverFigures) -> dict[str, float | None]:
        """Every method's score, None where it cannot compare the two."""
        left, right = pair
        figures = prover.pairs.get(pair)
        found = {
            "pcs": self._pcs(left, right),
            "released": self._released(left, right),
            "projected": figures["projected"] if figures else MISSING,
            "z": self._of_z(pair, prover),
            "picture": self._of_pictures(pair, prover),
            "profile": figures["profile"] if figures else MISSING,
            "reef": self._reef(left, right),
        }
        return {name: None if value == MISSING else round(float(value), 5) for name, value in found.items()}

    def _read(self, name: str) -> Weights:
        if name not in self._weights:
            self._weights[name] = Weights(self.shop.path(name))
            _ = self._weights[name].tensors
        return self._weights[name]

    def _pcs(self, left: str, right: str) -> float:
        with self._timed("pcs", "reading"):
            sides = [self._read(name) for name in (left, right)]
        with self._timed("pcs", "comparing"):
            return methods.pcs(*sides)

    def _released(self, left: str, right: str) -> float:
        sides = self._read(left), self._read(right)
        shared = [string for string in sides[0].tokens if string in sides[1].tokens][: methods.MAX_TOKENS]
        with self._timed("released", "reading"):
            factors = [self._factors_of(side, name, shared) for side, name in zip(sides, (left, right), strict=True)]
        with self._timed("released", "comparing"):
            return methods.released_ics(*factors)

    def _factors_of(self, weights: Weights, name: str, strings: list[str]) -> Factors:
        ids = [weights.tokens[string] for string in strings]
        key = (name, tuple(ids))
        if key not in self._factors:
            self._factors[key] = methods.released_factors(weights, ids)
        return self._factors[key]

    def _reef(self, left: str, right: str) -> float:
        with self._timed("reef", "reading"):
            grams = [self._once(self._grams, name, self._gram) for name in (left, right)]
        with self._timed("reef", "comparing"):
            return methods.alignment(*grams)

    def _gram(self, name: str) -> Array:
        self._texts = self._texts or methods.samples(self.shop.library)
        return methods.centred_gram(methods.representations(self.shop.path(name), self._texts))

    def _of_z(self, pair: Pair, prover: ProverFigures) -> float:
        if not all(name in prover.terms for name in pair):
            return MISSING
        with self._timed("z", "reading"):
            z = [self._once(self._z, name, lambda name: self._prints.z(prover.terms[name])) for name in pair]
        with self._timed("z", "comparing"):
            return methods.z_cosine(*z)

    def _of_pictures(self, pair: Pair, prover: ProverFigures) -> float:
        if not all(name in prover.terms for name in pair):
            return MISSING
        with self._timed("picture", "reading"):
            seen = [self._once(self._seen, name, lambda name: self._prints.seen(self._z[name])) for name in pair]
        with self._timed("picture", "comparing"):
            return methods.picture_likeness(*seen)

    @staticmethod
    def _once(kept: dict[str, Array], name: str, make: Callable[[str], Array]) -> Array:
        if name not in kept:
            kept[name] = make(name)
        return kept[name]


def score_zoo(shop: Workshop, recipes: dict[str, Recipe]) -> dict[str, Any]:
    """The document of scores.json.

    Returns:
        `pairs`: a list of {base, other, kind, related, the methods' scores, p_value, verdict, unreliable, tokens,
        null_mean, null_std}; `kind` is the other's, `related` says whether it comes from that base. `refused`: what the
        prover cannot read, and why. `seconds`: a checkpoint's and a pair's processor seconds by method.
    """
    pairs = pairs_of(recipes)
    prover = prover_figures(shop.folder, pairs)
    print(f"scores: terms of {len(prover.terms)} checkpoints, {len(pairs)} pairs", file=sys.stderr, flush=True)
    scorer = Scorer(shop)
    rows = []
    for number, pair in enumerate(pairs):
        base, other = pair
        line = prover.pairs.get(pair, {})
        rows.append(
            {
                "base": base,
                "other": other,
                "kind": recipes[other].kind,
                "related": root(recipes, other) == base,
                **scorer.scores(pair, prover),
                **{key: line.get(key) for key in ("p_value", "verdict", "unreliable", "tokens")},
                **{key: _rounded(line.get(key)) for key in ("null_mean", "null_std", "projected_by_rule")},
            }
        )
        if number % 100 == 99:
            print(f"scores: {number + 1} of {len(pairs)} pairs", file=sys.stderr, flush=True)
    return {"pairs": rows, "refused": prover.refused, "seconds": _seconds(scorer, prover, len(recipes), len(pairs))}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 5)


def _seconds(scorer: Scorer, prover: ProverFigures, checkpoints: int, pairs: int) -> dict[str, dict[str, float]]:
    """Processor seconds by method: `checkpoint`, to read one; `pair`, to compare two that were read."""
    found = {
        method: {"checkpoint": of["reading"] / checkpoints, "pair": of["comparing"] / pairs}
        for method, of in scorer.seconds.items()
    }
    lines = list(prover.pairs.values())
    reading = sum(prover.seconds.values()) / max(1, len(prover.seconds))
    for method in ("projected", "profile"):
        comparing = sum(line["processor_seconds"][method] for line in lines) / max(1, len(lines))
        found[method] = {"checkpoint": reading, "pair": comparing}
    for method in ("z", "picture"):
        found[method]["checkpoint"] += reading
    found["verdict"] = {
        "checkpoint": reading,
        "pair": sum(line["processor_seconds"]["verdict"] for line in lines) / max(1, len(lines)),
    }
    return {method: {part: round(value, 5) for part, value in of.items()} for method, of in found.items()}
