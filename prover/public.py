"""What programs import from `prover`: the same functions that the command line calls (docs/api.md)."""

from __future__ import annotations

from circuits.errors import HurefError
from prover.checkpoint.tensors import Checkpoint, open_checkpoint
from prover.fingerprint.run import Proven
from prover.fingerprint.run import prove_checkpoint as prove
from prover.similarity.metrics import Comparison, similarity_of

__all__ = ["Checkpoint", "Comparison", "HurefError", "Proven", "open_checkpoint", "prove", "similarity_of"]
