"""config.json by docs/families.md: sizes as published, defaults, switches, refusals; and the tables of that page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verifier.formats.errors import BadOpening
from verifier.opening.families import FAMILIES, Family, HeadNorm, Packing
from verifier.opening.model_config import describe
from verifier.statement.statement import Model

PAGE = Path(__file__).resolve().parents[3] / "docs" / "families.md"


def read(architecture: str, **fields: object) -> tuple[Family, Model]:
    return describe({"architectures": [architecture], **fields}, Path("config.json"))


def sizes(model: Model) -> tuple[int, ...]:
    return (
        model.hidden_size,
        model.heads,
        model.kv_heads,
        model.head_dim,
        model.intermediate_size,
        model.num_layers,
        model.vocab_size,
    )


# ---------------------------------------- sizes


def llama(d: int, heads: int, ffn: int, layers: int, vocab: int, **more: object) -> dict[str, object]:
    return {
        "hidden_size": d,
        "num_attention_heads": heads,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "vocab_size": vocab,
        **more,
    }


GPT2 = {"n_embd": 768, "n_head": 12, "n_layer": 12, "vocab_size": 50257}
FALCON = {"hidden_size": 4544, "num_attention_heads": 71, "num_hidden_layers": 32, "vocab_size": 65024}
PUBLISHED = {
    "Llama-2-7B": ("LlamaForCausalLM", llama(4096, 32, 11008, 32, 32000), (4096, 32, 32, 128, 11008, 32, 32000)),
    "Mistral-Nemo": (
        "MistralForCausalLM",
        llama(5120, 32, 14336, 40, 131072, num_key_value_heads=8, head_dim=128),
        (5120, 32, 8, 128, 14336, 40, 131072),
    ),
    "Gemma-2B": (
        "GemmaForCausalLM",
        llama(2048, 8, 16384, 18, 256000, num_key_value_heads=1),
        (2048, 8, 1, 256, 16384, 18, 256000),
    ),
    "Gemma-3-4B": (
        "Gemma3ForConditionalGeneration",
        {"text_config": {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34}},
        (2560, 8, 4, 256, 10240, 34, 262208),
    ),
    "Qwen3": (
        "Qwen3ForCausalLM",
        llama(1024, 16, 3072, 28, 151936, num_key_value_heads=8, head_dim=None),
        (1024, 16, 8, 128, 3072, 28, 151936),
    ),
    "GPT-2": ("GPT2LMHeadModel", {**GPT2, "n_inner": None}, (768, 12, 12, 64, 3072, 12, 50257)),
    "BLOOM-560m": (
        "BloomForCausalLM",
        {"n_embed": 1024, "num_attention_heads": 16, "n_layer": 24, "vocab_size": 250880},
        (1024, 16, 16, 64, 4096, 24, 250880),
    ),
    "Falcon-7B, whose num_kv_heads is not used": (
        "FalconForCausalLM",
        {**FALCON, "num_kv_heads": 71, "multi_query": True, "new_decoder_architecture": False},
        (4544, 71, 1, 64, 18176, 32, 65024),
    ),
    "Falcon of the new kind": (
        "FalconForCausalLM",
        {
            **FALCON,
            "hidden_size": 8192,
            "num_attention_heads": 128,
            "num_kv_heads": 8,
            "new_decoder_architecture": True,
        },
        (8192, 128, 8, 64, 32768, 32, 65024),
    ),
    "Falcon-RW": (
        "FalconForCausalLM",
        {**FALCON, "hidden_size": 2048, "num_attention_heads": 32, "multi_query": False, "parallel_attn": False},
        (2048, 32, 32, 64, 8192, 32, 65024),
    ),
    "MPT-7B": (
        "MPTForCausalLM",
        {"d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50432, "expansion_ratio": 4},
        (4096, 32, 32, 128, 16384, 32, 50432),
    ),
    "OPT-125m": (
        "OPTForCausalLM",
        {**llama(768, 12, 1, 12, 50272), "ffn_dim": 3072, "word_embed_proj_dim": 768, "do_layer_norm_before": True},
        (768, 12, 12, 64, 3072, 12, 50272),
    ),
    "ChatGLM3-6B": (
        "ChatGLMModel",
        {
            "hidden_size": 4096,
            "num_attention_heads": 32,
            "multi_query_attention": True,
            "multi_query_group_num": 2,
            "kv_channels": 128,
            "ffn_hidden_size": 13696,
            "num_layers": 28,
            "padded_vocab_size": 65024,
        },
        (4096, 32, 2, 128, 13696, 28, 65024),
    ),
    "Baichuan2-13B": (
        "BaichuanForCausalLM",
        llama(5120, 40, 13696, 40, 125696),
        (5120, 40, 40, 128, 13696, 40, 125696),
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_as_published(name):
    architecture, fields, expected = PUBLISHED[name]
    assert sizes(read(architecture, **fields)[1]) == expected


# ---------------------------------------- switches


@pytest.mark.parametrize(
    ("fields", "norms"),
    [
        ({}, ("input_layernorm", "input_layernorm")),
        ({"parallel_attn": False}, ("input_layernorm", "post_attention_layernorm")),
        ({"new_decoder_architecture": True}, ("ln_attn", "ln_mlp")),
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": None}, ("ln_attn", "ln_mlp")),
        ({"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1}, ("input_layernorm", "input_layernorm")),
    ],
)
def test_norms_of_falcons(fields, norms):
    family = read("FalconForCausalLM", **FALCON, **fields)[0]
    assert (family.attention_norm, family.ffn_norm) == norms


def test_norms_of_stablelms():
    base = llama(64, 4, 96, 3, 600)
    plain = read("StableLmForCausalLM", **base)[0]
    assert (plain.ffn_norm, plain.head_norm) == ("post_attention_layernorm", None)
    other = read("StableLmForCausalLM", **base, use_parallel_residual=True, qk_layernorm=True)[0]
    assert (other.ffn_norm, other.head_norm) == ("input_layernorm", HeadNorm.EACH_HEAD)


OK = llama(64, 4, 96, 3, 600)
GLM = PUBLISHED["ChatGLM3-6B"][1]
MPT = PUBLISHED["MPT-7B"][1]
OPT = PUBLISHED["OPT-125m"][1]
BLOOM = PUBLISHED["BLOOM-560m"][1]
REFUSED = {
    "experts": ("MixtralForCausalLM", OK, "architectures"),
    "GPT-2 with an encoder": ("GPT2LMHeadModel", {**GPT2, "add_cross_attention": True}, "add_cross_attention"),
    "OPT-350m, norm": ("OPTForCausalLM", {**OPT, "do_layer_norm_before": False}, "do_layer_norm_before"),
    "OPT-350m, width": ("OPTForCausalLM", {**OPT, "word_embed_proj_dim": 512}, "word_embed_proj_dim"),
    "BLOOM, residual": (
        "BloomForCausalLM",
        {**BLOOM, "apply_residual_connection_post_layernorm": True},
        "apply_residual_connection_post_layernorm",
    ),
    "BLOOM, two sizes": ("BloomForCausalLM", {**BLOOM, "hidden_size": 512}, "two values"),
    "MPT, norms": ("MPTForCausalLM", {**MPT, "attn_config": {"qk_ln": True}}, "attn_config.qk_ln"),
    "MPT, shared keys": (
        "MptForCausalLM",
        {**MPT, "attn_config": {"attn_type": "multiquery_attention"}},
        "attn_config.attn_type",
    ),
    "MPT, not an object": ("MptForCausalLM", {**MPT, "attn_config": []}, "attn_config"),
    "first ChatGLM": ("ChatGLMModel", {**GLM, "multi_query_attention": None}, "multi_query_attention"),
    "ChatGLM with LayerNorm": ("ChatGLMModel", {**GLM, "rmsnorm": False}, "rmsnorm"),
    "Falcon, both": (
        "FalconForCausalLM",
        {**FALCON, "new_decoder_architecture": True, "parallel_attn": False},
        "parallel_attn",
    ),
    "Falcon, norms": (
        "FalconForCausalLM",
        {**FALCON, "new_decoder_architecture": True, "num_ln_in_parallel_attn": 3},
        "num_ln_in_parallel_attn",
    ),
    "quantized": ("LlamaForCausalLM", {**OK, "quantization_config": {}}, "quantization_config"),
    "compressed": ("LlamaForCausalLM", {**OK, "compression_config": {}}, "compression_config"),
    "one layer": ("LlamaForCausalLM", {**OK, "num_hidden_layers": 1}, "at least 2"),
    "no vocabulary": ("LlamaForCausalLM", {**OK, "vocab_size": None}, "vocab_size: missing"),
    "heads do not divide": ("GPT2LMHeadModel", {**GPT2, "n_head": 7}, "missing"),
    "key/value heads do not divide": ("LlamaForCausalLM", {**OK, "num_key_value_heads": 3}, "key/value heads"),
    "text_config is a list": ("Gemma3ForConditionalGeneration", {"text_config": [1]}, "text_config"),
    "text_config is empty": ("Gemma3ForConditionalGeneration", {"text_config": {}}, "text_config.hidden_size"),
    "zero": ("LlamaForCausalLM", {**OK, "hidden_size": 0}, "not a size"),
    "true": ("LlamaForCausalLM", {**OK, "hidden_size": True}, "hidden_size"),
    "a product too large": ("MptForCausalLM", {**MPT, "expansion_ratio": 1 << 23}, "not a size"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refusals_name_the_field(what):
    architecture, fields, words = REFUSED[what]
    with pytest.raises(BadOpening) as caught:
        read(architecture, **fields)
    assert words in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 1 << 70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)
KEYS = sorted({key for _, fields, _ in PUBLISHED.values() for key in fields} | {"architectures", "attn_config"})


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(PUBLISHED)), st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4))
def test_any_json_is_read_or_refused(name, changes):
    architecture, fields, _ = PUBLISHED[name]
    try:
        model = describe({"architectures": [architecture], **fields, **changes}, Path("config.json"))[1]
    except BadOpening:
        return
    assert all(type(size) is int and size >= 1 for size in sizes(model))
    assert model.heads % model.kv_heads == 0


# ---------------------------------------- the page


def table(heading: str) -> list[list[str]]:
    """Cells of the first table whose head begins with `heading`."""
    lines = PAGE.read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[begin + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def test_the_page_lists_the_families_and_their_classes():
    assert {quoted(row[0])[0] for row in table("| family | architectures |")} == {row.name for row in FAMILIES}
    listed = [(quoted(row[0]), quoted(row[1])) for row in table("| family | classes |")]
    assert sorted(name for _, names in listed for name in names) == sorted(n for row in FAMILIES for n in row.classes)
    for families, classes in listed:
        assert {row.name for row in FAMILIES if set(row.classes) & set(classes)} == set(families)


def test_the_page_gives_prefixes_and_names():
    for row in table("| family | classes |"):
        if "`" in row[2] and "as" not in row[2]:
            for family in (one for one in FAMILIES if set(one.classes) & set(quoted(row[1]))):
                assert [prefix for prefix in family.prefixes if prefix] == quoted(row[2])
                assert ("or none" in row[2]) == ("" in family.prefixes)
                assert [family.embedding, family.layer.replace("{}", "{i}")] == quoted(row[3]) + quoted(row[4])
    for row in table("| family | q, k, v | o |"):
        for family in (one for one in FAMILIES if one.name in quoted(row[0])):
            own = [family.qkv, (family.o,), (family.up,), (family.down,), (family.attention_norm,), (family.ffn_norm,)]
            for cell, names in zip(row[1:], own, strict=True):
                varying = family.name == "falcon" and cell.endswith("`gpt_neox`")
                if cell and not cell.startswith("as ") and cell != "none" and not varying:
                    assert quoted(cell) == list(names), (family.name, cell)
            assert family.gate_above_up == ("second half" in row[3] or row[3] == "as `phi3`")


def test_the_page_says_how_q_k_v_are_packed():
    for row in table("| family | architectures |"):
        for family in (one for one in FAMILIES if one.name in quoted(row[0])):
            expected = {Packing.SEPARATE: "separate", Packing.STACKED: "stacked", Packing.GROUPED: "grouped"}
            assert expected[family.packing] in row[2]
            assert family.conv1d == ("Conv1D" in row[2])
            assert family.layer_norm == row[4].startswith("LayerNorm")
            assert family.one_added == ("1 + w" in row[4])
            assert (family.o_norm is not None) == ("after" in row[4] and "one after" not in row[4])
