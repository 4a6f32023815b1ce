"""Keys that sign bundles: Ed25519 or P-256, in PEM files. The private one is readable by its owner alone."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from circuits.digests import storage_error, write_atomically
from circuits.errors import BundleError, UsageError

ALGORITHMS = ("ed25519", "p256")
MAX_KEY_BYTES = 16 << 10
_STEP = "key"

PrivateKey = Ed25519PrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class SigningKey:
    """A private key. `keyid`: SHA-256 of the public key's DER `SubjectPublicKeyInfo`, hexadecimal."""

    private: PrivateKey

    @property
    def public_der(self) -> bytes:
        """The public key, DER `SubjectPublicKeyInfo`."""
        return self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def public_pem(self) -> bytes:
        """The public key as a PEM file."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def keyid(self) -> str:
        """What `huref-verify --identity` takes."""
        return hashlib.sha256(self.public_der).hexdigest()


def public_path(private: Path) -> Path:
    """Where the public half of the key in file `private` lies.

    >>> public_path(Path("keys/maker.pem")).as_posix()
    'keys/maker.pub.pem'
    """
    return private.with_name(f"{private.stem}.pub{private.suffix or '.pem'}")


def create(path: Path, algorithm: str, passphrase: bytes | None) -> SigningKey:
    """Make a key: private half at `path`, mode 0600, encrypted under `passphrase` if given; the public half beside it.

    Raises:
        UsageError: one of the files exists already.
        StorageError: they cannot be written.
    """
    private: PrivateKey = (
        Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1())
    )
    key, public = SigningKey(private), public_path(path)
    for file in (path, public):
        if os.path.lexists(file):
            raise UsageError(f"{file} exists already", step=_STEP, hint="choose another path: keys are never replaced")
    scheme: KeySerializationEncryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, scheme)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            write_atomically(public, key.public_pem)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise storage_error(path, error) from None
    return key


def load(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Read a private key, PEM (PKCS 8 or SEC 1).

    Raises:
        BundleError: missing, not such a key, of another kind, or the passphrase is missing or wrong.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_KEY_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}", step=_STEP, hint="huref key new FILE makes one") from None
    if len(data) > MAX_KEY_BYTES:
        raise BundleError(f"{path}: larger than any key", step=_STEP)
    try:
        private = load_pem_private_key(data, passphrase)
    except TypeError:
        asks = "is encrypted: give --passphrase-file" if passphrase is None else "is not encrypted: no passphrase"
        raise BundleError(f"{path}: the key {asks}", step=_STEP) from None
    except (ValueError, UnsupportedAlgorithm):
        raise BundleError(
            f"{path}: no private key in PEM form{' under this passphrase' if passphrase else ''}", step=_STEP
        ) from None
    if isinstance(private, Ed25519PrivateKey):
        return SigningKey(private)
    if isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1):
        return SigningKey(private)
    raise BundleError(f"{path}: neither an Ed25519 key nor one on P-256", step=_STEP)


def read_passphrase(path: Path | None) -> bytes | None:
    """The first line of a file; None without one.

    Raises:
        BundleError: it cannot be read, or its first line is empty.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as stream:
            line = stream.readline(MAX_KEY_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}", step=_STEP) from None
    if not line:
        raise BundleError(f"{path}: its first line, the passphrase, is empty", step=_STEP)
    return line
