"""Proven comparisons of two shipped models, base and offspring: what they cost. One JSON object on stdout.

    python -m tests.benchmarks.comparison --profile large-dev         a published profile
    python -m tests.benchmarks.comparison --size base                 a size class that has none
    ... --at-least 0.9                                                 only that the ICS is at least so high
    ... --verify-runs 1                                                instead of 5, of which the middle one counts
    ... --cache DIR                                                    use and keep proving keys there

For a size class, the packages are copied into a temporary folder, where a profile of it with a new development SRS is
published, pinned and used by the plain commands. Keys lie in a temporary folder too, unless one is given. Wall seconds
say little on a busy machine: processor seconds and the load are given beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from circuits.profiles import load_profile, published
from circuits.size_classes import SIZE_CLASSES
from tests.benchmarks import shipped_model
from tests.benchmarks.shipped_model import VERIFY_RUNS, measured, measured_output

ROOT = shipped_model.ROOT
PACKAGES = ("prover", "verifier", "circuits", "artifacts")
SHIFT = 56  # between tiny-dev's 50 and large-dev's 64; the shipped models' c_t are about 2^20 under it
MODELS = ("base", "offspring")
GOALS = {"prove": 90, "verify": 3}  # wall seconds on 2 cores, of the base class


def publish(size: str, copy: Path, environment: dict[str, str]) -> str:
    """A profile of `size` in a copy of the project, with its circuits for comparisons; its name."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    shipped_model.ROOT = copy  # where `measured` starts its commands
    name = f"{size}-bench"
    python = [sys.executable, "-m"]
    measured([*python, "circuits.publish", "--name", name, "--size", size, "--shift", str(SHIFT)], environment)
    measured([*python, "circuits.publish_comparison", "--profile", name], environment)
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a proven comparison of base and offspring.")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--profile", choices=published())
    which.add_argument("--size", choices=list(SIZE_CLASSES))
    parser.add_argument("--at-least")
    parser.add_argument("--verify-runs", type=int, default=VERIFY_RUNS)
    parser.add_argument("--cache", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="huref-bench-") as scratch_name:
        scratch = Path(scratch_name)
        fresh = {"XDG_CACHE_HOME": str((given.cache or scratch / "cache").absolute())}
        profile = given.profile or publish(given.size, scratch / "copy", fresh)
        rows = measure(profile, scratch, fresh, given.at_least, given.verify_runs)
    size = given.size or load_profile(given.profile).size.name
    print(json.dumps({"profile": profile, "size_class": size, "cores": os.cpu_count(), **rows}, indent=1))


def measure(
    profile: str, scratch: Path, environment: dict[str, str], at_least: str | None, verify_runs: int
) -> dict[str, Any]:
    """Keys, two bundles, the comparison, its verification."""
    huref, rows = [sys.executable, "-m", "prover.cli"], {}
    build = [*huref, "circuits", "build", "--profile", profile, "--comparison"]
    rows["build keys"] = measured(build, environment)
    bundles = [str(scratch / "out" / name) for name in MODELS]
    secrets = [str(scratch / "private" / f"{name}.json") for name in MODELS]
    checkpoints = [f"artifacts/models/{name}" for name in MODELS]
    for checkpoint, bundle, secret in zip(checkpoints, bundles, secrets, strict=True):
        prove = [*huref, "prove", checkpoint, "-o", bundle, "--secret", secret, "--profile", profile]
        rows[f"prove bundle {Path(bundle).name}"] = measured(prove, environment)
    target = scratch / "out" / "comparison"
    compare = [*huref, "compare", *bundles, "--prove", *secrets, "--weights", *checkpoints, "-o", str(target)]
    compare += ["--json"] if at_least is None else ["--json", "--at-least", at_least]
    out, err, rows["prove"] = measured_output(compare, environment)
    rows["prove"]["load"] = os.getloadavg()[0]
    rows["prove"]["said"] = json.loads(out)
    rows["prove"]["steps"] = [line for line in err.splitlines() if line.strip().endswith(" s")]
    verify = [sys.executable, "-m", "verifier", str(target), *bundles, "--allow-dev-srs", "--json"]
    runs = sorted((measured(verify, environment) for _ in range(verify_runs)), key=lambda one: float(one["seconds"]))
    rows["verify"] = {**runs[len(runs) // 2], "load": os.getloadavg()[0]}
    rows["bytes"] = {file.name: file.stat().st_size for file in sorted(target.iterdir())}
    for name, goal in GOALS.items():
        mark = "ok  " if rows[name]["seconds"] <= goal else "OVER"
        print(f"{mark} {name:<8} seconds {rows[name]['seconds']:>8} (goal of the base class {goal})", file=sys.stderr)
    return rows


if __name__ == "__main__":
    main()
