"""`huref prove` of whole models: this tree beside another checkout of the project, one JSON object a model.

    python -m tests.benchmarks.whole FOLDER                            ratios to that checkout, run by run in turns
    ... --models gpt2,llama-2-7b --pairs 5 --checkpoints FOLDER        which shapes; where checkpoints are kept
    ... --models PATH                                                  a real checkpoint

Keys are built before and shared. A ratio is that of two runs one after the other, since the machine may be shared;
what is given is the median, with every run.
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
from tests.make_big_checkpoint import MODELS, write


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
    parser.add_argument("against", type=Path, help="another checkout")
    parser.add_argument("--models", default="gpt2,llama-2-7b", help="comma-separated: paths, or " + ", ".join(MODELS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--checkpoints", type=Path, help="keep checkpoints here, and use those that are there")
    asked = parser.parse_args()
    os.environ.pop("HUREF_KERNEL", None)
    for name in asked.models.split(","):
        with tempfile.TemporaryDirectory(prefix="huref-bench-") as scratch:
            checkpoint = (asked.checkpoints or Path(scratch)) / name if name in MODELS else Path(name)
            if name in MODELS and not (checkpoint / "model.safetensors.index.json").exists():
                write(checkpoint, MODELS[name])
            print(json.dumps(compared(asked.against.resolve(), checkpoint.resolve(), asked.pairs)), flush=True)


if __name__ == "__main__":
    main()
