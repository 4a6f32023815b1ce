"""Public keys that sign bundles: Ed25519 and ECDSA on P-256, one encoding for each key and each signature.

A key's id is the SHA-256 of its DER `SubjectPublicKeyInfo`, hexadecimal. The libraries' readers are laxer than this
module: what does not encode to itself, is of small order, or has a second valid form is refused here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from verifier.formats.errors import Rejected
from verifier.formats.limits import MAX_KEY_FILE_BYTES

ED25519_BYTES = 64
ED25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
# y of the points of order 1, 2, 4 and 8 (RFC 8032's curve): under such a key anybody can sign anything
SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        ED25519_PRIME - 1,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class PublicKey:
    """A key that was checked: `algorithm` is ed25519 or p256, `keyid` 64 hexadecimal digits."""

    keyid: str
    algorithm: str
    key: Ed25519PublicKey | ec.EllipticCurvePublicKey

    def verify(self, signature: bytes, message: bytes) -> bool:
        """Whether `signature` is the one form of a signature of `message`.

        Ed25519: 64 bytes, S below the group's order. P-256: DER of (r, s) with SHA-256, s at most half the order.
        """
        try:
            if isinstance(self.key, Ed25519PublicKey):
                scalar = int.from_bytes(signature[32:], "little")
                if len(signature) != ED25519_BYTES or scalar >= ED25519_ORDER:
                    return False
                self.key.verify(signature, message)
            else:
                r, s = utils.decode_dss_signature(signature)
                if s > P256_ORDER // 2 or utils.encode_dss_signature(r, s) != signature:
                    return False
                self.key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


def read_der(data: bytes, where: str) -> PublicKey:
    """A DER `SubjectPublicKeyInfo`, found at `where` (for messages).

    Raises:
        Rejected: not a key, of another kind, of small order, or not the one encoding of it.
    """
    try:
        key = load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise Rejected(f"{where}: not a public key", code="signature-key") from None
    return _checked(key, data, where)


def read_pem(data: bytes, where: str) -> PublicKey:
    """A PEM file, `-----BEGIN PUBLIC KEY-----`.

    Raises:
        Rejected: as `read_der`.
    """
    if len(data) > MAX_KEY_FILE_BYTES:
        raise Rejected(f"{where}: larger than any public key", code="signature-key")
    if b"PRIVATE KEY" in data:
        raise Rejected(f"{where}: a private key; its public one is needed", code="signature-key")
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise Rejected(f"{where}: not a public key in PEM form", code="signature-key") from None
    return _checked(key, None, where)


def _checked(key: object, encoded: bytes | None, where: str) -> PublicKey:
    """`encoded`: the DER that `key` was read from, if it must be the canonical one."""
    if isinstance(key, Ed25519PublicKey):
        # RFC 8032: 255 bits of y, then x's sign
        y = int.from_bytes(key.public_bytes(Encoding.Raw, PublicFormat.Raw), "little") & ((1 << 255) - 1)
        if y >= ED25519_PRIME or y in SMALL_ORDER_Y:
            raise Rejected(f"{where}: an Ed25519 key of small order, or not canonical", code="signature-key")
        algorithm = "ed25519"
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = "p256"
    else:
        raise Rejected(f"{where}: neither an Ed25519 key nor one on P-256", code="signature-key")
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if encoded is not None and encoded != der:
        raise Rejected(f"{where}: not the canonical encoding of the key", code="signature-key")
    return PublicKey(hashlib.sha256(der).hexdigest(), algorithm, key)
