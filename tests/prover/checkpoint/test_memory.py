"""Memory of the process that proves does not grow with the number of rows: matrices are read, quantized and cut up in
pieces, and what is large lies on disk."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prover.checkpoint import spill
from tests.make_big_checkpoint import BigModel, write

ROOT = Path(__file__).resolve().parents[3]
WIDTH = 1024
PIECES = 1 << 17  # entries handled at a time, smaller than the real value so that small models have many pieces

# Memory that belongs to the process alone: pages of mapped files can leave it at any time.
SCRIPT = """
import json, re, sys, threading
from pathlib import Path
from prover.checkpoint import folded_matrix, spill, tensors as checkpoint
from prover.commitments import rows as commitments, field
from prover.terms import terms
for module in (checkpoint, field, folded_matrix, terms):
    module._BLOCK_ENTRIES = PIECES
spill.SPILL_BYTES, commitments.SHARD_SCALARS = PIECES, PIECES
peak, over = 0, threading.Event()
def watch():
    global peak
    while not over.wait(0.002):
        peak = max(peak, int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]))
thread = threading.Thread(target=watch)
rules = terms.TermRules(seed=bytes(32), g=16, k_min=128, k_max=512)
terms.load_fingerprint_input(Path(sys.argv[2]), rules)  # what is loaded once
thread.start()
source = terms.load_fingerprint_input(Path(sys.argv[1]), rules)
matrices = {
    name: commitments.SaltedMatrix.of(name, rows, bytes(32), 12) for name, rows in source.matrices.by_name.items()
}
rows = 0
for shard in commitments.cut(matrices):
    where = slice(shard.begin, shard.end)
    piece = shard.matrix.entries[where].tobytes(), shard.matrix.salts[where].tobytes()
    rows += shard.rows
for matrix in matrices.values():
    field.transposed_product(matrix.entries, [1 << 250] * len(matrix.entries))
over.set()
thread.join()
print(json.dumps({"rows": rows, "bytes": sum(m.entries.nbytes for m in matrices.values()), "peak": 1024 * peak}))
"""


def measure(folder: Path, warm: Path) -> dict[str, int]:
    script = SCRIPT.replace("PIECES", str(PIECES))
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(warm)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux only")
def test_memory_does_not_grow_with_rows(tmp_path: Path) -> None:
    """Six times the rows, 63 MB more of quantized weights (252 MB as float32, 504 as float64), of which none stays.

    What does grow is `A W^T`, [16, rows] as floats and as integers, and a list of challenges: 400 bytes a row at most.
    """
    small, large = (
        write(tmp_path / str(ffn), BigModel("llama", WIDTH, ffn, 2, 8, 8, 600, "BF16")) for ffn in (1024, 16384)
    )
    few, many = measure(small, small), measure(large, small)
    rows, quantized = many["rows"] - few["rows"], many["bytes"] - few["bytes"]
    assert rows == 4 * (16384 - 1024)
    assert quantized == WIDTH * rows
    assert many["peak"] - few["peak"] < 400 * rows, (few, many)


def test_spilled_arrays_hold_what_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And their file has no name: nothing is left to find."""
    monkeypatch.setattr(spill, "SPILL_BYTES", 100)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    in_memory, on_disk = spill.byte_array((9, 11), np.uint8), spill.byte_array((10, 10), np.int8)
    assert not isinstance(in_memory, np.memmap)
    assert isinstance(on_disk, np.memmap)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    on_disk[:] = np.arange(100, dtype=np.int8).reshape(10, 10)
    assert on_disk[9].tolist() == list(range(90, 100))
