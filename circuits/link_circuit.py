"""The link circuit: the sum of 12 inner products of committed vectors, which must be 0.

It knows nothing of models, so one circuit serves every model of a size class.
Source: docs/protocol.md, section 5.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from circuits.size_classes import LINK_SLOTS, SizeClass

OPSET = 17
IR_VERSION = 8  # written out: the default follows the installed onnx, and the file is pinned by digest


def link_graph(size: SizeClass, slots: int = LINK_SLOTS) -> onnx.ModelProto:
    """The graph: `2 * slots` inputs of shape [N], one output of shape [1].

    Input `2 s` is slot s's left vector, `2 s + 1` its right one; products run over the first M entries,
    so the salt takes no part.
    """
    bounds = [
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("end", TensorProto.INT64, [1], [size.data_length]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]
    inputs, nodes = [], []
    for slot in range(slots):
        for side in ("left", "right"):
            name = f"{side}_{slot}"
            inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [size.length]))
            nodes.append(helper.make_node("Slice", [name, "start", "end", "axis"], [f"{name}_data"]))
        nodes.append(
            helper.make_node(
                "Einsum", [f"left_{slot}_data", f"right_{slot}_data"], [f"product_{slot}"], equation="i,i->"
            )
        )
    total = "product_0"
    for slot in range(1, slots):
        nodes.append(helper.make_node("Add", [total, f"product_{slot}"], [f"sum_{slot}"]))
        total = f"sum_{slot}"
    nodes.append(helper.make_node("Reshape", [total, "one"], ["relation"]))
    output = helper.make_tensor_value_info("relation", TensorProto.FLOAT, [1])
    graph = helper.make_graph(nodes, "huref-link", inputs, [output], bounds)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="huref-zk")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
