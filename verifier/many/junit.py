"""Reports as JUnit XML, for CI systems: a test suite for each bundle, a test case for each step. Pure.

Rejected is a failure, undecided an error, not checked is skipped. A case's time is its step's own, from its beginning
to its end. The form is the one pytest writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from verifier.fingerprint.report import Report
from verifier.fingerprint.steps import WHY
from verifier.formats.text import printable
from verifier.results.steps import Status

_OUTCOME = {Status.FAILED: "failure", Status.UNDECIDED: "error", Status.NOT_CHECKED: "skipped"}
_COUNTS = {"failures": Status.FAILED, "errors": Status.UNDECIDED, "skipped": Status.NOT_CHECKED}


def junit(reports: Sequence[Report]) -> bytes:
    """The XML document, UTF-8.

    >>> junit([]).splitlines()[1]
    b'<testsuites name="huref-verify" tests="0" failures="0" errors="0" skipped="0" time="0.000" />'
    """
    suites = [_suite(report) for report in reports]
    root = Element("testsuites", {"name": "huref-verify"})
    for name in ("tests", *_COUNTS):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    root.set("time", f"{sum(report.seconds for report in reports):.3f}")
    root.extend(suites)
    indent(root)
    document: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _suite(report: Report) -> Element:
    """`printable` leaves only characters that XML 1.0 allows."""
    bundle = printable(report.bundle)
    suite = Element("testsuite", {"name": bundle, "tests": str(len(report.checks))})
    for name, status in _COUNTS.items():
        suite.set(name, str(sum(check.status is status for check in report.checks)))
    suite.set("time", f"{report.seconds:.3f}")
    for check in report.checks:
        case = SubElement(
            suite, "testcase", {"classname": f"huref-verify.{bundle}", "name": f"{check.step:02} {check.name}"}
        )
        case.set("time", f"{check.seconds:.3f}")
        if check.status is Status.PASSED:
            SubElement(case, "system-out").text = printable(check.compared)
            continue
        message = printable(check.compared) or "not checked: an earlier step did not pass"
        outcome = SubElement(case, _OUTCOME[check.status], {"message": message})
        if check.status is not Status.NOT_CHECKED and report.failure is not None:
            outcome.set("type", report.failure.code)
            told = (report.verdict_line(), WHY.get(check.step, ""), printable(report.failure.hint))
            outcome.text = "\n".join(line for line in told if line)
    SubElement(suite, "system-out").text = "\n".join([report.verdict_line(), *report.not_proven()])
    return suite
