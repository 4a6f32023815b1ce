"""The encoder circuit: range check, per-term norms, and the published encoder, on one committed vector S'.

The encoder's own graph comes from `fpm/`; this module puts the checks in front of it.
Source: docs/protocol.md, section 6.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, compose, helper

from circuits.errors import CircuitError
from circuits.link_circuit import IR_VERSION, OPSET
from circuits.size_classes import TERM_COUNT, SizeClass

ALLOWED_OPERATORS = frozenset({"Reshape", "Transpose", "MatMul", "Einsum", "Relu", "Constant", "Identity"})


def encoder_circuit_graph(size: SizeClass, g: int, shift: int, encoder: onnx.ModelProto) -> onnx.ModelProto:
    """The graph: input [N], output [6 + features].

    The division by `2^shift` comes first: it is the range check that ezkl does not do for `polycommit` inputs, and the
    norms and the encoder read nothing but its result. Raises CircuitError when `encoder` (input `terms` [6, g, g],
    output `features` [n]) is of another form.
    """
    _check_encoder(encoder, g)
    count = TERM_COUNT * g * g
    constants = [
        helper.make_tensor("checked_start", TensorProto.INT64, [1], [0]),
        helper.make_tensor("checked_end", TensorProto.INT64, [1], [count]),
        helper.make_tensor("checked_axis", TensorProto.INT64, [1], [0]),
        helper.make_tensor("divisor", TensorProto.FLOAT, [1], [2.0**shift]),
        helper.make_tensor("terms_shape", TensorProto.INT64, [3], [TERM_COUNT, g, g]),
        helper.make_tensor("rows_shape", TensorProto.INT64, [2], [TERM_COUNT, g * g]),
    ]
    nodes = [
        helper.make_node("Slice", ["committed", "checked_start", "checked_end", "checked_axis"], ["entries"]),
        helper.make_node("Div", ["entries", "divisor"], ["checked"]),
        helper.make_node("Reshape", ["checked", "terms_shape"], ["checked_terms"]),
    ]
    # One einsum for all six sums: six slices would each be divided, and checked, on their own.
    nodes += [
        helper.make_node("Reshape", ["checked_terms", "rows_shape"], ["checked_rows"]),
        helper.make_node("Einsum", ["checked_rows", "checked_rows"], ["norms"], equation="ta,ta->t"),
    ]
    outputs = [
        helper.make_tensor_value_info("checked_terms", TensorProto.FLOAT, [TERM_COUNT, g, g]),
        helper.make_tensor_value_info("norms", TensorProto.FLOAT, [TERM_COUNT]),
    ]
    committed = helper.make_tensor_value_info("committed", TensorProto.FLOAT, [size.length])
    checks = helper.make_model(
        helper.make_graph(nodes, "huref-checks", [committed], outputs, constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="huref-zk",
    )
    checks.ir_version = encoder.ir_version
    model = compose.merge_models(
        checks,
        compose.add_prefix(encoder, "encoder/"),
        io_map=[("checked_terms", "encoder/terms")],
        outputs=["norms", "encoder/features"],
    )
    graph = model.graph
    features = graph.output[-1].type.tensor_type.shape.dim[0].dim_value
    graph.node.append(helper.make_node("Concat", ["norms", "encoder/features"], ["norms_and_features"], axis=0))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("norms_and_features", TensorProto.FLOAT, [TERM_COUNT + features]))
    graph.name = "huref-encoder"
    model.producer_name = "huref-zk"
    model.producer_version = ""
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    return model


def _check_encoder(encoder: onnx.ModelProto, g: int) -> None:
    graph = encoder.graph
    shape = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)]
    names = [v.name for v in (*graph.input, *graph.output)]
    if names != ["terms", "features"] or shape[0] != [TERM_COUNT, g, g] or len(shape[1]) != 1:
        raise CircuitError(
            f"encoder.onnx has inputs and outputs {dict(zip(names, shape, strict=True))}",
            step="encoder circuit",
            hint=f"it must map terms [{TERM_COUNT}, {g}, {g}] to features [n]; export it with fpm",
        )
    foreign = sorted({node.op_type for node in graph.node} - ALLOWED_OPERATORS)
    opset = {o.domain: o.version for o in encoder.opset_import}
    if foreign or opset != {"": OPSET}:
        raise CircuitError(
            f"encoder.onnx uses operators {foreign} and opset {opset}",
            step="encoder circuit",
            hint=f"opset {OPSET} and only {sorted(ALLOWED_OPERATORS)}: others were not reviewed for soundness in ezkl",
        )
