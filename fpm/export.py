"""Writes the files that circuits/ and the verifier read: encoder.onnx, head.npz, generator.onnx."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from circuits.digests import write_atomically
from circuits.errors import ModelFileError
from fpm.encoder import Architecture, Encoder, Second
from fpm.latent import Z_DIM
from fpm.stylegan2 import Generator
from fpm.synthetic import GRID, TERMS

OPSET = 17


def encoder_graph(encoder: Encoder) -> onnx.ModelProto:
    """The encoder as ONNX: `terms` float32 [6,16,16] -> `features` float32 [F].

    Nodes in order: Reshape, Transpose, Reshape (patches), MatMul w1, Relu if there is one, for a dense second matrix
    Transpose and Reshape (channel by channel), MatMul w2 if there is one, Reshape. See `encoder` for the layout.
    Nothing else, so circuits/ can splice it.
    """
    form = encoder.architecture
    across = GRID // form.patch
    node = helper.make_node
    shapes = {
        "shape_cut": [TERMS, across, form.patch, across, form.patch],
        "shape_patches": [form.patches, form.entries],
        "shape_features": [form.features],
    }
    nodes = [
        node("Reshape", ["terms", "shape_cut"], ["cut"]),
        node("Transpose", ["cut"], ["blocks"], perm=[1, 3, 0, 2, 4]),
        node("Reshape", ["blocks", "shape_patches"], ["patches"]),
        node("MatMul", ["patches", "w1"], ["linear"]),
    ]
    last = "linear"
    if form.relu:
        nodes.append(node("Relu", [last], ["hidden"]))
        last = "hidden"
    if form.second == "dense":
        shapes["shape_flat"] = [1, form.channels * form.patches]
        nodes += [
            node("Transpose", [last], ["channels"], perm=[1, 0]),
            node("Reshape", ["channels", "shape_flat"], ["flat"]),
        ]
        last = "flat"
    if form.second != "none":
        nodes.append(node("MatMul", [last, "w2"], ["rows"]))
        last = "rows"
    nodes.append(node("Reshape", [last, "shape_features"], ["features"]))
    constants = [
        numpy_helper.from_array(w.detach().numpy().astype(np.float32), name) for name, w in encoder.named_parameters()
    ]
    constants += [numpy_helper.from_array(np.array(s, dtype=np.int64), n) for n, s in shapes.items()]
    graph = helper.make_graph(
        nodes,
        "huref-encoder",
        [helper.make_tensor_value_info("terms", TensorProto.FLOAT, [TERMS, GRID, GRID])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [form.features])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="huref-zk", ir_version=8
    )
    onnx.checker.check_model(model)
    return model


class PublishedGenerator(nn.Module):
    """The generator with the clamp, as the verifier runs it."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor) -> Tensor:
        """z [1,512] -> picture [1,3,size,size] in [-1,1]."""
        picture: Tensor = self.generator(z)
        return picture.clamp(-1.0, 1.0)


def save_encoder(
    encoder: Encoder, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], folder: Path
) -> None:
    """Writes encoder.onnx and head.npz, with the same bytes for the same numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "encoder.onnx").write_bytes(encoder_graph(encoder).SerializeToString(deterministic=True))
    # np.savez would stamp the time of writing; fixed stamps keep the digest.
    with zipfile.ZipFile(folder / "head.npz", "w", zipfile.ZIP_STORED) as archive:
        for name, array in (("weight", weight), ("bias", bias)):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), "w") as entry:
                np.lib.format.write_array(entry, np.ascontiguousarray(array, dtype=np.float32), allow_pickle=False)


def generator_bytes(generator: Generator) -> bytes:
    """The generator as ONNX, opset 17: `z` float32 [1,512] -> `image` float32 [1,3,size,size]; same bytes each time."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder, "generator.onnx")
        warnings.filterwarnings(
            "ignore", "torch.tensor results are registered as constants"
        )  # the filter's taps: right
        warnings.simplefilter("ignore", DeprecationWarning)  # of the exporter that writes plain opset 17
        torch.onnx.export(
            PublishedGenerator(generator).eval(),
            (torch.zeros(1, Z_DIM),),
            str(path),
            opset_version=OPSET,
            input_names=["z"],
            output_names=["image"],
            dynamo=False,
            do_constant_folding=True,
        )
        model = onnx.load(path)
    _sum_stored_tensors(model.graph)
    for node in model.graph.node:
        node.doc_string = ""  # torch writes source paths of this machine there
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _sum_stored_tensors(graph: onnx.GraphProto) -> None:
    """Puts sums in the place of tensors that are only summed: else each weight is stored twice, the second squared."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    constants = {node.output[0]: node for node in graph.node if node.op_type == "Constant"}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in [node for node in graph.node if node.op_type == "ReduceSum"]:
        tensor = stored.get(node.input[0])
        if tensor is None or uses[tensor.name] != 1:
            continue
        constant = constants[node.input[1]]
        axes = tuple(int(axis) for axis in numpy_helper.to_array(constant.attribute[0].t))
        keep = any(attribute.name == "keepdims" and attribute.i for attribute in node.attribute)
        total = numpy_helper.to_array(tensor).sum(axes, dtype=np.float64, keepdims=keep).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(total, node.output[0]))
        graph.initializer.remove(tensor)
        graph.node.remove(node)
        uses[constant.output[0]] -= 1
        if not uses[constant.output[0]]:
            graph.node.remove(constant)


def save_generator(generator: Generator, folder: Path) -> None:
    """Writes generator.onnx; StorageError on a full or read-only disk."""
    write_atomically(folder / "generator.onnx", generator_bytes(generator))


def load_encoder(folder: Path) -> tuple[Encoder, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Reads the published encoder and head back.

    Returns:
        encoder, weight [512,F], bias [512].

    Raises:
        ModelFileError: a file is missing, damaged, or of another shape.
    """
    try:
        model = onnx.load(folder / "encoder.onnx")
        constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        with np.load(folder / "head.npz", allow_pickle=False) as head:
            weight, bias = head["weight"], head["bias"]
        encoder = Encoder(_architecture(constants, {node.op_type for node in model.graph.node}))
        with torch.no_grad():
            for name, parameter in encoder.named_parameters():
                parameter.copy_(torch.from_numpy(constants[name].copy()))
        if encoder_graph(encoder).graph.node != model.graph.node:
            raise ValueError("the graph is not one that fpm exports")
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, onnx.checker.ValidationError) as error:
        raise ModelFileError(f"{folder}: encoder.onnx or head.npz: {error}", step="load encoder") from error
    features = encoder.architecture.features
    if weight.shape != (Z_DIM, features) or bias.shape != (Z_DIM,):
        raise ModelFileError(
            f"{folder / 'head.npz'}: weight {weight.shape}, bias {bias.shape}",
            step="load encoder",
            hint=f"expected [512,{features}] and [512]",
        )
    return encoder.eval(), weight, bias


def _architecture(constants: Mapping[str, npt.NDArray[Any]], operators: Set[str]) -> Architecture:
    """What `encoder_graph` was given, from its constants' shapes."""
    side, channels = int(constants["shape_cut"][2]), constants["w1"].shape[1]
    form = Architecture(side, channels, "Relu" in operators)
    if "w2" in constants:
        second: Second = "dense" if "shape_flat" in constants else "patch"
        form = replace(form, second=second, out=constants["w2"].shape[1])
    if side < 1 or GRID % side:
        raise ValueError(f"patches of side {side}")
    return form
