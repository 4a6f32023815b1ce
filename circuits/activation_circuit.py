"""The activation circuit: range checks, SiLU and the gate's product, of committed vectors of one feed-forward block.

Like the link circuit it knows nothing of models: one circuit serves every gated block of a size class.
Source: docs/inference-proof.md, section 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from circuits.link_circuit import IR_VERSION, OPSET
from circuits.size_classes import SizeClass

CIRCUIT = "activation"
INPUTS = ("gate", "gate_rest", "up", "up_rest", "weights")
LEGS = 2  # digits of the range check: what is checked lies in [0, base^2)
PRODUCTS = 3  # gate, its sigmoid, up: their product has three times the fractional bits, and is never rescaled


@dataclass(frozen=True)
class ActivationScale:
    """Fixed-point numbers of a size class. The sigmoid's table fits in one column of `2^k` rows."""

    fraction: int  # fractional bits of a gate entry
    limit: int  # the table runs from -limit on; prover and settings keep to [-limit, limit]
    rest_bits: int  # c y = 2^rest_bits entry + rest

    @classmethod
    def of(cls, size: SizeClass) -> ActivationScale:
        """Range +-8 for gate entries, as fine as the domain allows.

        >>> from circuits.size_classes import SIZE_CLASSES
        >>> ActivationScale.of(SIZE_CLASSES["tiny"])
        ActivationScale(fraction=8, limit=2040, rest_bits=22)
        """
        return cls(size.k - 4, (1 << (size.k - 1)) - 8, LEGS * (size.decomposition_base.bit_length() - 1))


def activation_graph(size: SizeClass, entries: int) -> onnx.ModelProto:
    """The graph: five inputs [N], output [2]: how much is out of range (must be 0), and the weighted sum.

    With a half of `2^rest_bits` added, rests and up entries must lie in [0, 2^rest_bits): `|x| - x` is 0 then and
    positive otherwise, so one sum says whether all are, and taking |x| is what makes ezkl decompose x. The second
    output is `sum_i gate_i sigmoid(gate_i) up_i weights_i`, all integers, nothing rounded but the sigmoid's table.

    Divisions of whole inputs only say how many fractional bits they have; nothing is divided.
    """
    scale = ActivationScale.of(size)
    unit = 2.0**scale.fraction
    constants = [
        helper.make_tensor("start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("end", TensorProto.INT64, [1], [entries]),
        helper.make_tensor("axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("unit", TensorProto.FLOAT, [1], [unit]),
        helper.make_tensor("half", TensorProto.FLOAT, [1], [2.0 ** (scale.rest_bits - 1) / unit]),
        helper.make_tensor("rest_of_scale", TensorProto.FLOAT, [1], [unit ** (PRODUCTS - 1)]),
    ]
    inputs, nodes = [], []
    for name in INPUTS:
        inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [size.length]))
        source = name
        if name != "weights":  # full-size field elements: they have no fractional bits
            source = f"{name}_fixed"
            nodes.append(helper.make_node("Div", [name, "unit"], [source]))
        nodes.append(helper.make_node("Slice", [source, "start", "end", "axis"], [f"{name}_entries"]))
    nodes += [
        helper.make_node("Concat", ["gate_rest_entries", "up_rest_entries", "up_entries"], ["ranged"], axis=0),
        helper.make_node("Add", ["ranged", "half"], ["shifted"]),
        helper.make_node("Abs", ["shifted"], ["magnitudes"]),
        helper.make_node("Sub", ["magnitudes", "shifted"], ["excesses"]),
        helper.make_node("ReduceSum", ["excesses", "axis"], ["excess_sum"], keepdims=1),
        helper.make_node("Div", ["excess_sum", "rest_of_scale"], ["excess"]),
        helper.make_node("Sigmoid", ["gate_entries"], ["sigmoid"]),
        helper.make_node("Mul", ["gate_entries", "sigmoid"], ["silu"]),
        helper.make_node("Mul", ["silu", "up_entries"], ["hidden"]),
        helper.make_node("Einsum", ["hidden", "weights_entries"], ["inner"], equation="i,i->"),
        helper.make_node("Reshape", ["inner", "one"], ["weighted"]),
        helper.make_node("Concat", ["excess", "weighted"], ["excess_and_weighted"], axis=0),
    ]
    output = helper.make_tensor_value_info("excess_and_weighted", TensorProto.FLOAT, [2])
    graph = helper.make_graph(nodes, "huref-activation", inputs, [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="huref-zk")
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model
