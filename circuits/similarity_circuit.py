"""The similarity circuit: range check of two committed vectors, and the sums that their terms' cosines are made of.

Like the link circuit it knows nothing of models: one circuit serves every model of a size class.
Source: docs/comparison.md, section 4.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from circuits.link_circuit import IR_VERSION, OPSET
from circuits.size_classes import TERM_COUNT, SizeClass

SIDES = ("a", "b")
SUMS = (("a", "a"), ("b", "b"), ("a", "b"))  # which products are summed, in the order of the outputs


def similarity_graph(size: SizeClass, g: int, shift: int) -> onnx.ModelProto:
    """The graph: inputs `a` and `b` [N], output [18]: six sums of squares of a, six of b, six of products."""
    inputs, nodes, constants = checked_sides(size, g, shift)
    # One einsum for the six sums of a kind: six slices would each be divided, and checked, on their own.
    sums = []
    for left, right in SUMS:
        sums.append(f"sums_{left}{right}")
        nodes.append(helper.make_node("Einsum", [f"{left}_rows", f"{right}_rows"], [sums[-1]], equation="ti,ti->t"))
    nodes.append(helper.make_node("Concat", sums, ["sums"], axis=0))
    output = helper.make_tensor_value_info("sums", TensorProto.FLOAT, [len(SUMS) * TERM_COUNT])
    return finished("huref-similarity", nodes, inputs, output, constants)


def checked_sides(
    size: SizeClass, g: int, shift: int
) -> tuple[list[onnx.ValueInfoProto], list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Inputs, nodes and constants that range-check both vectors: `a_rows` and `b_rows` [6, g^2].

    The division by `2^shift` comes first: it is the range check that ezkl does not do for `polycommit` inputs, and
    whatever follows reads nothing but its result.
    """
    count = TERM_COUNT * g * g
    constants = [
        helper.make_tensor("checked_start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("checked_end", TensorProto.INT64, [1], [count]),
        helper.make_tensor("checked_axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("divisor", TensorProto.FLOAT, [1], [2.0**shift]),
        helper.make_tensor("rows_shape", TensorProto.INT64, [2], [TERM_COUNT, g * g]),
    ]
    nodes, inputs = [], []
    for side in SIDES:
        inputs.append(helper.make_tensor_value_info(side, TensorProto.FLOAT, [size.length]))
        bounds = ["checked_start", "checked_end", "checked_axis"]
        nodes += [
            helper.make_node("Slice", [side, *bounds], [f"{side}_entries"]),
            helper.make_node("Div", [f"{side}_entries", "divisor"], [f"{side}_checked"]),
            helper.make_node("Reshape", [f"{side}_checked", "rows_shape"], [f"{side}_rows"]),
        ]
    return inputs, nodes, constants


def finished(
    name: str,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    output: onnx.ValueInfoProto,
    constants: list[onnx.TensorProto],
) -> onnx.ModelProto:
    """The checked model of one graph with one output."""
    graph = helper.make_graph(nodes, name, inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="huref-zk")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
