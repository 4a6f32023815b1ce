"""`huref` as a user meets it: bad input, secrets, full disks, killed and concurrent runs, and the smaller commands."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from circuits import keys
from circuits.errors import StorageError
from circuits.profiles import CIRCUITS, DEFAULT_PROFILE
from prover.cli import huref
from prover.fingerprint import artefact as bundles
from prover.fingerprint.secret import default_path
from tests.conftest import MODELS, ROOT
from tests.prover.small_models import edit_json, read_tensors, tokenizer_document, write_llama, write_tensors


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache and a data directory of the test's own; the built keys are linked, not copied."""
    cache, data = tmp_path / "cache", tmp_path / "data"
    built = keys.cache_folder() / "keys"
    (cache / "huref-zk").mkdir(parents=True)
    if built.exists():
        (cache / "huref-zk" / "keys").symlink_to(built)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setenv("XDG_DATA_HOME", str(data))
    return tmp_path


def run(*arguments: object):
    """The command in this process: exit code and output."""
    return CliRunner().invoke(huref, [str(argument) for argument in arguments])


def refused(result, *words: str) -> None:
    """Exit code 2, a message for people, no traceback."""
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


def test_each_profile_has_a_secret_of_its_own(home):
    """The same weights have another cm under another profile; the first bundle's opening must not be overwritten."""
    paths = {default_path(bytes(32), name) for name in ("tiny-dev", "large-dev")}
    assert len(paths) == 2 and len({path.parent for path in paths}) == 1


# ---------------------------------------- bad input


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_header(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def with_tensor(name: str, change):
    def edit(folder: Path) -> None:
        tensors = read_tensors(folder / "model.safetensors")
        tensors[name] = change(tensors[name])
        write_tensors(folder / "model.safetensors", tensors)

    return edit


def spoil(value: float):
    def change(array: np.ndarray) -> np.ndarray:
        array[3, 5] = value
        return array

    return change


QUERY = "model.layers.2.self_attn.q_proj.weight"
BAD = {
    "no weights": (lambda f: (f / "model.safetensors").unlink(), ("model.safetensors", "missing")),
    "no config": (lambda f: (f / "config.json").unlink(), ("config.json", "missing")),
    "no tokenizer": (lambda f: (f / "tokenizer.json").unlink(), ("tokenizer.json", "missing")),
    "truncated weights": (cut, ("model.safetensors", "truncated")),
    "truncated header": (cut_header, ("model.safetensors", "header")),
    "config that is not JSON": (lambda f: (f / "config.json").write_text("{"), ("config.json", "JSON")),
    "another architecture": (
        lambda f: edit_json(f / "config.json", architectures=["MambaForCausalLM"]),
        ("config.json", "architectures", "MambaForCausalLM", "LlamaForCausalLM"),
    ),
    "NaN": (with_tensor(QUERY, spoil(float("nan"))), ("model.safetensors", QUERY)),
    "infinity": (with_tensor(QUERY, spoil(float("inf"))), ("model.safetensors", QUERY)),
    "another shape": (with_tensor(QUERY, lambda a: a[:, :-1].copy()), ("model.safetensors", QUERY)),
    "a small vocabulary": (
        lambda f: (f / "tokenizer.json").write_text(json.dumps(tokenizer_document(100))),
        ("tokenizer.json", "256"),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_checkpoints(home, what):
    """Exit code 2, file and field named, and nothing left: no bundle, no secret, no job."""
    change, words = BAD[what]
    folder = write_llama(home / "model")
    change(folder)
    before = sorted(home.rglob("*"))
    refused(run("prove", folder, "-o", home / "out" / "bundle"), str(folder), *words)
    assert sorted(home.rglob("*")) == before


def test_a_checkpoint_that_is_not_there(home):
    refused(run("prove", home / "nowhere", "-o", home / "out" / "bundle"), "nowhere", "hint:")
    assert not (home / "out").exists()


@pytest.mark.parametrize("target", ["bundle", "bundle.zip"])
def test_an_existing_bundle_is_kept(home, target):
    path = home / target
    if target == "bundle":
        path.mkdir()
        (path / "statement.json").write_text("{}")
    else:
        path.write_text("mine")
    refused(run("prove", MODELS / "base", "-o", path), target, "exists", "--force")
    assert path.exists()


def test_force_does_not_replace_a_folder_of_something_else(home):
    (home / "thesis").mkdir()
    (home / "thesis" / "chapter1.tex").write_text("all of it")
    refused(run("prove", MODELS / "base", "-o", home / "thesis", "--force"), "something else")
    assert (home / "thesis" / "chapter1.tex").read_text() == "all of it"


@pytest.mark.parametrize("option", ["--model-name", "--model-version", "--model-maker"])
def test_metadata_is_limited(home, option):
    refused(run("prove", MODELS / "base", "-o", home / "out" / "bundle", option, "x" * 201), option, "200")
    assert not (home / "out").exists()


def test_unknown_profile(home):
    refused(run("prove", MODELS / "base", "-o", home / "bundle", "--profile", "mine"), "mine", DEFAULT_PROFILE)


def test_wrong_usage(home):
    assert run("prove").exit_code == 2
    assert run("prove", MODELS / "base").exit_code == 2
    assert run("no-such-command").exit_code == 2


# ---------------------------------------- secrets


@pytest.mark.parametrize(
    "place", ["secret.json", "bundle/secret.json", "bundle/deep/secret.json", "sub/../secret.json", "link/secret.json"]
)
def test_a_secret_never_lies_with_the_bundle(home, place):
    """Beside it, in it, or there by another name: it would be handed on with the bundle, or wiped by --force."""
    out = home / "out"
    (out / "sub").mkdir(parents=True)
    (out / "link").symlink_to(out)
    refused(run("prove", MODELS / "base", "-o", out / "bundle", "--secret", out / place), "beside the bundle", "secret")
    assert not list(out.rglob("*.json"))


def test_a_secret_beside_the_bundle_is_refused_before_the_model_is_read(home):
    """There is no model: whoever reads first complains about that."""
    arguments = ("prove", home / "nowhere", "-o", home / "out" / "bundle")
    refused(run(*arguments, "--secret", home / "out" / "secret.json"), "beside the bundle")
    refused(run(*arguments, "--secret", home / "private" / "secret.json"), "nowhere")


def secret_document(**changes: object) -> dict:
    digest = "ab" * 32
    kind = "application/vnd.huref-zk.secret+json;version=1"
    return {"type": kind, "seed": "cd" * 32, "weights_sha256": digest, "cm": "", **changes}


SECRETS = {
    "of other weights": (secret_document(), "weights_sha256"),
    "of a later version": (secret_document(type="application/vnd.huref-zk.secret+json;version=2"), "type"),
    "with a short seed": (secret_document(seed="cd"), "seed"),
    "with no seed": ({k: v for k, v in secret_document().items() if k != "seed"}, "seed"),
    "that is a list": ([1, 2], "not a secret file"),
}


@pytest.mark.parametrize("what", SECRETS)
def test_bad_secrets(home, what):
    document, word = SECRETS[what]
    path = home / "private" / "secret.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document))
    before = path.read_bytes()
    refused(run("prove", MODELS / "base", "-o", home / "out" / "bundle", "--secret", path), "secret.json", word)
    assert path.read_bytes() == before
    assert not (home / "out").exists()


# ---------------------------------------- full disks

FILES = dict.fromkeys(("statement.json", "commitments.bin", "link.json"), b"x" * 1000)


@pytest.mark.parametrize("target", ["bundle", "bundle.zip"])
def test_a_disk_that_fills_up_leaves_no_half_bundle(tmp_path, monkeypatch, target):
    """The third write fails with ENOSPC: the old bundle stays as it was, nothing lies beside it."""
    path = tmp_path / target
    bundles.write({"statement.json": b"old"}, path, accept=lambda _: None)
    before = sorted(tmp_path.rglob("*"))
    writes = []

    def full(*arguments, **_):
        writes.append(arguments)
        if len(writes) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return 0

    monkeypatch.setattr(bundles.zipfile.ZipFile, "writestr", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StorageError, match="No space left") as caught:
        bundles.write(FILES, path, accept=lambda _: pytest.fail("accepted"))
    monkeypatch.undo()
    assert "free some space" in caught.value.hint
    assert len(writes) == 3
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bundle_that_does_not_verify_is_not_written(tmp_path):
    def refuse(_folder):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        bundles.write(FILES, tmp_path / "bundle", accept=refuse)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("limit", [20_000, 200_000, 900_000])
def test_a_run_on_a_full_disk(home, limit):
    """No file may grow past `limit` in the command's process: the bases file, the rows or the witness do not fit.

    The system says so with an error (EFBIG) at the very write, as a full disk does.
    """
    code = (
        "import resource, sys; from prover.cli import huref; "
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit})); huref()"
    )
    arguments = ["prove", str(MODELS / "base"), "-o", str(home / "out" / "bundle")]
    (home / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(home / "tmp")},
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert not (home / "out").exists()
    assert not list((home / "tmp").glob("huref-*"))
    for part in (home / "cache" / "huref-zk" / "jobs").glob("*/rows-*"):
        assert part.stat().st_size % 64 == 0


# ---------------------------------------- the smaller commands


def test_circuits_list(profile):
    result = run("circuits", "list", "--json")
    assert result.exit_code == 0, result.output
    rows = {(row["profile"], row["circuit"]): row for row in json.loads(result.output)}
    for circuit in CIRCUITS:
        row = rows[DEFAULT_PROFILE, circuit]
        assert row["vk"] == profile.document["circuits"][circuit]["vk"]
        assert (row["k"], row["srs"]) == (12, "development")
        assert rows["large-dev", circuit]["k"] == 14
    assert "size classes without a published profile: base" in run("circuits", "list").output


def test_srs_check(profile, tmp_path):
    digest = profile.document["srs"]["sha256"]
    assert run("srs", "check", profile.srs, "--sha256", digest).exit_code == 0
    refused(run("srs", "check", profile.srs), "SHA-256", "expected")  # a development file is not the ceremony's
    (tmp_path / "bad.srs").write_bytes(b"not an SRS")
    refused(run("srs", "check", tmp_path / "bad.srs"), "bad.srs", "size")
    refused(run("srs", "check", tmp_path / "none.srs"), "none.srs", "No such file")


@pytest.mark.parametrize("command", [("fetch",), ("dev", "-o", "x.srs")])
@pytest.mark.parametrize("k", [0, 27, -1])
def test_srs_k_is_limited(tmp_path, monkeypatch, command, k):
    monkeypatch.chdir(tmp_path)
    refused(run("srs", *command, "-k", k), "1 to 26")
    assert list(tmp_path.iterdir()) == []


def test_ics_of_the_shipped_models():
    result = run("ics", MODELS / "base", MODELS / "offspring", "--json")
    assert result.exit_code == 0, result.output
    near = json.loads(result.output)
    assert near["ics_projected"] > 0.8 < near["pcs"]
    refused(run("ics", MODELS / "base", "nowhere"), "nowhere")


def test_help_and_version():
    for arguments in (["--help"], ["prove", "--help"], ["circuits", "--help"], ["srs", "--help"], ["ics", "--help"]):
        assert run(*arguments).exit_code == 0


def test_huref_verify_without_arguments():
    done = subprocess.run(
        [sys.executable, "-m", "verifier"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "BUNDLE" in done.stderr
