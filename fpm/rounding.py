"""What a prover can do with ezkl's rounding, which lets it round up or down as it likes.

Two places: the division of each of the 1,536 entries, and the rescaling of each feature. (A second product would have a
third; the published encoder has none.) Two searches: for the z farthest from the honest one, and for the picture with
the largest change in any pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fpm.encoder import INPUT_SCALE, latent
from fpm.encoder_figures import Array, Figures, Fingerprinter
from fpm.generator_figures import Painter
from fpm.latent import Z_DIM
from fpm.synthetic import pairs

CHUNK = 2048  # pixels at a time


class Roundings:
    """One model's roundings as a point to choose: `entries` in {down, up}, `features` in {-1, 1} units of 2^-16."""

    def __init__(self, finger: Fingerprinter, sample: npt.NDArray[Any]) -> None:
        self.finger = finger
        exact = np.asarray(sample, dtype=np.float64).ravel() * INPUT_SCALE
        self.honest_entries = np.rint(exact)
        count = finger.weight.shape[1]
        # lowest and highest choice, in units from the honest one
        self.low = np.concatenate([np.floor(exact) - self.honest_entries, -np.ones(count)])
        self.high = np.concatenate([np.floor(exact) + 1.0 - self.honest_entries, np.ones(count)])
        self.honest = self.z(np.zeros_like(self.low))

    def z(self, move: Array) -> Array:
        """z [512] for a move [1536 + F] in units of 2^-16."""
        x = (self.honest_entries + move[:1536]).reshape(1, 6, 16, 16) / INPUT_SCALE
        features = self.finger.features(x)[0] + move[1536:] / INPUT_SCALE
        return latent(features, self.finger.weight, self.finger.bias)

    def towards(self, slope: Array) -> Array:
        """The choice that raises slope . move most."""
        out: Array = np.where(slope > 0, self.high, self.low)
        return out

    def jacobian(self) -> Array:
        """Slope of z in the move, at the honest rounding: [512, 1536 + F]."""
        weight, bias = (torch.from_numpy(a).double() for a in (self.finger.weight, self.finger.bias))
        x = torch.from_numpy(self.honest_entries / INPUT_SCALE)

        def z_of(move: torch.Tensor) -> torch.Tensor:
            entries = (x + move[:1536] / INPUT_SCALE).reshape(1, 6, 16, 16)
            z = (self.finger.encoder(entries)[0] + move[1536:] / INPUT_SCALE) @ weight.T + bias
            unit: torch.Tensor = z * (Z_DIM**0.5 / z.norm())
            return unit

        start = torch.zeros(len(self.low), dtype=torch.float64)
        out: Array = torch.func.jacrev(z_of)(start).detach().numpy()
        return out


def farthest_z(finger: Fingerprinter, sample: npt.NDArray[Any], rounds: int = 6) -> tuple[Array, Array, float]:
    """Roundings that move z as far as possible: maximises |J move| by sign iterations from several random starts.

    Args:
        finger: the published encoder and head.
        sample: one model's terms, [6, 16, 16].
        rounds: random starts.

    Returns:
        honest z [512] (nearest rounding), farthest z [512], 1 - their cosine.
    """
    choice = Roundings(finger, sample)
    slope = choice.jacobian()
    gram: Array = slope.T @ slope
    rng = np.random.default_rng(0)
    worst, loss = choice.honest, 0.0
    for _ in range(rounds):
        move = choice.towards(rng.standard_normal((slope.shape[1],)))
        for _ in range(30):
            again = choice.towards(gram @ move)
            if np.array_equal(again, move):
                break
            move = again
        z = choice.z(move)
        # 1 - cos = |difference|^2 / (2 |z|^2): the cosine itself has too few digits
        here = float(((z - choice.honest) ** 2).sum() / (2.0 * Z_DIM))
        if here > loss:
            worst, loss = z, here
    return choice.honest, worst, loss


def largest_pixel_change(finger: Fingerprinter, paint: Painter, sample: npt.NDArray[Any], pixels: int = 4) -> Figures:
    """Searches the roundings for the one that changes some channel of some pixel most.

    The slope of every pixel in z is measured by 512 finite differences through the published generator. To first order
    that gives the best roundings for each pixel, and a bound; those of the `pixels` worst ones are then drawn.

    Args:
        finger: encoder and head.
        paint: generator.
        sample: one model's terms, [6, 16, 16].
        pixels: how many of the channels of pixels are pushed, each up and down.

    Returns:
        `bytes`: largest change of a channel in the PNG; `unrounded`: the same before rounding to bytes (grey levels);
        `bound`: what the first-order slope allows at most for any pixel (grey levels).
    """
    choice = Roundings(finger, sample)
    plain = paint.raw(choice.honest[None])[0]
    seen = paint.bytes(plain[None])[0].astype(int)
    step = 0.02
    shifted = (paint.raw((choice.honest + step * row)[None])[0] for row in np.eye(Z_DIM))
    in_z = np.stack([((picture - plain) / step).ravel() for picture in shifted], 1)
    slope = choice.jacobian()
    reach = np.concatenate([_reach(in_z[i : i + CHUNK] @ slope, choice) for i in range(0, len(in_z), CHUNK)])
    best_bytes, best = 0, 0.0
    for pixel in np.argsort(-reach)[:pixels]:
        for sign in (1.0, -1.0):
            raw = paint.raw(choice.z(choice.towards(sign * (in_z[pixel] @ slope)))[None])
            best_bytes = max(best_bytes, int(np.abs(paint.bytes(raw)[0].astype(int) - seen).max()))
            best = max(best, float(np.abs(raw[0] - plain).max()) * 127.5)
    return {"bytes": best_bytes, "unrounded": best, "bound": float(reach.max()) * 127.5}


def _reach(slope: Array, choice: Roundings) -> Array:
    """Largest |slope . move| over all choices, for each row of slope [n, 1536 + F]."""
    up = np.maximum(slope * choice.high, slope * choice.low).sum(1)
    down = np.minimum(slope * choice.high, slope * choice.low).sum(1)
    out: Array = np.maximum(up, -down)
    return out


def rounding_figures(
    finger: Fingerprinter, paint: Painter, models: int = 8, pictures: int = 3, seed: int = 4242
) -> Figures:
    """Both searches on synthetic models: the first on `models`, the second on `pictures` of them."""
    base, _ = pairs(models, seed)
    losses, changes = [], []
    for sample in base:
        honest, worst, loss = farthest_z(finger, sample)
        losses.append(loss)
        changes.append(int(np.abs(paint(honest[None]).astype(int) - paint(worst[None]).astype(int)).max()))
    return {
        "models": models,
        "farthest_z_1_minus_cosine": max(losses),
        "farthest_z_largest_pixel_change": max(changes),
        "largest_pixel_change": [largest_pixel_change(finger, paint, sample) for sample in base[:pictures]],
    }
