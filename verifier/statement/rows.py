"""The committed points, and everything that is absorbed and drawn, in order (docs/protocol.md section 4). Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from verifier.algebra.transcript import Transcript
from verifier.formats.encoding import SCALAR_BYTES, u32be
from verifier.statement.statement import TERMS, Statement


@dataclass(frozen=True)
class Points:
    """`commitments.bin`, checked by step 3: rows by matrix, C(S'), then y_0, y'_0, ... y_5, y'_5."""

    rows: tuple[tuple[bytes, ...], ...]
    s: bytes
    y: tuple[bytes, ...]
    y_prime: tuple[bytes, ...]


@dataclass(frozen=True)
class Challenges:
    """Everything drawn, in order."""

    sigma: tuple[int, ...]
    tau: tuple[int, ...]
    rho: tuple[int, ...]
    rho_prime: tuple[int, ...]
    kappa: tuple[int, ...]
    xi: tuple[int, ...]
    delta: tuple[int, ...]
    eps: tuple[int, ...]
    eta: tuple[int, ...]
    theta: tuple[int, ...]


def draw_challenges(
    statement: Statement,
    statement_bytes: bytes,
    points: Points,
    encoder_proof: bytes,
    encoder_instances: Sequence[int],
) -> Challenges:
    """Absorb the bundle and draw, in the order of section 4's table."""
    transcript = Transcript()
    # 0
    transcript.absorb("statement", statement_bytes)
    absorb_rows(transcript, "rows", statement, points)
    transcript.absorb("S'", points.s)
    absorb_proof(transcript, "encoder", encoder_proof, encoder_instances)
    return link_challenges(transcript, statement, points)


def absorb_rows(transcript: Transcript, label: str, statement: Statement, points: Points) -> None:
    """The row commitments, one item a matrix."""
    for matrix, rows in zip(statement.matrices, points.rows, strict=True):
        transcript.absorb(f"{label}/{matrix.name}", u32be(len(rows)) + b"".join(rows))


def absorb_proof(transcript: Transcript, label: str, proof: bytes, instances: Sequence[int]) -> None:
    """Another proof about the S' of this transcript: its digest and what it says in public."""
    transcript.absorb(f"{label}-proof", hashlib.sha256(proof).digest())
    transcript.absorb(f"{label}-instances", b"".join(v.to_bytes(SCALAR_BYTES, "big") for v in instances))


def link_challenges(transcript: Transcript, statement: Statement, points: Points) -> Challenges:
    """Steps 1 and 2: absorb the y and draw; everything else was absorbed before."""
    g, data_length = statement.projection.g, statement.size_class.data_length
    # 1
    sigma = transcript.challenge("sigma", g)
    tau = transcript.challenge("tau", g)
    for t in range(TERMS):
        transcript.absorb(f"y/{t}/u", points.y[t])
        transcript.absorb(f"y/{t}/v", points.y_prime[t])
    # 2
    return Challenges(
        sigma=sigma,
        tau=tau,
        rho=transcript.challenge("rho", data_length),
        rho_prime=transcript.challenge("rho'", data_length),
        kappa=transcript.challenge("kappa", data_length - statement.model.hidden_size),
        xi=transcript.challenge("xi", statement.tokens.k),
        delta=transcript.challenge("delta", TERMS),
        eps=transcript.challenge("eps", TERMS),
        eta=transcript.challenge("eta", 3),
        theta=transcript.challenge("theta", 4),
    )


def commitment_digest(statement: Statement, points: Points) -> bytes:
    """`cm`: what names the committed weights (section 7)."""
    digest = hashlib.sha256(b"huref-zk/v1/cm" + u32be(statement.size_class.k) + statement.srs.sha256)
    digest.update(statement.cm_part)
    for rows in points.rows:
        digest.update(b"".join(rows))
    return digest.digest()


def arrange_points(statement: Statement, checked: Sequence[bytes]) -> Points:
    """The points of `commitments.bin`, already checked and counted, by their place."""
    rows: list[tuple[bytes, ...]] = []
    position = 0
    for matrix in statement.matrices:
        rows.append(tuple(checked[position : position + matrix.rows]))
        position += matrix.rows
    ys = checked[position + 1 :]
    return Points(tuple(rows), checked[position], tuple(ys[0::2]), tuple(ys[1::2]))
