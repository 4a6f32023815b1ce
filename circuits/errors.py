"""The one tree of errors raised by `circuits`, `fpm` and `prover`.

The verifier stands alone and has its own tree (`verifier/formats/errors.py`).
"""

from __future__ import annotations


class HurefError(Exception):
    """Base of every error this project raises on purpose.

    `code` is stable and machine readable, `step` names the stage that failed, `hint` says what to do.
    The message names the file and the field.
    """

    code = "error"

    def __init__(self, message: str, *, step: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.step = step
        self.hint = hint


class UsageError(HurefError):
    """Arguments that cannot be carried out."""

    code = "usage"


class CheckpointError(HurefError):
    """A checkpoint that is missing, damaged, or of an unsupported kind."""

    code = "checkpoint"


class CircuitError(HurefError):
    """ezkl failed, or a circuit, key or settings file is not the published one."""

    code = "circuit"


class KernelError(HurefError):
    """The native kernel gave points that ezkl does not confirm, or cannot do what it was asked for."""

    code = "kernel"


class SrsError(HurefError):
    """A structured reference string that is missing, damaged, or not the expected one."""

    code = "srs"


class ModelFileError(HurefError):
    """A fingerprinting-model file (encoder, head, generator) that is damaged or of another architecture."""

    code = "fpm"


class BundleError(HurefError):
    """A bundle or secret file that cannot be read or written."""

    code = "bundle"


class RegistryError(HurefError):
    """A registry that is missing or damaged, or a bundle that it does not take."""

    code = "registry"


class StorageError(HurefError):
    """The disk is full or a path cannot be written."""

    code = "storage"
