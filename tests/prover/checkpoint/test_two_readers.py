"""Prover and verifier read every family by code of their own: their 13 quantized matrices are the same bytes."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.prover.small_models import RULES, VOCAB, load, read_tensors, write_rest, write_tensors

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from circuits.errors import CheckpointError  # noqa: E402
from tests.prover.checkpoint.family_models import KINDS, new_model, save, save_changed  # noqa: E402
from verifier.formats.errors import BadOpening  # noqa: E402
from verifier.opening import folding  # noqa: E402
from verifier.opening.checkpoint import Tensors, read_tokens  # noqa: E402
from verifier.opening.families import FAMILIES, Family, HeadNorm  # noqa: E402
from verifier.opening.folding import quantized_matrices  # noqa: E402
from verifier.opening.model_config import read_model  # noqa: E402


def verifier_digest(folder: Path) -> bytes:
    """weights_sha256 of docs/protocol.md section 7, by the verifier's reading."""
    family, model = read_model(folder)
    tokens = read_tokens(folder, model.vocab_size, RULES.g, RULES.k_max)
    digest, names = hashlib.sha256(), []
    for name, matrix in quantized_matrices(Tensors(folder), family, model, tokens.ids):
        label = name.encode()
        digest.update(len(label).to_bytes(4, "big") + label)
        digest.update(matrix.shape[0].to_bytes(4, "big") + matrix.shape[1].to_bytes(4, "big") + matrix.tobytes())
        names.append(name)
    assert len(names) == 13
    return digest.digest()


@pytest.mark.parametrize("changed", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize("name", KINDS)
def test_the_same_bytes(name: str, changed: bool, tmp_path: Path) -> None:
    kind = KINDS[name]
    if changed:
        save_changed(kind, new_model(kind, seed=3), tmp_path)
    else:
        save(kind, new_model(kind), tmp_path)
    by_prover = load(tmp_path)
    family, model = read_model(tmp_path)
    assert {**vars(model), "layers": list(model.layers)} == by_prover.shape.as_statement()
    assert family.name == model.family == by_prover.shape.family
    assert verifier_digest(tmp_path) == by_prover.weights_sha256


def weights(folder: Path) -> Path:
    return folder / "model.safetensors"


def tensors_that_count(name: str) -> set[str]:
    """By the tests' own table: layers 1 and 2 of three, biases and gates of their own left out."""
    layout = KINDS[name].disk or KINDS[name].layout
    at = {layout.embed, layout.embed_norm}
    for i in (1, 2):
        parts = [*layout.qkv, layout.o, layout.up, layout.down, *layout.norms, *layout.post]
        for norm, heads in zip(layout.head_norms, (KINDS[name].sizes.heads, KINDS[name].kv_heads), strict=True):
            each = layout.norm_style == "each" and norm
            parts += [f"{norm}.norms.{h}" for h in range(heads)] if each else [norm]
        at |= {layout.layer.format(i) + part for part in parts if part}
    return {f"{place}.weight" for place in at if place}


@pytest.mark.parametrize("name", [name for name in KINDS if "equal" not in name])
def test_every_tensor_that_counts_moves_the_digest_and_no_other(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    save(kind, new_model(kind), tmp_path)
    tensors, before = read_tensors(weights(tmp_path)), verifier_digest(tmp_path)
    counting = tensors_that_count(name)
    assert counting <= set(tensors)
    for tensor, stored in tensors.items():
        changed = stored.copy()
        if changed.ndim == 2 and len(changed) != VOCAB:
            changed[-1, : changed.shape[1] // 2] *= -3.0  # the last row: of a packed tensor that is v, or up
        else:
            changed[..., 0] *= -3.0
        write_tensors(weights(tmp_path), {**tensors, tensor: changed})
        assert (verifier_digest(tmp_path) != before) == (tensor in counting), tensor


GATED_TOGETHER = ("phi3", "glm", "chatglm")


@pytest.mark.parametrize("name", GATED_TOGETHER)
def test_the_gate_above_up_is_not_read(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    save(kind, new_model(kind), tmp_path)
    before, tensors = verifier_digest(tmp_path), read_tensors(weights(tmp_path))
    packed = next(
        tensor for tensor in tensors if "layers.2." in tensor and ("gate_up" in tensor or "h_to_4h" in tensor)
    )
    tensors[packed][: len(tensors[packed]) // 2] = 7.0
    write_tensors(weights(tmp_path), tensors)
    assert verifier_digest(tmp_path) == before == load(tmp_path).weights_sha256


# ---------------------------------------- the same bytes, however stored


@pytest.mark.parametrize("name", [name for name in KINDS if "equal" not in name])
def test_blocks_do_not_show(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large matrices are folded block by block."""
    save(KINDS[name], new_model(KINDS[name]), tmp_path)
    before = verifier_digest(tmp_path)
    monkeypatch.setattr(folding, "_BLOCK", 700)  # not a whole number of heads
    assert verifier_digest(tmp_path) == before


@pytest.mark.parametrize("name", [name for name in KINDS if "equal" not in name])
def test_stored_types(name: str, tmp_path: Path) -> None:
    """BF16 (as uint16), F16 and F32 in one checkpoint, in three ways."""
    save(KINDS[name], new_model(KINDS[name]), tmp_path)
    tensors = read_tensors(weights(tmp_path))
    for shift in range(3):
        mixed = {}
        for number, (tensor, stored) in enumerate(tensors.items(), start=shift):
            bf16 = (stored.view(np.uint32) >> 16).astype(np.uint16)
            mixed[tensor] = (stored, stored.astype(np.float16), bf16)[number % 3]
        write_tensors(weights(tmp_path), mixed)
        assert verifier_digest(tmp_path) == load(tmp_path).weights_sha256


ZEROS = {
    "a query head": ("qwen3", "layers.1.self_attn.q_proj", slice(16, 32)),
    "a key head": ("gemma3", "layers.2.self_attn.k_proj", slice(0, 16)),
    "a key head behind LayerNorm": ("stablelm, parallel, q and k normed", "layers.1.self_attn.k_proj", slice(0, 8)),
    "a head of equal rows": ("stablelm, parallel, q and k normed", "layers.2.self_attn.q_proj", slice(8, 16)),
    "embeddings behind LayerNorm": ("bloom", "word_embeddings.weight", slice(0, 500)),
    "embeddings": ("opt", "embed_tokens", slice(0, 500)),
    "a value head in a packed tensor": ("gpt_neox", "layers.2.attention.query_key_value", slice(16, 24)),
}


@pytest.mark.parametrize("what", ZEROS)
def test_rows_without_a_size(what: str, tmp_path: Path) -> None:
    """Lengths that are 0 become 1."""
    name, tensor, rows = ZEROS[what]
    save(KINDS[name], new_model(KINDS[name]), tmp_path)
    tensors = read_tensors(weights(tmp_path))
    (full,) = [one for one in tensors if tensor in one and one.endswith("weight")]
    tensors[full][rows] = tensors[full][rows][:1] if "equal" in what else 0.0
    write_tensors(weights(tmp_path), tensors)
    assert verifier_digest(tmp_path) == load(tmp_path).weights_sha256


PREFIXES = {
    "gpt2": ("transformer.", ""),
    "gptj": ("transformer.", ""),
    "bloom": ("transformer.", ""),
    "opt": ("model.decoder.", "decoder."),
    "gemma3 with pictures": ("language_model.model.", "model.language_model."),
}


@pytest.mark.parametrize("name", PREFIXES)
def test_other_prefixes(name: str, tmp_path: Path) -> None:
    first, second = PREFIXES[name]
    save(KINDS[name], new_model(KINDS[name]), tmp_path)
    before, tensors = verifier_digest(tmp_path), read_tensors(weights(tmp_path))
    moved = {second + tensor.removeprefix(first): stored for tensor, stored in tensors.items()}
    write_tensors(weights(tmp_path), moved)
    assert verifier_digest(tmp_path) == before == load(tmp_path).weights_sha256
    # both at once: transformers may load the one or the other, so it is neither proven nor opened
    write_tensors(weights(tmp_path), {tensor: stored[::-1].copy() for tensor, stored in moved.items()} | tensors)
    with pytest.raises(CheckpointError, match="is there as"):
        load(tmp_path)
    with pytest.raises(BadOpening, match="under another name too"):
        verifier_digest(tmp_path)


def test_a_prefix_of_another_class_is_read_by_neither(tmp_path: Path) -> None:
    """Gemma 3 with pictures has its language model inside: a bundle of names without that could not be opened."""
    kind = KINDS["gemma3 with pictures"]
    save(kind, new_model(kind), tmp_path)
    tensors = read_tensors(weights(tmp_path))
    write_tensors(weights(tmp_path), {name.removeprefix("language_model."): one for name, one in tensors.items()})
    with pytest.raises(CheckpointError, match=r"tensor 'language_model.model.embed_tokens.weight' is missing"):
        load(tmp_path)
    with pytest.raises(BadOpening, match=r"tensor language_model.model.embed_tokens.weight is"):
        verifier_digest(tmp_path)


def test_shards(tmp_path: Path) -> None:
    kind = KINDS["gemma2"]
    save(kind, new_model(kind), tmp_path)
    before, tensors = verifier_digest(tmp_path), read_tensors(weights(tmp_path))
    weights(tmp_path).unlink()
    for number in (0, 1):
        part = {tensor: stored for i, (tensor, stored) in enumerate(tensors.items()) if i % 2 == number}
        write_tensors(tmp_path / f"part{number}.safetensors", part)
    shards = {tensor: f"part{i % 2}.safetensors" for i, tensor in enumerate(tensors)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert verifier_digest(tmp_path) == before == load(tmp_path).weights_sha256


# ---------------------------------------- sizes whose halves are odd


def odd_sized(row: Family, folder: Path) -> None:
    """A random checkpoint of d = 42, 6 heads of 7 and 2 key/value heads where there may be fewer, 45 neurons."""
    keys, d, heads, head_dim, ffn = row.sizes, 42, 6, 7, 45
    kv_heads = 2 if keys.kv_heads else heads
    values = {
        keys.hidden_size: d,
        keys.heads: heads,
        keys.kv_heads: kv_heads,
        keys.head_dim: head_dim,
        keys.intermediate_size: ffn,
        keys.num_layers: 2,
        keys.vocab_size: VOCAB,
    }
    fields: dict[str, object] = {names[0]: value for names, value in values.items() if names}
    fields |= {switch.key: switch.needed for switch in row.switches if "." not in switch.key}
    if row.name == "falcon":  # parallel_attn: false; its two other kinds have other norms only
        kv_heads = heads
        fields |= {"multi_query": False, "parallel_attn": False}
    if not keys.intermediate_size:
        ffn = 4 * d
    head_norm = row.head_norm
    if row.name == "stablelm":
        head_norm, row = HeadNorm.EACH_HEAD, replace(row, head_norms=("self_attn.q_layernorm", "self_attn.k_layernorm"))
        fields["qk_layernorm"] = True
    q, kv = heads * head_dim, kv_heads * head_dim
    shapes: dict[str, tuple[int, ...]] = {row.embedding: (VOCAB, d)}
    if row.embedding_norm is not None:
        shapes[row.embedding_norm] = (d,)
    for layer in (row.layer.format(i) for i in range(2)):
        rows = [q, kv, kv] if len(row.qkv) == 3 else [q + 2 * kv]
        linear = {layer + name: count for name, count in zip(row.qkv, rows, strict=True)}
        linear[layer + row.up] = 2 * ffn if row.gate_above_up else ffn
        shapes |= {name: (d, count) if row.conv1d else (count, d) for name, count in linear.items()}
        for name, count in ((row.o, q), (row.down, ffn)):
            shapes[layer + name] = (count, d) if row.conv1d else (d, count)
        norms = (row.attention_norm, row.ffn_norm, row.o_norm, row.down_norm)
        shapes |= {layer + norm: (d,) for norm in norms if norm is not None}
        for norm, count in zip(row.head_norms, (heads, kv_heads), strict=False):
            if head_norm is HeadNorm.EACH_HEAD:
                shapes |= {f"{layer}{norm}.norms.{h}": (head_dim,) for h in range(count)}
            else:
                shapes[layer + norm] = (head_dim if head_norm is HeadNorm.EVERY_HEAD else count * head_dim,)
    random = np.random.default_rng(7)
    tensors = {f"{row.prefixes[0]}{name}.weight": random.normal(0.3, 1, shape) for name, shape in shapes.items()}
    config = {row.inside: fields} if row.inside else fields
    write_rest(folder, {"architectures": [row.classes[0]], **config})
    write_tensors(weights(folder), {name: array.astype(np.float32) for name, array in tensors.items()})


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row.classes[0])
def test_odd_sizes(row: Family, tmp_path: Path) -> None:
    """Sums by halving with something left over, three query heads to a key head."""
    odd_sized(row, tmp_path)
    assert verifier_digest(tmp_path) == load(tmp_path).weights_sha256
