"""What the verifier says of a bundle: the report of its command, as anybody else runs it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.errors import CircuitError
from prover.verifier_process import verifier_command

TIME_LIMIT_S = 300


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
