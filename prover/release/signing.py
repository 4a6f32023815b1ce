"""Signing a bundle: its digest as an in-toto Statement in a DSSE envelope (docs/protocol.md, section 10).

The five files are read, never written; `signature.json` is put in place by one rename.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, utils
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from circuits.digests import storage_error
from circuits.errors import BundleError, UsageError
from prover.fingerprint import artefact as bundles
from prover.fingerprint.statement import weights_commitment
from prover.formats.canonical_json import canonical
from prover.release.keys import SigningKey

SIGNATURE_FILE = "signature.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:huref-zk:predicate:fingerprint:v1"
MAX_FILE_BYTES = {
    "statement.json": 64 << 10,
    "commitments.bin": 64 * 2_000_000,
    "link.json": 4 << 20,
    "encoder.json": 4 << 20,
    "fingerprint.png": 4 << 20,
    SIGNATURE_FILE: 64 << 10,
}
FILES = tuple(name for name in MAX_FILE_BYTES if name != SIGNATURE_FILE)  # section 7's order
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_STEP = "sign"


def read_files(path: Path) -> dict[str, bytes]:
    """The files of a bundle, a folder or archive, in section 7's order; signature.json last, if there is one.

    Raises:
        BundleError: no bundle, or a file is missing or over its limit.
    """
    try:
        found = _read_folder(path) if path.is_dir() else _read_archive(path)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror or error}", step=_STEP) from None
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise BundleError(f"{path}: no readable archive ({error})", step=_STEP) from None
    for name in FILES:
        if name not in found:
            raise BundleError(f"{path}: {name} is missing: no bundle", step=_STEP)
    return {name: found[name] for name in MAX_FILE_BYTES if name in found}


def _read_folder(path: Path) -> dict[str, bytes]:
    result = {}
    for name in MAX_FILE_BYTES:
        file = path / name
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise BundleError(f"{file}: not a plain file", step=_STEP)
        if file.exists():
            with file.open("rb") as stream:
                result[name] = _limited(name, stream.read(MAX_FILE_BYTES[name] + 1))
    return result


def _read_archive(path: Path) -> dict[str, bytes]:
    result = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if name not in MAX_FILE_BYTES or name in result:
                raise BundleError(f"{path}: {ascii(name)[:80]} is there twice, or does not belong there", step=_STEP)
            with archive.open(name) as stream:
                result[name] = _limited(name, stream.read(MAX_FILE_BYTES[name] + 1))
    return result


def _limited(name: str, data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES[name]:
        raise BundleError(f"{name}: over the limit of {MAX_FILE_BYTES[name]} bytes", step=_STEP)
    return data


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over names, lengths and SHA-256s of the five files, hexadecimal (section 10)."""
    digest = hashlib.sha256(b"huref-zk/v1/bundle")
    for name in FILES:
        digest.update(struct.pack(">I", len(name)) + name.encode())
        digest.update(struct.pack(">Q", len(files[name])) + hashlib.sha256(files[name]).digest())
    return digest.hexdigest()


def in_toto_statement(files: Mapping[str, bytes]) -> dict[str, Any]:
    """What is signed: a function of the five files.

    Raises:
        BundleError: statement.json is not one.
    """
    try:
        statement = json.loads(files["statement.json"])
        rows = sum(int(matrix["rows"]) for matrix in statement["matrices"])
        commitment = weights_commitment(statement, files["commitments.bin"][: 64 * rows])
        profile = {"name": statement["profile"]["name"], "sha256": statement["profile"]["sha256"]}
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise BundleError(f"statement.json: not a statement ({type(error).__name__})", step=_STEP) from None
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "bundle", "digest": {"sha256": bundle_digest(files)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "commitment": commitment,
            "files": {name: hashlib.sha256(files[name]).hexdigest() for name in FILES},
            "profile": profile,
        },
    }


def envelope(payload: bytes, key: SigningKey) -> bytes:
    """A DSSE envelope with one signature, which has its public key beside it: canonical JSON.

    securesystemslib signs. An ECDSA signature (r, s) has a twin (r, n - s): the one with the smaller s is kept.
    """
    signer = CryptoSigner(key.private, SSlibKey.from_crypto(key.private.public_key(), keyid=key.keyid))
    signed = Envelope(payload, PAYLOAD_TYPE, {})
    signature = signed.sign(signer)
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        r, s = utils.decode_dss_signature(bytes.fromhex(signature.signature))
        signature.signature = utils.encode_dss_signature(r, min(s, P256_ORDER - s)).hex()
    document = signed.to_dict()
    document["signatures"][0]["public_key"] = base64.b64encode(key.public_der).decode("ascii")
    return canonical(document)


def sign_bundle(
    path: Path, sign: Callable[[bytes], bytes], accept: Callable[[Path], object], replace: bool = False
) -> str:
    """Sign the bundle at `path`; its digest.

    Args:
        path: a folder or archive.
        sign: payload -> the bytes of signature.json.
        accept: looks at a signed copy before anything is put in place; raises to refuse.
        replace: whether an existing signature may go.

    Raises:
        UsageError: it is signed already.
        BundleError: it cannot be read.
        StorageError: it cannot be written; it is as it was.
    """
    path = path.resolve()  # a link to a bundle stays one
    files = read_files(path)
    if SIGNATURE_FILE in files and not replace:
        raise UsageError(f"{path} is signed already", step=_STEP, hint="give --force to replace the signature")
    signed = {name: files[name] for name in FILES}
    signed[SIGNATURE_FILE] = sign(canonical(in_toto_statement(files)))
    if not path.is_dir():
        bundles.write(signed, path, accept, archived=True)
        return bundle_digest(files)
    try:  # beside the bundle, which must never hold a sixth file of another name
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as scratch:
            copy = Path(scratch, "bundle")
            copy.mkdir()
            for name, data in signed.items():
                (copy / name).write_bytes(data)
            accept(copy)
            (copy / SIGNATURE_FILE).replace(path / SIGNATURE_FILE)
    except OSError as error:
        raise storage_error(path / SIGNATURE_FILE, error) from None
    return bundle_digest(files)
