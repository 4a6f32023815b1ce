"""Circuits small enough to be set up in a second, made with the arguments of the published ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from circuits import ezkl_worker, keys, proofs
from circuits.curve_files import scalars
from circuits.link_circuit import IR_VERSION, OPSET
from circuits.size_classes import SizeClass

K = 8
SIZE = SizeClass("small", K, 1, 1, 32, 4)
USABLE_ROWS = 2**K - 6
TIME_LIMIT_S = 60.0


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int]],
    output: tuple[str, Sequence[int]],
    constants: Mapping[str, np.ndarray] | None = None,
) -> onnx.ModelProto:
    """A graph of float32 inputs and one output; constants by name."""
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(output[0], TensorProto.FLOAT, output[1])],
        tensors,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    made.ir_version = IR_VERSION
    onnx.checker.check_model(made)
    return made


@dataclass(frozen=True)
class Circuit:
    """A compiled circuit; `vk` and `pk` are there after `set_up`."""

    folder: Path
    srs: Path

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    @property
    def compiled(self) -> Path:
        return self.folder / "circuit.ezkl"

    @property
    def vk(self) -> Path:
        return self.folder / "vk.key"

    @property
    def pk(self) -> Path:
        return self.folder / "pk.key"

    def set_up(self) -> Circuit:
        ezkl_worker.call(
            "setup", time_limit_s=TIME_LIMIT_S, compiled=self.compiled, srs=self.srs, vk=self.vk, pk=self.pk
        )
        return self

    def prove(
        self,
        vectors: Sequence[Sequence[int]],
        keys_of: Circuit | None = None,
        checked: bool = True,
        time_limit_s: float = TIME_LIMIT_S,
    ) -> dict:
        """Witness of this graph, proven with the keys of `keys_of` (this circuit's own unless given)."""
        owner = keys_of or self
        return proofs.prove(
            vectors,
            compiled=self.compiled,
            pk=owner.pk,
            vk=owner.vk,
            settings=owner.settings,
            srs=self.srs,
            time_limit_s=time_limit_s,
            checked=checked,
        )

    def commit(self, vectors: Sequence[Sequence[int]], srs: Path | None = None) -> list[bytes]:
        """What ezkl commits to for each vector (at most the usable rows), by one `kzg_commit` each."""
        message, out, points = self.folder / "message", self.folder / "points", []
        for vector in vectors:
            message.write_bytes(scalars(vector))
            ezkl_worker.call(
                "commit",
                time_limit_s=TIME_LIMIT_S,
                messages=message,
                out=out,
                vk=self.vk,
                settings=self.settings,
                srs=srs or self.srs,
            )
            points.append(out.read_bytes()[:64])
        return points


def compile_graph(graph: onnx.ModelProto, folder: Path, srs: Path, name: str = "encoder", **changes: Any) -> Circuit:
    """Settings and compiled circuit with the published arguments for `name`, some of them changed."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, str(folder / "circuit.onnx"))
    circuit = Circuit(folder, srs)
    args = {**keys.run_args(name, SIZE), **changes}
    paths = {"onnx": folder / "circuit.onnx", "time_limit_s": TIME_LIMIT_S}
    ezkl_worker.call("settings", out=circuit.settings, run_args=args, **paths)
    ezkl_worker.call("compile", settings=circuit.settings, out=circuit.compiled, **paths)
    return circuit


def integers(answer: dict) -> list[int]:
    """The instances of a proof, as integers."""
    return [int.from_bytes(bytes.fromhex(x), "little") for x in answer["instances"][0]]


_VERIFY = """
import json, logging, sys
logging.disable(logging.CRITICAL)
import ezkl
results = []
for arguments in json.loads(sys.stdin.read()):
    try:
        results.append(ezkl.verify(*arguments) is True)
    except RuntimeError:
        results.append(False)
print(json.dumps(results))
"""


def ezkl_accepts(jobs: Sequence[tuple[Path, Path, Path, Path]], reduced_srs: bool = False) -> list[bool]:
    """What `ezkl.verify(proof, settings, vk, srs)` says to each job, in one child process."""
    return _child(_VERIFY, [[*(str(path) for path in job), reduced_srs] for job in jobs])


_WITNESS = """
import json, logging, sys
logging.disable(logging.CRITICAL)
import ezkl
try:
    ezkl.gen_witness(*json.loads(sys.stdin.read()))
    print("true")
except RuntimeError:
    print("false")
"""


def ezkl_finds_a_witness(compiled: Path, vk: Path, srs: Path, vectors: Sequence[Sequence[int]], scratch: Path) -> bool:
    """Whether `ezkl.gen_witness` takes these inputs: a proof's first step, in a second instead of twenty."""
    inputs = [[scalars([value]).hex() for value in vector] for vector in vectors]
    (scratch / "input.json").write_text(json.dumps({"input_data": inputs}))
    paths = (scratch / "input.json", compiled, scratch / "witness.json", vk, srs)
    return _child(_WITNESS, [str(path) for path in paths])


def _child(code: str, job: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        env={**os.environ, "RUST_LOG": "off"},
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def proof_file(path: Path, answer: dict, **more: Any) -> Path:
    """A proof as ezkl reads it from a file: only `proof` and `instances` matter to it."""
    proof = bytes.fromhex(answer["proof"])
    document = {
        "protocol": None,
        "instances": answer["instances"],
        "proof": list(proof),
        "hex_proof": "0x" + proof.hex(),
        "split": None,
        "pretty_public_inputs": None,
        "timestamp": None,
    }
    path.write_text(json.dumps({**document, **more}))
    return path
