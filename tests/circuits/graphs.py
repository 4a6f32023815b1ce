"""The small graphs that the ezkl tests are about."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from circuits.size_classes import FIELD_MODULUS as P
from tests.circuits.small import (
    model,
)

LENGTH = 40


def inner_product() -> onnx.ModelProto:
    """What the link circuit is made of: <left, right>."""
    nodes = [
        helper.make_node("Einsum", ["left", "right"], ["sum"], equation="i,i->"),
        helper.make_node("Reshape", ["sum", "one"], ["relation"]),
    ]
    return model(nodes, {"left": [LENGTH], "right": [LENGTH]}, ("relation", [1]), {"one": np.array([1])})


def matrix_product(reverse: bool) -> onnx.ModelProto:
    """A 3 x 4 times 4 x 5 product, its rows reversed afterwards if `reverse`."""
    nodes = [helper.make_node("MatMul", ["left", "right"], ["before" if reverse else "product"])]
    if reverse:
        nodes.append(helper.make_node("Gather", ["before", "order"], ["product"], axis=0))
    order = {"order": np.array([2, 1, 0])} if reverse else {}
    return model(nodes, {"left": [3, 4], "right": [4, 5]}, ("product", [3, 5]), order)


def weights_times(weights: np.ndarray) -> onnx.ModelProto:
    """A vector times public weights."""
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return model([node], {"x": [1, 3]}, ("y", [1, 4]), {"weights": weights.astype(np.float32)})


DIVISION_SHIFT = 26  # with 16 fractional bits kept, entries are divided by 2^10; 4 legs of base 32 hold 2^20
RANGE = 2**20


def range_check(norms: bool) -> onnx.ModelProto:
    """The head of the encoder circuit: slice, division, and the norms of two rows of two; or else two differences."""
    nodes = [
        helper.make_node("Slice", ["committed", "start", "end", "axis"], ["entries"]),
        helper.make_node("Div", ["entries", "divisor"], ["checked"]),
        helper.make_node("Reshape", ["checked", "shape"], ["rows"]),
    ]
    if norms:
        nodes.append(helper.make_node("Einsum", ["rows", "rows"], ["result"], equation="ta,ta->t"))
    else:  # nothing but the division looks at how large an entry is
        nodes.append(helper.make_node("ReduceSum", ["rows", "last_axis"], ["result"], keepdims=0))
    constants = {
        "start": np.array([0]),
        "end": np.array([4]),
        "axis": np.array([0]),
        "divisor": np.array([2.0**DIVISION_SHIFT], dtype=np.float32),
        "shape": np.array([2, 2]),
        "last_axis": np.array([1]),
    }
    return model(nodes, {"committed": [6]}, ("result", [2]), constants)


LEFT = [2**200, P - 5, 3, *range(LENGTH - 3)]
RIGHT = [1] * LENGTH
