"""`python -m fpm.whitening`: how much the head should whiten, asked of models that nothing else uses.

Writes fpm/runs/whitening.json. The models of docs/fpm.md's other tables (`TEST_SEED`) may not choose anything; those
here do, and are measured for nothing else.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fpm.encoder_figures import Figures, Fingerprinter, cosines, found_among, independents
from fpm.study import parser_with_work
from fpm.synthetic import offspring
from fpm.tables import line, power_cells
from fpm.trade_off import LinearMap, encoder_matrix, training_sample, whitened_encoder
from fpm.train import ENCODER, PUBLISHED, RUNS, digests

SEED = 5100
CROWD = 1000  # among so many an offspring is to be found, as in docs/fpm.md
NEAR, FAR = ((0.05, 0.05), (0.1, 0.1)), ((0.8, 0.8), (1.0, 1.0))  # noises around a terms' cosine of 0.99, and of 0.45
POWERS = (0.0, 0.125, 0.1875, 0.25, 0.3125, 0.375, 0.4375, 0.5)


def figures(find: LinearMap, base: npt.NDArray[Any], children: npt.NDArray[Any]) -> Figures:
    """One power's figures: terms [n,6,16,16], n a multiple of CROWD, and offspring [4,n,6,16,16], NEAR then FAR."""
    crowds = [find(part) for part in np.split(base, max(1, len(base) // CROWD))]
    among = [independents(z) for z in crowds]
    z = np.concatenate(crowds)
    near, far_off = children[: len(NEAR)], children[len(NEAR) :]
    close = np.concatenate([cosines(base, group) for group in near])
    kept = np.concatenate([cosines(z, find(group)) for group in near])
    far = np.concatenate([cosines(base, group) for group in far_off])
    found = np.concatenate([_found(find(group), crowds) for group in far_off])
    return {
        "pairs": sum(one["pairs"] for one in among),
        "mean_abs": float(np.mean([one["mean_abs"] for one in among])),
        "pairs_above_0.3": sum(one["pairs_above_0.3"] for one in among),
        "at_0.99": float((kept[close >= 0.99] >= 0.99).mean()),
        **{f"terms_above_{limit:g}": int((far > limit).sum()) for limit in (0.4, 0.5)},
        **{f"not_found_above_{limit:g}": int((~found[far > limit]).sum()) for limit in (0.4, 0.5)},
    }


def _found(child: npt.NDArray[Any], crowds: list[npt.NDArray[Any]]) -> npt.NDArray[np.bool_]:
    """Whether each child's nearest model of its crowd is its own base."""
    parts = np.split(child, len(crowds))
    return np.concatenate([found_among(part, z) for part, z in zip(parts, crowds, strict=True)])


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints the table's lines and the path written."""
    parser = parser_with_work("fpm.whitening")
    parser.add_argument("--models", type=int, default=8000, help="a multiple of 1,000")
    parser.add_argument("--output", type=Path, default=RUNS / "whitening.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sample, encoder = training_sample(options.work), encoder_matrix(Fingerprinter.load(PUBLISHED))
    variances = np.linalg.eigvalsh(np.cov((sample @ encoder).T))
    base, children = offspring(options.models, SEED, NEAR + FAR)
    found: dict[str, Figures] = {}
    for power in POWERS:
        left = variances ** (1.0 - 2.0 * power)
        of_power = figures(whitened_encoder(encoder, sample, power), base, children)
        found[f"{power:g}"] = of_power | {"spread": float(left.max() / left.mean())}
        print(line(power_cells(f"{power:g}", found[f"{power:g}"])), flush=True)
    record = {"models": len(base), "powers": found, "files": digests(ENCODER)}
    options.output.write_text(json.dumps(record, indent=1) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
