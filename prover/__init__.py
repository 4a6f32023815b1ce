"""The prover: from a checkpoint to a proven fingerprint. numpy only, no torch.

The rooms, each importing only those before it: `formats`, `checkpoint`, `terms`, `similarity`, `commitments`,
`fingerprint`, `comparison` and `inference`, `release`, `registry`; then the command (docs/architecture.md).
For programs: the names below (docs/api.md). They are loaded when used.

>>> from pathlib import Path
>>> from prover import open_checkpoint
>>> open_checkpoint(Path("artifacts/models/base")).shape.num_layers
4
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits.errors import HurefError
    from prover.checkpoint.tensors import Checkpoint, open_checkpoint
    from prover.fingerprint.run import Proven
    from prover.fingerprint.run import prove_checkpoint as prove
    from prover.similarity.metrics import Comparison, similarity_of

_PLACES = {
    "Checkpoint": "prover.checkpoint.tensors:Checkpoint",
    "Comparison": "prover.similarity.metrics:Comparison",
    "HurefError": "circuits.errors:HurefError",
    "Proven": "prover.fingerprint.run:Proven",
    "open_checkpoint": "prover.checkpoint.tensors:open_checkpoint",
    "prove": "prover.fingerprint.run:prove_checkpoint",
    "similarity_of": "prover.similarity.metrics:similarity_of",
}

__all__ = ["Checkpoint", "Comparison", "HurefError", "Proven", "open_checkpoint", "prove", "similarity_of"]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = _PLACES[name].partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    """The public names too, loaded or not."""
    return sorted({*globals(), *__all__})
