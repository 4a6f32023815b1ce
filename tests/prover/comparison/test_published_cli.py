"""`huref compare` in a real process, on the shipped examples: a base, its offspring, an independent model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.conftest import EXAMPLE, ROOT

BUNDLES = EXAMPLE.parent


def compare(*arguments: object, cwd=ROOT) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from prover.cli import main; main()"
    command = [sys.executable, "-I", "-c", code, "compare", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("other", "verdict", "low", "high"),
    [("offspring", "derived", 0.9, 0.99), ("independent", "independent", -0.1, 0.1)],
)
def test_the_shipped_examples(other, verdict, low, high, tmp_path):
    """Started in a folder that holds a `verifier` of its own, which must not be imported."""
    (tmp_path / "verifier.py").write_text("raise SystemExit('imported from here')")
    page = tmp_path / "out.html"
    done = compare(EXAMPLE, BUNDLES / other, "--allow-dev-srs", "--json", "--report", page, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["verdict"], found["unreliable"], found["same_commitment"]) == (verdict, [], False)
    assert low < found["cosine"] < high
    assert found["p_value"] <= found["false_positive_rate"] if verdict == "derived" else found["p_value"] > 0.01
    assert f"{found['cosine']:+.6f}" in page.read_text()


@pytest.mark.parametrize(
    ("other", "words", "exit_code"),
    [
        ("offspring", ("derived",), 5),
        ("offspring", ("independent", "inconclusive"), 0),
        ("independent", ("derived", "independent"), 5),
        ("nowhere", ("derived", "independent", "inconclusive"), 3),
    ],
)
def test_a_job_fails_by_verdict_if_asked_to(other, words, exit_code):
    asked = [word for one in words for word in ("--fail-on", one)]
    done = compare(EXAMPLE, BUNDLES / other, "--allow-dev-srs", "--quiet", *asked)
    assert (done.returncode, done.stderr) == (exit_code, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(other.upper() if other == "independent" else "NOT COMPARED" if exit_code == 3 else "DERIVED")


def test_no_job_fails_by_a_verdict_that_does_not_exist():
    assert compare(EXAMPLE, EXAMPLE, "--fail-on", "copied").returncode == 2
    proving = ("--prove", "a", "b", "--weights", "a", "b", "-o", "c")
    done = compare(EXAMPLE, EXAMPLE, "--fail-on", "derived", *proving)
    assert done.returncode == 2 and "not about --prove" in done.stderr


def test_exit_codes_and_options_pass_through(tmp_path):
    (tmp_path / "compare").mkdir()  # not taken for the verifier's word
    bad = tmp_path / "-bad"
    shutil.copytree(EXAMPLE, bad)
    (bad / "link.json").write_text("{}")
    assert compare("--", EXAMPLE, "-bad", cwd=tmp_path).returncode == 4
    assert "REJECTED" in compare("--time-limit", "60", "--", "-bad", "-bad", cwd=tmp_path).stdout
    assert compare(EXAMPLE).returncode == 2
    assert compare(EXAMPLE, EXAMPLE, "--time-limit", "0").returncode == 2
