"""Plots for docs/fpm.md."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fpm.latent import Z_DIM

Array = npt.NDArray[np.float64]
BLUE, RED, GREY = "#1f5fa8", "#c0392b", "#888888"


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout()
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def study_plot(record: dict[str, Any], path: Path) -> None:
    """Processor seconds of a proof against independents and offspring; the published encoder is red.

    Args:
        record: fpm/runs/study.json.
        path: PNG.
    """
    figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), dpi=100, width_ratios=[1, 1, 0.62])
    measures: tuple[tuple[str, str, Callable[[dict[str, Any]], float]], ...] = (
        ("independents' mean |cosine|", "lower left is better", lambda row: row["independents"]["mean_abs"]),
        ("offspring's cosine at training noise", "upper left is better", lambda row: row["offspring"][0]["z"]),
    )
    lines = []
    for number, (name, row) in enumerate(record["encoders"].items(), 1):
        seconds = min(min(entry["processor_seconds"]) for entry in row["cost"])
        colour = RED if name == record["published"] else BLUE
        for axis, (_, _, value) in zip(axes, measures, strict=False):
            axis.plot(seconds, value(row), "o", color=colour, markersize=7)
            axis.annotate(
                str(number),
                (seconds, value(row)),
                xytext=(0, 7 if number % 2 else -15),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontweight="bold",
            )
        near = row["independents"]["pairs_above_0.3"]
        lines.append((f"{number}  {name}", f"{row['features']} features, {near} pairs > 0.3", colour))
    for axis, (label, title, _) in zip(axes, measures, strict=False):
        axis.set_xlabel("processor seconds of one proof")
        axis.set_ylabel(label)
        axis.set_title(title, fontsize=10)
        axis.margins(x=0.08, y=0.15)
        axis.grid(alpha=0.3)
    axes[2].axis("off")
    for place, (name, what, colour) in enumerate(lines):
        height = 0.97 - place * 0.108
        axes[2].text(0.0, height, name, color=colour, fontsize=9.5, fontweight="bold", transform=axes[2].transAxes)
        axes[2].text(0.09, height - 0.045, what, fontsize=8.5, transform=axes[2].transAxes)
    _save(figure, path)


def sweep_plot(synthetic: list[dict[str, Any]], real: list[dict[str, Any]], path: Path) -> None:
    """Terms' cosine against z's, and retrieval among 1,000, at rising noise.

    Args:
        synthetic: rows of `encoder_figures.offspring_rows`.
        real: rows of `real_figures.noise_sweep`, with `terms`, `z` and `z_worst`.
        path: PNG.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2), dpi=100)
    rows = sorted(synthetic, key=lambda row: float(row["terms"]))
    left.plot([0, 1], [0, 1], ":", color=GREY, label="z = terms")
    left.plot(
        [r["terms"] for r in rows], [r["z"] for r in rows], "o-", color=BLUE, label="1,000 synthetic models, mean"
    )
    rows_real = sorted(real, key=lambda row: float(row["terms"]))
    x = [r["terms"] for r in rows_real]
    left.plot(x, [r["z"] for r in rows_real], "s-", color=RED, label="shipped base model, mean")
    left.fill_between(x, [r["z_worst"] for r in rows_real], [r["z"] for r in rows_real], color=RED, alpha=0.15)
    left.set_xlabel("cosine of terms")
    left.set_ylabel("cosine of z")
    left.legend(fontsize=8)
    right.plot(
        [r["terms"] for r in rows], [100 * r["retrieval"] for r in rows], "o-", color=BLUE, label="all offspring"
    )
    kept = [r for r in rows if r["retrieval_terms_above_0.5"] is not None]
    right.plot(
        [r["terms"] for r in kept],
        [100 * r["retrieval_terms_above_0.5"] for r in kept],
        "s--",
        color=RED,
        label="those whose terms' cosine is above 0.5",
    )
    right.set_xlabel("mean cosine of terms")
    right.set_ylabel("base found among 1,000 (%)")
    right.set_ylim(0, 103)
    right.legend(fontsize=8, loc="lower right")
    for axis in (left, right):
        axis.grid(alpha=0.3)
    _save(figure, path)


def distribution_plot(others: Array, raw: Array, path: Path) -> None:
    """Independents' cosines beside N(0, 1/512), and each dimension's mean and variance.

    Args:
        others: cosines of all pairs.
        raw: z before normalisation [n,512].
        path: PNG.
    """
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), dpi=100)
    edges = np.linspace(-0.4, 0.4, 161)
    x = np.linspace(-0.4, 0.4, 401)
    normal = np.exp(-(x**2) * Z_DIM / 2) * np.sqrt(Z_DIM / 2 / np.pi)
    for axis in axes[:2]:
        axis.hist(others, bins=edges, density=True, color=BLUE, alpha=0.6, label=f"{len(others):,} pairs")
        axis.plot(x, normal, color=RED, label="N(0, 1/512)")
        axis.set_xlabel("cosine of two independents' z")
        axis.legend(fontsize=8)
    axes[1].set_yscale("log")
    axes[1].set_ylim(1e-4, 50)
    axes[1].set_title("the same, logarithmic", fontsize=10)
    _moments(axes[2], raw)
    _save(figure, path)


def _moments(axis: Axes, raw: Array) -> None:
    ideal = np.random.default_rng(0).standard_normal(raw.shape)
    axis.plot(ideal.mean(0), ideal.var(0), ".", color=GREY, markersize=4, label="as many draws of N(0, I)")
    axis.plot(raw.mean(0), raw.var(0), ".", color=BLUE, markersize=4, label="z before normalisation")
    axis.set_xlabel("mean of a dimension")
    axis.set_ylabel("variance of a dimension")
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)


def pictures_plot(curve: list[dict[str, Any]], identification: list[dict[str, Any]], path: Path) -> None:
    """Picture distance against the angle between z, and 1-of-18 identification against the ICS.

    Args:
        curve: rows with `angle_degrees`, `pixel`, `perceptual` and their 5% and 95% quantiles.
        identification: rows with `ics`, `pixel_32`, `perceptual`.
        path: PNG.
    """
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), dpi=100)
    angle = [row["angle_degrees"] for row in curve]
    for axis, name, label in zip(axes, ("pixel", "perceptual"), ("grey levels", "perceptual distance"), strict=False):
        axis.plot(angle, [row[name] for row in curve], "o-", color=BLUE)
        axis.fill_between(
            angle, [row[f"{name}_5"] for row in curve], [row[f"{name}_95"] for row in curve], color=BLUE, alpha=0.15
        )
        axis.set_xlabel("angle between z (degrees)")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
    places = np.arange(len(identification))
    for shift, name, colour in ((-0.2, "pixel_32", BLUE), (0.2, "perceptual", RED)):
        shares = [100 * row[name] for row in identification]
        label = {"pixel_32": "pixels at 32 x 32", "perceptual": "perceptual distance"}[name]
        bars = axes[2].bar(places + shift, shares, 0.38, color=colour, label=label)
        axes[2].bar_label(bars, [f"{share:.0f}" for share in shares], fontsize=8)
    axes[2].set_xticks(places, [f"ICS {row['ics']}" for row in identification])
    axes[2].set_ylabel("offspring identified, 1 of 18 (%)")
    axes[2].set_ylim(0, 112)
    axes[2].legend(fontsize=8, loc="upper right")
    _save(figure, path)
