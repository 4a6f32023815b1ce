"""Trains the encoder as HuRef does: contrastive loss on z's cosine, a discriminator pulling z towards N(0, I).

The head is not trained beside it: every step whitens the batch's features exactly, and the slope goes through that.
The published head whitens by half, with the covariance of all models' features.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fpm.encoder import PUBLISHED_ARCHITECTURE, Architecture, Encoder, latent, whitening_head
from fpm.latent import Z_DIM
from fpm.synthetic import pairs

Float32 = npt.NDArray[np.float32]
WHITENING = 0.25  # docs/fpm.md, "How much the head whitens"


@dataclass(frozen=True)
class EncoderTraining:
    """Everything that decides the result."""

    architecture: Architecture = PUBLISHED_ARCHITECTURE
    pairs: int = 8192  # independent synthetic models, each with one noisy offspring
    held_out: int = 512  # further ones, for the figures only
    batch: int = 2048  # several times the features: the batch's covariance is inverted
    steps: int = 60
    rate: float = 2e-3
    alpha: float = 0.1  # weight noise of positives, relative (HuRef)
    alpha_embedding: float = 0.4  # embedding noise of positives, relative (HuRef)
    positive_weight: float = 1.3
    negative_weight: float = 0.7
    gaussian_weight: float = 0.1
    whitening: float = WHITENING  # of the head: C to minus this; training itself whitens its batch whole
    r1_gamma: float = 1.0
    seed: int = 0


def whiten(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean [F] and the Cholesky factor [F,F] of the covariance of features [B,F], B > F."""
    covariance = torch.cov(features.T)
    ridge = 1e-4 * covariance.diagonal().mean().detach()
    return features.mean(0), torch.linalg.cholesky(covariance + ridge * torch.eye(len(covariance)))


def whitened(features: Tensor, mean: Tensor, factor: Tensor) -> Tensor:
    """L^-1 (f - mean): z up to a rotation, [B,F]."""
    z: Tensor = torch.linalg.solve_triangular(factor, (features - mean).T, upper=False).T
    return z


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


class Judge(nn.Module):
    """The discriminator: tells z from N(0, I). R1 on ideal samples, or it wins outright and its slope says nothing."""

    def __init__(self, features: int, config: EncoderTraining, draws: torch.Generator) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(features, 128), nn.LeakyReLU(0.2), nn.Linear(128, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        )
        self.draws, self.gamma = draws, config.r1_gamma
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3, betas=(0.5, 0.99))

    def forward(self, z: Tensor) -> Tensor:
        """The encoder's loss for z [B,F]."""
        return F.softplus(-self.net(z)).mean()

    def learn(self, z: Tensor) -> float:
        """One step against z [B,F] (no slope needed); returns the judge's loss."""
        ideal = torch.randn(z.shape, generator=self.draws).requires_grad_()
        verdict = self.net(ideal)
        (slope,) = torch.autograd.grad(verdict.sum(), ideal, create_graph=True)
        loss = F.softplus(-verdict).mean() + F.softplus(self.net(z)).mean()
        loss = loss + self.gamma / 2.0 * slope.square().sum(1).mean()
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()
        return float(loss.detach())


def train_encoder(
    config: EncoderTraining, cache: Path | None = None
) -> tuple[Encoder, Float32, Float32, dict[str, object]]:
    """Trains, rounds the weights to the circuit's grid, and fits the head to the rounded network.

    Args:
        config: see `EncoderTraining`.
        cache: file that keeps the synthetic terms between runs (npz), if any.

    Returns:
        encoder, head weight [512,F], head bias [512], run record.
    """
    started = time.time()
    torch.manual_seed(config.seed)
    base, child = training_terms(config, cache)
    encoder = Encoder(config.architecture, config.seed)
    order = torch.Generator().manual_seed(config.seed)
    judge = Judge(config.architecture.features, config, order)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=config.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    curve: list[dict[str, float]] = []
    for step in range(config.steps):
        index = torch.randperm(len(base), generator=order)[: config.batch]
        features = encoder(base[index])
        mean, factor = whiten(features)
        z, z_child = whitened(features, mean, factor), whitened(encoder(child[index]), mean, factor)
        loss, near, far = contrastive_loss(z, z_child, config.positive_weight, config.negative_weight)
        judge_loss = judge.learn(z.detach())
        gaussian = judge(z)
        optimizer.zero_grad()
        torch.autograd.backward(loss + config.gaussian_weight * gaussian)
        optimizer.step()
        schedule.step()
        if step % 5 == 0 or step == config.steps - 1:
            curve.append(
                {
                    "step": step,
                    "loss": float(loss.detach()),
                    "positive_cosine": float(near.detach()),
                    "negative_abs_cosine": float(far.detach()),
                    "gaussian": float(gaussian.detach()),
                    "judge": judge_loss,
                }
            )
    encoder.round_weights()
    weight, bias = fitted_head(encoder, base, config.whitening)
    record: dict[str, object] = {
        "config": asdict(config),
        "curve": curve,
        "seconds": time.time() - started,
        "held_out": held_out_figures(encoder, weight, bias, config),
    }
    return encoder.eval(), weight, bias, record


@torch.no_grad()
def fitted_head(encoder: Encoder, base: Tensor, power: float) -> tuple[Float32, Float32]:
    """The head for the features of independent models' terms [n,6,16,16]; `power` as `whitening_head` takes it."""
    return whitening_head(torch.cat([encoder(part) for part in torch.split(base, 1024)]).double().numpy(), power)


def training_terms(config: EncoderTraining, cache: Path | None) -> tuple[Tensor, Tensor]:
    """Terms of the models and of their offspring, each float32 [pairs,6,16,16]; from `cache` if it is there."""
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as stored:
            return torch.from_numpy(stored["base"]), torch.from_numpy(stored["child"])
    base, child = pairs(config.pairs, config.seed + 1, config.alpha, config.alpha_embedding)
    if cache is not None:
        np.savez(cache, base=base, child=child)
    return torch.from_numpy(base), torch.from_numpy(child)


@torch.no_grad()
def held_out_figures(encoder: Encoder, weight: Float32, bias: Float32, config: EncoderTraining) -> dict[str, float]:
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
