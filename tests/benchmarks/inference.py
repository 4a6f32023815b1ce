"""`python -m tests.benchmarks.inference`: a feed-forward part of the shipped base model, proven and verified.

One JSON line each: wall and processor seconds, peak memory of the process tree, bytes. Keys are built before.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from circuits import keys
from circuits.activations import load_activation_circuit
from circuits.profiles import load_profile
from tests.benchmarks.shipped_model import measured

VERIFY_RUNS = 5
MODEL = "artifacts/models/base"


def main() -> None:
    """Proves a bundle first: the shipped one's secret is thrown away."""
    profile = load_profile("tiny-dev")
    for circuit in (keys.published_circuit(profile, name) for name in ("link", "encoder")):
        keys.key_of(circuit)
    keys.key_of(load_activation_circuit(profile).circuit)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        huref = [sys.executable, "-m", "prover.cli"]
        bundle, secret, proof, inputs = (folder / part for part in ("bundle", "private/s.json", "proof", "x.npy"))
        np.save(inputs, np.random.default_rng(0).normal(size=(8, 128)).astype(np.float32))
        measured([*huref, "prove", MODEL, "-o", str(bundle), "--secret", str(secret), "--profile", profile.name, "-q"])
        command = [*huref, "feedforward", str(bundle), "--weights", MODEL, "--secret", str(secret)]
        made = measured([*command, "--inputs", str(inputs), "-o", str(proof), "-q"])
        made["bytes"] = sum(file.stat().st_size for file in proof.iterdir())
        print(json.dumps({"what": "prove", **made}), flush=True)
        start = "from verifier.cli import main; main()"
        verify = [sys.executable, "-c", start, str(proof), str(bundle), "--allow-dev-srs"]
        runs = [measured(verify) for _ in range(VERIFY_RUNS)]
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        print(json.dumps({"what": "verify, with its bundle, median", **median}))


if __name__ == "__main__":
    main()
