"""The published circuits for comparisons: settings, graphs, documents. No proofs: tests/adversarial makes those."""

from __future__ import annotations

import json
import shutil

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from circuits import keys
from circuits.comparisons import (
    KINDS,
    NAME_SUFFIX,
    SIMILARITY,
    THRESHOLD,
    comparisons_folder,
    load_similarity_circuit,
)
from circuits.errors import CircuitError, UsageError
from circuits.profiles import load_profile, published
from circuits.similarity_circuit import similarity_graph
from circuits.size_classes import size_class
from circuits.threshold_circuit import SCALE, threshold_graph
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def circuit(profile):
    return load_similarity_circuit(profile)


PUBLISHED = [(load_profile(name), kind) for name in published() for kind in KINDS]
NAMES = [profile.name + NAME_SUFFIX[kind] for profile, kind in PUBLISHED]
VALUES = {SIMILARITY: 18, THRESHOLD: 13}
GRAPHS = {SIMILARITY: similarity_graph, THRESHOLD: threshold_graph}


@pytest.mark.parametrize(("profile", "kind"), PUBLISHED, ids=NAMES)
def test_settings_are_those_that_soundness_needs(profile, kind):
    circuit = load_similarity_circuit(profile, kind=kind)
    files = circuit.circuit.files
    keys.check_settings(files.settings, kind, profile.size)
    settings = json.loads(files.settings.read_text())
    assert settings["model_instance_shapes"] == [[VALUES[kind]]]
    assert settings["model_output_scales"] == [circuit.scale] == [SCALE]
    # two divisions, each once: every entry of a side is rounded once for all sums
    rescaled = [e for e in settings["einsum_params"]["equations"] if e[1].get("b") == 256]
    assert len(rescaled) == 6, "ezkl writes three equations a division"
    if kind == THRESHOLD:
        # the sum of products: three of its division and one of the ReLU, which is what keeps it from wrapping
        assert len([e for e in settings["einsum_params"]["equations"] if e[1].get("a") == 1]) == 4
        assert settings["model_input_scales"] == [0, 0, 0]


@pytest.mark.parametrize(("profile", "kind"), PUBLISHED, ids=NAMES)
def test_the_published_graph_is_the_one_in_the_code(profile, kind):
    circuit = load_similarity_circuit(profile, kind=kind)
    graph = GRAPHS[kind](profile.size, profile.g, profile.shift)
    assert circuit.circuit.files.onnx.read_bytes() == graph.SerializeToString(deterministic=True)
    assert circuit.circuit.files.usable_rows >= profile.size.length
    assert circuit.document["circuit"] == {**circuit.document["circuit"], **circuit.circuit.files.digests()}


def test_the_graph_computes_the_sums():
    size, g, shift = size_class("tiny"), 16, 50
    model = similarity_graph(size, g, shift)
    onnx.checker.check_model(model)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, size.length)).astype(np.float32) * 2.0**shift
    (sums,) = ReferenceEvaluator(model).run(None, {"a": a, "b": b})
    x, y = (v[: 6 * g * g].reshape(6, g * g).astype(np.float64) / 2.0**shift for v in (a, b))
    expected = np.concatenate([(u * v).sum(axis=1) for u, v in ((x, x), (y, y), (x, y))])
    assert np.allclose(sums, expected, rtol=1e-4, atol=1e-3)


def test_the_graph_computes_what_is_missing():
    """0 up to the sum of products, and from there on the difference."""
    size, g, shift = size_class("tiny"), 16, 50
    model = threshold_graph(size, g, shift)
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, size.length)).astype(np.float32) * 2.0**shift
    x, y = (v[: 6 * g * g].astype(np.float64) / 2.0**shift for v in (a, b))
    for difference, missing in ((-5.0, 0.0), (-1e6, 0.0), (5.0, 5.0), (1e3, 1e3)):
        threshold = np.array([((x * y).sum() + difference) * 2.0**SCALE], dtype=np.float32)
        (values,) = ReferenceEvaluator(model).run(None, {"a": a, "b": b, "threshold": threshold})
        assert np.allclose(values[:6], (x * x).reshape(6, -1).sum(axis=1), rtol=1e-4)
        assert np.allclose(values[6:12], (y * y).reshape(6, -1).sum(axis=1), rtol=1e-4)
        assert values[12] == pytest.approx(missing, abs=1e-2)


def test_it_goes_with_a_profile_of_the_same_vectors_alone(profile, circuit, tmp_path):
    """Another encoder or generator changes nothing; another shift, g, SRS or size class has no circuit."""
    folder = tmp_path / "published" / "tiny-dev"
    shutil.copytree(comparisons_folder() / "tiny-dev", folder)
    assert load_similarity_circuit(profile, folder.parent).sha256 == circuit.sha256
    path = folder / "circuit.json"
    document = json.loads(path.read_text())
    for change in ({"shift": 51}, {"g": 8}, {"srs": {"sha256": "0", "verify_sha256": "0"}}, {"size_class": {}}):
        path.write_text(json.dumps({**document, **change}))
        with pytest.raises(UsageError, match="no similarity circuit"):
            load_similarity_circuit(profile, folder.parent)
    path.write_text(json.dumps(document))
    (folder / "vk.key").write_bytes(b"other")
    with pytest.raises(CircuitError, match="vk is not the file"):
        load_similarity_circuit(profile, folder.parent)


def test_they_are_pinned_in_the_verifier():
    trusted = json.loads((ROOT / "verifier" / "trust.json").read_text())
    found = [load_similarity_circuit(profile, kind=kind) for profile, kind in PUBLISHED]
    assert trusted["comparisons"] == {one.name: one.sha256 for one in found}
    assert set(trusted["comparisons"]) == set(NAMES)
