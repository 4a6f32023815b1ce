"""The encoder: projected terms -> features (inside the circuit) -> z (public head, outside it).

Inside the circuit there are one or two matrix products without biases, the same for every patch of the terms:

    patches  [n, 6 p^2]  = the n = (16/p)^2 blocks of p x p of the six 16x16 terms; patch (16/p) i + j is block row i,
                           block column j, and its entries run over term, row in block, column in block
    hidden   [n, c]      = patches @ w1, or relu(patches @ w1)
    features             = hidden, flattened patch by patch                   (no second matrix)
                         = hidden @ w2, flattened patch by patch              (second "patch", w2 [c, out])
                         = hidden, flattened channel by channel, @ w2         (second "dense", w2 [c n, out])

The published one is linear, with p = 4: w1 [96, 32], 16 patches, 512 features; docs/fpm.md has the others' figures.
The weights are multiples of 1/256, so that ezkl's fixed point (param_scale 8) holds them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fpm.latent import MIXING_SEED, Z_DIM, head_basis, rotation
from fpm.synthetic import GRID, TERMS

PARAM_SCALE = 256  # 2**8, ezkl's param_scale
INPUT_SCALE = 2**16  # values in the circuit keep 16 fractional bits (scale_rebase_multiplier 2 * param_scale 8)

Second = Literal["none", "patch", "dense"]


@dataclass(frozen=True)
class Architecture:
    """What the circuit computes."""

    patch: int = 4  # p: side of the blocks, a divisor of 16
    channels: int = 32  # c: columns of w1
    relu: bool = False  # after the first product; needs an even c and a second matrix
    second: Second = "none"
    out: int = 0  # columns of w2

    @property
    def patches(self) -> int:
        """n."""
        return (GRID // self.patch) ** 2

    @property
    def entries(self) -> int:
        """Rows of w1, 6 p^2."""
        return TERMS * self.patch**2

    @property
    def features(self) -> int:
        """Public outputs."""
        return {"none": self.patches * self.channels, "patch": self.patches * self.out, "dense": self.out}[self.second]

    @property
    def second_shape(self) -> tuple[int, int] | None:
        """Shape of w2."""
        rows = {"none": None, "patch": self.channels, "dense": self.channels * self.patches}[self.second]
        return None if rows is None else (rows, self.out)

    @property
    def products(self) -> int:
        """Multiplications in the circuit."""
        second = {"none": 0, "patch": self.channels * self.features, "dense": self.channels * self.patches * self.out}
        return self.patches * self.entries * self.channels + second[self.second]


PUBLISHED_ARCHITECTURE = Architecture()


def patches(terms: Tensor, side: int) -> Tensor:
    """Cuts terms [B,6,16,16] into [B, n, 6 side^2]; see the module's table."""
    count = GRID // side
    x = terms.reshape(-1, TERMS, count, side, count, side)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, count * count, TERMS * side * side)


def initial_weights(architecture: Architecture, seed: int) -> tuple[Tensor, Tensor | None]:
    """Angle-keeping start: orthonormal columns; with ReLU, pairs of opposite sign, since relu(a) - relu(-a) = a.

    So both start as linear maps that keep a random part of the terms.
    """
    gen = torch.Generator().manual_seed(seed)
    wanted = architecture.channels // 2 if architecture.relu else architecture.channels
    directions, _ = torch.linalg.qr(torch.randn(architecture.entries, wanted, generator=gen))
    if architecture.second_shape is None:
        return directions, None
    rows, columns = architecture.second_shape
    halves = 2 if architecture.relu else 1
    free = torch.randn(rows // halves, columns, generator=gen)
    # few columns of a rotation, or, for more outputs than inputs, rows of one
    w2 = torch.linalg.qr(free)[0] if columns <= rows // halves else torch.linalg.qr(free.T)[0].T
    return (torch.cat([directions, -directions], 1), torch.cat([w2, -w2])) if architecture.relu else (directions, w2)


class Encoder(nn.Module):
    """The part inside the circuit."""

    def __init__(self, architecture: Architecture = PUBLISHED_ARCHITECTURE, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        w1, w2 = initial_weights(architecture, seed)
        self.w1 = nn.Parameter(w1)
        self.w2 = None if w2 is None else nn.Parameter(w2)

    def forward(self, terms: Tensor) -> Tensor:
        """Maps terms [B,6,16,16], each of root mean square 1, to features [B,features]."""
        hidden = patches(terms, self.architecture.patch) @ self.w1
        if self.architecture.relu:
            hidden = torch.relu(hidden)
        return (self.flat(hidden) @ self.w2 if self.w2 is not None else hidden).flatten(1)

    def flat(self, hidden: Tensor) -> Tensor:
        """What w2 multiplies: hidden [B,n,c] itself, or channel by channel [B,1,c n]."""
        return hidden.transpose(1, 2).flatten(1)[:, None] if self.architecture.second == "dense" else hidden

    @torch.no_grad()
    def round_weights(self) -> None:
        """Puts the weights on the circuit's grid, multiples of 1/256."""
        for w in self.parameters():
            w.copy_((w * PARAM_SCALE).round() / PARAM_SCALE)


def fixed_point_features(encoder: Encoder, terms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The circuit's arithmetic in integers: terms at scale 2^16, weights at 2^8, each product rounded back to 2^16.

    Args:
        encoder: with rounded weights.
        terms: multiples of 2^-16, [B, 6, 16, 16].

    Returns:
        int64 [B, features].
    """
    x = torch.from_numpy(np.rint(terms * INPUT_SCALE).astype(np.int64))
    hidden = _rescaled(patches(x, encoder.architecture.patch) @ _integers(encoder.w1))
    if encoder.architecture.relu:
        hidden = torch.clamp(hidden, min=0)
    if encoder.w2 is not None:
        hidden = _rescaled(encoder.flat(hidden) @ _integers(encoder.w2))
    return hidden.flatten(1).numpy()


def _integers(weight: Tensor) -> Tensor:
    return (weight.detach().double() * PARAM_SCALE).round().long()


def _rescaled(product: Tensor) -> Tensor:
    """Integers at scale 2^24 rounded to 2^16, halves up."""
    return (product + PARAM_SCALE // 2) >> 8


def whitening_head(
    features: npt.NDArray[np.float64], power: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The public last layer: z = W f + b has mean 0 and variance 1, taken over all its entries.

    W = s Q R C^(-power), b = -W mean, with mean and covariance C of the features of independent models and Q from
    `latent`. At 1/2 every direction's variance is 1; below it, directions in which models differ most keep more, and
    the rotation R spreads those over all coordinates, each of which is a parameter of the picture.
    With F < 512 features z can only fill a subspace: Q's first F columns.

    Args:
        features: [n, F] of n >> F independent models.
        power: from 0 (features as they are) to 1/2 (whitened).

    Returns:
        weight float32 [512, F], bias float32 [512].
    """
    count = features.shape[1]
    values, vectors = np.linalg.eigh(np.cov(features.T))
    values = np.maximum(values, 1e-9)
    scale = np.sqrt(Z_DIM / (values ** (1.0 - 2.0 * power)).sum())
    basis = head_basis()[:, :count] @ rotation(count, MIXING_SEED)
    weight = scale * basis @ (vectors * values**-power) @ vectors.T
    bias = -weight @ features.mean(0)
    return weight.astype(np.float32), bias.astype(np.float32)


def latent(
    features: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    *,
    normalise: bool = True,
) -> npt.NDArray[np.float64]:
    """z of features, as docs/protocol.md section 6 computes it (float64), [..., F] -> [..., 512]."""
    z: npt.NDArray[np.float64] = features @ weight.astype(np.float64).T + bias.astype(np.float64)
    return z * (np.sqrt(Z_DIM) / np.linalg.norm(z, axis=-1, keepdims=True)) if normalise else z
