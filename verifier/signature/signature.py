"""Step 12, signature: who signed the bundle (docs/protocol.md section 10).

`signature.json` is a DSSE envelope around an in-toto Statement about the bundle's digest, signed by a local key; or a
Sigstore bundle around the same Statement. The Statement is a function of the bundle: exactly one payload is right.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from verifier.formats import limits, strict_json
from verifier.formats.encoding import strict_base64
from verifier.formats.errors import Rejected, Undecided, UnknownVersion
from verifier.formats.strict_json import Reader
from verifier.signature.identity import Identity
from verifier.signature.keys import read_der

FILE = "signature.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:huref-zk:predicate:fingerprint:v1"
SUBJECT_NAME = "bundle"
_ANY_PREDICATE = re.compile(r"urn:huref-zk:predicate:fingerprint:v[1-9][0-9]{0,5}")
_UPGRADE = "upgrade: pip install --upgrade huref-zk"


@dataclass(frozen=True)
class Facts:
    """What a signature is about: the bundle's digest, its files' (name -> SHA-256, hexadecimal), cm, the profile."""

    bundle_sha256: bytes
    files: Mapping[str, str]
    commitment: bytes
    profile_name: str
    profile_sha256: bytes

    def statement(self) -> dict[str, object]:
        """The one in-toto Statement about this bundle."""
        return {
            "_type": STATEMENT_TYPE,
            "predicate": {
                "commitment": self.commitment.hex(),
                "files": dict(self.files),
                "profile": {"name": self.profile_name, "sha256": self.profile_sha256.hex()},
            },
            "predicateType": PREDICATE_TYPE,
            "subject": [{"digest": {"sha256": self.bundle_sha256.hex()}, "name": SUBJECT_NAME}],
        }


@dataclass(frozen=True)
class Signed:
    """What was found. `signer`: a key id or Sigstore identity whose signature is good; None where none was checked."""

    words: str
    signer: str | None = None


def bundle_digest(files: Mapping[str, bytes]) -> bytes:
    """SHA-256("huref-zk/v1/bundle" || for each file: u32be(len(name)) || name || u64be(len(bytes)) || SHA-256(bytes)).

    `files` in section 7's order: statement, commitments, link, encoder, fingerprint.
    """
    data = b"huref-zk/v1/bundle"
    for name, content in files.items():
        data += struct.pack(">I", len(name)) + name.encode("ascii")
        data += struct.pack(">Q", len(content)) + hashlib.sha256(content).digest()
    return hashlib.sha256(data).digest()


def check_signature(data: bytes | None, facts: Facts, identity: Identity | None) -> Signed:
    """Check signature.json, None if there is none, and that `identity` made it, if one is asked for.

    Raises:
        Rejected: it is there and wrong: malformed, about another bundle, not by its key, not by `identity`.
        Undecided: `identity` is asked for, and there is no signature, or one of a kind that cannot be checked here.
    """
    if data is None:
        if identity is not None:
            raise Undecided(
                f"unsigned: nothing shows that {identity} published it",
                code="unsigned",
                hint="ask whoever published it for signature.json, or leave --identity away to check the proofs alone",
            )
        return Signed("unsigned: nothing in it says who published it")
    value = strict_json.parse(data, FILE, limits.MAX_SIGNATURE_BYTES)
    try:
        if isinstance(value, dict) and "mediaType" in value:
            return _check_sigstore(data, facts, identity)
        return _check_envelope(Reader(value, FILE), facts, identity)
    except UnknownVersion as error:
        if identity is not None:
            raise
        return Signed(f"signed in a way that was not checked: {error.message}")


def _check_envelope(fields: Reader, facts: Facts, identity: Identity | None) -> Signed:
    """DSSE (https://github.com/secure-systems-lab/dsse): exactly one signature, which has its public key beside it."""
    if fields.take("payloadType") != PAYLOAD_TYPE:
        fields.fail("payloadType", f"not {PAYLOAD_TYPE}")
    payload = strict_base64(fields.take("payload"), f"{FILE}.payload")
    (one,) = fields.array("signatures", Reader, 1)
    fields.done()
    key = read_der(strict_base64(one.take("public_key"), f"{one.where}.public_key"), f"{one.where}.public_key")
    if one.take("keyid") != key.keyid:
        one.fail("keyid", "not the SHA-256 of public_key")
    signature = strict_base64(one.take("sig"), f"{one.where}.sig")
    one.done()
    if not key.verify(signature, pre_authentication_encoding(payload)):
        raise Rejected(f"{one.where}.sig: not a signature by key {key.keyid}", code="signature")
    _check_payload(payload, facts)
    if identity is None:
        return Signed(f"signed by key {key.keyid} ({key.algorithm}), not checked against an identity", key.keyid)
    if identity.keyid != key.keyid:
        raise Rejected(f"signed by key {key.keyid}, not by {identity}", code="another-signer")
    return Signed(f"signed by key {key.keyid} ({key.algorithm}), the identity asked for", key.keyid)


def pre_authentication_encoding(payload: bytes) -> bytes:
    """What DSSE signs: PAE = "DSSEv1" SP len(type) SP type SP len(payload) SP payload.

    >>> pre_authentication_encoding(b"{}")
    b'DSSEv1 28 application/vnd.in-toto+json 2 {}'
    """
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode("ascii"), len(payload), payload)


def _check_payload(payload: bytes, facts: Facts) -> None:
    """The Statement, field by field for the message's sake, then byte for byte."""
    where = f"{FILE}.payload"
    fields = Reader(strict_json.parse(payload, where, limits.MAX_SIGNATURE_BYTES), where)
    expected = facts.statement()
    kind = fields.take("predicateType")
    if kind != PREDICATE_TYPE and isinstance(kind, str) and _ANY_PREDICATE.fullmatch(kind):
        raise UnknownVersion(f"{where}.predicateType: {kind}; this verifier knows {PREDICATE_TYPE}", hint=_UPGRADE)
    if kind != PREDICATE_TYPE:
        raise Rejected(f"{where}.predicateType: not {PREDICATE_TYPE}", code="signature-statement")
    for key, what in (
        ("_type", f"not {STATEMENT_TYPE}"),
        ("subject", "not this bundle: the signature is about other files"),
        ("predicate", "not what this bundle gives"),
    ):
        if fields.take(key) != expected[key]:
            raise Rejected(f"{where}.{key}: {what}", code="signature-statement")
    fields.done()
    if payload != strict_json.canonical(expected):
        raise Rejected(f"{where}: not canonical JSON", code="signature-statement")


def _check_sigstore(data: bytes, facts: Facts, identity: Identity | None) -> Signed:
    """A Sigstore bundle is checked where somebody asks whose it is: that takes the sigstore package."""
    if identity is None:
        return Signed("signature.json is said to be Sigstore's; it was not checked, since no identity was asked for")
    if not identity.who:
        raise Rejected(f"signed by Sigstore, not by key {identity}", code="another-signer")
    from verifier.signature.sigstore_bundle import verified_payload

    _check_payload(verified_payload(data, identity), facts)
    return Signed(f"signed by {identity}, the identity asked for", str(identity))
