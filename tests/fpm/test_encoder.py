"""The encoder: file format, fixed point, angles, and the prover's rounding freedom."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from circuits.errors import ModelFileError
from fpm.encoder import INPUT_SCALE, PARAM_SCALE, Encoder, fixed_point_features, latent, patches, whitening_head
from fpm.evaluate import Fingerprinter, floor_or_ceiling
from fpm.export import encoder_graph, load_encoder, save_encoder
from fpm.latent import FEATURES, Z_DIM, coordinates, head_basis, sample_z
from fpm.synthetic import GRID, noisy, pairs, projection, synthetic_weights, terms
from fpm.train import PUBLISHED, RUNS
from fpm.train_encoder import EncoderTraining, contrastive_loss, train_encoder


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    return pairs(48, 5)


@pytest.fixture(scope="module")
def finger() -> Fingerprinter:
    return Fingerprinter(PUBLISHED)


def slow_features(w1: np.ndarray, w2: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The module's table, entry by entry."""
    flat = np.zeros(256)
    for n in range(16):
        i, j = divmod(n, 4)
        block = [x[t, 4 * i + r, 4 * j + c] for t in range(6) for r in range(4) for c in range(4)]
        for channel in range(16):
            flat[16 * channel + n] = max(0.0, float(np.dot(block, w1[:, channel])))
    return flat @ w2


def test_layout_is_the_documented_one(sample: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = Encoder(3).double()
    x = sample[0][0].astype(np.float64)
    slow = slow_features(encoder.w1.detach().numpy(), encoder.w2.detach().numpy(), x)
    assert np.allclose(encoder(torch.from_numpy(x)[None]).detach().numpy()[0], slow)
    assert patches(torch.from_numpy(x)[None]).shape == (1, 16, 96)


def test_published_onnx_equals_torch(sample: tuple[np.ndarray, np.ndarray]) -> None:
    encoder, _, _ = load_encoder(PUBLISHED)
    session = onnxruntime.InferenceSession(str(PUBLISHED / "encoder.onnx"))
    for x in sample[0][:4]:
        out = session.run(["features"], {"terms": x})[0]
        assert out.shape == (FEATURES,)
        assert np.abs(out - encoder(torch.from_numpy(x)[None]).detach().numpy()[0]).max() < 1e-4


def test_graph_holds_only_what_the_circuit_builder_splices() -> None:
    graph = onnx.load(PUBLISHED / "encoder.onnx").graph
    assert {node.op_type for node in graph.node} == {"Reshape", "Transpose", "MatMul", "Relu"}
    assert [i.name for i in graph.input] == ["terms"] and [o.name for o in graph.output] == ["features"]


def test_published_weights_lie_on_the_circuits_grid() -> None:
    encoder, _, _ = load_encoder(PUBLISHED)
    for w in (encoder.w1, encoder.w2):
        scaled = w.detach().double() * PARAM_SCALE
        assert torch.equal(scaled, scaled.round())
        assert float(w.detach().abs().max()) < 1.0


def test_files_have_the_same_bytes_each_time(tmp_path) -> None:  # type: ignore[no-untyped-def]
    encoder, weight, bias = load_encoder(PUBLISHED)
    save_encoder(encoder, weight, bias, tmp_path)
    for name in ("encoder.onnx", "head.npz"):
        assert (tmp_path / name).read_bytes() == (PUBLISHED / name).read_bytes()


@pytest.mark.parametrize("damage", ["missing", "truncated", "pickled", "shape"])
def test_damaged_head_is_refused(tmp_path, damage: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "encoder.onnx").write_bytes((PUBLISHED / "encoder.onnx").read_bytes())
    head = (PUBLISHED / "head.npz").read_bytes()
    if damage == "truncated":
        (tmp_path / "head.npz").write_bytes(head[: len(head) // 2])
    elif damage == "pickled":
        np.savez(tmp_path / "head.npz", weight=np.array([{"a": 1}], dtype=object), bias=np.zeros(Z_DIM))
    elif damage == "shape":
        np.savez(tmp_path / "head.npz", weight=np.zeros((Z_DIM, 64), np.float32), bias=np.zeros(Z_DIM, np.float32))
    with pytest.raises(ModelFileError, match=r"head\.npz"):
        load_encoder(tmp_path)


def test_fixed_point_keeps_z(finger: Fingerprinter, sample: tuple[np.ndarray, np.ndarray]) -> None:
    x = sample[0].astype(np.float64)
    integer = fixed_point_features(finger.encoder, np.rint(x * INPUT_SCALE) / INPUT_SCALE)
    z = latent(integer / 2.0**16, finger.weight, finger.bias)
    assert ((z * finger(x)).sum(1) / Z_DIM).min() > 0.999


def test_choosing_floor_or_ceiling_hardly_moves_z(finger: Fingerprinter, sample: tuple[np.ndarray, np.ndarray]) -> None:
    honest, worst, cosine = floor_or_ceiling(finger, sample[0][0], rounds=2)
    random = np.random.default_rng(0).integers(0, 2, sample[0][0].shape)
    z = finger(((np.floor(sample[0][0].astype(np.float64) * INPUT_SCALE) + random) / INPUT_SCALE)[None])[0]
    assert cosine > 1 - 1e-6
    assert cosine < z @ honest / Z_DIM, "the search must do better than chance"
    assert np.isclose(worst @ honest / Z_DIM, cosine)


def test_z_has_unit_entries_and_coordinates_are_a_rotation(
    finger: Fingerprinter, sample: tuple[np.ndarray, np.ndarray]
) -> None:
    z = finger(sample[0])
    assert np.allclose((z**2).mean(1), 1.0)
    assert np.allclose(head_basis().T @ head_basis(), np.eye(Z_DIM))
    assert np.allclose(coordinates(z) @ head_basis().T, z)


def test_offspring_near_and_independents_far(finger: Fingerprinter) -> None:
    rng = np.random.default_rng(11)
    matrix = projection(512, bytes(32))
    models = [synthetic_weights(rng) for _ in range(40)]
    base = np.stack([terms(m, matrix) for m in models])
    child = np.stack([terms(noisy(m, rng, 0.02, 0.02), matrix) for m in models])
    term_cosine = (base * child).reshape(len(base), -1).mean(1)
    z, z_child = finger(base), finger(child)
    same = (z * z_child).sum(1) / Z_DIM
    assert term_cosine.min() > 0.99
    assert same.min() > 0.985 and same.mean() > 0.99
    others = (z @ z.T / Z_DIM)[np.triu_indices(len(z), 1)]
    # 128 features cannot do better than sqrt(2 / (128 pi)) = 0.0705 on average
    assert np.abs(others).mean() < 0.085


def test_synthetic_terms_are_decided_by_the_seed() -> None:
    first, second, other = pairs(2, 9), pairs(2, 9), pairs(2, 10)
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(pairs(1, 9)[0], first[0][:1]), "a model does not depend on how many are drawn"


def test_projection_is_signed_and_balanced() -> None:
    matrix = projection(96, b"\x01" * 32)
    assert (np.abs(matrix).sum(0) == 1).all() and (matrix.sum(1) == 0).all()
    assert (np.abs(matrix).sum(1) == 96 / GRID).all()


def test_head_whitens() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4000, FEATURES)) @ rng.standard_normal((FEATURES, FEATURES)) + 3.0
    weight, bias = whitening_head(features)
    z = latent(features, weight, bias, normalise=False)
    assert np.abs(z.mean(0)).max() < 1e-3
    u = coordinates(z)[:, :FEATURES] / 2.0
    assert np.abs(np.cov(u.T) - np.eye(FEATURES)).max() < 1e-2
    assert np.allclose((sample_z(3, 0) ** 2).mean(1), 1.0)


def test_contrastive_loss_on_known_angles() -> None:
    z = torch.eye(4)
    loss, near, far = contrastive_loss(z, z.roll(1, 0))
    assert (float(near), float(far), float(loss)) == (0.0, 0.0, pytest.approx(1.3))
    loss, near, far = contrastive_loss(torch.ones(3, 4), -torch.ones(3, 4))
    assert (float(near), float(far), float(loss)) == (pytest.approx(-1), pytest.approx(1), pytest.approx(2.6 + 0.7))


def test_training_lowers_the_loss_and_repeats_itself(tmp_path) -> None:  # type: ignore[no-untyped-def]
    config = EncoderTraining(pairs=192, held_out=4, batch=64, steps=51, rate=5e-4, gaussian_weight=0.1)
    encoder, weight, _, record = train_encoder(config, tmp_path / "terms.npz")
    curve = record["curve"]
    assert isinstance(curve, list) and curve[-1]["loss"] < curve[0]["loss"]
    again, weight_again, _, _ = train_encoder(config, tmp_path / "terms.npz")
    assert torch.equal(encoder.w1, again.w1) and np.array_equal(weight, weight_again)
    assert encoder_graph(encoder).SerializeToString() == encoder_graph(again).SerializeToString()


@pytest.mark.parametrize("what", ["encoder", "generator"])
def test_run_record_names_the_published_files(what: str) -> None:
    import hashlib

    record = json.loads((RUNS / f"{what}.json").read_text())
    for name, digest in record["files"].items():
        assert hashlib.sha256((PUBLISHED / name).read_bytes()).hexdigest() == digest, name
