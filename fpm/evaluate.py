"""The published model's figures: `python -m fpm.evaluate` prints them as JSON and draws their plots beside docs/fpm.md.

Encoder: synthetic models (`encoder_figures`), really trained ones (`real_figures`). Generator: `generator_figures`.
Both: what the prover's choice of roundings can do (`rounding`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import platformdirs
import torch

from fpm import plots
from fpm.encoder_figures import (
    Figures,
    Fingerprinter,
    pair_cosines,
    synthetic_figures,
)
from fpm.generator_figures import (
    Painter,
    at_angle,
    contact_sheet,
    distance_curve,
    identification,
    identification_at_angle,
    runtime_figures,
)
from fpm.real_figures import real_figures
from fpm.rounding import rounding_figures
from fpm.study import parser_with_work, test_terms
from fpm.train import PROFILE, PUBLISHED, ROOT, digests

__all__ = ["Fingerprinter", "Painter", "at_angle", "main"]


def encoder_part(finger: Fingerprinter, work: Path, models: int, variants: Path | None, plots_folder: Path) -> Figures:
    """Figures of the encoder, and two plots; `work` keeps the held-out models' terms."""
    base, children = test_terms(work, models)
    figures = {"synthetic": synthetic_figures(finger, base, children)}
    seed = bytes.fromhex(json.loads((PROFILE / "profile.json").read_text())["projection"]["seed"])
    figures["real"] = real_figures(finger, ROOT / "artifacts" / "models", seed, finger(base), variants)
    plots.sweep_plot(
        figures["synthetic"]["offspring"], figures["real"]["noise_on_base"], plots_folder / "fpm-noise.png"
    )
    plots.distribution_plot(
        pair_cosines(finger(base)), finger(base, normalise=False), plots_folder / "fpm-distribution.png"
    )
    return figures


def generator_part(finger: Fingerprinter, files: Path, trials: int, plots_folder: Path) -> Figures:
    """Figures of the generator, a plot and the contact sheet."""
    paint = Painter(files)
    figures: Figures = {
        "runtime": runtime_figures(files),
        "distance_curve": distance_curve(paint),
        "identification_at_ics": identification(finger, paint, trials),
        "identification_at_angle": identification_at_angle(paint, trials),
        "rounding": rounding_figures(finger, paint),
    }
    plots.pictures_plot(figures["distance_curve"], figures["identification_at_ics"], plots_folder / "fpm-pictures.png")
    contact_sheet(files, plots_folder / "fpm-contact-sheet.png")
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints the figures as JSON and writes plots and contact sheet."""
    parser = parser_with_work("fpm.evaluate")
    parser.add_argument(
        "--files", type=Path, default=PUBLISHED, help="folder with encoder.onnx, head.npz, generator.onnx"
    )
    parser.add_argument("--models", type=int, default=1000, help="independent synthetic models")
    parser.add_argument("--trials", type=int, default=200, help="1-of-18 trials at each level")
    cache = Path(platformdirs.user_cache_dir("huref-zk")) / "fpm-variants"
    parser.add_argument("--variants", type=Path, default=cache, help="keeps further small models, trained when missing")
    parser.add_argument("--no-variants", action="store_true", help="the shipped models only")
    parser.add_argument("--plots", type=Path, default=ROOT / "docs", help="folder of plots and contact sheet")
    parser.add_argument("--part", choices=["encoder", "generator", "all"], default="all")
    parser.add_argument("--output", type=Path, help="also write the JSON there")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    np.seterr(invalid="raise")
    finger = Fingerprinter.load(options.files)
    names = ("encoder.onnx", "head.npz", "generator.onnx")
    figures: Figures = {"files": digests(options.files / name for name in names)}
    if options.part != "generator":
        variants = None if options.no_variants else options.variants
        figures["encoder"] = encoder_part(finger, options.work, options.models, variants, options.plots)
    if options.part != "encoder":
        figures["generator"] = generator_part(finger, options.files, options.trials, options.plots)
    text = json.dumps(figures, indent=1, default=float)
    if options.output is not None:
        options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
