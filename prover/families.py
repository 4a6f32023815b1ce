"""Which tensor of an architecture plays which role: one table a family (docs/protocol.md section 3).

Adding a family means adding a `Family(...)` to `FAMILIES`: names of tensors, how they are packed, the kind of
norm, and the names its config.json uses. Pure: nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

ROLES = ("q", "k", "v", "o", "up", "down")
"""Roles of the matrices of one layer, in the order they are committed."""

READING_ROLES = ("q", "k", "v", "up")
"""Roles that read the residual stream through a norm; `o` and `down` write to it."""

LAYERS_USED = 2
"""The last two transformer blocks (profile field `layers`: "last-2")."""


@dataclass(frozen=True)
class Shape:
    """Shape of a model: the statement's `model` object (docs/protocol.md section 7)."""

    family: str
    hidden_size: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate_size: int
    num_layers: int
    layers: tuple[int, int]
    vocab_size: int

    @property
    def query_group(self) -> int:
        """`rep`: number of query heads that share one key/value head."""
        return self.heads // self.kv_heads

    def rows(self, role: str) -> int:
        """Number of rows of length `hidden_size` of the matrix that plays `role` (see `ROLES`)."""
        if role in ("k", "v"):
            return self.kv_heads * self.head_dim
        if role in ("q", "o"):
            return self.heads * self.head_dim
        return self.intermediate_size

    @property
    def term_rows(self) -> tuple[int, ...]:
        """`e_t` of the six terms: rows of U_t and V_t after key/value rows are repeated."""
        one_layer = (self.rows("q"), self.rows("o"), self.intermediate_size)
        return one_layer * LAYERS_USED

    def matrix_names(self) -> tuple[str, ...]:
        """The 13 matrix names, in the order they are committed."""
        return ("embedding", *(f"layers.{i}.{role}" for i in self.layers for role in ROLES))

    def as_statement(self) -> dict[str, Any]:
        """The statement's `model` object."""
        return {
            "family": self.family,
            "hidden_size": self.hidden_size,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate_size": self.intermediate_size,
            "num_layers": self.num_layers,
            "layers": list(self.layers),
            "vocab_size": self.vocab_size,
        }


@dataclass(frozen=True)
class Packing:
    """How a role's rows lie in a stored tensor of shape [total_rows, d]."""

    total_rows: Callable[[Shape, str], int]
    pick: Callable[[FloatArray, Shape, str], FloatArray]


def _stacked(parts: tuple[str, ...]) -> Packing:
    """Roles one below the other, e.g. ("q", "k", "v"); "gate" counts as `intermediate_size` rows."""

    def total_rows(shape: Shape, _role: str) -> int:
        return sum(shape.rows(part) for part in parts)

    def pick(tensor: FloatArray, shape: Shape, role: str) -> FloatArray:
        begin = sum(shape.rows(part) for part in parts[: parts.index(role)])
        return tensor[begin : begin + shape.rows(role)]

    return Packing(total_rows, pick)


def _per_head(parts: tuple[str, ...]) -> Packing:
    """Head after head, each with its parts in turn (GPT-NeoX, BLOOM); no grouped heads."""

    def total_rows(shape: Shape, _role: str) -> int:
        return len(parts) * shape.heads * shape.head_dim

    def pick(tensor: FloatArray, shape: Shape, role: str) -> FloatArray:
        by_head = tensor.reshape(shape.heads, len(parts), shape.head_dim, tensor.shape[1])
        return by_head[:, parts.index(role)].reshape(shape.rows(role), tensor.shape[1])

    return Packing(total_rows, pick)


WHOLE = Packing(lambda shape, role: shape.rows(role), lambda tensor, _shape, _role: tensor)
STACKED_QKV = _stacked(("q", "k", "v"))
PER_HEAD_QKV = _per_head(("q", "k", "v"))
STACKED_GATE_UP = _stacked(("gate", "up"))


@dataclass(frozen=True)
class Source:
    """Where a role's rows are stored. `{i}` in `tensor` stands for the layer's index.

    `transposed`: stored as [d, rows] instead of [rows, d] (`Linear` that writes, `Conv1D` that reads).
    """

    tensor: str
    transposed: bool = False
    packing: Packing = WHOLE


@dataclass(frozen=True)
class ConfigKeys:
    """Names that config.json uses for the model's shape."""

    hidden_size: str = "hidden_size"
    heads: str = "num_attention_heads"
    kv_heads: str = "num_key_value_heads"
    head_dim: str = "head_dim"
    intermediate_size: str = "intermediate_size"
    num_layers: str = "num_hidden_layers"
    vocab_size: str = "vocab_size"


NormKind = Literal["rms", "rms_plus_one", "layernorm"]


@dataclass(frozen=True)
class Family:
    """One family of architectures: the roles of its tensors, and its norm."""

    name: str
    architectures: tuple[str, ...]
    embedding: str
    roles: Mapping[str, Source]
    attention_norm: str
    ffn_norm: str
    norm: NormKind = "rms"
    gate: Source | None = None
    keys: ConfigKeys = field(default_factory=ConfigKeys)

    def norm_tensor(self, role: str) -> str | None:
        """Name pattern of the norm weight that feeds `role`, or None for roles that write."""
        if role not in READING_ROLES:
            return None
        return self.ffn_norm if role == "up" else self.attention_norm

    @property
    def centred(self) -> bool:
        """True if rows lose their mean: LayerNorm models do not see it."""
        return self.norm == "layernorm"

    def column_scale(self, norm_weight: FloatArray) -> npt.NDArray[np.float64]:
        """float64 [d]: what the norm multiplies each hidden dimension with."""
        weight = norm_weight.astype(np.float64)
        return weight + 1.0 if self.norm == "rms_plus_one" else weight


LLAMA = Family(
    name="llama",
    architectures=("LlamaForCausalLM", "MistralForCausalLM"),
    embedding="model.embed_tokens.weight",
    roles=MappingProxyType(
        {
            "q": Source("model.layers.{i}.self_attn.q_proj.weight"),
            "k": Source("model.layers.{i}.self_attn.k_proj.weight"),
            "v": Source("model.layers.{i}.self_attn.v_proj.weight"),
            "o": Source("model.layers.{i}.self_attn.o_proj.weight", transposed=True),
            "up": Source("model.layers.{i}.mlp.up_proj.weight"),
            "down": Source("model.layers.{i}.mlp.down_proj.weight", transposed=True),
        }
    ),
    attention_norm="model.layers.{i}.input_layernorm.weight",
    ffn_norm="model.layers.{i}.post_attention_layernorm.weight",
    gate=Source("model.layers.{i}.mlp.gate_proj.weight"),
)

FAMILIES: tuple[Family, ...] = (LLAMA,)


def family_of(architecture: str, families: tuple[Family, ...] = FAMILIES) -> Family | None:
    """The family that an entry of config.json's `architectures` belongs to, or None."""
    return next((family for family in families if architecture in family.architectures), None)


def supported_architectures(families: tuple[Family, ...] = FAMILIES) -> tuple[str, ...]:
    """Every architecture name that can be read, sorted."""
    return tuple(sorted(name for family in families for name in family.architectures))
