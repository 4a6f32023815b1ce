"""docs/audit.md and docs/ci.md as newcomers follow them: every command, in order, each from an empty directory."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import EXAMPLE, MODELS, ROOT
from tests.test_plain_install import sources  # noqa: F401 - a fixture

pytestmark = pytest.mark.long


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(page: str) -> list[tuple[str, int]]:
    """Each line of its shell blocks, and the exit code that the line's comment promises."""
    result = []
    for line in "".join(blocks(page, "sh")).replace("\\\n", "").splitlines():
        promised = re.search(r"\s+# exit code (\d)$", line)
        result.append((line[: promised.start()] if promised else line, int(promised[1]) if promised else 0))
    return result


@pytest.fixture(scope="module")
def audited(tmp_path_factory, sources) -> tuple[Path, str]:  # noqa: F811
    """The directory after the auditor's page was followed, and what was printed."""
    folder = tmp_path_factory.mktemp("auditor")
    return folder, follow(folder, sources, commands("audit.md"))


@pytest.fixture(scope="module")
def watched(tmp_path_factory, sources) -> tuple[Path, str]:  # noqa: F811
    """The same for the CI job's page, and after it the script of its GitLab job."""
    folder = tmp_path_factory.mktemp("ci")
    script = yaml.safe_load(blocks("ci.md", "yaml")[2])["fingerprints"]["script"]
    return folder, follow(folder, sources, [*commands("ci.md"), ("rm junit.xml", 0), *((line, 0) for line in script)])


def follow(folder: Path, sources: Path, lines: list[tuple[str, int]]) -> str:  # noqa: F811
    """Run the commands, each with its exit code, in `folder`, where nothing lies yet; what they printed."""
    shutil.copytree(sources, folder / "huref-zk")
    for name in ("base", "offspring"):
        shutil.copytree(EXAMPLE.parent / name, folder / "huref-zk" / "artifacts" / "bundles" / name)
    shutil.copytree(MODELS / "base", folder / "huref-zk" / "artifacts" / "models" / "base")
    (folder / "bin").mkdir()
    (folder / "bin" / "python3").symlink_to(sys.executable)
    script = ["set -u"]
    for line, code in lines:
        script += [
            line,
            f'found=$?; [ "$found" = {code} ] || {{ echo "exit code $found: "{shlex.quote(line)} >&2; exit 1; }}',
        ]
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "HOME", "XDG_CACHE"))}
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-c", "\n".join(script)],
        cwd=folder,
        env=kept | {"PATH": f"{folder / 'bin'}:/usr/local/bin:/usr/bin:/bin", "PIP_NO_COMPILE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    return ran.stdout


def test_an_auditor_gets_what_the_page_says(audited):
    folder, printed = audited
    assert "ACCEPTED: the picture is the proven fingerprint" in printed
    assert "UNDECIDED at step 10 (srs)" in printed
    assert "REJECTED at step 3 (points)" in printed
    assert "SRS      development" in printed
    record = json.loads((folder / "record.json").read_text())
    assert record["type"] == "application/vnd.huref-zk.report+json;version=1"
    for name, digest in record["files"].items():
        assert f"{digest}  bundle/{name}" in printed
    assert "Accepted" in (folder / "report.html").read_text()
    assert "DERIVED: cosine +0.9" in printed
    assert "Derived: a common base" in (folder / "compared.html").read_text()
    assert "1 accepted, 0 undecided, 1 rejected" in (folder / "both.html").read_text()


def test_a_ci_job_gets_what_the_page_says(watched):
    folder, printed = watched
    assert "ACCEPTED   models/base  [development SRS]" in printed
    assert ElementTree.parse(folder / "junit.xml").getroot().get("failures") == "0"
    assert json.loads((folder / "huref.sarif").read_text())["runs"][0]["results"] == []
    many, one = (json.loads((folder / name).read_text()) for name in ("reports.json", "report.json"))
    page = (ROOT / "docs" / "ci.md").read_text()
    assert f"`{many['type']}`" in page and f"`{one['type']}`" in page
    assert {report["type"] for report in many["reports"]} == {one["type"]}


def test_the_yaml_uses_what_there_is():
    workflow, pre_commit, gitlab = (yaml.safe_load(block) for block in blocks("ci.md", "yaml"))
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    (ours,) = (step for step in workflow["jobs"]["fingerprints"]["steps"] if "huref-zk" in step["uses"])
    assert set(ours["with"]) <= set(inputs)
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert pre_commit["repos"][0]["hooks"][0]["id"] == hook["id"]
    assert gitlab["fingerprints"]["script"][-1].split()[0] == "huref-env/bin/huref-verify"
