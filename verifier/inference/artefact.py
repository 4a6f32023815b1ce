"""A feed-forward proof, a directory or zip, becomes five typed files (docs/inference-proof.md section 5).

Nothing in it is trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verifier.formats import limits, strict_json
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import Rejected
from verifier.formats.package import Package, holds, read_files
from verifier.formats.proof_file import ProofFile, read_proof
from verifier.formats.strict_json import Reader

STATEMENT = "feedforward.json"
SECRET_POINTS = ("gate", "gate-rest", "up", "up-rest", "weights")
INTEGER_BYTES = 8
FEED_FORWARD = Package(
    "feed-forward proof",
    {
        STATEMENT: limits.MAX_STATEMENT_BYTES,
        "activations.bin": limits.MAX_ACTIVATIONS_BYTES,
        "points.bin": limits.MAX_FEED_FORWARD_POINTS_BYTES,
        "activation.json": limits.MAX_PROOF_FILE_BYTES,
        "link.json": limits.MAX_PROOF_FILE_BYTES,
    },
    {},
)


@dataclass(frozen=True)
class FeedForwardStatement:
    """`feedforward.json`, typed; not yet compared with bundle and profile. `scale`: c of gate, up and down."""

    profile_name: str
    profile_sha256: bytes
    circuit_name: str
    circuit_sha256: bytes
    cm: bytes
    bundle_statement: bytes
    layer: int
    activations: int
    scale: tuple[int, int, int]
    epsilon: int


@dataclass(frozen=True)
class FeedForward:
    """The five files, typed. `points`: a run of 64-byte points, not yet checked; `integers`: x, then y, row by row."""

    statement: FeedForwardStatement
    statement_bytes: bytes
    integers: bytes
    points: bytes
    activation: ProofFile
    link: ProofFile
    digests: Mapping[str, str]


def read_feed_forward(path: Path) -> FeedForward:
    """Read and parse a feed-forward proof.

    Raises:
        Unreadable, UnknownVersion: see the error tree.
        Rejected: well-formed files that break a rule of the format.
    """
    return parse_feed_forward(read_files(path, FEED_FORWARD))


def parse_feed_forward(files: Mapping[str, bytes]) -> FeedForward:
    """The same for the bytes of the files.

    Raises:
        Unreadable, UnknownVersion, Rejected: see `read_feed_forward`.
    """
    if len(files["points.bin"]) % POINT_BYTES:
        raise Rejected("points.bin: not a whole number of 64-byte points", code="length")
    if len(files["activations.bin"]) % (2 * INTEGER_BYTES):
        raise Rejected("activations.bin: not a whole number of pairs of 8-byte integers", code="length")
    return FeedForward(
        statement=read_statement(files[STATEMENT]),
        statement_bytes=files[STATEMENT],
        integers=files["activations.bin"],
        points=files["points.bin"],
        activation=read_proof(files["activation.json"], "activation"),
        link=read_proof(files["link.json"], "link"),
        digests={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )


def is_feed_forward(path: Path) -> bool:
    """Whether `path` is meant as a feed-forward proof: a folder with a `feedforward.json`, or a zip that names one."""
    return holds(path, STATEMENT)


def read_statement(data: bytes) -> FeedForwardStatement:
    """Parse `feedforward.json`.

    Raises:
        Unreadable, UnknownVersion, Rejected: see `strict_json`; Rejected also when the bytes are not canonical.
    """
    value = strict_json.parse(data, STATEMENT, limits.MAX_STATEMENT_BYTES)
    fields = Reader(value, STATEMENT)
    fields.media_type("feedforward")
    if strict_json.canonical(value) != data:
        raise Rejected(f"{STATEMENT}: not equal to its own canonical form (RFC 8785)", code="not-canonical")
    profile, circuit, bundle = fields.nested("profile"), fields.nested("circuit"), fields.nested("bundle")
    scale = fields.nested("scale")

    def decimal(reader: Reader, key: str) -> int:
        return strict_json.decimal(reader.take(key), f"{reader.where}.{key}")

    result = FeedForwardStatement(
        profile_name=profile.text("name"),
        profile_sha256=profile.hex64("sha256"),
        circuit_name=circuit.text("name"),
        circuit_sha256=circuit.hex64("sha256"),
        cm=bundle.hex64("cm"),
        bundle_statement=bundle.hex64("statement"),
        layer=fields.integer("layer", 0, limits.MAX_DIMENSION),
        activations=fields.integer("activations", 1, limits.MAX_DIMENSION),
        scale=(decimal(scale, "gate"), decimal(scale, "up"), decimal(scale, "down")),
        epsilon=decimal(fields, "epsilon"),
    )
    for reader in (profile, circuit, bundle, scale, fields):
        reader.done()
    return result
