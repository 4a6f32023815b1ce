"""What a family of architectures is made of: roles, packing, norms, names in config.json (docs/families.md).

The rows themselves are in `prover/checkpoint/families.py`. Pure: nothing here reads a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]

ROLES = ("q", "k", "v", "o", "up", "down")
"""Roles of the matrices of one layer, in the order they are committed."""

WRITING_ROLES = ("o", "down")
"""Roles that write to the residual stream; the others read it, most of them through a norm."""

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


def _grouped() -> Packing:
    """One key/value head after another: its `rep` query heads, its key head, its value head.

    With as many key/value heads as heads that is q, k, v head by head (GPT-NeoX, BLOOM); with one of them it is all
    queries, then the key, then the value (Falcon-7B).
    """

    def total_rows(shape: Shape, _role: str) -> int:
        return (shape.heads + 2 * shape.kv_heads) * shape.head_dim

    def pick(tensor: FloatArray, shape: Shape, role: str) -> FloatArray:
        rep = shape.query_group
        groups = tensor.reshape(shape.kv_heads, rep + 2, shape.head_dim, tensor.shape[1])
        chosen = {"q": groups[:, :rep], "k": groups[:, rep], "v": groups[:, rep + 1]}[role]
        return chosen.reshape(shape.rows(role), tensor.shape[1])

    return Packing(total_rows, pick)


WHOLE = Packing(lambda shape, role: shape.rows(role), lambda tensor, _shape, _role: tensor)
STACKED_QKV = _stacked(("q", "k", "v"))
GROUPED_QKV = _grouped()
STACKED_GATE_UP = _stacked(("gate", "up"))


@dataclass(frozen=True)
class Source:
    """Where a role's rows are stored. `{i}` in `tensor` stands for the layer's index.

    `transposed`: stored as [d, rows] instead of [rows, d] (`Linear` that writes, `Conv1D` that reads).
    A bias beside the weight is never read: it does not depend on the token, so no term has a place for it.
    """

    tensor: str
    transposed: bool = False
    packing: Packing = WHOLE


@dataclass(frozen=True)
class ConfigKeys:
    """Names that config.json uses for the model's shape; several names for one field are synonyms."""

    hidden_size: tuple[str, ...] = ("hidden_size",)
    heads: tuple[str, ...] = ("num_attention_heads",)
    kv_heads: tuple[str, ...] = ("num_key_value_heads",)
    head_dim: tuple[str, ...] = ("head_dim",)
    intermediate_size: tuple[str, ...] = ("intermediate_size",)
    num_layers: tuple[str, ...] = ("num_hidden_layers",)
    vocab_size: tuple[str, ...] = ("vocab_size",)


@dataclass(frozen=True)
class Need:
    """A field of config.json that must have one of the values `allowed`.

    `key`: dots go into objects. `absent`: what a missing field or null means. `reason`: why others are refused.
    `same_as`: instead of `allowed`, the value must equal that of this other key.
    """

    key: str
    allowed: tuple[object, ...] = ()
    absent: object = None
    reason: str = ""
    same_as: str = ""

    def found(self, config: Mapping[str, Any]) -> object:
        """The field's value in `config`, or `absent`."""
        value = _nested(config, self.key)
        return self.absent if value is None else value

    def met(self, config: Mapping[str, Any]) -> bool:
        """True if `config` has a value that this family's reading is right for."""
        found = self.found(config)
        if self.same_as:
            other = _nested(config, self.same_as)
            return found is None or (found == other and type(found) is type(other))
        # True == 1 in Python, and 1.0 == 1: only the same type counts
        return any(found == value and type(found) is type(value) for value in self.allowed)

    def misplaced(self, config: Mapping[str, Any]) -> str:
        """The key of what should be an object on the way to the field, and is none; "" if there is no such thing."""
        outer, _, inner = self.key.rpartition(".")
        value = _nested(config, outer) if inner and outer else None
        return "" if value is None or isinstance(value, Mapping) else outer

    def mistyped(self, config: Mapping[str, Any]) -> bool:
        """True if the field is there with a value of another type than any that is allowed: 1 or "yes" for true."""
        value = _nested(config, self.key)
        return bool(self.allowed) and value is not None and type(value) not in {type(one) for one in self.allowed}


def _nested(config: Mapping[str, Any], key: str) -> object:
    value: Any = config
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


NormKind = Literal["rms", "rms_plus_one", "layernorm"]


def norm_factor(kind: NormKind, weight: FloatArray) -> npt.NDArray[np.float64]:
    """float64, shape of `weight`: what a norm of this kind multiplies each dimension with."""
    factor = weight.astype(np.float64)
    return factor + 1.0 if kind == "rms_plus_one" else factor


@dataclass(frozen=True)
class HeadNorm:
    """A norm of queries or keys after their projection, before RoPE (protocol section 3, Norms of queries and keys).

    `tensor`: its weight, `{i}` the layer. Stored [head_dim] for all heads alike; with `{h}` in the name one tensor
    [head_dim] a head; with `whole` one tensor [rows], and all heads are normalised as one vector.
    """

    tensor: str
    kind: NormKind = "rms"
    whole: bool = False


@dataclass(frozen=True)
class Family:
    """One family of architectures: the roles of its tensors, its norms, its config.json.

    `roles` has a source for each of `ROLES`, and for "gate" where the feed-forward part has one.
    `attention_norm`, `ffn_norm` feed the roles that read; `attention_post_norm`, `ffn_post_norm` are applied to what
    `o` and `down` write. `head_norms`: norms of "q" and "k". `embedding_norm`: a LayerNorm of embedding rows.
    `when`: chooses among rows for the same architecture; `needs`: what is refused otherwise.
    `section`: object inside config.json that holds the sizes. `defaults`: sizes that the architecture has when
    config.json does not name them, by field of `ConfigKeys`; `ffn_multiple` is that of the feed-forward part.
    `aliases`: (stored prefix, prefix in this table) of tensor names; `aliases_only`: the latter is never stored.
    """

    name: str
    architectures: tuple[str, ...]
    embedding: str
    roles: Mapping[str, Source]
    attention_norm: str | None
    ffn_norm: str | None
    norm: NormKind = "rms"
    attention_post_norm: str | None = None
    ffn_post_norm: str | None = None
    head_norms: Mapping[str, HeadNorm] = field(default_factory=lambda: MappingProxyType({}))
    embedding_norm: str | None = None
    keys: ConfigKeys = field(default_factory=ConfigKeys)
    section: str = ""
    defaults: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    ffn_multiple: tuple[str, int] | None = None
    when: tuple[Need, ...] = ()
    needs: tuple[Need, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    aliases_only: bool = False

    @property
    def gate(self) -> Source | None:
        """Where the gate of the feed-forward part is stored, or None if it has none."""
        return self.roles.get("gate")

    def norm_tensor(self, role: str) -> str | None:
        """Name pattern of the norm weight that multiplies the columns of `role`, or None."""
        if role in ("up", "gate"):
            return self.ffn_norm
        if role in WRITING_ROLES:
            return self.attention_post_norm if role == "o" else self.ffn_post_norm
        return self.attention_norm

    @property
    def centred(self) -> bool:
        """True if rows lose their mean: LayerNorm models do not see it."""
        return self.norm == "layernorm"

    def column_scale(self, norm_weight: FloatArray) -> npt.NDArray[np.float64]:
        """float64 [d]: what the norm multiplies each hidden dimension with."""
        return norm_factor(self.norm, norm_weight)

    def second_names(self, stored: Iterable[str]) -> dict[str, str]:
        """Stored names that are another one but for the prefix, and that one: programs take the one or the other."""
        pairs = zip(self.embedding.split("."), self.roles["o"].tensor.split("."), strict=False)
        words = {word for word, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)}
        words |= {word for alias in self.aliases for prefix in alias for word in prefix.split(".")}
        groups: dict[str, list[str]] = {}
        for name in sorted(stored):
            parts = name.split(".")
            while len(parts) > 1 and parts[0] in words:
                parts.pop(0)
            groups.setdefault(".".join(parts), []).append(name)
        return {name: next(n for n in group if n != name) for group in groups.values() if group[1:] for name in group}

    def canonical_names(self, stored: Mapping[str, Any]) -> dict[str, str]:
        """Stored tensor names by this table's name: the same, or with a prefix of `aliases` replaced."""
        if self.aliases_only or self.embedding not in stored:
            for there, here in self.aliases:
                if there + self.embedding.removeprefix(here) in stored:
                    return {here + name.removeprefix(there): name for name in stored if name.startswith(there)}
        return {} if self.aliases_only else {name: name for name in stored}

    def stored_name(self, name: str) -> str:
        """What a tensor of this table that is not there should be stored as, for messages."""
        there, here = self.aliases[0] if self.aliases_only else ("", "")
        return there + name.removeprefix(here)
