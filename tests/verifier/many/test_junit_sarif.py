"""JUnit XML and SARIF 2.1.0: what CI systems read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import verifier.many.batch
from tests.verifier.fingerprint.test_verify import put_point
from verifier.cli import main
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.steps import STEPS
from verifier.fingerprint.verify import verify_bundle
from verifier.formats.errors import Rejected
from verifier.many.child import decode, encode
from verifier.many.junit import junit
from verifier.many.sarif import sarif
from verifier.results.steps import Check, Status

HOSTILE = "]]><x>&\x00\x1b[31m\u202e\ud800\ufffe\n::error::\"'[link](https://evil.example)"


@pytest.fixture
def written(bundle, tmp_path, monkeypatch):
    """The two documents for an accepted, a rejected and an undecided bundle, and the folder they lie in."""
    monkeypatch.setattr(verifier.many.batch, "in_process", lambda path, options, _live: verify_bundle(path, options))
    monkeypatch.chdir(tmp_path)
    shutil.copytree(bundle, "a b/bad")
    put_point(Path("a b/bad"), 0, bytes(64))
    arguments = ["bundle", "a b/bad", "missing", "--allow-dev-srs", "--junit", "out.xml", "--sarif", "out.sarif"]
    assert CliRunner().invoke(main, arguments).exit_code == 4
    return ElementTree.parse("out.xml").getroot(), json.loads(Path("out.sarif").read_bytes())


def test_junit(written):
    root, _ = written
    assert root.tag == "testsuites"
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "33",
        "failures": "1",
        "errors": "1",
        "skipped": "19",
    }
    good, bad, missing = root
    assert [suite.get("name") for suite in root] == ["bundle", "a b/bad", "missing"]
    for suite in root:
        cases = suite.findall("testcase")
        assert [case.get("name")[:2] for case in cases] == [f"{step:02}" for step in (*range(1, 11), 12)]
        assert all(case.get("classname") and float(case.get("time")) >= 0 for case in cases)
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(attribute)) == len(suite.findall(f"testcase/{tag}"))
    assert good.find("system-out").text.startswith("ACCEPTED")
    (failure,) = bad.iter("failure")
    assert failure.get("type")
    assert failure.text.startswith("REJECTED at step 3")
    (error,) = missing.iter("error")
    assert error.get("type") == "unreadable"


def test_junit_has_each_steps_own_time(written):
    """Steps follow each other, so that all of them together took no longer than the bundle, and nearly as long."""
    root, _ = written
    for suite in root:
        times = {case.get("name")[:2]: float(case.get("time")) for case in suite.findall("testcase")}
        assert sum(times.values()) <= float(suite.get("time")) + 0.001 * len(times)
        for case in suite.findall("testcase"):
            if case.find("skipped") is not None:
                assert float(case.get("time")) == 0
    good = [float(case.get("time")) for case in root[0].findall("testcase")]
    assert sum(time > 0 for time in good) >= 3
    assert max(good) < float(root[0].get("time"))


def test_sarif_has_each_steps_own_time(written):
    _, log = written
    run = log["runs"][0]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    found = run["invocations"][0]["properties"]["bundles"]
    assert [one["bundle"] for one in found] == ["bundle", "a b/bad", "missing"]
    for one in found:
        assert set(one["steps"]) <= rules and len(one["steps"]) == 11
        assert 0 <= sum(one["steps"].values()) <= one["seconds"] + 0.001 * len(one["steps"])
    good, bad, _ = found
    assert max(good["steps"].values()) > 0
    assert {name for name, seconds in bad["steps"].items() if seconds} <= {
        "huref-01-format",
        "huref-02-statement",
        "huref-03-points",
    }


def test_times_come_through_a_process_of_its_own(bundle):
    report = verify_bundle(bundle, Options(allow_development_srs=True))
    again = decode(encode(report))
    assert [check.seconds for check in again.checks] == [check.seconds for check in report.checks]
    assert any(check.seconds > 0 for check in again.checks)
    assert "step_seconds" not in report.as_json() and "seconds" not in report.as_json()["checks"][0]


# What https://docs.oasis-open.org/sarif/sarif/v2.1.0 requires of each object that is written here, and no key besides.
REQUIRED = {
    "sarifLog": ({"version", "runs"}, {"$schema"}),
    "run": ({"tool"}, {"results", "invocations", "columnKind", "originalUriBaseIds"}),
    "driver": ({"name"}, {"version", "semanticVersion", "rules"}),
    "rule": ({"id"}, {"name", "shortDescription", "fullDescription", "help"}),
    "invocation": ({"executionSuccessful"}, {"exitCode", "properties"}),
    "result": ({"message"}, {"ruleId", "ruleIndex", "kind", "level", "locations", "partialFingerprints"}),
    "physicalLocation": ({"artifactLocation"}, {"region"}),
    "artifactLocation": ({"uri"}, {"uriBaseId"}),
}


def check_keys(value: dict, kind: str) -> None:
    required, optional = REQUIRED[kind]
    assert required <= set(value) <= required | optional, (kind, sorted(value))


def test_sarif(written):
    _, log = written
    check_keys(log, "sarifLog")
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    check_keys(run, "run")
    driver = run["tool"]["driver"]
    check_keys(driver, "driver")
    for rule in driver["rules"]:
        check_keys(rule, "rule")
        assert rule["shortDescription"]["text"] and rule["fullDescription"]["text"] and rule["help"]["text"]
    (invocation,) = run["invocations"]
    check_keys(invocation, "invocation")
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
    for result in run["results"]:
        check_keys(result, "result")
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["kind"], result["level"]) in (("fail", "error"), ("fail", "warning"))
        assert result["message"]["text"]
        for location in result["locations"]:
            check_keys(location["physicalLocation"], "physicalLocation")
            check_keys(location["physicalLocation"]["artifactLocation"], "artifactLocation")
            assert location["physicalLocation"]["region"]["startLine"] >= 1
    bad, missing = run["results"]  # an accepted bundle is no result
    assert (bad["ruleId"], bad["level"]) == ("huref-03-points", "error")
    assert bad["locations"][0]["physicalLocation"]["artifactLocation"] == {
        "uri": "a%20b/bad/commitments.bin",
        "uriBaseId": "%SRCROOT%",
    }
    assert (missing["ruleId"], missing["level"]) == ("huref-01-format", "warning")


def hostile_report(bundle: str) -> Report:
    failure = Rejected(HOSTILE, step=1, hint=HOSTILE)
    checks = (
        Check(1, Status.FAILED, HOSTILE, STEPS[1]),
        *(Check(step, Status.NOT_CHECKED, "", STEPS[step]) for step in range(2, 11)),
    )
    return Report(bundle, checks, failure, None, None, False, {"name": HOSTILE}, None, 1.0)


def test_hostile_strings_stay_strings(tmp_path):
    document = junit([hostile_report(HOSTILE)])
    (suite,) = ElementTree.fromstring(document)
    assert suite.get("name").startswith("]]><x>&??[31m???")
    assert {element.tag for element in suite.iter()} == {"testsuite", "testcase", "failure", "skipped", "system-out"}
    assert not any(line.lstrip().startswith(b"::") for line in document.splitlines())
    log = json.loads(sarif([hostile_report("a/../../\udcff:javascript:x\n")], tmp_path))
    (result,) = log["runs"][0]["results"]
    assert "](" not in result["message"]["text"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place["uri"].startswith("file:///") and "\n" not in place["uri"]
    inside = json.loads(sarif([hostile_report("javascript:x")], tmp_path))["runs"][0]["results"][0]
    assert inside["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "javascript%3Ax"
