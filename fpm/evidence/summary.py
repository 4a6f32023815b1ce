"""From the scores of all pairs to the figures of the tables: the document of summary.json."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fpm.evidence.scores import METHODS
from fpm.evidence.statistics import MISSING, null_figures, separation, threshold_at

AIM = ("offspring", "rearranged")
"""Kinds that a fingerprint should find without exception."""
DERIVED = ("offspring", "rearranged", "padded", "adaptive")
"""Kinds that hold the parent's weights. Distilled models, and those of the same start, are counted by themselves."""
FALSE_POSITIVE_RATE = 0.01

Z_DERIVED, Z_INDEPENDENT = 0.666, 0.263
"""Cosines of z from which `huref compare` says derived, and below which independent (docs/compare.md; a test compares
them with the verifier's)."""

Row = dict[str, Any]


def scores_of(rows: list[Row], method: str) -> list[float]:
    """A method's scores; `MISSING` where it cannot compare."""
    return [MISSING if row[method] is None else row[method] for row in rows]


def unrelated(rows: list[Row]) -> list[Row]:
    """Pairs of a base and a checkpoint that goes back to another base, distilled ones left out."""
    return [row for row in rows if not row["related"] and row["kind"] not in ("distilled", "same start")]


def summary_document(scores: dict[str, Any], zoo: dict[str, Any]) -> dict[str, Any]:
    """Separation by method and kind, verdicts, changes of loss.

    Args:
        scores: of `scores.score_zoo`.
        zoo: the document of zoo.json.
    """
    rows = scores["pairs"]
    strangers = unrelated(rows)
    family = [row for row in rows if row["related"]]
    derived = [row for row in family if row["kind"] in DERIVED]
    return {
        "checkpoints": len(zoo["checkpoints"]),
        "unrelated_pairs": len(strangers),
        "derived_pairs": len(derived),
        "false_positive_rate": FALSE_POSITIVE_RATE,
        "methods": {method: _method(method, strangers, family, scores["seconds"]) for method in METHODS},
        "verdicts": {
            "unrelated": dict(Counter(row["verdict"] or "refused" for row in strangers)),
            **{
                kind: dict(Counter(row["verdict"] or "refused" for row in _of(family, kind))) for kind in _kinds(family)
            },
        },
        "verdicts_by_z": {
            "unrelated": dict(Counter(word_by_z(row) for row in strangers)),
            **{kind: dict(Counter(word_by_z(row) for row in _of(family, kind))) for kind in _kinds(family)},
        },
        "least_p_of_unrelated": min(row["p_value"] for row in strangers if row["p_value"] is not None),
        "missed": [_missed(row) for row in derived if row["verdict"] != "derived"],
        "processor_seconds_of_training": round(sum(item["processor_seconds"] for item in zoo["checkpoints"]), 1),
    }


def word_by_z(row: Row) -> str:
    """What `huref compare` would say of this cosine; "refused" where it compares nothing: other tokens, no z."""
    if row["z"] is None or row["projected_by_rule"] != row["projected"]:
        return "refused"
    return "derived" if row["z"] >= Z_DERIVED else "independent" if row["z"] < Z_INDEPENDENT else "inconclusive"


def _of(rows: list[Row], kind: str) -> list[Row]:
    return [row for row in rows if row["kind"] == kind]


def _kinds(family: list[Row]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in family))


def _method(method: str, strangers: list[Row], family: list[Row], seconds: dict[str, Any]) -> dict[str, Any]:
    negatives = scores_of(strangers, method)
    derived = [row for row in family if row["kind"] in DERIVED]
    aimed = [row for row in family if row["kind"] in AIM]
    return {
        "null": null_figures(negatives),
        "threshold": _finite(threshold_at(negatives, FALSE_POSITIVE_RATE)),
        "aim": _separated(aimed, negatives, method),
        "aim_readable": _separated([row for row in aimed if row[method] is not None], negatives, method),
        "derived": _separated(derived, negatives, method),
        "by_kind": {kind: _separated(_of(family, kind), negatives, method) for kind in _kinds(family)},
        "processor_seconds": seconds[method],
    }


def _separated(rows: list[Row], negatives: list[float], method: str) -> dict[str, Any]:
    found = separation(scores_of(rows, method), negatives, FALSE_POSITIVE_RATE)
    return {key: _finite(value) if isinstance(value, float) else value for key, value in found.items()}


def _finite(value: float) -> float | None:
    return None if value == MISSING else round(value, 5)


def _missed(row: Row) -> dict[str, Any]:
    return {key: row[key] for key in ("base", "other", "kind", "projected", "p_value", "verdict")}
