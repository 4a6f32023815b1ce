"""What proving inference would cost: measured costs of an element, and a model of three shapes from them.

`python -m tests.benchmarks.inference_costs` prints JSON lines: first how many cells of a circuit an element of each
kind takes (from ezkl's settings of two sizes; no proof), then processor seconds a cell (from proofs of zeros of the
published circuits), then the model, which docs/inference-proof.md, section 10, explains. Nothing in the model was
run but the feed-forward block of the shipped model.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from circuits import ezkl_worker, keys, proofs
from circuits.activation_circuit import PRODUCTS, ActivationScale
from circuits.activations import load_activation_circuit
from circuits.link_circuit import IR_VERSION, OPSET
from circuits.profiles import Profile, load_profile
from circuits.size_classes import SIZE_CLASSES, SizeClass
from tests.benchmarks.naive import processor_seconds

SIZES = (256, 512)  # elements: the difference of their settings is without what every circuit has
SOFTMAX_ROW = 32
COMMIT_US = {"tiny": 1.98, "base": 1.27, "large": 0.84}  # a weight: docs/scale.md, "By shape"
SALT_US = {"tiny": 0.024, "base": 0.010, "large": 0.006}
FULL_SIZE_US = 3.8  # a full-size entry of a committed vector, by ezkl.kzg_commit
COMBINE_US = 4.0e6 / 331_350_016  # a weight: the link argument's passes over Llama-2-7B's two blocks, docs/scale.md


@dataclass(frozen=True)
class Kind:
    """A kind of element: the nodes that make `out` of the slice `x` (and `y`), and the circuit's scale settings."""

    nodes: Callable[[int], list[onnx.NodeProto]]
    legs: int
    doc: str


def _node(kind: str, inputs: list[str], outputs: list[str], **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, outputs, **attributes)


KINDS = {
    "rescaled product": Kind(lambda _n: [_node("Mul", ["x", "y"], ["out"])], 4, "the same, divided and range-checked"),
    "range": Kind(
        lambda _n: [_node("Abs", ["x"], ["a"]), _node("Sub", ["a", "x"], ["out"])], 2, "in [0, base^2): two digits"
    ),
    "lookup": Kind(lambda _n: [_node("Sigmoid", ["x"], ["out"])], 2, "a table of one column: sigmoid, exp, GELU"),
    "product": Kind(lambda _n: [_node("Mul", ["x", "y"], ["out"])], 2, "of two committed entries, not rescaled"),
    "inner product": Kind(
        lambda _n: [_node("Einsum", ["x", "y"], ["sum"], equation="i,i->"), _node("Reshape", ["sum", "one"], ["out"])],
        2,
        "a term of an inner product",
    ),
    "softmax": Kind(
        lambda n: [
            _node("Reshape", ["x", "rows"], ["r"]),
            _node("Softmax", ["r"], ["p"], axis=1),
            _node("Reshape", ["p", "flat"], ["out"]),
        ],
        4,
        f"an entry of a softmax over rows of {SOFTMAX_ROW}, ezkl's own",
    ),
    "root": Kind(
        lambda _n: [_node("Sqrt", ["x"], ["q"]), _node("Reciprocal", ["q"], ["out"])], 4, "1 / sqrt: one a norm"
    ),
}


def cells(kind: str, count: int, size: SizeClass, folder: Path) -> int:
    """Cells of a circuit with `count` elements of a kind, without the committed columns."""
    one, scale = KINDS[kind], ActivationScale.of(size)
    outputs = 1 if kind == "inner product" else count
    tensors = [
        *(helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("start", 0), ("end", count))),
        helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("rows", TensorProto.INT64, [2], [count // SOFTMAX_ROW, SOFTMAX_ROW]),
        helper.make_tensor("flat", TensorProto.INT64, [1], [count]),
        helper.make_tensor("unit", TensorProto.FLOAT, [1], [2.0**scale.fraction]),
    ]
    nodes = []
    for name in ("x", "y"):
        source = f"{name}_in"
        if kind != "inner product":  # a division of a whole input says how many fractional bits it has, no more
            nodes.append(_node("Div", [source, "unit"], [f"{name}_fixed"]))
            source = f"{name}_fixed"
        nodes.append(_node("Slice", [source, "start", "end", "axis"], [name]))
    nodes += one.nodes(count)
    uses_y = any("y" in node.input for node in nodes)
    if not uses_y:
        nodes = [node for node in nodes if not node.output[0].startswith("y")]
    inputs = [
        helper.make_tensor_value_info(f"{name}_in", TensorProto.FLOAT, [size.length])
        for name in ("x", "y")[: 1 + uses_y]
    ]
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "cost",
        inputs,
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [outputs])],
        [tensor for tensor in tensors if tensor.name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.save(model, str(folder / "cost.onnx"))
    args = {**keys.run_args("activation", size), "decomp_legs": one.legs}
    if kind in ("rescaled product", "softmax", "root"):  # rescaled to one fraction after each operation
        args["scale_rebase_multiplier"] = 1
    elif kind != "inner product":
        args["scale_rebase_multiplier"] = PRODUCTS
    ezkl_worker.call(
        "settings", time_limit_s=300, onnx=folder / "cost.onnx", out=folder / "settings.json", run_args=args
    )
    return int(json.loads((folder / "settings.json").read_text())["total_assignments"])


def cell_seconds(profile: Profile, folder: Path) -> dict[str, Any]:
    """Processor seconds a cell: proofs of zeros of published circuits, witness and own check included."""
    circuits = {name: keys.published_circuit(profile, name) for name in ("link", "encoder")}
    activation = load_activation_circuit(profile)
    circuits["activation"] = activation.circuit
    found = {}
    for name, circuit in circuits.items():
        settings = json.loads(circuit.files.settings.read_text())
        inputs = len(settings["model_input_scales"])
        key = keys.key_of(circuit)
        before = processor_seconds()
        proofs.prove(
            [[0] * profile.size.length] * inputs,
            compiled=key.compiled,
            pk=key.pk,
            vk=circuit.files.vk,
            settings=circuit.files.settings,
            srs=circuit.srs,
            time_limit_s=1800,
        )
        seconds = processor_seconds() - before
        total = settings["total_assignments"] + inputs * (1 << profile.size.k)
        found[name] = {"cells": total, "processor_s": round(seconds, 1), "us_a_cell": round(1e6 * seconds / total, 1)}
    return found


# ---------------------------------------- the model


@dataclass(frozen=True)
class ModelShape:
    """A decoder: width, hidden entries, heads and their width, blocks; `gated`: three matrices in the FFN, else two."""

    name: str
    size: str
    d: int
    f: int
    heads: int
    kv_heads: int
    head_dim: int
    blocks: int
    gated: bool

    @property
    def weights(self) -> int:
        """Committed weights of all blocks."""
        attention = 2 * self.d * self.head_dim * (self.heads + self.kv_heads)
        return self.blocks * (attention + (3 if self.gated else 2) * self.d * self.f)


SHAPES = (
    ModelShape("shipped base", "tiny", 128, 344, 4, 2, 32, 4, True),
    ModelShape("GPT-2 124M", "tiny", 768, 3072, 12, 12, 64, 12, False),
    ModelShape("Llama-2-7B", "large", 4096, 11008, 32, 32, 128, 32, True),
)


def elements(shape: ModelShape, context: int) -> dict[str, int]:
    """Elements of one token in all blocks, by kind, with `context` tokens before it."""
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    outputs = q + 2 * kv + shape.d + (2 if shape.gated else 1) * shape.f + shape.d  # of the linear layers
    scores = shape.heads * context
    return {
        kind: shape.blocks * count
        for kind, count in {
            "range": 2 * outputs,  # entry and rest
            "product": 2 * shape.f,  # SiLU and gate, not rescaled: exact
            "rescaled product": 2 * shape.d + 2 * (q + kv) + scores,  # two norms, rotary embedding, scores
            "lookup": shape.f,
            "inner product": 2 * shape.d + 2 * outputs + 2 * scores,  # norms' squares; the link's; scores and mixing
            "softmax": scores,
            "root": 2,
        }.items()
    }


def modelled(shape: ModelShape, context: int, each: dict[str, float], us_a_cell: float) -> dict[str, Any]:
    """Processor seconds: committing to all rows once, and proving a token."""
    kinds = elements(shape, context)
    circuits = sum(count * each[kind] for kind, count in kinds.items()) * us_a_cell / 1e6
    committed = sum(kinds[kind] for kind in ("range", "rescaled product", "softmax"))
    return {
        "shape": asdict(shape),
        "weights": shape.weights,
        "context": context,
        "commit_once_s": round(shape.weights * (COMMIT_US[shape.size] + SALT_US[shape.size]) / 1e6),
        "elements_a_token": kinds,
        "circuits_s_a_token": round(circuits, 1),
        "activation_commitments_s_a_token": round(committed * FULL_SIZE_US / 1e6, 2),
        "combinations_s_a_pass": round(shape.weights * COMBINE_US / 1e6, 1),
    }


def main() -> None:
    """Measures, then prints the model."""
    size, profile = SIZE_CLASSES["tiny"], load_profile("tiny-dev")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        each = {}
        for kind, one in KINDS.items():
            few, many = (cells(kind, count, size, folder) for count in SIZES)
            each[kind] = (many - few) / (SIZES[1] - SIZES[0])
            print(json.dumps({"kind": kind, "what": one.doc, "cells_an_element": round(each[kind], 1)}), flush=True)
        measured = cell_seconds(profile, folder)
        print(json.dumps({"proofs": measured}), flush=True)
    us_a_cell = measured["activation"]["us_a_cell"]
    for shape in SHAPES:
        for context in (8, 1024):
            print(json.dumps(modelled(shape, context, each, us_a_cell)), flush=True)


if __name__ == "__main__":
    main()
