"""Checkpoints that transformers loads with other weights than those read here: step 11 and the prover refuse them.

Somebody who opens commitments may try the same folder out. What is tried must be what was opened.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits.errors import CheckpointError
from prover.cli import huref
from tests.prover.small_models import SIZES, edit_json, load, random_llama, read_tensors, write_rest, write_tensors
from verifier.formats.errors import BadOpening
from verifier.opening.checkpoint import Tensors
from verifier.opening.folding import quantized_matrices
from verifier.opening.model_config import read_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Q = "model.layers.2.self_attn.q_proj.weight"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    config, tensors = random_llama()
    write_rest(tmp_path / "model", {"model_type": "llama", **config})
    write_tensors(tmp_path / "model" / "model.safetensors", tensors)
    return tmp_path / "model"


def step_11_reads(folder: Path) -> dict[str, np.ndarray]:
    """The matrices that step 11 commits again."""
    family, description = read_model(folder)
    return dict(quantized_matrices(Tensors(folder), family, description, tuple(range(1, 129))))


def transformers_runs(folder: Path) -> np.ndarray:
    """Logits of one short text, by what `from_pretrained` makes of the folder."""
    loaded = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        return loaded(torch.arange(1, 9)[None]).logits.numpy()


def under_another_name(folder: Path) -> None:
    file = folder / "model.safetensors"
    tensors = read_tensors(file)
    write_tensors(file, tensors | {Q.removeprefix("model."): -tensors[Q]})


def shards(folder: Path, second: str) -> None:
    """Two shards that both hold q; the index names the first one's, and that of `second` in the second."""
    file = folder / "model.safetensors"
    tensors = read_tensors(file)
    write_tensors(folder / "a.safetensors", {n: t for n, t in tensors.items() if n != second})
    write_tensors(folder / "b.safetensors", {second: tensors[second]} | ({Q: -tensors[Q]} if second != Q else {}))
    weight_map = {name: "b.safetensors" if name == second else "a.safetensors" for name in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    file.unlink()


def named_in_the_config(folder: Path) -> None:
    tensors = read_tensors(folder / "model.safetensors")
    write_tensors(folder / "other.safetensors", tensors | {Q: -tensors[Q]})
    edit_json(folder / "config.json", transformers_weights="other.safetensors")


def of_another_type(folder: Path) -> None:
    """A Llama by its class, a Gemma by its type: there a norm's factor is 1 + weight."""
    edit_json(folder / "config.json", model_type="gemma", head_dim=16)


def adapter(folder: Path) -> None:
    """A LoRA adapter as peft saves one, beside the weights."""
    pytest.importorskip("peft")
    d, random = SIZES["hidden_size"], np.random.default_rng(1)
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 1, "lora_alpha": 1, "target_modules": ["q_proj"]}
        )
    )
    name = f"base_model.model.{Q.removesuffix('.weight')}.lora_"
    ab = {f"{name}A.weight": (1, d), f"{name}B.weight": (d, 1)}
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in ab.items()}
    write_tensors(folder / "adapter_model.safetensors", tensors)


def distributed(folder: Path) -> None:
    """A shard of a distributed checkpoint, with q alone. Of two tensors the one in the file listed last is loaded."""
    weights = folder / "model.safetensors"
    q = {Q: -read_tensors(weights)[Q]}
    for number in range(1, 100):
        shard = folder / f"shard-{number:05}-model-00001-of-00001.safetensors"
        write_tensors(shard, q)
        for _ in range(2):
            if [file for file in folder.iterdir() if file in (weights, shard)][1] == shard:
                return
            weights.write_bytes(weights.rename(folder / "moved").read_bytes())  # where the order is that of writing
            (folder / "moved").unlink()
        shard.unlink()
    pytest.fail("no shard is listed behind model.safetensors")


OTHERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a tensor under another name": (under_another_name, "is there (under another name|as .*) too"),
    "a tensor in two shards": (lambda folder: shards(folder, "model.norm.weight"), "not one that the index says"),
    "another file, named in config.json": (named_in_the_config, "transformers_weights"),
    "another type of model, named in config.json": (of_another_type, "model_type: 'gemma'"),
    "an adapter beside the weights": (adapter, "an adapter .*beside the weights"),
    "a distributed checkpoint beside the weights": (distributed, "a distributed checkpoint beside"),
}
FILES = {
    "a tensor in two shards": "b.safetensors",
    "another file, named in config.json": "config.json",
    "another type of model, named in config.json": "config.json",
    "an adapter beside the weights": "adapter_config.json",
    "a distributed checkpoint beside the weights": "shard-",
}
"""What the prover's message names, where that is not model.safetensors."""


@pytest.mark.parametrize("what", OTHERS)
def test_a_folder_that_transformers_loads_otherwise_is_refused(model: Path, what: str) -> None:
    spoil, words = OTHERS[what]
    honest = transformers_runs(model)
    step_11_reads(model)
    spoil(model)
    assert not np.allclose(transformers_runs(model), honest, rtol=1e-3)  # the attack is real
    with pytest.raises(BadOpening, match=words):
        step_11_reads(model)
    with pytest.raises(CheckpointError, match=words) as refused:  # nor is it proven
        load(model)
    assert refused.value.message.startswith(str(model / FILES.get(what, "model.safetensors")))
    assert refused.value.hint
    out = model.parent / "out"
    result = CliRunner().invoke(huref, ["prove", str(model), "-o", str(out)])
    assert result.exit_code == 2, result.output
    assert refused.value.message in result.output
    assert not out.exists()


def test_honest_shards_are_read(model: Path) -> None:
    honest, runs = step_11_reads(model), transformers_runs(model)
    shards(model, Q)
    assert all((again == honest[name]).all() for name, again in step_11_reads(model).items())
    assert (transformers_runs(model) == runs).all()


@pytest.mark.parametrize("front", ["vision_tower.vision_model.encoder.", "draft."])
def test_another_part_with_the_same_layers_is_not_another_name(model: Path, front: str) -> None:
    tensors = read_tensors(model / "model.safetensors")
    write_tensors(model / "model.safetensors", tensors | {front + Q.removeprefix("model."): tensors[Q]})
    step_11_reads(model)
    load(model)
