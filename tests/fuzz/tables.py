"""The tables of docs/fuzzing.md from a record: `python -m tests.fuzz.tables tests/fuzz/record.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.targets import TARGETS


def tables(record: dict[str, Any]) -> list[str]:
    """Lines of two tables: targets with both engines together, and the worst inputs."""
    lines = [
        "| target | what is read | inputs | accepted | slowest, ms | peak, MB |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for target in TARGETS.values():
        runs = [run for run in record["runs"] if run["target"] == target.name]
        inputs, accepted = (sum(n) for n in zip(*((r["inputs"], r["outcomes"]["accepted"]) for r in runs), strict=True))
        slowest, peak = max(run["slowest"]["ms"] for run in runs), max(run["peak_mb"] for run in runs)
        lines.append(
            f"| `{target.name}` | {target.what} | {inputs:,} | {accepted / inputs:.1%} | {slowest:.1f} | {peak:.0f} |"
        )
    lines += ["", "| worst input | bytes | processor s | peak, MB |", "| --- | --- | --- | --- |"]
    for one in record["extremes"]:
        lines.append(f"| {one['case']} | {one['bytes']:,} | {one['cpu_s']:.1f} | {one['peak_mb']:.0f} |")
    return lines


if __name__ == "__main__":
    print("\n".join(tables(json.loads(Path(sys.argv[1]).read_text()))))
