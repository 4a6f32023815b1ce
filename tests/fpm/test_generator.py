"""The drawer and the generator: smoothness, the paper's equations, runtimes that agree, a step that learns."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

import fpm.train_generator as trainer
from fpm.drawer import draw
from fpm.export import save_generator
from fpm.generator_figures import Painter, at_angle
from fpm.latent import sample_z
from fpm.stylegan2 import Discriminator, Generator, GeneratorConfig, ModulatedConv, ToRGB, upsample_image
from fpm.train import PUBLISHED
from fpm.train_generator import GeneratorTraining, draw_dataset, picture_loss, train_generator, training_z

SMALL = GeneratorConfig(channels=(16, 16, 16, 8), w_dim=256, mapping_layers=2)


def modulated_twin(layer: ModulatedConv, x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Equations 1 and 3 of the paper, sample by sample, with the weight modulated and demodulated."""
    out = []
    for sample, latent in zip(x, w, strict=True):
        s = latent @ (layer.style.weight * layer.style.gain).t() + layer.style.bias
        weight = layer.weight * layer.gain * s[None, :, None, None]
        weight = weight / torch.sqrt((weight**2).sum((1, 2, 3), keepdim=True) + 1e-8)
        if layer.up:
            big = torch.zeros(sample.shape[0], 2 * sample.shape[1] + 1, 2 * sample.shape[2] + 1)
            big[:, 1:-1:2, 1:-1:2] = (
                sample  # zero-stuffing, then correlation with the flipped kernel is a transposed convolution
            )
            y = F.conv2d(F.pad(big, (1, 1, 1, 1))[None], weight.flip(2, 3))
            taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
            fir = (taps[:, None] * taps[None, :] / 16.0)[None, None].repeat(y.shape[1], 1, 1, 1)
            y = F.conv2d(F.pad(y, (1, 1, 1, 1)), fir, groups=y.shape[1])
        else:
            y = F.conv2d(sample[None], weight, padding=1)
        out.append(F.leaky_relu(y + layer.bias[None, :, None, None], 0.2) * math.sqrt(2.0))
    return torch.cat(out)


@pytest.mark.parametrize("up", [False, True])
def test_modulated_convolution_equals_its_slow_twin(up: bool) -> None:
    torch.manual_seed(0)
    layer = ModulatedConv(5, 7, 12, up=up)
    with torch.no_grad():
        layer.bias.normal_()
    x, w = torch.randn(3, 5, 6, 6), torch.randn(3, 12)
    fast, slow = layer(x, w), modulated_twin(layer, x, w)
    assert fast.shape == slow.shape == (3, 7, 12 if up else 6, 12 if up else 6)
    assert torch.allclose(fast, slow, atol=1e-5)


def test_to_rgb_is_a_modulated_1x1_convolution() -> None:
    torch.manual_seed(0)
    layer = ToRGB(5, 12)
    x, w = torch.randn(2, 5, 4, 4), torch.randn(2, 12)
    for i in range(2):
        weight = layer.weight * layer.gain * layer.style(w)[i][None, :]
        assert torch.allclose(layer(x, w)[i], F.conv2d(x[i : i + 1], weight[:, :, None, None])[0], atol=1e-5)


def test_upsampling_keeps_flat_pictures_flat() -> None:
    up = upsample_image(torch.full((1, 3, 8, 8), 0.7))
    assert up.shape == (1, 3, 16, 16)
    assert torch.allclose(up[:, :, 2:-2, 2:-2], torch.tensor(0.7))


def test_drawings_change_smoothly_with_z() -> None:
    z = sample_z(12, 1)
    rng = np.random.default_rng(0)
    base = draw(torch.from_numpy(z).float(), 64)
    moves = []
    for cosine in (0.9999, 0.99, 0.5, 0.0):
        moved = draw(torch.from_numpy(at_angle(z, cosine, rng)).float(), 64)
        moves.append(float((moved - base).abs().mean()))
    assert moves == sorted(moves)
    assert moves[0] < 0.01 and moves[1] < 0.12 and moves[3] > 0.3
    assert float(base.min()) >= -1.0 and float(base.max()) <= 1.0


def test_drawings_have_no_jumps() -> None:
    """Along a great circle, steps of 1/1000 of a right angle never change a pixel abruptly."""
    a, b = sample_z(2, 3)
    t = np.linspace(0.4, 0.41, 6)[:, None]
    line = draw(torch.from_numpy(np.cos(t) * a + np.sin(t) * b).float(), 64)
    assert float(line.diff(dim=0).abs().max()) < 0.08


def test_published_generator_agrees_across_optimisation_levels_and_is_quick() -> None:
    z = sample_z(4, 8)
    fast, plain = Painter(PUBLISHED, optimise=True), Painter(PUBLISHED)
    pictures = fast(z)
    assert pictures.shape == (4, 128, 128, 3)
    assert np.abs(pictures.astype(int) - plain(z).astype(int)).max() <= 1


def test_published_generator_is_plain_and_small() -> None:
    path = PUBLISHED / "generator.onnx"
    model = onnx.load(path)
    assert path.stat().st_size < 20_000_000
    assert model.opset_import[0].version == 17
    assert not {n.op_type for n in model.graph.node} & {
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
    }
    assert model.graph.node[-1].op_type == "Clip"
    assert b"/work/" not in path.read_bytes() and b".py" not in path.read_bytes()


def test_published_pictures_tell_models_apart() -> None:
    paint = Painter(PUBLISHED)
    z = sample_z(12, 21)
    pictures = paint(z).astype(float)
    near = np.abs(paint(at_angle(z, 0.99, np.random.default_rng(1))) - pictures).mean((1, 2, 3))
    far = [np.abs(pictures[i] - pictures[j]).mean() for i in range(12) for j in range(i)]
    assert near.max() < min(far)


def test_exported_graph_equals_torch(tmp_path: Path) -> None:
    torch.manual_seed(2)
    config = GeneratorConfig(channels=(16, 16, 16, 8), w_dim=32, mapping_layers=2)
    generator = Generator(config).eval()
    save_generator(generator, tmp_path)
    z = sample_z(3, 4)
    with torch.no_grad():
        mine = generator(torch.from_numpy(z).float()).clamp(-1, 1)
    grey = ((mine + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    assert np.abs(Painter(tmp_path)(z).astype(int) - grey).max() <= 1


def test_drawn_data_set_is_what_the_drawer_draws(tmp_path: Path) -> None:
    data = draw_dataset(tmp_path, 64, 3, 16)
    z = training_z(64, 3)
    assert np.array_equal(data, ((draw(z, 16) + 1.0) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


QUICK = GeneratorTraining(
    network=SMALL, pictures=64, batch=8, half_size_steps=20, steps=60, bfloat16=False, compiled=False, sharpen_steps=0
)


def test_training_lowers_the_loss_in_both_phases(tmp_path: Path) -> None:
    generator, _ = train_generator(QUICK, tmp_path)
    z = training_z(64, QUICK.seed + 1)
    real = draw(z, 32)
    torch.manual_seed(QUICK.seed)
    with torch.no_grad():
        assert picture_loss(generator(z), real) < 0.8 * picture_loss(Generator(SMALL)(z), real)


def test_sharpening_moves_the_generator(tmp_path: Path) -> None:
    config = replace(QUICK, steps=4, half_size_steps=2, sharpen_steps=40, adversarial_weight=1.0, r1_every=4)
    blind = replace(config, adversarial_weight=0.0)
    sharpened, _ = train_generator(config, tmp_path / "a")
    plain, _ = train_generator(blind, tmp_path / "b")
    moved = [
        float((a - b).detach().abs().max()) for a, b in zip(sharpened.parameters(), plain.parameters(), strict=True)
    ]
    assert max(moved) > 1e-4


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "CHECKPOINT_STEPS", 5)
    config = replace(QUICK, steps=12, half_size_steps=4, sharpen_steps=6, r1_every=4)
    whole, _ = train_generator(config, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    (tmp_path / "killed" / "generator.pt").unlink()
    update, calls = trainer.Average.update, []

    def killed(self: trainer.Average, network: Generator, step: int) -> None:
        calls.append(step)
        if step == 13:
            raise KeyboardInterrupt
        update(self, network, step)

    monkeypatch.setattr(trainer.Average, "update", killed)
    with pytest.raises(KeyboardInterrupt):
        train_generator(config, tmp_path / "killed")
    monkeypatch.setattr(trainer.Average, "update", update)
    resumed, _ = train_generator(config, tmp_path / "killed")
    assert calls[-1] == 13
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_judge_scores_a_batch_and_has_a_slope() -> None:
    torch.manual_seed(0)
    picture = torch.randn(4, 3, 128, 128, requires_grad=True)
    scores = Discriminator()(picture)
    (slope,) = torch.autograd.grad(scores.sum(), picture)
    assert scores.shape == (4,) and float(slope.abs().sum()) > 0
