"""The table and the plot of docs/scale.md from what the benchmarks printed.

`python -m tests.benchmarks.scale_report FOLDER [PLOT.svg]`: FOLDER holds `models.jsonl` (of `large_models`) and
`naive.jsonl` (of `naive`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = {
    "model": "shape",
    "size_class": "class",
    "weights": "committed weights",
    "rows": "rows",
    "read_us_per_weight_and_core": "read, quantize: us a weight",
    "salts_us_per_weight_and_core": "salts",
    "commit_us_per_weight_and_core": "commit",
    "processor_s": "all: processor s",
    "jobs": "processes",
    "read_s": "read: wall s",
    "commit_s_all_rows": "commit: wall s",
    "peak_MB_of_all": "peak MB",
    "commitments_bytes": "commitments: bytes",
}
WHOLE_COLUMNS = {
    "model": "proven whole",
    "profile": "profile",
    "whole_rows": "rows",
    "build_keys": "keys, once: wall s",
    "prove.seconds": "proof: wall s",
    "prove.processor_s": "processor s",
    "prove.peak_MB": "peak MB",
    "verify.seconds": "verification: wall s",
    "verify.processor_s": "processor s",
    "verify.peak_MB": "peak MB",
    "bundle": "bundle: bytes",
    "bundle_bytes_beside_rows": "of these beside 64 a row",
}
NAIVE_COLUMNS = (
    "weights",
    "k",
    "prove_processor_s",
    "commit_processor_s",
    "prove_us_per_weight_and_core",
    "peak_MB",
    "key_bytes",
    "proof_bytes",
)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(names: list[str], rows: list[list[object]]) -> str:
    def cell(value: object) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    body = [names, ["---"] * len(names), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)


def whole_cell(line: dict[str, Any], key: str) -> object:
    """A figure of a run of `huref prove` and `huref-verify`."""
    if key == "build_keys":
        return line[key]["seconds"]
    if key == "bundle":
        return sum(line["bundle_bytes"].values())
    step, _, figure = key.partition(".")
    return line[step][figure] if figure else line[key]


def plot(models: list[dict[str, Any]], naive: list[dict[str, Any]], proven: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pyplot.rcParams["svg.hashsalt"] = "huref-zk"
    figure, axes = pyplot.subplots(figsize=(7.5, 4.5))
    if naive:
        axes.plot(
            [x["weights"] for x in naive],
            [x["prove_processor_s"] for x in naive],
            "s-",
            label="weights inside an ezkl circuit",
        )
        axes.plot(
            [x["weights"] for x in naive],
            [x["commit_processor_s"] for x in naive],
            "^-",
            label="huref-zk: commit to the same weights",
        )
    if models:
        ordered = sorted(models, key=lambda x: int(x["weights"]))
        axes.plot(
            [x["weights"] for x in ordered],
            [x["processor_s"] for x in ordered],
            "o-",
            label="huref-zk: read, quantize, salt, commit",
        )
        for i, x in enumerate(ordered):  # names left and right in turn: two shapes are nearly of one size
            ha, offset = (("right", (-7, -1)), ("left", (6, -8)))[i % 2]
            place = (x["weights"], x["processor_s"])
            axes.annotate(x["model"], place, offset, textcoords="offset points", fontsize=8, ha=ha)
    if proven:
        axes.plot(
            [x["whole_weights"] for x in proven],
            [x["prove"]["processor_s"] for x in proven],
            "D",
            label="huref-zk: proven whole, both proofs too",
        )
    axes.set(xscale="log", yscale="log", xlabel="weights", ylabel="processor seconds")
    axes.margins(0.1)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    folder = Path(sys.argv[1])
    everything, naive = lines(folder / "models.jsonl"), lines(folder / "naive.jsonl")
    models = [x for x in everything if "weights" in x]  # the others were proven, and no more
    for x in models:
        each = sum(x[f"{step}_us_per_weight_and_core"] for step in ("read", "salts", "commit"))
        x["processor_s"] = round(each * x["weights"] / 1e6)
    print(table(list(COLUMNS.values()), [[x[key] for key in COLUMNS] for x in models]))
    proven = [x for x in everything if "prove" in x]
    if proven:
        cells = [[whole_cell(x, key) for key in WHOLE_COLUMNS] for x in proven]
        print("\n" + table(list(WHOLE_COLUMNS.values()), cells))
    for x in proven:
        print(f"\n{x['model']}, wall seconds: " + ", ".join(f"{step} {s}" for step, s in x["prove"]["steps"].items()))
    print("\n" + table(list(NAIVE_COLUMNS), [[x[key] for key in NAIVE_COLUMNS] for x in naive]))
    if len(sys.argv) > 2:
        plot(models, naive, proven, Path(sys.argv[2]))


if __name__ == "__main__":
    main()
