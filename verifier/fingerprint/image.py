"""Step 9, image: the published picture equals G(z) (docs/protocol.md section 9).

The PNG is taken apart here before any library decodes it: signature, header, data, end, checksums, exact length when
inflated, nothing else. Other chunks could make programs show another picture than the one compared (gamma, colour
profiles, animation).
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verifier.formats import limits
from verifier.formats.errors import BadInstallation, Rejected, ToolFailure, Unreadable
from verifier.trust.profile import Profile

Pixels = npt.NDArray[np.uint8]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB8 = (8, 2, 0, 0, 0)  # bit depth, colour type RGB, deflate, standard filters, not interlaced


@dataclass(frozen=True)
class Picture:
    """uint8 [height, width, 3]."""

    pixels: Pixels


def read_picture(data: bytes, name: str) -> Picture:
    """Decode a strict PNG.

    Raises:
        Unreadable: not a PNG, damaged, or too large.
        Rejected: a PNG of another kind than 8-bit RGB, or with more in it than a picture.
    """
    from PIL import Image, UnidentifiedImageError

    width, height, packed = _take_apart(data, name)
    expected = height * (1 + 3 * width)  # a filter byte and three channels, for each row
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(packed, expected + 1)
    except zlib.error:
        raise Unreadable(f"{name}: damaged picture data") from None
    if len(raw) != expected or not inflate.eof or inflate.unused_data or max(raw[:: 1 + 3 * width]) > 4:
        raise Rejected(f"{name}: picture data of another length than {width} x {height} pixels", code="png")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            pixels = np.asarray(image)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise Unreadable(f"{name}: not a readable PNG ({type(error).__name__})") from None
    if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
        raise Rejected(f"{name}: not 8-bit RGB", code="png")
    return Picture(pixels)


def _take_apart(data: bytes, name: str) -> tuple[int, int, bytes]:
    """Width, height, and the IDAT chunks' bytes joined."""
    if len(data) > limits.MAX_PICTURE_BYTES or not data.startswith(_SIGNATURE):
        raise Unreadable(f"{name}: not a PNG, or larger than {limits.MAX_PICTURE_BYTES} bytes")
    position, header, packed, ended = len(_SIGNATURE), b"", [], False
    while position < len(data):
        if ended:
            raise Rejected(f"{name}: data after the end of the picture", code="png")
        size, kind = struct.unpack_from(">I4s", data, position) if len(data) - position >= 12 else (1 << 32, b"")
        end = position + 12 + size
        if end > len(data):
            raise Unreadable(f"{name}: cut short")
        content = data[position + 8 : end - 4]
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise Unreadable(f"{name}: checksum of a chunk is wrong")
        if kind == b"IHDR" and not header and len(content) == 13:
            header = content
            _check_header(header, name)
        elif kind == b"IDAT" and header:
            packed.append(content)
        elif kind == b"IEND" and packed and not content:
            ended = True
        else:
            raise Rejected(f"{name}: chunk {kind!r} does not belong in a fingerprint", code="png")
        position = end
    if not ended:
        raise Unreadable(f"{name}: cut short")
    width, height = struct.unpack_from(">II", header)
    return width, height, b"".join(packed)


def _check_header(header: bytes, name: str) -> None:
    width, height, *kind = struct.unpack(">IIBBBBB", header)
    if not (1 <= width <= limits.MAX_PICTURE_SIDE and 1 <= height <= limits.MAX_PICTURE_SIDE):
        raise Unreadable(f"{name}: {width} x {height} pixels, the limit is {limits.MAX_PICTURE_SIDE}", code="too-large")
    if tuple(kind) != _RGB8:
        raise Rejected(f"{name}: not 8-bit RGB without interlacing", code="png")


# ---------------------------------------- G(z)


def render(generator: bytes, z: npt.NDArray[np.float64]) -> Pixels:
    """G(z): uint8 [height, width, 3], from a generator ONNX with one input [1, 512] and one output [1, 3,
    height, width].

    Run on the CPU in one thread without graph optimisations, so that machines agree closely.
    A float output is in [-1, 1] and becomes `round((x + 1) * 127.5)`; a uint8 output is taken as it is.

    Raises:
        ToolFailure: onnxruntime refuses.
        BadInstallation: the generator has another shape.
    """
    # or it sends its maker what is run, and keeps a device id in the user's cache (1.29 on): the verifier is silent
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as ort
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    kinds = (
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NotImplemented",
        "RuntimeException",
        "EPFail",
    )
    refusals = tuple(getattr(state, kind) for kind in kinds)
    ort.set_default_logger_severity(4)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(generator, options, providers=["CPUExecutionProvider"])
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise BadInstallation(f"generator.onnx: {len(inputs)} inputs instead of one")
        dtype = np.float64 if inputs[0].type == "tensor(double)" else np.float32
        (output,) = session.run(None, {inputs[0].name: z.astype(dtype)[None, :]})[:1]
    except (RuntimeError, ValueError, *refusals) as error:
        raise ToolFailure(f"onnxruntime could not run the generator: {str(error)[:200]}") from None
    image = np.asarray(output)
    if image.ndim != 4 or image.shape[:2] != (1, 3):
        raise BadInstallation(f"generator.onnx: output of shape {image.shape} instead of [1, 3, height, width]")
    if image.dtype != np.uint8:
        image = np.clip(np.rint((image.astype(np.float64) + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image[0].transpose(1, 2, 0))


def compare(published: Pixels, rendered: Pixels, profile: Profile) -> int:
    """Largest difference of a channel; at most the profile's tolerance.

    Raises:
        Rejected: another size, or a pixel that differs by more.
    """
    size = (profile.height, profile.width, 3)
    if rendered.shape != size:
        raise BadInstallation(f"generator.onnx: a picture of shape {rendered.shape} instead of {size}")
    if published.shape != size:
        raise Rejected(f"fingerprint.png: not {profile.width} x {profile.height} pixels", code="image-size")
    difference = np.abs(published.astype(np.int16) - rendered.astype(np.int16))
    worst = int(difference.max())
    if worst > profile.tolerance:
        row, column, _ = np.unravel_index(int(difference.argmax()), difference.shape)
        pixels = int((difference.max(axis=2) > profile.tolerance).sum())
        raise Rejected(
            f"fingerprint.png: {pixels} pixels differ from G(z) by more than {profile.tolerance}; the worst, "
            f"by {worst}, at column {column}, row {row}",
            code="image",
        )
    return worst
