"""`huref prove`: checkpoint -> terms -> commitments -> proofs -> bundle, each step once and in this order.

Every step is a method of `FingerprintProver`, so that a test can play a malicious prover by replacing one.
Source: docs/protocol.md, sections 3 to 7.
"""

from __future__ import annotations

import hashlib
import struct
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from circuits import keys
from circuits.errors import CircuitError
from circuits.points import POINT_BYTES
from circuits.profiles import Profile
from circuits.size_classes import TERM_COUNT
from prover.commitments.field import FieldVector
from prover.commitments.jobs import Job
from prover.commitments.rows import Committer, SaltedMatrix, cut, pad
from prover.commitments.salts import vector_salt
from prover.commitments.transcript import Transcript
from prover.commitments.workers import Pool, Processes
from prover.fingerprint.artefact import Proof, assemble
from prover.fingerprint.link import LinkArgument
from prover.fingerprint.picture import features_of, picture_of, z_of
from prover.fingerprint.profile_choice import check_size, scale_of
from prover.fingerprint.proving import prove_part
from prover.fingerprint.statement import build_statement, weights_commitment
from prover.formats.canonical_json import canonical
from prover.progress import Progress
from prover.terms.terms import FingerprintInput


@dataclass(frozen=True)
class Fingerprint:
    """What a run gives: the bundle's files, `cm`, and figures for the report.

    `kernels`: who committed to rows, by name; none where all were there from an earlier run.
    """

    files: dict[str, bytes]
    cm: str
    z: np.ndarray[Any, np.dtype[np.float64]]
    scale: tuple[int, ...]
    kernels: tuple[str, ...]


class FingerprintProver:
    """Proves one checkpoint's fingerprint. `session` is 32 fresh bytes, kept by a resumed run."""

    argument: type[LinkArgument] = LinkArgument

    def __init__(
        self,
        profile: Profile,
        source: FingerprintInput,
        seed: bytes,
        session: bytes,
        job: Job,
        metadata: Mapping[str, str] | None = None,
        progress: Progress | None = None,
        pool: Pool | None = None,
    ) -> None:
        self.profile, self.source, self.seed, self.session = profile, source, seed, session
        self.job, self.metadata = job, dict(metadata or {})
        self.progress = progress or Progress.silent()
        self.pool = pool or Processes()
        self.size = profile.size
        self.transcript = Transcript()
        self.scale: tuple[int, ...] = ()

    def run(self) -> Fingerprint:
        """All steps. Raises HurefError's kinds; nothing is written but the job's parts."""
        check_size(self.profile, self.source.shape)
        with tempfile.TemporaryDirectory(prefix="huref-prove-") as scratch:
            self.committer = Committer(self.profile, Path(scratch))
            self.scale = self.scale_integers()
            self.statement = self.build_statement()
            statement = canonical(self.statement)
            self.transcript.absorb("statement", statement)
            matrices = self.salted_matrices()
            rows = self.commit_rows(matrices)
            for name, row_points in rows.items():
                count = struct.pack(">I", len(row_points) // POINT_BYTES)
                self.transcript.absorb(f"rows/{name}", count + row_points)
            s_prime = self.s_prime()
            s_point = self.committer.vectors([s_prime])[0]
            self.transcript.absorb("S'", s_point)
            encoder = self.encoder_proof(s_prime)
            self.transcript.absorb("encoder-proof", hashlib.sha256(encoder.data).digest())
            self.transcript.absorb("encoder-instances", encoder.instance_bytes())
            z = self.z(encoder)
            picture = picture_of(z, self.profile.fpm("generator.onnx"))
            argument = self.link_argument(matrices, s_prime)
            with self.progress.timed("link argument", self.size.name):
                witness = argument.run(self.transcript, self.seed, self.session)
            link = self.link_proof(witness.vectors)
        points = [*rows.values(), s_point, *witness.y_points]
        cm = weights_commitment(self.statement, b"".join(rows.values()))
        files = assemble(statement, points, link, encoder, picture)
        return Fingerprint(files, cm, z, self.scale, tuple(sorted(self.committer.kernels)))

    def scale_integers(self) -> tuple[int, ...]:
        """c_t = round(g 2^shift / |S_t|)."""
        return scale_of(self.profile, self.source)

    def build_statement(self) -> dict[str, Any]:
        """The statement document."""
        return build_statement(self.profile, self.source, self.scale, self.metadata)

    def salted_matrices(self) -> dict[str, SaltedMatrix]:
        """The 13 matrices with their rows' salts."""
        return {
            name: SaltedMatrix.of(name, entries, self.seed, self.size.k)
            for name, entries in self.source.matrices.by_name.items()
        }

    def commit_rows(self, matrices: Mapping[str, SaltedMatrix]) -> dict[str, bytes]:
        """C of every row, by matrix, 64 bytes each. Each shard is kept as it gets done."""
        shards = cut(matrices)
        with self.progress.counted("commit to rows", sum(shard.rows for shard in shards)) as advance:
            missing = [shard for shard in shards if not self.job.has(shard.part)]
            advance(sum(shard.rows for shard in shards) - sum(shard.rows for shard in missing))
            for shard, points in self.committer.shards(missing, self.pool):
                self.job.keep(shard.part, points)
                advance(shard.rows)
        result = dict.fromkeys(matrices, b"")
        for shard in shards:
            result[shard.matrix.name] += self.job.read(shard.part)
        return result

    def s_prime(self) -> FieldVector:
        """S': entry t g^2 + i g + j is c_t S_t[i][j]; fresh salt."""
        entries = [c * int(x) for c, term in zip(self.scale, self.source.terms, strict=True) for x in term.reshape(-1)]
        return pad(entries, vector_salt(self.seed, self.transcript.state, "S'", self.session), self.size)

    def encoder_proof(self, s_prime: FieldVector) -> Proof:
        """The encoder circuit's proof on S'."""
        return self.prove("encoder", [s_prime])

    def z(self, encoder: Proof) -> np.ndarray[Any, np.dtype[np.float64]]:
        """z from the public features."""
        scale = int(self.profile.document["features"]["scale"])
        return z_of(features_of(encoder.instances[TERM_COUNT:], scale), self.profile.fpm("head.npz"))

    def link_argument(self, matrices: Mapping[str, SaltedMatrix], s_prime: FieldVector) -> LinkArgument:
        """The link argument on these matrices."""
        source = self.source
        return self.argument(
            self.size, source.shape, source.projection, matrices, self.scale, s_prime, self.committer.vectors
        )

    def link_proof(self, vectors: Sequence[FieldVector]) -> Proof:
        """The link circuit's proof. CircuitError when the relation is not zero: then a step before went wrong."""
        proof = self.prove("link", vectors)
        if proof.instances != (0,):
            raise CircuitError("the link relation is not zero", step="link proof", hint="report this: it is a bug")
        return proof

    def prove(self, circuit: str, vectors: Sequence[FieldVector]) -> Proof:
        """A proof of the published circuit, verified by ezkl before it is kept."""
        return prove_part(
            self.job,
            f"{circuit}-proof",
            keys.published_circuit(self.profile, circuit),
            vectors,
            self.size,
            self.progress,
        )
