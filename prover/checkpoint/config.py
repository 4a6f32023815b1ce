"""From config.json to a family and a shape (docs/protocol.md section 3, docs/families.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prover.checkpoint.families import FAMILIES, MODEL_TYPES, family_of, refusal, supported_architectures
from prover.checkpoint.family import LAYERS_USED, Family, Shape
from prover.formats.bounded_files import fault, short

MAX_DIMENSION = 1 << 24  # any size in config.json; keeps products of two far below 2^63


def parse_config(
    config: Mapping[str, Any], file: Path, families: tuple[Family, ...] = FAMILIES
) -> tuple[Family, Shape]:
    """Family and shape from the object in config.json; `file` is for messages.

    Raises:
        CheckpointError: unsupported architecture, quantized weights, a missing or impossible size.
    """
    family = _family(config, file, families)
    for need in family.needs:
        if need.misplaced(config):
            raise fault(file, f"field {need.misplaced(config)}: not an object")
        if not need.met(config):
            raise fault(
                file,
                f"field {need.key}: {short(need.found(config))} is not supported for family {family.name}",
                need.reason,
            )
    sizes = _Sizes(config, family, file)
    hidden = sizes.read("hidden_size")
    heads = sizes.read("heads")
    kv_heads = sizes.read("kv_heads", heads)
    if heads % kv_heads:
        raise fault(file, f"field {sizes.name('kv_heads')}: {kv_heads} does not divide {sizes.name('heads')} = {heads}")
    head_dim = sizes.read("head_dim", 0)
    if head_dim == 0 and hidden % heads:
        raise fault(
            file, f"field {sizes.name('heads')}: {heads} does not divide {sizes.name('hidden_size')} = {hidden}"
        )
    layers = sizes.read("num_layers")
    if layers < LAYERS_USED:
        raise fault(file, f"field {sizes.name('num_layers')}: {layers}, at least {LAYERS_USED} layers are needed")
    shape = Shape(
        family=family.name,
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim or hidden // heads,
        intermediate_size=sizes.read("intermediate_size", sizes.ffn_default(hidden)),
        num_layers=layers,
        layers=(layers - 2, layers - 1),
        vocab_size=sizes.read("vocab_size"),
    )
    return family, shape


def _family(config: Mapping[str, Any], file: Path, families: tuple[Family, ...]) -> Family:
    listed = config.get("architectures")
    architecture = listed[0] if isinstance(listed, list) and len(listed) == 1 else None
    for row in families:
        for need in row.when if architecture in row.architectures else ():
            if need.mistyped(config):
                kind = "true or false" if isinstance(need.allowed[0], bool) else "an integer"
                raise fault(file, f"field {need.key}: {short(need.found(config))} is not {kind}")
    family = family_of(architecture, families, config) if isinstance(architecture, str) else None
    if family is None:
        reason = refusal(architecture, config) if isinstance(architecture, str) else ""
        known = family_of(architecture, FAMILIES, config) if isinstance(architecture, str) else None
        if known is not None:
            reason = f"family {known.name} can be compared (huref ics), but is not among those of this profile"
        raise fault(
            file,
            f"field architectures: {short(listed)} is not supported",
            f"{reason + '; ' if reason else ''}supported: " + ", ".join(supported_architectures(families)),
        )
    model_type = config.get("model_type")
    if model_type is not None and model_type != MODEL_TYPES[str(architecture)]:
        raise fault(
            file,
            f"field model_type: {short(model_type)}, that of {architecture} is {MODEL_TYPES[str(architecture)]}",
            "programs go by the one or the other: take config.json from the original release",
        )
    if config.get("transformers_weights") is not None:
        name = short(config["transformers_weights"])
        hint = "take the field away, or give a folder whose weights are in model.safetensors or the shards of its index"
        raise fault(file, f"field transformers_weights: {name}, other weights than model.safetensors", hint)
    for key in ("quantization_config", "compression_config"):
        quantization = config.get(key)
        if quantization is not None:
            method = quantization.get("quant_method") if isinstance(quantization, dict) else None
            raise fault(
                file,
                f"field {key}: quantized weights ({short(method)}) are not supported",
                "use the bf16, f16 or f32 release that they were made from",
            )
    return family


class _Sizes:
    """Sizes in config.json under any of the names that a family's config uses for them."""

    def __init__(self, config: Mapping[str, Any], family: Family, file: Path) -> None:
        section = config.get(family.section) if family.section else config
        if not isinstance(section, Mapping):
            raise fault(file, f"field {family.section}: not an object")
        self._config, self._family, self._file = section, family, file

    def name(self, field: str) -> str:
        """The name that `field` has in this config.json, for messages."""
        keys: tuple[str, ...] = getattr(self._family.keys, field)
        present = [key for key in keys if self._config.get(key) is not None]
        return ".".join(filter(None, (self._family.section, (present or [*keys, field])[0])))

    def read(self, field: str, default: int | None = None) -> int:
        """A size from 1 to MAX_DIMENSION: as stored, else the family's default, else `default`."""
        keys: tuple[str, ...] = getattr(self._family.keys, field)
        values = [self._config[key] for key in keys if self._config.get(key) is not None]
        if not values:
            fallback = self._family.defaults.get(field, default)
            if fallback is not None:
                return fallback
            values = [None]
        value = values[0]
        for one in values:
            if not _is_size(one):
                raise fault(
                    self._file, f"field {self.name(field)}: {short(one)} is not an integer from 1 to {MAX_DIMENSION}"
                )
        if any(other != value for other in values):
            raise fault(self._file, f"fields {', '.join(keys)}: two values for one size: {short(values)}")
        return int(value)

    def ffn_default(self, hidden: int) -> int | None:
        """What `n_inner: null` and the like mean: a multiple of the width `hidden`. None if there is no such rule."""
        if self._family.ffn_multiple is None:
            return None
        key, multiple = self._family.ffn_multiple
        value = self._config.get(key, multiple)
        if not _is_size(value) or not _is_size(value * hidden):
            raise fault(self._file, f"field {key}: {short(value)} is not a small positive integer")
        return int(value) * hidden


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_DIMENSION
