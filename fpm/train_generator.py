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

CHECKPOINT_STEPS = 200
CHUNK = 64  # pictures drawn by one job; part of the data's definition, since each chunk has its own seed


@dataclass(frozen=True)
class GeneratorTraining:
    """Everything that decides the result."""

    network: GeneratorConfig = field(default_factory=lambda: GeneratorConfig(channels=(128, 128, 128, 128, 64, 32)))
    pictures: int = 20480  # drawn once, then visited several times
    batch: int = 16
    steps: int = 10500  # regression
    half_size_steps: int = 4000  # the first of them, without the last resolution, on pictures pooled to half size
    sharpen_steps: int = 450  # adversarial, after the regression
    ear_weight: float = 4.0  # of the ears' region in the loss, from `ears_from` on: when the face is learned,
    ears_from: int = 5600  # what is left to learn is ears, which move far and had stayed ghosts
    rate: float = 3e-3
    final_rate: float = 1e-4  # reached by a cosine at the last regression step
    sharpen_rate: float = 3e-4
    judge_rate: float = 1e-3
    ema_half_life: int = 200  # steps
    adversarial_weight: float = 0.1
    r1_gamma: float = 0.01
    r1_every: int = 16
    seed: int = 0
    bfloat16: bool = True  # feature maps while training; the exported network runs in float32
    compiled: bool = True  # torch.compile: three times faster on a CPU, needs a C++ compiler

    @property
    def dtype(self) -> torch.dtype:
        """Of feature maps while training."""
        return torch.bfloat16 if self.bfloat16 else torch.float32


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


def pixel_weight(size: int, ears: float = 1.0) -> Tensor:
    """Weight of each pixel in the loss, [1,1,size,size].

    1, rising to 5 over eyes, nose and mouth, which are small, and to `ears` left and right of the head.
    """
    axis = (torch.arange(size) + 0.5) / size * 2.0 - 1.0
    across, down = (axis / 0.36) ** 4, ((axis - 0.14) / 0.40) ** 4
    face = 4.0 * torch.exp(-across[None, :] - down[:, None])
    across, down = ((axis.abs() - 0.60) / 0.34) ** 4, ((axis + 0.28) / 0.60) ** 4
    side = (ears - 1.0) * torch.exp(-across[None, :] - down[:, None])
    return (1.0 + face + side)[None, None]


def picture_loss(fake: Tensor, real: Tensor, ears: float = 1.0) -> Tensor:
    """L1 and squared error on the picture; L1 on horizontal and vertical differences (edges), and on pooled copies."""
    weight = pixel_weight(fake.shape[2], ears)
    error = fake - real
    loss = (weight * (error.abs() + error.square())).mean()
    for pool in (1, 2):
        e = error if pool == 1 else F.avg_pool2d(error, 2)
        w = pixel_weight(e.shape[2], ears)
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
    half = config.w_dim // 2
    basis = torch.from_numpy(head_basis()[:, :half].copy()).float().t()
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
    if step >= config.steps:
        return config.sharpen_rate
    progress = step / max(1, config.steps)
    warm = min(1.0, (step + 1) / 100)
    return warm * (config.final_rate + (config.rate - config.final_rate) * 0.5 * (1.0 + math.cos(math.pi * progress)))


def _regression(
    generator: Generator, config: GeneratorTraining, blocks: int | None = None, ears: float = 1.0
) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The picture and its loss as one function of z and the drawing, compiled where that is asked for."""

    def step(z: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        fake = generator(z, config.dtype, blocks)
        return fake, picture_loss(fake, real, ears)

    return torch.compile(step) if config.compiled else step


def train_generator(config: GeneratorTraining, work: Path) -> tuple[Generator, dict[str, object]]:
    """Runs the whole training; a run that was killed goes on from its last checkpoint in `work`.

    Args:
        config: see `GeneratorTraining`.
        work: folder for the drawn pictures, checkpoints and the log. Another `config` needs another folder.

    Returns:
        The averaged generator and the run record (config, loss curve, seconds).
    """
    dtype = config.dtype
    pictures = draw_dataset(work, config.pictures, config.seed + 1, config.network.size)
    latents = training_z(config.pictures, config.seed + 1)
    run = _Run(config)
    run.load(work / "generator.pt")
    for group in run.d_opt.param_groups:
        group["lr"] = config.judge_rate
    half = _regression(run.generator, config, len(config.network.channels) - 1)
    full, with_ears = _regression(run.generator, config), _regression(run.generator, config, ears=config.ear_weight)
    judge_step = _judge_step(run.judge, dtype, config.compiled)
    started = time.time() - run.seconds
    for step in range(run.step, config.steps + config.sharpen_steps):
        for group in run.g_opt.param_groups:
            group["lr"] = _rate(config, step)
        index = torch.randint(
            len(latents), (config.batch,), generator=torch.Generator().manual_seed(config.seed + 7 * step)
        )
        real = torch.from_numpy(pictures[index.numpy()]).permute(0, 3, 1, 2).float().contiguous() / 127.5 - 1.0
        if step < config.half_size_steps:
            fake, loss = half(latents[index], F.avg_pool2d(real, 2))
        else:
            fake, loss = (full if step < config.ears_from else with_ears)(latents[index], real)
        total = loss
        entry = {"step": step, "picture": float(loss.detach())}
        if step >= config.steps:
            ramp = min(1.0, (step - config.steps) / 150)  # the judge first learns what it judges
            verdict = judge_step(real, fake.detach())
            if step % config.r1_every == 0:
                verdict = verdict + config.r1_every * _slope_penalty(run.judge, real, config.r1_gamma)
            _descend(run.d_opt, verdict)
            fooling = F.softplus(-run.judge(fake, dtype)).mean()
            entry |= {"judge": float(verdict.detach()), "fooling": float(fooling.detach())}
            total = loss + ramp * config.adversarial_weight * fooling
        _descend(run.g_opt, total)
        run.average.update(run.generator, step)
        if step % 50 == 0:
            run.curve.append(entry | {"seconds": time.time() - started})
            with (work / "generator.log").open("a") as log:
                log.write(json.dumps(run.curve[-1]) + "\n")
        if step % CHECKPOINT_STEPS == CHECKPOINT_STEPS - 1:
            run.step, run.seconds = step + 1, time.time() - started
            run.save(work / "generator.pt")
    record: dict[str, object] = {"config": asdict(config), "curve": run.curve, "seconds": time.time() - started}
    return run.average.network.eval(), record


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    optimizer.step()


class _Run:
    """All that changes while training: networks, optimizers, the curve. Saved and loaded as one file."""

    def __init__(self, config: GeneratorTraining) -> None:
        torch.manual_seed(config.seed)
        self.generator, self.judge = new_generator(config.network), Discriminator(len(config.network.channels))
        self.average = Average(self.generator, config.ema_half_life)
        self.g_opt = torch.optim.Adam(
            self.generator.parameters(), lr=config.rate, betas=(0.9, 0.99), eps=1e-8, fused=True
        )
        self.d_opt = torch.optim.Adam(
            self.judge.parameters(), lr=config.judge_rate, betas=(0.0, 0.99), eps=1e-8, fused=True
        )
        self.step, self.seconds = 0, 0.0
        self.curve: list[dict[str, float]] = []

    def save(self, path: Path) -> None:
        """Writes everything; a killed save leaves the file before it."""
        state = {name: part.state_dict() for name, part in self._parts().items()}
        plain = {"step": self.step, "seconds": self.seconds, "curve": self.curve}
        torch.save(state | plain, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> None:
        """Reads what `save` wrote, if there is such a file."""
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]

    def _parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator,
            "average": self.average.network,
            "judge": self.judge,
            "g_opt": self.g_opt,
            "d_opt": self.d_opt,
        }


def _judge_step(judge: Discriminator, dtype: torch.dtype, compiled: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """The discriminator's logistic loss as a function of drawn and generated pictures."""

    def step(real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-judge(real, dtype)).mean() + F.softplus(judge(fake, dtype)).mean()

    return torch.compile(step) if compiled else step


def _slope_penalty(judge: Discriminator, real: Tensor, gamma: float) -> Tensor:
    """R1: half of gamma times the mean squared slope of the score on drawn pictures."""
    image = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(judge(image).sum(), image, create_graph=True)
    penalty: Tensor = gamma / 2.0 * slope.square().sum((1, 2, 3)).mean()
    return penalty
