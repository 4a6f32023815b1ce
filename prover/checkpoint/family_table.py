"""The table: which tensor of an architecture plays which role, and how it is packed (docs/families.md).

Adding a family means adding a `Family(...)` here and a model to tests/prover/checkpoint/family_models.py. `family.py`
says what the fields mean. Biases of q, k, v, up and of norms are part of no term: they do not depend on the token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from prover.checkpoint.family import (
    GROUPED_QKV,
    STACKED_GATE_UP,
    STACKED_QKV,
    WRITING_ROLES,
    ConfigKeys,
    Family,
    HeadNorm,
    Need,
    Packing,
    Source,
)


def _linear(at: str, **names: str) -> dict[str, Source]:
    """`Linear` weights [out, in] below `at`, by role: readers as they are, writers transposed."""
    return {role: Source(f"{at}.{name}.weight", role in WRITING_ROLES) for role, name in names.items()}


def _fused(tensor: str, packing: Packing, *, transposed: bool = False) -> dict[str, Source]:
    """Queries, keys and values in one tensor."""
    return {role: Source(tensor, transposed, packing) for role in ("q", "k", "v")}


def _roles(*parts: Mapping[str, Source]) -> Mapping[str, Source]:
    return MappingProxyType({role: source for part in parts for role, source in part.items()})


def _gate_up(tensor: str) -> dict[str, Source]:
    return {role: Source(tensor, packing=STACKED_GATE_UP) for role in ("gate", "up")}


# ---------------------------------------- Llama and what is built like it

_LAYER = "model.layers.{i}"
_SEPARATE_QKV = _linear(f"{_LAYER}.self_attn", q="q_proj", k="k_proj", v="v_proj")
_O = _linear(f"{_LAYER}.self_attn", o="o_proj")
_DOWN = _linear(f"{_LAYER}.mlp", down="down_proj")
_GATED_FFN = _linear(f"{_LAYER}.mlp", gate="gate_proj", up="up_proj") | _DOWN

LLAMA = Family(
    name="llama",
    architectures=("LlamaForCausalLM", "MistralForCausalLM"),
    embedding="model.embed_tokens.weight",
    roles=_roles(_SEPARATE_QKV, _O, _GATED_FFN),
    attention_norm=f"{_LAYER}.input_layernorm.weight",
    ffn_norm=f"{_LAYER}.post_attention_layernorm.weight",
)
QWEN2 = replace(LLAMA, name="qwen2", architectures=("Qwen2ForCausalLM",))
_QK_NORMS = MappingProxyType({role: HeadNorm(f"{_LAYER}.self_attn.{role}_norm.weight") for role in ("q", "k")})
QWEN3 = replace(
    LLAMA,
    name="qwen3",
    architectures=("Qwen3ForCausalLM",),
    head_norms=_QK_NORMS,
    defaults=MappingProxyType({"head_dim": 128}),
)
PHI3 = replace(
    LLAMA,
    name="phi3",
    architectures=("Phi3ForCausalLM",),
    roles=_roles(
        _fused(f"{_LAYER}.self_attn.qkv_proj.weight", STACKED_QKV),
        _O,
        _gate_up(f"{_LAYER}.mlp.gate_up_proj.weight"),
        _DOWN,
    ),
)
GLM = replace(
    PHI3,
    name="glm",
    architectures=("GlmForCausalLM",),
    roles=_roles(PHI3.roles, _SEPARATE_QKV),
    defaults=MappingProxyType({"head_dim": 128}),
)
BAICHUAN = replace(
    LLAMA,
    name="baichuan",
    architectures=("BaichuanForCausalLM", "BaiChuanForCausalLM"),
    roles=_roles(_fused(f"{_LAYER}.self_attn.W_pack.weight", STACKED_QKV), _O, _GATED_FFN),
    keys=ConfigKeys(kv_heads=(), head_dim=()),
)
INTERNLM2 = Family(
    name="internlm2",
    architectures=("InternLM2ForCausalLM",),
    embedding="model.tok_embeddings.weight",
    roles=_roles(
        _fused(f"{_LAYER}.attention.wqkv.weight", GROUPED_QKV),
        _linear(f"{_LAYER}.attention", o="wo"),
        _linear(f"{_LAYER}.feed_forward", gate="w1", up="w3", down="w2"),
    ),
    attention_norm=f"{_LAYER}.attention_norm.weight",
    ffn_norm=f"{_LAYER}.ffn_norm.weight",
)
# The stream is read as it is; norms act on what attention and feed-forward part write.
OLMO2 = replace(
    LLAMA,
    name="olmo2",
    architectures=("Olmo2ForCausalLM", "Olmo3ForCausalLM"),
    attention_norm=None,
    ffn_norm=None,
    attention_post_norm=f"{_LAYER}.post_attention_layernorm.weight",
    ffn_post_norm=f"{_LAYER}.post_feedforward_layernorm.weight",
    head_norms=MappingProxyType({role: replace(norm, whole=True) for role, norm in _QK_NORMS.items()}),
)

# ---------------------------------------- Gemma: norms multiply by 1 + weight

_GEMMA_DEFAULTS = MappingProxyType({"head_dim": 256})
GEMMA = replace(LLAMA, name="gemma", architectures=("GemmaForCausalLM",), norm="rms_plus_one", defaults=_GEMMA_DEFAULTS)
GEMMA2 = replace(
    GEMMA,
    name="gemma2",
    architectures=("Gemma2ForCausalLM",),
    attention_post_norm=f"{_LAYER}.post_attention_layernorm.weight",
    ffn_norm=f"{_LAYER}.pre_feedforward_layernorm.weight",
    ffn_post_norm=f"{_LAYER}.post_feedforward_layernorm.weight",
)
GEMMA3 = replace(
    GEMMA2,
    name="gemma3",
    architectures=("Gemma3ForCausalLM",),
    head_norms=MappingProxyType({role: replace(norm, kind="rms_plus_one") for role, norm in _QK_NORMS.items()}),
)
# The language model inside the one that also sees pictures. Published configs leave out what is a default.
GEMMA3_WITH_PICTURES = replace(
    GEMMA3,
    architectures=("Gemma3ForConditionalGeneration",),
    section="text_config",
    defaults=MappingProxyType({"heads": 8, "kv_heads": 4, "head_dim": 256, "vocab_size": 262_208}),
    aliases=(("language_model.model.", "model."), ("model.language_model.", "model.")),
    aliases_only=True,
)

# ---------------------------------------- LayerNorm models

_H = "transformer.h.{i}"
_NO_KEYS: tuple[str, ...] = ()
_GPT_KEYS = ConfigKeys(
    hidden_size=("n_embd", "hidden_size"),
    heads=("n_head", "num_attention_heads"),
    kv_heads=_NO_KEYS,
    head_dim=_NO_KEYS,
    intermediate_size=("n_inner",),
    num_layers=("n_layer", "num_hidden_layers"),
)
_WITHOUT_PREFIX = (("", "transformer."),)  # checkpoints saved from the base model

GPT2 = Family(
    name="gpt2",
    architectures=("GPT2LMHeadModel",),
    embedding="transformer.wte.weight",
    # Conv1D stores [in, out]: what reads is transposed, what writes is not
    roles=_roles(
        _fused(f"{_H}.attn.c_attn.weight", STACKED_QKV, transposed=True),
        {
            "o": Source(f"{_H}.attn.c_proj.weight"),
            "up": Source(f"{_H}.mlp.c_fc.weight", transposed=True),
            "down": Source(f"{_H}.mlp.c_proj.weight"),
        },
    ),
    attention_norm=f"{_H}.ln_1.weight",
    ffn_norm=f"{_H}.ln_2.weight",
    norm="layernorm",
    keys=_GPT_KEYS,
    ffn_multiple=("", 4),
    needs=(Need("add_cross_attention", (False,), False, "layers that attend to an encoder have no term"),),
    aliases=_WITHOUT_PREFIX,
)
GPTJ = replace(
    GPT2,
    name="gptj",
    architectures=("GPTJForCausalLM",),
    roles=_roles(
        _linear(f"{_H}.attn", q="q_proj", k="k_proj", v="v_proj", o="out_proj"),
        _linear(f"{_H}.mlp", up="fc_in", down="fc_out"),
    ),
    ffn_norm=GPT2.attention_norm,  # attention and feed-forward part side by side, behind one norm
    needs=(),
)
_QKV_AND_4H = _roles(
    _fused(f"{_H}.self_attention.query_key_value.weight", GROUPED_QKV),
    _linear(f"{_H}.self_attention", o="dense"),
    _linear(f"{_H}.mlp", up="dense_h_to_4h", down="dense_4h_to_h"),
)
BLOOM = Family(
    name="bloom",
    architectures=("BloomForCausalLM",),
    embedding="transformer.word_embeddings.weight",
    roles=_QKV_AND_4H,
    attention_norm=f"{_H}.input_layernorm.weight",
    ffn_norm=f"{_H}.post_attention_layernorm.weight",
    norm="layernorm",
    embedding_norm="transformer.word_embeddings_layernorm.weight",
    keys=replace(_GPT_KEYS, hidden_size=("hidden_size", "n_embed"), intermediate_size=_NO_KEYS),
    ffn_multiple=("", 4),
    needs=(
        Need(
            "apply_residual_connection_post_layernorm",
            (False,),
            False,
            "the stream that later layers add to would be the norm's output, which no term describes",
        ),
    ),
    aliases=_WITHOUT_PREFIX,
)
GPT_NEOX = Family(
    name="gpt_neox",
    architectures=("GPTNeoXForCausalLM",),
    embedding="gpt_neox.embed_in.weight",
    roles=_roles(
        _fused("gpt_neox.layers.{i}.attention.query_key_value.weight", GROUPED_QKV),
        _linear("gpt_neox.layers.{i}.attention", o="dense"),
        _linear("gpt_neox.layers.{i}.mlp", up="dense_h_to_4h", down="dense_4h_to_h"),
    ),
    attention_norm="gpt_neox.layers.{i}.input_layernorm.weight",
    ffn_norm="gpt_neox.layers.{i}.post_attention_layernorm.weight",  # also with use_parallel_residual
    norm="layernorm",
    keys=ConfigKeys(kv_heads=_NO_KEYS, head_dim=_NO_KEYS),
)

_NEW_FALCON = Need("new_decoder_architecture", (True,), False)
_ONE_NORM = Need("num_ln_in_parallel_attn", (1,), 2)
_FALCON_40B = Family(
    name="falcon",
    architectures=("FalconForCausalLM",),
    embedding="transformer.word_embeddings.weight",
    roles=_QKV_AND_4H,
    attention_norm=f"{_H}.ln_attn.weight",
    ffn_norm=f"{_H}.ln_mlp.weight",
    norm="layernorm",
    keys=ConfigKeys(kv_heads=("num_kv_heads",), head_dim=_NO_KEYS, intermediate_size=("ffn_hidden_size",)),
    ffn_multiple=("", 4),
    when=(_NEW_FALCON,),
    needs=(
        Need("num_ln_in_parallel_attn", (2,), 2, "one norm for both parts, or two"),
        Need("parallel_attn", (True,), True, "the new decoder architecture has its two parts side by side"),
    ),
)
_FALCON_11B = replace(  # new layout, but one norm for both parts
    _FALCON_40B,
    attention_norm=f"{_H}.input_layernorm.weight",
    ffn_norm=f"{_H}.input_layernorm.weight",
    when=(_NEW_FALCON, _ONE_NORM),
    needs=_FALCON_40B.needs[1:],
)
_FALCON_7B = replace(
    _FALCON_11B,
    keys=replace(_FALCON_40B.keys, kv_heads=_NO_KEYS, head_dim=_NO_KEYS),
    defaults=MappingProxyType({"kv_heads": 1}),
    when=(Need("multi_query", (True,), True), Need("parallel_attn", (True,), True)),
    needs=(),
)
_MULTI_HEAD = Need("multi_query", (False,), True)
_SEQUENTIAL = Need("parallel_attn", (False,), True)
_FALCON_RW = replace(
    _FALCON_7B,
    ffn_norm=f"{_H}.post_attention_layernorm.weight",
    defaults=MappingProxyType({}),
    when=(_MULTI_HEAD, _SEQUENTIAL),
)
FALCON = (
    _FALCON_11B,
    _FALCON_40B,
    _FALCON_7B,
    _FALCON_RW,
    replace(_FALCON_RW, ffn_norm=_FALCON_7B.ffn_norm, when=(_MULTI_HEAD,)),
    replace(_FALCON_7B, ffn_norm=_FALCON_RW.ffn_norm, when=(_SEQUENTIAL,)),
)

_OPT_LAYER = "model.decoder.layers.{i}"
OPT = Family(
    name="opt",
    architectures=("OPTForCausalLM",),
    embedding="model.decoder.embed_tokens.weight",
    roles=_roles(
        _linear(f"{_OPT_LAYER}.self_attn", q="q_proj", k="k_proj", v="v_proj", o="out_proj"),
        _linear(_OPT_LAYER, up="fc1", down="fc2"),
    ),
    attention_norm=f"{_OPT_LAYER}.self_attn_layer_norm.weight",
    ffn_norm=f"{_OPT_LAYER}.final_layer_norm.weight",
    norm="layernorm",
    keys=ConfigKeys(kv_heads=_NO_KEYS, head_dim=_NO_KEYS, intermediate_size=("ffn_dim",)),
    needs=(
        Need(
            "do_layer_norm_before",
            (True,),
            True,
            "a norm after each sum (OPT-350m) leaves no stream that layers read through their own norm",
        ),
        Need(
            "word_embed_proj_dim",
            reason="embeddings of another width than the model (OPT-350m) have no place in the terms",
            same_as="hidden_size",
        ),
    ),
    aliases=(("decoder.", "model.decoder."),),
)
_BLOCK = "transformer.blocks.{i}"
MPT = Family(
    name="mpt",
    architectures=("MptForCausalLM", "MPTForCausalLM"),
    embedding="transformer.wte.weight",
    roles=_roles(
        _fused(f"{_BLOCK}.attn.Wqkv.weight", STACKED_QKV),
        _linear(f"{_BLOCK}.attn", o="out_proj"),
        _linear(f"{_BLOCK}.ffn", up="up_proj", down="down_proj"),
    ),
    attention_norm=f"{_BLOCK}.norm_1.weight",
    ffn_norm=f"{_BLOCK}.norm_2.weight",
    norm="layernorm",
    keys=ConfigKeys(
        hidden_size=("d_model",),
        heads=("n_heads",),
        kv_heads=_NO_KEYS,
        head_dim=_NO_KEYS,
        intermediate_size=(),
        num_layers=("n_layers",),
    ),
    ffn_multiple=("expansion_ratio", 4),
    needs=(
        Need("attn_config.qk_ln", (False,), False, "norms of queries and keys are not read for this family"),
        Need("attn_config.attn_type", ("multihead_attention",), "multihead_attention", "heads that share keys"),
        Need("ffn_config.ffn_type", ("mptmlp",), "mptmlp", "another feed-forward part"),
        Need("norm_type", ("low_precision_layernorm", "layernorm"), "layernorm", "a norm that is not a LayerNorm"),
    ),
)

# ---------------------------------------- one of a kind

STABLELM = replace(LLAMA, name="stablelm", architectures=("StableLmForCausalLM",), norm="layernorm")
_PARALLEL = Need("use_parallel_residual", (True,), False)
_QK_LAYERNORM = Need("qk_layernorm", (True,), False)
_STABLELM_PARALLEL = replace(STABLELM, ffn_norm=STABLELM.attention_norm, when=(_PARALLEL,))
_STABLELM_QK = MappingProxyType(
    {role: HeadNorm(f"{_LAYER}.self_attn.{role}_layernorm.norms.{{h}}.weight", kind="layernorm") for role in ("q", "k")}
)
STABLELMS = (
    replace(_STABLELM_PARALLEL, head_norms=_STABLELM_QK, when=(_PARALLEL, _QK_LAYERNORM)),
    replace(STABLELM, head_norms=_STABLELM_QK, when=(_QK_LAYERNORM,)),
    _STABLELM_PARALLEL,
    STABLELM,
)
_GLM_LAYER = "transformer.encoder.layers.{i}"
CHATGLM = Family(  # ChatGLM2, ChatGLM3, GLM-4 as published with their own code
    name="chatglm",
    architectures=("ChatGLMModel", "ChatGLMForConditionalGeneration"),
    embedding="transformer.embedding.word_embeddings.weight",
    roles=_roles(
        _fused(f"{_GLM_LAYER}.self_attention.query_key_value.weight", STACKED_QKV),
        _linear(f"{_GLM_LAYER}.self_attention", o="dense"),
        _gate_up(f"{_GLM_LAYER}.mlp.dense_h_to_4h.weight"),
        _linear(f"{_GLM_LAYER}.mlp", down="dense_4h_to_h"),
    ),
    attention_norm=f"{_GLM_LAYER}.input_layernorm.weight",
    ffn_norm=f"{_GLM_LAYER}.post_attention_layernorm.weight",
    keys=ConfigKeys(
        kv_heads=("multi_query_group_num",),
        head_dim=("kv_channels",),
        intermediate_size=("ffn_hidden_size",),
        num_layers=("num_layers",),
        vocab_size=("padded_vocab_size",),
    ),
    defaults=MappingProxyType({"head_dim": 128, "kv_heads": 1}),
    needs=(
        Need("multi_query_attention", (True,), False, "the first ChatGLM packs its heads in another way"),
        Need("rmsnorm", (True,), True, "its LayerNorm variant was never published"),
        Need("apply_residual_connection_post_layernorm", (False,), False, "the stream would be the norm's output"),
    ),
)

FAMILIES: tuple[Family, ...] = (
    *(LLAMA, QWEN2, QWEN3, GEMMA, GEMMA2, GEMMA3, GEMMA3_WITH_PICTURES, PHI3, GLM, BAICHUAN, INTERNLM2, OLMO2),
    *(GPT2, GPTJ, GPT_NEOX, BLOOM, *FALCON, OPT, MPT, *STABLELMS, CHATGLM),
)
"""Rows in the order they are tried: for one architecture, the row with more conditions comes first."""
