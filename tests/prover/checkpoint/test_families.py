"""Families: every role is cut out of the right tensor, names and refusals."""

import json
from pathlib import Path

import numpy as np
import pytest

from circuits import publish
from circuits.errors import CheckpointError
from prover.checkpoint.config import parse_config
from prover.checkpoint.families import FAMILIES, FAMILY_NAMES, LLAMA, ROLES, Shape, family_of, supported_architectures
from prover.checkpoint.family import Family
from prover.checkpoint.folding import map_source, read_matrices, read_matrix
from prover.checkpoint.tensors import open_checkpoint
from tests.prover.small_models import edit_json, load, tokenizer_document

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file  # noqa: E402

from fpm.evidence.layouts import unpack  # noqa: E402
from tests.prover.checkpoint.family_models import HEADS, KINDS, WIDTH, config_json, new_model, save  # noqa: E402
from verifier.statement.statement import Model  # noqa: E402


@pytest.mark.parametrize("name", KINDS)
def test_every_role_is_cut_out_of_the_right_tensor(name: str, tmp_path: Path) -> None:
    """Against the tests' own table, whose slices the forward passes of test_family_invariance.py check."""
    kind = KINDS[name]
    save(kind, new_model(kind), tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    shape, layout = checkpoint.shape, kind.disk or kind.layout
    parts = unpack(load_file(tmp_path / "model.safetensors"), layout, kind.sizes)
    assert shape.layers == (1, 2)
    assert (checkpoint.family.gate is not None) == (kind.free.act == "gated")
    for layer in shape.layers:
        for role in (*ROLES, *(["gate"] if checkpoint.family.gate else [])):
            expected = parts["layers"][layer][role].reshape(-1, WIDTH).numpy()
            assert np.array_equal(map_source(checkpoint, layer, role, checkpoint.family.roles[role]), expected)
    for matrix, matrix_name in zip(read_matrices(checkpoint, tuple(range(1, 33))), shape.matrix_names(), strict=True):
        assert matrix.name == matrix_name
        role = matrix_name.rsplit(".", 1)[-1]
        assert matrix.full().shape == (32 if role == "embedding" else shape.rows(role), shape.hidden_size)
        if checkpoint.family.centred and role not in ("q", "k"):
            assert np.abs(matrix.full().mean(axis=1)).max() < 1e-12


@pytest.mark.parametrize("name", KINDS)
def test_the_verifier_counts_the_same_rows(name: str) -> None:
    """The statement's `model` object is all that the verifier has to know about a family."""
    kind = KINDS[name]
    shape = parse_config(config_json(kind), Path("config.json"))[1]
    assert (shape.heads, shape.kv_heads, shape.head_dim) == (HEADS, kind.kv_heads, kind.head_dim)
    stated = Model(**{**shape.as_statement(), "layers": shape.layers})
    assert [stated.rows(role) for role in ROLES] == [shape.rows(role) for role in ROLES]
    assert tuple(stated.term_rows(t) for t in range(6)) == shape.term_rows


def test_families_have_names_and_architectures_of_their_own() -> None:
    assert family_of("MistralForCausalLM") is LLAMA
    assert family_of("Nothing") is None
    assert supported_architectures((LLAMA,)) == ("LlamaForCausalLM", "MistralForCausalLM")
    owner: dict[str, str] = {}
    for family in FAMILIES:
        for architecture in family.architectures:
            assert owner.setdefault(architecture, family.name) == family.name
    assert supported_architectures() == tuple(sorted(owner))
    assert FAMILY_NAMES[0] == "llama"
    assert set(FAMILY_NAMES) == set(owner.values())


def test_every_row_of_the_table_has_a_model_in_the_tests() -> None:
    read = [parse_config(config_json(kind), Path("config.json"))[0] for kind in KINDS.values()]
    rare = ("falcon", "stablelm")  # some combinations of switches that are tested one by one
    assert not [row for row in FAMILIES if row not in read and row.name not in rare]


def test_norm_plus_one_adds_one() -> None:
    plus_one = Family("x", ("X",), "e", LLAMA.roles, "a", "f", norm="rms_plus_one")
    assert plus_one.column_scale(np.array([0.0, -0.5], np.float32)).tolist() == [1.0, 0.5]
    assert LLAMA.column_scale(np.array([0.0, -0.5], np.float32)).tolist() == [0.0, -0.5]


def test_matrix_names_and_order() -> None:
    shape = Shape("llama", 8, 4, 2, 2, 12, 6, (4, 5), 100)
    names = shape.matrix_names()
    assert names[0] == "embedding"
    for l_index, i in enumerate((4, 5)):
        for r_index, role in enumerate(ROLES):
            assert names[1 + 6 * l_index + r_index] == f"layers.{i}.{role}"


# ---------------------------------------- names and configs as they are published


@pytest.mark.parametrize(
    ("name", "prefix", "stored"), [("gpt2", "transformer.", ""), ("opt", "model.decoder.", "decoder.")]
)
def test_checkpoints_of_the_base_model_are_read(name: str, prefix: str, stored: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    save(kind, new_model(kind), tmp_path)
    expected = load(tmp_path).weights_sha256
    state = load_file(tmp_path / "model.safetensors")
    save_file({stored + name.removeprefix(prefix): value for name, value in state.items()}, tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / "model.safetensors")
    assert load(tmp_path).weights_sha256 == expected


def test_gemma3_with_pictures_has_the_fingerprint_of_its_language_model(tmp_path: Path) -> None:
    kind = KINDS["gemma3"]
    save(kind, new_model(kind), tmp_path / "text")
    text = transformers.Gemma3TextConfig(**kind.arguments)
    pictures = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    whole = transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(text_config=text, vision_config=pictures, mm_tokens_per_image=4)
    )
    whole.model.language_model.load_state_dict(new_model(kind).model.state_dict())
    whole.save_pretrained(tmp_path / "whole")
    (tmp_path / "whole" / "tokenizer.json").write_text(json.dumps(tokenizer_document()))
    assert load(tmp_path / "whole").weights_sha256 == load(tmp_path / "text").weights_sha256


def test_sizes_that_a_config_leaves_out() -> None:
    gpt2 = {"architectures": ["GPT2LMHeadModel"], "n_embd": 64, "n_head": 4, "n_layer": 2, "vocab_size": 9}
    assert parse_config({**gpt2, "n_inner": None}, Path("c"))[1].intermediate_size == 256
    assert parse_config({**gpt2, "n_inner": 100}, Path("c"))[1].intermediate_size == 100
    bloom = {"architectures": ["BloomForCausalLM"], "n_embed": 64, "num_attention_heads": 4, "n_layer": 2}
    assert parse_config({**bloom, "vocab_size": 9}, Path("c"))[1].as_statement() == {
        "family": "bloom",
        "hidden_size": 64,
        "heads": 4,
        "kv_heads": 4,
        "head_dim": 16,
        "intermediate_size": 256,
        "num_layers": 2,
        "layers": [0, 1],
        "vocab_size": 9,
    }
    gemma3 = {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}  # as published, 4B
    shape = parse_config({"architectures": ["Gemma3ForConditionalGeneration"], "text_config": gemma3}, Path("c"))[1]
    assert (shape.heads, shape.kv_heads, shape.head_dim, shape.vocab_size) == (8, 4, 256, 262_208)
    mpt = {"architectures": ["MptForCausalLM"], "d_model": 64, "n_heads": 4, "n_layers": 2, "vocab_size": 9}
    assert parse_config({**mpt, "expansion_ratio": 3}, Path("c"))[1].intermediate_size == 192


REFUSED = {
    "Mixtral": ({"architectures": ["MixtralForCausalLM"]}, "architectures", "mixture of experts"),
    "Qwen2-MoE": ({"architectures": ["Qwen2MoeForCausalLM"]}, "architectures", "mixture of experts"),
    "Qwen3-MoE": ({"architectures": ["Qwen3MoeForCausalLM"]}, "architectures", "mixture of experts"),
    "DeepSeek": ({"architectures": ["DeepseekV3ForCausalLM"]}, "architectures", "latent attention"),
    "unknown with experts": ({"architectures": ["NewForCausalLM"], "num_experts": 8}, "architectures", "experts"),
    "unknown with latents": ({"architectures": ["NewForCausalLM"], "kv_lora_rank": 8}, "architectures", "latent"),
    "Mamba": ({"architectures": ["MambaForCausalLM"]}, "architectures", "without attention"),
    "T5": ({"architectures": ["T5ForConditionalGeneration"]}, "architectures", "encoder-decoder"),
    "GPT-2 with an encoder": ({"architectures": ["GPT2LMHeadModel"], "add_cross_attention": True}, "add_cross", "term"),
    "OPT-350m, norm": ({"architectures": ["OPTForCausalLM"], "do_layer_norm_before": False}, "do_layer_norm", "350m"),
    "OPT-350m, width": (
        {"architectures": ["OPTForCausalLM"], "word_embed_proj_dim": 512, "hidden_size": 1024},
        "word_embed_proj_dim",
        "another width",
    ),
    "BLOOM with another residual": (
        {"architectures": ["BloomForCausalLM"], "apply_residual_connection_post_layernorm": True},
        "apply_residual",
        "stream",
    ),
    "MPT with normed queries": (
        {"architectures": ["MptForCausalLM"], "attn_config": {"qk_ln": True}},
        "attn_config.qk_ln",
        "norms of queries",
    ),
    "MPT with shared keys": (
        {"architectures": ["MptForCausalLM"], "attn_config": {"attn_type": "multiquery_attention"}},
        "attn_config.attn_type",
        "share keys",
    ),
    "first ChatGLM": ({"architectures": ["ChatGLMModel"], "num_layers": 28}, "multi_query_attention", "packs"),
    "quantized by GPTQ": (
        {"architectures": ["LlamaForCausalLM"], "quantization_config": {"quant_method": "gptq"}},
        "'gptq'",
        "bf16",
    ),
    "two sizes": ({"architectures": ["BloomForCausalLM"], "n_embed": 64, "hidden_size": 32}, "two values", ""),
    "no text_config": ({"architectures": ["Gemma3ForConditionalGeneration"]}, "text_config", ""),
    "size in text_config": (
        {"architectures": ["Gemma3ForConditionalGeneration"], "text_config": {"hidden_size": "x"}},
        "text_config.hidden_size",
        "",
    ),
    "factor": (
        {"architectures": ["MptForCausalLM"], "d_model": 4, "n_heads": 2, "n_layers": 2, "expansion_ratio": 1 << 23},
        "expansion_ratio",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_field_and_the_reason(case: str) -> None:
    config, field, reason = REFUSED[case]
    with pytest.raises(CheckpointError) as caught:
        parse_config(config, Path("config.json"))
    assert field in caught.value.message
    assert reason in caught.value.hint


def test_a_family_outside_the_profile_is_said_to_be_known() -> None:
    config = {"architectures": ["GPT2LMHeadModel"]}
    with pytest.raises(CheckpointError) as caught:
        parse_config(config, Path("config.json"), (LLAMA,))
    assert "family gpt2 can be compared" in caught.value.hint


def test_opt_350m_itself_is_refused(tmp_path: Path) -> None:
    config = transformers.OPTConfig(
        **{**KINDS["opt"].arguments, "word_embed_proj_dim": 16, "do_layer_norm_before": False}
    )
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="do_layer_norm_before: False is not supported"):
        open_checkpoint(tmp_path)
    edit_json(tmp_path / "config.json", do_layer_norm_before=True)
    with pytest.raises(CheckpointError, match="word_embed_proj_dim: 16 is not supported"):
        open_checkpoint(tmp_path)


def test_a_head_norm_that_is_missing_is_named(tmp_path: Path) -> None:
    kind = KINDS["qwen3"]
    save(kind, new_model(kind), tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    del state["model.layers.2.self_attn.k_norm.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.layers\.2\.self_attn\.k_norm\.weight"):
        read_matrix(open_checkpoint(tmp_path), 2, "k")


def test_profiles_admit_every_family_that_is_read() -> None:
    assert set(publish.FAMILIES) == set(FAMILY_NAMES)
