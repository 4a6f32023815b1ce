"""The targets work, find what is wrong, and the record of the long run is of these targets. Seconds, no atheris needed.

The long run: `make fuzz`, docs/fuzzing.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import ROOT
from tests.fuzz import __main__ as runner
from tests.fuzz.child import INPUT_LIMIT_S, MEMORY_LIMIT_BYTES
from tests.fuzz.extremes import MAKE
from tests.fuzz.harness import Harness, Target
from tests.fuzz.mutators import RandomDice, change_bytes
from tests.fuzz.strategies import changed
from tests.fuzz.tables import tables
from tests.fuzz.targets import TARGETS
from verifier.formats.errors import Unreadable

RECORD = ROOT / "tests" / "fuzz" / "record.json"
MILLION = 1_000_000


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_are_accepted(name: str) -> None:
    """Otherwise nothing behind the first check would ever be tried. (Of folders, two seeds are spoilt on purpose.)"""
    harness = Harness(TARGETS[name])
    for data in TARGETS[name].seeds():
        harness.one(data)
    assert not harness.findings
    assert harness.outcomes["accepted"] == (1 if name == "directory" else harness.inputs)


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run(name: str) -> None:
    """Seeded changes: no finding, and inputs get past the parser as well as not."""
    target, harness = TARGETS[name], Harness(TARGETS[name])
    seeds = list(target.seeds())
    for number in range(60 if name == "directory" else 250):
        harness.one(target.change(RandomDice(number), seeds[number % len(seeds)]))
    assert not harness.findings, harness.findings
    assert len(harness.outcomes) > 1
    assert harness.outcomes["accepted"] or name == "signature"  # only what its maker wrote


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"directory", "zip", "bundle", "head", "profile"}))
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_drawn_inputs(name: str, data: st.DataObject) -> None:
    """The same by hypothesis, which shrinks what it finds."""
    harness = Harness(TARGETS[name])
    harness.one(data.draw(changed(TARGETS[name])))
    assert not harness.findings, harness.findings


# ---------------------------------------- the harness finds things


def _broken(data: bytes) -> str:
    if data.startswith(b"A"):
        raise KeyError("a field")
    if data.startswith(b"B"):
        raise Unreadable("x" * 2000)
    if data.startswith(b"C"):
        raise RecursionError
    return "accepted"


def test_other_errors_are_findings_and_the_smallest_input_is_kept() -> None:
    harness = Harness(Target("broken", "", _broken, lambda: [b""], change_bytes, 1))
    for data in (b"", b"Axyz", b"A", b"Axy", b"B", b"C"):
        harness.one(data)
    assert {kind: bytes.fromhex(one["input"]) for kind, one in harness.findings.items()} == {
        "KeyError in _broken": b"A",
        "a long message": b"B",
        "RecursionError in _broken": b"C",
    }
    assert harness.outcomes["accepted"] == 1


PLANTED = """
import sys, time
from tests.fuzz import child, targets
from tests.fuzz.harness import Target
def run(data):
    if data != b"seed":
        {body}
    return "accepted"
targets.TARGETS["planted"] = Target("planted", "", run, lambda: [b"seed"], targets.change_bytes, 1)
child.INPUT_LIMIT_S = {limit}
child.main("planted", "hypothesis", 50, 60.0, 1, __import__("pathlib").Path(sys.argv[-1]))
"""


@pytest.mark.parametrize(
    ("body", "kind", "limit"),
    [
        ("bytearray(1_100_000_000)", "MemoryError in run", INPUT_LIMIT_S),
        ("time.sleep(100)", "process lost: 1", 1.0),  # nothing else so soon: hypothesis alone takes half of it
        ("__import__('os').abort()", "process lost: -6", INPUT_LIMIT_S),
    ],
)
def test_a_child_that_hangs_crashes_or_grows_is_a_finding(monkeypatch, body: str, kind: str, limit: float) -> None:
    program = PLANTED.format(body=body, limit=limit)
    start = runner.subprocess.run

    def planted(command: list[str], **options: object) -> object:
        return start([command[0], "-c", program, command[-1]], **options)

    monkeypatch.setattr(runner.subprocess, "run", planted)
    record = runner.run_child("planted", "hypothesis", 50, 60.0, 1)
    assert record["findings"][0]["kind"] == kind, record


def test_shares() -> None:
    for engines in (["hypothesis"], ["atheris", "hypothesis"]):
        planned = runner.plan(list(TARGETS), engines, MILLION)
        assert {(name, engine) for name, engine, _ in planned} == {(n, e) for n in TARGETS for e in engines}
        assert abs(sum(inputs for *_, inputs in planned) - MILLION) < 100


# ---------------------------------------- the record


def test_the_record_is_of_these_targets_and_has_no_finding() -> None:
    record = json.loads(RECORD.read_text())
    assert record["inputs"] == sum(run["inputs"] for run in record["runs"]) >= MILLION
    assert {(run["target"], run["engine"]) for run in record["runs"]} == {
        (n, e) for n in TARGETS for e in runner.ENGINES
    }
    assert {one["case"] for one in record["extremes"]} == set(MAKE)
    for run in record["runs"]:
        assert run["findings"] == []
        assert run["outcomes"]["accepted"]
        assert sum(run["outcomes"].values()) == run["inputs"]
        assert run["slowest"]["ms"] < 1e3 * INPUT_LIMIT_S
        assert run["peak_mb"] < MEMORY_LIMIT_BYTES / 1e6
    for one in record["extremes"]:
        assert one["findings"] == []
        assert one["cpu_s"] < INPUT_LIMIT_S
        assert one["peak_mb"] < MEMORY_LIMIT_BYTES / 1e6


def test_the_page_lists_the_targets_and_the_figures() -> None:
    page, record = (ROOT / "docs" / "fuzzing.md").read_text(), json.loads(RECORD.read_text())
    for line in tables(record):
        assert line in page, line
    assert f"{record['inputs']:,} inputs" in page
    assert Path(RECORD).stat().st_size < 200_000
