"""Reading a finished bundle on the prover's side: its statement and the commitments of its rows.

Nothing is verified here: whoever compares runs `huref-verify` on the result. Bounded reads, a directory or a zip.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.errors import BundleError
from circuits.points import POINT_BYTES
from prover.fingerprint.statement import STATEMENT_TYPE, weights_commitment

MAX_STATEMENT_BYTES = 64 << 10
MAX_COMMITMENTS_BYTES = 128 << 20
_HINT = "give the path of a bundle that huref prove wrote"


@dataclass(frozen=True)
class CommittedRows:
    """What a bundle commits to. `rows`: 64 bytes each, by matrix, in order."""

    path: Path
    statement: dict[str, Any]
    statement_sha256: str
    rows: dict[str, bytes]
    cm: str

    @property
    def profile_name(self) -> str:
        """The profile that the statement names."""
        return str(self.statement["profile"]["name"])


def read_rows(path: Path) -> CommittedRows:
    """The statement and row commitments of a bundle; BundleError names what is wrong with it."""
    data = _read(path, "statement.json", MAX_STATEMENT_BYTES)
    points = _read(path, "commitments.bin", MAX_COMMITMENTS_BYTES)
    try:
        statement = json.loads(data)
        if statement["type"] != STATEMENT_TYPE:
            raise BundleError(f"{path}: field type is {statement['type']!r}", step="bundle", hint="upgrade huref-zk")
        rows, start = {}, 0
        for matrix in statement["matrices"]:
            end = start + POINT_BYTES * int(matrix["rows"])
            rows[str(matrix["name"])] = points[start:end]
            start = end
        if start >= len(points):
            raise BundleError(f"{path}: commitments.bin is too short", step="bundle", hint=_HINT)
        cm = weights_commitment(statement, points[:start])
        if not isinstance(statement["tokens"], dict) or not isinstance(statement["profile"]["name"], str):
            raise ValueError("profile or tokens")
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: statement.json is not a statement ({error})", step="bundle", hint=_HINT) from None
    return CommittedRows(path, statement, hashlib.sha256(data).hexdigest(), rows, cm)


def _read(path: Path, name: str, limit: int) -> bytes:
    try:
        if path.is_dir():
            with (path / name).open("rb") as stream:
                data = stream.read(limit + 1)
        else:
            with zipfile.ZipFile(path) as archive, archive.open(name) as member:
                data = member.read(limit + 1)
    except OSError as error:
        raise BundleError(f"{path}: {name}: {error.strerror or error}", step="bundle", hint=_HINT) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, RuntimeError, NotImplementedError) as error:
        raise BundleError(f"{path}: no readable {name} ({error})", step="bundle", hint=_HINT) from None
    if len(data) > limit:
        raise BundleError(f"{path}: {name} has more than {limit} bytes", step="bundle", hint=_HINT)
    return data
