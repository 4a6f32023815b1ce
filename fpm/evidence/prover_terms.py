"""The prover's own figures of checkpoints and pairs, by `python -m prover.similarity.pairs`: no prover is imported."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import HurefError

Pair = tuple[str, str]


class LaboratoryError(HurefError):
    """A step of the laboratory that did not finish."""

    code = "laboratory"


@dataclass(frozen=True)
class ProverFigures:
    """What `prover.similarity.pairs` says, by the checkpoints' names.

    `terms`: float64 [6, g, g], each at norm 1. `refused`: the prover's reason. `pairs`: its line for each pair that
    could be read. `seconds`: processor seconds to read each checkpoint.
    """

    terms: dict[str, npt.NDArray[np.float64]]
    refused: dict[str, str]
    pairs: dict[Pair, dict[str, Any]]
    seconds: dict[str, float]


def prover_figures(folder: Path, pairs: Sequence[Pair], **rules: int | str | bool) -> ProverFigures:
    """Figures of the checkpoints `folder/<name>`.

    Args:
        folder: of the zoo.
        pairs: names.
        rules: `k_max`, fewer tokens than the profile's; `seed`, hex, another projection than the profile's;
            `blocks`, true, most similar blocks as well.

    Raises:
        LaboratoryError: the command failed.
    """
    job: dict[str, Any] = {"pairs": [[str(folder / left), str(folder / right)] for left, right in pairs], **rules}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(job, file)
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "prover.similarity.pairs", file.name], capture_output=True, text=True, check=False
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LaboratoryError(f"python -m prover.similarity.pairs failed: {last}", step="scores")
    return _parsed([json.loads(line) for line in done.stdout.splitlines()])


def _parsed(lines: list[dict[str, Any]]) -> ProverFigures:
    figures = ProverFigures({}, {}, {}, {})
    for line in lines:
        if "refused" in line:
            figures.refused[Path(line["checkpoint"]).name] = line["refused"]
        elif "terms" in line:
            name = Path(line["checkpoint"]).name
            figures.terms[name] = np.array(line["terms"])
            figures.seconds[name] = line["processor_seconds"]
        else:
            figures.pairs[Path(line["left"]).name, Path(line["right"]).name] = line
    return figures
