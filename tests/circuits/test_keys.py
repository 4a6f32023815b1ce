"""`huref circuits check` and the first build of a key: what comes out must be the published verification key."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from circuits import keys, srs
from circuits.activation_circuit import CIRCUIT
from circuits.comparisons import KINDS
from circuits.digests import sha256_file
from circuits.errors import CircuitError
from circuits.profiles import CIRCUITS, CircuitFiles
from prover.cli import huref
from tests.circuits.graphs import weights_times
from tests.circuits.small import SIZE, K, compile_graph

WEIGHTS = np.arange(12).reshape(3, 4) - 5


@pytest.fixture(scope="module")
def small(folder, small_srs) -> keys.Published:
    """A circuit with weights as if it had been published."""
    made = compile_graph(weights_times(WEIGHTS), folder / "published", small_srs, "link").set_up()
    files = CircuitFiles("link", made.folder / "circuit.onnx", made.settings, made.vk, 0, 0)
    return keys.Published(files, sha256_file(made.vk), small_srs, SIZE)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "huref-zk" / "keys"


def other_weights(published: keys.Published, tmp_path) -> keys.Published:
    onnx.save(weights_times(WEIGHTS + np.eye(3, 4, dtype=int)), str(tmp_path / "other.onnx"))
    return replace(published, files=replace(published.files, onnx=tmp_path / "other.onnx"))


def other_srs(published: keys.Published, tmp_path) -> keys.Published:
    srs.generate_development(tmp_path / "other.srs", K)
    return replace(published, srs=tmp_path / "other.srs")


def other_digest(published: keys.Published, _tmp_path) -> keys.Published:
    return replace(published, vk_sha256="0" * 64)


def test_check_builds_the_published_key_again(small):
    keys.check(small)


@pytest.mark.parametrize("change", [other_weights, other_srs, other_digest])
def test_check_refuses_another_key(small, tmp_path, change):
    with pytest.raises(CircuitError, match=r"link circuit's verification key came out as [0-9a-f]{64}, published is"):
        keys.check(change(small, tmp_path))


def test_a_key_is_built_once(small, cache):
    said: list[str] = []
    key = keys.key_of(small, said.append)
    assert key.pk.is_file() and key.compiled.is_file()
    assert keys.key_of(small, said.append) == key
    (notice,) = said
    assert str(cache / small.vk_sha256) in notice and "half a minute" in notice


def test_a_key_that_came_out_otherwise_is_not_kept(small, cache, tmp_path):
    with pytest.raises(CircuitError, match="came out as"):
        keys.key_of(other_weights(small, tmp_path))
    assert list(cache.iterdir()) == []


def test_a_key_that_another_process_built_meanwhile_stays(small, cache, monkeypatch):
    """Its prover may be about to read it: the slower of two replaces nothing."""
    build, first = keys._build_published, []

    def slower(circuit: keys.Published, folder):
        monkeypatch.setattr(keys, "_build_published", build)
        first.append(keys.key_of(circuit).pk.stat())
        return build(circuit, folder)

    monkeypatch.setattr(keys, "_build_published", slower)
    key = keys.key_of(small)
    assert [key.pk.stat()] == first
    assert list(cache.iterdir()) == [cache / small.vk_sha256]


def test_a_key_of_which_a_part_is_gone_is_built_again(small, cache):
    key = keys.key_of(small)
    key.compiled.unlink()
    assert keys.key_of(small) == key
    assert [path.name for path in cache.iterdir()] == [small.vk_sha256]
    assert {path.name for path in (cache / small.vk_sha256).iterdir()} == {"pk.key", "circuit.ezkl"}


@pytest.mark.parametrize("damaged", [None, "encoder"])
def test_the_command_checks_every_circuit(profile, monkeypatch, damaged):
    """Rebuilding the published ones takes half a minute, so here it is only seen to be asked for."""
    seen = {}

    def check(circuit: keys.Published) -> None:
        seen[circuit.files.name] = circuit.vk_sha256
        if circuit.files.name == damaged:
            raise CircuitError("the encoder circuit's verification key came out as another", step="setup")

    monkeypatch.setattr(keys, "check", check)
    result = CliRunner().invoke(huref, ["circuits", "check"])
    published = {name: profile.document["circuits"][name]["vk"] for name in CIRCUITS}
    if damaged:
        assert result.exit_code == 2
        assert "came out as another" in result.output
        assert "encoder    verification key rebuilt" not in result.output
        return
    assert result.exit_code == 0, result.output
    assert {name: seen[name] for name in CIRCUITS} == published
    assert set(seen) == {*CIRCUITS, *KINDS, CIRCUIT}
    for name, vk in seen.items():
        assert f"{name:<10} verification key rebuilt: {vk}" in result.output
