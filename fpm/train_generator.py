"""Trains the generator: first regression on the drawer's pictures, then adversarial sharpening.

The picture of z is defined by `drawer.draw`, so the generator is trained supervised (L1 on the picture, on its
differences and on an average-pooled pyramid). The second phase adds the StyleGAN2 losses: non-saturating logistic loss,
lazy R1, and an exponential moving average of the weights, which is what is shipped.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from fpm.drawer import draw
from fpm.latent import head_basis, sample_z
from fpm.stylegan2 import Discriminator, Generator, GeneratorConfig

CHUNK = 64  # pictures drawn by one job; part of the data's definition, since each chunk has its own seed


@dataclass(frozen=True)
class GeneratorTraining:
    """Everything that decides the result."""

    network: GeneratorConfig = field(default_factory=lambda: GeneratorConfig(channels=(128, 128, 128, 128, 64, 16)))
    half_size_pictures: int = 12288  # drawn once, then visited several times
    pictures: int = 3072  # the same at full size
    batch: int = 16
    steps: int = 5600  # regression
    half_size_steps: int = 4200  # the first of them, without the last resolution
    sharpen_steps: int = 0  # adversarial, after the regression
    rate: float = 3e-3
    final_rate: float = 2e-4  # reached by a cosine at the last regression step; kept while sharpening
    ema_half_life: int = 200  # steps
    adversarial_weight: float = 0.02
    r1_gamma: float = 1.0
    r1_every: int = 16
    seed: int = 0
    bfloat16: bool = True  # feature maps while training; the exported network runs in float32
    compiled: bool = True  # torch.compile: three times faster on a CPU, needs a C++ compiler


def _draw_chunk(job: tuple[str, int, int, int]) -> None:
    path, seed, chunk, size = job
    torch.set_num_threads(1)
    z = torch.from_numpy(sample_z(CHUNK, seed * 1_000_000 + chunk)).float()
    picture = ((draw(z, size) + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    data = np.lib.format.open_memmap(path, mode="r+")
    data[chunk * CHUNK : (chunk + 1) * CHUNK] = picture
    data.flush()


def draw_dataset(folder: Path, count: int, seed: int, size: int = 128) -> npt.NDArray[np.uint8]:
    """Draws the training pictures once and keeps them in a memory-mapped file.

    Returns:
        uint8 [count, size, size, 3]; picture i belongs to `training_z(i, seed)`.
    """
    path = folder / f"dogs-{seed}-{count}-{size}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.npy")
        np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=(count, size, size, 3)).flush()
        jobs = [(str(part), seed, chunk, size) for chunk in range(count // CHUNK)]
        with multiprocessing.get_context("spawn").Pool(2) as pool:
            for _ in pool.imap_unordered(_draw_chunk, jobs):
                pass
        part.rename(path)
    data: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return data


def training_z(count: int, seed: int) -> Tensor:
    """The latent vectors of the training pictures, float32 [count, 512]."""
    chunks = [sample_z(CHUNK, seed * 1_000_000 + chunk) for chunk in range(count // CHUNK)]
    return torch.from_numpy(np.concatenate(chunks)).float()


def face_weight(size: int) -> Tensor:
    """Weight of each pixel in the loss, [1,1,size,size]: 1, rising to 5 over eyes, nose and mouth, which are small."""
    axis = (torch.arange(size) + 0.5) / size * 2.0 - 1.0
    across, down = (axis / 0.36) ** 4, ((axis - 0.14) / 0.40) ** 4
    return (1.0 + 4.0 * torch.exp(-across[None, :] - down[:, None]))[None, None]


def picture_loss(fake: Tensor, real: Tensor) -> Tensor:
    """L1 and squared error on the picture; L1 on horizontal and vertical differences (edges), and on pooled copies."""
    weight = face_weight(fake.shape[2])
    error = fake - real
    loss = (weight * (error.abs() + error.square())).mean()
    for pool in (1, 2):
        e = error if pool == 1 else F.avg_pool2d(error, 2)
        w = face_weight(e.shape[2])
        loss = loss + (w[:, :, 1:] * e.diff(dim=2).abs()).mean() + (w[..., 1:] * e.diff(dim=3).abs()).mean()
    for pool in (4, 16):
        loss = loss + 0.5 * F.avg_pool2d(error, pool).abs().mean()
    return loss


def new_generator(config: GeneratorConfig) -> Generator:
    """A fresh generator that starts where regression is easy.

    The pictures depend on z through the latent coordinates u alone, so the mapping network at first passes (u, -u)
    on; and styles start near 1, so that the network first learns the mean dog, then how each coordinate changes it.
    With the paper's random start it spent its first thousand steps unlearning noise.
    """
    generator = Generator(config)
    half = min(config.w_dim // 2, head_basis().shape[1])
    basis = torch.from_numpy(head_basis().copy()).float().t()[:half] / 2.0
    with torch.no_grad():
        for i, layer in enumerate(generator.mapping.layers):
            start = torch.cat([basis, -basis]) if i == 0 else torch.eye(config.w_dim)[: 2 * half] * 0.5**0.5
            layer.weight[: 2 * half] = start / layer.gain  # type: ignore[operator]
        for name, weight in generator.named_parameters():
            if name.endswith("style.weight"):
                weight.mul_(0.05)
        # The last resolution joins late; then it should start as a small correction of the upsampled picture.
        generator.blocks[-1].to_rgb.weight.mul_(0.05)  # type: ignore[union-attr, operator]
    return generator


class Average:
    """Exponential moving average of a network's weights."""

    def __init__(self, network: Generator, half_life: int) -> None:
        self.network = Generator(network.config)
        self.network.load_state_dict(network.state_dict())
        self.decay = 0.5 ** (1.0 / half_life)

    @torch.no_grad()
    def update(self, network: Generator, step: int) -> None:
        """Moves the average; young averages move faster."""
        decay = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_(list(self.network.parameters()), list(network.parameters()), 1.0 - decay)


def _rate(config: GeneratorTraining, step: int) -> float:
    progress = min(1.0, step / max(1, config.steps))
    warm = min(1.0, (step + 1) / 100)
    return warm * (config.final_rate + (config.rate - config.final_rate) * 0.5 * (1.0 + math.cos(math.pi * progress)))


def _regression(
    generator: Generator, dtype: torch.dtype, blocks: int | None, compiled: bool
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The picture and its loss as one function of z and the drawing, compiled where that is asked for."""

    def step(z: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        fake = generator(z, dtype, blocks)
        return fake, picture_loss(fake, real)

    return torch.compile(step) if compiled else step


def train_generator(
    config: GeneratorTraining, work: Path, resume: Path | None = None
) -> tuple[Generator, dict[str, object]]:
    """Runs the whole training.

    Args:
        config: see `GeneratorTraining`.
        work: folder for the drawn pictures, checkpoints and the log.
        resume: a checkpoint of an earlier run, to start from its weights.

    Returns:
        The averaged generator and the run record (config, loss curve, seconds).
    """
    torch.manual_seed(config.seed)
    dtype = torch.bfloat16 if config.bfloat16 else torch.float32
    pictures, latents = _phase(config, work, half=True)
    generator, judge = new_generator(config.network), Discriminator()
    average = Average(generator, config.ema_half_life)
    g_opt = torch.optim.Adam(generator.parameters(), lr=config.rate, betas=(0.9, 0.99), eps=1e-8, fused=True)
    d_opt = torch.optim.Adam(judge.parameters(), lr=1e-3, betas=(0.0, 0.99), eps=1e-8, fused=True)
    start_step = 0
    if resume is not None:
        state = torch.load(resume, weights_only=True)
        generator.load_state_dict(state["generator"])
        average.network.load_state_dict(state["average"])
        start_step = int(state["step"])
    order = torch.Generator().manual_seed(config.seed + start_step)
    half = _regression(generator, dtype, len(config.network.channels) - 1, config.compiled)
    full = _regression(generator, dtype, None, config.compiled)
    curve: list[dict[str, float]] = []
    started = time.time()
    for step in range(start_step, config.steps + config.sharpen_steps):
        for group in g_opt.param_groups:
            group["lr"] = _rate(config, step)
        if step == max(start_step, config.half_size_steps):
            pictures, latents = _phase(config, work, half=False)
        index = torch.randint(len(latents), (config.batch,), generator=order)
        real = torch.from_numpy(pictures[index.numpy()]).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1.0
        fake, loss = (half if step < config.half_size_steps else full)(latents[index], real)
        total = loss
        entry = {"step": step, "picture": float(loss.detach())}
        if step >= config.steps:
            ramp = min(1.0, (step - config.steps) / 200)  # the judge first learns what it judges
            entry |= _judge_step(config, judge, d_opt, real, fake.detach(), step, dtype)
            total = loss + ramp * config.adversarial_weight * F.softplus(-judge(fake, dtype)).mean()
        g_opt.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        g_opt.step()
        average.update(generator, step)
        if step % 50 == 0:
            curve.append(entry | {"seconds": time.time() - started})
            with (work / "generator.log").open("a") as log:
                log.write(json.dumps(curve[-1]) + "\n")
        if step % 200 == 199:
            torch.save(
                {"generator": generator.state_dict(), "average": average.network.state_dict(), "step": step + 1},
                work / "generator.part",
            )
            (work / "generator.part").replace(work / "generator.pt")
    record: dict[str, object] = {"config": asdict(config), "curve": curve, "seconds": time.time() - started}
    return average.network.eval(), record


def _phase(config: GeneratorTraining, work: Path, *, half: bool) -> tuple[npt.NDArray[np.uint8], Tensor]:
    """Pictures and latent vectors of a phase: half size first, then full size."""
    count, size = (
        (config.half_size_pictures, config.network.size // 2) if half else (config.pictures, config.network.size)
    )
    return draw_dataset(work, count, config.seed + 1, size), training_z(count, config.seed + 1)


def _judge_step(
    config: GeneratorTraining,
    judge: Discriminator,
    optimizer: torch.optim.Optimizer,
    real: Tensor,
    fake: Tensor,
    step: int,
    dtype: torch.dtype,
) -> dict[str, float]:
    """One update of the discriminator: logistic loss, and R1 every `r1_every` steps."""
    loss = F.softplus(-judge(real, dtype)).mean() + F.softplus(judge(fake, dtype)).mean()
    total = loss
    if step % config.r1_every == 0:
        image = real.detach().requires_grad_()
        (slope,) = torch.autograd.grad(judge(image).sum(), image, create_graph=True)
        total = loss + config.r1_gamma / 2.0 * config.r1_every * slope.square().sum((1, 2, 3)).mean()
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(total)
    optimizer.step()
    return {"judge": float(loss.detach())}
