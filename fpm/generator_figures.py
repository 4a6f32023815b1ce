"""Figures of a generator: runtimes that agree, picture distance by angle, 1-of-18 identification, contact sheet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from circuits.onnx_runtime import onnxruntime
from fpm.encoder_figures import Array, Figures, Fingerprinter, cosines
from fpm.latent import Z_DIM, coordinates, head_basis, sample_z
from fpm.synthetic import Weights, noisy, projection, synthetic_weights, terms

ICS_LEVELS = (0.99, 0.9, 0.7, 0.5)
CROWD = 18


class Painter:
    """The published generator, as the verifier runs it."""

    def __init__(self, folder: Path, optimise: bool = False) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(
            str(folder / "generator.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def raw(self, z: Array) -> npt.NDArray[np.float32]:
        """z [B,512] -> float32 [B,3,h,w] in [-1,1]."""
        return np.stack([self.session.run(["image"], {"z": row[None].astype(np.float32)})[0][0] for row in z])

    @staticmethod
    def bytes(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """[B,3,h,w] in [-1,1] -> uint8 [B,h,w,3]."""
        grey = np.clip(np.rint((raw + 1.0) * 127.5), 0, 255)
        out: npt.NDArray[np.uint8] = grey.astype(np.uint8).transpose(0, 2, 3, 1)
        return out

    def __call__(self, z: Array) -> npt.NDArray[np.uint8]:
        """z [B,512] -> uint8 [B,h,w,3]."""
        return self.bytes(self.raw(z))


def at_angle(z: Array, cosine: float, rng: np.random.Generator) -> Array:
    """Another vector at that cosine to each z [B,512], in a random direction."""
    u = coordinates(z)
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    side = rng.standard_normal(u.shape)
    side -= (side * u).sum(1, keepdims=True) * u
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    out: Array = np.sqrt(Z_DIM) * (cosine * u + np.sqrt(1.0 - cosine**2) * side) @ head_basis().T
    return out


def small(pictures: npt.NDArray[np.uint8]) -> Array:
    """32x32 pixels, flattened, 0..255."""
    out: Array = (
        pictures.reshape(len(pictures), 32, pictures.shape[1] // 32, 32, -1, 3).mean((2, 4)).reshape(len(pictures), -1)
    )
    return out


def perceptual(pictures: npt.NDArray[np.uint8]) -> Array:
    """Multi-scale edges and colours in an opponent space: a pooled pyramid, each level normalised."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).double() / 255.0
    opponent = torch.tensor([[0.3, 0.6, 0.1], [0.5, -0.5, 0.0], [0.25, 0.25, -0.5]], dtype=torch.float64)
    x = torch.einsum("oc,bchw->bohw", opponent, x)
    parts = []
    for _ in range(5):
        pooled = torch.nn.functional.avg_pool2d(x, 2)
        detail = x - torch.nn.functional.interpolate(pooled, scale_factor=2)
        parts.append(detail.flatten(1) / detail[0].numel() ** 0.5 * 3.0)
        x = pooled
    parts.append(x.flatten(1) / x[0].numel() ** 0.5)
    out: Array = torch.cat(parts, 1).numpy()
    return out


def distance_curve(paint: Painter, count: int = 64, seed: int = 99) -> list[Figures]:
    """Picture distances of `count` z's to others at rising angles."""
    z, rng = sample_z(count, seed), np.random.default_rng(7)
    pictures = paint(z)
    seen = perceptual(pictures)
    rows = []
    for cosine in (0.9999, 0.999, 0.99, 0.97, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25, 0.0):
        moved = paint(at_angle(z, cosine, rng))
        pixel = np.abs(moved.astype(float) - pictures).mean((1, 2, 3))
        shape = np.linalg.norm(perceptual(moved) - seen, axis=1)
        row: Figures = {"cosine": cosine, "angle_degrees": float(np.degrees(np.arccos(cosine)))}
        for name, values in (("pixel", pixel), ("perceptual", shape)):
            low, high = np.quantile(values, [0.05, 0.95])
            row |= {name: values.mean(), f"{name}_5": low, f"{name}_95": high}
        rows.append(row)
    return rows


def offspring_at(weights: Weights, matrix: npt.NDArray[Any], ics: float, rng: np.random.Generator) -> npt.NDArray[Any]:
    """Terms of an offspring whose terms have this cosine to the base's: the weights' noise is found by bisection.

    The noise's direction is drawn once; weights and embeddings get the same relative size.

    Args:
        weights: the base.
        matrix: P.
        ics: wanted cosine of the concatenated terms.
        rng: draws the noise.

    Returns:
        float32 [6,16,16].
    """
    base = terms(weights, matrix)
    seed = int(rng.integers(2**32))

    def child(size: float) -> npt.NDArray[Any]:
        return terms(noisy(weights, np.random.default_rng(seed), size, size), matrix)

    low, high = 0.0, 8.0
    for _ in range(18):
        middle = (low + high) / 2.0
        if float(cosines(base[None], child(middle)[None])[0]) > ics:
            low = middle
        else:
            high = middle
    return child((low + high) / 2.0)


def identification(finger: Fingerprinter, paint: Painter, trials: int = 200, seed: int = 55) -> list[Figures]:
    """1 of 18: an offspring's picture is shown with its base's and 17 unrelated models'; which one is nearest?

    Offspring are noisy weights of synthetic models at a given ICS, through encoder and generator.
    """
    models, matrices = [], []
    for i in range(trials):
        rng = np.random.default_rng((seed, i))
        matrices.append(projection(512, rng.bytes(32)))
        models.append(synthetic_weights(rng))
    z = finger(np.stack([terms(w, m) for w, m in zip(models, matrices, strict=True)]))
    crowd = paint(z)
    rows = []
    for ics in ICS_LEVELS:
        rng = np.random.default_rng((seed, int(1000 * ics)))
        children = [offspring_at(w, m, ics, rng) for w, m in zip(models, matrices, strict=True)]
        z_child = finger(np.stack(children))
        row = {"ics": ics, "z": cosines(z, z_child).mean(), "z_worst": cosines(z, z_child).min(), "trials": trials}
        rows.append(row | shares_found(crowd, paint(z_child), rng))
    return rows


def identification_at_angle(paint: Painter, trials: int = 200, seed: int = 56) -> list[Figures]:
    """The same with z at a given cosine in a random direction: the generator alone."""
    z, rng = sample_z(trials, seed), np.random.default_rng(seed)
    crowd = paint(z)
    return [
        {"z": cosine, "trials": trials} | shares_found(crowd, paint(at_angle(z, cosine, rng)), rng)
        for cosine in ICS_LEVELS
    ]


def shares_found(
    crowd: npt.NDArray[np.uint8], children: npt.NDArray[np.uint8], rng: np.random.Generator
) -> dict[str, float]:
    """Share of children [n,h,w,3] whose nearest picture among their base's and 17 others of `crowd` is the base's."""
    out = {}
    for name, view in (("pixel_32", small), ("perceptual", perceptual)):
        seen, wanted = view(crowd), view(children)
        hits = 0
        for i in range(len(crowd)):
            others = rng.choice(np.delete(np.arange(len(crowd)), i), CROWD - 1, replace=False)
            shown = seen[np.concatenate([[i], others])]
            hits += int(np.linalg.norm(shown - wanted[i], axis=1).argmin() == 0)
        out[name] = hits / len(crowd)
    return out


def runtime_figures(folder: Path) -> Figures:
    """Seconds a picture, and agreement of onnxruntime's optimisation levels in grey levels."""
    plain, fast = Painter(folder), Painter(folder, optimise=True)
    z = sample_z(16, 99)
    started = time.perf_counter()
    pictures = plain(z)
    seconds = (time.perf_counter() - started) / len(z)
    return {
        "seconds_a_picture": seconds,
        "optimised_against_plain_grey_levels": int(np.abs(pictures.astype(int) - fast(z).astype(int)).max()),
        "megabytes": (folder / "generator.onnx").stat().st_size / 1e6,
    }


def contact_sheet(folder: Path, path: Path) -> None:
    """Rows of base, offspring at cosines 0.99 and 0.9, and independents."""
    paint, rng = Painter(folder), np.random.default_rng(3)
    z = sample_z(4, 2024)
    columns = [
        paint(z),
        paint(at_angle(z, 0.99, rng)),
        paint(at_angle(z, 0.9, rng)),
        *(paint(sample_z(4, 300 + i)) for i in range(3)),
    ]
    size = columns[0].shape[1]
    sheet = Image.new("RGB", (len(columns) * (size + 4) + 4, 4 * (size + 4) + 22), "white")
    names = ["base", "cosine 0.99", "cosine 0.9", "independent", "independent", "independent"]
    for i, (column, name) in enumerate(zip(columns, names, strict=True)):
        ImageDraw.Draw(sheet).text((8 + i * (size + 4), 4), name, fill="black")
        for j, picture in enumerate(column):
            sheet.paste(Image.fromarray(picture), (4 + i * (size + 4), 20 + j * (size + 4)))
    sheet.save(path, optimize=True)
