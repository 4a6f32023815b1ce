"""PCS, full and projected ICS: formulas, agreement with one another, and what they say of the shipped models."""

import json
import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import UsageError
from prover.checkpoint.tensors import open_checkpoint
from prover.similarity import ics_cli, metrics
from prover.similarity.metrics import DEFINITIONS, common_tokens, compare, full_terms, ics_full, ics_projected, pcs
from prover.terms.terms import TermRules, cosine, projection, read_embedding, read_matrix, repeat_rows
from tests.prover.small_models import RULES, SHIPPED, edit_json, load, random_llama, write_llama


def test_untrained_strangers_are_near_zero(tmp_path: Path) -> None:
    a, b = load(write_llama(tmp_path / "a", 0)), load(write_llama(tmp_path / "b", 1))
    assert abs(ics_projected(a, b)) < 4 * 0.8 / RULES.g
    assert ics_projected(a, a) == pytest.approx(1)


def test_full_terms_are_the_papers_formula(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_llama(tmp_path))
    ids = tuple(range(1, 65))
    x = read_embedding(checkpoint, ids).full()
    q, k = (read_matrix(checkpoint, 1, role).full() for role in ("q", "k"))
    term = next(full_terms(checkpoint, ids, "paper"))
    expected = x @ q.T @ repeat_rows(k, 16, 2) @ x.T
    assert np.allclose(term, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def test_pcs_is_the_cosine_of_all_parameters(tmp_path: Path) -> None:
    opened = [open_checkpoint(write_llama(tmp_path / str(i), i)) for i in range(2)]
    flat = [np.concatenate([value.reshape(-1) for value in random_llama(i)[1].values()]) for i in range(2)]
    result = pcs(*opened)
    assert result.value == pytest.approx(cosine(*flat), abs=1e-9)
    assert result.count == flat[0].size
    assert pcs(opened[0], opened[0]).value == pytest.approx(1)


def test_tokens_in_common_follow_strings_not_ids(tmp_path: Path) -> None:
    folders = [write_llama(tmp_path / str(i), i) for i in range(2)]
    shifted = {f"token{i}": i - 1 for i in range(300, 600)}
    edit_json(folders[1] / "tokenizer.json", model={"type": "BPE", "vocab": shifted, "merges": []}, added_tokens=[])
    left, right = common_tokens(*(open_checkpoint(folder) for folder in folders))
    assert len(left) == 300
    assert [i - 1 for i in left] == list(right)


def test_too_few_tokens_in_common(tmp_path: Path) -> None:
    folders = [write_llama(tmp_path / str(i), i) for i in range(2)]
    strange = {f"other{i}": i for i in range(600)}
    edit_json(folders[1] / "tokenizer.json", model={"type": "BPE", "vocab": strange, "merges": []})
    with pytest.raises(UsageError, match="tokens in common"):
        ics_full(*(open_checkpoint(folder) for folder in folders))


def test_two_architectures_have_no_pcs_but_an_ics(tmp_path: Path) -> None:
    write_llama(tmp_path / "a", 0)
    write_llama(tmp_path / "b", 0, hidden_size=48, intermediate_size=80, num_hidden_layers=2)
    result = compare(tmp_path / "a", tmp_path / "b", RULES)
    assert result.pcs is None
    assert abs(result.projected) < 0.3


# ---------------------------------------------------------------------------------------- shipped models


@pytest.fixture(scope="module")
def shipped() -> dict[str, Path]:
    return {name: SHIPPED / name for name in ("base", "offspring", "independent")}


def test_shipped_models_quantize_well(shipped: dict[str, Path]) -> None:
    for folder in shipped.values():
        loaded = load(folder)
        assert min(loaded.term_cosines) >= 0.999
        assert max(loaded.matrices.clipped.values()) < 0.001


def test_offspring_is_near_and_independent_is_far(shipped: dict[str, Path]) -> None:
    near = compare(shipped["base"], shipped["offspring"], RULES)
    far = compare(shipped["base"], shipped["independent"], RULES)
    for definition in DEFINITIONS:
        assert near.full[definition].value > 0.8
        assert abs(far.full[definition].value) < 0.2
    assert near.projected > 0.8
    assert abs(far.projected) < 0.2
    assert near.pcs is not None
    assert near.pcs.value > 0.9


@pytest.mark.parametrize("other", ["offspring", "independent"])
def test_projected_ics_estimates_the_full_one(shipped: dict[str, Path], other: str) -> None:
    """Over ten seeds of P: each within four of the error bar 0.8 / g, their mean within four of its own error."""
    full = ics_full(*(open_checkpoint(shipped[name]) for name in ("base", other)), "centred").value
    values = []
    for seed in range(10):
        rules = TermRules(bytes([seed]) * 32, RULES.g, RULES.k_min, RULES.k_max)
        values.append(ics_projected(load(shipped["base"], rules), load(shipped[other], rules)))
    bar = 0.8 / RULES.g
    assert max(abs(value - full) for value in values) < 4 * bar
    assert abs(np.mean(values) - full) < 4 * bar / math.sqrt(len(values))


def test_shipped_models_learnt(shipped: dict[str, Path]) -> None:
    for folder in shipped.values():
        loss = json.loads((folder / "run.json").read_text())["loss"]
        fine_tuned = folder.name == "offspring"  # starts from a model that has learnt, on other text
        assert loss[0]["held_out"] > (4.0 if fine_tuned else 7.0)
        assert loss[-1]["held_out"] < loss[0]["held_out"] - (0.1 if fine_tuned else 3.0)
        assert not [file.name for file in folder.iterdir() if file.suffix in (".bin", ".pt", ".pkl", ".pth")]


def test_projection_seed_matters(shipped: dict[str, Path]) -> None:
    seeds = [projection(bytes([i]) * 32, 1984, 16) for i in range(2)]
    assert not np.array_equal(seeds[0].bucket, seeds[1].bucket)


# ---------------------------------------------------------------------------------------------- huref ics


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    class Published:
        document: ClassVar = {
            "projection": {"g": 16, "seed": RULES.seed.hex()},
            "tokens": {"rule": "sha256-order-v1", "K_min": RULES.k_min, "K_max": RULES.k_max},
            "families": ["llama"],
            "layers": "last-2",
            "quantization": "rms16-int8-v1",
        }

    monkeypatch.setattr(metrics, "load_profile", lambda _name: Published())


@pytest.mark.usefixtures("published")
def test_command_prints_a_table_and_json(tmp_path: Path) -> None:
    folders = [str(write_llama(tmp_path / str(i), i)) for i in range(2)]
    table = CliRunner().invoke(ics_cli.ics, folders)
    assert table.exit_code == 0
    lines = table.output.splitlines()
    assert [line.split("  ")[0] for line in lines[:-1]] == [
        "ICS, projected",
        "ICS, full",
        "ICS, full, released",
        "ICS, full, centred",
        "PCS",
        "p-value",
    ]
    assert lines[-1].split(":")[0] in ("INDEPENDENT", "INCONCLUSIVE")
    document = json.loads(CliRunner().invoke(ics_cli.ics, [*folders, "--json"]).output)
    assert set(document) == {
        *("ics_projected", "ics_projected_common", "projected_tokens"),
        *("ics_full", "tokens", "pcs", "parameters"),
        *("p_value", "p_value_floor", "verdict", "false_positive_rate", "unreliable"),
    }
    assert document["tokens"] == 599
    assert document["projected_tokens"] == 576
    assert document["ics_projected_common"] is None
