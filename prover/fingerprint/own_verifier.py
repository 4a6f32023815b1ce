"""`huref-verify` as a child process: nobody imports the verifier, since prover and verifier share no code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.errors import CircuitError

TIME_LIMIT_S = 300
_ROOT = str(Path(__file__).resolve().parents[2])  # where the verifier lies beside this package
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); sys.argv[0] = 'huref-verify{words}'; "
    "from verifier.{module} import {name}; {name}()"
)
MAIN = _START.format(words="", module="cli", name="main")
COMPARE = _START.format(
    words=" compare", module="comparison.published_cli", name="compare"
)  # also where a file is called compare


def verifier_command(arguments: Sequence[str], start: str = MAIN) -> list[str]:
    """What runs `huref-verify ARGUMENTS` (or another of its commands): isolated, with this process's modules.

    Isolated, so that no module of the folder it is started in is imported: that folder may hold others' bundles.
    """
    places = dict.fromkeys([_ROOT, *(place for place in sys.path if Path(place).is_absolute())])
    return [sys.executable, "-I", "-c", start, json.dumps(list(places)), *arguments]


def run_verifier(arguments: Sequence[str], start: str = MAIN) -> int:
    """Run `huref-verify` with this process's input and output; its exit code.

    An interrupt reaches it too, since it is of the same group; it is waited for, so that it can clean up.
    """
    process = subprocess.Popen(verifier_command(arguments, start))
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue


def report_on(bundle: Path, *options: str, more: Sequence[Path] = ()) -> dict[str, Any]:
    """The report of `huref-verify --json` on a bundle, or on a comparison and `more`, its bundles; of any verdict.

    Raises:
        CircuitError: the command gave none.
    """
    command = verifier_command(["--json", *options, "--", str(bundle), *map(str, more)])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT_S, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise CircuitError(f"huref-verify ran past {TIME_LIMIT_S} s", step="verify") from None
    except ValueError:
        words = (done.stdout or done.stderr).strip()[-600:]
        raise CircuitError(f"huref-verify gave no report: {words}", step="verify") from None
    return report


def verify_with_own_command(folder: Path, *more: Path) -> None:
    """Run `huref-verify` on a finished bundle, or on a comparison and its bundles; CircuitError unless it accepts.

    The development SRS is allowed here: whether to trust it is the auditor's question, not the maker's.
    """
    report = report_on(folder, "--allow-dev-srs", more=more)
    if report["verdict"] != "accepted":
        raise CircuitError(
            f"what was made does not verify: {report['verdict_line']}",
            step="verify",
            hint="report this: it is a bug",
        )
