"""Runs targets in child processes and writes what happened: `python -m tests.fuzz --inputs 1000000 --record FILE`."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.fuzz.targets import TARGETS

ENGINES = ("atheris", "hypothesis")
HYPOTHESIS_SHARE = 0.02  # it is slower, and draws from the same changes
START_S = 120.0  # for a child to start and to end


def run_child(target: str, engine: str, inputs: int, seconds: float, seed: int) -> dict[str, Any]:
    """One line of the record. A child that was lost is a finding."""
    with tempfile.TemporaryDirectory(prefix="huref-fuzz-") as scratch:
        folder = Path(scratch)
        arguments = [target, engine, str(inputs), str(seconds), str(seed), str(folder)]
        command = [sys.executable, "-m", "tests.fuzz.child", *arguments]
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds + START_S,
                check=False,
            )
            said, code = done.stderr, str(done.returncode)
        except subprocess.TimeoutExpired as late:
            said, code = (late.stderr or b"").decode(errors="replace"), "time limit"
        result = folder / "result"
        if not result.exists():
            kept = (folder / "last").read_bytes() if (folder / "last").exists() else bytes(4)
            last = kept[4 : 4 + int.from_bytes(kept[:4], "little")]
            finding = {"kind": f"process lost: {code}", "words": said[-300:], "bytes": len(last), "input": last.hex()}
            return {"target": target, "engine": engine, "seed": seed, "inputs": 0, "findings": [finding]}
        record: dict[str, Any] = json.loads(result.read_text())
        if engine == "atheris":
            covered = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", said)
            if covered:
                record["coverage"] = dict(zip(("edges", "features", "corpus"), map(int, covered[-1]), strict=True))
        return record


def plan(names: list[str], engines: list[str], inputs: int) -> list[tuple[str, str, int]]:
    """(target, engine, inputs), by shares."""
    whole = sum(TARGETS[name].share for name in names)
    split = (
        {"atheris": 1 - HYPOTHESIS_SHARE, "hypothesis": HYPOTHESIS_SHARE} if len(engines) == 2 else {engines[0]: 1.0}
    )
    return [
        (name, engine, max(1, round(inputs * split[engine] * TARGETS[name].share / whole)))
        for engine in engines
        for name in names
    ]


def describe(record: dict[str, Any]) -> str:
    """A run on a line."""
    slowest, kinds = record.get("slowest", {}), len(record.get("outcomes", ()))
    line = f"{record['target']:<12} {record['engine']:<11}{record['inputs']:>9} inputs {record.get('cpu_s', 0):>7} s"
    line += f" {record.get('peak_mb', 0):>6} MB  slowest {slowest.get('ms', 0):>8} ms  {kinds} outcomes"
    return line + "".join(f"\n  FINDING {one['kind']}: {one['words'][:200]}" for one in record["findings"])


def main() -> None:
    """Parse arguments, run, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the verifier's parsers.")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--inputs", type=int, default=100_000, help="in all (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=600.0, help="for each target and engine at most")
    parser.add_argument("--engine", action="append", choices=ENGINES, help="default: both, where atheris is installed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--extremes", action="store_true", help="also the worst inputs that the limits admit")
    parser.add_argument("--record", type=Path, metavar="FILE", help="write a JSON record")
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(TARGETS):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    there = importlib.util.find_spec("atheris") is not None
    engines = arguments.engine or (list(ENGINES) if there else ["hypothesis"])
    if not there:
        print("atheris is not installed (pip install -e '.[fuzz]'): hypothesis alone", file=sys.stderr)
    runs = []
    for name, engine, inputs in plan(arguments.targets or list(TARGETS), engines, arguments.inputs):
        runs.append(run_child(name, engine, inputs, arguments.seconds, arguments.seed))
        print(describe(runs[-1]), flush=True)
    worst = []
    if arguments.extremes:
        from tests.fuzz.extremes import measure_all

        worst = measure_all()
    findings = sum(len(run["findings"]) for run in (*runs, *worst))
    total = sum(run["inputs"] for run in runs)
    print(f"{total} inputs, {findings} findings")
    if arguments.record:
        versions = {name: _version(name) for name in ("huref-zk", "atheris", "hypothesis", "numpy", "pillow")}
        document = {
            "when": time.strftime("%Y-%m-%d", time.gmtime()),
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "versions": versions,
            "inputs": total,
            "findings": findings,
            "runs": runs,
            "extremes": worst,
        }
        arguments.record.write_text(json.dumps(document, indent=1) + "\n")
    sys.exit(1 if findings else 0)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
