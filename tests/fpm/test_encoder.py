"""The encoder: file format, fixed point, angles, and the prover's rounding freedom."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from circuits.encoder_circuit import encoder_circuit_graph
from circuits.errors import ModelFileError
from circuits.onnx_runtime import onnxruntime
from circuits.size_classes import size_class
from fpm.encoder import (
    INPUT_SCALE,
    PARAM_SCALE,
    PUBLISHED_ARCHITECTURE,
    Architecture,
    Encoder,
    fixed_point_features,
    latent,
    patches,
    whitening_head,
)
from fpm.encoder_figures import Fingerprinter, effective_rank, gaussianity
from fpm.export import encoder_graph, load_encoder, save_encoder
from fpm.latent import Z_DIM, coordinates, head_basis, sample_z
from fpm.rounding import Roundings, farthest_z
from fpm.synthetic import GRID, noisy, pairs, projection, synthetic_weights, terms
from fpm.train import PUBLISHED, RUNS
from fpm.train_encoder import EncoderTraining, contrastive_loss, train_encoder, whiten, whitened


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, np.ndarray]:
    return pairs(48, 5)


@pytest.fixture(scope="module")
def finger() -> Fingerprinter:
    return Fingerprinter.load(PUBLISHED)


FORMS = {
    "published": PUBLISHED_ARCHITECTURE,
    "patches of 2": Architecture(2, 8),
    "ReLU, dense": Architecture(4, 16, relu=True, second="dense", out=128),
    "ReLU, a patch": Architecture(4, 8, relu=True, second="patch", out=6),
}


def slow_features(encoder: Encoder, x: np.ndarray) -> np.ndarray:
    """The module's table, entry by entry."""
    form, p = encoder.architecture, encoder.architecture.patch
    across = GRID // p
    w1 = encoder.w1.detach().numpy()
    hidden = np.zeros((form.patches, form.channels))
    for n in range(form.patches):
        i, j = divmod(n, across)
        block = [x[t, p * i + r, p * j + c] for t in range(6) for r in range(p) for c in range(p)]
        for channel in range(form.channels):
            value = float(np.dot(block, w1[:, channel]))
            hidden[n, channel] = max(0.0, value) if form.relu else value
    if encoder.w2 is None:
        return hidden.reshape(-1)
    w2 = encoder.w2.detach().numpy()
    if form.second == "patch":
        return np.concatenate([row @ w2 for row in hidden])
    flat = np.array([hidden[n, c] for c in range(form.channels) for n in range(form.patches)])
    return np.asarray(flat @ w2)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_layout_is_the_documented_one(form: Architecture, sample: tuple[np.ndarray, np.ndarray]) -> None:
    encoder = Encoder(form, 3).double()
    x = sample[0][0].astype(np.float64)
    out = encoder(torch.from_numpy(x)[None]).detach().numpy()[0]
    assert out.shape == (form.features,)
    assert np.allclose(out, slow_features(encoder, x))
    assert patches(torch.from_numpy(x)[None], form.patch).shape == (1, form.patches, form.entries)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_exported_and_read_back(
    form: Architecture, sample: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    encoder = Encoder(form, 4)
    head = np.zeros((Z_DIM, form.features), np.float32), np.zeros(Z_DIM, np.float32)
    save_encoder(encoder, *head, tmp_path)
    again, _, _ = load_encoder(tmp_path)
    assert again.architecture == form
    session = onnxruntime.InferenceSession(str(tmp_path / "encoder.onnx"))
    out = session.run(["features"], {"terms": sample[0][0]})[0]
    assert np.abs(out - again(torch.from_numpy(sample[0][:1]))[0].detach().numpy()).max() < 1e-4
    graph = encoder_circuit_graph(size_class("tiny"), GRID, 50, onnx.load(tmp_path / "encoder.onnx"))
    assert graph.graph.output[0].type.tensor_type.shape.dim[0].dim_value == 6 + form.features


def test_linear_start_keeps_angles_and_relu_pairs_cancel(sample: tuple[np.ndarray, np.ndarray]) -> None:
    x = torch.from_numpy(sample[0])
    for form in FORMS.values():
        encoder = Encoder(form, 0)
        total = encoder(2.0 * x) - encoder(x) - encoder(x)
        assert float(total.detach().abs().max()) < 1e-4
        assert torch.allclose(encoder(-x), -encoder(x), atol=1e-4)


def test_published_onnx_equals_torch(sample: tuple[np.ndarray, np.ndarray]) -> None:
    encoder, _, _ = load_encoder(PUBLISHED)
    session = onnxruntime.InferenceSession(str(PUBLISHED / "encoder.onnx"))
    for x in sample[0][:4]:
        out = session.run(["features"], {"terms": x})[0]
        assert out.shape == (Z_DIM,), "z must be able to fill all of R^512"
        assert np.abs(out - encoder(torch.from_numpy(x)[None]).detach().numpy()[0]).max() < 1e-4


def test_graph_holds_only_what_the_circuit_builder_splices() -> None:
    graph = onnx.load(PUBLISHED / "encoder.onnx").graph
    assert {node.op_type for node in graph.node} == {"Reshape", "Transpose", "MatMul"}
    assert [i.name for i in graph.input] == ["terms"] and [o.name for o in graph.output] == ["features"]


def test_published_weights_lie_on_the_circuits_grid() -> None:
    encoder, _, _ = load_encoder(PUBLISHED)
    for w in encoder.parameters():
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


def test_choosing_roundings_hardly_moves_z(finger: Fingerprinter, sample: tuple[np.ndarray, np.ndarray]) -> None:
    honest, worst, loss = farthest_z(finger, sample[0][0], rounds=2)
    choice = Roundings(finger, sample[0][0])
    chance = choice.z(choice.towards(np.random.default_rng(0).standard_normal((1536 + finger.weight.shape[1],))))
    assert loss < 1e-6
    assert np.allclose(choice.honest, honest)
    assert ((chance - honest) ** 2).sum() < ((worst - honest) ** 2).sum(), "the search must do better than chance"
    assert np.isclose(((worst - honest) ** 2).sum() / (2 * Z_DIM), loss)


def test_slope_of_roundings_is_that_of_z(finger: Fingerprinter, sample: tuple[np.ndarray, np.ndarray]) -> None:
    choice = Roundings(finger, sample[0][1])
    move = np.random.default_rng(1).standard_normal((1536 + finger.weight.shape[1],))
    step = choice.z(move) - choice.z(-move)
    assert np.allclose(step / 2, choice.jacobian() @ move, atol=1e-7)


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
    # 512 dimensions cannot do better than sqrt(2 / (512 pi)) = 0.0353 on average
    assert np.abs(others).mean() < 0.045


def test_z_of_unrelated_models_is_nearly_gaussian(finger: Fingerprinter) -> None:
    figures = gaussianity(finger(pairs(600, 123)[0], normalise=False))
    assert figures["mean_abs_mean"] < 0.05 and 0.95 < figures["variance"][1] < 1.08
    assert figures["ks_rejected_at_0.01"] < 0.03


def test_gaussianity_sees_what_is_not_gaussian() -> None:
    rng = np.random.default_rng(0)
    good = gaussianity(rng.standard_normal((400, Z_DIM)), seed=1)
    assert good["ks_rejected_at_0.01"] < 0.03
    assert all(0.4 < share < 0.6 for share in good["nearest_neighbour_same_side"])
    squashed = gaussianity(rng.standard_normal((400, Z_DIM)) * 0.8, seed=1)
    assert squashed["nearest_neighbour_same_side"][0] > 0.9 and squashed["nearest_neighbour_same_side"][1] < 0.1
    assert gaussianity(rng.uniform(-1.7, 1.7, (400, Z_DIM)), seed=1)["ks_rejected_at_0.01"] > 0.3


def test_effective_rank_counts_directions() -> None:
    s = np.random.default_rng(0).standard_normal(16)
    thin = np.broadcast_to(np.outer(s, s), (1, 6, 16, 16))
    assert np.isclose(effective_rank(thin)[0], 1.0)
    assert np.isclose(effective_rank(np.broadcast_to(np.eye(16), (1, 6, 16, 16)))[0], 16.0)


def test_synthetic_terms_are_decided_by_the_seed() -> None:
    first, second, other = pairs(2, 9), pairs(2, 9), pairs(2, 10)
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(pairs(1, 9)[0], first[0][:1]), "a model does not depend on how many are drawn"


def test_projection_is_signed_and_balanced() -> None:
    matrix = projection(96, b"\x01" * 32)
    assert (np.abs(matrix).sum(0) == 1).all() and (matrix.sum(1) == 0).all()
    assert (np.abs(matrix).sum(1) == 96 / GRID).all()


@pytest.mark.parametrize("count", [128, Z_DIM])
def test_head_whitens(count: int) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4000, count)) @ rng.standard_normal((count, count)) + 3.0
    weight, bias = whitening_head(features, 0.5)
    z = latent(features, weight, bias, normalise=False)
    assert np.abs(z.mean(0)).max() < 2e-2
    u = coordinates(z)[:, :count] * np.sqrt(count / Z_DIM)
    assert np.abs(np.cov(u.T) - np.eye(count)).max() < 5e-2
    assert np.isclose((z**2).sum(1).mean(), Z_DIM, rtol=1e-2)
    assert np.allclose((sample_z(3, 0) ** 2).mean(1), 1.0)


def test_half_whitening_halves_the_exponent_and_spreads_it() -> None:
    """What C holds as variances v, z holds as sqrt(v), of mean 1; the mixing gives every coordinate its share."""
    rng = np.random.default_rng(0)
    variances = np.repeat([16.0, 1.0], [Z_DIM // 8, Z_DIM - Z_DIM // 8])
    features = rng.standard_normal((40_000, Z_DIM)) * np.sqrt(variances) - 1.0
    z = latent(features, *whitening_head(features, 0.25), normalise=False)
    found = np.sort(np.linalg.eigvalsh(np.cov(z.T)))[::-1]
    expected = np.sqrt(variances) / np.sqrt(variances).mean()
    assert np.abs(found / expected - 1.0).max() < 0.2, "a sample spreads them by a tenth"
    assert np.isclose((z**2).sum(1).mean(), Z_DIM, rtol=1e-2)
    assert np.abs(coordinates(z).var(0) - 1.0).max() < 0.25, "unmixed: 2.9 and 0.7"


def test_batch_whitening_whitens() -> None:
    draws = torch.Generator().manual_seed(0)
    mixing = torch.eye(40) + 0.1 * torch.randn(40, 40, generator=draws)
    features = torch.randn(300, 40, generator=draws) @ mixing + 1.0
    z = whitened(features, *whiten(features))
    assert float(z.mean(0).abs().max()) < 1e-3
    assert float((torch.cov(z.T) - torch.eye(40)).abs().max()) < 2e-2


def test_contrastive_loss_on_known_angles() -> None:
    z = torch.eye(4)
    loss, near, far = contrastive_loss(z, z.roll(1, 0))
    assert (float(near), float(far), float(loss)) == (0.0, 0.0, pytest.approx(1.3))
    loss, near, far = contrastive_loss(torch.ones(3, 4), -torch.ones(3, 4))
    assert (float(near), float(far), float(loss)) == (pytest.approx(-1), pytest.approx(1), pytest.approx(2.6 + 0.7))


def test_training_lowers_the_loss_and_repeats_itself(tmp_path) -> None:  # type: ignore[no-untyped-def]
    form = Architecture(4, 4)
    config = EncoderTraining(form, pairs=384, held_out=4, batch=256, steps=31)
    encoder, weight, _, record = train_encoder(config, tmp_path / "terms.npz")
    curve = record["curve"]
    assert isinstance(curve, list) and curve[-1]["loss"] < curve[0]["loss"]
    assert torch.equal(encoder.w1 * PARAM_SCALE, (encoder.w1 * PARAM_SCALE).round())
    again, weight_again, _, _ = train_encoder(config, tmp_path / "terms.npz")
    assert torch.equal(encoder.w1, again.w1) and np.array_equal(weight, weight_again)
    assert encoder_graph(encoder).SerializeToString() == encoder_graph(again).SerializeToString()


@pytest.mark.parametrize("what", ["encoder", "generator"])
def test_run_record_names_the_published_files(what: str) -> None:
    import hashlib

    record = json.loads((RUNS / f"{what}.json").read_text())
    for name, digest in record["files"].items():
        assert hashlib.sha256((PUBLISHED / name).read_bytes()).hexdigest() == digest, name
