"""A proven feed-forward block: y = W_down (silu(W_gate n) * (W_up n)) for public x and y, n = x normalised.

W_up and W_down are the rows of a bundle; W_gate, which is in no term, is committed here, under the same seed.
Every step is a method of `FeedForwardProver`, so that a test can play a malicious prover by replacing one.
Source: docs/inference-proof.md, sections 2 to 5.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits import keys
from circuits.activations import ActivationCircuit
from circuits.errors import BundleError, CheckpointError, CircuitError, UsageError
from circuits.points import POINT_BYTES
from circuits.profiles import Profile
from circuits.size_classes import FIELD_MODULUS as P
from circuits.size_classes import LINK_SLOTS
from prover.commitments.field import FieldVector, product, scaled
from prover.commitments.jobs import Job
from prover.commitments.rows import Committer, SaltedMatrix, cut, pad
from prover.commitments.salts import vector_salt
from prover.commitments.transcript import Transcript
from prover.commitments.workers import Pool, Processes
from prover.fingerprint.artefact import LINK_TYPE, Proof
from prover.fingerprint.proving import prove_part
from prover.fingerprint.reader import CommittedRows
from prover.formats.canonical_json import canonical
from prover.inference.fixed_point import IntegerRows, hidden, normalised, split
from prover.progress import Progress
from prover.terms.quantization import Int8Array

STATEMENT_TYPE = "application/vnd.huref-zk.feedforward+json;version=1"
ACTIVATION_TYPE = "application/vnd.huref-zk.activation+json;version=1"
DOMAIN = b"huref-zk/v1/feedforward-transcript"
ROLES = ("gate", "up", "down")
MAX_OUTPUT = 1 << 62


@dataclass(frozen=True)
class Block:
    """One block's feed-forward part, as bytes: `matrices` by role, rows of d; `scale`: c of gate, up and down.

    `epsilon`: the norm's, in units of 2^-32. The norm's weight is folded into gate and up.
    """

    layer: int
    matrices: dict[str, Int8Array]
    scale: tuple[int, int, int]
    epsilon: int

    @property
    def width(self) -> int:
        """d."""
        return int(self.matrices["up"].shape[1])

    @property
    def rows(self) -> int:
        """f, the block's hidden entries."""
        return len(self.matrices["up"])

    def name(self, role: str) -> str:
        """The matrix's name in statements."""
        return f"layers.{self.layer}.{role}"


@dataclass(frozen=True)
class Activations:
    """What the block computes, all integers, a list an activation: N, entries and rests, y."""

    n: IntegerRows
    gate: IntegerRows
    gate_rest: IntegerRows
    up: IntegerRows
    up_rest: IntegerRows
    y: IntegerRows


@dataclass(frozen=True)
class ProvenFeedForward:
    """What a run gives: the artefact's files, y, and the digest of the gate's commitments."""

    files: dict[str, bytes]
    y: IntegerRows
    gate_sha256: str


def gate_digest(cm: str, layer: int, points: bytes) -> str:
    """What names the committed gate: SHA-256 over the bundle's cm, the block and the gate's row points; hex."""
    data = b"huref-zk/v1/gate" + bytes.fromhex(cm) + struct.pack(">I", layer) + points
    return hashlib.sha256(data).hexdigest()


def integers(rows: IntegerRows) -> bytes:
    """Eight bytes big-endian each, signed."""
    return b"".join(value.to_bytes(8, "big", signed=True) for row in rows for value in row)


class FeedForwardProver:
    """Proves one block on some inputs. `session` is 32 fresh bytes, kept by a resumed run; x in units of 2^-16."""

    def __init__(
        self,
        profile: Profile,
        circuit: ActivationCircuit,
        block: Block,
        committed: CommittedRows,
        seed: bytes,
        x: IntegerRows,
        session: bytes,
        job: Job,
        progress: Progress | None = None,
        pool: Pool | None = None,
    ) -> None:
        self.profile, self.circuit, self.block, self.committed = profile, circuit, block, committed
        self.seed, self.x, self.session, self.job = seed, x, session, job
        self.progress = progress or Progress.silent()
        self.pool = pool or Processes()
        self.size, self.scale = profile.size, circuit.scale
        self.transcript = Transcript(DOMAIN)

    def run(self) -> ProvenFeedForward:
        """All steps. Raises HurefError's kinds; nothing is written but the job's parts."""
        self.check_inputs()
        with tempfile.TemporaryDirectory(prefix="huref-feedforward-") as scratch:
            self.committer = Committer(self.profile, Path(scratch))
            self.matrices = {
                role: SaltedMatrix.of(self.block.name(role), self.block.matrices[role], self.seed, self.size.k)
                for role in ROLES
            }
            self.check_committed()
            values = self.compute()
            statement = canonical(self.build_statement())
            gate_points = self.gate_rows()
            self.transcript.absorb("feedforward", statement)
            for role, points in (
                ("up", self.committed.rows[self.block.name("up")]),
                ("down", self.committed.rows[self.block.name("down")]),
                ("gate", gate_points),
            ):
                self.transcript.absorb(f"rows/{role}", struct.pack(">I", len(points) // POINT_BYTES) + points)
            self.transcript.absorb("x", integers(self.x))
            self.transcript.absorb("y", integers(values.y))
            vectors = self.secret_vectors(values)
            vector_points = self.committer.vectors(list(vectors.values()))
            for label, point in zip(vectors, vector_points, strict=True):
                self.transcript.absorb(label, point)
            link_vectors, weights, weights_point = self.link_argument(values, vectors)
            activation = self.activation_proof([*vectors.values(), weights])
            link = self.link_proof(link_vectors)
        files = {
            "feedforward.json": statement,
            "activations.bin": integers(self.x) + integers(values.y),
            "points.bin": gate_points + b"".join(vector_points) + weights_point,
            "activation.json": activation.document(ACTIVATION_TYPE),
            "link.json": link.document(LINK_TYPE),
        }
        return ProvenFeedForward(files, values.y, gate_digest(self.committed.cm, self.block.layer, gate_points))

    def check_inputs(self) -> None:
        """UsageError unless the activations fit the circuit and the block."""
        if not self.x or len(self.x) * self.block.rows > self.circuit.entries:
            raise UsageError(
                f"{len(self.x)} activations of {self.block.rows} hidden entries; the circuit of "
                f"{self.circuit.name} holds {self.circuit.entries} entries",
                step="feed-forward",
                hint=f"at most {self.circuit.entries // self.block.rows} activations at a time",
            )
        if any(len(row) != self.block.width for row in self.x):
            raise UsageError(f"an activation has not {self.block.width} entries", step="feed-forward")

    def check_committed(self) -> None:
        """BundleError unless the first rows of up and down, salted from the seed, are what the bundle committed to."""
        for role in ("up", "down"):
            first = self.committer.vectors([self.matrices[role].combine([1] + [0] * (self.block.rows - 1), self.size)])
            rows = self.committed.rows.get(self.block.name(role), b"")
            if len(rows) != POINT_BYTES * self.block.rows or first[0] != rows[:POINT_BYTES]:
                raise BundleError(
                    f"{self.committed.path}: its {self.block.name(role)} is not this checkpoint's under this secret",
                    step="feed-forward",
                    hint="give the bundle, the checkpoint and the secret that belong together",
                )

    def compute(self) -> Activations:
        """The block in integers. CheckpointError when an entry is out of what the circuit admits."""
        n = [normalised(row, self.block.epsilon) for row in self.x]
        parts: dict[str, list[list[int]]] = {name: [] for name in ("gate", "gate_rest", "up", "up_rest")}
        limits = {"gate": self.scale.limit, "up": (1 << (self.scale.rest_bits - 1)) - 1}
        for row in n:
            for role, c in zip(("gate", "up"), self.block.scale[:2], strict=True):
                weights = self.block.matrices[role].astype(int)
                entries, rests = split([int(value) for value in weights @ row], c, self.scale)
                if max(map(abs, entries)) > limits[role]:
                    raise CheckpointError(
                        f"{self.block.name(role)}: an activation is {max(map(abs, entries))} units, the circuit admits "
                        f"{limits[role]}",
                        step="feed-forward",
                        hint="these inputs drive the block out of the circuit's range; others may not",
                    )
                parts[role].append(entries)
                parts[f"{role}_rest"].append(rests)
        y = []
        for gate, up in zip(parts["gate"], parts["up"], strict=True):
            h = hidden(gate, up, self.scale)
            y.append(
                [sum(a * int(b) for a, b in zip(h, column, strict=True)) for column in self.block.matrices["down"].T]
            )
        return Activations(n, parts["gate"], parts["gate_rest"], parts["up"], parts["up_rest"], y)

    def build_statement(self) -> dict[str, Any]:
        """The statement document: feedforward.json."""
        return {
            "type": STATEMENT_TYPE,
            "profile": {"name": self.profile.name, "sha256": self.profile.sha256},
            "circuit": {"name": self.circuit.name, "sha256": self.circuit.sha256},
            "bundle": {"cm": self.committed.cm, "statement": self.committed.statement_sha256},
            "layer": self.block.layer,
            "activations": len(self.x),
            "scale": {role: str(c) for role, c in zip(ROLES, self.block.scale, strict=True)},
            "epsilon": str(self.block.epsilon),
        }

    def gate_rows(self) -> bytes:
        """C of the gate's rows, 64 bytes each."""
        shards = cut({"gate": self.matrices["gate"]})
        done = {shard.begin: points for shard, points in self.committer.shards(shards, self.pool)}
        return b"".join(done[begin] for begin in sorted(done))

    def secret_vectors(self, values: Activations) -> dict[str, FieldVector]:
        """Gate and up entries and their rests, activation after activation, with fresh salts; by transcript label."""
        return {
            label: self.salted(label, [value % P for row in rows for value in row])
            for label, rows in (
                ("gate", values.gate),
                ("gate-rest", values.gate_rest),
                ("up", values.up),
                ("up-rest", values.up_rest),
            )
        }

    def salted(self, label: str, entries: Sequence[int]) -> FieldVector:
        """A committed vector with fresh salt, bound to all that was said before."""
        return pad(entries, vector_salt(self.seed, self.transcript.state, label, self.session), self.size)

    def link_argument(
        self, values: Activations, vectors: dict[str, FieldVector]
    ) -> tuple[list[FieldVector], FieldVector, bytes]:
        """The link circuit's 24 vectors; the weights of the hidden entries and their commitment."""
        f, d, count, m = self.block.rows, self.block.width, len(self.x), self.size.data_length
        # 1. alpha, rho, rho', beta, zeta; weights_(i, j) = beta_i <D_j, zeta>
        alpha = self.transcript.challenge("alpha", count)
        rho, rho_prime = self.transcript.challenge("rho", f), self.transcript.challenge("rho'", f)
        beta, zeta = self.transcript.challenge("beta", count), self.transcript.challenge("zeta", d)
        columns = product(self.block.matrices["down"], zeta)
        weights = self.weights([b * e % P for b in beta for e in columns])
        point = self.committer.vectors([weights])[0]
        self.transcript.absorb("weights", point)
        # 2. q over all M entries, eta
        q, eta = self.transcript.challenge("q", m), self.transcript.challenge("eta", 3)
        n = public(
            [sum(a * row[i] for a, row in zip(alpha, values.n, strict=True)) % P for i in range(d)], self.size.length
        )
        slots: list[tuple[FieldVector, FieldVector]] = []
        for index, (role, r) in enumerate((("gate", rho), ("up", rho_prime))):
            # eta (<2^R entry + rest, alpha (x) rho> - c <sum_j rho_j row_j, n>)
            outer = public([eta[index] * a * b % P for a in alpha for b in r], self.size.length)
            whole = [
                (entry << self.scale.rest_bits) + rest
                for entry, rest in zip(vectors[role], vectors[f"{role}-rest"], strict=True)
            ]
            slots.append(([x % P for x in whole], outer))
            factor = -eta[index] * self.block.scale[index] % P
            slots.append((scaled(factor, self.matrices[role].combine(r, self.size)), n))
        # eta_2 (<weights, q> - <sum_j (sum_i q_(i, j) beta_i) D_j, zeta>)
        slots.append((weights, public(scaled(eta[2], q), self.size.length)))
        folded = [sum(q[i * f + j] * b for i, b in enumerate(beta)) % P for j in range(f)]
        slots.append(
            (scaled(-eta[2] % P, self.matrices["down"].combine(folded, self.size)), public(zeta, self.size.length))
        )
        slots += [(public([], self.size.length), public([], self.size.length))] * (LINK_SLOTS - len(slots))
        return [vector for slot in slots for vector in slot], weights, point

    def weights(self, entries: Sequence[int]) -> FieldVector:
        """The vector that the hidden entries are summed with."""
        return self.salted("weights", entries)

    def activation_proof(self, vectors: Sequence[FieldVector]) -> Proof:
        """The activation circuit's proof. CircuitError when an entry is out of range: then a step before went wrong."""
        proof = prove_part(self.job, "activation-proof", self.circuit.circuit, vectors, self.size, self.progress)
        if proof.instances[0] != 0:
            raise CircuitError("an entry is out of range", step="activation proof", hint="report this: it is a bug")
        return proof

    def link_proof(self, vectors: Sequence[FieldVector]) -> Proof:
        """The link circuit's proof. CircuitError when the relation is not zero: then a step before went wrong."""
        circuit = keys.published_circuit(self.profile, "link")
        proof = prove_part(self.job, "link-proof", circuit, vectors, self.size, self.progress)
        if proof.instances != (0,):
            raise CircuitError("the link relation is not zero", step="link proof", hint="report this: it is a bug")
        return proof


def public(entries: Sequence[int], length: int) -> FieldVector:
    """A public vector of length N: zeros behind, no salt."""
    return list(entries) + [0] * (length - len(entries))
