"""Malicious provers: the honest prover with one step replaced. Each attack goes as far as a real one would."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from circuits import ezkl_worker, keys, proofs
from circuits.curve_files import read_curve_file, scalars, write_bases
from circuits.points import POINT_BYTES
from circuits.profiles import Profile
from circuits.size_classes import FIELD_MODULUS as P
from prover.commitments.field import inner
from prover.commitments.jobs import Job
from prover.commitments.transcript import Transcript
from prover.fingerprint.artefact import Proof
from prover.fingerprint.link import LinkArgument
from prover.fingerprint.prove import Fingerprint, FingerprintProver
from prover.terms.terms import FingerprintInput
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle

SEED, SESSION = b"s" * 32, b"t" * 32


@dataclass(frozen=True)
class World:
    """What every attack starts from: a profile, real trained weights, and what an honest run left."""

    profile: Profile
    source: FingerprintInput
    honest_job: Path
    honest: Fingerprint

    def job(self, folder: Path, *parts: str) -> Job:
        """A fresh job that takes over the named parts of the honest run (those the attack leaves as they are)."""
        for name in parts:
            shutil.copy(self.honest_job / name, folder / name)
        return Job(folder)

    @property
    def row_parts(self) -> list[str]:
        """The honest row commitments, by job part: each matrix of the shipped model is one shard."""
        matrices = self.source.matrices.by_name.values()
        return [f"rows-{i}-0-{len(entries)}" for i, entries in enumerate(matrices)]


def verify(files: dict[str, bytes], folder: Path, **options: object) -> Report:
    """Write a bundle's files and let the real verifier judge them, development SRS allowed unless said otherwise."""
    target = Path(tempfile.mkdtemp(dir=folder))
    for name, data in files.items():
        (target / name).write_bytes(data)
    return verify_bundle(target, Options(**{"allow_development_srs": True, **options}))  # type: ignore[arg-type]


def expect_rejected(report: Report, step: int, *words: str) -> None:
    """The bundle was rejected, at `step`, and the message has `words` in it."""
    assert report.verdict == "rejected", (report.verdict, report.failure and report.failure.message)
    assert report.failure is not None
    assert report.failure.step == step, (report.failure.step, report.failure.message)
    for word in words:
        assert word in report.failure.message, report.failure.message


class CheatingProver(FingerprintProver):
    """A prover that does not stop when its relation is not zero, and can claim another instance."""

    claim_zero = False
    graft_from: Proof | None = None  # use this proof's bytes after the 24 columns: for attacks that must die at step 7

    def __init__(self, world: World, folder: Path, *parts: str, session: bytes = SESSION) -> None:
        super().__init__(world.profile, world.source, SEED, session, world.job(folder, *parts))
        self.world = world
        self.relation: int | None = None

    def link_proof(self, vectors):  # type: ignore[no-untyped-def]
        self.vectors = vectors
        self.relation = relation(vectors, self.size.data_length)
        if self.graft_from is not None:
            columns = b"".join(self.columns(vectors))
            return Proof(columns + self.graft_from.data[len(columns) :], (0,))
        proof = self.prove("link", vectors)
        assert proof.instances == (self.relation,)
        return replace(proof, instances=(0,)) if self.claim_zero else proof

    def columns(self, vectors):  # type: ignore[no-untyped-def]
        """The 24 points that a proof of these vectors starts with: C(v) + B."""
        link = self.profile.circuit("link")
        srs = read_curve_file(self.profile.srs)
        tail = 2**self.size.k - link.usable_rows
        with tempfile.TemporaryDirectory() as scratch:
            # B: the blinding rows hold 1, so B is the sum of their Lagrange points
            points = srs.lagrange_at(range(2**self.size.k))
            bases = write_bases(Path(scratch, "all"), points, srs.g2, tail, link.vk, link.settings)
            return bases.multiply([scalars([*v, *[0] * (link.usable_rows - len(v)), *[1] * tail]) for v in vectors])


def relation(vectors, data_length: int) -> int:  # type: ignore[no-untyped-def]
    """What the link circuit computes, in plain integers."""
    pairs = zip(vectors[0::2], vectors[1::2], strict=True)
    return sum(inner(left[:data_length], right[:data_length]) for left, right in pairs) % P


class Deaf(Transcript):
    """A transcript that does not hear one label: its challenges are known before that item is chosen."""

    def __init__(self, label: str = "") -> None:
        super().__init__()
        self.label = label
        self.absorbed: list[str] = []
        self.drawn: dict[str, list[int]] = {}

    def absorb(self, label: str, data: bytes) -> None:
        self.absorbed.append(label)
        if label != self.label:
            super().absorb(label, data)

    def challenge(self, label: str, count: int) -> list[int]:
        self.drawn[label] = super().challenge(label, count)
        return self.drawn[label]


class BentArgument(LinkArgument):
    """The link argument with a hook that changes the y before they are committed."""

    def run(self, transcript, seed, session):  # type: ignore[no-untyped-def]
        self.transcript = transcript
        return super().run(transcript, seed, session)

    def y_vectors(self, *arguments):  # type: ignore[no-untyped-def]
        self.ys = self.bend(super().y_vectors(*arguments))
        return self.ys

    def bend(self, ys):  # type: ignore[no-untyped-def]
        return ys


def prove_with_graph(profile: Profile, circuit: str, model: onnx.ModelProto, vectors, folder: Path) -> Proof:  # type: ignore[no-untyped-def]
    """A proof of another graph with the PUBLISHED proving key; nobody checks it before it is sent."""
    files, key = profile.circuit(circuit), keys.proving_key(profile, circuit)
    onnx.save(model, str(folder / "evil.onnx"))
    compiled = folder / "evil.ezkl"
    # The published settings: new ones may list the range checks in another order, and so swap the lookup tables.
    ezkl_worker.call("compile", time_limit_s=300, onnx=folder / "evil.onnx", settings=files.settings, out=compiled)
    answer = proofs.prove(
        vectors,
        compiled=compiled,
        pk=key.pk,
        vk=files.vk,
        settings=files.settings,
        srs=profile.srs,
        time_limit_s=600,
        checked=False,
    )
    return Proof.from_worker(answer)


def reading_late(model, start, data_length):  # type: ignore[no-untyped-def]
    """The link graph with slot 0 reading S' from entry `start` on, where nothing but this prover looks."""
    for name, value in (("late", start), ("early_end", data_length - start)):
        model.graph.initializer.append(helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value]))
    for node in model.graph.node:
        if node.output[0] == "left_0_data":
            node.input[1] = "late"
        if node.output[0] == "right_0_data":
            node.input[2] = "early_end"
    onnx.checker.check_model(model)
    return model


def other_wiring(model):  # type: ignore[no-untyped-def]
    """Patches in another order, so that every feature comes from another patch's terms."""
    transpose = next(node for node in model.graph.node if node.op_type == "Transpose")
    perm = next(attribute for attribute in transpose.attribute if attribute.name == "perm")
    rows, columns, *rest = perm.ints
    perm.ints[:] = [columns, rows, *rest]


def other_weights(model):  # type: ignore[no-untyped-def]
    """Two features of each patch with each other's weights."""
    w1 = next(tensor for tensor in model.graph.initializer if tensor.name == "encoder/w1")
    weights = numpy_helper.to_array(w1).copy()
    weights[:, [0, 1]] = weights[:, [1, 0]]
    w1.CopyFrom(numpy_helper.from_array(weights, w1.name))


def proof_of(files: dict[str, bytes], name: str) -> Proof:
    """The proof in link.json or encoder.json."""
    document = json.loads(files[name])
    return Proof(base64.b64decode(document["proof"]), tuple(int(x, 16) for x in document["instances"]))


def edit(files: dict[str, bytes], name: str, change) -> dict[str, bytes]:  # type: ignore[no-untyped-def]
    """A copy of the bundle with one JSON file changed by `change(document)`, canonical again."""
    document = json.loads(files[name])
    change(document)
    data = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return {**files, name: data}


def point_at(files: dict[str, bytes], index: int) -> bytes:
    """The index-th point of commitments.bin."""
    return files["commitments.bin"][POINT_BYTES * index : POINT_BYTES * (index + 1)]


def with_point(files: dict[str, bytes], index: int, point: bytes) -> dict[str, bytes]:
    """A copy of the bundle with one point replaced."""
    data = bytearray(files["commitments.bin"])
    data[POINT_BYTES * index : POINT_BYTES * (index + 1)] = point
    return {**files, "commitments.bin": bytes(data)}


def wider(entries: np.ndarray, extra: int) -> np.ndarray:
    """The matrix with `extra` zero columns past d: room for hidden dimensions."""
    return np.concatenate([entries, np.zeros((len(entries), extra), dtype=np.int8)], axis=1)


def undecided(report, code: str, *words: str) -> None:
    assert report.verdict == "undecided", (report.verdict, report.failure and report.failure.message)
    assert (report.failure.code, report.exit_code) == (code, 3)
    for word in words:
        assert word in report.failure.message, report.failure.message


def put(*path):
    """A change of a statement: put(..., value) sets the field at the path."""
    *keys, last, value = path

    def change(document):
        for key in keys:
            document = document[key]
        document[last] = value(document[last]) if callable(value) else value

    return change


def flipped(files, name: str, position: int, bit: int = 1):
    """A copy of the bundle with one bit of a proof flipped."""

    def change(document):
        proof = bytearray(base64.b64decode(document["proof"]))
        proof[position] ^= bit
        document["proof"] = base64.b64encode(bytes(proof)).decode()

    return edit(files, name, change)
