"""Reading checkpoints: what is read is what was stored, and every bad input names its file and field."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from circuits.errors import CheckpointError
from prover.checkpoint import tensors as module
from prover.checkpoint.tensors import map_tensor, open_checkpoint, read_header, read_tensor
from tests.prover.small_models import (
    RULES,
    Tensors,
    edit_json,
    load,
    random_llama,
    read_tensors,
    write_llama,
    write_rest,
    write_tensors,
)

Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "model"))


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16"])
def test_tensors_are_read_exactly(tmp_path: Path, kind: str) -> None:
    config, tensors = random_llama()
    write_rest(tmp_path, config)
    bits = {name: (value.view(np.uint32) >> 16).astype(np.uint16) for name, value in tensors.items()}
    stored = {
        "F32": tensors,
        "F16": {name: value.astype(np.float16) for name, value in tensors.items()},
        "BF16": bits,
    }[kind]
    write_tensors(tmp_path / "model.safetensors", stored)
    opened = open_checkpoint(tmp_path)
    assert set(opened.tensors) == set(stored)
    for name, value in stored.items():
        read = opened.read(name, value.shape)
        assert read.dtype == np.float32
        if kind == "BF16":
            assert np.array_equal(read.view(np.uint32), value.astype(np.uint32) << 16)
        else:
            assert np.array_equal(read, value.astype(np.float32))


def test_other_libraries_read_the_same(folder: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    expected = safetensors.load_file(folder / "model.safetensors")
    assert {name: value.tobytes() for name, value in read_tensors(folder / "model.safetensors").items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_shards_and_a_single_file_give_the_same_fingerprint(pristine: Path, tmp_path: Path) -> None:
    config, tensors = random_llama()
    write_rest(tmp_path, config)
    names = [sorted(tensors)[i::3] for i in range(3)]
    weight_map = {}
    for i, part in enumerate(names):
        write_tensors(tmp_path / f"model-{i}.safetensors", {name: tensors[name] for name in part})
        weight_map |= dict.fromkeys(part, f"model-{i}.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert load(tmp_path).weights_sha256 == load(pristine).weights_sha256


def test_only_needed_tensors_are_read(pristine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def spy(entry: module.TensorEntry) -> np.ndarray:
        seen.append(entry.name)
        return map_tensor(entry)

    monkeypatch.setattr(module, "map_tensor", spy)
    load(pristine)
    assert seen
    assert not [name for name in seen if "layers.0." in name or "lm_head" in name or "gate" in name]


def _edit_tensors(change: Callable[[Tensors], object]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        tensors = read_tensors(folder / "model.safetensors")
        change(tensors)
        write_tensors(folder / "model.safetensors", tensors)

    return edit


def _truncate(share: float) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / "model.safetensors"
        file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    return edit


def _config(**changes: object) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "config.json", **changes)


def _tokenizer(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "tokenizer.json").write_text(text)


def _fill(value: float) -> Callable[[Tensors], object]:
    return lambda tensors: tensors[Q].reshape(-1)[7:8].fill(value)


def _set(name: str, value: np.ndarray) -> Callable[[Path], None]:
    return _edit_tensors(lambda tensors: tensors.update({name: value}))


def _delete(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _index(weight_map: object, *, move: bool = True) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        if move:
            (folder / "model.safetensors").rename(folder / "part.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))

    return edit


def _raw_header(header: object) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        data = header if isinstance(header, bytes) else json.dumps(header).encode()
        (folder / "model.safetensors").write_bytes(len(data).to_bytes(8, "little") + data + bytes(64))

    return edit


def _pipe(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return edit


BAD = {
    "no config": (_delete("config.json"), "config.json", "missing"),
    "config is a pipe": (_pipe("config.json"), "config.json", "not a file"),
    "weights are a pipe": (_pipe("model.safetensors"), "model.safetensors", "not a file"),
    "config is not JSON": (lambda f: (f / "config.json").write_text("{"), "config.json", "not valid JSON"),
    "config is a list": (lambda f: (f / "config.json").write_text("[]"), "config.json", "not a JSON object"),
    "config with a key twice": (lambda f: (f / "config.json").write_text('{"a":1,"a":2}'), "config.json", "twice"),
    "config nested deeply": (lambda f: (f / "config.json").write_text("[" * 200_000), "config.json", "JSON"),
    "config not UTF-8": (lambda f: (f / "config.json").write_bytes(b'{"a":"\xff"}'), "config.json", "not valid JSON"),
    "huge config": (lambda f: (f / "config.json").write_text('"' + "a" * (2 << 20)), "config.json", "larger than"),
    "unsupported architecture": (_config(architectures=["BertModel"]), "config.json", "field architectures"),
    "no architecture": (_config(architectures=None), "config.json", "field architectures"),
    "quantized release": (_config(quantization_config={"bits": 4}), "config.json", "field quantization_config"),
    "one layer": (_config(num_hidden_layers=1), "config.json", "field num_hidden_layers"),
    "no hidden size": (_config(hidden_size=None), "config.json", "field hidden_size"),
    "hidden size true": (_config(hidden_size=True), "config.json", "field hidden_size"),
    "negative size": (_config(intermediate_size=-4), "config.json", "field intermediate_size"),
    "absurd size": (_config(vocab_size=10**30), "config.json", "field vocab_size"),
    "heads and groups": (_config(num_key_value_heads=3), "config.json", "field num_key_value_heads"),
    "heads and width": (_config(num_attention_heads=6, head_dim=None), "config.json", "field num_attention_heads"),
    "no weights": (_delete("model.safetensors"), "model.safetensors", "missing"),
    "empty weights": (_truncate(0), "model.safetensors", "header: truncated"),
    "truncated header": (_truncate(0.001), "model.safetensors", "header: truncated"),
    "truncated data": (_truncate(0.6), "model.safetensors", "truncated"),
    "header not JSON": (_raw_header(b"{{}}"), "model.safetensors", "not valid JSON"),
    "header entry": (_raw_header({Q: 1}), "model.safetensors", Q),
    "header without type": (_raw_header({Q: {}}), "model.safetensors", "dtype"),
    "header shape": (
        _raw_header({Q: {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}),
        "model.safetensors",
        "shape",
    ),
    "header offsets": (
        _raw_header({Q: {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}),
        "model.safetensors",
        "data_offsets",
    ),
    "wrong shape": (_set(Q, np.zeros((64, 63), np.float32)), "model.safetensors", Q),
    "config of another model": (_config(intermediate_size=97), "model.safetensors", "mlp.up_proj.weight"),
    "NaN": (_edit_tensors(_fill(float("nan"))), "model.safetensors", Q),
    "inf": (_edit_tensors(_fill(float("inf"))), "model.safetensors", Q),
    "integer weights": (_set(Q, np.zeros((64, 64), np.int32)), "model.safetensors", "I32"),
    "missing tensor": (_edit_tensors(lambda tensors: tensors.pop(Q)), "", Q),
    "index without map": (_index(None), "index.json", "field weight_map"),
    "index with path": (_index({Q: "../x.safetensors"}), "index.json", "weight_map"),
    "index with absolute path": (_index({Q: "/etc/x.safetensors"}), "index.json", "weight_map"),
    "index with backslash": (_index({Q: "..\\x.safetensors"}), "index.json", "weight_map"),
    "index with pickle": (_index({Q: "pytorch_model.bin"}), "index.json", "weight_map"),
    "index with number": (_index({Q: 3}), "index.json", "weight_map"),
    "shard missing": (_index({Q: "other.safetensors"}), "other.safetensors", "missing"),
    "tensor not in shard": (_index({"nowhere": "part.safetensors"}), "part.safetensors", "nowhere"),
    "no tokenizer": (_delete("tokenizer.json"), "tokenizer.json", "missing"),
    "tokenizer not JSON": (_tokenizer("x"), "tokenizer.json", "not valid JSON"),
    "tokenizer without model": (_tokenizer("{}"), "tokenizer.json", "field model.vocab"),
    "tokenizer with a list": (_tokenizer('{"model":{"vocab":[["a",0]]}}'), "tokenizer.json", "field model.vocab"),
    "tokenizer with text ids": (_tokenizer('{"model":{"vocab":{"a":"0"}}}'), "tokenizer.json", "field model.vocab"),
    "tokenizer with half a character": (
        _tokenizer('{"model":{"vocab":{"\\ud800":0}}}'),
        "tokenizer.json",
        "field model.vocab",
    ),
    "tokenizer with odd added tokens": (
        _tokenizer('{"model":{"vocab":{"a":0}},"added_tokens":["a"]}'),
        "tokenizer.json",
        "field added_tokens",
    ),
    "small vocabulary": (_tokenizer('{"model":{"vocab":{"a":0,"b":1}}}'), "tokenizer.json", "too small"),
    "all weights zero": (_set(Q, np.zeros((64, 64), np.float32)), "", "layers.1.q"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_names_file_and_field(folder: Path, case: str) -> None:
    edit, file, field = BAD[case]
    edit(folder)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert file in caught.value.message
    assert field in caught.value.message


def test_rows_of_a_tensor(pristine: Path) -> None:
    name, shape = "model.embed_tokens.weight", (600, 64)
    opened = open_checkpoint(pristine)
    rows = (5, 599, 0, 5)
    assert np.array_equal(opened.read(name, shape, rows), opened.read(name, shape)[list(rows)])


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        load(tmp_path / "nowhere")


def test_unsupported_architecture_names_those_supported(folder: Path) -> None:
    edit_json(folder / "config.json", architectures=["BertModel"])
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert "LlamaForCausalLM" in caught.value.hint
    assert "MistralForCausalLM" in caught.value.hint


def test_a_family_that_the_profile_leaves_out_is_refused(folder: Path) -> None:
    rules = type(RULES)(RULES.seed, RULES.g, RULES.k_min, RULES.k_max, families=())
    with pytest.raises(CheckpointError, match="architectures"):
        load(folder, rules)


def test_huge_tokenizer_is_refused_before_parsing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TOKENIZER_BYTES", 100)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json: larger than the limit"):
        load(folder)


def test_sizes_that_do_not_fit_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    write_tensors(file, {"a": np.zeros((3, 4), np.float32)})
    file.write_bytes(file.read_bytes().replace(b"[3, 4]", b"[3, 5]"))
    with pytest.raises(CheckpointError, match="do not fit shape"):
        read_tensor(read_header(file)["a"])


def test_no_message_carries_control_characters(folder: Path) -> None:
    edit_json(folder / "config.json", architectures=["\x1b[31mBad\n" * 1000])
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 1000
