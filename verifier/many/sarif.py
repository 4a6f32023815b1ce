"""Reports as SARIF 2.1.0, for code scanning: a result for each bundle that was not accepted."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from verifier.fingerprint.report import Report, worst_exit_code
from verifier.fingerprint.steps import STEPS, WHY
from verifier.formats.text import printable
from verifier.results.files import is_folder
from verifier.results.verdict import EXIT_ACCEPTED
from verifier.version import __version__

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULES = {0: ("start", "The bundle could not be read, or the verifier could not work.")} | {
    step: (name, WHY[step]) for step, name in STEPS.items()
}
_LEVEL = {"rejected": "error", "undecided": "warning"}
_FILE_OF_STEP = {
    3: "commitments.bin",
    4: "encoder.json",
    5: "encoder.json",
    6: "encoder.json",
    7: "link.json",
    8: "link.json",
    9: "fingerprint.png",
    12: "signature.json",
}


def sarif(reports: Sequence[Report], root: Path) -> bytes:
    """The JSON document. Places are relative to `root`, where the repository's files are, if they lie below it."""
    run = {
        "tool": {
            "driver": {
                "name": "huref-verify",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(step) for step in _RULES],
            }
        },
        "columnKind": "utf16CodeUnits",
        "originalUriBaseIds": {"%SRCROOT%": {"description": {"text": "where huref-verify was started"}}},
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": worst_exit_code(reports),
                "properties": {"bundles": [_times(report) for report in reports]},
            }
        ],
        "results": [_result(report, root) for report in reports if report.exit_code != EXIT_ACCEPTED],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1).encode("ascii") + b"\n"


def _times(report: Report) -> dict[str, Any]:
    """How long a bundle and each of its steps took, in seconds; a property bag, section 3.8 of the standard."""
    return {
        "bundle": printable(report.bundle),
        "seconds": round(report.seconds, 3),
        "steps": {_rule_id(check.step): round(check.seconds, 3) for check in report.checks if check.step in _RULES},
    }


def _rule_id(step: int) -> str:
    """For example `huref-08-link-proof`."""
    return f"huref-{step:02}-{_RULES[step][0].replace(' ', '-')}"


def _rule(step: int) -> dict[str, Any]:
    name, why = _RULES[step]
    return {
        "id": _rule_id(step),
        "name": "".join(word.capitalize() for word in name.split()),
        "shortDescription": {"text": f"Step {step}, {name}, of a fingerprint's verification."},
        "fullDescription": {"text": why},
        "help": {"text": f"{why} docs/protocol.md section 9 says what step {step} compares."},
    }


def _result(report: Report, root: Path) -> dict[str, Any]:
    step = report.failure.step if report.failure and report.failure.step in _RULES else 0
    code = report.failure.code if report.failure else ""
    hint = f" {printable(report.failure.hint)}." if report.failure and report.failure.hint else ""
    place = _place(Path(report.bundle), step, root)
    same = hashlib.sha256(json.dumps([place.get("uri"), step, code]).encode()).hexdigest()
    return {
        "ruleId": _rule_id(step),
        "ruleIndex": list(_RULES).index(step),
        "kind": "fail",  # also when undecided: any other kind may have no level, and is not shown
        "level": _LEVEL[report.verdict],
        "message": {"text": f"{report.verdict_line()}.{hint}".replace("](", "] (")},  # no link out of a bundle
        "locations": [{"physicalLocation": {"artifactLocation": place, "region": {"startLine": 1}}}],
        "partialFingerprints": {"hurefVerify/v1": same},
    }


def _place(bundle: Path, step: int, root: Path) -> dict[str, str]:
    """The file that the step is about: in a folder the one that it reads, otherwise the bundle."""
    if is_folder(bundle):
        file = bundle / _FILE_OF_STEP.get(step, "statement.json")
        bundle = file if os.path.lexists(file) else bundle / "statement.json"  # unsigned: there is no signature.json
    whole = Path(os.path.normpath(root / bundle))
    try:
        relative = whole.relative_to(root)
    except ValueError:
        return {"uri": whole.as_uri()}
    # as_uri quotes; what is left after the quoted root is quoted too, and cannot be taken for a scheme
    return {"uri": Path("/", relative).as_uri().removeprefix("file:///"), "uriBaseId": "%SRCROOT%"}
