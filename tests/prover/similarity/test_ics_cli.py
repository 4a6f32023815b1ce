"""`huref ics` as a CI job uses it: exit code 5 if the verdict is one that `--fail-on` names."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from prover.cli import huref
from tests.conftest import MODELS


@pytest.mark.parametrize(
    ("other", "words", "exit_code"),
    [
        ("offspring", ("derived",), 5),
        ("offspring", ("independent",), 0),
        ("independent", ("independent", "inconclusive"), 5),
        ("independent", ("derived",), 0),
        ("independent", (), 0),
    ],
)
def test_a_job_fails_by_verdict_if_asked_to(other, words, exit_code):
    asked = [word for one in words for word in ("--fail-on", one)]
    result = CliRunner().invoke(huref, ["ics", str(MODELS / "base"), str(MODELS / other), "--json", *asked])
    assert result.exit_code == exit_code, result.output
    assert json.loads(result.stdout)["verdict"] == {"offspring": "derived"}.get(other, other)


def test_no_job_fails_by_a_verdict_that_does_not_exist():
    result = CliRunner().invoke(huref, ["ics", str(MODELS / "base"), str(MODELS / "base"), "--fail-on", "copied"])
    assert result.exit_code == 2 and "copied" in result.output
