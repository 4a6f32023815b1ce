"""Which tensor of a checkpoint plays which role, family by family (docs/families.md, "Names and sizes").

A table and nothing else: `model_config` picks a row and reads sizes, `folding` does what a row says.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Packing(Enum):
    """How q, k, v are stored."""

    SEPARATE = "three tensors"
    STACKED = "one tensor: rows of q, then k, then v"
    GROUPED = "one tensor: for each key/value head its query heads, its key head, its value head"


class HeadNorm(Enum):
    """Norms of queries and keys: what their weights belong to."""

    EVERY_HEAD = "norm of each head, one weight [head_dim] for all"
    EACH_HEAD = "norm of each head, a weight [head_dim] a head"
    ALL_HEADS = "norm over all heads, one weight [rows]"


@dataclass(frozen=True)
class Sizes:
    """Keys of config.json under which a size stands, and `defaults` of absent ones by `statement.Model` field.

    Without `kv_heads` keys there are as many as heads; without `head_dim` keys it is hidden_size / heads.
    `ffn_factor`: an absent intermediate_size is that times hidden_size.
    """

    hidden_size: tuple[str, ...] = ("hidden_size",)
    heads: tuple[str, ...] = ("num_attention_heads",)
    kv_heads: tuple[str, ...] = ("num_key_value_heads",)
    head_dim: tuple[str, ...] = ("head_dim",)
    intermediate_size: tuple[str, ...] = ("intermediate_size",)
    num_layers: tuple[str, ...] = ("num_hidden_layers",)
    vocab_size: tuple[str, ...] = ("vocab_size",)
    ffn_factor: int | None = None
    ffn_factor_key: str = ""
    defaults: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Switch:
    """A key of config.json (a dot enters an object) that must have a value; `default` is that of an absent one."""

    key: str
    needed: object
    default: object


@dataclass(frozen=True)
class Family:
    """A row. Tensor names lack `.weight`, and begin behind `prefix` and `layer`; a norm that is None is not there."""

    name: str
    classes: tuple[str, ...]
    prefixes: tuple[str, ...] = ("model.",)
    embedding: str = "embed_tokens"
    layer: str = "layers.{}."
    packing: Packing = Packing.SEPARATE
    qkv: tuple[str, ...] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    o: str = "self_attn.o_proj"
    up: str = "mlp.up_proj"
    down: str = "mlp.down_proj"
    gate_above_up: bool = False  # the `up` tensor has 2 intermediate_size rows, up is the second half
    conv1d: bool = False  # readers are stored [d, rows], writers [rows, d]
    layer_norm: bool = False  # else RMS
    one_added: bool = False  # a norm's factor is 1 + weight
    attention_norm: str | None = "input_layernorm"
    ffn_norm: str | None = "post_attention_layernorm"
    o_norm: str | None = None  # of what attention writes
    down_norm: str | None = None  # of what the feed-forward part writes
    embedding_norm: str | None = None
    head_norm: HeadNorm | None = None
    head_norms: tuple[str, ...] = ()  # of q and of k
    inside: str = ""  # the object of config.json that holds the sizes
    sizes: Sizes = Sizes()
    switches: tuple[Switch, ...] = ()


_NO_OTHER_RESIDUAL = Switch("apply_residual_connection_post_layernorm", False, False)
_HEADS_ONLY = Sizes(kv_heads=(), head_dim=())
_GPT_SIZES = Sizes(
    hidden_size=("n_embd", "hidden_size"),
    heads=("n_head", "num_attention_heads"),
    kv_heads=(),
    head_dim=(),
    intermediate_size=("n_inner",),
    num_layers=("n_layer", "num_hidden_layers"),
    ffn_factor=4,
)

LLAMA = Family("llama", ("LlamaForCausalLM", "MistralForCausalLM"))
QWEN3 = replace(
    LLAMA,
    name="qwen3",
    classes=("Qwen3ForCausalLM",),
    head_norm=HeadNorm.EVERY_HEAD,
    head_norms=("self_attn.q_norm", "self_attn.k_norm"),
    sizes=Sizes(defaults=(("head_dim", 128),)),
)
GEMMA = replace(
    LLAMA,
    name="gemma",
    classes=("GemmaForCausalLM",),
    one_added=True,
    sizes=Sizes(defaults=(("head_dim", 256),)),
)
GEMMA2 = replace(
    GEMMA,
    name="gemma2",
    classes=("Gemma2ForCausalLM",),
    ffn_norm="pre_feedforward_layernorm",
    o_norm="post_attention_layernorm",
    down_norm="post_feedforward_layernorm",
)
GEMMA3 = replace(
    GEMMA2,
    name="gemma3",
    classes=("Gemma3ForCausalLM",),
    head_norm=HeadNorm.EVERY_HEAD,
    head_norms=QWEN3.head_norms,
)
GEMMA3_WITH_PICTURES = replace(
    GEMMA3,
    classes=("Gemma3ForConditionalGeneration",),
    prefixes=("language_model.model.", "model.language_model."),
    inside="text_config",
    sizes=Sizes(defaults=(("heads", 8), ("kv_heads", 4), ("head_dim", 256), ("vocab_size", 262_208))),
)
OLMO2 = replace(
    LLAMA,
    name="olmo2",
    classes=("Olmo2ForCausalLM", "Olmo3ForCausalLM"),
    attention_norm=None,
    ffn_norm=None,
    o_norm="post_attention_layernorm",
    down_norm="post_feedforward_layernorm",
    head_norm=HeadNorm.ALL_HEADS,
    head_norms=QWEN3.head_norms,
)
PHI3 = replace(
    LLAMA,
    name="phi3",
    classes=("Phi3ForCausalLM",),
    packing=Packing.STACKED,
    qkv=("self_attn.qkv_proj",),
    up="mlp.gate_up_proj",
    gate_above_up=True,
)
GLM = replace(
    LLAMA,
    name="glm",
    classes=("GlmForCausalLM",),
    up="mlp.gate_up_proj",
    gate_above_up=True,
    sizes=Sizes(defaults=(("head_dim", 128),)),
)
BAICHUAN = replace(
    LLAMA,
    name="baichuan",
    classes=("BaichuanForCausalLM", "BaiChuanForCausalLM"),
    packing=Packing.STACKED,
    qkv=("self_attn.W_pack",),
    sizes=_HEADS_ONLY,
)
INTERNLM2 = Family(
    "internlm2",
    ("InternLM2ForCausalLM",),
    embedding="tok_embeddings",
    packing=Packing.GROUPED,
    qkv=("attention.wqkv",),
    o="attention.wo",
    up="feed_forward.w3",
    down="feed_forward.w2",
    attention_norm="attention_norm",
    ffn_norm="ffn_norm",
)
NEOX = Family(
    "gpt_neox",
    ("GPTNeoXForCausalLM",),
    ("gpt_neox.",),
    embedding="embed_in",
    packing=Packing.GROUPED,
    qkv=("attention.query_key_value",),
    o="attention.dense",
    up="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
    layer_norm=True,
    sizes=_HEADS_ONLY,
)
BLOOM = replace(
    NEOX,
    name="bloom",
    classes=("BloomForCausalLM",),
    prefixes=("transformer.", ""),
    embedding="word_embeddings",
    layer="h.{}.",
    qkv=("self_attention.query_key_value",),
    o="self_attention.dense",
    embedding_norm="word_embeddings_layernorm",
    sizes=Sizes(
        hidden_size=("hidden_size", "n_embed"),
        heads=("num_attention_heads", "n_head"),
        kv_heads=(),
        head_dim=(),
        intermediate_size=(),
        num_layers=("num_hidden_layers", "n_layer"),
        ffn_factor=4,
    ),
    switches=(_NO_OTHER_RESIDUAL,),
)
# Without new_decoder_architecture and with parallel_attn: false; `model_config` changes norms and kv_heads otherwise.
FALCON = replace(
    BLOOM,
    name="falcon",
    classes=("FalconForCausalLM",),
    prefixes=("transformer.",),
    embedding_norm=None,
    sizes=Sizes(kv_heads=(), head_dim=(), intermediate_size=("ffn_hidden_size",), ffn_factor=4),
    switches=(),
)
CHATGLM = replace(
    LLAMA,
    name="chatglm",
    classes=("ChatGLMModel", "ChatGLMForConditionalGeneration"),
    prefixes=("transformer.",),
    embedding="embedding.word_embeddings",
    layer="encoder.layers.{}.",
    packing=Packing.STACKED,
    qkv=BLOOM.qkv,
    o=BLOOM.o,
    up="mlp.dense_h_to_4h",
    down="mlp.dense_4h_to_h",
    gate_above_up=True,
    sizes=Sizes(
        kv_heads=("multi_query_group_num",),
        head_dim=("kv_channels",),
        intermediate_size=("ffn_hidden_size",),
        num_layers=("num_layers",),
        vocab_size=("padded_vocab_size",),
        defaults=(("kv_heads", 1), ("head_dim", 128)),
    ),
    switches=(_NO_OTHER_RESIDUAL, Switch("multi_query_attention", True, False), Switch("rmsnorm", True, True)),
)
GPT2 = Family(
    "gpt2",
    ("GPT2LMHeadModel",),
    ("transformer.", ""),
    embedding="wte",
    layer="h.{}.",
    packing=Packing.STACKED,
    qkv=("attn.c_attn",),
    o="attn.c_proj",
    up="mlp.c_fc",
    down="mlp.c_proj",
    conv1d=True,
    layer_norm=True,
    attention_norm="ln_1",
    ffn_norm="ln_2",
    sizes=_GPT_SIZES,
    switches=(Switch("add_cross_attention", False, False),),
)
GPTJ = replace(
    GPT2,
    name="gptj",
    classes=("GPTJForCausalLM",),
    packing=Packing.SEPARATE,
    qkv=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    o="attn.out_proj",
    up="mlp.fc_in",
    down="mlp.fc_out",
    conv1d=False,
    ffn_norm="ln_1",
    switches=(),
)
OPT = replace(
    LLAMA,
    name="opt",
    classes=("OPTForCausalLM",),
    prefixes=("model.decoder.", "decoder."),
    o="self_attn.out_proj",
    up="fc1",
    down="fc2",
    layer_norm=True,
    attention_norm="self_attn_layer_norm",
    ffn_norm="final_layer_norm",
    sizes=replace(_HEADS_ONLY, intermediate_size=("ffn_dim",)),
    switches=(Switch("do_layer_norm_before", True, True),),
)
MPT = Family(
    "mpt",
    ("MptForCausalLM", "MPTForCausalLM"),
    ("transformer.",),
    embedding="wte",
    layer="blocks.{}.",
    packing=Packing.STACKED,
    qkv=("attn.Wqkv",),
    o="attn.out_proj",
    up="ffn.up_proj",
    down="ffn.down_proj",
    layer_norm=True,
    attention_norm="norm_1",
    ffn_norm="norm_2",
    sizes=Sizes(("d_model",), ("n_heads",), (), (), (), ("n_layers",), ffn_factor=4, ffn_factor_key="expansion_ratio"),
    switches=(
        Switch("attn_config.qk_ln", False, False),
        Switch("attn_config.attn_type", "multihead_attention", "multihead_attention"),
    ),
)
# With `use_parallel_residual` or `qk_layernorm`, `model_config` changes norms.
STABLELM = replace(LLAMA, name="stablelm", classes=("StableLmForCausalLM",), layer_norm=True)

FAMILIES = (
    LLAMA,
    replace(LLAMA, name="qwen2", classes=("Qwen2ForCausalLM",)),
    QWEN3,
    GEMMA,
    GEMMA2,
    GEMMA3,
    GEMMA3_WITH_PICTURES,
    PHI3,
    GLM,
    BAICHUAN,
    INTERNLM2,
    OLMO2,
    GPT2,
    GPTJ,
    NEOX,
    BLOOM,
    FALCON,
    OPT,
    MPT,
    STABLELM,
    CHATGLM,
)
"""Every row; `gemma3` has two."""

MODEL_TYPES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "mistral",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2",
    "Gemma3ForCausalLM": "gemma3_text",
    "Gemma3ForConditionalGeneration": "gemma3",
    "Phi3ForCausalLM": "phi3",
    "GlmForCausalLM": "glm",
    "BaichuanForCausalLM": "baichuan",
    "BaiChuanForCausalLM": "baichuan",
    "InternLM2ForCausalLM": "internlm2",
    "Olmo2ForCausalLM": "olmo2",
    "Olmo3ForCausalLM": "olmo3",
    "GPT2LMHeadModel": "gpt2",
    "GPTJForCausalLM": "gptj",
    "GPTNeoXForCausalLM": "gpt_neox",
    "BloomForCausalLM": "bloom",
    "FalconForCausalLM": "falcon",
    "OPTForCausalLM": "opt",
    "MptForCausalLM": "mpt",
    "MPTForCausalLM": "mpt",
    "StableLmForCausalLM": "stablelm",
    "ChatGLMModel": "chatglm",
    "ChatGLMForConditionalGeneration": "chatglm",
}
"""config.json's `model_type` for each class. transformers' automatic classes go by that, and not by `architectures`."""
