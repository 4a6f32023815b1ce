"""A tiny model of every family, untrained but with norms and biases that matter, saved as a Hugging Face folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

from fpm.evidence import layouts
from fpm.evidence.layouts import Layout, Sizes, pack, unpack
from fpm.evidence.rearrangements import CHANGES, Freedom, permute_vocabulary
from tests.prover.small_models import VOCAB, tokenizer_document

hf.logging.set_verbosity_error()
hf.logging.disable_progress_bar()

WIDTH, HEADS, LAYERS, FFN = 32, 4, 3, 48
EPS = 1e-12  # the norms' epsilon: with it they take scales back exactly


@dataclass(frozen=True)
class Kind:
    """`arguments` of the config; `disk`: another layout and changes of config.json for families without a class in
    transformers, whose computation is that of `model` (the outputs come from that one)."""

    model: str
    layout: Layout
    free: Freedom
    arguments: dict[str, Any]
    kv_heads: int = 2
    head_dim: int = WIDTH // HEADS
    disk: Layout | None = None
    config: Callable[[dict[str, Any]], dict[str, Any]] = field(default=lambda config: config)

    @property
    def sizes(self) -> Sizes:
        return Sizes(HEADS, self.kv_heads, self.head_dim, LAYERS)


def _llama_like(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": FFN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": EPS,
        "layer_norm_eps": EPS,
        "pad_token_id": 0,
        **more,
    }


def _gpt_like(**more: Any) -> dict[str, Any]:
    return {"vocab_size": VOCAB, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 64, **more}


def _falcon(**more: Any) -> dict[str, Any]:
    return {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "layer_norm_epsilon": EPS,
        **more,
    }


def _renamed(architecture: str, drop: tuple[str, ...] = (), **names: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """config.json under another architecture; values that are strings starting with = are taken from that field."""

    def change(config: dict[str, Any]) -> dict[str, Any]:
        new = {
            key: config[value[1:]] if isinstance(value, str) and value.startswith("=") else value
            for key, value in names.items()
        }
        kept = {key: value for key, value in config.items() if key not in drop and f"={key}" not in names.values()}
        kind = architecture.removesuffix("ForCausalLM").removesuffix("Model").lower()
        return {**kept, **new, "architectures": [architecture], "model_type": kind}

    return change


def _inside_text_config(config: dict[str, Any]) -> dict[str, Any]:
    text = {key: value for key, value in config.items() if key != "architectures"}
    return {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "text_config": text}


_ROPE = Freedom(rope="half", rotary=8)
_WIDE = replace(_ROPE, rotary=16)
_NORMED = replace(_WIDE, qk="rms")
_CENTRED = Freedom(rope="", centred=True, act="gelu")
_ALIBI = replace(_CENTRED, alibi=True)
_SIDE_BY_SIDE = replace(_CENTRED, rope="half", rotary=8, shared=True)
_LLAMA = Kind("Llama", layouts.LLAMA, _ROPE, _llama_like())
_GEMMA = Kind("Gemma", layouts.GEMMA, _WIDE, _llama_like(head_dim=16), head_dim=16)
_GEMMA2 = replace(_GEMMA, model="Gemma2", layout=layouts.GEMMA2, free=replace(_WIDE, basis="signed"))
_GEMMA3 = replace(_GEMMA, model="Gemma3", layout=layouts.GEMMA3, free=replace(_NORMED, basis="signed"))
_OLMO2 = Kind("Olmo2", layouts.OLMO2, replace(_ROPE, qk="whole", basis="signed"), _llama_like())
_BLOOM = Kind(
    "Bloom",
    layouts.BLOOM,
    replace(_ALIBI, basis="permuted"),
    {"vocab_size": VOCAB, "hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "layer_norm_epsilon": EPS},
    kv_heads=HEADS,
)
_FALCON_7B = Kind("Falcon", layouts.FALCON_7B, _SIDE_BY_SIDE, _falcon(), kv_heads=1)
_STABLELM = replace(_ROPE, rotary=4, centred=True)
_STABLELM_ARGUMENTS = _llama_like(partial_rotary_factor=0.5, use_qkv_bias=True)
_TURNED = {"basis": "free", "equal_qk": True}

KINDS = {
    "llama": _LLAMA,
    "mistral": Kind("Mistral", layouts.LLAMA, _WIDE, _llama_like(head_dim=16), head_dim=16),
    "qwen2": Kind("Qwen2", layouts.LLAMA, _ROPE, _llama_like()),
    "qwen3": Kind("Qwen3", layouts.QWEN3, _NORMED, _llama_like(head_dim=16), head_dim=16),
    "qwen3, equal norms": Kind(
        "Qwen3", layouts.QWEN3, replace(_NORMED, equal_qk=True), _llama_like(head_dim=16), head_dim=16
    ),
    "gemma": _GEMMA,
    "gemma2": _GEMMA2,
    "gemma2, equal norms": replace(_GEMMA2, free=_WIDE),
    "gemma3": _GEMMA3,
    "gemma3, equal norms": replace(_GEMMA3, free=replace(_NORMED, **_TURNED)),
    "gemma3 with pictures": replace(_GEMMA3, disk=layouts.GEMMA3_WITH_PICTURES, config=_inside_text_config),
    "olmo2": _OLMO2,
    "olmo2, equal norms": replace(_OLMO2, free=replace(_ROPE, qk="whole", **_TURNED)),
    "olmo3": replace(_OLMO2, model="Olmo3"),
    "phi3": Kind("Phi3", layouts.PHI3, _ROPE, _llama_like()),
    "glm": Kind("Glm", layouts.GLM, Freedom(rope="interleaved", rotary=4), _llama_like(head_dim=8)),
    "chatglm": Kind(
        "Glm",
        layouts.GLM,
        Freedom(rope="interleaved", rotary=4),
        _llama_like(head_dim=8),
        disk=layouts.CHATGLM,
        config=_renamed(
            "ChatGLMModel",
            multi_query_attention=True,
            multi_query_group_num="=num_key_value_heads",
            kv_channels="=head_dim",
            ffn_hidden_size="=intermediate_size",
            num_layers="=num_hidden_layers",
            padded_vocab_size="=vocab_size",
        ),
    ),
    "baichuan": Kind(
        "Llama",
        layouts.LLAMA,
        _ROPE,
        _llama_like(num_key_value_heads=HEADS),
        kv_heads=HEADS,
        disk=layouts.BAICHUAN,
        config=_renamed("BaichuanForCausalLM", drop=("num_key_value_heads", "head_dim")),
    ),
    "internlm2": replace(_LLAMA, disk=layouts.INTERNLM2, config=_renamed("InternLM2ForCausalLM")),
    "gpt2": Kind("GPT2LMHead", layouts.GPT2, _CENTRED, _gpt_like(), kv_heads=HEADS),
    "gptj": Kind(
        "GPTJ",
        layouts.GPTJ,
        replace(_CENTRED, rope="interleaved", rotary=4, shared=True),
        _gpt_like(rotary_dim=4),
        kv_heads=HEADS,
    ),
    "gpt_neox": Kind(
        "GPTNeoX",
        layouts.NEOX,
        replace(_CENTRED, rope="half", rotary=4),
        _llama_like(rotary_pct=0.5, use_parallel_residual=True),
        kv_heads=HEADS,
    ),
    "gpt_neox, sequential": Kind(
        "GPTNeoX",
        layouts.NEOX,
        replace(_CENTRED, rope="half", rotary=4),
        _llama_like(rotary_pct=0.5, use_parallel_residual=False),
        kv_heads=HEADS,
    ),
    "bloom": _BLOOM,
    "bloom, equal norms": replace(_BLOOM, free=_ALIBI),
    "falcon-7b": _FALCON_7B,
    "falcon-40b": Kind(
        "Falcon",
        layouts.FALCON_40B,
        replace(_SIDE_BY_SIDE, shared=False),
        _falcon(num_kv_heads=2, new_decoder_architecture=True),
    ),
    "falcon-11b": Kind(
        "Falcon",
        layouts.FALCON_7B,
        _SIDE_BY_SIDE,
        _falcon(num_kv_heads=2, new_decoder_architecture=True, num_ln_in_parallel_attn=1),
    ),
    "falcon-rw": Kind(
        "Falcon",
        layouts.FALCON_RW,
        _ALIBI,
        _falcon(multi_query=False, parallel_attn=False, alibi=True, bias=True),
        kv_heads=HEADS,
    ),
    "opt": Kind(
        "OPT",
        layouts.OPT,
        replace(_CENTRED, act="relu"),
        {
            "vocab_size": VOCAB,
            "hidden_size": WIDTH,
            "num_hidden_layers": LAYERS,
            "ffn_dim": FFN,
            "num_attention_heads": HEADS,
            "max_position_embeddings": 64,
            "word_embed_proj_dim": WIDTH,
        },
        kv_heads=HEADS,
    ),
    "mpt": Kind(
        "Mpt",
        layouts.MPT,
        _ALIBI,
        {"vocab_size": VOCAB, "d_model": WIDTH, "n_layers": LAYERS, "n_heads": HEADS, "max_seq_len": 64},
        kv_heads=HEADS,
    ),
    "stablelm": Kind("StableLm", layouts.STABLELM, _STABLELM, _STABLELM_ARGUMENTS),
    "stablelm, parallel, q and k normed": Kind(
        "StableLm",
        layouts.STABLELM_PARALLEL_QK,
        replace(_STABLELM, shared=True, qk="layernorm"),
        {**_STABLELM_ARGUMENTS, "use_parallel_residual": True, "qk_layernorm": True},
    ),
}


def new_model(kind: Kind, seed: int = 0) -> hf.PreTrainedModel:
    """Untrained, float32: weights large enough for attention to choose, norm weights and biases random.

    With `equal` norms those that stand in the way of a turn are constant, or equal in each plane of RoPE.
    """
    torch.manual_seed(seed)
    config = _config_class(kind)(**kind.arguments)
    model = getattr(hf, _class_name(kind))(config)
    one = 1.0 if kind.layout.plus_one else 0.0
    state = {}
    for name, value in model.state_dict().items():
        if value.ndim == 2:
            state[name] = torch.randn(value.shape) * (1.0 if value.shape[0] == VOCAB else 0.2)
        elif name.endswith("bias"):
            state[name] = 0.2 * torch.randn(value.shape)
        elif ("post_" in name or "word_embeddings" in name) and kind.free.basis == "free" and _written(kind, name):
            state[name] = torch.full_like(value, 1.25 - one)
        else:
            state[name] = torch.rand(value.shape) + 0.5 - one
        if kind.free.equal_qk and ("q_norm" in name or "k_norm" in name):
            half = kind.free.rotary // 2
            state[name] = state[name].reshape(-1, 2, half)[:, :1].expand(-1, 2, -1).reshape(-1)
    model.load_state_dict(state)
    return model


def _config_class(kind: Kind) -> type:
    name = {"GPT2LMHead": "GPT2", "Gemma3": "Gemma3Text"}.get(kind.model, kind.model)
    return getattr(hf, name + "Config")


def config_json(kind: Kind) -> dict[str, Any]:
    """What `save` puts into config.json, without making a model."""
    config = json.loads(json.dumps(_config_class(kind)(**kind.arguments).to_dict(), default=str))
    return kind.config({**config, "architectures": [_class_name(kind)]})


def _class_name(kind: Kind) -> str:
    return kind.model + ("Model" if kind.model == "GPT2LMHead" else "ForCausalLM")


def _written(kind: Kind, name: str) -> bool:
    """True for the norm of what a layer writes, or of embeddings."""
    return any(part and part in name for part in (*kind.layout.post, kind.layout.embed_norm))


def write_tokenizer(folder: Path, new_ids: Tensor | None = None) -> None:
    document = tokenizer_document()
    if new_ids is not None:
        vocabulary = document["model"]["vocab"]
        document["model"]["vocab"] = {string: int(new_ids[i]) for string, i in vocabulary.items()}
        document["added_tokens"][0]["id"] = int(new_ids[0])
    (folder / "tokenizer.json").write_text(json.dumps(document))


def save(kind: Kind, model: hf.PreTrainedModel, folder: Path) -> hf.PreTrainedModel:
    """Write the folder and read the model back from it, float64: what it computes is what the folder says."""
    model.save_pretrained(folder)
    loaded = type(model).from_pretrained(folder, dtype=torch.float64).eval()
    write_tokenizer(folder)
    _move_to_other_layout(kind, folder)
    return loaded


def _move_to_other_layout(kind: Kind, folder: Path) -> None:
    """The same numbers under the names, and in the packing, of an architecture that transformers has no class for."""
    if kind.disk is not None:
        parts = unpack(load_file(folder / "model.safetensors"), kind.layout, kind.sizes)
        save_file(pack(parts, kind.disk, kind.sizes), folder / "model.safetensors")
        config = kind.config(json.loads((folder / "config.json").read_text()))
        (folder / "config.json").write_text(json.dumps(config))


def save_changed(
    kind: Kind,
    model: hf.PreTrainedModel,
    folder: Path,
    changes: tuple[Callable[..., None], ...] = CHANGES,
    seed: int = 5,
) -> tuple[hf.PreTrainedModel, Tensor]:
    """Write the model after `changes` and a permutation of its vocabulary: it, and each old token's new id.

    Embedding and head are untied: folding the last norm changes one of them only.
    """
    generator = torch.Generator().manual_seed(seed)
    model.save_pretrained(folder)
    weights = folder / "model.safetensors"
    state = {name: value.double() for name, value in load_file(weights).items()}
    parts = unpack(state, kind.layout, kind.sizes)
    for change in changes:
        change(parts, kind.free, generator)
    new_ids = permute_vocabulary(parts, generator)
    packed = pack(parts, kind.layout, kind.sizes)
    save_file({name: value.float() for name, value in packed.items()}, weights, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    loaded, report = type(model).from_pretrained(folder, dtype=torch.float64, output_loading_info=True)
    if report["missing_keys"] or report["unexpected_keys"]:
        raise ValueError(f"fpm/evidence/layouts.py does not cover the model: {report}")
    write_tokenizer(folder, new_ids)
    _move_to_other_layout(kind, folder)
    return loaded.eval(), new_ids
