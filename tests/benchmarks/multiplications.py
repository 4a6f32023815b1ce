"""What a scalar costs in `ezkl.kzg_commit`, by the number of bases and the size of scalars: why rows are cut up.

`python -m tests.benchmarks.multiplications`: processor microseconds a scalar with one thread, without the fixed cost
of a call (which is printed too). See `circuits/row_bases.py`.
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from circuits import srs
from circuits.curve_files import read_curve_file, write_bases
from circuits.profiles import load_profile

CLASS_K = 13
BASES_K = (7, 8, 9, 10, 11, 12, 13)
FEW, MANY = 1 << 16, 1 << 19  # scalars a call: the difference is without what every call costs


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Prints a table."""
    os.environ["RAYON_NUM_THREADS"] = "1"  # before ezkl is loaded
    import ezkl

    random, link = np.random.default_rng(0), load_profile().circuit("link")
    tail = 2**12 - link.usable_rows
    byte_scalars = [bytes([value]).hex().ljust(64, "0") for value in range(256)]

    def bytes_only(count: int) -> list[str]:
        return [byte_scalars[value] for value in random.integers(0, 256, count)]

    def zeros(count: int) -> list[str]:
        return [byte_scalars[0]] * count

    def with_salt(count: int) -> list[str]:
        return bytes_only(count - 16) + [random.bytes(31).hex() + "00" for _ in range(16)]

    kinds: dict[str, Callable[[int], list[str]]] = {
        "zeros": zeros,
        "bytes": bytes_only,
        "bytes and 16 full-size scalars": with_salt,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        srs.generate_development(folder / "srs", CLASS_K)
        file = read_curve_file(folder / "srs")
        print("| bases | " + " | ".join(kinds) + " | a call |\n|" + " --- |" * (len(kinds) + 2))
        for k in BASES_K:
            count = 2**k - tail
            bases = write_bases(folder / "bases", file.lagrange_at(range(count)), file.g2, tail, link.vk, link.settings)
            cells, fixed = [], 0.0
            for scalars in kinds.values():
                used = []
                messages = [max(1, FEW // 2**k), MANY // 2**k]
                for number in messages:
                    message = [scalar for _ in range(number) for scalar in scalars(count)]
                    start = processor_seconds()
                    ezkl.kzg_commit(message, str(link.vk), str(link.settings), str(bases.path))
                    used.append(processor_seconds() - start)
                each = (used[1] - used[0]) / (messages[1] - messages[0])
                cells.append(f"{1e6 * each / count:.2f}")
                fixed = used[0] - messages[0] * each
            print(f"| {count} | " + " | ".join(cells) + f" | {1e3 * fixed:.0f} ms |", flush=True)
    print("processor microseconds a scalar, one thread", file=sys.stderr)


if __name__ == "__main__":
    main()
