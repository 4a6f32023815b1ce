"""Step 1, format: a directory or zip becomes five typed files (docs/protocol.md section 7).

Nothing in it is trusted. A sixth, signature.json, is left to step 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from verifier.fingerprint.image import Picture, read_picture
from verifier.formats import limits
from verifier.formats.encoding import POINT_BYTES
from verifier.formats.errors import Rejected
from verifier.formats.package import Package, read_files
from verifier.formats.proof_file import ProofFile, read_proof
from verifier.signature.signature import FILE, bundle_digest
from verifier.statement.statement import Statement, read_statement

FILE_LIMITS = {
    "statement.json": limits.MAX_STATEMENT_BYTES,
    "commitments.bin": limits.MAX_COMMITMENTS_BYTES,
    "link.json": limits.MAX_PROOF_FILE_BYTES,
    "encoder.json": limits.MAX_PROOF_FILE_BYTES,
    "fingerprint.png": limits.MAX_PICTURE_BYTES,
}
OPTIONAL = {FILE: limits.MAX_SIGNATURE_BYTES}  # read if it is there, judged at step 12
BUNDLE = Package("bundle", FILE_LIMITS, OPTIONAL)


@dataclass(frozen=True)
class Bundle:
    """The five files, typed, and signature.json as it is, if there is one.

    `commitments` is a run of 64-byte points, not yet checked (step 3 does that).
    """

    statement: Statement
    statement_bytes: bytes
    commitments: bytes
    link: ProofFile
    encoder: ProofFile
    picture: Picture
    digests: Mapping[str, str]  # name -> SHA-256 of the file, hexadecimal; without signature.json
    digest: bytes  # docs/protocol.md section 10
    signature: bytes | None


def read_bundle(path: Path) -> Bundle:
    """Read and parse a bundle.

    Raises:
        Unreadable, UnknownVersion: see the error tree.
        Rejected: well-formed files that break a rule of the format.
    """
    return parse_bundle(read_files(path, BUNDLE))


def parse_bundle(found: Mapping[str, bytes]) -> Bundle:
    """The same for the bytes of the files.

    Raises:
        Unreadable, UnknownVersion, Rejected: see `read_bundle`.
    """
    files = {name: found[name] for name in FILE_LIMITS}
    statement_bytes = files["statement.json"]
    statement = read_statement(statement_bytes)
    commitments = files["commitments.bin"]
    if len(commitments) % POINT_BYTES:
        raise Rejected("commitments.bin: not a whole number of 64-byte points", code="length")
    return Bundle(
        statement=statement,
        statement_bytes=statement_bytes,
        commitments=commitments,
        link=read_proof(files["link.json"], "link"),
        encoder=read_proof(files["encoder.json"], "encoder"),
        picture=read_picture(files["fingerprint.png"], "fingerprint.png"),
        digests={name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        digest=bundle_digest(files),
        signature=found.get(FILE),
    )
