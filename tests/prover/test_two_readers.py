"""Prover and verifier read every family by code of their own: their 13 quantized matrices are the same bytes."""

import hashlib
from pathlib import Path

import pytest
from small_models import RULES, load

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from family_models import KINDS, new_model, save, save_changed  # noqa: E402

from verifier.checkpoint import Tensors, read_tokens  # noqa: E402
from verifier.folding import quantized_matrices  # noqa: E402
from verifier.model_config import read_model  # noqa: E402


def verifier_digest(folder: Path) -> bytes:
    """weights_sha256 of docs/protocol.md section 7, by the verifier's reading."""
    family, model = read_model(folder)
    tokens = read_tokens(folder, model.vocab_size, RULES.g, RULES.k_max)
    digest, names = hashlib.sha256(), []
    for name, matrix in quantized_matrices(Tensors(folder), family, model, tokens.ids):
        label = name.encode()
        digest.update(len(label).to_bytes(4, "big") + label)
        digest.update(matrix.shape[0].to_bytes(4, "big") + matrix.shape[1].to_bytes(4, "big") + matrix.tobytes())
        names.append(name)
    assert len(names) == 13
    return digest.digest()


@pytest.mark.parametrize("changed", [False, True], ids=["new", "changed"])
@pytest.mark.parametrize("name", KINDS)
def test_the_same_bytes(name: str, changed: bool, tmp_path: Path) -> None:
    kind = KINDS[name]
    if changed:
        save_changed(kind, new_model(kind, seed=3), tmp_path)
    else:
        save(kind, new_model(kind), tmp_path)
    by_prover = load(tmp_path)
    family, model = read_model(tmp_path)
    assert {**vars(model), "layers": list(model.layers)} == by_prover.shape.as_statement()
    assert family.name == model.family == by_prover.shape.family
    assert verifier_digest(tmp_path) == by_prover.weights_sha256
