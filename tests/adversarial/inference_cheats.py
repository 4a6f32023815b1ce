"""Malicious provers of feed-forward proofs: the honest one with one step replaced, on the toy block."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from circuits import keys, proofs
from circuits.activations import ActivationCircuit
from circuits.errors import CircuitError
from circuits.profiles import Profile
from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.jobs import Job
from prover.comparison.prove import Side
from prover.fingerprint.artefact import Proof
from prover.inference.prove import DOMAIN, Block, FeedForwardProver
from tests.adversarial.cheats import CheatingProver, Deaf, proof_of, relation
from tests.toy_inference import COUNT, toy_block, toy_inputs, toy_world
from tests.toy_pair import ASSETS
from verifier.fingerprint.options import Options
from verifier.inference.verify import verify_feed_forward

BUNDLE = ASSETS / "bundle"
SESSION = b"f" * 32


@dataclass(frozen=True)
class World:
    """What every attack starts from: the toy block, and the files of an honest run."""

    profile: Profile
    circuit: ActivationCircuit
    side: Side
    block: Block
    files: dict[str, bytes]


def honest_world(folder: Path) -> World:
    profile, circuit, side = toy_world()
    block = toy_block(side.source)
    arguments = (profile, circuit, block, side.committed, side.seed, toy_inputs(), SESSION, Job(folder))
    return World(profile, circuit, side, block, FeedForwardProver(*arguments).run().files)


def verify(files: dict[str, bytes], folder: Path, bundle: Path = BUNDLE):
    target = Path(tempfile.mkdtemp(dir=folder))
    for name, data in files.items():
        (target / name).write_bytes(data)
    return verify_feed_forward(target, bundle, Options(allow_development_srs=True, time_limit_s=120.0))


class CheatingFeedForward(FeedForwardProver):
    """A prover that does not stop when something is not as it should be.

    `linked`, `active`: whether it makes the link and the activation proof itself; otherwise it puts its columns
    in front of the honest proof's bytes, for attacks that die before that proof is verified.
    """

    linked = True
    active = True
    refused = ""  # why ezkl made no activation proof

    def __init__(self, world: World, folder: Path, count: int = COUNT) -> None:
        arguments = (world.profile, world.circuit, world.block, world.side.committed, world.side.seed)
        super().__init__(*arguments, toy_inputs(count), SESSION, Job(folder))
        self.honest = world.files
        self.relation = 0
        self.instances: tuple[int, ...] = ()

    def activation_proof(self, vectors):
        self.secret = [list(vector) for vector in vectors]
        if not self.active:
            return self.grafted("activation.json", vectors, self.expected())
        try:
            proof = self.prove_unchecked(self.circuit.circuit, vectors)
        except CircuitError as error:  # ezkl finds no witness: what is left is another proof's bytes
            self.refused = str(error)
            return self.grafted("activation.json", vectors, self.expected())
        self.instances = proof.instances
        return replace(proof, instances=self.expected())

    def expected(self) -> tuple[int, ...]:
        """The instances that the verifier will ask for."""
        drawn = self.transcript.drawn
        total = sum(
            beta * sum(value * zeta for value, zeta in zip(row, drawn["zeta"], strict=True))
            for beta, row in zip(drawn["beta"], self.claimed, strict=True)
        )
        return (0, total % P)

    def compute(self):
        values = self.bend(super().compute())
        self.claimed = values.y
        self.transcript = self.listening()
        return values

    def bend(self, values):
        """Other values than the block gives."""
        return values

    def listening(self) -> Deaf:
        return DeafFeedForward()

    def link_proof(self, vectors):
        self.relation = relation(vectors, self.size.data_length)
        if not self.linked:
            return self.grafted("link.json", vectors, (0,))
        proof = self.prove_unchecked(keys.published_circuit(self.profile, "link"), vectors)
        assert proof.instances == (self.relation,)
        return replace(proof, instances=(0,))

    def prove_unchecked(self, circuit, vectors, compiled: Path | None = None) -> Proof:
        key = keys.key_of(circuit)
        answer = proofs.prove(
            vectors,
            compiled=compiled or key.compiled,
            pk=key.pk,
            vk=circuit.files.vk,
            settings=circuit.files.settings,
            srs=circuit.srs,
            time_limit_s=300,
            checked=False,
        )
        return Proof.from_worker(answer)

    def grafted(self, name: str, vectors, instances: tuple[int, ...]) -> Proof:
        columns = b"".join(CheatingProver.columns(self, vectors))
        return Proof(columns + proof_of(self.honest, name).data[len(columns) :], instances)


class DeafFeedForward(Deaf):
    """A feed-forward proof's transcript that does not hear one label."""

    def __init__(self, label: str = "") -> None:
        super().__init__(label)
        self.state = hashlib.sha3_256(DOMAIN).digest()
