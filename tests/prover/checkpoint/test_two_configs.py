"""config.json read twice: what both sides accept they read the same, whatever is left out or changed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from circuits.errors import CheckpointError
from prover.checkpoint.config import parse_config
from prover.checkpoint.families import FAMILIES as PROVER_FAMILIES
from prover.checkpoint.families import FAMILY_NAMES, supported_architectures
from prover.checkpoint.families import MODEL_TYPES as PROVER_TYPES
from verifier.formats.errors import BadOpening
from verifier.opening.families import FAMILIES, MODEL_TYPES
from verifier.opening.model_config import describe

pytest.importorskip("torch")
pytest.importorskip("transformers")

from tests.prover.checkpoint.family_models import KINDS, config_json

FILE = Path("config.json")
VALUES = (None, True, False, 0, 1, 2, 3, 4, 8, 48, "x", "true", 1.0, 2.0, 4.0, 32.0, 1.5, {}, [], 10**30, -1)


def known_keys() -> set[str]:
    """Whatever either table looks at in config.json; of what lies in an object, the object."""
    keys = {"quantization_config", "compression_config", "ffn_config"}
    for row in FAMILIES:
        keys |= {switch.key for switch in row.switches}
        keys |= {name for names in vars(row.sizes).values() if isinstance(names, tuple) for name in names if name}
    for family in PROVER_FAMILIES:
        keys |= {need.key for need in (*family.when, *family.needs)}
        keys |= {name for names in vars(family.keys).values() for name in names}
    return {key.split(".")[0] for key in keys if isinstance(key, str)}


def by_prover(config: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return parse_config(copy.deepcopy(config), FILE)[1].as_statement()
    except CheckpointError:
        return None


def by_verifier(config: dict[str, Any]) -> dict[str, Any] | None:
    try:
        model = describe(copy.deepcopy(config), FILE)[1]
    except BadOpening:
        return None
    return {**vars(model), "layers": list(model.layers)}


def test_the_same_families_and_classes() -> None:
    assert {row.name for row in FAMILIES} == set(FAMILY_NAMES)
    assert {name for row in FAMILIES for name in row.classes} == set(supported_architectures())


@pytest.mark.parametrize("name", KINDS)
def test_what_the_prover_accepts_the_verifier_reads_the_same(name: str) -> None:
    """A model that was proven can be opened. The other way round the prover may refuse more, and does (MPT)."""
    config = config_json(KINDS[name])
    expected = by_prover(config)
    assert expected is not None
    assert by_verifier(config) == expected
    inside = "text_config" if "text_config" in config else None
    keys = sorted(known_keys() | set(config[inside] if inside else config))
    for key in keys:
        for value in VALUES:
            changed = copy.deepcopy(config)
            (changed[inside] if inside else changed)[key] = value
            prover = by_prover(changed)
            assert prover is None or by_verifier(changed) == prover, (key, value)
        changed = copy.deepcopy(config)
        (changed[inside] if inside else changed).pop(key, None)
        assert by_verifier(changed) == by_prover(changed), key


MPT_MODEL = {
    "architectures": ["MptForCausalLM"],
    "d_model": 64,
    "n_heads": 8,
    "n_layers": 4,
    "vocab_size": 300,
}
FALCON_MODEL = {
    "architectures": ["FalconForCausalLM"],
    "hidden_size": 64,
    "num_attention_heads": 8,
    "num_kv_heads": 2,
    "num_hidden_layers": 4,
    "vocab_size": 300,
}
STABLELM_MODEL = {
    "architectures": ["StableLmForCausalLM"],
    "hidden_size": 64,
    "num_attention_heads": 8,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "vocab_size": 300,
}
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (MPT_MODEL, {"attn_config": [1]}, "field attn_config: not an object"),
    (MPT_MODEL, {"attn_config": "x"}, "field attn_config: not an object"),
    (FALCON_MODEL, {"new_decoder_architecture": True, "parallel_attn": False}, "field parallel_attn: False"),
    (FALCON_MODEL, {"new_decoder_architecture": 1}, "field new_decoder_architecture: 1 is not true or false"),
    (FALCON_MODEL, {"multi_query": "yes"}, "field multi_query: 'yes' is not true or false"),
    (
        FALCON_MODEL,
        {"new_decoder_architecture": True, "num_ln_in_parallel_attn": 3},
        "field num_ln_in_parallel_attn: 3 is not supported",
    ),
    (STABLELM_MODEL, {"use_parallel_residual": 1}, "field use_parallel_residual: 1 is not true or false"),
    (STABLELM_MODEL, {"qk_layernorm": "false"}, "field qk_layernorm: 'false' is not true or false"),
    (STABLELM_MODEL, {"quantization_config": {}}, "field quantization_config: quantized"),
    (STABLELM_MODEL, {"compression_config": False}, "field compression_config: quantized"),
]


@pytest.mark.parametrize(("model", "changes", "words"), REFUSED)
def test_both_refuse_and_the_prover_names_the_field(model: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    assert by_verifier(model) == by_prover(model) is not None
    assert by_verifier({**model, **changes}) is None
    with pytest.raises(CheckpointError) as caught:
        parse_config({**model, **changes}, FILE)
    assert f"config.json: {words}" in caught.value.message


def test_the_same_types_of_model() -> None:
    assert dict(PROVER_TYPES) == MODEL_TYPES


def test_the_same_prefixes_of_tensors() -> None:
    """Under whatever prefix the prover finds an embedding, the verifier does, and under no other."""
    fronts = {front for row in FAMILIES for front in row.prefixes}
    for row in FAMILIES:
        expected = {f"{front}{row.embedding}.weight" for front in row.prefixes}
        for family in (family for family in PROVER_FAMILIES if set(family.architectures) & set(row.classes)):
            names = [f"{front}{row.embedding}.weight" for front in fronts]
            found = {name for name in names if family.canonical_names({name: None}).get(family.embedding) == name}
            assert found == expected, row.classes
