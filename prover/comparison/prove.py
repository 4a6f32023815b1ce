"""A proven comparison of two bundles: their ICS under a projection drawn after both commitments.

Every step is a method of `ComparisonProver`, so that a test can play a malicious prover by replacing one.
Source: docs/comparison.md, sections 2 to 5.
"""

from __future__ import annotations

import copy
import hashlib
import struct
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits import keys
from circuits.comparisons import SIMILARITY, THRESHOLD, SimilarityCircuit
from circuits.errors import BundleError, CircuitError, UsageError
from circuits.points import POINT_BYTES
from circuits.profiles import Profile
from circuits.size_classes import FIELD_MODULUS, TERM_COUNT
from prover.commitments.field import FieldVector
from prover.commitments.jobs import Job
from prover.commitments.rows import Committer, SaltedMatrix, pad
from prover.commitments.salts import vector_salt
from prover.commitments.transcript import Transcript
from prover.fingerprint.artefact import LINK_TYPE, Proof
from prover.fingerprint.link import LinkArgument, LinkWitness
from prover.fingerprint.proving import prove_part
from prover.fingerprint.reader import CommittedRows
from prover.formats.canonical_json import canonical
from prover.progress import Progress
from prover.terms.products import ExactArray
from prover.terms.terms import FingerprintInput, Projection, projected_terms, projection, scale_integers

STATEMENT_TYPE = "application/vnd.huref-zk.provencomparison+json;version={}"
PROOF_TYPE = "application/vnd.huref-zk.{}+json;version=1"
SIDES = ("a", "b")
DOMAIN = b"huref-zk/v1/comparison-transcript"
MILLIONTHS = 1_000_000  # a threshold counts these
CHALLENGE_BYTES = 32
ROUNDING_SHIFT = 13  # whether a threshold is reached is left to the proof within 2^-13 of the sum


@dataclass(frozen=True)
class Side:
    """One of the two: the model as `huref prove` read it, its salt seed, and what its bundle committed to."""

    source: FingerprintInput
    seed: bytes
    committed: CommittedRows


@dataclass(frozen=True)
class Request:
    """What else is asked of a comparison. Both None: version 1, the ICS itself.

    `at_least`: show no more than that the ICS reaches so many millionths. `challenge`: 32 bytes that somebody named
    after both commitments, for P'.
    """

    at_least: int | None = None
    challenge: bytes | None = None

    @property
    def kind(self) -> str:
        """Which circuit proves it."""
        return SIMILARITY if self.at_least is None else THRESHOLD


@dataclass(frozen=True)
class ProvenComparison:
    """What a run gives: the artefact's files, and the ICS that its public sums say; None where they hide it."""

    files: dict[str, bytes]
    ics: float | None


def late_seed(one: str, other: str, challenge: bytes | None = None) -> bytes:
    """The seed of P', from cms in hex.

    `SHA3-256("huref-zk/v1/late-projection" || smaller cm || larger cm)`, or with a challenge
    `SHA3-256("huref-zk/v1/late-projection-challenge" || smaller cm || larger cm || challenge)`.
    """
    cms = b"".join(sorted([bytes.fromhex(one), bytes.fromhex(other)]))
    if challenge is None:
        return hashlib.sha3_256(b"huref-zk/v1/late-projection" + cms).digest()
    return hashlib.sha3_256(b"huref-zk/v1/late-projection-challenge" + cms + challenge).digest()


def threshold_sum(at_least: int, g: int, scale: int) -> int:
    """The least sum of products that shows an ICS of `at_least` millionths: `ceil(6 T at_least / 10^6)`."""
    return -(-TERM_COUNT * (g**2 << scale) * at_least // MILLIONTHS)


def check_comparable(profile: Profile, left: CommittedRows, right: CommittedRows) -> None:
    """UsageError unless the two bundles were made under `profile`, with the same tokens, of different rows."""
    for one in (left, right):
        if one.statement.get("profile") != {"name": profile.name, "sha256": profile.sha256}:
            raise UsageError(
                f"{one.path}: made under another profile than {profile.name}",
                step="comparison",
                hint="an ICS is proven between bundles of one profile: same encoder, projection, quantization",
            )
    first, second = left.statement["tokens"], right.statement["tokens"]
    if any(first.get(key) != second.get(key) for key in ("rule", "K", "sha256")):
        raise UsageError(
            "the bundles' tokens are different strings: their terms cannot be compared",
            step="comparison",
            hint="huref ics compares two models with different vocabularies, without a proof",
        )
    if left.cm == right.cm:
        raise UsageError("both bundles commit to the very same rows: there is nothing to compare", step="comparison")


def ics_of(instances: Sequence[int]) -> float:
    """The mean of six cosines from the 18 public sums."""
    signed = [x - FIELD_MODULUS if x > FIELD_MODULUS // 2 else x for x in instances]
    a, b, products = (signed[TERM_COUNT * i : TERM_COUNT * (i + 1)] for i in range(3))
    return float(sum(p / (x * y) ** 0.5 for x, y, p in zip(a, b, products, strict=True)) / TERM_COUNT)


class ComparisonProver:
    """Proves one comparison. `session` is 32 fresh bytes, kept by a resumed run."""

    argument: type[LinkArgument] = LinkArgument

    def __init__(
        self,
        profile: Profile,
        circuit: SimilarityCircuit,
        sides: tuple[Side, Side],
        session: bytes,
        job: Job,
        progress: Progress | None = None,
        request: Request | None = None,
    ) -> None:
        self.request = request or Request()
        self.profile, self.circuit, self.sides, self.session, self.job = profile, circuit, sides, session, job
        self.progress = progress or Progress.silent()
        self.size = profile.size
        self.transcript = Transcript(DOMAIN)
        self.scale: list[tuple[int, ...]] = []

    def run(self) -> ProvenComparison:
        """All steps. Raises HurefError's kinds; nothing is written but the job's parts."""
        with tempfile.TemporaryDirectory(prefix="huref-compare-") as scratch:
            committer = Committer(self.profile, Path(scratch))
            self.commit = committer.vectors
            self.check_committed()
            self.by = self.late_projection()
            terms = [self.terms(side) for side in self.sides]
            self.scale = [self.scale_integers(one) for one in terms]
            statement = canonical(self.build_statement())
            self.transcript.absorb("comparison", statement)
            for name, side in zip(SIDES, self.sides, strict=True):
                for matrix, points in side.committed.rows.items():
                    count = struct.pack(">I", len(points) // POINT_BYTES)
                    self.transcript.absorb(f"rows/{name}/{matrix}", count + points)
            s_vectors = [self.s_vector(index, one) for index, one in enumerate(terms)]
            s_points = self.commit(s_vectors)
            for name, point in zip(SIDES, s_points, strict=True):
                self.transcript.absorb(f"S''/{name}", point)
            similarity = self.similarity_proof(s_vectors)
            self.transcript.absorb("similarity-proof", hashlib.sha256(similarity.data).digest())
            self.transcript.absorb("similarity-instances", similarity.instance_bytes())
            witnesses = [self.link_witness(index, vector) for index, vector in enumerate(s_vectors)]
            links = [self.link_proof(name, one.vectors) for name, one in zip(SIDES, witnesses, strict=True)]
        points_file = b"".join(
            point + b"".join(witness.y_points) for point, witness in zip(s_points, witnesses, strict=True)
        )
        files = {
            "comparison.json": statement,
            "points.bin": points_file,
            "link-a.json": links[0].document(LINK_TYPE),
            "link-b.json": links[1].document(LINK_TYPE),
            "similarity.json": similarity.document(PROOF_TYPE.format(self.request.kind)),
        }
        return ProvenComparison(files, ics_of(similarity.instances) if self.request.at_least is None else None)

    def check_committed(self) -> None:
        """BundleError unless the first row of every matrix, salted from the seed, is what the bundle committed to."""
        for side in self.sides:
            first, expected = [], []
            for name, entries in side.source.matrices.by_name.items():
                first.append(SaltedMatrix.of(name, entries[:1], side.seed, self.size.k).combine([1], self.size))
                expected.append(side.committed.rows.get(name, b"")[:POINT_BYTES])
            if self.commit(first) != expected:
                raise BundleError(
                    f"{side.committed.path}: its rows are not this checkpoint's under this secret",
                    step="comparison",
                    hint="give checkpoints, secrets and bundles in the same order",
                )

    def late_projection(self) -> Projection:
        """P', drawn from both commitments."""
        left, right = (side.committed.cm for side in self.sides)
        seed = late_seed(left, right, self.request.challenge)
        return projection(seed, self.sides[0].source.tokens.count, self.profile.g)

    def terms(self, side: Side) -> ExactArray:
        """A side's six terms under P', exact integers [6, g, g]."""
        return projected_terms(side.source.matrices.by_name, side.source.shape, self.by)

    def scale_integers(self, terms: ExactArray) -> tuple[int, ...]:
        """c_t of one side's S''."""
        c_min = int(self.profile.document["scale"]["c_min"])
        return scale_integers(terms, self.profile.g, self.profile.shift, c_min)

    def build_statement(self) -> dict[str, Any]:
        """The statement document: comparison.json."""
        sides = {
            name: {
                "cm": side.committed.cm,
                "statement": side.committed.statement_sha256,
                "c": [str(c) for c in scale],
            }
            for name, side, scale in zip(SIDES, self.sides, self.scale, strict=True)
        }
        document = {
            "type": STATEMENT_TYPE.format(1),
            "profile": {"name": self.profile.name, "sha256": self.profile.sha256},
            "circuit": {"name": self.circuit.name, "sha256": self.circuit.sha256},
            **sides,
        }
        if self.request == Request():
            return document
        challenge = self.request.challenge
        asked = {"at_least": self.request.at_least, "challenge": None if challenge is None else challenge.hex()}
        return {**document, **asked, "type": STATEMENT_TYPE.format(2)}

    def s_vector(self, index: int, terms: ExactArray) -> FieldVector:
        """S'' of a side: entry t g^2 + i g + j is c_t S_t[i][j]; fresh salt."""
        scale, side = self.scale[index], self.sides[index]
        entries = [c * int(x) for c, term in zip(scale, terms, strict=True) for x in term.reshape(-1)]
        label = f"S''/{SIDES[index]}"
        return pad(entries, vector_salt(side.seed, self.transcript.state, label, self.session), self.size)

    def similarity_proof(self, s_vectors: Sequence[FieldVector]) -> Proof:
        """The similarity circuit's proof on both S''; or the threshold circuit's, on the threshold too.

        UsageError when the ICS does not reach the threshold.
        """
        inputs = list(s_vectors)
        if self.request.at_least is not None:
            self.check_reached(s_vectors, self.request.at_least)
            inputs.append([self.threshold(self.request.at_least)])
        proof = prove_part(self.job, "similarity-proof", self.circuit.circuit, inputs, self.size, self.progress)
        if self.request.at_least is not None and proof.instances[-1] != 0:
            raise self.not_reached("by a rounding", self.request.at_least)
        return proof

    def threshold(self, at_least: int) -> int:
        """The threshold circuit's third input."""
        return threshold_sum(at_least, self.profile.g, self.circuit.scale)

    def check_reached(self, s_vectors: Sequence[FieldVector], at_least: int) -> None:
        """UsageError when the terms' products are clearly too small: known before anything is proven."""
        count = TERM_COUNT * self.profile.g**2
        a, b = ([x - FIELD_MODULUS if x > FIELD_MODULUS // 2 else x for x in vector[:count]] for vector in s_vectors)
        # in units of 2^-scale: entries are divided by 2^(shift - scale), sums by 2^scale; each rounds by less than 1
        total = sum(x * y for x, y in zip(a, b, strict=True)) >> (2 * self.profile.shift - self.circuit.scale)
        if total + (total >> ROUNDING_SHIFT) + count < self.threshold(at_least):
            ics = total / (TERM_COUNT * (self.profile.g**2 << self.circuit.scale))
            raise self.not_reached(f"about {ics:+.4f},", at_least)

    @staticmethod
    def not_reached(found: str, at_least: int) -> UsageError:
        """Why nothing can be proven."""
        return UsageError(
            f"the ICS under this projection is {found} below {at_least / MILLIONTHS:g}: nothing can be proven",
            step="comparison",
            hint="give a lower --at-least, or leave it away to prove the ICS itself",
        )

    def link_witness(self, index: int, s_vector: FieldVector) -> LinkWitness:
        """A side's link argument under P', with challenges of its own."""
        side = self.sides[index]
        transcript = copy.copy(self.transcript)
        transcript.absorb("side", SIDES[index].encode("ascii"))
        matrices = {
            name: SaltedMatrix.of(name, entries, side.seed, self.size.k)
            for name, entries in side.source.matrices.by_name.items()
        }
        argument = self.argument(
            self.size, side.source.shape, self.by, matrices, self.scale[index], s_vector, self.commit
        )
        return argument.run(transcript, side.seed, self.session)

    def link_proof(self, name: str, vectors: Sequence[FieldVector]) -> Proof:
        """A side's link proof. CircuitError when the relation is not zero: then a step before went wrong."""
        circuit = keys.published_circuit(self.profile, "link")
        proof = prove_part(self.job, f"link-{name}-proof", circuit, vectors, self.size, self.progress)
        if proof.instances != (0,):
            raise CircuitError("the link relation is not zero", step="link proof", hint="report this: it is a bug")
        return proof
