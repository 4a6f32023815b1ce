"""An accepted bundle's fingerprint, to be compared with others: z, and what z depends on besides weights. Pure."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from verifier.fingerprint.null_distribution import MEASURED, Null
from verifier.statement.statement import Statement
from verifier.trust.profile import Profile

Float64Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """z [512] of an accepted bundle. Digests are hexadecimal.

    Two z can be compared when `frame` is the same. Picture, circuits, size class and SRS may differ: z does not depend
    on them.
    """

    z: Float64Array
    encoder: str
    head: str
    g: int
    projection_seed: str
    quantization: str
    tokens_rule: str
    tokens_sha256: str
    tokens: int  # K
    tokenizer: str

    @property
    def frame(self) -> dict[str, object]:
        """What must be equal, by its name for people."""
        return {
            "encoder": self.encoder,
            "encoder's head": self.head,
            "projection": (self.g, self.projection_seed),
            "quantization": self.quantization,
            "rule for tokens": self.tokens_rule,
            "tokens": (self.tokens, self.tokens_sha256),
        }

    @property
    def null(self) -> Null | None:
        """What unrelated models' z do under this encoder, if it was measured."""
        return MEASURED.get((self.encoder, self.head))

    def as_json(self) -> dict[str, Any]:
        """For machines; `z` in base64: float64, little-endian, exactly the numbers that were verified."""
        null = self.null
        return {
            "z": base64.b64encode(self.z.astype("<f8").tobytes()).decode("ascii"),
            "encoder": self.encoder,
            "head": self.head,
            "projection": {"g": self.g, "seed": self.projection_seed},
            "quantization": self.quantization,
            "tokens": {
                "rule": self.tokens_rule,
                "K": self.tokens,
                "sha256": self.tokens_sha256,
                "tokenizer": self.tokenizer,
            },
            "null": None
            if null is None
            else {"effective_dimension": null.effective_dimension, "least_tokens": null.least_tokens},
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Fingerprint:
        """What `as_json` gave, in a report of this verifier's own making.

        Raises:
            ValueError, KeyError, TypeError: it is something else.
        """
        tokens = value["tokens"]
        return cls(
            z=np.frombuffer(base64.b64decode(value["z"]), "<f8"),
            encoder=value["encoder"],
            head=value["head"],
            g=value["projection"]["g"],
            projection_seed=value["projection"]["seed"],
            quantization=value["quantization"],
            tokens_rule=tokens["rule"],
            tokens_sha256=tokens["sha256"],
            tokens=tokens["K"],
            tokenizer=tokens["tokenizer"],
        )


def fingerprint_of(z: Float64Array, statement: Statement, profile: Profile) -> Fingerprint:
    """The fingerprint of a bundle whose statement was found equal to that profile."""
    return Fingerprint(
        z=z,
        encoder=profile.fpm.encoder.hex(),
        head=profile.fpm.head.hex(),
        g=profile.projection.g,
        projection_seed=profile.projection.seed.hex(),
        quantization=profile.quantization,
        tokens_rule=profile.token_rule,
        tokens_sha256=statement.tokens.sha256.hex(),
        tokens=statement.tokens.k,
        tokenizer=statement.tokens.tokenizer.hex(),
    )
