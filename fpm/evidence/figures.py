"""The plots of docs/evidence.md, from the JSON documents alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpm.evidence.scores import METHODS
from fpm.evidence.summary import unrelated

Documents = Mapping[str, dict[str, Any]]

COLOURS = {
    "unrelated": "#888888",
    "offspring": "#1f5fa8",
    "rearranged": "#2e8b57",
    "padded": "#8e44ad",
    "adaptive": "#c0392b",
    "distilled": "#d68910",
}
NAMES = {
    "unrelated": "unrelated",
    "offspring": "offspring",
    "rearranged": "same outputs, rearranged",
    "padded": "same outputs, idle parts added",
    "adaptive": "against the fingerprint, at a cost",
    "distilled": "distilled (no weights in common)",
}


def draw(found: Documents, folder: Path) -> None:
    """evidence-methods.png, evidence-cost.png, evidence-null.png, evidence-loss.png."""
    folder.mkdir(parents=True, exist_ok=True)
    _methods(found, folder / "evidence-methods.png")
    _cost(found, folder / "evidence-cost.png")
    _null(found, folder / "evidence-null.png")
    _loss(found, folder / "evidence-loss.png")


def _save(figure: Figure, path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _groups(found: Documents) -> dict[str, list[dict[str, Any]]]:
    rows = found["scores"]["pairs"]
    groups = {"unrelated": unrelated(rows)}
    for kind in list(COLOURS)[1:]:
        groups[kind] = [row for row in rows if row["related"] and row["kind"] == kind]
    return {name: group for name, group in groups.items() if group}


def _methods(found: Documents, path: Path) -> None:
    """A strip for each method and kind; the line is the threshold that 1% of unrelated pairs exceed."""
    groups = _groups(found)
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.2), dpi=90)
    rng = np.random.default_rng(0)
    for axis, method in zip(axes.flat, METHODS, strict=False):
        for height, (name, group) in enumerate(reversed(groups.items())):
            values = [row[method] for row in group if row[method] is not None]
            heights = height + rng.uniform(-0.28, 0.28, len(values))
            axis.plot(values, heights, ".", color=COLOURS[name], markersize=4 if name == "unrelated" else 6, alpha=0.7)
        threshold = found["summary"]["methods"][method]["threshold"]
        if threshold is not None:
            axis.axvline(threshold, color="black", linewidth=0.9, linestyle="--")
        axis.set_title(METHODS[method], fontsize=10)
        axis.set_yticks([])
        axis.grid(alpha=0.3, axis="x")
    last = axes.flat[len(METHODS)]
    last.axis("off")
    for place, name in enumerate(groups):
        last.text(0.02, 0.93 - 0.13 * place, NAMES[name], color=COLOURS[name], fontsize=10, fontweight="bold")
    last.text(0.02, 0.93 - 0.13 * len(groups), "- - exceeded by 1% of unrelated pairs", fontsize=10)
    figure.supxlabel("score of a pair (to the right: more alike)", fontsize=10)
    _save(figure, path)


def _cost(found: Documents, path: Path) -> None:
    """What each offspring or attack costs in held-out loss, and what is left of the similarity."""
    zoo = {item["name"]: item["held_out"]["stdlib"] for item in found["zoo"]["checkpoints"]}
    figure, axes = plt.subplots(1, 3, figsize=(13, 4.4), dpi=90, sharey=True)
    for axis, method in zip(axes, ("projected", "z", "released"), strict=True):
        for name, group in list(_groups(found).items())[1:]:
            points = [(zoo[r["other"]] - zoo[r["base"]], r[method]) for r in group if r[method] is not None]
            if points:
                axis.plot(
                    *zip(*points, strict=True), "o", color=COLOURS[name], markersize=5, alpha=0.8, label=NAMES[name]
                )
        strangers = [row[method] for row in unrelated(found["scores"]["pairs"]) if row[method] is not None]
        axis.axhspan(min(strangers), max(strangers), color=COLOURS["unrelated"], alpha=0.2, label="unrelated pairs")
        axis.set_xlabel("held-out loss, change (nats a token)")
        axis.set_title(METHODS[method], fontsize=10)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("similarity to the base")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="upper center", ncols=6)
    figure.tight_layout(rect=(0, 0, 1, 0.93))
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _null(found: Documents, path: Path) -> None:
    """Distances of unrelated bases beside theory, and fewer tokens."""
    null = found["null"]
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), dpi=90)
    x = np.linspace(-7, 7, 300)
    left.hist(
        null["distances"], bins=np.linspace(-7, 7, 43).tolist(), density=True, color=COLOURS["offspring"], alpha=0.6
    )
    for shift, scale, label, line in (
        (0.0, 1.0, "theory alone (normal, for the eye)", ":"),
        (null["calibration"]["shift"], null["calibration"]["scale"], "calibrated", "-"),
    ):
        density = np.exp(-(((x - shift) / scale) ** 2) / 2) / np.sqrt(2 * np.pi) / scale
        left.plot(x, density, line, color=COLOURS["adaptive"], label=label)
    left.set_ylim(0, 0.55)
    left.set_xlabel("distance from theory's mean, in its deviations")
    left.set_title(f"unrelated bases, {len(null['distances'])} values", fontsize=10)
    left.legend(fontsize=8)
    _p_values(middle, found)
    counts = [at["tokens"] for at in null["tokens"]]
    right.plot(
        counts,
        [at["related_least"] for at in null["tokens"]],
        "o-",
        color=COLOURS["offspring"],
        label="offspring, least",
    )
    right.plot(
        counts,
        [at["unrelated_worst"] for at in null["tokens"]],
        "s-",
        color=COLOURS["unrelated"],
        label="unrelated, worst",
    )
    right.set_xscale("log", base=2)
    right.set_xlabel("K, tokens")
    right.set_title("ICS, projected, with fewer tokens", fontsize=10)
    right.legend(fontsize=8)
    for axis in (left, middle, right):
        axis.grid(alpha=0.3)
    _save(figure, path)


def _p_values(axis: Axes, found: Documents) -> None:
    """Sorted p-values of unrelated pairs against the uniform distribution, logarithmic."""
    p = np.sort([row["p_value"] for row in unrelated(found["scores"]["pairs"]) if row["p_value"] is not None])
    share = np.arange(1, len(p) + 1) / len(p)
    axis.plot(share, share, ":", color=COLOURS["unrelated"], label="uniform")
    axis.plot(share, p, ".", color=COLOURS["offspring"], markersize=4, label=f"{len(p)} unrelated pairs")
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel("share of unrelated pairs")
    axis.set_ylabel("p-value at most")
    axis.set_title("p-values of unrelated pairs", fontsize=10)
    axis.legend(fontsize=8)


def _loss(found: Documents, path: Path) -> None:
    """Held-out loss of every base."""
    figure, axis = plt.subplots(figsize=(7, 3.8), dpi=90)
    for item in found["zoo"]["checkpoints"]:
        if item["kind"] == "base":
            steps, _, held_out = zip(*item["loss"], strict=True)
            axis.plot(steps, held_out, ".-", label=f"{item['name']} ({item['training']['text']})")
    axis.set_xlabel("step")
    axis.set_ylabel("held-out loss (nats a token)")
    axis.legend(fontsize=7, ncols=2)
    axis.grid(alpha=0.3)
    _save(figure, path)
