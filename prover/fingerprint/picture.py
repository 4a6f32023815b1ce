"""From the encoder circuit's public features to z and the picture (docs/protocol.md, section 6)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from circuits.errors import CheckpointError, ModelFileError
from circuits.onnx_runtime import onnxruntime
from circuits.size_classes import FIELD_MODULUS

Z_LENGTH = 512
SHORTEST_Z = 8.0  # of |W f + b|: rounding would decide where a shorter z points, and the verifier refuses it


def features_of(instances: Sequence[int], scale: int) -> npt.NDArray[np.float64]:
    """Field elements -> signed integers -> floats: the encoder's features, [n]."""
    signed = [x - FIELD_MODULUS if x > FIELD_MODULUS // 2 else x for x in instances]
    return np.array([x / 2**scale for x in signed], dtype=np.float64)


def z_of(features: npt.NDArray[np.float64], head: Path) -> npt.NDArray[np.float64]:
    """`z = W f + b`, then scaled to length sqrt(512): [512].

    Raises:
        ModelFileError: the head does not fit.
        CheckpointError: z is shorter than 8 before it is scaled.
    """
    try:
        with np.load(head, allow_pickle=False) as arrays:
            weight, bias = arrays["weight"].astype(np.float64), arrays["bias"].astype(np.float64)
        z = weight @ features + bias
    except (OSError, KeyError, ValueError) as error:
        raise ModelFileError(f"{head}: {error}", step="z", hint="the published file has weight and bias") from None
    norm = float(np.sqrt(z @ z))
    if z.shape != (Z_LENGTH,) or not np.isfinite(norm):
        raise ModelFileError(f"{head}: gives z of shape {z.shape} and length {norm}", step="z")
    if norm < SHORTEST_Z:
        raise CheckpointError(
            f"terms: z is {norm:.3g} long before it is scaled, at least {SHORTEST_Z:g} is needed",
            step="z",
            hint="the six terms cancel in the encoder, which those of no trained model do: is this a model's weights?",
        )
    return np.asarray(z * (np.sqrt(Z_LENGTH) / norm))


def picture_of(z: npt.NDArray[np.float64], generator: Path) -> bytes:
    """G(z) as PNG bytes, 8-bit RGB."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(generator), options, providers=["CPUExecutionProvider"])
    (image,) = session.run(["image"], {"z": z.astype(np.float32)[None]})
    pixels = np.clip(np.rint((image[0].astype(np.float64) + 1) * 127.5), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)), "RGB").save(stream, "PNG", optimize=True)
    return stream.getvalue()
