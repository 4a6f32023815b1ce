"""Checkpoints in the official StyleGAN2-ADA format, and the paper's equations, written slowly.

The stand-in classes have the attributes, parameters and buffers of training/networks.py, and are pickled as
torch_utils/persistence.py does. They draw nothing; `picture` computes what such a network draws, from the tensors.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import sys
import types
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

ADDRESS = re.compile(rb"(?<=X[\x0d-\x0f]\0\0\0)\d{13,15}")  # text of that length: torch names a storage after its place
SOURCE = "import torch\n\nclass Generator(torch.nn.Module):\n    pass\n"


class EasyDict(dict):
    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def _reconstruct_persistent_obj(meta):
    raise RuntimeError("the stand-in was called: somebody unpickled for real")


EasyDict.__module__, EasyDict.__qualname__ = "dnnlib.util", "EasyDict"
_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"


@contextmanager
def official_modules():
    """`torch_utils.persistence` and `dnnlib.util` can be imported while a checkpoint is pickled, and only then."""
    persistence, util = types.ModuleType("torch_utils.persistence"), types.ModuleType("dnnlib.util")
    persistence._reconstruct_persistent_obj = _reconstruct_persistent_obj
    util.EasyDict = EasyDict
    names = {
        "torch_utils": types.ModuleType("torch_utils"),
        "torch_utils.persistence": persistence,
        "dnnlib": types.ModuleType("dnnlib"),
        "dnnlib.util": util,
    }
    sys.modules.update(names)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


class Persistent(nn.Module):
    """Pickled by torch_utils.persistence: one call with the class's name, its source code and the object's state."""

    module_src = SOURCE
    version = 6

    def __init__(self, *args, **kwargs):
        super().__init__()
        self.__dict__["_init_args"] = args
        self.__dict__["_init_kwargs"] = EasyDict(kwargs)

    def __reduce_ex__(self, protocol):
        meta = {
            "type": "class",
            "version": self.version,
            "module_src": self.module_src,
            "class_name": type(self).__name__,
            "state": dict(self.__dict__),
        }
        return _reconstruct_persistent_obj, (meta,), None


def fir():
    f = torch.tensor([1.0, 3.0, 3.0, 1.0])
    f = f.ger(f)
    return f / f.sum()


class FullyConnectedLayer(Persistent):
    def __init__(self, inputs, outputs, activation="linear", lr_multiplier=1, bias_init=0):
        super().__init__(inputs, outputs, activation=activation, lr_multiplier=lr_multiplier, bias_init=bias_init)
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], float(bias_init)) + 0.2 * torch.randn(outputs) / lr_multiplier)
        self.weight_gain = lr_multiplier / np.sqrt(inputs)  # numpy's float64, as in the original
        self.bias_gain = lr_multiplier


class SynthesisLayer(Persistent):
    def __init__(self, inputs, outputs, w_dim, resolution, up=1, conv_clamp=None):
        super().__init__(inputs, outputs, w_dim=w_dim, resolution=resolution)
        self.resolution, self.up, self.use_noise, self.activation = resolution, up, True, "lrelu"
        self.conv_clamp = conv_clamp
        self.register_buffer("resample_filter", fir())
        self.padding = 1
        self.act_gain = np.sqrt(2)
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.noise_strength = nn.Parameter(torch.tensor(0.3))
        self.bias = nn.Parameter(0.2 * torch.randn(outputs))


class ToRGBLayer(Persistent):
    def __init__(self, inputs, w_dim, conv_clamp=None):
        super().__init__(inputs, 3, w_dim=w_dim)
        self.conv_clamp = conv_clamp
        self.affine = FullyConnectedLayer(w_dim, inputs, bias_init=1)
        self.weight = nn.Parameter(0.3 * torch.randn(3, inputs, 1, 1))
        self.bias = nn.Parameter(0.1 * torch.randn(3))
        self.weight_gain = 1 / np.sqrt(inputs)


class SynthesisBlock(Persistent):
    def __init__(self, inputs, outputs, w_dim, resolution, is_last, conv_clamp=None):
        super().__init__(inputs, outputs, w_dim=w_dim, resolution=resolution)
        self.in_channels, self.w_dim, self.resolution, self.img_channels = inputs, w_dim, resolution, 3
        self.is_last, self.architecture, self.use_fp16, self.channels_last = is_last, "skip", resolution > 16, False
        self.register_buffer("resample_filter", fir())
        self.num_conv, self.num_torgb = (1 if inputs == 0 else 2), 1
        if inputs == 0:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        else:
            self.conv0 = SynthesisLayer(inputs, outputs, w_dim, resolution, up=2, conv_clamp=conv_clamp)
        self.conv1 = SynthesisLayer(outputs, outputs, w_dim, resolution, conv_clamp=conv_clamp)
        self.torgb = ToRGBLayer(outputs, w_dim, conv_clamp=conv_clamp)


class SynthesisNetwork(Persistent):
    def __init__(self, w_dim, img_resolution, channels, conv_clamp=None):
        super().__init__(w_dim=w_dim, img_resolution=img_resolution)
        self.w_dim, self.img_resolution, self.img_channels = w_dim, img_resolution, 3
        self.img_resolution_log2 = int(np.log2(img_resolution))
        self.block_resolutions = [4 << i for i in range(len(channels))]
        self.num_ws = 2 * len(channels)
        for i, (resolution, outputs) in enumerate(zip(self.block_resolutions, channels, strict=True)):
            inputs = channels[i - 1] if i else 0
            block = SynthesisBlock(inputs, outputs, w_dim, resolution, resolution == img_resolution, conv_clamp)
            setattr(self, f"b{resolution}", block)


class MappingNetwork(Persistent):
    def __init__(self, z_dim, c_dim, w_dim, num_ws, num_layers=8):
        super().__init__(z_dim=z_dim, c_dim=c_dim, w_dim=w_dim, num_ws=num_ws)
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, w_dim, num_ws
        self.num_layers, self.w_avg_beta = num_layers, 0.995
        for i in range(num_layers):
            layer = FullyConnectedLayer(w_dim if i else z_dim, w_dim, activation="lrelu", lr_multiplier=0.01)
            setattr(self, f"fc{i}", layer)
        self.register_buffer("w_avg", 0.1 * torch.randn(w_dim))


class Generator(Persistent):
    def __init__(self, channels=(32, 32, 16, 16, 8), w_dim=48, num_layers=8, conv_clamp=None, c_dim=0):
        super().__init__(z_dim=512, mapping_kwargs=EasyDict(num_layers=num_layers), synthesis_kwargs=EasyDict())
        self.z_dim, self.c_dim, self.w_dim, self.img_channels = 512, c_dim, w_dim, 3
        self.img_resolution = 4 << (len(channels) - 1)
        self.synthesis = SynthesisNetwork(w_dim, self.img_resolution, channels, conv_clamp)
        self.num_ws = self.synthesis.num_ws
        self.mapping = MappingNetwork(512, c_dim, w_dim, self.num_ws, num_layers)


class Discriminator(Persistent):
    def __init__(self):
        super().__init__(c_dim=0)
        self.b4 = nn.Module.__new__(Persistent)
        Persistent.__init__(self.b4)
        self.b4.register_buffer("resample_filter", fir())


def small_generator(seed=0, **options):
    torch.manual_seed(seed)
    return Generator(**options).eval().requires_grad_(False)


def document(network):
    return {
        "training_set_kwargs": {"class_name": "training.dataset.ImageFolderDataset", "path": "x.zip", "xflip": True},
        "G": network,
        "D": Discriminator(),
        "G_ema": network,
        "augment_pipe": None,
    }


def pickled(value, protocol=4) -> bytes:
    """As training_loop.py writes a snapshot; Python 3.7 wrote protocol 3, 3.8 to 3.13 write 4.

    With other names for storages, so that a run damages the same bytes as the run before.
    """
    with official_modules():
        stream = io.BytesIO()
        pickle.Pickler(stream, protocol).dump(value)
    return ADDRESS.sub(lambda place: b"1" * len(place[0]), stream.getvalue())


# ---------------------------------------- what the network draws, sample by sample


def activated(x, bias, gain, clamp):
    y = F.leaky_relu(x + bias.reshape(1, -1, *[1] * (x.ndim - 2)), 0.2) * gain
    return y if clamp is None else y.clamp(-clamp, clamp)


def affine(layer, w):
    """A(w) = w W^T / sqrt(n) + b: the style."""
    return w @ (layer.weight.double() / math.sqrt(w.shape[1])).t() + layer.bias.double()


def modulated(x, weight, s, demodulate):
    """Equations 1 and 3: w'_oik = s_i w_oik, w''_oik = w'_oik / sqrt(sum_ik w'^2 + eps). A weight for each sample."""
    weight = weight.double()[None] * s[:, None, :, None, None]
    if demodulate:
        weight = weight / torch.sqrt((weight**2).sum((2, 3, 4), keepdim=True) + 1e-8)
    batch, outputs = weight.shape[:2]
    y = F.conv2d(x.reshape(1, -1, *x.shape[2:]), weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=batch)
    return y.reshape(batch, outputs, *x.shape[2:])


def doubled(x):
    """Zeros between the pixels, then the filter [1,3,3,1] in both directions, with gain 2 in each."""
    big = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
    big[:, :, ::2, ::2] = x
    big = F.pad(big, (2, 1, 2, 1))
    n = 2 * x.shape[2]
    taps = [1 / 4, 3 / 4, 3 / 4, 1 / 4]
    rows = sum(tap * big[:, :, i : i + n, :] for i, tap in enumerate(taps))
    return sum(tap * rows[:, :, :, i : i + n] for i, tap in enumerate(taps))


def convolved_up(x, weight, s):
    """Zeros between the pixels, the modulated convolution, the filter. The kernel is a true convolution's (flipped).

    All on a large canvas of zeros: the border is what the filter sees of the convolution's response outside.
    """
    margin = 4
    batch, channels, side = x.shape[:3]
    big = torch.zeros(batch, channels, 2 * side + 2 * margin, 2 * side + 2 * margin, dtype=x.dtype)
    big[:, :, margin : margin + 2 * side : 2, margin : margin + 2 * side : 2] = x
    y = modulated(big, weight.flip(2, 3), s, demodulate=True)
    n, taps = 2 * side, [1 / 4, 3 / 4, 3 / 4, 1 / 4]
    start = margin - 2  # the filter's four taps reach from 2 pixels before to 1 after
    rows = sum(tap * y[:, :, start + i : start + i + n, :] for i, tap in enumerate(taps))
    return sum(tap * rows[:, :, :, start + i : start + i + n] for i, tap in enumerate(taps))


@torch.no_grad()
def picture(network, z, psi=1.0):
    """What `network` draws for z [B,512], in float64, noise off, clamped to [-1,1]: [B,3,size,size]."""
    x = torch.as_tensor(z, dtype=torch.float64)
    x = x / torch.sqrt((x**2).mean(1, keepdim=True) + 1e-8)
    for i in range(network.mapping.num_layers):
        layer = getattr(network.mapping, f"fc{i}")
        rate = float(layer.bias_gain)
        x = x @ (layer.weight.double() * rate / math.sqrt(x.shape[1])).t()
        x = activated(x, layer.bias.double() * rate, math.sqrt(2), None)
    w = network.mapping.w_avg.double().lerp(x, psi)
    image = None
    for resolution in network.synthesis.block_resolutions:
        block = getattr(network.synthesis, f"b{resolution}")
        if image is None:
            x = block.const.double().expand(len(w), -1, -1, -1)
        else:
            layer = block.conv0
            x = convolved_up(x, layer.weight, affine(layer.affine, w))
            x = activated(x, layer.bias.double(), math.sqrt(2), layer.conv_clamp)
        layer = block.conv1
        x = modulated(x, layer.weight, affine(layer.affine, w), demodulate=True)
        x = activated(x, layer.bias.double(), math.sqrt(2), layer.conv_clamp)
        layer = block.torgb
        s = affine(layer.affine, w) / math.sqrt(x.shape[1])
        rgb = modulated(x, layer.weight, s, demodulate=False) + layer.bias.double()[None, :, None, None]
        if layer.conv_clamp is not None:
            rgb = rgb.clamp(-layer.conv_clamp, layer.conv_clamp)
        image = rgb if image is None else doubled(image) + rgb
    return image.clamp(-1, 1).numpy()
