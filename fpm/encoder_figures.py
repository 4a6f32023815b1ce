"""Figures of an encoder on synthetic models: independents, offspring, distribution of z, retrieval, fixed point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fpm.encoder import INPUT_SCALE, Encoder, fixed_point_features, latent
from fpm.export import load_encoder
from fpm.latent import Z_DIM
from fpm.synthetic import pairs

Array = npt.NDArray[np.float64]
Figures = dict[str, Any]
Map = Callable[[npt.NDArray[Any]], Array]
"""Terms [B,6,16,16] -> vectors [B,D], all of one norm."""

TRAINING_NOISE = (0.1, 0.4)
NOISES = (TRAINING_NOISE, *((size, size) for size in (0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)))
TEST_SEED = 77  # never used to choose anything


class Fingerprinter:
    """An encoder and its head: terms -> z."""

    def __init__(self, encoder: Encoder, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> None:
        self.encoder, self.weight, self.bias = encoder.double(), weight, bias

    @classmethod
    def load(cls, folder: Path) -> Fingerprinter:
        """The one in encoder.onnx and head.npz."""
        return cls(*load_encoder(folder))

    def features(self, batch: npt.NDArray[Any]) -> Array:
        """Terms [B,6,16,16], each of root mean square 1 -> float64 features [B,F]."""
        with torch.no_grad():
            out: Array = self.encoder(torch.from_numpy(np.asarray(batch, dtype=np.float64))).numpy()
        return out

    def __call__(self, batch: npt.NDArray[Any], *, normalise: bool = True) -> Array:
        """Terms [B,6,16,16] -> z [B,512]."""
        return latent(self.features(batch), self.weight, self.bias, normalise=normalise)


def cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Array:
    """Cosine of each a[i] with b[i], flattened, [B]."""
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    out: Array = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return out


def pair_cosines(vectors: npt.NDArray[Any]) -> Array:
    """Cosines of all pairs i < j of [n, ...], flattened to [n (n-1) / 2]."""
    flat = vectors.reshape(len(vectors), -1).astype(np.float64)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    out: Array = (flat @ flat.T)[np.triu_indices(len(flat), 1)]
    return out


def found_among(z_child: Array, z: Array) -> npt.NDArray[np.bool_]:
    """Whether the model nearest to each child [n,D] among z [n,D] is its own base, the one at the same place."""
    out: npt.NDArray[np.bool_] = (z_child @ z.T).argmax(1) == np.arange(len(z))
    return out


def independents(vectors: npt.NDArray[Any]) -> Figures:
    """Cosines among all pairs of unrelated models."""
    others = pair_cosines(vectors)
    return {
        "pairs": len(others),
        "mean_abs": np.abs(others).mean(),
        "mean": others.mean(),
        "std": others.std(),
        "worst": np.abs(others).max(),
        "pairs_above_0.3": int((np.abs(others) > 0.3).sum()),
        "pairs_above_0.2": int((np.abs(others) > 0.2).sum()),
    }


def offspring_rows(finger: Map, base: npt.NDArray[Any], children: npt.NDArray[Any]) -> list[Figures]:
    """For each noise: cosines of terms and of z, and retrieval of each child's base among all bases.

    Args:
        finger: encoder and head, or another map.
        base: terms [n,6,16,16].
        children: terms [len(NOISES),n,6,16,16].
    """
    z = finger(base)
    rows = []
    for noise, group in zip(NOISES, children, strict=True):
        z_child = finger(group)
        of_terms, of_z = cosines(base, group), cosines(z, z_child)
        found = found_among(z_child, z)
        similar = of_terms > 0.5
        rows.append(
            {
                "noise": noise[0],
                "noise_of_embeddings": noise[1],
                "terms": of_terms.mean(),
                "z": of_z.mean(),
                "z_worst": of_z.min(),
                "largest_loss": (of_terms - of_z).max(),
                "retrieval": found.mean(),
                "retrieval_terms_above_0.5": found[similar].mean() if similar.any() else None,
                "terms_above_0.5": int(similar.sum()),
            }
        )
    return rows


def at_099(finger: Map, base: npt.NDArray[Any], children: npt.NDArray[Any]) -> Figures:
    """How often z's cosine is at least 0.99 where the terms' is; all noises together, training noise left out."""
    z, of_terms, of_z = finger(base), [], []
    for group in children[1:]:
        of_terms.append(cosines(base, group))
        of_z.append(cosines(z, finger(group)))
    terms_cosine, z_cosine = np.concatenate(of_terms), np.concatenate(of_z)
    close = terms_cosine >= 0.99
    ratio = (1.0 - z_cosine[close]).mean() / (1.0 - terms_cosine[close]).mean()
    return {
        "offspring": int(close.sum()),
        "share": (z_cosine[close] >= 0.99).mean(),
        "worst_z": z_cosine[close].min(),
        "loss_of_z_over_loss_of_terms": ratio,
        "terms_that_suffice_for_99_percent": _sufficient(terms_cosine, z_cosine),
    }


def _sufficient(terms_cosine: Array, z_cosine: Array) -> float:
    """The terms' cosine from which on 99% of offspring have z at 0.99 or more."""
    order = np.argsort(-terms_cosine)
    share = np.cumsum(z_cosine[order] >= 0.99) / np.arange(1, len(order) + 1)
    return float(terms_cosine[order][np.nonzero(share >= 0.99)[0][-1]])


def gaussianity(raw: Array, seed: int = 0) -> Figures:
    """How near z [n,512] before normalisation is to N(0, I)."""
    # Kolmogorov-Smirnov: distance sqrt(n) D above 1.628 has probability 0.01 for a Gaussian
    ks = np.array([_kolmogorov_smirnov((column - column.mean()) / column.std()) for column in raw.T])
    plain = np.array([_kolmogorov_smirnov(column) for column in raw.T])
    root = np.sqrt(len(raw))
    ideal = np.random.default_rng(seed).standard_normal(raw.shape)
    norms = np.linalg.norm(raw, axis=1) / Z_DIM**0.5
    return {
        "mean_abs_mean": np.abs(raw.mean(0)).mean(),
        "mean_abs_mean_of_a_gaussian_sample": np.abs(ideal.mean(0)).mean(),
        "variance": [raw.var(0).min(), raw.var(0).mean(), raw.var(0).max()],
        "variance_of_a_gaussian_sample": [ideal.var(0).min(), ideal.var(0).max()],
        "ks_rejected_at_0.01": float((plain * root > 1.628).mean()),
        "ks_largest_after_standardising": float(ks.max() * root),
        "nearest_neighbour_same_side": _nearest_neighbour(raw, ideal),
        "nearest_neighbour_same_side_normalised": _nearest_neighbour(_on_sphere(raw), _on_sphere(ideal)),
        "norm_over_sqrt_512": [float(q) for q in np.quantile(norms, [0.0, 0.5, 1.0])],
    }


def _on_sphere(z: Array) -> Array:
    out: Array = z / np.linalg.norm(z, axis=1, keepdims=True)
    return out


def _kolmogorov_smirnov(values: Array) -> float:
    """Largest distance between the empirical distribution and N(0,1)."""
    cdf = 0.5 * (1.0 + torch.erf(torch.from_numpy(np.sort(values)) / 2.0**0.5).numpy())
    rank = np.arange(len(values) + 1) / len(values)
    return float(max((rank[1:] - cdf).max(), (cdf - rank[:-1]).max()))


def _nearest_neighbour(a: Array, b: Array) -> list[float]:
    """For a and for b: share of points whose nearest neighbour is of their own sample, 0.5 when the samples are alike.

    Two numbers, since for a sample of smaller spread they are near 1 and 0: the mean would hide it.
    """
    both = np.concatenate([a, b])
    square = (both**2).sum(1)
    distance = square[:, None] + square[None, :] - 2.0 * both @ both.T
    np.fill_diagonal(distance, np.inf)
    side = np.arange(len(both)) < len(a)
    same = side[distance.argmin(1)] == side
    return [float(same[side].mean()), float(same[~side].mean())]


def fixed_point(finger: Fingerprinter, base: npt.NDArray[Any]) -> Figures:
    """z of the circuit's integer arithmetic against z in float64 on unrounded terms."""
    exact = finger(base)
    integer = fixed_point_features(finger.encoder, np.rint(base.astype(np.float64) * INPUT_SCALE) / INPUT_SCALE)
    z = latent(integer / 2.0**16, finger.weight, finger.bias)
    loss = 1.0 - cosines(exact, z)
    return {"models": len(base), "worst_1_minus_cosine": loss.max(), "mean_1_minus_cosine": loss.mean()}


def effective_rank(terms: npt.NDArray[Any]) -> Array:
    """Participation ratio of singular values, (sum s^2)^2 / sum s^4, mean over a model's six terms, [B]."""
    squares = np.linalg.svd(np.asarray(terms, dtype=np.float64), compute_uv=False) ** 2
    out: Array = (squares.sum(-1) ** 2 / (squares**2).sum(-1)).mean(-1)
    return out


def near_pairs(z: Array, terms: npt.NDArray[Any], threshold: float = 0.25) -> Figures:
    """Who the nearest pairs of independents are: their terms' effective rank, against everybody's."""
    gram = z @ z.T / Z_DIM
    rank = effective_rank(terms)
    left, right = np.nonzero(np.triu(np.abs(gram), 1) > threshold)
    lower = np.minimum(rank[left], rank[right])
    thin = rank < 1.5
    thin_pairs = int(thin.sum()) * (int(thin.sum()) - 1) // 2
    others = np.abs(gram[np.triu_indices(len(z), 1)])
    thick = pair_cosines(z[rank >= 2.0])
    return {
        "threshold": threshold,
        "pairs": len(left),
        "effective_rank_of_all": [float(q) for q in np.quantile(rank, [0.0, 0.25, 0.5, 0.75, 1.0])],
        "effective_rank_of_nearest_pairs_lower_one": [float(q) for q in np.quantile(lower, [0.0, 0.5, 1.0])]
        if len(lower)
        else None,
        "models_below_1.5": int(thin.sum()),
        "share_of_pairs_with_both_below_1.5": thin_pairs / len(others),
        "near_pairs_with_one_below_1.5": int((lower < 1.5).sum()),
        "models_of_rank_2_or_more": independents(z[rank >= 2.0]) | {"models": int((rank >= 2.0).sum())}
        if len(thick)
        else None,
    }


def synthetic_figures(finger: Fingerprinter, base: npt.NDArray[Any], children: npt.NDArray[Any]) -> Figures:
    """Everything above for terms [n,6,16,16] of independents and their offspring at every noise in NOISES."""
    raw = finger(base, normalise=False)
    z = finger(base)
    return {
        "models": len(base),
        "independents": independents(z),
        "floor_of_512_dimensions": {"mean_abs": float(np.sqrt(2 / np.pi / Z_DIM)), "std": Z_DIM**-0.5},
        "independents_terms": independents(base),
        "nearest_pairs": near_pairs(z, base),
        "offspring": offspring_rows(finger, base, children),
        "at_0.99": at_099(finger, base, children),
        "gaussianity": gaussianity(raw),
        "fixed_point": fixed_point(finger, pairs(200, 80)[0]),
    }
