"""Step 11: the family and the architecture that a checkpoint's config.json describes.

Source: docs/families.md, "Names and sizes". Whatever is not said there is `BadOpening`: undecided.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from verifier.formats import limits
from verifier.formats.errors import BadOpening
from verifier.opening.checkpoint import bad, json_object, read_file
from verifier.opening.families import FAMILIES, MODEL_TYPES, Family, HeadNorm, Switch
from verifier.statement.statement import Model


def read_model(folder: Path) -> tuple[Family, Model]:
    """The family's row, with the config's switches applied, and the sizes.

    Raises:
        BadOpening: config.json is missing or damaged, or describes what cannot be opened.
    """
    path = folder / "config.json"
    return describe(json_object(read_file(path, limits.MAX_CONFIG_BYTES), path), path)


def describe(config: dict[str, Any], path: Path) -> tuple[Family, Model]:
    """The same for a parsed config.json; `path` is for messages.

    Raises:
        BadOpening: see `read_model`.
    """
    listed = config.get("architectures")
    (name,) = listed if isinstance(listed, list) and len(listed) == 1 else (None,)
    family = next((row for row in FAMILIES if name in row.classes), None)
    if family is None:
        known = ", ".join(sorted({row.name for row in FAMILIES}))
        raise bad(path, f"architectures: {ascii(listed)[:80]} cannot be opened", f"families that can: {known}")
    stated, wanted = config.get("model_type"), MODEL_TYPES[str(name)]
    if stated is not None and stated != wanted:
        raise bad(path, f"model_type: {ascii(stated)[:40]}, that of {name} is {wanted}: two models in one file")
    for key in ("quantization_config", "compression_config"):
        if config.get(key) is not None:
            raise bad(path, f"{key}: quantized weights", "give the release that they were made from")
    if config.get("transformers_weights") is not None:  # transformers loads that file instead
        raise bad(path, "transformers_weights: other weights than model.safetensors")
    reader = _Config(config, path)
    if family.inside:
        reader = _Config(reader.take(family.inside, dict, {}), path, family.inside + ".")
    family = _with_switches(family, reader)
    return family, _sizes(family, reader)


class _Config:
    """config.json, or an object in it; `null` is as good as absent."""

    def __init__(self, fields: dict[str, Any], path: Path, place: str = "") -> None:
        self._fields, self._path, self._place = fields, path, place

    def bad(self, key: str, what: str) -> BadOpening:
        return bad(self._path, f"{self._place}{key}: {what}")

    def take(self, key: str, kind: type, default: Any) -> Any:
        """The value under `key`, which is of `kind` exactly."""
        value = self._fields.get(key)
        if value is None:
            return default
        if type(value) is not kind:
            raise self.bad(key, f"{ascii(value)[:40]} is not of type {kind.__name__}")
        return value

    def size(self, keys: tuple[str, ...], default: int | None = None) -> int:
        """The size under whichever of `keys` is there; under two of them it is the same."""
        found = {value for key in keys if (value := self.take(key, int, None)) is not None}
        if not found and default is not None:
            found = {default}
        if len(found) != 1:
            raise self.bad(" or ".join(keys) or "a size", "missing" if not found else "two values")
        (value,) = found
        if not 1 <= value <= limits.MAX_DIMENSION:
            raise self.bad(" or ".join(keys), "not a size")
        return int(value)

    def check(self, switch: Switch) -> None:
        """Refuse a checkpoint that computes something else."""
        outer, _, inner = switch.key.rpartition(".")
        fields = self.take(outer, dict, {}) if outer else self._fields
        value = fields.get(inner)
        value = switch.default if value is None else value
        if type(value) is not type(switch.needed) or value != switch.needed:
            raise self.bad(switch.key, f"{ascii(value)[:40]} cannot be opened, only {switch.needed!a}")


def _with_switches(family: Family, config: _Config) -> Family:
    """The row for this config: what falcon's and stablelm's switches change, what others' must be."""
    for switch in family.switches:
        config.check(switch)
    if family.name == "falcon":
        return _falcon(family, config)
    if family.name == "stablelm":
        if config.take("use_parallel_residual", bool, False):
            family = replace(family, ffn_norm=family.attention_norm)
        if config.take("qk_layernorm", bool, False):
            norms = ("self_attn.q_layernorm", "self_attn.k_layernorm")
            family = replace(family, head_norm=HeadNorm.EACH_HEAD, head_norms=norms)
    return family


def _falcon(family: Family, config: _Config) -> Family:
    if config.take("new_decoder_architecture", bool, False):
        config.check(Switch("parallel_attn", True, True))
        norms = config.take("num_ln_in_parallel_attn", int, 2)
        if norms not in (1, 2):
            raise config.bad("num_ln_in_parallel_attn", "neither 1 nor 2")
        names = ("ln_attn", "ln_mlp") if norms == 2 else (family.attention_norm, family.attention_norm)
        sizes = replace(family.sizes, kv_heads=("num_kv_heads",))
        return replace(family, attention_norm=names[0], ffn_norm=names[1], sizes=sizes)
    if config.take("parallel_attn", bool, True):
        family = replace(family, ffn_norm=family.attention_norm)
    if config.take("multi_query", bool, True):
        family = replace(family, sizes=replace(family.sizes, defaults=(("kv_heads", 1),)))
    return family


def _sizes(family: Family, config: _Config) -> Model:
    names, defaults = family.sizes, dict(family.sizes.defaults)
    hidden = config.size(names.hidden_size)
    heads = config.size(names.heads, defaults.get("heads"))
    factor = names.ffn_factor
    if names.ffn_factor_key:
        factor = config.size((names.ffn_factor_key,), factor)
    layers = config.size(names.num_layers)
    if layers < 2:
        raise config.bad(" or ".join(names.num_layers), "at least 2 layers are needed")
    model = Model(
        family=family.name,
        hidden_size=hidden,
        heads=heads,
        kv_heads=config.size(names.kv_heads, defaults.get("kv_heads", heads)),
        head_dim=config.size(names.head_dim, defaults.get("head_dim", None if hidden % heads else hidden // heads)),
        intermediate_size=config.size(names.intermediate_size, None if factor is None else factor * hidden),
        num_layers=layers,
        layers=(layers - 2, layers - 1),
        vocab_size=config.size(names.vocab_size, defaults.get("vocab_size")),
    )
    if model.heads % model.kv_heads:
        raise config.bad("heads", f"{model.heads} heads, {model.kv_heads} key/value heads")
    if family.name == "opt" and config.size(("word_embed_proj_dim",), hidden) != hidden:
        raise config.bad("word_embed_proj_dim", "embeddings of another width cannot be opened")
    return model
