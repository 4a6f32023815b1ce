"""Finding the family of a checkpoint: by architecture and config.json, or why there is none (docs/families.md).

The rows are in `prover/checkpoint/family_table.py`, what they are made of in `prover/checkpoint/family.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from prover.checkpoint.family import ROLES, Family, Shape
from prover.checkpoint.family_table import FAMILIES, LLAMA

__all__ = [
    "FAMILIES",
    "FAMILY_NAMES",
    "LLAMA",
    "MODEL_TYPES",
    "ROLES",
    "Family",
    "Shape",
    "families_named",
    "family_of",
    "refusal",
    "supported_architectures",
]

FAMILY_NAMES: tuple[str, ...] = tuple(dict.fromkeys(family.name for family in FAMILIES))
"""Names of all families, without repeats: what a profile's `families` may list."""

# ---------------------------------------- refusals, each with the reason

_EXPERTS = (
    "a mixture of experts has many feed-forward matrices a layer, and version 1 of the protocol commits one up and one "
    "down matrix; which experts would count, and with what weight, is not settled"
)
_LATENT = "multi-head latent attention has no key and value matrices that read the residual stream"
_STATE_SPACE = "a model without attention has no M_a and M_b"
_ENCODER = "encoder-decoder models have two streams; the terms describe one"
_REASONS = MappingProxyType(
    {
        **dict.fromkeys(("MixtralForCausalLM", "Qwen2MoeForCausalLM", "Qwen3MoeForCausalLM"), _EXPERTS),
        **dict.fromkeys(("DbrxForCausalLM", "OlmoeForCausalLM", "PhimoeForCausalLM", "GptOssForCausalLM"), _EXPERTS),
        **dict.fromkeys(("DeepseekV2ForCausalLM", "DeepseekV3ForCausalLM"), f"{_LATENT}; and {_EXPERTS}"),
        **dict.fromkeys(("MambaForCausalLM", "Mamba2ForCausalLM", "RwkvForCausalLM"), _STATE_SPACE),
        **dict.fromkeys(("T5ForConditionalGeneration", "BartForConditionalGeneration"), _ENCODER),
    }
)
MODEL_TYPES = MappingProxyType(
    {
        **{f"{name}ForCausalLM": name.lower() for name in ("Llama", "Mistral", "Qwen2", "Qwen3", "Gemma", "Gemma2")},
        **{f"{name}ForCausalLM": name.lower() for name in ("Phi3", "Glm", "Baichuan", "BaiChuan", "InternLM2")},
        **{
            f"{name}ForCausalLM": name.lower()
            for name in ("Olmo2", "Olmo3", "GPTJ", "Bloom", "Falcon", "OPT", "StableLm")
        },
        **dict.fromkeys(("MptForCausalLM", "MPTForCausalLM"), "mpt"),
        **dict.fromkeys(("ChatGLMModel", "ChatGLMForConditionalGeneration"), "chatglm"),
        "Gemma3ForCausalLM": "gemma3_text",
        "Gemma3ForConditionalGeneration": "gemma3",
        "GPT2LMHeadModel": "gpt2",
        "GPTNeoXForCausalLM": "gpt_neox",
    }
)
"""config.json's `model_type` by architecture: transformers goes by that."""
_MARKS = (  # fields of config.json that give such a model away under any name
    ("num_local_experts", _EXPERTS),
    ("num_experts", _EXPERTS),
    ("n_routed_experts", _EXPERTS),
    ("kv_lora_rank", _LATENT),
)


def refusal(architecture: str, config: Mapping[str, Any]) -> str:
    """Why a model of this architecture cannot be read at all, in a sentence; "" if no reason is known."""
    found = [reason for key, reason in _MARKS if isinstance(config.get(key), int) and config[key] > 1]
    return _REASONS.get(architecture) or (found[0] if found else "")


def family_of(
    architecture: str, families: tuple[Family, ...] = FAMILIES, config: Mapping[str, Any] | None = None
) -> Family | None:
    """The first row for an entry of config.json's `architectures` whose conditions `config` meets, or None."""
    known = (family for family in families if architecture in family.architectures)
    return next((family for family in known if all(need.met(config or {}) for need in family.when)), None)


def families_named(names: tuple[str, ...]) -> tuple[Family, ...]:
    """The known families among `names` (a profile's `families`)."""
    return tuple(family for family in FAMILIES if family.name in names)


def supported_architectures(families: tuple[Family, ...] = FAMILIES) -> tuple[str, ...]:
    """Every architecture name that can be read, sorted."""
    return tuple(sorted({name for family in families for name in family.architectures}))
