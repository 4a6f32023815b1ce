"""Proofs to hand over: that an entry is in the log, and that the log extends an earlier one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from circuits.errors import RegistryError
from prover.registry import merkle
from prover.registry.entry import Entry, parse_line
from prover.registry.store import Head

PROOF_TYPE = "application/vnd.huref-zk.registry-proof+json;version=1"
MAX_PROOF_BYTES = 256 << 10  # a line of 64 kB, and a few dozen hashes
_HEX64 = re.compile(r"[0-9a-f]{64}")


def make_proof(lines: Sequence[bytes], number: int, since: int | None) -> dict[str, Any]:
    """A proof about entry `number` of a log with these lines, and that it extends its first `since` entries.

    Raises:
        RegistryError: there are not so many entries.
    """
    if not 0 <= number < len(lines):
        raise RegistryError(f"entry {number}: the log has entries 0 to {len(lines) - 1}", step="proof")
    if since is not None and not 0 < since <= len(lines):
        raise RegistryError(f"a head of {since} entries: the log has {len(lines)}", step="proof")
    leaves = [merkle.leaf_hash(line) for line in lines]
    consistency = None
    if since is not None:
        path = merkle.consistency_proof(leaves, since)
        consistency = {"entries": since, "path": [node.hex() for node in path]}
    return {
        "type": PROOF_TYPE,
        "entry": lines[number].decode(),
        "number": number,
        "entries": len(lines),
        "inclusion": [node.hex() for node in merkle.inclusion_proof(leaves, number)],
        "consistency": consistency,
    }


def check_proof(data: bytes, name: Path | str, head: Head, since: Head | None) -> Entry:
    """The entry that a proof is about, if it lies in the log with that head, and that log extends `since`.

    Raises:
        RegistryError: it does not, or this is not a proof.
    """
    if len(data) > MAX_PROOF_BYTES:
        raise RegistryError(f"{name}: larger than {MAX_PROOF_BYTES} bytes", step="proof")
    try:
        value = json.loads(data.decode("utf-8"))
        if value["type"] != PROOF_TYPE or type(value["number"]) is not int:
            raise ValueError(value["type"])
        line, inclusion, older = value["entry"].encode(), _path(value["inclusion"]), value["consistency"]
        old_size, old_path = (0, []) if older is None else (older["entries"], _path(older["path"]))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RegistryError(f"{name}: not a proof of this version", step="proof") from None
    root = bytes.fromhex(head.root)
    if not merkle.is_included(merkle.leaf_hash(line), value["number"], head.entries, inclusion, root):
        raise RegistryError(f"{name}: the entry is not in the log with that head", step="proof")
    if since is not None:
        if old_size != since.entries:
            raise RegistryError(f"{name}: about another earlier head than the one given", step="proof")
        if not merkle.is_consistent(since.entries, head.entries, bytes.fromhex(since.root), root, old_path):
            raise RegistryError(f"{name}: the log does not extend the earlier head", step="proof")
    return parse_line(line, value["number"])


def _path(value: object) -> list[bytes]:
    if not isinstance(value, list) or not all(isinstance(node, str) and _HEX64.fullmatch(node) for node in value):
        raise ValueError("path")
    return [bytes.fromhex(node) for node in value]
