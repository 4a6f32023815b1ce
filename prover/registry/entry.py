"""A line of the log: what was verified about one bundle when it was added. Canonical JSON, parsed strictly.

A line's bytes (without the newline) are a leaf of the hash tree.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import RegistryError
from prover.fingerprint.statement import METADATA_FIELDS
from prover.formats.canonical_json import canonical
from prover.registry.merkle import leaf_hash
from prover.release.signing import FILES, SIGNATURE_FILE

ENTRY_TYPE = "application/vnd.huref-zk.registry-entry+json;version=1"
Z_LENGTH = 512
MAX_LINE_BYTES = 64 << 10  # a real one has 8 kB, most of it z

_KEYS = {
    "type": str, "number": int, "added": str, "bundle": str, "files": dict, "commitment": str, "profile": str,
    "development_srs": bool, "metadata": dict, "fingerprint": dict,
}  # fmt: skip
_HEX64 = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Entry:
    """One published bundle.

    Args:
        number: its place in the log, from 0.
        added: when, UTC.
        bundle: the digest over its five files (protocol.md section 10).
        files: name -> SHA-256 of each file kept.
        commitment: cm.
        profile: the profile's name.
        development_srs: whether that profile's SRS is a development one.
        metadata: what the maker says; never trusted.
        fingerprint: as `huref-verify --json` gives it: z, and what z depends on.
    """

    number: int
    added: str
    bundle: str
    files: dict[str, str]
    commitment: str
    profile: str
    development_srs: bool
    metadata: dict[str, str]
    fingerprint: dict[str, Any]

    def line(self) -> bytes:
        """Its bytes in the log, without the newline."""
        return canonical({"type": ENTRY_TYPE} | {key: getattr(self, key) for key in _KEYS if key != "type"})

    def leaf(self) -> bytes:
        """Its leaf hash."""
        return leaf_hash(self.line())

    def z(self) -> npt.NDArray[np.float32]:
        """z at length 1, [512]."""
        return unit_z(self.fingerprint)

    def frame(self) -> str:
        """What must be equal for two z to be compared, as text."""
        return frame_of(self.fingerprint)


def unit_z(fingerprint: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    """z [512] at length 1 of a `fingerprint` object.

    Raises:
        RegistryError: it holds something else.
    """
    try:
        z = np.frombuffer(base64.b64decode(fingerprint["z"], validate=True), "<f8")
    except (ValueError, KeyError, TypeError):
        z = np.zeros(0)
    if z.shape != (Z_LENGTH,) or not np.isfinite(z).all() or not (norm := float(np.linalg.norm(z))) > 0:
        raise RegistryError(f"fingerprint.z: not {Z_LENGTH} numbers with a direction", step="entry")
    return (z / norm).astype(np.float32)


def frame_of(fingerprint: Mapping[str, Any]) -> str:
    """Encoder, head, projection, quantization and tokens: canonical JSON. The tokenizer's file may differ."""
    frame = {key: fingerprint.get(key) for key in ("encoder", "head", "projection", "quantization")}
    tokens = fingerprint.get("tokens")
    kept = {key: tokens.get(key) for key in ("rule", "K", "sha256")} if isinstance(tokens, dict) else None
    return canonical(frame | {"tokens": kept}).decode()


def parse_line(line: bytes, number: int) -> Entry:
    """The entry on line `number` (from 0) of the log.

    Raises:
        RegistryError: too long, not canonical JSON, or not an entry with that number.
    """

    def refuse(what: str) -> RegistryError:
        return RegistryError(f"log.jsonl, line {number + 1}: {what}", step="log", hint=HINT)

    if len(line) > MAX_LINE_BYTES:
        raise refuse(f"longer than {MAX_LINE_BYTES} bytes")
    try:
        value = json.loads(line.decode("utf-8"))
        same = isinstance(value, dict) and canonical(value) == line
    except (ValueError, RecursionError):
        same, value = False, None
    if not same or value is None:
        raise refuse("not a canonical JSON object")
    if set(value) != set(_KEYS) or any(type(value[key]) is not kind for key, kind in _KEYS.items()):
        raise refuse("not an entry: keys are missing, unknown, or of another kind")
    if value.pop("type") != ENTRY_TYPE:
        raise refuse("an entry of another version")
    entry = Entry(**value)
    texts = [*entry.files.values(), *entry.metadata.values()]
    if entry.number != number or not _TIME.fullmatch(entry.added) or not all(isinstance(text, str) for text in texts):
        raise refuse("another number, a time of another form, or a digest or name that is not text")
    if not set(FILES) <= set(entry.files) <= {*FILES, SIGNATURE_FILE} or set(entry.metadata) != set(METADATA_FIELDS):
        raise refuse("other files or other metadata than a bundle has")
    if not all(_HEX64.fullmatch(digest) for digest in (*entry.files.values(), entry.bundle, entry.commitment)):
        raise refuse("a digest that is not 64 lower-case hex digits")
    entry.z()
    return entry


HINT = "somebody changed the log; take it from a copy whose head you know (huref registry verify --since)"
