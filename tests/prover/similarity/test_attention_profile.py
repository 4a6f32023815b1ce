"""`huref profile`: the intrinsic fingerprint's definition by hand, depth interpolation, refusals, output."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import CheckpointError, UsageError
from prover.cli import huref
from prover.similarity import attention_profile
from prover.similarity.attention_profile import ROLES, compare_profiles, correlation, normalised, profile_of, stretched
from prover.similarity.profile_cli import as_table
from tests.prover.small_models import edit_json, random_llama, read_tensors, write_llama, write_tensors


def test_deviations_are_those_of_the_stored_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_profile, "_BLOCK_ENTRIES", 64 * 5)  # some rows at a time
    found = profile_of(write_llama(tmp_path, 3))
    tensors = random_llama(3)[1]
    for role in ROLES:
        expected = [
            tensors[f"model.layers.{i}.self_attn.{role}_proj.weight"].astype(np.float64).std() for i in range(3)
        ]
        assert np.allclose(found[role], expected, rtol=1e-9)


def test_correlation_by_hand() -> None:
    assert normalised(np.array([1.0, 2.0, 3.0])) == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])) == pytest.approx(1)
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1)
    # (-1, 0, 1) and (-1, 2, -1): orthogonal after their means are taken out
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 1.0])) == pytest.approx(0)
    assert correlation(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0])) is None


def test_correlation_is_pearsons() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 12))
    assert correlation(a, b) == pytest.approx(np.corrcoef(a, b)[0, 1])


def test_the_shorter_model_is_stretched_over_the_same_depth() -> None:
    assert stretched(np.array([0.0, 1.0, 2.0]), 5) == pytest.approx([0, 0.5, 1, 1.5, 2])
    curve = np.sin(np.linspace(0, 3, 40))
    assert correlation(curve, curve[::3]) > 0.99


def test_score_is_the_mean_of_what_can_be_compared() -> None:
    rising, falling, flat = np.array([1.0, 2, 3]), np.array([3.0, 2, 1]), np.ones(3)
    left = {"q": rising, "k": rising, "v": rising, "o": flat}
    likeness = compare_profiles(left, {"q": rising, "k": falling, "v": rising, "o": rising})
    assert likeness.by_role["o"] is None
    assert likeness.score == pytest.approx(1 / 3)
    assert compare_profiles(dict.fromkeys(ROLES, flat), left).score == 0
    assert "-        one of the two is constant" in as_table(likeness)


def test_folding_a_norm_changes_the_profile_but_not_the_model(tmp_path: Path) -> None:
    """The reason that it is not this project's fingerprint."""
    folded = write_llama(tmp_path / "b", 0)
    tensors = read_tensors(folded / "model.safetensors")
    for i in range(3):
        norm = tensors[f"model.layers.{i}.input_layernorm.weight"] * [0.5, 3.0, 1.0][i]
        for role in "qkv":
            tensors[f"model.layers.{i}.self_attn.{role}_proj.weight"] *= norm
        tensors[f"model.layers.{i}.input_layernorm.weight"] /= norm
    write_tensors(folded / "model.safetensors", tensors)
    before, after = profile_of(write_llama(tmp_path / "a", 0)), profile_of(folded)
    assert compare_profiles(before, before).score == pytest.approx(1)
    assert compare_profiles(before, after).score < 0.9


def test_too_few_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="2 blocks"):
        profile_of(write_llama(tmp_path, 0, num_hidden_layers=2))


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a")
    edit_json(folder / "config.json", architectures=["MixtralForCausalLM"], num_local_experts=4)
    with pytest.raises(CheckpointError, match="MixtralForCausalLM"):
        profile_of(folder)
    with pytest.raises(CheckpointError, match="no such directory"):
        profile_of(tmp_path / "nowhere")
    damaged = write_llama(tmp_path / "b")
    tensors = read_tensors(damaged / "model.safetensors")
    tensors["model.layers.1.self_attn.v_proj.weight"][0, 0] = np.nan
    write_tensors(damaged / "model.safetensors", tensors)
    with pytest.raises(CheckpointError, match="NaN"):
        profile_of(damaged)


def test_command_prints_a_table_and_json(tmp_path: Path) -> None:
    folders = [str(write_llama(tmp_path / "a", 0)), str(write_llama(tmp_path / "b", 1, num_hidden_layers=5))]
    table = CliRunner().invoke(huref, ["profile", *folders])
    assert table.exit_code == 0
    assert [line.split()[0] for line in table.output.splitlines()] == [
        *("profile", "queries", "keys", "values", "outputs", "blocks")
    ]
    document = json.loads(CliRunner().invoke(huref, ["profile", *folders, "--json"]).output)
    assert document["blocks"] == [3, 5]
    assert document["profile"] == pytest.approx(np.mean(list(document["correlations"].values())))
    assert len(document["standard_deviations"][1]["q"]) == 5
    refused = CliRunner().invoke(huref, ["profile", folders[0], str(tmp_path / "nowhere")])
    assert refused.exit_code == 2
    assert refused.stdout == ""
