"""Which points the columns of a link proof, and of the proof about the same S', must be: sums of row commitments.

`link` says which sums; here they are computed by ezkl over bases files. Shared by bundles and comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from verifier.algebra.curve import IDENTITY, make_bases, parse_srs, to_file_form
from verifier.algebra.projection import Projection
from verifier.children.workers import Keys, Workers
from verifier.fingerprint import link
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import Rejected, Undecided
from verifier.statement.rows import Challenges, Points
from verifier.statement.statement import Statement
from verifier.trust.profile import Circuit, Profile


@dataclass(frozen=True)
class LinkClaim:
    """What a link proof is about: committed points, scale integers, the projection, and what was drawn."""

    statement: Statement
    points: Points
    c: tuple[int, ...]
    p: Projection
    challenges: Challenges


@dataclass(frozen=True)
class ExpectedPoints:
    """What the proofs' columns must be: 64 bytes each. `s_input`: the column of the other proof about S'."""

    s_input: bytes
    link_inputs: dict[int, bytes]


def expected_points(
    workers: Workers, profile: Profile, claim: LinkClaim, other: Circuit, keys: Keys, srs_file: bytes
) -> ExpectedPoints:
    """The other circuit's input C(S') + B and the 20 secret link inputs: sums of row commitments, and of those."""
    domain = 1 << profile.size_class.k
    points = claim.points
    srs = parse_srs(srs_file, profile.size_class.k)
    unusable = domain - profile.link.usable_rows

    # u*; v*; a, b, x*: sums over row commitments, each over a list of those that it has scalars for
    rows = [to_file_form(point) for matrix in points.rows for point in matrix]
    sums = link.row_sums(claim.statement, claim.challenges, claim.p)
    row_sums: list[bytes] = []
    for names in (link.ROW_SUMS[:1], link.ROW_SUMS[1:2], link.ROW_SUMS[2:]):
        touched = [row for row in range(len(rows)) if any(sums[name][row] for name in names)]
        bases = make_bases([rows[row] for row in touched], srs.g2, unusable)
        vectors = [[sums[name][row] for row in touched] for name in names]
        row_sums += workers.multiply(vectors, keys, workers.write_bases(bases), bases.capacity)

    # every input: a sum of S', y, y' and those five, plus B (the Lagrange points of the circuit's unusable
    # rows)
    committed = [to_file_form(point) for point in (points.s, *points.y, *points.y_prime, *row_sums)]
    tail_start = min(profile.link.usable_rows, other.usable_rows)
    small = make_bases([*committed, *srs.unusable_rows(tail_start)], srs.g2, unusable)

    def scalars(point_sum: dict[str, int], usable_rows: int) -> list[int]:
        b = [1 if row >= usable_rows else 0 for row in range(tail_start, domain)]
        return [point_sum.get(name, 0) for name in link.BASES] + b

    inputs = link.secret_inputs(claim.c, claim.challenges)
    vectors = [scalars({"S'": 1}, other.usable_rows)]
    vectors += [scalars(one.scalars, profile.link.usable_rows) for one in inputs]
    s_input, *found = workers.multiply(vectors, keys, workers.write_bases(small), small.capacity)
    return ExpectedPoints(s_input, {one.input: point for one, point in zip(inputs, found, strict=True)})


def public_points(
    workers: Workers, profile: Profile, statement: Statement, challenges: Challenges, keys: Keys, srs: Path
) -> dict[int, bytes]:
    """The four public vectors' columns: `kzg_commit` itself adds B_link."""
    vectors = link.public_vectors(statement, challenges)
    wanted: Sequence[Sequence[int]] = [vectors[name] for name in link.PUBLIC_INPUTS.values()]
    found = workers.multiply(wanted, keys, srs, profile.link.usable_rows)
    return dict(zip(link.PUBLIC_INPUTS, found, strict=True))


def check_link_inputs(proof: bytes, expected: dict[int, bytes]) -> None:
    """The first 24 points of a link proof, byte for byte.

    Raises:
        Rejected: one of them is another.
        Undecided: not every one was computed.
    """
    if sorted(expected) != list(range(link.INPUTS)):
        raise Undecided("not every link input was computed", code="tool-failure")
    for position in range(link.INPUTS):
        column = proof[POINT_BYTES * position : POINT_BYTES * (position + 1)]
        if column != expected[position] or column == IDENTITY:
            side = ("left", "right")[position % 2]
            raise Rejected(
                f"input {position} (slot {position // 2}, {side}) of the link proof is "
                "not the committed vector it must be",
                code="link-input",
            )
