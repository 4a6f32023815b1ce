"""The GitHub Action: its own steps, run with bash in a clean environment, without torch; and the pre-commit hook."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from tests.conftest import EXAMPLE, ROOT
from tests.test_plain_install import sources  # noqa: F401 - a fixture

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
(HOOK,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


class Runner:
    """What GitHub's runner gives a composite action: environment, files, and inputs only as the action maps them."""

    def __init__(self, folder: Path, action: Path) -> None:
        self.folder = folder
        for name in ("home", "temp", "tmp"):
            (folder / name).mkdir()
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "TMPDIR": str(folder / "tmp"),
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_ACTION_PATH": str(action),
            "PIP_NO_COMPILE": "1",
        }
        kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_INDEX", "PIP_EXTRA"))}
        self.environment |= kept

    def step(self, number: int, workspace: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
        step, summary, output = STEPS[number], self.folder / "summary.md", self.folder / "output"
        summary.write_text("")
        output.write_text("")
        given = {name: one.get("default", "") for name, one in ACTION["inputs"].items()} | {"python": sys.executable}
        given |= {name.replace("_", "-"): value for name, value in inputs.items()}
        mapped = {}
        for name, value in step.get("env", {}).items():
            (source,) = re.fullmatch(r"\$\{\{ inputs\.([a-z-]+) \}\}", value).groups()
            mapped[name] = given[source]
        files = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(output)}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=workspace,
            env=self.environment | files | mapped,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def summary(self) -> str:
        return (self.folder / "summary.md").read_text()

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()


@pytest.fixture(scope="module")
def runner(tmp_path_factory, sources) -> Runner:  # noqa: F811
    """A runner on which the action's first step has installed the verifier."""
    runner = Runner(tmp_path_factory.mktemp("runner"), sources)
    hostile = runner.folder / "checkout"
    hostile.mkdir()
    for name in ("pip", "venv", "json"):  # a workspace may hold anything; none of it is imported
        (hostile / f"{name}.py").write_text("raise SystemExit('imported from the workspace')")
    done = runner.step(0, hostile)
    assert done.returncode == 0, done.stdout + done.stderr
    return runner


@pytest.fixture
def workspace(tmp_path) -> Path:
    """A repository with a good bundle."""
    shutil.copytree(EXAMPLE, tmp_path / "work" / "models" / "good")
    return tmp_path / "work"


def tamper(workspace: Path, name: str) -> None:
    shutil.copytree(EXAMPLE, workspace / name)
    path = workspace / name / "commitments.bin"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(bytes(data))


def test_inputs_never_become_part_of_a_script():
    for step in STEPS:
        assert "${{" not in step["run"]
        assert step["shell"] == "bash"
        assert "uses" not in step
    assert all({"description", "default"} <= set(one) for one in ACTION["inputs"].values())


def test_installs_at_most_400_mb_and_no_torch(runner):
    folder = runner.folder / "temp" / "huref-verify"
    size = int(subprocess.run(["du", "-sm", folder], capture_output=True, text=True, check=True).stdout.split()[0])
    assert 50 < size <= 400
    (packages,) = folder.glob("lib/python*/site-packages")
    assert not {"torch", "transformers", "onnx", "rich"} & {path.name for path in packages.iterdir()}


def test_a_good_repository_passes(runner, workspace):
    done = runner.step(1, workspace, allow_dev_srs="true", sarif="true")
    assert done.returncode == 0, done.stdout + done.stderr
    assert runner.output == "exit-code=0\n"
    assert "ACCEPTED   models/good" in runner.summary
    report = workspace / "huref-report"
    assert sorted(path.name for path in report.iterdir()) == ["huref.sarif", "junit.xml", "report.html"]


def test_a_tampered_bundle_fails_the_job(runner, workspace):
    """Its folder's name tries to speak to the runner and to close the summary's block."""
    name = "x\n::error::pwned\n`````\n# pwned"
    tamper(workspace, name)
    done = runner.step(1, workspace, allow_dev_srs="true", report_dir="out")
    assert done.returncode == 4
    assert runner.output == "exit-code=4\n"
    assert "REJECTED   x?::error::pwned?`````?# pwned  at step 3 (points)" in runner.summary
    assert "2 bundles: 1 accepted, 0 undecided, 1 rejected" in runner.summary
    assert len(re.findall(r"^`````", runner.summary, re.M)) == 2
    (token,) = re.findall(r"^::stop-commands::([0-9a-f]{32})$", done.stdout, re.M)
    assert f"::{token}::" in done.stdout.splitlines()
    assert not [line for line in done.stdout.splitlines() if re.match(r"\s*::(?!stop-commands::|" + token + ")", line)]
    assert not (workspace / "out" / "huref.sarif").exists()


@pytest.mark.parametrize(
    ("paths", "exit_code"),
    [
        ("$(touch pwned); touch pwned; `touch pwned`\n--help\n-x", 3),
        ("", 2),
        ("empty folder", 2),
    ],
)
def test_inputs_are_only_names(runner, workspace, paths, exit_code):
    (workspace / "empty folder").mkdir()
    done = runner.step(1, workspace, paths=paths, report_dir='o"; touch pwned; $(touch pwned)')
    assert done.returncode == exit_code
    assert not list(workspace.rglob("pwned"))


def test_identity_is_asked_of_every_bundle(runner, workspace):
    """The example is unsigned; whatever else is written there is one argument, and no key."""
    done = runner.step(1, workspace, allow_dev_srs="true", identity="0" * 64)
    assert done.returncode == 3
    assert "UNDECIDED  models/good  at step 12 (signature): unsigned" in runner.summary
    done = runner.step(1, workspace, allow_dev_srs="true", identity="$(touch pwned) --allow-dev-srs")
    assert done.returncode == 2
    assert not list(workspace.rglob("pwned"))


def test_a_development_srs_is_undecided_by_default(runner, workspace):
    assert runner.step(1, workspace, paths="models\r\n").returncode == 3


def test_pre_commit_hook(runner, workspace):
    """What pre-commit does: install this repository, run `entry` with `args` where the repository lies."""
    assert (HOOK["language"], HOOK["pass_filenames"]) == ("python", False)
    for name in ("statement.json", "a/b/fingerprint.png", "a/commitments.bin", "x.zip"):
        assert re.search(HOOK["files"], name)
    assert not re.search(HOOK["files"], "a/config.json")
    command, *arguments = shlex.split(HOOK["entry"])
    command = str(runner.folder / "temp" / "huref-verify" / "bin" / command)
    done = subprocess.run([command, *arguments, "--allow-dev-srs"], cwd=workspace, capture_output=True, check=False)
    assert done.returncode == 0


def test_pre_commit_hook_passes_where_there_is_no_bundle(runner, tmp_path):
    """A repository that has none yet; an archive and a picture of its own make pre-commit run the hook."""
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("readme.txt", "no bundle")
    (tmp_path / "fingerprint.png").write_bytes(b"")
    assert re.search(HOOK["files"], "data.zip")
    command, *arguments = shlex.split(HOOK["entry"])
    command = str(runner.folder / "temp" / "huref-verify" / "bin" / command)
    done = subprocess.run([command, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "0 bundles: 0 accepted, 0 undecided, 0 rejected\n")
    tamper(tmp_path, "bad")
    done = subprocess.run([command, *arguments, "--allow-dev-srs"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 4
