"""What is tried with signature.json, public keys and identities."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterable

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fuzz.bundle_targets import ACCEPTED, small_files
from tests.fuzz.mutators import Dice, Pairs, change_bytes, change_json, dump
from verifier.formats import strict_json
from verifier.signature.identity import Identity, parse_identity
from verifier.signature.keys import P256_ORDER, read_der, read_pem
from verifier.signature.signature import (
    PAYLOAD_TYPE,
    Facts,
    bundle_digest,
    check_signature,
    pre_authentication_encoding,
)

_FILES = small_files()
FACTS = Facts(
    bundle_sha256=bundle_digest(_FILES),
    files={name: hashlib.sha256(data).hexdigest() for name, data in _FILES.items()},
    commitment=bytes(32),
    profile_name="tiny-dev",
    profile_sha256=bytes(32),
)
_ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
_P256 = ec.derive_private_key(12345, ec.SECP256R1())
_UNCHECKED = ("signed by Sigstore, not checked against", "signed in a way that was not checked")


@functools.cache
def envelopes() -> dict[str, bytes]:
    """A key's id -> signature.json, signed by it."""
    payload = strict_json.canonical(FACTS.statement())
    message = pre_authentication_encoding(payload)
    r, s = utils.decode_dss_signature(_P256.sign(message, ec.ECDSA(hashes.SHA256())))
    signatures = ((_ED25519, _ED25519.sign(message)), (_P256, utils.encode_dss_signature(r, min(s, P256_ORDER - s))))
    made = {}
    for key, signature in signatures:
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        one = {
            "keyid": hashlib.sha256(der).hexdigest(),
            "public_key": base64.b64encode(der).decode(),
            "sig": base64.b64encode(signature).decode(),
        }
        whole = {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [one],
        }
        made[one["keyid"]] = json.dumps(whole).encode()
    return made


def run_signature(data: bytes) -> str:
    found = check_signature(data, FACTS, None)
    if found.signer is None:
        assert found.words.startswith(_UNCHECKED)
        return "accepted, unchecked"
    # one encoding each: what is accepted says what its maker wrote
    assert json.loads(data) == json.loads(envelopes()[found.signer])
    for keyid in envelopes():
        try:
            assert check_signature(data, FACTS, Identity(keyid=keyid)).signer == keyid == found.signer
        except strict_json.Rejected:
            assert keyid != found.signer
    return ACCEPTED


def seeds_signature() -> Iterable[bytes]:
    yield from envelopes().values()


def change_signature(dice: Dice, data: bytes) -> bytes:
    """The envelope, what is base64 in it, or the Statement in it."""
    if dice.below(3) == 0:
        return change_json(dice, data)
    try:
        whole = json.loads(data, object_pairs_hook=Pairs)
        fields = dict(whole)
        one = dict(fields["signatures"][0])
        where, name = (fields, "payload") if dice.below(2) else (one, ("sig", "public_key")[dice.below(2)])
        inner = base64.b64decode(where[name])
        changed = change_json(dice, inner) if name == "payload" and dice.below(4) else change_bytes(dice, inner)
        where[name] = base64.b64encode(changed).decode()
        if name == "public_key" and dice.below(2):
            one["keyid"] = hashlib.sha256(changed).hexdigest()
        return dump(Pairs({**fields, "signatures": [Pairs(one.items())]}.items())).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return change_bytes(dice, data)


def run_key(data: bytes) -> str:
    kind, rest = data[:1], data[1:]
    if kind == b"i":
        text = rest.decode("utf-8", "surrogateescape")
        identity = parse_identity(text)
        assert identity is None or str(identity) == text
        return "no identity" if identity is None else ACCEPTED
    key = read_pem(rest, "f") if kind == b"p" else read_der(rest, "f")
    assert key.algorithm in ("ed25519", "p256")
    assert kind == b"p" or key.keyid == hashlib.sha256(rest).hexdigest()
    assert not key.verify(rest[:64], b"message")
    return ACCEPTED


def seeds_key() -> Iterable[bytes]:
    for key in (_ED25519.public_key(), _P256.public_key()):
        yield b"d" + key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        yield b"p" + key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    yield b"i" + b"0f" * 32
    yield b"isigstore:release@example.org@https://accounts.example"
