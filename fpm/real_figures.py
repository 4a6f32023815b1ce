"""Figures of an encoder on trained models: pairs over many projections, int8 against float, noise on the base."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fpm.encoder_figures import Array, Figures, Fingerprinter, cosines, effective_rank
from fpm.latent import Z_DIM
from fpm.real_models import quantized, read_llama, variants
from fpm.synthetic import Weights, noisy, projection, terms

SHIPPED = ("base", "offspring", "independent")
REAL_NOISES = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)
MARK = "-offspring"


def shipped_models(folder: Path) -> dict[str, Weights]:
    """Weights of base, offspring and independent."""
    return {name: read_llama(folder / name) for name in SHIPPED}


def parent_of(name: str) -> str:
    """The model that `name` was fine-tuned from, or `name` itself."""
    return "base" if name == "offspring" else name.removesuffix(MARK)


def projections(profile_seed: bytes, tokens: int, count: int) -> list[npt.NDArray[np.float32]]:
    """The profile's projection and `count - 1` others."""
    seeds = [profile_seed, *(hashlib.sha256(b"fpm figures %d" % i).digest() for i in range(1, count))]
    return [projection(tokens, seed) for seed in seeds]


def pairs_of_models(
    finger: Fingerprinter, models: Mapping[str, Weights], matrices: list[npt.NDArray[np.float32]]
) -> Figures:
    """Cosines of terms and of z for all pairs, related and unrelated, under the first and under all projections.

    Terms are those of the int8 matrices, as the prover makes them.
    """
    names = list(models)
    integers = {name: quantized(weights) for name, weights in models.items()}
    related: list[tuple[str, Array, Array]] = []
    unrelated: list[tuple[str, Array, Array]] = []
    stacks = np.stack([[terms(integers[name], matrix) for matrix in matrices] for name in names])
    z = np.stack([finger(stack) for stack in stacks])
    for i, left in enumerate(names):
        for j in range(i + 1, len(names)):
            row = (f"{left} / {names[j]}", cosines(stacks[i], stacks[j]), cosines(z[i], z[j]))
            (related if parent_of(left) == parent_of(names[j]) else unrelated).append(row)
    every = np.abs(np.concatenate([of_z for _, _, of_z in unrelated]))
    first = np.abs([of_z[0] for _, _, of_z in unrelated])
    signed = np.concatenate([of_z for _, _, of_z in unrelated])
    rank = effective_rank(stacks.reshape(-1, *stacks.shape[2:]))
    return {
        "models": len(names),
        "projections": len(matrices),
        "related": [
            {
                "pair": pair,
                "terms": of_terms[0],
                "z": of_z[0],
                "terms_range": [of_terms.min(), of_terms.max()],
                "z_range": [of_z.min(), of_z.max()],
            }
            for pair, of_terms, of_z in related
        ],
        "unrelated": {
            "pairs": len(unrelated),
            "pairs_and_projections": len(every),
            "mean_abs": every.mean(),
            "mean": signed.mean(),
            "std": signed.std(),
            "worst": every.max(),
            "above_0.3": int((every > 0.3).sum()),
            "mean_abs_first_projection": first.mean(),
            "worst_first_projection": first.max(),
            "worst_terms": max(np.abs(of_terms).max() for _, of_terms, _ in unrelated),
        },
        "base_against_independent": {
            "terms": next(t[0] for pair, t, _ in unrelated if pair == "base / independent"),
            "z": next(of_z[0] for pair, _, of_z in unrelated if pair == "base / independent"),
        },
        "effective_rank_of_terms": [float(q) for q in np.quantile(rank, [0.0, 0.5, 1.0])],
        "z_before_normalisation_norm_over_sqrt_512": [
            float(q)
            for q in np.quantile(
                np.linalg.norm(finger(stacks[:, 0], normalise=False), axis=1) / Z_DIM**0.5, [0.0, 0.5, 1.0]
            )
        ],
    }


def quantization(
    finger: Fingerprinter, models: Mapping[str, Weights], matrices: list[npt.NDArray[np.float32]]
) -> Figures:
    """What rms16-int8-v1 does to terms and z: cosine between float and int8, worst over models and projections."""
    of_terms, of_z = [], []
    for weights in models.values():
        whole = np.stack([terms(weights, matrix) for matrix in matrices])
        integer = np.stack([terms(quantized(weights), matrix) for matrix in matrices])
        of_terms.append(cosines(whole, integer))
        of_z.append(cosines(finger(whole), finger(integer)))
    return {"worst_terms": np.min(of_terms), "mean_z": np.mean(of_z), "worst_z": np.min(of_z)}


def noise_sweep(
    finger: Fingerprinter, weights: Weights, matrix: npt.NDArray[np.float32], library: Array, draws: int = 20
) -> list[Figures]:
    """Gaussian noise on the shipped base model's weights, then quantized: cosines of terms and z, and retrieval.

    Args:
        finger: encoder and head.
        weights: the base model, before quantizing.
        matrix: the profile's projection.
        library: z of unrelated models, among which the base has to be found.
        draws: offspring at each size.
    """
    base = terms(quantized(weights), matrix)[None]
    z = finger(base)
    rows = []
    for size in REAL_NOISES:
        rng = np.random.default_rng((31, int(1000 * size)))
        children = np.stack([terms(quantized(noisy(weights, rng, size, size)), matrix) for _ in range(draws)])
        z_child = finger(children)
        of_terms, of_z = cosines(np.repeat(base, draws, 0), children), cosines(np.repeat(z, draws, 0), z_child)
        close = of_terms >= 0.99
        rows.append(
            {
                "noise": size,
                "terms": of_terms.mean(),
                "z": of_z.mean(),
                "z_worst": of_z.min(),
                "largest_loss": (of_terms - of_z).max(),
                "terms_at_0.99": int(close.sum()),
                "z_at_0.99_of_them": int((of_z[close] >= 0.99).sum()),
                "retrieval": ((z_child @ library.T).max(1) < of_z * Z_DIM).mean(),
            }
        )
    return rows


def real_figures(
    finger: Fingerprinter, folder: Path, profile_seed: bytes, library: Array, work: Path | None
) -> Figures:
    """Everything above; `work` keeps the further variants (trained when missing), None: shipped models only."""
    models = shipped_models(folder)
    tokens = len(models["base"].embedding)
    matrices = projections(profile_seed, tokens, 13)
    everyone: dict[str, Any] = dict(models)
    if work is not None:
        everyone |= variants(work, folder / "base" / "tokenizer.json")
    return {
        "shipped": pairs_of_models(finger, models, matrices),
        "with_variants": None if work is None else pairs_of_models(finger, everyone, matrices),
        "quantization": quantization(finger, models, matrices),
        "noise_on_base": noise_sweep(finger, models["base"], matrices[0], library),
    }
