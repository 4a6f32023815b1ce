"""Makes what tests/verifier/assets has for feed-forward proofs: the toy activation circuit, and a proof.

    python tests/verifier/inference/make_assets.py

Run by hand after make_assets.py, or when the feed-forward proof's protocol changes. Half a minute. Needs the extra
`prover`.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("XDG_CACHE_HOME", tempfile.mkdtemp(prefix="huref-toy-cache-"))

from circuits.publish_activation import publish_activation  # noqa: E402
from prover.commitments.jobs import job  # noqa: E402
from prover.inference.prove import FeedForwardProver  # noqa: E402
from tests.toy_inference import ENTRIES, toy_block, toy_inputs, toy_world  # noqa: E402
from tests.toy_pair import ASSETS, NAME, toy_profile  # noqa: E402

SESSION = b"toy session: public, for tests 3"


def main() -> None:
    for name in ("activations", "feedforward"):
        shutil.rmtree(ASSETS / name, ignore_errors=True)
    publish_activation(ASSETS / "activations" / NAME, toy_profile(), ENTRIES)
    profile, circuit, side = toy_world()
    with job(os.urandom(16)) as work:
        block = toy_block(side.source)
        made = FeedForwardProver(profile, circuit, block, side.committed, side.seed, toy_inputs(), SESSION, work).run()
    target = ASSETS / "feedforward"
    target.mkdir()
    for name, data in made.files.items():
        (target / name).write_bytes(data)


if __name__ == "__main__":
    main()
