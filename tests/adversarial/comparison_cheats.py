"""Malicious provers of comparisons: the honest one with one step replaced, on the toy pair."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest

import verifier.comparison.circuit
import verifier.comparison.verify
import verifier.trust.profile
from circuits import ezkl_worker, keys, proofs
from circuits.keys import Published
from prover.commitments.jobs import Job
from prover.comparison.prove import ComparisonProver, Request
from prover.fingerprint.artefact import Proof
from tests.adversarial.cheats import CheatingProver, Deaf, relation
from tests.toy_pair import ASSETS
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_with

BUNDLES = (ASSETS / "bundle", ASSETS / "bundle_b")
SESSION = b"v" * 32


@dataclass(frozen=True)
class Honest:
    """One honest run: the job's parts, the artefact's files, both S''."""

    job: Path
    files: dict[str, bytes]
    ics: float | None
    s_vectors: list[list[int]]


def verify(files: dict[str, bytes], folder: Path, bundles=BUNDLES):
    target = Path(tempfile.mkdtemp(dir=folder))
    for name, data in files.items():
        (target / name).write_bytes(data)
    return verify_comparison(target, bundles, Options(allow_development_srs=True, time_limit_s=120.0))


def expect_rejected(report, step: int, *words: str) -> None:
    assert report.verdict == "rejected", (report.verdict, report.failure and report.failure.message)
    assert report.failure.step == step, (report.failure.step, report.failure.message)
    for word in words:
        assert word in report.failure.message, report.failure.message


def proof_of(files: dict[str, bytes], name: str) -> Proof:
    document = json.loads(files[name])
    return Proof(base64.b64decode(document["proof"]), tuple(int(x, 16) for x in document["instances"]))


@contextmanager
def trusted_toys():
    """The toy profile and circuits, trusted; each untouched bundle is verified once."""
    patch, known = pytest.MonkeyPatch(), {}

    def digests(folder: Path, name: str) -> dict[str, bytes]:
        return {path.parent.name: hashlib.sha256(path.read_bytes()).digest() for path in folder.glob(f"*/{name}")}

    profiles, comparisons = ASSETS / "profiles", ASSETS / "comparisons"
    patch.setattr(verifier.trust.profile, "trusted", lambda: digests(profiles, "profile.json"))
    patch.setattr(verifier.trust.profile, "profiles_folder", lambda: profiles)
    patch.setattr(verifier.comparison.circuit, "trusted", lambda: digests(comparisons, "circuit.json"))
    patch.setattr(verifier.comparison.circuit, "circuits_folder", lambda: comparisons)

    def verify_once(workers, path, options):
        if path not in known:
            known[path] = verify_with(workers, path, options)
        return known[path]

    patch.setattr(verifier.comparison.verify, "verify_with", verify_once)
    yield
    patch.undo()


class Remembering(ComparisonProver):
    """An honest prover that shows its S''."""

    def similarity_proof(self, s_vectors):
        self.seen = [list(vector) for vector in s_vectors]
        return super().similarity_proof(s_vectors)


def honest_run(pair, folder: Path, request: Request | None = None) -> Honest:
    circuit = pair.threshold if request is not None and request.at_least is not None else pair.circuit
    prover = Remembering(pair.profile, circuit, pair.sides, SESSION, Job(folder), request=request)
    made = prover.run()
    return Honest(folder, made.files, made.ics, prover.seen)


class CheatingComparison(ComparisonProver):
    """A prover that does not stop at a relation that is not zero; sides in `forged` claim that it is.

    A side that is not in `proven` keeps the honest link proof's bytes behind its columns: for attacks that die before.
    """

    proven: tuple[str, ...] = ()
    forged: tuple[str, ...] = ()
    wanted = Request()

    def __init__(self, pair, folder: Path, honest, *parts: str) -> None:
        self.honest = honest
        for name in parts:
            shutil.copy(honest.job / name, folder / name)
        circuit = pair.circuit if self.wanted.at_least is None else pair.threshold
        super().__init__(pair.profile, circuit, pair.sides, SESSION, Job(folder), request=self.wanted)
        self.relations: dict[str, int] = {}

    def link_proof(self, name, vectors):
        self.relations[name] = relation(vectors, self.size.data_length)
        if name not in self.proven:
            columns = b"".join(self.columns(vectors))
            data = proof_of(self.honest.files, f"link-{name}.json").data
            return Proof(columns + data[len(columns) :], (0,))
        circuit, key = self.profile.circuit("link"), keys.proving_key(self.profile, "link")
        answer = proofs.prove(
            vectors,
            compiled=key.compiled,
            pk=key.pk,
            vk=circuit.vk,
            settings=circuit.settings,
            srs=self.profile.srs,
            time_limit_s=300,
        )
        proof = Proof.from_worker(answer)
        assert proof.instances == (self.relations[name],)
        return replace(proof, instances=(0,)) if name in self.forged else proof

    def columns(self, vectors):
        """The 24 points that a proof of these vectors starts with: C(v) + B."""
        return CheatingProver.columns(self, vectors)


def prove_with_graph(circuit: Published, model: onnx.ModelProto, vectors, folder: Path) -> Proof:
    """A proof of another graph with a published proving key; nobody checks it before it is sent."""
    key = keys.key_of(circuit)
    onnx.save(model, str(folder / "evil.onnx"))
    # The published settings: new ones may list the range checks in another order, and so swap the lookup tables.
    files = {"onnx": folder / "evil.onnx", "settings": circuit.files.settings}
    ezkl_worker.call("compile", time_limit_s=300, out=folder / "evil.ezkl", **files)
    answer = proofs.prove(
        vectors,
        compiled=folder / "evil.ezkl",
        pk=key.pk,
        vk=circuit.files.vk,
        settings=circuit.files.settings,
        srs=circuit.srs,
        time_limit_s=600,
        checked=False,
    )
    return Proof.from_worker(answer)


class DeafComparison(Deaf):
    """A comparison's transcript that does not hear one label."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.state = hashlib.sha3_256(b"huref-zk/v1/comparison-transcript").digest()


def relabelled(files: dict[str, bytes], change) -> dict[str, bytes]:
    document = json.loads(files["comparison.json"])
    change(document)
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {**files, "comparison.json": data}


def swapped(files: dict[str, bytes]) -> dict[str, bytes]:
    """Everything of the two sides exchanged, but for the similarity proof."""
    points = files["points.bin"]
    half = len(points) // 2

    def change(document):
        document["a"], document["b"] = document["b"], document["a"]

    return {
        **relabelled(files, change),
        "points.bin": points[half:] + points[:half],
        "link-a.json": files["link-b.json"],
        "link-b.json": files["link-a.json"],
    }
