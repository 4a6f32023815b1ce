"""The threshold circuit: that two committed vectors' terms are alike by at least so much, and not by how much.

Like the similarity circuit, but for what it makes public: the twelve sums of squares, which are known in advance, and
one value that is 0 exactly when the sum of all products reaches a threshold. Source: docs/comparison.md, section 4.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from circuits.similarity_circuit import SIDES, checked_sides, finished
from circuits.size_classes import TERM_COUNT, SizeClass

SCALE = 16  # fractional bits of sums, and so of the threshold


def threshold_graph(size: SizeClass, g: int, shift: int) -> onnx.ModelProto:
    """The graph: inputs `a` and `b` [N] and `threshold` [1], output [13]: twelve sums of squares, and what is missing.

    What is missing: `ReLU(threshold - sum of all 6 g^2 products)`, in units of `2^-SCALE`. ezkl's ReLU decomposes
    its input into sign and digits, which is a range check, so that nothing wraps modulo p.
    """
    inputs, nodes, constants = checked_sides(size, g, shift)
    inputs.append(helper.make_tensor_value_info("threshold", TensorProto.FLOAT, [1]))
    constants += [
        helper.make_tensor("one_row", TensorProto.INT64, [2], [1, TERM_COUNT * g * g]),
        helper.make_tensor("unit", TensorProto.FLOAT, [1], [2.0**SCALE]),
    ]
    for side in SIDES:
        squares = [f"{side}_rows", f"{side}_rows"]
        nodes.append(helper.make_node("Einsum", squares, [f"sums_{side}{side}"], equation="ti,ti->t"))
        nodes.append(helper.make_node("Reshape", [f"{side}_rows", "one_row"], [f"{side}_row"]))
    nodes += [
        # One sum over all six terms: their own products stay out of sight, and are rounded once, not six times.
        helper.make_node("Einsum", ["a_row", "b_row"], ["products"], equation="ti,ti->t"),
        # A division directly on a graph's input is a change of scale and nothing else: the verifier chose this input.
        helper.make_node("Div", ["threshold", "unit"], ["least"]),
        helper.make_node("Sub", ["least", "products"], ["short"]),
        helper.make_node("Relu", ["short"], ["missing"]),
        helper.make_node("Concat", ["sums_aa", "sums_bb", "missing"], ["norms_and_missing"], axis=0),
    ]
    output = helper.make_tensor_value_info("norms_and_missing", TensorProto.FLOAT, [2 * TERM_COUNT + 1])
    return finished("huref-threshold", nodes, inputs, output, constants)
