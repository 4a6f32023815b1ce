"""How alike unrelated models' terms are: `python -m fpm.late_null` measures it and writes `fpm/runs/late_null.json`.

A proven comparison computes the ICS of the terms themselves, not of z, so no encoder takes part. The bound that the
verifier states for it (`verifier/comparison/ics.py`) is held against these figures by a test. Synthetic models as in
`fpm.null`, with a seed of their own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fpm.encoder_figures import Figures, effective_rank
from fpm.null import THICK, THIN, TOKENS, tails
from fpm.synthetic import offspring
from fpm.train import RUNS

SEED = 9191

Array = npt.NDArray[np.float64]


def late_null_figures(models: int, seed: int = SEED) -> Figures:
    """Tails of the ICS among all models, among those whose terms are nearly of rank one, and those far from it."""
    terms, _ = offspring(models, seed, ())
    values = np.asarray(terms, dtype=np.float64).reshape(len(terms), 6, -1)
    # each term at norm 1: the cosine of two of these is the mean of six cosines
    units: Array = (values / np.linalg.norm(values, axis=2, keepdims=True)).reshape(len(terms), -1)
    rank = effective_rank(terms)
    return {
        "seed": seed,
        "tokens": TOKENS,
        "all": tails(units),
        f"effective_rank_below_{THIN}": tails(units[rank < THIN]),
        f"effective_rank_above_{THICK}": tails(units[rank > THICK]),
    }


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m fpm.late_null")
    parser.add_argument("--models", type=int, default=6000)
    parser.add_argument("--output", type=Path, default=RUNS / "late_null.json")
    options = parser.parse_args(arguments)
    figures = late_null_figures(options.models)
    options.output.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
