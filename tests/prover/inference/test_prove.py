"""`huref feedforward`: its integers, what it reads, and the shipped base model's last block, proven by the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.activation_circuit import ActivationScale
from circuits.errors import CheckpointError, UsageError
from circuits.size_classes import SIZE_CLASSES
from fpm.activations import TEXT, feed_forward_activations
from prover.cli import huref
from prover.fingerprint.secret import Secret, write
from prover.inference import fixed_point
from prover.inference.block import read_block, read_inputs
from tests.adversarial.cheats import SEED
from tests.conftest import MODELS, ROOT
from verifier.fingerprint.options import Options
from verifier.inference.relation import normalise
from verifier.inference.verify import verify_feed_forward

TINY = ActivationScale.of(SIZE_CLASSES["tiny"])
SHIPPED = ROOT / "artifacts" / "feedforward" / "base"


# ---------------------------------------- integers


def test_prover_and_verifier_normalise_alike():
    random = np.random.default_rng(0)
    for scale in (1, 1 << 10, 1 << 20, 1 << 39):
        x = [int(value) for value in random.integers(-scale, scale + 1, 64)]
        for epsilon in (1, 4295, (1 << 32) - 1):
            assert fixed_point.normalised(x, epsilon) == normalise(x, epsilon)


def test_split_is_exact_and_in_range():
    values = [0, 1, -1, 12345, -12345, (1 << 40) + 7]
    entries, rests = fixed_point.split(values, 1234, TINY)
    half = 1 << (TINY.rest_bits - 1)
    for value, entry, rest in zip(values, entries, rests, strict=True):
        assert 1234 * value == (entry << TINY.rest_bits) + rest
        assert -half <= rest < half


@pytest.mark.parametrize("name", ["tiny", "base", "large", "xl"])
def test_no_entry_of_the_sigmoids_table_is_near_a_tie(name):
    """Another machine's exponential may differ in its last bits: no entry is so near a half that it would matter."""
    size = SIZE_CLASSES[name]
    scale = ActivationScale.of(size)
    unit = 1 << scale.fraction
    inputs = np.arange(-scale.limit, 1 << (size.k - 1))
    exact = unit / (1.0 + np.exp(-inputs / unit))
    distance = np.abs(exact - np.floor(exact) - 0.5)
    assert distance.min() > 1e-9
    assert [fixed_point.sigmoid(int(entry), scale) for entry in inputs[:50]] == list(np.rint(exact[:50]).astype(int))


def test_the_table_fits_in_one_column():
    for size in SIZE_CLASSES.values():
        assert 2 * ActivationScale.of(size).limit + 1 < 2**size.k - 10


@pytest.mark.parametrize("value", [np.nan, np.inf, 2.0**24])
def test_activations_that_cannot_be_written_down(value):
    with pytest.raises(UsageError, match="activations"):
        fixed_point.quantized_inputs(np.array([[0.0, value]]))


def test_epsilons():
    assert fixed_point.epsilon_integer(1e-6) == 4295
    for epsilon in (0.0, 1e-12, 1.5):
        with pytest.raises(CheckpointError, match="rms_norm_eps"):
            fixed_point.epsilon_integer(epsilon)


# ---------------------------------------- reading


@pytest.fixture(scope="module")
def real():
    """8 real activations of the base model's last block, and what the block adds, by transformers."""
    return feed_forward_activations(MODELS / "base", 3, TEXT, 8)


def test_the_integers_are_the_models_block(real):
    """Against the model's own floating point: what differs is the quantization of rows to bytes."""
    from prover.inference.prove import FeedForwardProver

    x, expected = real
    block = read_block(MODELS / "base", None, TINY)
    prover = object.__new__(FeedForwardProver)
    prover.block, prover.scale, prover.x = block, TINY, fixed_point.quantized_inputs(x)
    outputs = fixed_point.real_outputs(prover.compute().y, block.scale[2], TINY)
    cosine = (outputs * expected).sum() / np.sqrt((outputs**2).sum() * (expected**2).sum())
    assert cosine > 0.9995
    assert np.abs(outputs - expected).max() < 0.03 * np.abs(expected).max()
    float_rows = block.matrices["gate"].astype(float)
    assert 15 < np.sqrt((float_rows**2).mean()) < 17


def test_blocks_that_are_refused(tmp_path):
    with pytest.raises(UsageError, match="--layer 1"):
        read_block(MODELS / "base", 1, TINY)
    for key, value in (
        ("hidden_act", "gelu"),
        ("mlp_bias", True),
        ("mlp_bias", 0),
        ("rms_norm_eps", 0),
        ("rms_norm_eps", "small"),
    ):
        target = tmp_path / f"{key}-{value}"
        shutil.copytree(MODELS / "base", target)
        config = json.loads((target / "config.json").read_text())
        config[key] = value
        (target / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match=key):
            read_block(target, None, TINY)


def test_inputs_that_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    with pytest.raises(CheckpointError, match="missing"):
        read_inputs(path)
    for value in (np.zeros(4), np.zeros((0, 4)), np.zeros((2, 2), dtype=int), np.array([[{}]], dtype=object)):
        np.save(path, value, allow_pickle=True)
        with pytest.raises(CheckpointError, match=r"x\.npy"):
            read_inputs(path)
    path.write_bytes(b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2, 9999999999999), }")
    with pytest.raises(CheckpointError, match=r"x\.npy"):
        read_inputs(path)
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"x\.npy"):
        read_inputs(path)


# ---------------------------------------- the command


def test_the_shipped_proof_is_accepted():
    report = verify_feed_forward(SHIPPED, ROOT / "artifacts" / "bundles" / "base", Options(allow_development_srs=True))
    assert report.verdict == "accepted", report.verdict_line()
    assert (report.outcome.layer, report.outcome.activations) == (3, 8)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    """The base model's bundle, its secret and 8 activations."""
    place = tmp_path_factory.mktemp("feedforward")
    (place / "bundle").mkdir()
    for name, data in world.honest.files.items():
        (place / "bundle" / name).write_bytes(data)
    write(place / "private" / "secret.json", Secret(SEED, world.source.weights_sha256, world.honest.cm))
    return place


def run(folder, inputs, *more: str, target="out/proof"):
    np.save(folder / "x.npy", inputs)
    words = ["feedforward", folder / "bundle", "--weights", MODELS / "base", "--inputs", folder / "x.npy", "-q"]
    words += ["--secret", folder / "private" / "secret.json", "-o", folder / target, *more]
    return CliRunner().invoke(huref, [str(word) for word in words])


@pytest.mark.long
def test_the_command_proves_the_shipped_models_block(folder, real):
    x, expected = real
    result = run(folder, x, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    said = json.loads(result.output)
    assert np.abs(np.array(said["outputs"]) - expected).max() < 0.03 * np.abs(expected).max()
    report = verify_feed_forward(folder / "out" / "proof", folder / "bundle", Options(allow_development_srs=True))
    assert report.verdict == "accepted", report.verdict_line()
    assert report.outcome.gate_commitment == said["gate_commitment"]
    assert np.allclose(report.outcome.outputs, said["outputs"], rtol=1e-12, atol=0)
    again = run(folder, x)
    assert (again.exit_code, "exists already" in again.output) == (2, True)


@pytest.mark.parametrize(
    ("inputs", "more", "words"),
    [
        (np.zeros((9, 128)), (), "at most 8 activations"),
        (np.ones((8, 127)), (), "128 entries"),
        (np.ones((1, 128)) * np.nan, (), "NaN"),
        (np.ones((1, 128)), ("--layer", "0"), "--layer 0"),
    ],
)
def test_the_command_refuses(folder, inputs, more, words):
    result = run(folder, inputs, *more, target="out/never")
    assert result.exit_code == 2, result.output
    assert words in result.output and "Traceback" not in result.output
    assert not (folder / "out" / "never").exists()


def test_a_secret_of_another_model_is_refused(folder, world):
    write(folder / "private" / "other.json", Secret(b"o" * 32, world.source.weights_sha256, world.honest.cm))
    result = run(folder, np.ones((1, 128)), "--secret", str(folder / "private" / "other.json"), target="out/never")
    assert (result.exit_code, "is not this checkpoint's under this secret" in result.output) == (2, True), result.output
    write(folder / "private" / "other.json", Secret(SEED, world.source.weights_sha256, "0" * 64))
    result = run(folder, np.ones((1, 128)), "--secret", str(folder / "private" / "other.json"), target="out/never")
    assert (result.exit_code, "field cm" in result.output) == (2, True), result.output
