"""A comparison artefact, a directory or zip, becomes five typed files (docs/comparison.md section 5).

Nothing in it is trusted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from verifier.algebra.transcript import Transcript
from verifier.comparison.circuit import SIMILARITY, THRESHOLD
from verifier.comparison.ics import SIDES
from verifier.comparison.threshold import MILLIONTHS
from verifier.formats import limits, strict_json
from verifier.formats.encoding import POINT_BYTES, split_points
from verifier.formats.errors import Rejected
from verifier.formats.package import Package, holds, read_files
from verifier.formats.proof_file import ProofFile, read_proof
from verifier.formats.strict_json import Reader
from verifier.statement.rows import Challenges, Points, absorb_proof, absorb_rows, link_challenges
from verifier.statement.statement import TERMS, Y_POINTS, Statement

STATEMENT, BUNDLE_STATEMENT = "comparison.json", "statement.json"
POINTS_A_SIDE = 1 + Y_POINTS  # C(S''), then y_0, y'_0, ... y_5, y'_5
COMPARISON = Package(
    "comparison",
    {
        STATEMENT: limits.MAX_STATEMENT_BYTES,
        "points.bin": limits.MAX_COMPARISON_POINTS_BYTES,
        "link-a.json": limits.MAX_PROOF_FILE_BYTES,
        "link-b.json": limits.MAX_PROOF_FILE_BYTES,
        "similarity.json": limits.MAX_PROOF_FILE_BYTES,
    },
    {},
)
_DOMAIN = b"huref-zk/v1/comparison-transcript"


@dataclass(frozen=True)
class SideClaim:
    """Which bundle a side is, and the scale integers of its S''."""

    cm: bytes
    statement_sha256: bytes
    c: tuple[int, ...]


@dataclass(frozen=True)
class ComparisonStatement:
    """`comparison.json`, typed; not yet compared with bundles and profile.

    `at_least`: in millionths; the ICS is shown to reach it and hidden otherwise. None: the ICS itself is shown.
    `challenge`: 32 bytes on which P' hangs too.
    """

    profile_name: str
    profile_sha256: bytes
    circuit_name: str
    circuit_sha256: bytes
    sides: tuple[SideClaim, SideClaim]
    at_least: int | None = None
    challenge: bytes | None = None

    @property
    def kind(self) -> str:
        """Which circuit proves it: similarity or threshold."""
        return SIMILARITY if self.at_least is None else THRESHOLD


@dataclass(frozen=True)
class Artefact:
    """The five files, typed. `points` is a run of 64-byte points, not yet checked."""

    statement: ComparisonStatement
    statement_bytes: bytes
    points: bytes
    links: tuple[ProofFile, ProofFile]
    similarity: ProofFile
    digests: Mapping[str, str]


def read_artefact(path: Path) -> Artefact:
    """Read and parse a comparison artefact.

    Raises:
        Unreadable, UnknownVersion: see the error tree.
        Rejected: well-formed files that break a rule of the format.
    """
    files = read_files(path, COMPARISON)
    data = files[STATEMENT]
    if len(files["points.bin"]) != 2 * POINTS_A_SIDE * POINT_BYTES:
        raise Rejected(f"points.bin: not {2 * POINTS_A_SIDE} points of 64 bytes", code="length")
    statement = read_statement(data)
    return Artefact(
        statement=statement,
        statement_bytes=data,
        points=files["points.bin"],
        links=(
            read_proof(files["link-a.json"], "link", "link-a.json"),
            read_proof(files["link-b.json"], "link", "link-b.json"),
        ),
        similarity=read_proof(files["similarity.json"], statement.kind, "similarity.json"),
        digests={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    )


def is_comparison(path: Path) -> bool:
    """Whether `path` is meant as a comparison: a folder with a `comparison.json`, or a zip that names one."""
    return holds(path, STATEMENT)


def read_statement(data: bytes) -> ComparisonStatement:
    """Parse `comparison.json`.

    Raises:
        Unreadable, UnknownVersion, Rejected: see `strict_json`; Rejected also when the bytes are not canonical.
    """
    value = strict_json.parse(data, STATEMENT, limits.MAX_STATEMENT_BYTES)
    fields = Reader(value, STATEMENT)
    version = fields.media_type("provencomparison", newest=2)
    if strict_json.canonical(value) != data:
        raise Rejected(f"{STATEMENT}: not equal to its own canonical form (RFC 8785)", code="not-canonical")
    profile, circuit = fields.nested("profile"), fields.nested("circuit")
    result = ComparisonStatement(
        profile_name=profile.text("name"),
        profile_sha256=profile.hex64("sha256"),
        circuit_name=circuit.text("name"),
        circuit_sha256=circuit.hex64("sha256"),
        sides=(_read_side(fields.nested("a")), _read_side(fields.nested("b"))),
    )
    if version == 2:
        result = replace(result, at_least=_read_at_least(fields), challenge=_read_challenge(fields))
        if result.at_least is None and result.challenge is None:
            raise Rejected(f"{STATEMENT}: version 2 says nothing that version 1 does not say", code="schema")
    for reader in (profile, circuit, fields):
        reader.done()
    return result


def _read_at_least(fields: Reader) -> int | None:
    value = fields.take("at_least")
    return None if value is None else strict_json.integer(value, f"{STATEMENT}.at_least", 1, MILLIONTHS)


def _read_challenge(fields: Reader) -> bytes | None:
    value = fields.take("challenge")
    return None if value is None else strict_json.hex64(value, f"{STATEMENT}.challenge")


def _read_side(fields: Reader) -> SideClaim:
    result = SideClaim(
        cm=fields.hex64("cm"),
        statement_sha256=fields.hex64("statement"),
        c=fields.array("c", strict_json.decimal, TERMS),
    )
    fields.done()
    return result


def check_points(data: bytes, rows: Sequence[tuple[tuple[bytes, ...], ...]]) -> tuple[Points, Points]:
    """Both sides' points: the bundles' rows, with S'' and the y of `points.bin`, each checked.

    Raises:
        Rejected: a point that is not canonical, not on the curve, or the identity.
    """
    sides = []
    for side, own_rows in enumerate(rows):
        s, *ys = split_points(data, side * POINTS_A_SIDE, POINTS_A_SIDE, "points.bin")
        sides.append(Points(own_rows, s, tuple(ys[0::2]), tuple(ys[1::2])))
    a, b = sides
    return a, b


def draw_challenges(
    artefact: Artefact, statements: Sequence[Statement], points: Sequence[Points]
) -> tuple[Challenges, Challenges]:
    """Absorb both bundles' rows and the artefact, then draw for each side on its own (section 3)."""
    common = Transcript(_DOMAIN)
    common.absorb("comparison", artefact.statement_bytes)
    for name, statement, side in zip(SIDES, statements, points, strict=True):
        absorb_rows(common, f"rows/{name}", statement, side)
    for name, side in zip(SIDES, points, strict=True):
        common.absorb(f"S''/{name}", side.s)
    absorb_proof(common, "similarity", artefact.similarity.proof, artefact.similarity.instances)
    drawn = []
    for name, statement, side in zip(SIDES, statements, points, strict=True):
        own = common.copy()
        own.absorb("side", name.encode("ascii"))
        drawn.append(link_challenges(own, statement, side))
    a, b = drawn
    return a, b
