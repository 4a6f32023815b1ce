"""Files that the verifier cannot open, the prover does not prove: both refuse them, the prover by file and field."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import CheckpointError
from prover.checkpoint import tensors as checkpoint_module
from prover.checkpoint import tokens
from prover.checkpoint.tensors import open_checkpoint
from prover.cli import huref
from prover.formats import bounded_files
from tests.prover.small_models import RULES, VOCAB, edit_json, load, random_llama, tokenizer_document, write_llama
from verifier.formats import limits
from verifier.formats.errors import BadOpening
from verifier.opening.checkpoint import Tensors, read_tokens

Q = "model.layers.1.self_attn.q_proj.weight"
NORM = "model.norm.weight"  # in no matrix


def edit(folder: Path, change: Callable[[dict, bytes], tuple[dict, bytes]]) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, body = change(json.loads(data[8 : 8 + length]), data[8 + length :])
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)


def moved(header: dict, by: int) -> dict:
    return {name: {**item, "data_offsets": [at + by for at in item["data_offsets"]]} for name, item in header.items()}


def shaped(header: dict, name: str, shape: list[int]) -> dict:
    return {**header, name: {**header[name], "shape": shape}}


WEIGHTS: dict[str, tuple[Callable[[dict, bytes], tuple[dict, bytes]], str]] = {
    "overlap": (
        lambda h, b: ({**h, "more": h[Q]}, b),
        "data_offsets: overlaps the tensor before it",
    ),
    "hole at the start": (lambda h, b: (moved(h, 4), bytes(4) + b), "leaves a hole of 4 bytes before it"),
    "hole in the middle": (lambda h, b: ({n: e for n, e in h.items() if n != Q}, b), "leaves a hole of 16384 bytes"),
    "bytes behind": (lambda h, b: (h, b + bytes(8)), "8 bytes behind the last tensor"),
    "another size, of a tensor that is not read": (lambda h, b: (shaped(h, NORM, [65]), b), "256 bytes do not fit"),
    "nine axes": (lambda h, b: (shaped(h, NORM, [64, *[1] * 8]), b), "not a list of at most 8 sizes"),
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_safetensors(what: str, tmp_path: Path) -> None:
    change, words = WEIGHTS[what]
    edit(write_llama(tmp_path), change)
    with pytest.raises(CheckpointError, match=words) as caught:
        open_checkpoint(tmp_path)
    assert caught.value.message.startswith(f"{tmp_path / 'model.safetensors'}: header")
    with pytest.raises(BadOpening):
        Tensors(tmp_path)


def test_tensors_in_any_order_and_empty_ones_are_read_by_both(tmp_path: Path) -> None:
    """What is allowed: the header in another order than the data, `__metadata__`, a tensor of no entries."""
    expected = load(write_llama(tmp_path)).weights_sha256
    end = sum(array.nbytes for array in random_llama()[1].values())
    empty = {"dtype": "F32", "shape": [0, 8], "data_offsets": [end, end]}
    edit(
        tmp_path,
        lambda h, b: ({"__metadata__": {"format": "pt"}, "empty": empty, **dict(sorted(h.items(), reverse=True))}, b),
    )
    assert load(tmp_path).weights_sha256 == expected
    assert Tensors(tmp_path).read(NORM, (64,)).dtype == np.float32


ADDED = {
    "a float for an id": ([{"id": 7.0}], r"added_tokens\[0\].id: 7.0 is not an integer"),
    "true for an id": ([{"id": 1}, {"id": True}], r"added_tokens\[1\].id: True is not an integer"),
    "a string for an id": ([{"id": "7"}], r"added_tokens\[0\].id: '7' is not an integer"),
    "a list for an id": ([{"id": [7]}], r"added_tokens\[0\].id: \[7\] is not an integer"),
    "a number for a string": ([{"content": 7}], r"added_tokens\[0\].content: 7 is not a string"),
    "an object for a string": ([{"id": 7, "content": {}}], r"added_tokens\[0\].content: {} is not a string"),
    "no object": (["token7"], "added_tokens: not a list of objects"),
}


@pytest.mark.parametrize("what", ADDED)
def test_added_tokens(what: str, tmp_path: Path) -> None:
    added, words = ADDED[what]
    write_llama(tmp_path)
    edit_json(tmp_path / "tokenizer.json", added_tokens=added)
    with pytest.raises(CheckpointError, match=f"tokenizer.json: field {words}"):
        load(tmp_path)
    with pytest.raises(BadOpening):
        read_tokens(tmp_path, VOCAB, RULES.g, RULES.k_max)


@pytest.mark.parametrize("added", [[], None, [{"id": 7}], [{"content": "token8"}], [{"id": None, "content": None}]])
def test_added_tokens_that_both_read(added: object, tmp_path: Path) -> None:
    write_llama(tmp_path)
    edit_json(tmp_path / "tokenizer.json", added_tokens=added)
    found, by_verifier = load(tmp_path).tokens, read_tokens(tmp_path, VOCAB, RULES.g, RULES.k_max)
    assert (found.ids, found.candidates, found.sha256) == (by_verifier.ids, by_verifier.candidates, by_verifier.sha256)


def test_the_command_refuses_with_exit_code_2(tmp_path: Path) -> None:
    edit(write_llama(tmp_path / "model"), WEIGHTS["overlap"][0])
    result = CliRunner().invoke(huref, ["prove", str(tmp_path / "model"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2, result.output
    assert "model.safetensors" in result.output
    assert "overlaps the tensor before it" in result.output
    assert not (tmp_path / "out").exists()


# ---------------------------------------- limits


def test_the_prover_reads_no_more_than_the_verifier() -> None:
    for name in ("MAX_CONFIG_BYTES", "MAX_INDEX_BYTES", "MAX_TOKENIZER_BYTES", "MAX_HEADER_BYTES"):
        assert getattr(checkpoint_module, name) <= getattr(limits, name), name
    assert tokens.MAX_VOCABULARY <= limits.MAX_VOCABULARY
    assert checkpoint_module.MAX_AXES <= limits.MAX_TENSOR_AXES
    assert bounded_files.MAX_JSON_PARTS <= limits.MAX_CHECKPOINT_JSON_PARTS
    assert bounded_files.MAX_JSON_DEPTH <= limits.MAX_CHECKPOINT_JSON_DEPTH


def test_limits_of_the_prover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_llama(tmp_path)
    monkeypatch.setattr(tokens, "MAX_VOCABULARY", VOCAB - 1)
    with pytest.raises(CheckpointError, match=rf"model.vocab: {VOCAB} entries, the limit is {VOCAB - 1}"):
        load(tmp_path)
    monkeypatch.setattr(bounded_files, "MAX_JSON_PARTS", 100)
    with pytest.raises(CheckpointError, match="values, the limit is 100"):
        load(tmp_path)


@pytest.mark.parametrize("count", [10, 70])
def test_brackets_in_strings_and_behind_escapes_are_no_depth(count: int) -> None:
    document = {**tokenizer_document(3), 'a"[[\\': ["[" * 200, '\\"' * 100 + "{" * 200]}
    assert bounded_files.parse_json(json.dumps(document).encode(), "f") == document
    deep = b'{"a\\"[":' + b"[" * count + b"]" * count + b"}"
    if count < bounded_files.MAX_JSON_DEPTH:
        assert bounded_files.parse_json(deep, "f")
    else:
        with pytest.raises(CheckpointError, match="deep"):
            bounded_files.parse_json(deep, "f")
