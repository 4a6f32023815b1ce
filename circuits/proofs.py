"""One proof: field vectors in, proof bytes and instances out. What every caller of ezkl's prover shares."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits import ezkl_worker
from circuits.curve_files import scalars


def prove(
    vectors: Sequence[Sequence[int]],
    *,
    compiled: Path,
    pk: Path,
    vk: Path,
    settings: Path,
    srs: Path,
    time_limit_s: float,
    checked: bool = True,
) -> dict[str, Any]:
    """Witness and proof for the circuit's inputs in graph order; `checked`: verified by ezkl before it is returned.

    Returns `proof` (hex) and `instances` (hex, little-endian). Raises CircuitError when ezkl refuses.
    """
    with tempfile.TemporaryDirectory(prefix="huref-witness-") as scratch:
        path = Path(scratch, "vectors")
        path.write_bytes(b"".join(scalars(vector) for vector in vectors))
        answer: dict[str, Any] = ezkl_worker.call(
            "prove" if checked else "prove_unchecked",
            time_limit_s=time_limit_s,
            vectors=path,
            lengths=[len(vector) for vector in vectors],
            compiled=compiled,
            pk=pk,
            vk=vk,
            settings=settings,
            srs=srs,
        )
    return answer
