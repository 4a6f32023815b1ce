"""`make bench`: proving and verifying the shipped base model, each in a process of its own. One JSON object on stdout.

Wall seconds, peak resident memory of the process tree, and bytes. These machines are noisy: compare figures of one run.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[2]
GOALS = {
    "prove": {"seconds": 60, "peak_MB": 3000},
    "verify": {"seconds": 2, "peak_MB": 500},
    "build keys": {"seconds": 60, "peak_MB": None},
}
VERIFY_RUNS = 5


def measured(command: list[str], environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a command; wall and processor seconds and peak resident megabytes of it and all its children together."""
    return measured_output(command, environment)[2]


def measured_output(
    command: list[str], environment: dict[str, str] | None = None, cwd: Path = ROOT
) -> tuple[str, str, dict[str, Any]]:
    """The same, with what the command printed on stdout and stderr before it."""
    start, peak, done = time.monotonic(), 0, threading.Event()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = psutil.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.02):
            total = 0
            try:
                for one in (process, *process.children(recursive=True)):
                    total += one.memory_info().rss
            except psutil.Error:
                continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed ({process.returncode}):\n{out}\n{err}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_s = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    figures = {"seconds": round(seconds, 2), "processor_s": round(processor_s, 2), "peak_MB": round(peak / 1e6)}
    return out, err, figures


def steps_in(said: str) -> dict[str, float]:
    """Seconds of each step, from what `huref prove` said on stderr."""
    return {step: float(seconds) for step, seconds in re.findall(r"^(.+?) +(\d+\.\d) s$", said, re.MULTILINE)}


def main() -> None:
    """Measure, print, compare with the goals."""
    python = sys.executable
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        fresh = {"XDG_CACHE_HOME": str(Path(scratch, "cache"))}
        rows["build keys"] = measured([python, "-m", "prover.cli", "circuits", "build"], fresh)
        bundle = Path(scratch, "out", "base")
        prove = [python, "-m", "prover.cli", "prove", "artifacts/models/base", "-o", str(bundle)]
        rows["prove"] = measured([*prove, "--secret", str(Path(scratch, "private", "s.json"))], fresh)
        rows["bundle"] = {"bytes": sum(f.stat().st_size for f in bundle.iterdir())}
        rows["bundle"]["files"] = {f.name: f.stat().st_size for f in sorted(bundle.iterdir())}
        verify = [python, "-m", "verifier", str(bundle), "--allow-dev-srs", "--json"]
        runs = [measured(verify) for _ in range(VERIFY_RUNS)]
        rows["verify"] = {
            "seconds": sorted(r["seconds"] for r in runs)[VERIFY_RUNS // 2],
            "peak_MB": max(r["peak_MB"] for r in runs),
            "all_seconds": [r["seconds"] for r in runs],
        }
    for name, goals in GOALS.items():
        for key, goal in goals.items():
            if goal is not None:
                mark = "ok  " if rows[name][key] <= goal else "OVER"
                print(f"{mark} {name:<11} {key:<8} {rows[name][key]:>8} (goal {goal})", file=sys.stderr)
    mark = "ok  " if rows["bundle"]["bytes"] <= 500_000 else "OVER"
    print(f"{mark} bundle      bytes    {rows['bundle']['bytes']:>8} (goal 500000)", file=sys.stderr)
    print(json.dumps({"cores": os.cpu_count(), **rows}, indent=1))


if __name__ == "__main__":
    main()
