"""Records that statements, profiles and published circuits share: size class, digests, the projection's rule."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.formats import limits
from verifier.formats.strict_json import Reader


@dataclass(frozen=True)
class SizeClass:
    """A size class: `N = 2^k - 64` usable entries, the last 16 salt."""

    name: str
    k: int

    @property
    def length(self) -> int:
        """N."""
        return (1 << self.k) - 64

    @property
    def data_length(self) -> int:
        """M = N - 16."""
        return self.length - 16


@dataclass(frozen=True)
class CircuitDigests:
    """SHA-256 of a circuit's three files."""

    onnx: bytes
    settings: bytes
    vk: bytes


@dataclass(frozen=True)
class SrsDigests:
    """SHA-256 of the SRS file for k, and of the k=1 file that `ezkl.verify` reads."""

    sha256: bytes
    verify_sha256: bytes


@dataclass(frozen=True)
class FpmDigests:
    """SHA-256 of the encoder, the public last layer and the generator."""

    encoder: bytes
    head: bytes
    generator: bytes


@dataclass(frozen=True)
class ProjectionRule:
    """Seed of P, and its number of rows."""

    g: int
    seed: bytes


def read_size_class(fields: Reader) -> SizeClass:
    """`size_class`, shared by statement and profile."""
    result = SizeClass(fields.text("name"), fields.integer("k", 7, limits.MAX_K))
    fields.done()
    return result


def read_srs(fields: Reader) -> SrsDigests:
    """`srs`; the profile takes its further key first."""
    result = SrsDigests(fields.hex64("sha256"), fields.hex64("verify_sha256"))
    fields.done()
    return result


def read_circuit(fields: Reader) -> CircuitDigests:
    """One of `circuits`; the profile takes its further keys first."""
    result = CircuitDigests(fields.hex64("onnx"), fields.hex64("settings"), fields.hex64("vk"))
    fields.done()
    return result


def read_fpm(fields: Reader) -> FpmDigests:
    """`fpm`."""
    result = FpmDigests(fields.hex64("encoder"), fields.hex64("head"), fields.hex64("generator"))
    fields.done()
    return result


def read_projection(fields: Reader) -> ProjectionRule:
    """`projection`."""
    result = ProjectionRule(fields.integer("g", 1, 1024), fields.hex64("seed"))
    fields.done()
    return result
