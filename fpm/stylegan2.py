"""StyleGAN2 (Karras et al., CVPR 2020): generator and discriminator, small, without noise.

The generator keeps the paper's parts: pixel norm of z, a mapping network, a learned 4x4 constant, modulated
convolutions with demodulation, upsampling by a transposed convolution and the FIR filter [1,3,3,1], and skip outputs
(toRGB summed over resolutions). The noise inputs are off, one z is one picture; each resolution has a learned constant
in their place, as the 4x4 one, which makes fine detail at fixed places quick to learn.

Modulation is written as scale the input, convolve with the shared weight, scale the output. This equals modulating the
weight (equations 1 and 3 of the paper), also with a batch, and gives plain ONNX convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpm.latent import Z_DIM

SQRT2 = math.sqrt(2.0)
JUDGE_CHANNELS = (128, 96, 64, 48, 32, 16)  # the discriminator's, at 4, 8, ... 128 pixels


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of the generator. Resolutions are 4, 8, ... 4 * 2**(len(channels) - 1)."""

    channels: tuple[int, ...] = (128, 128, 128, 96, 64, 32)  # feature maps at 4, 8, 16, 32, 64, 128 pixels
    w_dim: int = 256  # width of the mapping network and of w
    mapping_layers: int = 3
    places: bool = True  # a learned constant at every resolution, in place of the paper's noise
    conv_clamp: float | None = None  # largest magnitude that a layer may put out; official checkpoints have 256

    @property
    def size(self) -> int:
        """Width and height of the picture in pixels."""
        return 4 << (len(self.channels) - 1)


class Linear(nn.Module):
    """Fully connected layer with the paper's equalised learning rate: weights N(0,1), scaled by 1/sqrt(inputs)."""

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.gain = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, inputs] to [B, outputs]."""
        return F.linear(x, self.weight * self.gain, self.bias)


def leaky(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 with gain sqrt(2), the paper's activation."""
    return F.leaky_relu(x, 0.2) * SQRT2


def clamped(x: Tensor, limit: float | None) -> Tensor:
    """Each entry of x held within [-limit, limit]; x itself without a limit."""
    return x if limit is None else x.clamp(-limit, limit)


class Mapping(nn.Module):
    """z [B,512] -> w [B,w_dim]."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        widths = [Z_DIM] + [config.w_dim] * config.mapping_layers
        self.layers = nn.ModuleList(Linear(a, b) for a, b in pairwise(widths))

    def forward(self, z: Tensor) -> Tensor:
        """Normalises z to root mean square 1, then applies the layers."""
        w = z * torch.rsqrt((z * z).mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = leaky(layer(w))
        return w


class ModulatedConv(nn.Module):
    """3x3 convolution modulated by w, demodulated, with bias and leaky ReLU; upsamples by 2 if `up`."""

    fir: Tensor

    def __init__(
        self, inputs: int, outputs: int, w_dim: int, up: bool = False, conv_clamp: float | None = None
    ) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = Linear(w_dim, inputs, bias=1.0)
        self.up = up
        self.gain = 1.0 / math.sqrt(inputs * 9)
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4.0
        self.register_buffer("fir", taps.repeat(outputs, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps x [B,inputs,h,h] under w [B,w_dim] to [B,outputs,h or 2h,...]."""
        weight = self.weight * self.gain
        s = self.style(w)
        x = x * s[:, :, None, None].to(x.dtype)
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1).to(x.dtype), stride=2)
            fir, count = self.fir.to(x.dtype), x.shape[1]
            x = F.conv2d(x, fir, padding=(0, 1), groups=count)
            x = F.conv2d(x, fir.transpose(2, 3), padding=(1, 0), groups=count)
        else:
            x = F.conv2d(x, weight.to(x.dtype), padding=1)
        # Demodulation: sum over inputs and taps of (s_i w_oik)^2, not forming the modulated weights. The activation's
        # gain sqrt(2) is multiplied in here, which is the same since the leaky ReLU is positively homogeneous.
        power = (s * s) @ (weight * weight).sum((2, 3)).t()
        x = x * (SQRT2 * torch.rsqrt(power + 1e-8))[:, :, None, None].to(x.dtype)
        x = F.leaky_relu(x + (SQRT2 * self.bias)[None, :, None, None].to(x.dtype), 0.2)
        return clamped(x, self.conv_clamp)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to three colours, without demodulation, as one matrix product a picture."""

    def __init__(self, inputs: int, w_dim: int, conv_clamp: float | None = None) -> None:
        super().__init__()
        self.conv_clamp = conv_clamp
        self.weight = nn.Parameter(torch.randn(3, inputs))
        self.bias = nn.Parameter(torch.zeros(3))
        self.style = Linear(w_dim, inputs, bias=1.0)
        self.gain = 1.0 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Maps x [B,inputs,h,h] under w [B,w_dim] to float32 [B,3,h,h]."""
        weight = self.weight * self.gain * self.style(w)[:, None, :]  # [B,3,inputs]
        rgb = torch.matmul(weight.to(x.dtype), x.flatten(2)).float()
        rgb = rgb.reshape(-1, 3, x.shape[2], x.shape[3]) + self.bias[None, :, None, None]
        return clamped(rgb, self.conv_clamp)


class Block(nn.Module):
    """One resolution: (upsampling) convolutions and the skip output.

    Where the paper adds noise, a learned picture `place` is added: it tells the features where they are, and the style
    of the convolution after it decides which of its channels show.
    """

    def __init__(self, inputs: int, outputs: int, config: GeneratorConfig, side: int) -> None:
        super().__init__()
        w_dim, clamp, first = config.w_dim, config.conv_clamp, side == 4
        placed = config.places and not first
        self.place = nn.Parameter(torch.randn(1, outputs, side, side) * 0.1) if placed else None
        self.up = None if first else ModulatedConv(inputs, outputs, w_dim, up=True, conv_clamp=clamp)
        self.conv = ModulatedConv(outputs, outputs, w_dim, conv_clamp=clamp)
        self.to_rgb = ToRGB(outputs, w_dim, conv_clamp=clamp)

    def forward(self, x: Tensor, image: Tensor | None, w: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features and the picture so far, [B,outputs,h,h] and float32 [B,3,h,h]."""
        if self.up is not None:
            x = self.up(x, w)
        if self.place is not None:
            x = x + self.place.to(x.dtype)
        x = self.conv(x, w)
        rgb: Tensor = self.to_rgb(x, w)
        return x, rgb if image is None else rgb + upsample_image(image)


def upsample_image(image: Tensor) -> Tensor:
    """Doubles a picture [B,3,h,h] with the FIR filter [1,3,3,1]: zero-stuffing, then the filter, with gain 4."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0], dtype=image.dtype) / 4.0
    kernel = (taps[:, None] * taps[None, :]).repeat(3, 1, 1, 1)
    return F.conv_transpose2d(image, kernel, stride=2, padding=1, groups=3)


class Generator(nn.Module):
    """z [B,512] -> picture [B,3,size,size] in about [-1,1]; `dtype` is that of the feature maps."""

    def __init__(self, config: GeneratorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or GeneratorConfig()
        self.mapping = Mapping(config)
        self.const = nn.Parameter(torch.randn(1, config.channels[0], 4, 4))
        pairs = pairwise((config.channels[0], *config.channels))
        self.blocks = nn.ModuleList(Block(a, b, config, 4 << i) for i, (a, b) in enumerate(pairs))

    def forward(self, z: Tensor, dtype: torch.dtype = torch.float32, blocks: int | None = None) -> Tensor:
        """Draws z; not clamped (the exported graph clamps). With `blocks`, stops at that many resolutions."""
        w = self.mapping(z)
        x = self.const.expand(z.shape[0], -1, -1, -1).to(dtype).contiguous(memory_format=torch.channels_last)
        x, image = self.blocks[0](x, None, w)
        for block in self.blocks[1:blocks]:
            x, image = block(x, image, w)
        picture: Tensor = image
        return picture


class Discriminator(nn.Module):
    """The paper's residual discriminator with minibatch standard deviation: pictures [B,3,size,size] -> scores [B]."""

    def __init__(self, resolutions: int = 6) -> None:
        super().__init__()
        down = JUDGE_CHANNELS[:resolutions][::-1]  # from full size to 4 pixels
        self.from_rgb = nn.Conv2d(6, down[0], 1)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(down))
        self.skips = nn.ModuleList(nn.Conv2d(a, b, 1, bias=False) for a, b in pairwise(down))
        self.last = nn.Conv2d(down[-1] + 1, down[-1], 3, padding=1)
        self.dense = nn.Linear(down[-1] * 16, down[-1])
        self.score = nn.Linear(down[-1], 1)
        for layer in (*self.convs, *self.skips, self.from_rgb, self.last, self.dense, self.score):
            # torch's own start loses two thirds of the signal in each layer: scores would not depend on the picture
            nn.init.kaiming_normal_(cast(nn.Conv2d, layer).weight, 0.2)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Scores pictures; the minibatch statistic uses the whole batch as one group."""
        # Generated pictures differ from drawn ones in fine detail, which is small: it is shown again, magnified.
        detail = 8.0 * (image - F.avg_pool2d(image, 3, 1, 1, count_include_pad=False))
        image = torch.cat([image, detail], 1).to(dtype).contiguous(memory_format=torch.channels_last)
        x = F.leaky_relu(_conv(self.from_rgb, image), 0.2)
        for conv, skip in zip(self.convs, self.skips, strict=True):
            y = F.leaky_relu(F.avg_pool2d(_conv(conv, x), 2), 0.2)
            x = (y + _conv(skip, F.avg_pool2d(x, 2))) * math.sqrt(0.5)
        x = x.float()
        spread = torch.sqrt(x.var(0, unbiased=False) + 1e-8).mean()
        x = torch.cat([x, spread.expand(x.shape[0], 1, *x.shape[2:])], 1)
        x = F.leaky_relu(self.last(x), 0.2)
        x = F.leaky_relu(self.dense(x.flatten(1)), 0.2)
        scores: Tensor = self.score(x).squeeze(1)
        return scores


def _conv(layer: nn.Module, x: Tensor) -> Tensor:
    """An nn.Conv2d in the type of x."""
    conv = cast(nn.Conv2d, layer)
    bias = None if conv.bias is None else conv.bias.to(x.dtype)
    return F.conv2d(x, conv.weight.to(x.dtype), bias, padding=cast("tuple[int, int]", conv.padding))
