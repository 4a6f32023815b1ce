"""The command: exit codes, one verdict line, JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

import verifier.many.batch
import verifier.trust.profile
from tests.conftest import ROOT
from tests.verifier.fingerprint.test_verify import change_proof
from verifier.cli import main
from verifier.fingerprint.verify import verify_bundle
from verifier.version import __version__


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


@pytest.mark.parametrize("option", ["-q", "--quiet"])
def test_quiet_is_the_verdict_line_alone(bundle, option):
    result = CliRunner().invoke(main, [str(bundle), "--allow-dev-srs", option])
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert line.startswith("ACCEPTED: ")


def test_quiet_shows_which_of_several_are_not_accepted(bundle, monkeypatch):
    monkeypatch.setattr(verifier.many.batch, "in_process", lambda path, options, _live: verify_bundle(path, options))
    result = CliRunner().invoke(main, [str(bundle), f"{bundle} no", "--allow-dev-srs", "-q"])
    lines = result.stdout.splitlines()
    assert (result.exit_code, len(lines)) == (3, 2)
    assert lines[0].startswith("UNDECIDED ") and lines[1].startswith("2 bundles: 1 accepted")


def test_quiet_leaves_json_as_it_is(bundle):
    (loud, quiet) = (
        json.loads(CliRunner().invoke(main, [str(bundle), "--json", *option]).stdout) for option in ([], ["-q"])
    )
    assert loud | {"seconds": 0} == quiet | {"seconds": 0}


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_version(option):
    assert CliRunner().invoke(main, [option]).stdout == f"huref-verify, version {__version__}\n"


@pytest.mark.parametrize("words", [[], ["compare"], ["profiles"]])
def test_help_is_whole_and_names_the_exit_codes(words):
    result = CliRunner().invoke(main, [*words, "--help"], terminal_width=80)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "..." not in result.stdout.replace("BUNDLE...", "")
    said = " ".join(result.stdout.split())
    assert re.search(r"Exit codes[^:]*: 0 \w+.* 3 ", said)
    if words != ["profiles"]:
        assert "2 wrong usage" in said and "4 " in said and "141: who read the result" in said


def test_ctrl_c_says_how_to_go_on(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("verifier.cli.verify_bundle", interrupted)
    result = CliRunner().invoke(main, ["x"])
    assert result.exit_code == 1
    assert "the same command begins anew" in result.stderr and "Traceback" not in result.stderr


def test_no_bundle_is_an_error_unless_that_is_allowed(tmp_path):
    assert CliRunner().invoke(main, ["-r", str(tmp_path)]).exit_code == 2
    result = CliRunner().invoke(main, ["-r", str(tmp_path), "--allow-no-bundles"])
    assert (result.exit_code, result.stdout) == (0, "0 bundles: 0 accepted, 0 undecided, 0 rejected\n")
    missing = CliRunner().invoke(main, [str(tmp_path), "--allow-no-bundles"])
    assert missing.exit_code == 2 and "--recursive" in missing.stderr


def test_allowing_no_bundles_forgives_nothing_else(bundle):
    arguments = ["-r", "--allow-no-bundles"]
    assert CliRunner().invoke(main, [*arguments, str(bundle.parent)]).exit_code == 3  # its SRS is a development one
    assert CliRunner().invoke(main, [*arguments, str(bundle.parent / "missing")]).exit_code == 3


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


PAGE = (ROOT / "docs" / "ci.md").read_text()
COMPLETION = re.findall(r"^\| [^|]+ \| `([^`]*COMPLETE=(\w+)_source[^`]*)` \|", PAGE, re.M)


@pytest.mark.parametrize(("line", "shell"), COMPLETION, ids=[shell for _, shell in COMPLETION])
def test_the_pages_lines_for_completion(line, shell, tmp_path):
    """Each prints a script for its shell. Bash, which every machine of these tests has, also completes by it."""
    script = tmp_path / "huref-verify"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom verifier.cli import main\nmain()\n"
    )
    script.chmod(0o755)
    words = "COMP_WORDS=(huref-verify --allow-d); COMP_CWORD=1; _huref_verify_completion huref-verify"
    asked = f'{line}; {words}; echo "${{COMPREPLY[@]}}"' if shell == "bash" else line.split(" \\| ")[0].split("$(")[-1]
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", asked.removesuffix(')"')],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    expected = {"bash": "--allow-dev-srs", "zsh": "compdef _huref_verify_completion", "fish": "complete --no-files"}
    assert expected[shell] in done.stdout


def test_the_page_has_a_line_for_each_shell():
    assert [shell for _, shell in COMPLETION] == ["bash", "zsh", "fish"]
