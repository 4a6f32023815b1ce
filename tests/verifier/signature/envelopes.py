"""Envelopes as others' tools make them, written a second time after DSSE's specification; and keys for them."""

from __future__ import annotations

import base64
import hashlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.verifier.conftest import ASSETS, canonical
from verifier.fingerprint.artefact import read_bundle
from verifier.signature import keys
from verifier.signature.identity import Identity
from verifier.signature.signature import Facts, check_signature

ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
P256 = ec.derive_private_key(1234567, ec.SECP256R1())
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def der(key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def keyid(key) -> str:
    return hashlib.sha256(der(key)).hexdigest()


def raw_signature(key, message: bytes) -> bytes:
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return utils.encode_dss_signature(r, min(s, keys.P256_ORDER - s))


def envelope(payload: bytes, key=ED25519, payload_type: str = PAYLOAD_TYPE) -> dict:
    """DSSE as its specification says, written here a second time."""
    message = f"DSSEv1 {len(payload_type)} {payload_type} {len(payload)} ".encode() + payload
    one = {"keyid": keyid(key), "public_key": b64(der(key)), "sig": b64(raw_signature(key, message))}
    return {"payload": b64(payload), "payloadType": payload_type, "signatures": [one]}


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def facts_of_the_toy(cm: bytes = b"c" * 32) -> Facts:
    """What a signature of the toy bundle is about."""
    found = read_bundle(ASSETS / "bundle")
    return Facts(found.digest, found.digests, cm, "toy-dev", found.statement.profile_sha256)


def check(document: object, facts: Facts, key=ED25519):
    return check_signature(canonical(document), facts, Identity(keyid=keyid(key)) if key else None)


def first(**fields):
    return lambda document: document["signatures"][0].update(fields)
