"""Writes the files that circuits/ and the verifier read: encoder.onnx, head.npz, generator.onnx."""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from circuits.digests import write_atomically
from circuits.errors import ModelFileError
from fpm.encoder import CHANNELS, PATCH, SIDE, Encoder
from fpm.latent import FEATURES, Z_DIM
from fpm.stylegan2 import Generator
from fpm.synthetic import GRID, TERMS

OPSET = 17


def encoder_graph(encoder: Encoder) -> onnx.ModelProto:
    """The encoder as ONNX: `terms` float32 [6,16,16] -> `features` float32 [128].

    Nodes in order: Reshape, Transpose, Reshape (patches [16,96]), MatMul w1 [96,16], Relu, Transpose, Reshape [1,256],
    MatMul w2 [256,128], Reshape. See `encoder` for the layout. Nothing else, so circuits/ can splice it.
    """
    w1, w2 = (w.detach().numpy().astype(np.float32) for w in (encoder.w1, encoder.w2))
    shapes = {
        "shape_cut": [TERMS, SIDE, PATCH, SIDE, PATCH],
        "shape_patches": [SIDE * SIDE, TERMS * PATCH * PATCH],
        "shape_flat": [1, CHANNELS * SIDE * SIDE],
        "shape_features": [FEATURES],
    }
    constants = [numpy_helper.from_array(w1, "w1"), numpy_helper.from_array(w2, "w2")]
    constants += [numpy_helper.from_array(np.array(s, dtype=np.int64), n) for n, s in shapes.items()]
    node = helper.make_node
    nodes = [
        node("Reshape", ["terms", "shape_cut"], ["cut"]),
        node("Transpose", ["cut"], ["blocks"], perm=[1, 3, 0, 2, 4]),
        node("Reshape", ["blocks", "shape_patches"], ["patches"]),
        node("MatMul", ["patches", "w1"], ["linear"]),
        node("Relu", ["linear"], ["hidden"]),
        node("Transpose", ["hidden"], ["channels"], perm=[1, 0]),
        node("Reshape", ["channels", "shape_flat"], ["flat"]),
        node("MatMul", ["flat", "w2"], ["row"]),
        node("Reshape", ["row", "shape_features"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "huref-encoder",
        [helper.make_tensor_value_info("terms", TensorProto.FLOAT, [TERMS, GRID, GRID])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [FEATURES])],
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
        encoder, weight [512,128], bias [512].

    Raises:
        ModelFileError: a file is missing, damaged, or of another shape.
    """
    try:
        model = onnx.load(folder / "encoder.onnx")
        weights = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        with np.load(folder / "head.npz", allow_pickle=False) as head:
            weight, bias = head["weight"], head["bias"]
        encoder = Encoder()
        with torch.no_grad():
            encoder.w1.copy_(torch.from_numpy(weights["w1"].copy()))
            encoder.w2.copy_(torch.from_numpy(weights["w2"].copy()))
    except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile, onnx.checker.ValidationError) as error:
        raise ModelFileError(f"{folder}: encoder.onnx or head.npz: {error}", step="load encoder") from error
    if weight.shape != (Z_DIM, FEATURES) or bias.shape != (Z_DIM,):
        raise ModelFileError(
            f"{folder / 'head.npz'}: weight {weight.shape}, bias {bias.shape}",
            step="load encoder",
            hint="expected [512,128] and [512]",
        )
    return encoder.eval(), weight, bias
