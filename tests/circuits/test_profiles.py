"""The published profiles: what they say is what the code builds, and each file is the one that is named by digest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner

import verifier.trust.profile
from circuits import keys, publish
from circuits.digests import sha256_file
from circuits.encoder_circuit import encoder_circuit_graph
from circuits.errors import CircuitError
from circuits.link_circuit import link_graph
from circuits.profiles import CIRCUITS, FPM_FILES, load_profile, profiles_folder, published
from verifier.formats.errors import BadInstallation

NAMES = list(publish.PUBLISHED)


def test_smallest_first():
    assert [name for name in published() if name not in publish.CEREMONY] == NAMES == ["tiny-dev", "large-dev"]


@pytest.mark.parametrize("name", NAMES)
def test_prover_and_verifier_read_the_same_files(name):
    ours, theirs = load_profile(name), verifier.trust.profile.load_profile(name)
    assert ours.sha256 == theirs.sha256.hex() == verifier.trust.profile.trusted()[name].hex()
    assert (ours.size.name, ours.size.k) == (theirs.size_class.name, theirs.size_class.k)
    assert (ours.size.name, ours.shift) == publish.PUBLISHED[name]
    for file, digest in theirs.files().items():
        verifier.trust.profile.read_trusted_file(theirs.path(file), digest)
    for file in FPM_FILES.values():
        assert ours.fpm(file).samefile(theirs.path(f"fpm/{file}"))


@pytest.mark.parametrize("name", NAMES)
def test_circuits_are_those_that_the_code_builds(name):
    """Without building a key, which takes minutes for `large`: `huref circuits check --profile` does that."""
    profile = load_profile(name)
    encoder = onnx.load(str(profile.fpm("encoder.onnx")))
    graphs = {
        "link": link_graph(profile.size),
        "encoder": encoder_circuit_graph(profile.size, profile.g, profile.shift, encoder),
    }
    for circuit in CIRCUITS:
        files = profile.circuit(circuit)
        assert files.onnx.read_bytes() == graphs[circuit].SerializeToString(deterministic=True)
        keys.check_settings(files.settings, circuit, profile.size)


def test_pictures_of_all_profiles_are_comparable():
    """Same terms, encoder, head and generator: only the size of vectors and the scale of S' differ."""
    first, *others = (load_profile(name).document for name in NAMES)
    for other in others:
        for field in ("fpm", "projection", "tokens", "quantization", "layers", "families", "features", "image"):
            assert other[field] == first[field], field


def copied(folder: Path, name: str) -> Path:
    """A profile and the shared fingerprinting model in another place; the profile's folder."""
    for part in (name, "fpm"):
        shutil.copytree(profiles_folder() / part, folder / part)
    return folder / name


def spoil(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("where", ["shared", "own"])
def test_a_model_file_is_checked_wherever_it_lies(tmp_path, monkeypatch, where):
    """A wrong file is refused, also a profile's own beside a right shared one: nothing is chosen by what fits."""
    folder = copied(tmp_path, "tiny-dev")
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: tmp_path)
    theirs = verifier.trust.profile.load_profile("tiny-dev")
    if where == "own":
        shutil.copytree(tmp_path / "fpm", folder / "fpm")
    load_profile(folder)
    spoil((folder if where == "own" else tmp_path) / "fpm" / "head.npz")
    with pytest.raises(CircuitError, match=r"head\.npz: not the file"):
        load_profile(folder)
    with pytest.raises(BadInstallation, match=r"head\.npz: not the published file"):
        verifier.trust.profile.read_trusted_file(theirs.path("fpm/head.npz"), theirs.fpm.head)


def test_only_the_fingerprinting_model_is_shared(tmp_path):
    copied(tmp_path, "tiny-dev")
    (tmp_path / "tiny-dev" / "link").rename(tmp_path / "link")
    with pytest.raises(CircuitError, match=r"circuit\.onnx: not the file"):
        load_profile(tmp_path / "tiny-dev")
    theirs = verifier.trust.profile.load_profile("tiny-dev")
    assert theirs.path("link/vk.key").parent.parent.name == "tiny-dev"


def test_a_folder_here_does_not_take_a_published_profile_s_place(tmp_path, monkeypatch):
    (tmp_path / "tiny-dev").mkdir()
    (tmp_path / "tiny-dev" / "profile.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert load_profile("tiny-dev").folder == profiles_folder() / "tiny-dev"


def test_publishing_again_pins_a_new_generator_in_every_profile_and_builds_no_key(tmp_path, monkeypatch):
    for name in NAMES:
        folder = tmp_path / publish.PROFILES / name
        shutil.copytree(profiles_folder() / name, folder)
    shutil.copytree(profiles_folder() / "fpm", tmp_path / publish.PROFILES / "fpm")
    before = {name: (tmp_path / publish.PROFILES / name / "profile.json").read_bytes() for name in NAMES}
    trust = tmp_path / "trust.json"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(publish.keys, "build", lambda *_: pytest.fail("a key was built"))

    def run() -> dict[str, str]:
        done = CliRunner().invoke(publish.main, ["--trust-file", str(trust)], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return dict(json.loads(trust.read_text())["profiles"])

    first = run()
    assert first == {name: sha256_file(publish.PROFILES / name / "profile.json") for name in NAMES}
    assert before == {name: (publish.PROFILES / name / "profile.json").read_bytes() for name in NAMES}
    path = publish.PROFILES / "fpm" / "generator.onnx"
    generator = onnx.load(str(path))
    generator.doc_string = "another"
    path.write_bytes(generator.SerializeToString())
    second = run()
    for name in NAMES:
        assert second[name] != first[name]
        assert load_profile(publish.PROFILES / name).document["fpm"]["generator"] == sha256_file(path)


def test_publishing_takes_a_name_with_its_options():
    done = CliRunner().invoke(publish.main, ["--size", "base"])
    assert done.exit_code == 2
    assert "--name" in done.output
