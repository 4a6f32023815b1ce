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


def test_exit_codes_and_options_pass_through(tmp_path):
    (tmp_path / "compare").mkdir()  # not taken for the verifier's word
    bad = tmp_path / "-bad"
    shutil.copytree(EXAMPLE, bad)
    (bad / "link.json").write_text("{}")
    assert compare("--", EXAMPLE, "-bad", cwd=tmp_path).returncode == 4
    assert "REJECTED" in compare("--time-limit", "60", "--", "-bad", "-bad", cwd=tmp_path).stdout
    assert compare(EXAMPLE).returncode == 2
    assert compare(EXAMPLE, EXAMPLE, "--time-limit", "0").returncode == 2
