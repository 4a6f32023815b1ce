"""Reading and quantizing a checkpoint: this tree beside another checkout of the project, one JSON object a model.

    python -m tests.benchmarks.reading                            this tree alone
    python -m tests.benchmarks.reading --against FOLDER           ratios to that checkout, run by run in turns
    ... --models gpt2,llama-2-7b --pairs 5 --checkpoints FOLDER   which shapes; where checkpoints are kept

Each run is `load_fingerprint_input` in a process of its own, imports not counted. A ratio is that of two runs one after
the other, since the machine may be shared; what is given is the median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.make_big_checkpoint import MODELS, write

ROOT = Path(__file__).resolve().parents[2]
PROFILES = {"gpt2": "tiny-dev"}  # others: large-dev
TIME_LIMIT_S = 900.0

# The rooms were laid out anew once: both places are tried.
RUN = """
import json, resource, sys, time
from pathlib import Path
from circuits.profiles import load_profile
try:
    from prover.terms.terms import TermRules, load_fingerprint_input
except ImportError:
    from prover.terms import TermRules, load_fingerprint_input
rules = TermRules.of_profile(load_profile(sys.argv[2]).document)
before, start = time.process_time(), time.monotonic()
source = load_fingerprint_input(Path(sys.argv[1]), rules)
seconds, processor = time.monotonic() - start, time.process_time() - before
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({"seconds": seconds, "processor_s": processor, "peak_MB": peak,
                  "weights_sha256": source.weights_sha256.hex(), "cosine": round(source.cosine, 9)}))
"""


def run(tree: Path, checkpoint: Path, profile: str) -> dict[str, Any]:
    """One reading by the code in `tree`."""
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(checkpoint), profile],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIME_LIMIT_S,
    )
    if done.returncode:
        sys.exit(f"{tree}: {done.stderr}")
    return dict(json.loads(done.stdout))


def compare(name: str, checkpoint: Path, against: Path | None, pairs: int) -> dict[str, Any]:
    """Medians over `pairs` runs of each tree, in turns; the first of each only fills the page cache."""
    profile = PROFILES.get(name, "large-dev")
    trees = [ROOT] if against is None else [ROOT, against]
    runs: list[list[dict[str, Any]]] = [[run(tree, checkpoint, profile) for tree in trees] for _ in range(pairs + 1)]
    digests = {one["weights_sha256"] for pair in runs for one in pair}
    if len(digests) > 1:
        sys.exit(f"{name}: the trees quantize differently: {digests}")
    result: dict[str, Any] = {"model": name, "pairs": pairs, "cores": len(os.sched_getaffinity(0))}
    for key in ("seconds", "processor_s", "peak_MB"):
        values = [[one[key] for one in pair] for pair in runs[1:]]
        result[key] = round(statistics.median(pair[0] for pair in values), 3)
        if against is not None:
            result[f"{key}_before"] = round(statistics.median(pair[1] for pair in values), 3)
            ratios = sorted(pair[1] / pair[0] for pair in values)
            result[f"{key}_ratio"] = round(statistics.median(ratios), 2)
            result[f"{key}_ratios"] = [round(ratio, 2) for ratio in ratios]
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, help="another checkout")
    parser.add_argument("--models", default="gpt2,llama-2-7b", help="comma-separated: " + ", ".join(MODELS))
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--checkpoints", type=Path, help="keep checkpoints here, and use those that are there")
    asked = parser.parse_args()
    for name in asked.models.split(","):
        with tempfile.TemporaryDirectory(prefix="huref-bench-") as scratch:
            checkpoint = (asked.checkpoints or Path(scratch)) / name
            if not (checkpoint / "model.safetensors.index.json").exists():
                write(checkpoint, MODELS[name])
            print(json.dumps(compare(name, checkpoint, asked.against, asked.pairs)), flush=True)


if __name__ == "__main__":
    main()
