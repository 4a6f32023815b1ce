"""config.json read twice: what both sides accept they read the same, whatever is left out or changed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from circuits.errors import CheckpointError
from prover.config import parse_config
from prover.families import FAMILY_NAMES, supported_architectures
from verifier.errors import BadOpening
from verifier.families import FAMILIES
from verifier.model_config import describe

pytest.importorskip("torch")
pytest.importorskip("transformers")

from family_models import KINDS, config_json

FILE = Path("config.json")
VALUES = (None, True, False, 1, 2, 4, 8, 48, "x", 1.5, {}, 10**30, -1)
# The prover takes a size that the architecture does not have; then no tensor of a published checkpoint fits.
PROVER_ONLY = {"baichuan": ("num_key_value_heads", "head_dim")}


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
def test_what_both_accept_they_read_the_same(name: str) -> None:
    config = config_json(KINDS[name])
    expected = by_prover(config)
    assert expected is not None
    assert by_verifier(config) == expected
    inside = "text_config" if "text_config" in config else None
    fields = config[inside] if inside else config
    family = str(expected["family"])
    for key in [*fields, "quantization_config", "compression_config"]:
        if key in PROVER_ONLY.get(family, ()):
            continue
        for value in VALUES:
            changed = copy.deepcopy(config)
            (changed[inside] if inside else changed)[key] = value
            prover, verifier = by_prover(changed), by_verifier(changed)
            assert prover is None or verifier is None or prover == verifier, (key, value)
        changed = copy.deepcopy(config)
        (changed[inside] if inside else changed).pop(key, None)
        assert by_verifier(changed) == by_prover(changed), key
