"""Downloads that cannot be read: what is refused, and what the message says to do about it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from circuits.errors import CheckpointError
from tests.prover.small_models import (
    Tensors,
    edit_json,
    load,
    random_llama,
    read_tensors,
    write_llama,
    write_rest,
    write_tensors,
)

Q = "model.layers.1.self_attn.q_proj."


def _sharded(folder: Path, *, listed: int = 3) -> None:
    """Three shards, of which the index names the first `listed`."""
    weights = folder / "model.safetensors"
    tensors = read_tensors(weights)
    weights.unlink()
    names = sorted(tensors)
    weight_map = {}
    for i in range(3):
        part = names[i * len(names) // 3 : (i + 1) * len(names) // 3]
        write_tensors(folder / f"model-0000{i + 1}-of-00003.safetensors", {name: tensors[name] for name in part})
        weight_map |= dict.fromkeys(part if i < listed else [], f"model-0000{i + 1}-of-00003.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def _lost_shard(folder: Path) -> None:
    _sharded(folder)
    (folder / "model-00002-of-00003.safetensors").unlink()


def _lost_index(folder: Path) -> None:
    _sharded(folder)
    (folder / "model.safetensors.index.json").unlink()


def _instead_of_q(**tensors: np.ndarray) -> Callable[[Path], None]:
    """Other tensors in the place of a query projection's weight."""

    def edit(folder: Path) -> None:
        stored: Tensors = read_tensors(folder / "model.safetensors")
        del stored[Q + "weight"]
        stored |= {Q + name.replace("__", "."): value for name, value in tensors.items()}
        write_tensors(folder / "model.safetensors", stored)

    return edit


def _fp8(folder: Path) -> None:
    _instead_of_q(weight=np.ones((64, 64), np.uint8))(folder)
    file = folder / "model.safetensors"
    data = file.read_bytes()
    head = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    head[Q + "weight"]["dtype"] = "F8_E4M3"
    text = json.dumps(head).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + int.from_bytes(data[:8], "little") :])


def _only(name: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(b"GGUF" + bytes(60))

    return edit


def _adapter(folder: Path) -> None:
    (folder / "config.json").rename(folder / "adapter_config.json")


INT32 = np.ones((8, 64), np.int32)
UINT8 = np.ones((2048, 1), np.uint8)
REFUSED: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "shard not downloaded": (_lost_shard, "model-00002-of-00003.safetensors: file is missing", "download every shard"),
    "index lacks a shard": (
        lambda folder: _sharded(folder, listed=2),
        "is missing",
        "model-00003-of-00003.safetensors",
    ),
    "no index": (_lost_index, "model.safetensors.index.json", "there are shards, but the index"),
    "GPTQ or AWQ": (_instead_of_q(qweight=INT32, qzeros=INT32, scales=INT32), Q + "weight", "bf16, f16 or f32"),
    "compressed tensors": (_instead_of_q(weight_packed=INT32), Q + "weight", "bf16, f16 or f32"),
    "bitsandbytes, 8 bit": (
        _instead_of_q(weight=np.ones((64, 64), np.uint8), SCB=np.ones(64, np.float32)),
        "type 'U8' is not supported",
        "bitsandbytes",
    ),
    "bitsandbytes, 4 bit": (
        _instead_of_q(weight=UINT8, weight__absmax=np.ones(64, np.float32)),
        "type 'U8' is not supported",
        "bf16, f16 or f32",
    ),
    "FP8": (_fp8, "type 'F8_E4M3' is not supported", "FP8"),
    "GPTQ, said in the config": (
        lambda folder: edit_json(folder / "config.json", quantization_config={"quant_method": "gptq", "bits": 4}),
        "quantization_config: quantized weights ('gptq')",
        "bf16, f16 or f32",
    ),
    "quantized, said in another way": (
        lambda folder: edit_json(folder / "config.json", compression_config={"format": "pack-quantized"}),
        "quantized weights",
        "bf16, f16 or f32",
    ),
    "folder with a GGUF file": (_only("model-Q4_K_M.gguf"), "model.safetensors: file is missing", "GGUF"),
    "folder with a pickle": (_only("pytorch_model.bin"), "model.safetensors: file is missing", "pickled"),
    "adapter": (_adapter, "an adapter (LoRA)", "merge it"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_say_what_to_do(case: str, tmp_path: Path) -> None:
    edit, text, hint = REFUSED[case]
    edit(write_llama(tmp_path))
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path)
    assert text in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "data", "text", "hint"),
    [
        ("model.gguf", b"GGUF\x03\0\0\0", "a GGUF file", "converted from"),
        ("model.bin", b"GGUF\x03\0\0\0", "a GGUF file", "converted from"),
        ("model.safetensors", bytes(16), "not a directory", "the folder"),
        ("empty", b"", "not a directory", "the folder"),
    ],
)
def test_a_file_instead_of_a_folder(name: str, data: bytes, text: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=text) as caught:
        load(tmp_path / name)
    assert hint in caught.value.hint


def test_all_shards_and_the_index_are_read(tmp_path: Path) -> None:
    expected = load(write_llama(tmp_path)).weights_sha256
    _sharded(tmp_path)
    assert load(tmp_path).weights_sha256 == expected


def test_masks_and_frequencies_beside_the_weights_do_not_matter(tmp_path: Path) -> None:
    """Old checkpoints store them; a bool mask is no quantized weight, and no parameter of PCS."""
    from prover.checkpoint.tensors import open_checkpoint
    from prover.similarity.metrics import pcs

    config, tensors = random_llama()
    write_rest(tmp_path, config)
    write_tensors(tmp_path / "model.safetensors", tensors)
    expected = load(tmp_path).weights_sha256, pcs(*[open_checkpoint(tmp_path)] * 2).count
    tensors["model.layers.1.self_attn.rotary_emb.inv_freq"] = np.ones(8, np.float32)
    tensors["model.layers.1.self_attn.bias"] = np.ones((1, 1, 32, 32), np.uint8)
    tensors["model.layers.1.self_attn.mask"] = np.ones((1, 1, 32, 32), np.float32)
    write_tensors(tmp_path / "model.safetensors", tensors)
    assert (load(tmp_path).weights_sha256, pcs(*[open_checkpoint(tmp_path)] * 2).count) == expected
