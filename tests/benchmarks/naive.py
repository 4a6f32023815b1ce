"""The naive way: the weights inside an ezkl circuit, with the same sound settings. One JSON line a size.

`python -m tests.benchmarks.naive [SIDE ...]`: matrices W of SIDE x SIDE bytes, committed to by `polycommit`, and their
products with `ROWS` public vectors, as a term's factor `A W^T` has them (docs/protocol.md, section 3, with g = 16). It
is one of the twelve products that a fingerprint needs: no terms, no encoder. Settings as `circuits.keys.run_args` has
them for the link circuit. k is the smallest at which ezkl compiles the circuit.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from circuits import ezkl_worker, keys, proofs, srs
from circuits.errors import HurefError
from circuits.link_circuit import IR_VERSION, OPSET
from circuits.profiles import load_profile
from circuits.size_classes import FIELD_MODULUS, SIZE_CLASSES
from prover.commitments.rows import Committer, SaltedMatrix, cut
from prover.commitments.workers import Processes
from tests.benchmarks.shipped_model import measured_output

ROWS = 16
SIDES = (16, 32, 64, 96)
LIMIT_S = 1800.0


def processor_seconds() -> float:
    """Of this process and of all its children that have ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(used.ru_utime + used.ru_stime for used in both)


def committed(matrix: npt.NDArray[np.int8], folder: Path) -> float:
    """Processor seconds of committing to the same weights as huref-zk does, with ezkl's check of a native kernel."""
    committer = Committer(load_profile(), folder)
    committer.row_work(matrix.shape[1])
    salted = SaltedMatrix.of("layers.0.q", matrix, bytes(32), 12)
    before = processor_seconds()
    list(committer.shards(cut({"layers.0.q": salted}), Processes(1)))
    return processor_seconds() - before


def graph(side: int) -> onnx.ModelProto:
    """One input: W [side, side] row-major; output: its product with a fixed matrix [side, ROWS], summed up."""
    fixed = np.random.default_rng(0).integers(-8, 9, (side, ROWS)).astype(np.float32)
    nodes = [
        helper.make_node("Reshape", ["weights", "shape"], ["matrix"]),
        helper.make_node("MatMul", ["matrix", "vectors"], ["products"]),
    ]
    return helper.make_model(
        helper.make_graph(
            nodes,
            "naive",
            [helper.make_tensor_value_info("weights", TensorProto.FLOAT, [side * side])],
            [helper.make_tensor_value_info("products", TensorProto.FLOAT, [side, ROWS])],
            [
                helper.make_tensor("shape", TensorProto.INT64, [2], [side, side]),
                helper.make_tensor("vectors", TensorProto.FLOAT, [side, ROWS], fixed.tobytes(), raw=True),
            ],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


def compiled(side: int, folder: Path) -> int:
    """Settings and circuit in `folder`, at the smallest k that takes the weights as one column; returns k."""
    onnx.save(graph(side), str(folder / "circuit.onnx"))
    for k in range(max(8, (side * side + 64).bit_length()), 21):
        args = {**keys.run_args("link", SIZE_CLASSES["tiny"]), "logrows": k}
        try:
            ezkl_worker.call(
                "settings",
                time_limit_s=LIMIT_S,
                onnx=folder / "circuit.onnx",
                out=folder / "settings.json",
                run_args=args,
            )
            ezkl_worker.call(
                "compile",
                time_limit_s=LIMIT_S,
                onnx=folder / "circuit.onnx",
                settings=folder / "settings.json",
                out=folder / "circuit.ezkl",
            )
            return k
        except HurefError as error:
            print(f"side {side}, k={k}: {error}", file=sys.stderr)
    sys.exit("no k fits")


def one(side: int) -> dict[str, Any]:
    """Setup, proof and verification at one size."""
    with tempfile.TemporaryDirectory(prefix="huref-naive-") as name:
        folder = Path(name)
        k = compiled(side, folder)
        files = {n: folder / f for n, f in (("compiled", "circuit.ezkl"), ("vk", "vk.key"), ("pk", "pk.key"))}
        srs.generate_development(folder / "srs", k)
        start = time.monotonic()
        ezkl_worker.call("setup", time_limit_s=LIMIT_S, srs=folder / "srs", **files)
        setup_s = time.monotonic() - start
        before = processor_seconds()
        weights = np.random.default_rng(1).integers(-127, 128, side * side)
        start = time.monotonic()
        answer = proofs.prove(
            [[int(w) % FIELD_MODULUS for w in weights]],
            settings=folder / "settings.json",
            srs=folder / "srs",
            time_limit_s=LIMIT_S,
            **files,
        )
        prove_s, processor_s = time.monotonic() - start, processor_seconds() - before
        commit_s = committed(weights.reshape(side, side).astype(np.int8), folder)
        settings = json.loads((folder / "settings.json").read_text())
        return {
            "weights": side * side,
            "products": ROWS,
            "k": k,
            "rows_used": settings["num_rows"],
            "setup_s": round(setup_s, 2),
            "prove_s": round(prove_s, 2),
            "prove_processor_s": round(processor_s, 2),
            "commit_processor_s": round(commit_s, 2),
            "prove_us_per_weight_and_core": round(1e6 * processor_s / side**2, 1),
            "key_bytes": files["pk"].stat().st_size,
            "proof_bytes": len(answer["proof"]) // 2,
        }


def main() -> None:
    """Each size in a process of its own, so that its peak memory is its own."""
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(one(int(sys.argv[2]))))
        return
    for side in map(int, sys.argv[1:] or SIDES):
        out, _, figures = measured_output([sys.executable, "-m", "tests.benchmarks.naive", "--one", str(side)])
        print(json.dumps({**json.loads(out), "peak_MB": figures["peak_MB"]}), flush=True)


if __name__ == "__main__":
    main()
