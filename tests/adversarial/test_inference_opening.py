"""The opening of a feed-forward proof: a block that is proven honestly, of a checkpoint's weights or of others.

Every proof here is valid (steps 1 to 8 pass): the cheat is in what the maker says of the gate and of the integers,
which only a checkpoint can contradict. The names carry the step of docs/inference-proof.md, section 7.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file

from prover.commitments.jobs import Job
from prover.inference.block import read_block
from prover.inference.prove import FeedForwardProver
from tests.adversarial.cheats import expect_rejected
from tests.adversarial.inference_cheats import BUNDLE, SESSION
from tests.toy_inference import LAYER, toy_inputs
from tests.toy_pair import ASSETS
from verifier.cli import main
from verifier.fingerprint.options import Options
from verifier.inference.report import NOT_PROVEN
from verifier.inference.verify import verify_feed_forward

GATE = f"model.layers.{LAYER}.mlp.gate_proj.weight"
SECRET = ASSETS / "secret.json"


def with_gate(folder, seed=5, **config):
    """The toy checkpoint, which has no gate, with one: the bundle's rows are those of both."""
    shutil.copytree(ASSETS / "model", folder)
    tensors = load_file(folder / "model.safetensors")
    tensors[GATE] = np.random.default_rng(seed).normal(scale=0.2, size=(48, 32)).astype(np.float32)
    save_file(tensors, folder / "model.safetensors")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return with_gate(tmp_path_factory.mktemp("gated") / "model")


@pytest.fixture(scope="module")
def block(feedforward_world, model):
    return read_block(model, LAYER, feedforward_world.circuit.scale)


def proven(world, block, folder):
    """A proof of `block` by the honest prover, as a directory."""
    (folder / "job").mkdir()
    arguments = (world.profile, world.circuit, block, world.side.committed, world.side.seed, toy_inputs(), SESSION)
    target = folder / "proof"
    target.mkdir()
    for name, data in FeedForwardProver(*arguments, Job(folder / "job")).run().files.items():
        (target / name).write_bytes(data)
    return target


@pytest.fixture(scope="module")
def honest(feedforward_world, block, tmp_path_factory):
    return proven(feedforward_world, block, tmp_path_factory.mktemp("honest-gate"))


def opened(proof, model, secret=SECRET):
    options = Options(allow_development_srs=True, time_limit_s=120.0, weights=model, secret=secret)
    return verify_feed_forward(proof, BUNDLE, options)


def test_the_checkpoint_opens_it(honest, model):
    """The control: bundle and block are this checkpoint's, and nothing of that is left to the maker's word."""
    report = opened(honest, model)
    assert report.verdict == "accepted", report.failure
    assert report.opened and report.bundle.opened and report.not_proven == NOT_PROVEN
    assert report.checks[-1].step == 9 and "48 rows of the gate" in report.checks[-1].compared
    document = report.as_json()
    assert document["opened"] is True and any("floating point" in line for line in document["not_proven"])


def test_the_command(honest, model):
    arguments = [str(honest), str(BUNDLE), "--allow-dev-srs", "--weights", str(model), "--opening", str(SECRET)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert "of the given checkpoint" in result.output and "the maker's word" not in result.output


def test_step_9_another_gate(feedforward_world, block, model, tmp_path):
    """One byte of one row of the gate, the rest of the block as it is."""
    gate = block.matrices["gate"].copy()
    gate[31, 7] += 1 if gate[31, 7] < 127 else -1
    cheat = replace(block, matrices=block.matrices | {"gate": gate})
    report = opened(proven(feedforward_world, cheat, tmp_path), model)
    expect_rejected(report, 9, f"layers.{LAYER}.gate, row 31", "not that of this checkpoint's row")
    assert not report.opened and report.outcome is None


@pytest.mark.parametrize(("position", "role"), list(enumerate(("gate", "up", "down"))))
def test_step_9_another_scale(feedforward_world, block, model, tmp_path, position, role):
    """The block's outputs, or what its entries count, stretched by one unit of a scale integer."""
    scale = tuple(c + (at == position) for at, c in enumerate(block.scale))
    report = opened(proven(feedforward_world, replace(block, scale=scale), tmp_path), model)
    expect_rejected(report, 9, f"feedforward.json.scale.{role}: {scale[position]}", f"gives {block.scale[position]}")


def test_step_9_another_epsilon(feedforward_world, block, model, tmp_path):
    cheat = replace(block, epsilon=block.epsilon + 1)
    report = opened(proven(feedforward_world, cheat, tmp_path), model)
    expect_rejected(report, 9, f"feedforward.json.epsilon: {cheat.epsilon}", f"gives {block.epsilon}")


@pytest.mark.parametrize(("key", "value"), [("hidden_act", "gelu"), ("mlp_bias", True), ("mlp_bias", 0)])
def test_step_9_a_checkpoint_that_computes_something_else(honest, tmp_path, key, value):
    """The same tensors behind another activation, or with biases that the proof does not know."""
    report = opened(honest, with_gate(tmp_path / "model", **{key: value}))
    expect_rejected(report, 9, f"{key} is")


def test_step_9_another_checkpoint_of_the_same_bundle(honest, tmp_path):
    """The bundle opens to both, since no term of the fingerprint has the gate."""
    report = opened(honest, with_gate(tmp_path / "model", seed=6))
    assert report.bundle.opened
    expect_rejected(report, 9)


def test_step_9_a_config_that_changes_in_between(feedforward_world, block, model, tmp_path):
    """Llama's when the bundle is opened; then Gemma's, whose norms are 1 + w: the gate is the checkpoint's no more."""
    shifted = shutil.copytree(model, tmp_path / "shifted")
    tensors = load_file(shifted / "model.safetensors")
    norm = f"model.layers.{LAYER}.post_attention_layernorm.weight"
    tensors[norm] = tensors[norm] + 1
    save_file(tensors, shifted / "model.safetensors")
    other = read_block(shifted, LAYER, feedforward_world.circuit.scale)
    cheat = replace(block, matrices=block.matrices | {"gate": other.matrices["gate"]}, scale=other.scale)
    proof = proven(feedforward_world, cheat, tmp_path)
    folder = shutil.copytree(model, tmp_path / "model")

    def change(check):
        path = folder / "config.json"
        config = json.loads(path.read_text()) | {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"}
        if check.step == 8:
            path.write_text(json.dumps(config | {"head_dim": config["hidden_size"] // config["num_attention_heads"]}))

    options = Options(allow_development_srs=True, time_limit_s=120.0, weights=folder, secret=SECRET)
    report = verify_feed_forward(proof, BUNDLE, options, change)
    assert (report.verdict, report.failure and report.failure.step) == ("undecided", 9)
    assert "another model" in report.failure.message


@pytest.mark.parametrize(
    ("spoil", "step", "words"),
    [
        (lambda folder: (folder / "config.json").write_text("{}"), 2, "architectures"),
        (lambda folder: with_epsilon(folder, "1e-6"), 9, "is not a number from 0 to 1"),
        (lambda folder: with_epsilon(folder, 1.5), 9, "is not a number from 0 to 1"),
        (lambda folder: without_gate(folder), 9, "gate_proj"),
    ],
)
def test_what_cannot_be_read_is_undecided(honest, tmp_path, spoil, step, words):
    folder = with_gate(tmp_path / "model")
    spoil(folder)
    report = opened(honest, folder)
    assert (report.verdict, report.failure.step) == ("undecided", step) and words in report.failure.message


def with_epsilon(folder, value):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"rms_norm_eps": value}))


def without_gate(folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors[GATE]
    save_file(tensors, folder / "model.safetensors")


def test_the_secret_of_another_bundle_is_undecided(honest, model):
    report = opened(honest, model, ASSETS / "secret_b.json")
    assert (report.verdict, report.failure.step) == ("undecided", 2)


def test_without_weights_nothing_is_opened(honest):
    report = verify_feed_forward(honest, BUNDLE, Options(allow_development_srs=True))
    assert report.verdict == "accepted" and not report.opened
    assert [check.step for check in report.checks] == list(range(1, 9))
