"""Trains the encoder as HuRef does: contrastive loss on z's cosine, a discriminator pulling z towards N(0, I)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpm.encoder import Encoder, latent, whitening_head
from fpm.latent import FEATURES, Z_DIM, head_basis
from fpm.synthetic import pairs


@dataclass(frozen=True)
class EncoderTraining:
    """Everything that decides the result."""

    pairs: int = 4096  # independent synthetic models, each with one noisy offspring
    held_out: int = 512  # further ones, for the figures only
    batch: int = 128
    steps: int = 1000
    rate: float = 1e-3
    alpha: float = 0.1  # weight noise of positives, relative (HuRef)
    alpha_embedding: float = 0.4  # embedding noise of positives, relative (HuRef)
    positive_weight: float = 1.3
    negative_weight: float = 0.7
    gaussian_weight: float = 0.5
    r1_gamma: float = 1.0
    seed: int = 0


class TrainableHead(nn.Module):
    """z = 2 Q (M f + c): the public head while it is trained; its range is the latent subspace by construction."""

    basis: Tensor

    def __init__(self, features: npt.NDArray[np.float64]) -> None:
        super().__init__()
        values, vectors = np.linalg.eigh(np.cov(features.T))
        inverse = (vectors / np.sqrt(values)) @ vectors.T
        self.mix = nn.Parameter(torch.from_numpy(inverse).float())
        self.shift = nn.Parameter(torch.from_numpy(-inverse @ features.mean(0)).float())
        self.register_buffer("basis", torch.from_numpy(head_basis()[:, :FEATURES].copy()).float())

    def forward(self, features: Tensor) -> Tensor:
        """Maps features [B,128] to z [B,512] before normalisation."""
        return 2.0 * (features @ self.mix.t() + self.shift) @ self.basis.t()


def contrastive_loss(
    z: Tensor, z_child: Tensor, positive: float = 1.3, negative: float = 0.7
) -> tuple[Tensor, Tensor, Tensor]:
    """positive (1 - cos(z, child)) + negative |cos(z, other)|, the negatives being the batch's other models.

    Returns:
        the loss, the mean cosine of positives, the mean |cosine| of negatives.
    """
    a, b = F.normalize(z, dim=1), F.normalize(z_child, dim=1)
    near = (a * b).sum(1).mean()
    cosines = a @ a.t()
    count = len(a)
    far = (cosines.abs().sum() - cosines.diagonal().abs().sum()) / (count * (count - 1))
    return positive * (1.0 - near) + negative * far, near, far


def train_encoder(
    config: EncoderTraining, cache: Path | None = None
) -> tuple[Encoder, npt.NDArray[np.float32], npt.NDArray[np.float32], dict[str, object]]:
    """Trains, rounds the weights to the circuit's grid, and fits the head anew to the rounded network.

    Args:
        config: see `EncoderTraining`.
        cache: file that keeps the synthetic terms between runs (npz), if any.

    Returns:
        encoder, head weight [512,128], head bias [512], run record.
    """
    started = time.time()
    torch.manual_seed(config.seed)
    base, child = _data(config, cache)
    encoder = Encoder(config.seed)
    with torch.no_grad():
        head = TrainableHead(encoder(base).double().numpy())
    judge = nn.Sequential(
        nn.Linear(Z_DIM, 128), nn.LeakyReLU(0.2), nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
    )
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=config.rate)
    judge_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.5, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    order = torch.Generator().manual_seed(config.seed)
    curve: list[dict[str, float]] = []
    for step in range(config.steps):
        index = torch.randint(len(base), (config.batch,), generator=order)
        z, z_child = head(encoder(base[index])), head(encoder(child[index]))
        loss, near, far = contrastive_loss(z, z_child, config.positive_weight, config.negative_weight)
        ideal = 2.0 * torch.randn(config.batch, FEATURES, generator=order) @ head.basis.t()
        ideal.requires_grad_()
        verdict = judge(ideal)
        # R1 on the ideal samples: without it the judge wins outright and its slope says nothing.
        (slope,) = torch.autograd.grad(verdict.sum(), ideal, create_graph=True)
        judge_loss = F.softplus(-verdict).mean() + F.softplus(judge(z.detach())).mean()
        judge_loss = judge_loss + config.r1_gamma / 2.0 * slope.square().sum(1).mean()
        judge_optimizer.zero_grad()
        torch.autograd.backward(judge_loss)
        judge_optimizer.step()
        gaussian = F.softplus(-judge(z)).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss + config.gaussian_weight * gaussian)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            curve.append(
                {
                    "step": step,
                    "loss": float(loss.detach()),
                    "positive_cosine": float(near.detach()),
                    "negative_abs_cosine": float(far.detach()),
                    "gaussian": float(gaussian.detach()),
                    "judge": float(judge_loss.detach()),
                }
            )
    encoder.round_weights()
    with torch.no_grad():
        weight, bias = whitening_head(encoder(base).double().numpy())
    record: dict[str, object] = {
        "config": asdict(config),
        "curve": curve,
        "seconds": time.time() - started,
        "held_out": held_out_figures(encoder, weight, bias, config),
    }
    return encoder.eval(), weight, bias, record


def _data(config: EncoderTraining, cache: Path | None) -> tuple[Tensor, Tensor]:
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            return torch.from_numpy(stored["base"]), torch.from_numpy(stored["child"])
    base, child = pairs(config.pairs, config.seed + 1, config.alpha, config.alpha_embedding)
    if cache is not None:
        np.savez(cache, base=base, child=child)
    return torch.from_numpy(base), torch.from_numpy(child)


@torch.no_grad()
def held_out_figures(
    encoder: Encoder, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], config: EncoderTraining
) -> dict[str, float]:
    """Cosine figures on models that training never saw."""
    base, child = pairs(config.held_out, config.seed + 2, config.alpha, config.alpha_embedding)
    z, z_child = (latent(encoder(torch.from_numpy(x)).double().numpy(), weight, bias) for x in (base, child))
    gram = z @ z.T / Z_DIM
    others = gram[np.triu_indices(len(z), 1)]
    same = (z * z_child).sum(1) / Z_DIM
    terms_same = (base * child).reshape(len(base), -1).mean(1)
    return {
        "independents_mean_abs": float(np.abs(others).mean()),
        "independents_mean": float(others.mean()),
        "independents_std": float(others.std()),
        "independents_worst": float(np.abs(others).max()),
        "positive_mean": float(same.mean()),
        "positive_worst": float(same.min()),
        "terms_positive_mean": float(terms_same.mean()),
    }
