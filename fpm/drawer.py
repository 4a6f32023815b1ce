"""Procedural, antialiased dogs: a fixed smooth function of z.

Every parameter of the drawing is the normal CDF of one coordinate of z (see `latent`), so
near vectors draw near pictures and independent vectors draw different dogs. Shapes are signed distances in a frame
where x runs right and y down over [-1, 1]; an edge is a smoothstep of the distance, so there is no aliasing and
no jump anywhere. The generator is trained to reproduce these pictures from z.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fpm.latent import head_basis

# fmt: off
# One row a parameter: name, value at CDF 0, value at CDF 1. The order fixes which coordinate of z drives it.
PARAMETERS: tuple[tuple[str, float, float], ...] = (
    ("coat_light", 0.10, 0.95), ("coat_warm", -0.05, 1.0), ("coat_red", -0.3, 1.0),
    ("mark_light", 0.25, 1.15), ("mark_warm", -0.05, 0.9), ("patch_light", 0.02, 0.75), ("patch_warm", 0.0, 1.0),
    ("head_x", -0.04, 0.04), ("head_y", 0.0, 0.06), ("tilt", -0.06, 0.06), ("size", 0.98, 1.08), ("turn", -0.45, 0.45),
    ("skull_w", 0.43, 0.53), ("skull_h", 0.42, 0.49), ("jowl_w", 0.34, 0.46), ("jowl_y", 0.15, 0.25),
    ("ear_angle", -1.0, 1.0), ("ear_length", 0.4, 0.6), ("ear_base", 0.14, 0.2), ("ear_tip", 0.02, 0.17),
    ("ear_fold", -0.3, 0.3), ("ear_dark", -0.9, 1.3), ("ear_apart", 0.29, 0.37),
    ("muzzle_w", 0.22, 0.31), ("muzzle_h", 0.19, 0.26), ("muzzle_y", 0.27, 0.33), ("muzzle_mark", -0.3, 1.3),
    ("blaze", -0.8, 1.4), ("blaze_w", 0.03, 0.15), ("brow", -1.2, 1.2), ("mask", -1.0, 1.2),
    ("eye_size", 0.068, 0.102), ("eye_apart", 0.19, 0.235), ("eye_y", -0.075, -0.025), ("eye_hue", 0.0, 1.0),
    ("eye_blue", -0.7, 1.1), ("lid", -0.1, 0.5),
    ("nose_w", 0.085, 0.135), ("nose_h", 0.055, 0.10), ("nose_brown", -0.6, 1.0),
    ("tongue", -0.12, 0.24), ("tongue_w", 0.07, 0.12), ("smile", 0.02, 0.14),
    ("patch_left", -1.2, 1.4), ("patch_right", -1.2, 1.4), ("spots", -0.45, 0.45), ("chest_mark", -0.5, 1.3),
    ("body_w", 0.55, 0.8), ("body_y", 0.68, 0.8),
    ("collar_r", 0.05, 0.95), ("collar_g", 0.05, 0.95), ("collar_b", 0.05, 0.95), ("collar_on", 0.1, 1.6),
    ("tag", -0.6, 1.3),
    ("light_x", -1.0, 1.0), ("light_y", -0.9, 0.3), ("light_power", 0.10, 0.42),
    ("horizon", 0.45, 0.6), ("ground", -0.5, 0.5),
)
# fmt: on
COAT_WAVES = 8  # cosine waves of the coat's spots, one coordinate each
# Each colour of the background is a sum of these (waves across, waves down, share of the variance): three coordinates a
# row. Many coordinates of equal weight make the distance between two independent pictures nearly constant; with few, a
# crowd of eighteen now and then holds a dog that resembles a stranger.
BACK_WAVES = (
    (0, 0, 0.22), (1, 0, 0.15), (0, 1, 0.15), (1, 1, 0.12), (2, 0, 0.10), (0, 2, 0.10), (2, 1, 0.08), (1, 2, 0.08),
)  # fmt: skip

COORDINATES = len(PARAMETERS) + COAT_WAVES + 3 * len(BACK_WAVES)  # of z that a picture depends on


def _ball(
    x: Tensor, y: Tensor, cx: Tensor | float, cy: Tensor | float, rx: Tensor | float, ry: Tensor | float
) -> Tensor:
    """Signed distance (first order) to an ellipse with half axes rx, ry."""
    dx, dy = x - cx, y - cy
    k0 = torch.sqrt((dx / rx) ** 2 + (dy / ry) ** 2 + 1e-6)
    k1 = torch.sqrt((dx / rx**2) ** 2 + (dy / ry**2) ** 2 + 1e-6)
    return k0 * (k0 - 1.0) / k1


def _limb(x: Tensor, y: Tensor, ax: Tensor, ay: Tensor, bx: Tensor, by: Tensor, ra: Tensor, rb: Tensor) -> Tensor:
    """Signed distance (approximate) to a tapered capsule from a (radius ra) to b (radius rb)."""
    ex, ey = bx - ax, by - ay
    t = (((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0)
    return torch.sqrt((x - ax - t * ex) ** 2 + (y - ay - t * ey) ** 2 + 1e-6) - (ra + (rb - ra) * t)


def _join(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Smooth union of two distances; k is the width of the blend."""
    h = (0.5 + 0.5 * (b - a) / k).clamp(0.0, 1.0)
    return b + (a - b) * h - k * h * (1.0 - h)


def _inside(d: Tensor, soft: float) -> Tensor:
    """Cover of a shape: 1 inside, 0 outside, smoothstep over 2*soft."""
    t = (0.5 - d / (2.0 * soft)).clamp(0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _fur(light: Tensor, warm: Tensor, red: Tensor | float) -> Tensor:
    """A natural coat colour [B,3,1,1]: lightness from black to cream, warmth from grey to golden to red."""
    w = warm.clamp(0.0, 1.0) * (1.0 - 0.55 * light.clamp(0.0, 1.0))
    r = light * (1.0 + 0.45 * w)
    g = light * (1.0 - 0.10 * w - 0.15 * w * red)
    b = light * (1.0 - 0.62 * w)
    return torch.cat([r, g, b], 1).clamp(0.03, 1.0)


def _over(image: Tensor, colour: Tensor, cover: Tensor) -> Tensor:
    return image + (colour - image) * cover


def cdf_coordinates(z: Tensor) -> Tensor:
    """The standard-normal coordinates of z [B,512] that the drawing uses, [B, COORDINATES]."""
    basis = torch.from_numpy(head_basis()[:, :COORDINATES].copy()).to(z.dtype)
    return z @ basis


def draw(z: Tensor, size: int = 128) -> Tensor:
    """Draws one dog for each z.

    Args:
        z: float32 [B, 512], of norm sqrt(512).
        size: width and height in pixels.

    Returns:
        float32 [B, 3, size, size] in [-1, 1].
    """
    u = cdf_coordinates(z)
    cdf = 0.5 * (1.0 + torch.erf(u / math.sqrt(2.0)))
    p = {n: (lo + (hi - lo) * cdf[:, i]).view(-1, 1, 1, 1) for i, (n, lo, hi) in enumerate(PARAMETERS)}
    coat = u[:, len(PARAMETERS) : len(PARAMETERS) + COAT_WAVES]
    back = u[:, len(PARAMETERS) + COAT_WAVES : COORDINATES]
    axis = (torch.arange(size, dtype=z.dtype) + 0.5) / size * 2.0 - 1.0
    gx, gy = axis.view(1, 1, 1, size), axis.view(1, 1, size, 1)
    soft = max(2.4 / size, 0.015)
    image = _background(p, back, gx, gy)
    return _dog(image, p, coat, gx, gy, soft).clamp(0.0, 1.0) * 2.0 - 1.0


def _waves(u: Tensor, x: Tensor, y: Tensor, low: float, high: float, seed: int) -> Tensor:
    """A smooth random field [B,1,h,w], about unit variance: cosines with fixed directions, weighted by u [B,n]."""
    gen = torch.Generator().manual_seed(seed)
    count = u.shape[1]
    angle = torch.arange(count) * 2.399963  # golden angle: directions spread evenly
    freq = low + (high - low) * torch.rand(count, generator=gen)
    phase = torch.rand(count, generator=gen) * 6.2832
    field = torch.zeros(())
    for i in range(count):
        fx, fy = float(freq[i] * angle[i].cos()), float(freq[i] * angle[i].sin())
        field = field + u[:, i].view(-1, 1, 1, 1) * torch.cos(x * fx + y * fy + float(phase[i]))
    return field * math.sqrt(2.0 / count)


def _background(p: dict[str, Tensor], u: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Soft colours: the normal CDF of three smooth fields of unit variance, u [B, 3 * len(BACK_WAVES)]."""
    field = torch.zeros(())
    for i, (across, down, share) in enumerate(BACK_WAVES):
        wave = torch.cos(math.pi / 2.0 * across * (x + 1.0)) * torch.cos(math.pi / 2.0 * down * (y + 1.0))
        norm = math.sqrt(share * (2.0 if across else 1.0) * (2.0 if down else 1.0))
        field = field + norm * u[:, 3 * i : 3 * i + 3, None, None] * wave
    image = 0.10 + 0.88 * 0.5 * (1.0 + torch.erf(field / math.sqrt(2.0)))
    ground = _inside(p["horizon"] - y, 0.10)
    image = image * (1.0 + p["ground"] * ground)
    glow = torch.exp(-((x - 0.7 * p["light_x"]) ** 2 + (y - p["light_y"]) ** 2) / 0.7)
    return (image * (0.86 + 0.30 * glow)).clamp(0.0, 1.0)


def _dog(image: Tensor, p: dict[str, Tensor], u: Tensor, gx: Tensor, gy: Tensor, soft: float) -> Tensor:
    coat = _fur(p["coat_light"], p["coat_warm"], p["coat_red"])
    mark = _fur(p["mark_light"].clamp(0, 1), p["mark_warm"], 0.0)
    patch = _fur(p["patch_light"], p["patch_warm"], p["coat_red"])
    # Head frame: shift, tilt and scale; the dog's own coordinates are x, y.
    dx, dy = (gx - p["head_x"]) / p["size"], (gy - p["head_y"]) / p["size"]
    c, s = torch.cos(p["tilt"]), torch.sin(p["tilt"])
    x, y = c * dx + s * dy, -s * dx + c * dy
    spots = _waves(u, x, y, 4.0, 7.0, 9)
    spotted = _inside(0.9 - p["spots"] - spots, 0.35)
    image = _body(image, p, coat, mark, patch, spotted, gx, gy, soft)
    image = _ears(image, p, coat, patch, x, y, soft)
    image = _head(image, p, coat, mark, patch, spotted, x, y, soft)
    image = _eyes(image, p, x, y, soft)
    return _mouth(image, p, mark, coat, x, y, soft)


def _lit(colour: Tensor, p: dict[str, Tensor], nx: Tensor, ny: Tensor) -> Tensor:
    """Shades a colour by the light: nx, ny are the surface's lean to the right and down, about -1..1."""
    toward = nx * p["light_x"] + ny * p["light_y"]
    rim = (nx**2 + ny**2).clamp(max=1.6)
    return (colour * (1.0 + p["light_power"] * toward - 0.22 * rim) + 0.04 * torch.relu(toward)).clamp(0.0, 1.0)


def _body(
    image: Tensor,
    p: dict[str, Tensor],
    coat: Tensor,
    mark: Tensor,
    patch: Tensor,
    spotted: Tensor,
    gx: Tensor,
    gy: Tensor,
    soft: float,
) -> Tensor:
    cx = 0.7 * p["head_x"]
    chest = _ball(gx, gy, cx, p["body_y"] + 0.62, p["body_w"], 0.75)
    neck = _limb(gx, gy, p["head_x"], p["head_y"], cx, p["body_y"] + 0.4, p["skull_w"] * 0.62, p["skull_w"] * 0.85)
    body = _join(chest, neck, 0.15)
    tint = _over(coat, patch, 0.85 * spotted)
    bib = _ball(gx, gy, cx, p["body_y"] + 0.35, 0.20 + 0.2 * p["body_w"], 0.42)
    tint = _over(tint, mark, _inside(bib, 0.10) * p["chest_mark"].clamp(0, 1))
    image = _over(image, _lit(tint * 0.90, p, (gx - cx) / p["body_w"], (gy - 0.9) * 0.5), _inside(body, soft))
    bow = gy - (p["head_y"] + 0.60 * p["size"]) - 0.10 + 0.55 * (gx - p["head_x"]) ** 2
    strap = torch.maximum(bow.abs() - 0.055, neck)
    on = _inside(-p["collar_on"], 0.25)
    rgb = torch.cat([p["collar_r"], p["collar_g"], p["collar_b"]], 1)
    image = _over(image, rgb * (1.05 - 5.0 * bow.abs()).clamp(0.5, 1.05), _inside(strap, soft) * on)
    ty = p["head_y"] + 0.60 * p["size"] + 0.19
    disc = _ball(gx, gy, p["head_x"], ty, 0.07, 0.07)
    gold = torch.tensor([0.93, 0.78, 0.30]).view(1, 3, 1, 1) * (1.0 + 2.5 * (ty - gy)).clamp(0.6, 1.3)
    return _over(image, gold, _inside(disc, soft) * on * _inside(-p["tag"], 0.25))


def _ears(
    image: Tensor, p: dict[str, Tensor], coat: Tensor, patch: Tensor, x: Tensor, y: Tensor, soft: float
) -> Tensor:
    colour = _over(coat, patch, p["ear_dark"].clamp(0, 1))
    upright = _inside(-p["ear_angle"] + 0.1, 0.5)
    for side in (-1.0, 1.0):
        # The angle runs from hanging (down and out) to upright (up and slightly out).
        angle = p["ear_angle"] * 1.15 - 0.15 + 0.10 * side * p["turn"]
        ax = side * (p["ear_apart"] + 0.06) + 0.05 * p["turn"]
        ay = -0.24 - 0.10 * p["ear_angle"]
        ox, oy = torch.cos(angle), -torch.sin(angle)
        bx = ax + side * p["ear_length"] * (0.25 + 0.55 * ox * (1.0 - 0.35 * upright))
        by = ay + p["ear_length"] * oy
        # A soft bend of the plane folds the tip.
        bend = p["ear_fold"] * 0.5 * (x - ax) ** 2
        ear = _limb(x, y + bend, ax, ay, bx, by, p["ear_base"], p["ear_tip"] * (1.0 - 0.6 * upright) + 0.02)
        nx, ny = (x - ax) / 0.45, (y - ay) / 0.6
        image = _over(image, _lit(colour * 0.86, p, nx, ny), _inside(ear, soft))
        pink = colour * 0.45 + torch.tensor([0.42, 0.26, 0.24]).view(1, 3, 1, 1)
        inner = _limb(
            x,
            y + bend,
            ax * 1.02,
            ay * 1.0,
            ax + (bx - ax) * 0.82,
            ay + (by - ay) * 0.82,
            p["ear_base"] * 0.52,
            p["ear_tip"] * 0.2 + 0.008,
        )
        image = _over(image, _lit(pink, p, nx, ny), _inside(inner, 2 * soft) * upright)
    return image


def _head(
    image: Tensor,
    p: dict[str, Tensor],
    coat: Tensor,
    mark: Tensor,
    patch: Tensor,
    spotted: Tensor,
    x: Tensor,
    y: Tensor,
    soft: float,
) -> Tensor:
    skull = _ball(x, y, 0.0, -0.08, p["skull_w"], p["skull_h"])
    jowls = _ball(x, y, 0.05 * p["turn"], p["jowl_y"], p["jowl_w"], 0.34)
    head = _join(skull, jowls, 0.16)
    tx = x - 0.08 * p["turn"]
    tint = _over(coat, patch, 0.9 * spotted)
    for side, name in ((-1.0, "patch_left"), (1.0, "patch_right")):
        around = _ball(tx, y, side * (p["eye_apart"] + 0.05), p["eye_y"] - 0.04, 0.19, 0.23)
        tint = _over(tint, patch, _inside(around, 0.05) * p[name].clamp(0, 1))
    stripe = tx.abs() - p["blaze_w"] * (1.0 + 0.9 * torch.relu(-y - 0.1)) - 0.25 * torch.relu(y - 0.08)
    tint = _over(tint, mark, _inside(stripe, 0.035) * p["blaze"].clamp(0, 1))
    dark = _ball(tx, y, 0.0, p["muzzle_y"] - 0.06, 0.30, 0.30)
    tint = _over(tint, patch * 0.6, _inside(dark, 0.12) * p["mask"].clamp(0, 1) * 0.9)
    for side in (-1.0, 1.0):
        brow = _ball(tx, y, side * p["eye_apart"] * 0.9, p["eye_y"] - 0.15, 0.062, 0.042)
        tint = _over(tint, mark, _inside(brow, 0.03) * p["brow"].clamp(0, 1))
    shaded = _lit(tint, p, x / (p["skull_w"] + 0.08), (y - 0.02) / 0.62)
    # A shadow under the chin separates head and body.
    image = image * (1.0 - 0.38 * _inside(head - 0.06, 0.13))
    return _over(image, shaded, _inside(head, soft))


def _eyes(image: Tensor, p: dict[str, Tensor], x: Tensor, y: Tensor, soft: float) -> Tensor:
    amber = torch.tensor([0.62, 0.36, 0.10]).view(1, 3, 1, 1)
    brown = torch.tensor([0.22, 0.11, 0.05]).view(1, 3, 1, 1)
    blue = torch.tensor([0.45, 0.68, 0.92]).view(1, 3, 1, 1)
    iris = _over(_over(brown, amber, p["eye_hue"]), blue, p["eye_blue"].clamp(0, 1) ** 2)
    tx = x - 0.08 * p["turn"]
    size = p["eye_size"]
    for side in (-1.0, 1.0):
        cx, cy = side * p["eye_apart"], p["eye_y"]
        hood = y - (cy - size * (1.05 - p["lid"].clamp(min=0.0)))  # the lid hides what is above it
        shown = _inside(-hood, soft)
        rim = _ball(tx, y, cx, cy, size * 1.28, size * 1.20)
        image = _over(image, image * 0.25, _inside(rim, 1.4 * soft) * 0.85)
        ball = _ball(tx, y, cx, cy, size, size)
        image = _over(image, iris * (1.0 + 3.0 * (y - cy)).clamp(0.6, 1.5), _inside(ball, soft) * shown)
        pupil = _ball(tx, y, cx + 0.012 * p["turn"], cy, size * 0.55, size * 0.55)
        image = _over(image, torch.tensor(0.03), _inside(pupil, soft) * shown)
        glint = _ball(tx, y, cx + size * 0.34 * p["light_x"], cy - size * 0.36, size * 0.26, size * 0.26)
        image = _over(image, torch.tensor(0.97), _inside(glint, soft) * shown)
    return image


def _mouth(
    image: Tensor, p: dict[str, Tensor], mark: Tensor, coat: Tensor, x: Tensor, y: Tensor, soft: float
) -> Tensor:
    tx = x - 0.13 * p["turn"]
    my, mw, mh = p["muzzle_y"], p["muzzle_w"], p["muzzle_h"]
    tint = _over(coat * 1.06, mark, p["muzzle_mark"].clamp(0, 1))
    tint = _over(tint, tint * 0.35, p["mask"].clamp(0, 1) * 0.8)
    # Tongue first: it hangs from under the muzzle.
    out = p["tongue"]
    tongue = _limb(
        tx,
        y,
        torch.zeros_like(my),
        my + 0.55 * mh,
        torch.zeros_like(my),
        my + mh * 0.75 + out,
        p["tongue_w"],
        p["tongue_w"],
    )
    pink = torch.tensor([0.90, 0.42, 0.46]).view(1, 3, 1, 1) * (1.0 - 0.20 * _inside(tx.abs() - 0.008, 0.02))
    lips = _ball(tx, y, 0.0, my + 0.62 * mh, mw * 0.72, mh * 0.62)
    image = _over(image, _lit(tint * 0.62, p, tx / mw, (y - my) / mh * 0.5), _inside(lips, 2 * soft))
    image = _over(image, pink, _inside(tongue, soft) * _inside(-out, 0.06))
    left = _ball(tx, y, -mw * 0.42, my + 0.20 * mh, mw * 0.62, mh * 0.72)
    right = _ball(tx, y, mw * 0.42, my + 0.20 * mh, mw * 0.62, mh * 0.72)
    bridge = _ball(tx, y, 0.0, my - 0.35 * mh, mw * 0.66, mh * 0.95)
    snout = _join(_join(left, right, 0.05), bridge, 0.10)
    image = image * (1.0 - 0.16 * _inside(snout - 0.03, 0.05))
    image = _over(image, _lit(tint, p, tx / (mw * 1.4), (y - my) / (mh * 1.7)), _inside(snout, 1.5 * soft))
    line = (tx.abs() - 0.011).maximum((y - my - 0.15 * mh).abs() - 0.42 * mh)
    grin = (y - my - 0.58 * mh + p["smile"] * (tx / mw).abs() * 1.2 - 0.05 * torch.sin(9.0 * tx.abs())).abs() - 0.013
    grin = grin.maximum(tx.abs() - 0.72 * mw)
    image = _over(image, image * 0.22, _inside(line.minimum(grin), soft) * 0.85)
    ny = my - 0.42 * mh
    nose = _join(
        _ball(tx, y, 0.0, ny, p["nose_w"], p["nose_h"] * 0.85),
        _ball(tx, y, 0.0, ny + 0.03, p["nose_w"] * 0.55, p["nose_h"]),
        0.03,
    )
    black = torch.tensor([0.07, 0.06, 0.07]).view(1, 3, 1, 1)
    liver = torch.tensor([0.42, 0.24, 0.20]).view(1, 3, 1, 1)
    image = _over(image, _over(black, liver, p["nose_brown"].clamp(0, 1)), _inside(nose, soft))
    shine = _ball(
        tx, y, 0.25 * p["nose_w"] * p["light_x"], ny - 0.35 * p["nose_h"], p["nose_w"] * 0.42, p["nose_h"] * 0.22
    )
    image = _over(image, torch.tensor(0.75), _inside(shine, 2 * soft) * 0.6)
    for side in (-1.0, 1.0):
        hole = _ball(tx, y, side * p["nose_w"] * 0.48, ny + 0.25 * p["nose_h"], p["nose_w"] * 0.20, p["nose_h"] * 0.24)
        image = _over(image, torch.tensor(0.01), _inside(hole, soft) * 0.9)
    return image
