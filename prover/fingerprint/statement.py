"""The statement: what the proof is about, in canonical JSON (docs/protocol.md, section 7). Pure."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from circuits.errors import UsageError
from circuits.profiles import Profile
from prover.formats.canonical_json import canonical
from prover.terms.terms import FingerprintInput

STATEMENT_TYPE = "application/vnd.huref-zk.statement+json;version=1"
MAX_METADATA_LENGTH = 200
METADATA_FIELDS = ("name", "version", "maker")


def check_metadata(metadata: Mapping[str, str]) -> None:
    """UsageError for metadata that is too long."""
    for field in METADATA_FIELDS:
        if len(metadata.get(field, "")) > MAX_METADATA_LENGTH:
            raise UsageError(f"--model-{field}: longer than {MAX_METADATA_LENGTH} characters", step="statement")


def build_statement(
    profile: Profile, source: FingerprintInput, scale: Sequence[int], metadata: Mapping[str, str]
) -> dict[str, Any]:
    """The statement document."""
    pinned, tokens = profile.document, source.tokens
    return {
        "type": STATEMENT_TYPE,
        "profile": {"name": profile.name, "sha256": profile.sha256},
        "size_class": pinned["size_class"],
        "srs": {key: pinned["srs"][key] for key in ("sha256", "verify_sha256")},
        "circuits": {
            circuit: {key: record[key] for key in ("onnx", "settings", "vk")}
            for circuit, record in pinned["circuits"].items()
        },
        "fpm": pinned["fpm"],
        "projection": pinned["projection"],
        "quantization": pinned["quantization"],
        "tokens": {
            "rule": pinned["tokens"]["rule"],
            "K": tokens.count,
            "candidates": tokens.candidates,
            "sha256": tokens.sha256.hex(),
            "tokenizer": tokens.tokenizer_sha256.hex(),
        },
        "model": source.shape.as_statement(),
        "matrices": [{"name": name, "rows": len(entries)} for name, entries in source.matrices.by_name.items()],
        "c": [str(c) for c in scale],
        "metadata": {field: metadata.get(field, "") for field in METADATA_FIELDS},
    }


def weights_commitment(statement: Mapping[str, Any], row_points: bytes) -> str:
    """`cm`: SHA-256 over version, k, SRS, shapes, quantization, tokens and all row points; hex."""
    part = {key: statement[key] for key in ("matrices", "model", "quantization", "tokens")}
    data = b"huref-zk/v1/cm" + struct.pack(">I", statement["size_class"]["k"])
    data += bytes.fromhex(statement["srs"]["sha256"]) + canonical(part) + row_points
    return hashlib.sha256(data).hexdigest()
