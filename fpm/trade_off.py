"""`python -m fpm.trade_off`: what other linear maps of the terms would give in place of encoder and head.

Three aims of docs/fpm.md are not met together. Each map here is measured on the same held-out models as the published
one, and on the 32 million pairs of `fpm.null`; writes fpm/runs/trade_off.json. Nothing is trained and nothing proven.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fpm.encoder import patches
from fpm.encoder_figures import Array, Figures, Fingerprinter, at_099, independents, offspring_rows
from fpm.null import SEED, tails
from fpm.study import parser_with_work, test_terms
from fpm.synthetic import GRID, TERMS, offspring
from fpm.tables import line, map_cells
from fpm.train import ENCODER, PUBLISHED, RUNS, digests
from fpm.train_encoder import EncoderTraining, training_terms

ENTRIES = TERMS * GRID * GRID
PATCH, COLUMNS = 4, 16  # of the circuit's form: 16 symmetric and 16 antisymmetric columns of w1
SYMMETRIC_WEIGHT = 0.7


@dataclass(frozen=True)
class LinearMap:
    """Terms [B,6,16,16] -> unit vectors along (x - mean) M, [B,D]. `numbers`: how many of them would be public."""

    matrix: Array
    mean: Array
    numbers: int

    def __call__(self, batch: npt.NDArray[Any]) -> Array:
        """z, of norm 1."""
        z: Array = (batch.reshape(len(batch), -1).astype(np.float64) - self.mean) @ self.matrix
        out: Array = z / np.linalg.norm(z, axis=1, keepdims=True)
        return out


def whitening(features: Array, power: float) -> Array:
    """C^(-power) up to a rotation, [F,F], with C the covariance of features [n,F]; 1/2 whitens, 0 leaves them."""
    values, vectors = np.linalg.eigh(np.cov(features.T))
    out: Array = vectors * np.maximum(values, 1e-9) ** -power
    return out


def encoder_matrix(finger: Fingerprinter) -> Array:
    """A linear encoder as one matrix [1536, F]."""
    return finger.features(np.eye(ENTRIES).reshape(-1, TERMS, GRID, GRID))


def whitened_encoder(encoder: Array, sample: Array, power: float) -> LinearMap:
    """The encoder [1536, F], and C^(-power) of its features of `sample` [n,1536] behind it."""
    return LinearMap(encoder @ whitening(sample @ encoder, power), sample.mean(0), encoder.shape[1])


def transposed(matrix: Array) -> Array:
    """Rows of [1536,F] exchanged so that they belong to the transposed terms."""
    out: Array = matrix.reshape(TERMS, GRID, GRID, -1).transpose(0, 2, 1, 3).reshape(matrix.shape)
    return out


def split(matrix: Array) -> tuple[Array, Array]:
    """Orthonormal bases of the symmetric and of the antisymmetric directions in the span of [1536,F].

    The span has to hold every direction's transpose.
    """
    bases = []
    for sign in (1.0, -1.0):
        vectors, sizes, _ = np.linalg.svd(matrix + sign * transposed(matrix), full_matrices=False)
        bases.append(vectors[:, sizes > 1e-9 * sizes[0]])
    return bases[0], bases[1]


def symmetric_patches(columns: int = COLUMNS, seed: int = 0) -> Array:
    """An encoder of the published form as a matrix [1536, 16 * 2 * columns] whose span `split` accepts.

    Each column of w1 is symmetric or antisymmetric within its 4x4 patch, so that the features of patch (i,j) and (j,i)
    are those of a term and of its transpose.
    """
    free = np.random.default_rng(seed).standard_normal((columns, 2, TERMS, PATCH, PATCH))
    flipped = free.transpose(0, 1, 2, 4, 3)
    w1 = np.concatenate([(free + flipped)[:, 0], (free - flipped)[:, 1]]).reshape(2 * columns, -1).T
    entries = torch.eye(ENTRIES, dtype=torch.float64).reshape(-1, TERMS, GRID, GRID)
    out: Array = (patches(entries, PATCH).numpy() @ w1).reshape(ENTRIES, -1)
    return out


def apart(matrix: Array, sample: Array, weight: float) -> Array:
    """Symmetric and antisymmetric directions whitened by themselves, the symmetric ones times `weight`."""
    parts = [basis @ whitening(sample @ basis, 0.5) for basis in split(matrix)]
    out: Array = np.concatenate([weight * parts[0], parts[1]], axis=1)
    return out


def maps(finger: Fingerprinter, sample: Array) -> Iterator[tuple[str, LinearMap]]:
    """Names and maps, fitted to `sample` [n,1536], the terms that the published head is fitted to."""
    mean, whole, encoder = sample.mean(0), np.eye(ENTRIES), encoder_matrix(finger)
    yield "the terms themselves", LinearMap(whole, np.zeros(ENTRIES), ENTRIES)
    for power in (0.0, 0.25, 0.375, 0.5):
        name = f"published encoder, C^(-{power:g})" if power else "published encoder, features as they are"
        yield name, whitened_encoder(encoder, sample, power)
    for power in (0.5, 0.8):
        yield f"all entries, C^(-{power:g})", LinearMap(whitening(sample, power), mean, ENTRIES)
    yield (
        f"all entries, whitened in two parts, symmetric one times {SYMMETRIC_WEIGHT:g}",
        LinearMap(apart(whole, sample, SYMMETRIC_WEIGHT), mean, ENTRIES),
    )
    least = whitening(sample, 0.5)[:, : encoder.shape[1]]  # eigh sorts upwards
    yield "the 512 directions of least variance, whitened", LinearMap(least, mean, least.shape[1])
    form = symmetric_patches()
    yield (
        f"16 + 16 columns, whitened in two parts, symmetric one times {SYMMETRIC_WEIGHT:g}",
        LinearMap(apart(form, sample, SYMMETRIC_WEIGHT), mean, form.shape[1]),
    )


def figures(find: LinearMap, base: npt.NDArray[Any], children: npt.NDArray[Any], crowd: npt.NDArray[Any]) -> Figures:
    """One map's figures.

    Args:
        find: the map.
        base, children: as `encoder_figures.offspring_rows` takes them.
        crowd: terms of many more unrelated models, [n,6,16,16].
    """
    rows, tail = offspring_rows(find, base, children), tails(find(crowd))
    similar = [(row["terms_above_0.5"], row["retrieval_terms_above_0.5"]) for row in rows if row["terms_above_0.5"]]
    return {
        "numbers": find.numbers,
        "independents": independents(find(base)),
        "crowd_pairs": tail["pairs"],
        "crowd_above_0.3": tail["above"]["0.3"] + tail["below_negative"]["0.3"],
        "offspring_at_training_noise": rows[0]["z"],
        "at_0.99": at_099(find, base, children)["share"],
        "terms_above_0.5": sum(count for count, _ in similar),
        "lost_of_them": round(sum(count * (1.0 - found) for count, found in similar)),
    }


def training_sample(work: Path) -> Array:
    """The terms that the published head is fitted to, float64 [n,1536]; kept in `work`, which is made."""
    work.mkdir(parents=True, exist_ok=True)
    sample: Array = training_terms(EncoderTraining(), work / "training.npz")[0].double().flatten(1).numpy()
    return sample


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints the table's lines and the path written."""
    parser = parser_with_work("fpm.trade_off")
    parser.add_argument("--models", type=int, default=1000, help="held-out synthetic models")
    parser.add_argument("--crowd", type=int, default=8000, help="models among which all pairs are counted")
    parser.add_argument("--output", type=Path, default=RUNS / "trade_off.json")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    sample = training_sample(options.work)
    base, children = test_terms(options.work, options.models)
    crowd, _ = offspring(options.crowd, SEED, ())
    found: dict[str, Figures] = {}
    for name, find in maps(Fingerprinter.load(PUBLISHED), sample):
        found[name] = figures(find, base, children, crowd)
        print(line(map_cells(name, found[name])), flush=True)
    record = {"models": len(base), "maps": found, "files": digests(ENCODER)}
    options.output.write_text(json.dumps(record, indent=1, default=float) + "\n")
    print(options.output)


if __name__ == "__main__":
    main()
