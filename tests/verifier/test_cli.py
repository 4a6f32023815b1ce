"""The command: exit codes, one verdict line, JSON."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from verifier.cli import main

from .test_verify import change_proof


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
    assert [check["step"] for check in report["checks"]] == list(range(1, 11))
    assert report["metadata_unverified"]["name"] == "toy"


def test_command_lists_profiles(toy):
    result = CliRunner().invoke(main, ["--list-profiles"])
    assert result.exit_code == 0
    assert result.output.startswith("toy-dev  toy, k=9, development SRS")
