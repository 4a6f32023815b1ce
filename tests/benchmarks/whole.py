"""`huref prove` of whole models by two builds in turn: `python -m tests.benchmarks.whole BEFORE CHECKPOINT...`.

BEFORE is another checkout, run with this environment's packages and keys. Each pair is one run of it and one of this
checkout on the same checkpoint; one JSON object a checkpoint: figures of every run, and the medians of their ratios.
Machines are noisy: what counts is the ratio within a pair.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.benchmarks.shipped_model import ROOT, measured_output, steps_in

PAIRS = 5


def proven(checkout: Path, checkpoint: Path) -> dict[str, Any]:
    """One run of a checkout's `huref prove`: seconds, processor seconds, peak memory, and its steps' seconds."""
    with tempfile.TemporaryDirectory(prefix="huref-whole-") as scratch:
        out = Path(scratch, "out", "bundle")
        command = [sys.executable, "-m", "prover.cli", "prove", str(checkpoint), "-o", str(out), "--json"]
        command += ["--secret", str(Path(scratch, "private", "s.json"))]
        answer, said, figures = measured_output(command, {"PYTHONPATH": str(checkout)}, cwd=checkout)
        report = json.loads(answer)
        return {**figures, "steps": steps_in(said), "row_kernels": report.get("row_kernels", ["ezkl"])}


def compared(before: Path, checkpoint: Path, pairs: int) -> dict[str, Any]:
    """Pairs of runs, and before / after of each figure, by the median."""
    runs = [(proven(before, checkpoint), proven(ROOT, checkpoint)) for _ in range(pairs)]
    ratios = {
        figure: round(statistics.median(old[figure] / new[figure] for old, new in runs), 2)
        for figure in ("seconds", "processor_s", "peak_MB")
    }
    return {
        "checkpoint": checkpoint.name,
        "times_less": ratios,
        "before": [old for old, _ in runs],
        "after": [new for _, new in runs],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("before", type=Path, help="another checkout")
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--pairs", type=int, default=PAIRS)
    asked = parser.parse_args()
    os.environ.pop("HUREF_KERNEL", None)
    for checkpoint in asked.checkpoints:
        print(json.dumps(compared(asked.before.resolve(), checkpoint.resolve(), asked.pairs)), flush=True)


if __name__ == "__main__":
    main()
