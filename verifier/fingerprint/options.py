"""What a caller asks of a verification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from verifier.formats.limits import DEFAULT_TIME_LIMIT_S
from verifier.signature.identity import Identity


@dataclass(frozen=True)
class Options:
    """What the caller asks for. `weights` and `secret` come together: they ask for step 11; `identity` for step 12.

    `time_limit_s`: seconds, after which what is not decided is undecided.

    Raises:
        ValueError: only one of `weights` and `secret`.

    >>> Options(allow_development_srs=True).identity is None
    True
    """

    allow_development_srs: bool = False
    weights: Path | None = None
    secret: Path | None = None
    time_limit_s: float = DEFAULT_TIME_LIMIT_S
    identity: Identity | None = None

    def __post_init__(self) -> None:
        """Refuse half of an opening."""
        if (self.weights is None) != (self.secret is None):
            raise ValueError("weights and secret come together")
