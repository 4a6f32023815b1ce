"""Committing to rows: ezkl's processor time a weight beside that of each native kernel, in one run, one thread each.

`python -m tests.benchmarks.kernel`: at each width a round commits the same rows by ezkl and by every kernel of this
machine, in turn; the ratios are taken within a round, and their median over the rounds. ezkl's time is that of its
process, without what starting it and loading its files costs: the difference of two calls with many and few rows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from circuits.curve_files import CurveFile, read_curve_file, scalars
from circuits.kernel import kernels
from circuits.kernel.rows import BEST_ROWS, RowPlan, row_points
from circuits.profiles import load_profile
from circuits.row_bases import RowBases, make_row_bases
from circuits.size_classes import SALT_LENGTH, SIZE_CLASSES
from circuits.srs import generate_development

WIDTHS = (768, 2048, 4096)
ROUNDS = 7
EZKL_WEIGHTS = 1 << 20  # ezkl's cost a weight does not depend on how many rows there are
FEW_ROWS = 16
LARGE_K = 13


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def spent(clock: Callable[[], float], work: Callable[[], object]) -> float:
    start = clock()
    work()
    return clock() - start


def rows_and_salts(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights as quantizing makes them, a normal distribution of deviation 16; random salts."""
    random = np.random.default_rng(width)
    rows = np.clip(np.rint(random.normal(0, 16, (count, width))), -127, 127).astype(np.int8)
    salts = scalars([int.from_bytes(random.bytes(31), "big") for _ in range(count * SALT_LENGTH)])
    return rows, np.frombuffer(salts, np.uint8).reshape(count, -1)


def ezkl_us(bases: RowBases, rows: np.ndarray, salts: np.ndarray) -> float:
    """Processor microseconds a weight."""
    many = max(4 * FEW_ROWS, EZKL_WEIGHTS // bases.width)
    used = [
        spent(children_seconds, lambda count=count: bases.commit(rows[:count].tobytes(), salts[:count].tobytes()))
        for count in (FEW_ROWS, many)
    ]
    return 1e6 * (used[1] - used[0]) / ((many - FEW_ROWS) * bases.width)


def measure(width: int, bases: RowBases, points: bytes, rounds: int) -> dict:
    """One width: medians of microseconds a weight, and of ezkl's over each kernel's."""
    rows, salts = rows_and_salts(BEST_ROWS, width)
    plan = None

    def prepare() -> None:
        nonlocal plan
        plan = RowPlan(points, SALT_LENGTH)

    prepared = spent(time.thread_time, prepare)
    sample = bases.commit(rows[:FEW_ROWS].tobytes(), salts[:FEW_ROWS].tobytes())
    times: dict[str, list[float]] = {name: [] for name in ("ezkl", *kernels())}
    for _ in range(rounds):
        times["ezkl"].append(ezkl_us(bases, rows, salts))
        for name in kernels():
            given = plan.commit(rows[:FEW_ROWS], salts[:FEW_ROWS], kernel=name)
            assert given == sample, f"{name} differs from ezkl"
            used = spent(time.thread_time, lambda name=name: plan.commit(rows, salts, kernel=name))
            times[name].append(1e6 * used / rows.size)
    ratios = {
        name: [before / after for before, after in zip(times["ezkl"], times[name], strict=True)] for name in kernels()
    }
    return {
        "d": width,
        "rows": BEST_ROWS,
        "rounds": rounds,
        "us_a_weight": {name: round(statistics.median(values), 4) for name, values in times.items()},
        "times_faster": {name: round(statistics.median(values), 1) for name, values in ratios.items()},
        "lowest_ratio": {name: round(min(values), 1) for name, values in ratios.items()},
        "plan_s": round(prepared, 2),
    }


def main() -> None:
    """One JSON line a width; a table on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    os.environ["RAYON_NUM_THREADS"] = "1"
    profile = load_profile()
    link = profile.circuit("link")
    tail = 2**profile.size.k - link.usable_rows
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate_development(folder / "srs", LARGE_K)
        srs: CurveFile = read_curve_file(folder / "srs")
        size = SIZE_CLASSES["base"]  # holds 4,096 weights; any verification key will do for a multiplication
        print(f"{platform.machine()}, processor us a weight, one thread, {BEST_ROWS} rows", file=sys.stderr)
        for width in WIDTHS:
            bases = make_row_bases(srs, size, width, folder, tail, link.vk, link.settings)
            found = measure(width, bases, row_points(srs, size, width), rounds)
            print(json.dumps(found), flush=True)
            cells = [f"{n} {us} ({found['times_faster'].get(n, 1)} times)" for n, us in found["us_a_weight"].items()]
            print(f"d = {width}: " + ", ".join(cells), file=sys.stderr)


if __name__ == "__main__":
    main()
