"""`huref ics --blocks`: padded and shortened models are found, strangers are not, each pair of blocks is tried once."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import UsageError
from prover.checkpoint.tensors import open_checkpoint
from prover.cli import huref
from prover.similarity.blocks import best_blocks, block_terms, pairs_of_blocks
from prover.similarity.metrics import common_strings
from prover.terms.terms import cosine
from tests.prover.small_models import RULES, load, random_llama, write_llama, write_rest, write_tensors


def with_blocks(folder: Path, order: list[int]) -> Path:
    """The small Llama of five blocks of seed 0, with these of them; -1: random ones that write nothing much."""
    config, tensors = random_llama(0, num_hidden_layers=5)
    idle = random_llama(9, num_hidden_layers=5)[1]
    kept = {name: value for name, value in tensors.items() if ".layers." not in name}
    for new, old in enumerate(order):
        for name, value in (tensors if old >= 0 else idle).items():
            if f".layers.{max(old, 0)}." in name:
                quiet = 1e-6 if old < 0 and ("o_proj" in name or "down_proj" in name) else 1.0
                kept[name.replace(f".layers.{max(old, 0)}.", f".layers.{new}.")] = (quiet * value).astype(np.float32)
    write_rest(folder, {**config, "num_hidden_layers": len(order)})
    write_tensors(folder / "model.safetensors", kept)
    return folder


def best(left: Path, right: Path):
    sides = open_checkpoint(left), open_checkpoint(right)
    return best_blocks(*sides, common_strings(*sides), RULES)


def test_every_pair_is_tried_once() -> None:
    assert pairs_of_blocks(2, 2) == [((0, 1), (0, 1))]
    tried = pairs_of_blocks(4, 3)
    assert len(tried) == len(set(tried)) == 4
    assert ((2, 3), (0, 1)) in tried and ((0, 1), (1, 2)) in tried and ((2, 3), (1, 2)) in tried


def test_terms_of_the_last_two_blocks_are_the_fingerprints(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_llama(tmp_path, 0))
    loaded = load(tmp_path)
    found = block_terms(checkpoint, loaded.tokens.ids, loaded.projection)[-2:].reshape(6, 16, 16)
    for ours, theirs in zip(found, loaded.float_terms, strict=True):
        assert cosine(ours, theirs) == pytest.approx(1)
        assert np.linalg.norm(ours) == pytest.approx(1)


@pytest.mark.parametrize(
    ("order", "blocks"),
    [([0, 1, 2, 3, 4, -1, -1], (3, 4)), ([0, 1, 2, 3], (2, 3)), ([2, 3, 4], (1, 2)), ([3, 4, 0], (0, 1))],
    ids=["padded", "shortened at the end", "shortened at the beginning", "a block moved"],
)
def test_blocks_that_moved_are_found(order: list[int], blocks: tuple[int, int], tmp_path: Path) -> None:
    original, changed = with_blocks(tmp_path / "a", [0, 1, 2, 3, 4]), with_blocks(tmp_path / "b", order)
    for found, where in ((best(original, changed), "right"), (best(changed, original), "left")):
        assert found.cosine == pytest.approx(1)
        assert getattr(found, where) == blocks
        assert found.word == "derived"
        assert found.tried == 4 + len(order) - 2


def test_strangers_are_not_derived(tmp_path: Path) -> None:
    found = best(write_llama(tmp_path / "a", 0), write_llama(tmp_path / "b", 1))
    assert found.word != "derived"
    assert found.tried == 3


def test_one_block_is_refused(tmp_path: Path) -> None:
    folder = write_llama(tmp_path / "a", 0)
    checkpoint = open_checkpoint(folder)
    object.__setattr__(checkpoint.shape, "num_layers", 1)
    with pytest.raises(UsageError, match="one block only"):
        best_blocks(checkpoint, checkpoint, common_strings(checkpoint, checkpoint), RULES)


def test_command_says_which_blocks(tmp_path: Path) -> None:
    folders = [str(with_blocks(tmp_path / "a", [0, 1, 2, 3, 4])), str(with_blocks(tmp_path / "b", [0, 1, 2, 3]))]
    table = CliRunner().invoke(huref, ["ics", *folders, "--blocks"])
    assert table.exit_code == 0
    assert "most similar blocks: 2 and 3 of A, 2 and 3 of B (of 6 pairs tried, counted from 0)" in table.output
    assert table.output.splitlines()[-1].startswith("DERIVED: ")
    document = json.loads(CliRunner().invoke(huref, ["ics", *folders, "--blocks", "--json"]).output)
    assert document["blocks"]["left"] == document["blocks"]["right"] == [2, 3]
    assert document["blocks"]["word"] == "derived"
    assert document["verdict"] in ("independent", "inconclusive", "derived")
