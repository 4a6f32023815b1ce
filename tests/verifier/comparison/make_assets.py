"""Makes what tests/verifier/assets has for comparisons: a second toy model, its bundle, the circuits, two comparisons.

    python tests/verifier/comparison/make_assets.py [--at-least]

Run by hand after make_assets.py, or when the comparison's protocol changes; with --at-least, only the threshold circuit
and the comparison made with it are new. Under a minute. Needs the extra `prover`.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp(prefix="huref-toy-cache-"))

import numpy as np  # noqa: E402

from circuits.comparisons import NAME_SUFFIX, THRESHOLD  # noqa: E402
from circuits.publish_comparison import publish_comparison  # noqa: E402
from prover.commitments.jobs import job  # noqa: E402
from prover.comparison.prove import ComparisonProver  # noqa: E402
from prover.fingerprint.prove import FingerprintProver  # noqa: E402
from prover.terms.terms import TermRules, load_fingerprint_input  # noqa: E402
from tests.toy_pair import ASSETS, AT_LEAST, NAME, SEEDS, toy_pair, toy_profile  # noqa: E402

SESSION = b"toy session: public, for tests 2"
NOISE = 0.3  # of a tensor's own spread: an offspring, with an ICS well below 1


def make_model(source: Path, target: Path) -> None:
    """The first toy model with noise in its float32 tensors."""
    shutil.copytree(source, target)
    path = target / "model.safetensors"
    data = bytearray(path.read_bytes())
    start = 8 + struct.unpack("<Q", data[:8])[0]
    rng = np.random.default_rng(3)
    for entry in json.loads(data[8:start]).values():
        if entry["dtype"] == "F32":
            begin, end = (start + offset for offset in entry["data_offsets"])
            values = np.frombuffer(bytes(data[begin:end]), "<f4")
            noisy = values + NOISE * values.std() * rng.normal(size=values.shape)
            data[begin:end] = noisy.astype("<f4").tobytes()
    path.write_bytes(data)


def main(at_least_alone: bool) -> None:
    if not at_least_alone:
        everything_else()
    shutil.rmtree(ASSETS / "comparison_at_least", ignore_errors=True)
    publish_comparison(ASSETS / "comparisons" / (NAME + NAME_SUFFIX[THRESHOLD]), toy_profile(), THRESHOLD)
    pair = toy_pair()
    with job(os.urandom(16)) as work:
        prover = ComparisonProver(pair.profile, pair.threshold, pair.sides, SESSION, work, request=AT_LEAST)
        write(ASSETS / "comparison_at_least", prover.run().files)


def everything_else() -> None:
    for name in ("model_b", "bundle_b", "comparisons", "comparison"):
        shutil.rmtree(ASSETS / name, ignore_errors=True)
    profile = toy_profile()
    publish_comparison(ASSETS / "comparisons" / NAME, profile)
    make_model(ASSETS / "model", ASSETS / "model_b")
    source = load_fingerprint_input(ASSETS / "model_b", TermRules.of_profile(profile.document))
    with job(os.urandom(16)) as work:
        metadata = {"name": "toy b", "version": "1", "maker": "tests"}
        made = FingerprintProver(profile, source, SEEDS[1], SESSION, work, metadata).run()
    write(ASSETS / "bundle_b", made.files)
    secret = {
        "type": "application/vnd.huref-zk.secret+json;version=1",
        "seed": SEEDS[1].hex(),
        "weights_sha256": source.weights_sha256.hex(),
        "cm": made.cm,
    }
    (ASSETS / "secret_b.json").write_text(json.dumps(secret, sort_keys=True, separators=(",", ":")))
    publish_comparison(ASSETS / "comparisons" / (NAME + NAME_SUFFIX[THRESHOLD]), profile, THRESHOLD)
    pair = toy_pair()
    with job(os.urandom(16)) as work:
        compared = ComparisonProver(pair.profile, pair.circuit, pair.sides, SESSION, work).run()
    write(ASSETS / "comparison", compared.files)


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main("--at-least" in sys.argv[1:])
