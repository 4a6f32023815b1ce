"""How alike unrelated models' z are: `python -m fpm.null` measures it and writes `fpm/runs/null.json`.

`verifier/fingerprint/null_distribution.py` holds a bound made from theory with one measured number; a test compares
it with what is written here. Synthetic models are those of docs/fpm.md, with a seed that nothing else uses.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from fpm.encoder_figures import Figures, Fingerprinter, effective_rank
from fpm.latent import Z_DIM
from fpm.synthetic import offspring
from fpm.train import PUBLISHED, RUNS, digests

SEED = 4242
TOKENS = 512  # K of the synthetic models
THRESHOLDS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
THIN = 1.1  # effective rank below which a model's terms are nearly multiples of one s s^T
THICK = 2.0

Array = npt.NDArray[np.float64]


def tails(z: Array) -> Figures:
    """Pairs of z [n,512] above each threshold, and below its negative: unrelated models are as often opposite."""
    unit = (z / np.linalg.norm(z, axis=1, keepdims=True)).astype(np.float32)
    cosines = (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    return {
        "models": len(z),
        "pairs": len(cosines),
        "mean": float(cosines.mean(dtype=np.float64)),
        "std": float(cosines.std(dtype=np.float64)),
        "largest": float(cosines.max()),
        "least": float(cosines.min()),
        "above": {f"{t:g}": int((cosines > t).sum()) for t in THRESHOLDS},
        "below_negative": {f"{t:g}": int((cosines < -t).sum()) for t in THRESHOLDS},
    }


def null_figures(finger: Fingerprinter, models: int, seed: int = SEED) -> Figures:
    """Tails among all models, among those whose terms are nearly of rank one, and among those far from it."""
    terms, _ = offspring(models, seed, ())
    z, rank = finger(terms), effective_rank(terms)
    return {
        "seed": seed,
        "tokens": TOKENS,
        "dimensions": Z_DIM,
        "all": tails(z),
        f"effective_rank_below_{THIN}": tails(z[rank < THIN]),
        f"effective_rank_above_{THICK}": tails(z[rank > THICK]),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m fpm.null")
    parser.add_argument("--files", type=Path, default=PUBLISHED, help="folder with encoder.onnx and head.npz")
    parser.add_argument("--models", type=int, default=8000)
    parser.add_argument("--output", type=Path, default=RUNS / "null.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    figures = null_figures(Fingerprinter.load(options.files), options.models)
    files = digests(options.files / name for name in ("encoder.onnx", "head.npz"))
    options.output.write_text(json.dumps(figures | {"files": files}, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
