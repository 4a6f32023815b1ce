"""From a checkpoint to a proven fingerprint; rooms as docs/architecture.md draws them. For programs: docs/api.md."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prover.public import *  # noqa: F403

__all__ = ["Checkpoint", "Comparison", "HurefError", "Proven", "open_checkpoint", "prove", "similarity_of"]  # noqa: F405


def __getattr__(name: str) -> Any:  # loaded when used: a plain install, the verifier alone, lacks what they need
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module("prover.public"), name)
