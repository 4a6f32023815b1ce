"""The encoder: projected terms -> 128 features (inside the circuit) -> z (public head, outside it).

Inside the circuit there are two matrix products and one ReLU, without biases:

    patches  [16, 96]  = the sixteen 4x4 blocks of the six 16x16 terms; patch 4i+j is block row i, block column j,
                         and its 96 entries run over term, row in block, column in block
    hidden   [16, 16]  = relu(patches @ w1)                 w1 [96, 16]
    flat     [1, 256]  = hidden^T, channel-major: entry 16c + n is channel c of patch n
    features [128]     = flat @ w2                          w2 [256, 128]

(the second layer is a 4x4 patch over a 4x4 grid, so it is one matrix). Channels start as pairs of opposite sign;
for them relu(a) - relu(-a) = a: the network starts as a linear map that keeps angles, and training moves it from there.
The weights are multiples of 1/256, so that ezkl's fixed point (param_scale 8) holds them exactly.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fpm.latent import FEATURES, Z_DIM, head_basis
from fpm.synthetic import GRID, TERMS

PATCH = 4
CHANNELS = 16
SIDE = GRID // PATCH
PARAM_SCALE = 256  # 2**8, ezkl's param_scale
INPUT_SCALE = 2**16  # values in the circuit keep 16 fractional bits (scale_rebase_multiplier 2 * param_scale 8)


def patches(terms: Tensor) -> Tensor:
    """Cuts terms [B,6,16,16] into [B,16,96]; see the module's table."""
    x = terms.reshape(-1, TERMS, SIDE, PATCH, SIDE, PATCH)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(-1, SIDE * SIDE, TERMS * PATCH * PATCH)


def initial_weights(seed: int) -> tuple[Tensor, Tensor]:
    """Angle-keeping start: w1 [96,16] as pairs of opposite sign, w2 [256,128] a rotation of their differences.

    The pairs' directions avoid, for each term, the identity of a diagonal patch: A W W'^T A^T of unrelated models
    shares a multiple of it.
    """
    gen = torch.Generator().manual_seed(seed)
    identity = torch.zeros(TERMS * PATCH * PATCH, TERMS)
    for t in range(TERMS):
        identity[t * 16 : (t + 1) * 16, t] = torch.eye(PATCH).reshape(-1) / 2.0
    free = torch.randn(TERMS * PATCH * PATCH, CHANNELS // 2, generator=gen)
    directions, _ = torch.linalg.qr(free - identity @ (identity.T @ free))
    rotation, _ = torch.linalg.qr(torch.randn(FEATURES, FEATURES, generator=gen))
    w2 = torch.cat([rotation, -rotation])  # channels 0..7 are +, 8..15 are -
    return torch.cat([directions, -directions], 1), w2


class Encoder(nn.Module):
    """The part inside the circuit."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        w1, w2 = initial_weights(seed)
        self.w1, self.w2 = nn.Parameter(w1), nn.Parameter(w2)

    def forward(self, terms: Tensor) -> Tensor:
        """Maps terms [B,6,16,16], each of root mean square 1, to features [B,128]."""
        hidden = torch.relu(patches(terms) @ self.w1)
        return hidden.transpose(1, 2).reshape(-1, CHANNELS * SIDE * SIDE) @ self.w2

    @torch.no_grad()
    def round_weights(self) -> None:
        """Puts the weights on the circuit's grid, multiples of 1/256."""
        for w in (self.w1, self.w2):
            w.copy_((w * PARAM_SCALE).round() / PARAM_SCALE)


def fixed_point_features(encoder: Encoder, terms: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The circuit's arithmetic in integers: terms at scale 2^16, weights at 2^8, each product rounded back to 2^16.

    Args:
        encoder: with rounded weights.
        terms: multiples of 2^-16, [B, 6, 16, 16].

    Returns:
        int64 [B, 128].
    """
    x = torch.from_numpy(np.rint(terms * INPUT_SCALE).astype(np.int64))
    w1, w2 = ((w.detach().double() * PARAM_SCALE).round().long() for w in (encoder.w1, encoder.w2))
    hidden = torch.clamp(_rescaled(patches(x) @ w1), min=0)
    return _rescaled(hidden.transpose(1, 2).reshape(-1, CHANNELS * SIDE * SIDE) @ w2).numpy()


def _rescaled(product: Tensor) -> Tensor:
    """Integers at scale 2^24 rounded to 2^16, halves up."""
    return (product + PARAM_SCALE // 2) >> 8


def whitening_head(features: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """The public last layer: z = W f + b has mean 0 and unit variance in every direction of the latent subspace.

    W = 2 Q C^(-1/2), b = -W mean, with mean and covariance C of the features of independent models and Q from `latent`.

    Args:
        features: [n, 128] of n >> 128 independent models.

    Returns:
        weight float32 [512, 128], bias float32 [512].
    """
    values, vectors = np.linalg.eigh(np.cov(features.T))
    weight = 2.0 * head_basis()[:, :FEATURES] @ (vectors / np.sqrt(np.maximum(values, 1e-9))) @ vectors.T
    bias = -weight @ features.mean(0)
    return weight.astype(np.float32), bias.astype(np.float32)


def latent(
    features: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32],
    *,
    normalise: bool = True,
) -> npt.NDArray[np.float64]:
    """z of features, as docs/protocol.md section 6 computes it (float64), [..., 128] -> [..., 512]."""
    z: npt.NDArray[np.float64] = features @ weight.astype(np.float64).T + bias.astype(np.float64)
    return z * (np.sqrt(Z_DIM) / np.linalg.norm(z, axis=-1, keepdims=True)) if normalise else z
