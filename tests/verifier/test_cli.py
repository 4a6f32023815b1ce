"""The command: exit codes, one verdict line, JSON."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner

import verifier.trust.profile
from tests.verifier.fingerprint.test_verify import change_proof
from verifier.cli import main


@pytest.mark.parametrize(
    ("arguments", "exit_code", "last"),
    [
        (["--allow-dev-srs"], 0, "ACCEPTED: "),
        ([], 3, "UNDECIDED at step 10 (srs): "),
        (["--weights", "x"], 2, ""),
        (["--opening", "x"], 2, ""),
        (["--time-limit", "0"], 2, ""),
        (["--time-limit", "nan"], 2, ""),
        (["--time-limit", "inf"], 2, ""),
        (["--nonsense"], 2, ""),
        (["--allow-dev-srs", "--time-limit", "0.000001"], 3, "UNDECIDED at step "),
    ],
)
def test_command(bundle, arguments, exit_code, last):
    result = CliRunner().invoke(main, [str(bundle), *arguments])
    assert result.exit_code == exit_code, result.output
    if last:
        lines = result.output.strip().splitlines()
        assert lines[-1].startswith(last)
        assert sum(line.startswith(("ACCEPTED", "REJECTED", "UNDECIDED")) for line in lines) == 1


def test_command_rejects(bundle):
    change_proof(bundle / "link.json", -1)
    result = CliRunner().invoke(main, [str(bundle)])
    assert result.exit_code == 4
    assert result.output.strip().splitlines()[-1].startswith("REJECTED at step 8 (link proof): ")


def test_command_json(bundle):
    result = CliRunner().invoke(main, [str(bundle), "--allow-dev-srs", "--json"])
    report = json.loads(result.stdout)
    assert (report["verdict"], report["exit_code"], result.exit_code) == ("accepted", 0, 0)
    assert [check["step"] for check in report["checks"]] == [*range(1, 11), 12]
    assert report["metadata_unverified"]["name"] == "toy"


def test_profiles_in_words(toy):
    result = CliRunner().invoke(main, ["profiles"])
    assert result.exit_code == 0
    assert result.output.startswith("toy-dev\n  digest   SHA-256 ")
    assert "undecided unless --allow-dev-srs" in result.output


def test_profiles_as_json(toy):
    (one,) = json.loads(CliRunner().invoke(main, ["profiles", "--json"]).stdout)["profiles"]
    assert (one["name"], one["srs"]["trust"], one["accepted_without_flag"]) == ("toy-dev", "development", False)
    assert one["sha256"] == hashlib.sha256((toy / "profile.json").read_bytes()).hexdigest()
    for name, digest in one["files"].items():
        assert hashlib.sha256((toy / name).read_bytes()).hexdigest() == digest


def test_profiles_with_a_damaged_file_are_undecided(toy, tmp_path, monkeypatch):
    shutil.copytree(toy.parent, tmp_path / "profiles")
    (tmp_path / "profiles" / "toy-dev" / "fpm" / "head.npz").write_bytes(b"other")
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: tmp_path / "profiles")
    result = CliRunner().invoke(main, ["profiles"])
    assert result.exit_code == 3
    assert "not the published file" in result.stderr


def test_a_bundle_may_be_called_profiles(bundle, tmp_path, monkeypatch):
    bundle.rename(tmp_path / "profiles")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["./profiles", "--allow-dev-srs"])
    assert result.output.strip().splitlines()[-1].startswith("ACCEPTED")
    assert CliRunner().invoke(main, ["profiles", "other"]).exit_code == 2


@pytest.mark.parametrize("word", ["profiles", "compare"])
def test_a_bundle_called_so_is_not_taken_for_the_word(bundle, tmp_path, monkeypatch, word):
    """`huref-verify *` where somebody called a bundle so: 0 would say that it was accepted."""
    bundle.rename(tmp_path / word)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [word])
    assert result.exit_code == 2
    assert f"say ./{word}" in result.stderr
