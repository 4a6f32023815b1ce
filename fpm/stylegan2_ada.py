"""Official StyleGAN2-ADA checkpoints (github.com/NVlabs/stylegan2-ada-pytorch, `*.pkl`) as this project's generator.

The network in the file is described by attributes and tensors; its pickled source code is never looked at. The
mathematics are those of `fpm.stylegan2`; the two differ in how weights are scaled when stored:

    mapping, styles   official  x (W lr / sqrt(n)) + b lr      here  x (W' / sqrt(n)) + b'    W' = W lr, b' = b lr
    convolutions      official  W                              here  W' / sqrt(9 n)           W' = W sqrt(9 n)
    toRGB             official  W s / sqrt(n)                  here  W' s / sqrt(n)           W' = W

What the file could say and this generator cannot do is refused, naming the field: docs/generator-import.md.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from circuits.errors import CheckpointError, UsageError
from fpm.export import generator_bytes
from fpm.latent import Z_DIM
from fpm.pickle_reader import ModuleRecord, TensorRecord, read_checkpoint_pickle
from fpm.stylegan2 import Generator, GeneratorConfig, Mapping

MAX_FILE_BYTES = 1 << 30  # official files have up to 380 MB: two generators and a discriminator
MAX_SIDE = 1024  # pixels; the largest official checkpoint, and the verifier's 4 MiB of PNG hold no more
MAX_LAYERS = 32  # of the mapping network; official ones have 2 or 8
MAX_WIDTH = 1024  # feature maps, and entries of w; official ones have at most 512
STEP = "import generator"
_HINT = "only unconditional StyleGAN2-ADA generators of 'skip' architecture can be imported: docs/generator-import.md"
STYLEGAN3 = "a StyleGAN3 checkpoint: only StyleGAN2-ADA checkpoints can be imported"

Floats = npt.NDArray[np.float32]
Weights = dict[str, Floats]


class TruncatedMapping(Mapping):
    """z [B,512] -> w_avg + psi (w - w_avg) [B,w_dim]: the truncation trick, for every layer."""

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig, psi: float) -> None:
        super().__init__(config)
        self.psi = psi
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor) -> Tensor:
        """Normalises z, applies the layers, and moves w towards the average of all w."""
        return self.w_avg + self.psi * (super().forward(z) - self.w_avg)


class _Fields:
    """A module of the file, with its place for messages, such as `G_ema.synthesis.b8.conv0`."""

    def __init__(self, record: object, where: str, class_name: str) -> None:
        self.where = where
        if not isinstance(record, ModuleRecord):
            raise CheckpointError(f"{where}: missing, or not a network", step=STEP, hint=_HINT)
        self.state = record.state
        self.modules, self.tensors = self._dictionary("_modules"), dict(self._dictionary("_parameters"))
        self.tensors.update(self._dictionary("_buffers"))
        if "input" in self.modules:
            raise CheckpointError(f"{where}: {STYLEGAN3}", step=STEP)
        if record.class_name != class_name:
            self.fail(f"of class {_shown(record.class_name)}, not {class_name}")

    def fail(self, problem: str) -> NoReturn:
        """Refuses this module."""
        raise CheckpointError(f"{self.where}: {problem}", step=STEP, hint=_HINT)

    def _dictionary(self, name: str) -> dict[str, object]:
        value = self.state.get(name)
        if type(value) is not dict:
            self.fail(f"{name} is missing")
        return value

    def child(self, name: str, class_name: str) -> _Fields:
        """The module inside this one."""
        return _Fields(self.modules.get(name), f"{self.where}.{name}", class_name)

    def only(self, *children: str) -> None:
        """Refuses other modules inside this one than `children`."""
        if set(self.modules) != set(children):
            self.fail(f"holds {_shown(', '.join(self.modules))}, not {', '.join(children)}")

    def expect(self, name: str, value: object, why: str = "") -> None:
        """Refuses another value of an attribute."""
        given = self.state.get(name)
        if type(given) is not type(value) or given != value:
            self.fail(f"{name} is {_shown(given)}, not {_shown(value)}{why and ': '}{why}")

    def whole(self, name: str, low: int, high: int) -> int:
        """An attribute that is a whole number from `low` to `high`."""
        value = self.state.get(name)
        if type(value) is not int or not low <= value <= high:
            self.fail(f"{name} is {_shown(value)}, not a number from {low} to {high}")
        return value

    def real(self, name: str) -> float:
        """An attribute that is a positive number."""
        value = self.state.get(name)
        if type(value) not in (int, float) or not 0 < value < 1e6:  # type: ignore[operator]
            self.fail(f"{name} is {_shown(value)}, not a positive number")
        return float(value)  # type: ignore[arg-type]

    def tensor(self, name: str, *shape: int | None, scale: float = 1.0) -> Floats:
        """A parameter or buffer, scaled, as finite float32; `None` in the shape is any length up to MAX_WIDTH."""
        record = self.tensors.get(name)
        if not isinstance(record, TensorRecord):
            self.fail(f"{name} is missing")
        fits = len(record.shape) == len(shape) and all(
            n == wanted or (wanted is None and n <= MAX_WIDTH) for n, wanted in zip(record.shape, shape, strict=True)
        )
        if not fits or 0 in record.shape:
            self.fail(f"{name} has shape {list(record.shape)}, not {['any' if n is None else n for n in shape]}")
        try:
            array = record.array()
        except ValueError as error:
            self.fail(f"{name}: {error}")
        if array.dtype != np.float32:
            self.fail(f"{name} is not float32")
        with np.errstate(over="ignore"):
            scaled: Floats = array.astype(np.float32) * np.float32(scale)
        if not np.isfinite(scaled).all():
            self.fail(f"{name} holds numbers that are not finite, or too large")
        return scaled


def _shown(value: object) -> str:
    """A value of the file in a message: short, without control characters, never walked through."""
    if isinstance(value, str):
        return ascii(value[:60])
    if value is None or isinstance(value, bool | int | float):
        return str(value)
    return f"a {type(value).__name__}"


def read_generator(path: Path, psi: float = 1.0) -> Generator:
    """The generator `G_ema` of an official checkpoint, float32, without noise.

    Args:
        path: the `.pkl` file, at most MAX_FILE_BYTES.
        psi: truncation, above 0 to 1. Below 1 every w moves towards the average w: cleaner pictures, more alike.

    Raises:
        UsageError: psi is out of range.
        CheckpointError: not a file, damaged, asks for code, or of a kind that the generator cannot do.
    """
    if not 0.0 < psi <= 1.0:
        raise UsageError(f"truncation psi {psi}: must be above 0 and at most 1", step=STEP)
    document = read_checkpoint_pickle(_read(path), str(path))
    if type(document) is not dict or "G_ema" not in document:
        raise CheckpointError(f"{path}: no G_ema in it", step=STEP, hint="a network-snapshot .pkl file is needed")
    network = _Fields(document["G_ema"], f"{path}: G_ema", "Generator")
    config, weights = _parse(network, psi)
    generator = Generator(config)
    if psi != 1.0:
        generator.mapping = TruncatedMapping(config, psi)
    generator.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return generator.eval().requires_grad_(False)


def import_generator(path: Path, psi: float = 1.0) -> bytes:
    """The ONNX file of an official checkpoint's generator: see `read_generator` and `export.generator_bytes`."""
    return generator_bytes(read_generator(path, psi))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_size > MAX_FILE_BYTES:
                raise CheckpointError(f"{path}: larger than {MAX_FILE_BYTES} bytes", step=STEP)
            data = stream.read()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}", step=STEP) from None
    if data[:2] == b"PK":
        raise CheckpointError(
            f"{path}: a zip archive, as torch.save writes, not the official pickle", step=STEP, hint=_HINT
        )
    return data


def _parse(network: _Fields, psi: float) -> tuple[GeneratorConfig, Weights]:
    """Configuration and weights, by this project's names. Raises CheckpointError, naming the field."""
    network.only("synthesis", "mapping")
    network.expect("z_dim", Z_DIM, "the encoder's z has 512 entries")
    network.expect("c_dim", 0, "a conditional network draws classes, not z alone")
    network.expect("img_channels", 3)
    size = network.whole("img_resolution", 8, MAX_SIDE)
    if size & (size - 1):
        network.fail(f"img_resolution is {size}, not a power of two")
    w_dim = network.whole("w_dim", 1, MAX_WIDTH)
    mapping = network.child("mapping", "MappingNetwork")
    layers = mapping.whole("num_layers", 1, MAX_LAYERS)
    mapping.only(*(f"fc{i}" for i in range(layers)))
    weights: Weights = {}
    for i in range(layers):
        _linear(
            mapping.child(f"fc{i}", "FullyConnectedLayer"),
            Z_DIM if i == 0 else w_dim,
            w_dim,
            "lrelu",
            weights,
            f"mapping.layers.{i}",
        )
    if psi != 1.0:
        weights["mapping.w_avg"] = mapping.tensor("w_avg", w_dim)
    synthesis = network.child("synthesis", "SynthesisNetwork")
    sides = [4 << i for i in range(size.bit_length() - 2)]
    synthesis.only(*(f"b{side}" for side in sides))
    blocks = [synthesis.child(f"b{side}", "SynthesisBlock") for side in sides]
    clamp = _clamp(blocks[0].child("conv1", "SynthesisLayer"))
    channels: list[int] = []
    for i, block in enumerate(blocks):
        channels.append(_block(block, i, channels[-1] if i else 0, w_dim, clamp, weights))
    config = GeneratorConfig(tuple(channels), w_dim, layers, places=False, conv_clamp=clamp)
    return config, weights


def _clamp(layer: _Fields) -> float | None:
    return None if layer.state.get("conv_clamp") is None else layer.real("conv_clamp")


def _same_clamp(layer: _Fields, clamp: float | None) -> None:
    if _clamp(layer) != clamp:
        layer.fail(f"conv_clamp is {_shown(layer.state.get('conv_clamp'))}, and {_shown(clamp)} in the first layer")


def _block(block: _Fields, i: int, inputs: int, w_dim: int, clamp: float | None, weights: Weights) -> int:
    """One resolution. Returns its number of feature maps."""
    block.expect("architecture", "skip")
    block.only(*(["conv0"] if i else []), "conv1", "torgb")
    outputs: int = block.child("conv1", "SynthesisLayer").tensor("weight", None, None, 3, 3).shape[0]
    name = f"blocks.{i}"
    if i:
        _filter(block)
        _convolution(block.child("conv0", "SynthesisLayer"), inputs, outputs, w_dim, 2, clamp, weights, f"{name}.up")
    else:
        weights["const"] = block.tensor("const", outputs, 4, 4)[None]
    _convolution(block.child("conv1", "SynthesisLayer"), outputs, outputs, w_dim, 1, clamp, weights, f"{name}.conv")
    color = block.child("torgb", "ToRGBLayer")
    _same_clamp(color, clamp)
    gain = color.real("weight_gain")
    if not math.isclose(gain, 1.0 / math.sqrt(outputs), rel_tol=1e-6):
        color.fail(f"weight_gain is {gain}, not 1 / sqrt({outputs})")
    weights[f"{name}.to_rgb.weight"] = color.tensor("weight", 3, outputs, 1, 1)[:, :, 0, 0]
    weights[f"{name}.to_rgb.bias"] = color.tensor("bias", 3)
    _linear(color.child("affine", "FullyConnectedLayer"), w_dim, outputs, "linear", weights, f"{name}.to_rgb.style")
    return outputs


def _convolution(
    layer: _Fields, inputs: int, outputs: int, w_dim: int, up: int, clamp: float | None, weights: Weights, name: str
) -> None:
    layer.expect("up", up)
    layer.expect("padding", 1)
    layer.expect("activation", "lrelu")
    if not math.isclose(layer.real("act_gain"), math.sqrt(2.0), rel_tol=1e-6):
        layer.fail(f"act_gain is {layer.real('act_gain')}, not sqrt(2)")
    _same_clamp(layer, clamp)
    if up == 2:
        _filter(layer)
    scale = math.sqrt(inputs * 9)
    weights[f"{name}.weight"] = layer.tensor("weight", outputs, inputs, 3, 3, scale=scale)
    weights[f"{name}.bias"] = layer.tensor("bias", outputs)
    _linear(layer.child("affine", "FullyConnectedLayer"), w_dim, inputs, "linear", weights, f"{name}.style")


def _linear(layer: _Fields, inputs: int, outputs: int, activation: str, weights: Weights, name: str) -> None:
    layer.expect("activation", activation)
    rate = layer.real("bias_gain")  # the learning rate's multiplier
    if not math.isclose(layer.real("weight_gain"), rate / math.sqrt(inputs), rel_tol=1e-6):
        layer.fail(f"weight_gain is {layer.real('weight_gain')}, not bias_gain / sqrt({inputs})")
    weights[f"{name}.weight"] = layer.tensor("weight", outputs, inputs, scale=rate)
    weights[f"{name}.bias"] = layer.tensor("bias", outputs, scale=rate)


def _filter(layer: _Fields) -> None:
    """Refuses another filter than [1,3,3,1] x [1,3,3,1] / 64."""
    taps = np.array([1.0, 3.0, 3.0, 1.0]) / 8.0
    if not np.allclose(layer.tensor("resample_filter", 4, 4), np.outer(taps, taps), rtol=0, atol=1e-6):
        layer.fail("resample_filter is another than [1,3,3,1]")
