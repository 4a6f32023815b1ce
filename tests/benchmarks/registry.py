"""Searching a registry of 100,000 entries: `python -m tests.benchmarks.registry` prints one JSON object a line.

The log is made up: entries as `huref registry add` writes them, random z, no bundles. Its index is made, and searched
as `huref registry identify` does; verifying the bundle that is asked about comes on top (about a second).
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from prover.registry.entry import Entry
from prover.registry.index import Index
from prover.registry.nearest import nearest
from prover.registry.store import Registry
from prover.release.signing import FILES


def made_up(number: int, z: np.ndarray) -> Entry:
    """An entry as `add` writes it."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()
    fingerprint = {
        "z": base64.b64encode(z.astype("<f8").tobytes()).decode(),
        "encoder": "0" * 64,
        "head": "0" * 64,
        "projection": {"g": 16, "seed": "0" * 64},
        "quantization": "rms16-int8-v1",
        "tokens": {"rule": "sha256-order-v1", "K": 4096, "sha256": "0" * 64, "tokenizer": "0" * 64},
    }
    names = {"name": f"model {number}", "version": "1", "maker": "somebody"}
    files = dict.fromkeys(FILES, digest)
    return Entry(number, "2026-01-01T00:00:00Z", digest, files, digest, "tiny-dev", True, names, fingerprint)


def seconds() -> tuple[float, float]:
    """Elapsed and processor time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), used.ru_utime + used.ru_stime


def timed(what: str, entries: int, function) -> object:
    """Run it, print what it took, return what it gave."""
    before = seconds()
    result = function()
    elapsed, processor = (after - start for after, start in zip(seconds(), before, strict=True))
    line = {"what": what, "entries": entries, "seconds": round(elapsed, 3), "processor_seconds": round(processor, 3)}
    print(json.dumps(line), flush=True)
    return result


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--entries", type=int, default=100_000)
    count = parser.parse_args().entries
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry.open_or_create(Path(folder, "registry"))
        with registry.log.open("wb") as log:
            for number in range(count):
                entry = made_up(number, rng.standard_normal(512))
                log.write(entry.line() + b"\n")
        target = count // 3
        query = entry.fingerprint | {"null": {"effective_dimension": 128, "least_tokens": 512}}

        def opened() -> None:
            with Index.reading(registry):
                pass

        timed("make the index from the log", count, opened)
        with Index.reading(registry) as index:
            _, z = index.vectors(entry.frame())
            near = z[target].astype(np.float64) + 0.3 * rng.standard_normal(512) / 512**0.5
        query["z"] = base64.b64encode(near.astype("<f8").tobytes()).decode()

        def search() -> object:
            with Index.reading(registry) as index:
                return nearest(index, query, 5)

        for _ in range(3):
            found = timed("identify", count, search)
    first = found.matches[0]
    if (first.entry.number, first.verdict) != (target, "derived"):
        sys.exit(f"not found: {first}")


if __name__ == "__main__":
    main()
