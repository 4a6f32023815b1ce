"""Salts: 16 field elements at the end of every secret vector; they make its commitment hide (docs/protocol.md, 3)."""

from __future__ import annotations

import hashlib
import struct

from circuits.size_classes import SALT_LENGTH
from prover.commitments.transcript import CHALLENGE_BYTES, field_elements


def row_salt(seed: bytes, k: int, name: str, row: int, entries: bytes) -> list[int]:
    """Salt of one committed row. The row's own hash is in it: equal rows alone share a salt under one seed."""
    label = name.encode("ascii")
    data = b"huref-zk/v1/row-salt" + seed + struct.pack(">II", k, len(label)) + label + struct.pack(">I", row)
    return _expand(data + hashlib.sha3_256(entries).digest())


def vector_salt(seed: bytes, state: bytes, label: str, session: bytes) -> list[int]:
    """Salt of S' or of one y: fresh for every bundle, and bound to all that was said before."""
    return _expand(b"huref-zk/v1/vector-salt" + seed + state + label.encode("ascii") + session)


def _expand(data: bytes) -> list[int]:
    return field_elements(hashlib.shake_256(data).digest(SALT_LENGTH * CHALLENGE_BYTES))
