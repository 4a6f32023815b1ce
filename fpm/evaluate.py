"""The figures of docs/fpm.md: `python -m fpm.evaluate`.

Encoder: cosines of independents and offspring, noise sweep, retrieval, Gaussianity, fixed point, and how far a prover
can move z by choosing floor or ceiling for each term. Generator: agreement of runtimes, picture distance against
the angle between z, and 1-of-18 identification of an offspring by its picture alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from PIL import Image, ImageDraw

from fpm.encoder import INPUT_SCALE, Encoder, fixed_point_features, latent
from fpm.export import load_encoder
from fpm.latent import FEATURES, Z_DIM, coordinates, head_basis, sample_z
from fpm.synthetic import noisy, pairs, projection, synthetic_weights, terms
from fpm.train import PUBLISHED, ROOT

Array = npt.NDArray[np.float64]
Figures = dict[str, Any]


class Fingerprinter:
    """The published encoder and head: terms -> z."""

    def __init__(self, folder: Path) -> None:
        self.encoder, self.weight, self.bias = load_encoder(folder)

    def features(self, batch: npt.NDArray[Any]) -> Array:
        """Terms [B,6,16,16] -> float64 features [B,128]."""
        encoder: Encoder = self.encoder.double()
        with torch.no_grad():
            out: Array = encoder(torch.from_numpy(np.asarray(batch, dtype=np.float64))).numpy()
        return out

    def __call__(self, batch: npt.NDArray[Any], *, normalise: bool = True) -> Array:
        """Terms [B,6,16,16] -> z [B,512]."""
        return latent(self.features(batch), self.weight, self.bias, normalise=normalise)


def _cosines(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Array:
    a, b = a.reshape(len(a), -1).astype(np.float64), b.reshape(len(b), -1).astype(np.float64)
    out: Array = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return out


def cosine_figures(finger: Fingerprinter, count: int, seed: int) -> Figures:
    """Independents, offspring under the training noise, and the distribution of z before normalisation."""
    base, child = pairs(count, seed)
    raw = finger(base, normalise=False)
    z, z_child = finger(base), finger(child)
    others = (z @ z.T / Z_DIM)[np.triu_indices(count, 1)]
    flat = base.reshape(count, -1)
    flat = flat / np.linalg.norm(flat, axis=1, keepdims=True)
    term_others = (flat @ flat.T)[np.triu_indices(count, 1)]
    # Kolmogorov-Smirnov: distance sqrt(n) D above 1.628 has probability 0.01 for a Gaussian
    ks = np.array([_kolmogorov_smirnov(column / column.std()) * np.sqrt(count) for column in raw.T])
    ideal = np.random.default_rng(seed).standard_normal((count, FEATURES)) * 2.0 @ head_basis()[:, :FEATURES].T
    return {
        "models": count,
        "independents": {
            "mean_abs": np.abs(others).mean(),
            "mean": others.mean(),
            "std": others.std(),
            "worst": np.abs(others).max(),
            "pairs_above_0.3": int((np.abs(others) > 0.3).sum()),
            "pairs": len(others),
        },
        "floor_of_128_dimensions": {"mean_abs": float(np.sqrt(2 / np.pi / FEATURES)), "std": float(FEATURES**-0.5)},
        "independents_terms": {"mean_abs": np.abs(term_others).mean(), "worst": np.abs(term_others).max()},
        "offspring_training_noise": {"terms": _cosines(base, child).mean(), "z": _cosines(z, z_child).mean()},
        "gaussianity": {
            "mean_abs_mean": np.abs(raw.mean(0)).mean(),
            "variance": [raw.var(0).min(), raw.var(0).max()],
            "ks_below_0.01": float((ks > 1.628).mean()),
            "nearest_neighbour_same_side": _nearest_neighbour(raw, ideal),
        },
    }


def _kolmogorov_smirnov(values: Array) -> float:
    """Largest distance between the empirical distribution and N(0,1)."""
    cdf = 0.5 * (1.0 + torch.erf(torch.from_numpy(np.sort(values)) / 2.0**0.5).numpy())
    rank = np.arange(len(values) + 1) / len(values)
    return float(max((rank[1:] - cdf).max(), (cdf - rank[:-1]).max()))


def _nearest_neighbour(a: Array, b: Array) -> float:
    """Share of points whose nearest neighbour is of their own sample: 0.5 when both samples are alike."""
    both = np.concatenate([a, b])
    square = (both**2).sum(1)
    distance = square[:, None] + square[None, :] - 2.0 * both @ both.T
    np.fill_diagonal(distance, np.inf)
    side = np.arange(len(both)) < len(a)
    return float((side[distance.argmin(1)] == side).mean())


def noise_sweep(finger: Fingerprinter, count: int, library: Array, seed: int) -> list[Figures]:
    """Offspring at rising noise: cosine of terms and of z, and retrieval of the base among `library` and the bases."""
    rows = []
    for size in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2):
        bases, children = [], []
        for i in range(count):
            rng = np.random.default_rng((seed, i))
            matrix = projection(512, rng.bytes(32))
            weights = synthetic_weights(rng)
            bases.append(terms(weights, matrix))
            children.append(terms(noisy(weights, rng, size, size), matrix))
        base, child = np.stack(bases), np.stack(children)
        z, z_child = finger(base), finger(child)
        term_cosine, z_cosine = _cosines(base, child), _cosines(z, z_child)
        found = (z_child @ np.concatenate([z, library]).T).argmax(1) == np.arange(count)
        rows.append(
            {
                "noise": size,
                "terms": term_cosine.mean(),
                "z": z_cosine.mean(),
                "z_minus_terms_worst": (z_cosine - term_cosine).min(),
                "retrieval": found.mean(),
                "retrieval_where_terms_above_0.5": found[term_cosine > 0.5].mean()
                if (term_cosine > 0.5).any()
                else None,
            }
        )
    return rows


def fixed_point(finger: Fingerprinter, base: npt.NDArray[Any]) -> Figures:
    """z of the circuit's integer arithmetic against z in float64 on unrounded terms."""
    exact = finger(base)
    integer = fixed_point_features(finger.encoder, np.rint(base.astype(np.float64) * INPUT_SCALE) / INPUT_SCALE)
    z = latent(integer / 2.0**16, finger.weight, finger.bias)
    return {"worst_cosine": _cosines(exact, z).min(), "mean_cosine": _cosines(exact, z).mean()}


def floor_or_ceiling(finger: Fingerprinter, sample: npt.NDArray[Any], rounds: int = 6) -> tuple[Array, Array, float]:
    """The prover's freedom: each of the 1536 terms rounded down or up at will, to move z as far as possible.

    Sign-of-gradient ascent on the angle, from several random starts.

    Args:
        finger: the published encoder and head.
        sample: one model's terms, [6, 16, 16].
        rounds: random starts.

    Returns:
        honest z [512] (nearest rounding), worst z [512], their cosine.
    """
    exact = np.asarray(sample, dtype=np.float64) * INPUT_SCALE
    honest = finger(np.rint(exact)[None] / INPUT_SCALE)[0]
    low = torch.from_numpy(np.floor(exact))
    encoder = finger.encoder.double()
    weight, bias = torch.from_numpy(finger.weight).double(), torch.from_numpy(finger.bias).double()
    goal = torch.from_numpy(honest)
    worst, worst_cosine = honest, 1.0
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        up = torch.from_numpy(rng.integers(0, 2, exact.shape).astype(np.float64))
        for _ in range(20):
            x = ((low + up) / INPUT_SCALE).requires_grad_()
            z = encoder(x[None])[0] @ weight.T + bias
            cosine = z @ goal / z.norm() / goal.norm()
            if float(cosine.detach()) < worst_cosine:
                worst_cosine = float(cosine.detach())
                worst = (z * (Z_DIM**0.5 / z.norm())).detach().numpy()
            (slope,) = torch.autograd.grad(cosine, x)
            new = (slope < 0).double()
            if bool((new == up).all()):
                break
            up = new
    return honest, worst, worst_cosine


class Painter:
    """The published generator, as the verifier runs it."""

    def __init__(self, folder: Path, optimise: bool = True) -> None:
        options = onnxruntime.SessionOptions()
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimise else level.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(
            str(folder / "generator.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, z: Array) -> npt.NDArray[np.uint8]:
        """z [B,512] -> uint8 [B,h,w,3]."""
        out = [self.session.run(["image"], {"z": row[None].astype(np.float32)})[0][0] for row in z]
        grey = np.clip(np.rint((np.stack(out) + 1.0) * 127.5), 0, 255)
        return grey.astype(np.uint8).transpose(0, 2, 3, 1)


def at_angle(z: Array, cosine: float, rng: np.random.Generator) -> Array:
    """Another vector at that cosine to each z, in a random direction."""
    u = coordinates(z)
    u = u / np.linalg.norm(u, axis=1, keepdims=True)
    side = rng.standard_normal(u.shape)
    side -= (side * u).sum(1, keepdims=True) * u
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    out: Array = np.sqrt(Z_DIM) * (cosine * u + np.sqrt(1.0 - cosine**2) * side) @ head_basis().T
    return out


def _small(pictures: npt.NDArray[np.uint8]) -> Array:
    """32x32 pixels, flattened, 0..255."""
    out: Array = (
        pictures.reshape(len(pictures), 32, pictures.shape[1] // 32, 32, -1, 3).mean((2, 4)).reshape(len(pictures), -1)
    )
    return out


def _perceptual(pictures: npt.NDArray[np.uint8]) -> Array:
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


def generator_figures(folder: Path, finger: Fingerprinter) -> Figures:
    """Runtime agreement, distance against angle, identification, worst floor-or-ceiling picture."""
    paint, plain = Painter(folder), Painter(folder, optimise=False)
    z = sample_z(64, 99)
    started = time.perf_counter()
    pictures = paint(z)
    seconds = (time.perf_counter() - started) / len(z)
    apart = np.abs(pictures[:16].astype(int) - plain(z[:16]).astype(int)).max()
    rng = np.random.default_rng(7)
    curve = []
    for cosine in (0.999, 0.99, 0.97, 0.95, 0.9, 0.8, 0.7, 0.5, 0.25, 0.0):
        moved = paint(at_angle(z, cosine, rng))
        curve.append(
            {
                "cosine": cosine,
                "pixel": np.abs(moved.astype(float) - pictures).mean(),
                "perceptual": np.linalg.norm(_perceptual(moved) - _perceptual(pictures), axis=1).mean(),
            }
        )
    identification = []
    trials = 100
    line = sample_z(trials, 55)
    crowd = paint(line)
    for cosine in (0.99, 0.9, 0.7, 0.5):
        children = paint(at_angle(line, cosine, rng))
        row: Figures = {"z_cosine": cosine, "trials": trials}
        for name, view in (("pixel_32", _small), ("perceptual", _perceptual)):
            seen, wanted = view(crowd), view(children)
            hits = 0
            for i in range(trials):
                others = rng.choice(np.delete(np.arange(trials), i), 17, replace=False)
                shown = seen[np.concatenate([[i], others])]
                hits += int(np.linalg.norm(shown - wanted[i], axis=1).argmin() == 0)
            row[name] = hits / trials
        identification.append(row)
    base, _ = pairs(8, 4242)
    moves = []
    for sample in base:
        honest, worst, cosine = floor_or_ceiling(finger, sample)
        change = np.abs(paint(honest[None]).astype(int) - paint(worst[None]).astype(int))
        moves.append({"cosine": cosine, "largest_pixel_change": int(change.max()), "mean_pixel_change": change.mean()})
    return {
        "seconds_a_picture": seconds,
        "optimised_against_plain_grey_levels": int(apart),
        "distance_curve": curve,
        "identification_1_of_18": identification,
        "floor_or_ceiling": moves,
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


def main(arguments: list[str] | None = None) -> None:
    """Command line; prints the figures as JSON and writes the contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m fpm.evaluate")
    parser.add_argument(
        "--files", type=Path, default=PUBLISHED, help="folder with encoder.onnx, head.npz, generator.onnx"
    )
    parser.add_argument("--models", type=int, default=1000, help="independent synthetic models")
    parser.add_argument("--sheet", type=Path, default=ROOT / "docs" / "fpm-contact-sheet.png")
    parser.add_argument("--part", choices=["encoder", "generator", "all"], default="all")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    finger = Fingerprinter(options.files)
    figures: Figures = {}
    if options.part != "generator":
        figures["encoder"] = cosine_figures(finger, options.models, 77)
        library = finger(pairs(options.models, 78)[0])
        figures["noise"] = noise_sweep(finger, 100, library, 79)
        figures["fixed_point"] = fixed_point(finger, pairs(200, 80)[0])
    if options.part != "encoder":
        figures["generator"] = generator_figures(options.files, finger)
        contact_sheet(options.files, options.sheet)
    print(json.dumps(figures, indent=1, default=float))


if __name__ == "__main__":
    main()
