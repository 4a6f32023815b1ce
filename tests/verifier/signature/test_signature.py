"""Step 12, signature: one form of a signature is right; all else is refused, and nothing but a good one is accepted."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.verifier.conftest import ASSETS, canonical
from tests.verifier.fingerprint.test_artefact import members_of, undecided, write_zip
from tests.verifier.fingerprint.test_verify import put_point
from tests.verifier.signature.envelopes import (
    ED25519,
    OTHER,
    P256,
    PAYLOAD_TYPE,
    b64,
    check,
    der,
    envelope,
    facts_of_the_toy,
    first,
    keyid,
)
from verifier.cli import main
from verifier.fingerprint.artefact import BUNDLE, FILE_LIMITS, read_bundle
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_bundle
from verifier.formats.errors import Rejected, Undecided, UnknownVersion, Unreadable, VerifierError
from verifier.formats.package import read_files
from verifier.many.child import decode, encode
from verifier.results.steps import Status
from verifier.signature import keys
from verifier.signature.identity import Identity
from verifier.signature.signature import PREDICATE_TYPE, Facts, check_signature

OF_KEY = [pytest.param(ED25519, id="ed25519"), pytest.param(P256, id="p256")]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return facts_of_the_toy()


# ---------------------------------------- what is right


@pytest.mark.parametrize("key", OF_KEY)
def test_a_good_signature(facts, key):
    document = envelope(canonical(facts.statement()), key)
    assert check(document, facts, key).signer == keyid(key)
    found = check(document, facts, None)
    assert found.signer == keyid(key)
    assert "not checked against an identity" in found.words


def test_the_digest_is_the_one_of_the_protocol(facts):
    """Section 10, computed a second time."""
    data = b"huref-zk/v1/bundle"
    for name in ("statement.json", "commitments.bin", "link.json", "encoder.json", "fingerprint.png"):
        content = (ASSETS / "bundle" / name).read_bytes()
        data += len(name).to_bytes(4, "big") + name.encode() + len(content).to_bytes(8, "big")
        data += hashlib.sha256(content).digest()
    assert facts.bundle_sha256 == hashlib.sha256(data).digest()


def test_unsigned(facts):
    assert check_signature(None, facts, None).words.startswith("unsigned")
    with pytest.raises(Undecided, match="unsigned") as caught:
        check_signature(None, facts, Identity(keyid="0" * 64))
    assert caught.value.code == "unsigned"


@pytest.mark.parametrize("key", OF_KEY)
def test_the_wrong_key(facts, key):
    document = envelope(canonical(facts.statement()), key)
    with pytest.raises(Rejected, match=f"signed by key {keyid(key)}, not by {keyid(OTHER)}") as caught:
        check(document, facts, OTHER)
    assert caught.value.code == "another-signer"


# ---------------------------------------- statements that are not the one


def changed(facts: Facts, how) -> bytes:
    statement = json.loads(canonical(facts.statement()))
    how(statement)
    return canonical(statement)


def more_subjects(statement):
    statement["subject"].append({"digest": {"sha256": "0" * 64}, "name": "another"})


STATEMENTS = {
    "another bundle": (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "about other files"),
    "another subject's name": (lambda s: s["subject"][0].update(name="other"), "subject"),
    "a second subject": (more_subjects, "subject"),
    "no subject": (lambda s: s["subject"].clear(), "subject"),
    "a second digest": (lambda s: s["subject"][0]["digest"].update(sha512="0" * 128), "subject"),
    "another statement type": (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "_type"),
    "another predicate type": (lambda s: s.update(predicateType="https://slsa.dev/provenance/v1"), "predicateType"),
    "no predicate type": (lambda s: s.pop("predicateType"), "missing"),
    "a predicate type that is no string": (lambda s: s.update(predicateType=[PREDICATE_TYPE]), "predicateType"),
    "another commitment": (lambda s: s["predicate"].update(commitment="0" * 64), "predicate"),
    "another file": (lambda s: s["predicate"]["files"].update({"link.json": "0" * 64}), "predicate"),
    "a sixth file": (lambda s: s["predicate"]["files"].update({"signature.json": "0" * 64}), "predicate"),
    "another profile": (lambda s: s["predicate"]["profile"].update(name="mine"), "predicate"),
    "a further claim": (lambda s: s["predicate"].update(license="MIT"), "predicate"),
    "no predicate": (lambda s: s.pop("predicate"), "missing"),
    "an unknown key": (lambda s: s.update(extra=1), "unknown key"),
    "true for a string": (lambda s: s["predicate"].update(commitment=True), "predicate"),
}


@pytest.mark.parametrize("what", STATEMENTS)
def test_another_statement_well_signed(facts, what):
    how, words = STATEMENTS[what]
    document = envelope(changed(facts, how))
    for key in (ED25519, None):  # with and without an identity
        with pytest.raises(Rejected, match=words):
            check(document, facts, key)


def test_a_newer_predicate_means_upgrade(facts):
    document = envelope(changed(facts, lambda s: s.update(predicateType=PREDICATE_TYPE[:-1] + "2")))
    with pytest.raises(UnknownVersion) as caught:
        check(document, facts)
    assert "upgrade" in caught.value.hint
    found = check(document, facts, None)
    assert found.signer is None and "not checked" in found.words


PAYLOADS = {
    "with spaces": lambda data: data.replace(b",", b", "),
    "with a line's end": lambda data: data + b"\n",
    "with a key twice": lambda data: data.replace(b'{"_type"', b'{"_type":"x","_type"', 1),
    "with an escape": lambda data: data.replace(b"bundle", b"b\\u0075ndle"),
    "with a float": lambda data: data[:-1] + b',"x":1.0}',
    "of a list": lambda data: b"[" + data + b"]",
}


@pytest.mark.parametrize("what", PAYLOADS)
def test_another_encoding_of_the_statement(facts, what):
    payload = PAYLOADS[what](canonical(facts.statement()))
    assert payload != canonical(facts.statement())
    with pytest.raises(Rejected):
        check(envelope(payload), facts)


# ---------------------------------------- envelopes that are not the one


def twice(document):
    document["signatures"] *= 2


def by_another_key_too(document):
    document["signatures"] += envelope(base64.b64decode(document["payload"]), OTHER)["signatures"]


def beyond_the_order(document):
    """S + L: the same signature to a careless verifier."""
    data = base64.b64decode(document["signatures"][0]["sig"])
    s = int.from_bytes(data[32:], "little") + keys.ED25519_ORDER
    document["signatures"][0]["sig"] = b64(data[:32] + s.to_bytes(32, "little"))


ENVELOPES = {
    "another payload type": (lambda d: d.update(payloadType="application/json"), "payloadType"),
    "the payload's type in capitals": (lambda d: d.update(payloadType=PAYLOAD_TYPE.upper()), "payloadType"),
    "no signature": (lambda d: d["signatures"].clear(), "not an array of 1"),
    "the signature twice": (twice, "not an array of 1"),
    "a second, good signature": (by_another_key_too, "not an array of 1"),
    "an unknown key": (lambda d: d.update(extra="x"), "unknown key"),
    "an unknown key beside the signature": (first(cert="x"), "unknown key"),
    "no public key": (lambda d: d["signatures"][0].pop("public_key"), "missing"),
    "another public key": (first(public_key=b64(der(OTHER))), "keyid"),
    "another public key and its id": (first(public_key=b64(der(OTHER)), keyid=keyid(OTHER)), "not a signature by key"),
    "another key id": (first(keyid=keyid(OTHER)), "keyid"),
    "the key id in capitals": (lambda d: first(keyid=d["signatures"][0]["keyid"].upper())(d), "keyid"),
    "no key": (first(public_key=""), "not a public key"),
    "bytes behind the key": (first(public_key=b64(der(ED25519) + b"\0")), "public key|canonical"),
    "an empty signature": (first(sig=""), "not a signature by key"),
    "zeros": (first(sig=b64(bytes(64))), "not a signature by key"),
    "a bit": (lambda d: first(sig=b64(flipped(d)))(d), "not a signature by key"),
    "a byte more": (lambda d: first(sig=b64(base64.b64decode(d["signatures"][0]["sig"]) + b"\0"))(d), "not a sign"),
    "S beyond the order": (beyond_the_order, "not a signature by key"),
    "base64 without padding": (lambda d: first(sig=d["signatures"][0]["sig"].rstrip("="))(d), "base64"),
    "base64 for addresses": (first(sig="-_-_"), "base64"),
    "a number": (first(sig=1), "not a string"),
    "signatures in an object": (lambda d: d.update(signatures=d["signatures"][0]), "not an array"),
    "a payload that is no base64": (lambda d: d.update(payload="{}"), "base64"),
    "no payload": (lambda d: d.pop("payload"), "missing"),
    "a list": (None, "not an object"),
}


def flipped(document) -> bytes:
    data = bytearray(base64.b64decode(document["signatures"][0]["sig"]))
    data[3] ^= 1
    return bytes(data)


@pytest.mark.parametrize("what", ENVELOPES)
def test_another_envelope(facts, what):
    how, words = ENVELOPES[what]
    document = envelope(canonical(facts.statement()))
    if how is None:
        document = [document]
    else:
        how(document)
    for key in (ED25519, None):
        with pytest.raises(Rejected, match=words):
            check(document, facts, key)


def test_the_payload_type_is_signed(facts):
    """A signature over the same payload under another type is none."""
    document = envelope(canonical(facts.statement()), payload_type="text/plain")
    document["payloadType"] = PAYLOAD_TYPE
    with pytest.raises(Rejected, match="not a signature"):
        check(document, facts)


def test_an_envelope_is_strict_json(facts):
    good = canonical(envelope(canonical(facts.statement())))
    identity = Identity(keyid=keyid(ED25519))
    with pytest.raises(Rejected, match="twice"):
        check_signature(good.replace(b'{"payload"', b'{"payload":"e30=","payload"', 1), facts, identity)
    for data in (b"", b"\xff", good[:-1], good + b"x", b"[" * 100):
        with pytest.raises(Unreadable):
            check_signature(data, facts, identity)
    with pytest.raises(Unreadable, match="limit"):
        check_signature(good + b" " * 65536, facts, identity)


def test_ecdsa_has_one_form(facts):
    """(r, n - s), DER with a leading zero, and a signature of another kind of key."""
    document = envelope(canonical(facts.statement()), P256)
    r, s = utils.decode_dss_signature(base64.b64decode(document["signatures"][0]["sig"]))
    twin = utils.encode_dss_signature(r, keys.P256_ORDER - s)
    good = utils.encode_dss_signature(r, s)
    for data in (twin, good + b"\0", good[:1] + b"\x81" + good[1:], r.to_bytes(32, "big") + s.to_bytes(32, "big")):
        document["signatures"][0]["sig"] = b64(data)
        with pytest.raises(Rejected, match="not a signature"):
            check(document, facts, P256)


def pae(document: dict) -> bytes:
    payload = base64.b64decode(document["payload"])
    return f"DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} {len(payload)} ".encode() + payload


@pytest.fixture(scope="module")
def good(facts) -> list[bytes]:
    """A good signature by each kind of key, made once: ECDSA's are random."""
    return [canonical(envelope(canonical(facts.statement()), key)) for key in (ED25519, P256)]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_spoilt_signature_is_never_accepted(facts, good, data):
    raw = bytearray(good[data.draw(st.integers(0, 1))])
    at = data.draw(st.integers(0, len(raw) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != raw[at]))
    raw[at] = value
    with pytest.raises(VerifierError):
        check_signature(bytes(raw), facts, None)


# ---------------------------------------- whole bundles


def test_a_signature_is_read_only_within_its_limit(bundle, tmp_path):
    (bundle / "signature.json").write_text("{}")
    assert set(read_files(bundle, BUNDLE)) == {*FILE_LIMITS, "signature.json"}
    path = write_zip(tmp_path / "b.zip", [*members_of(bundle), ("signature.json", b"{}")])
    assert set(read_files(path, BUNDLE)) == {*FILE_LIMITS, "signature.json"}
    path = write_zip(tmp_path / "b.zip", [*members_of(bundle), ("signature.json", bytes(65537))])
    undecided(path, "signature.json: .* limit")
    with (bundle / "signature.json").open("r+b") as stream:
        stream.truncate(65537)
    undecided(bundle, "signature.json: .* limit")
    (bundle / "signature.json").unlink()
    (bundle / "signature.json").symlink_to(bundle / "link.json")
    undecided(bundle, "signature.json: a symbolic link")


@pytest.fixture
def signed(bundle, verify):
    """The toy bundle, signed over what its own verification finds."""
    found = read_bundle(bundle)
    cm = bytes.fromhex(verify(bundle).commitment)
    facts = Facts(found.digest, found.digests, cm, "toy-dev", found.statement.profile_sha256)
    (bundle / "signature.json").write_bytes(canonical(envelope(canonical(facts.statement()))))
    return bundle


def test_step_12_verdicts_of_a_signed_bundle(signed, verify, tmp_path):
    mine, other = Identity(keyid=keyid(ED25519)), Identity(keyid=keyid(OTHER))
    report = verify(signed, identity=mine)
    assert (report.verdict, report.identity, report.signer) == ("accepted", keyid(ED25519), keyid(ED25519))
    assert (report.checks[-1].step, report.checks[-1].status) == (12, Status.PASSED)
    assert f"signed by {keyid(ED25519)}" in report.verdict_line()
    assert decode(encode(report)).as_json() == report.as_json()
    report = verify(signed)
    assert (report.verdict, report.identity, report.signer) == ("accepted", None, keyid(ED25519))
    assert report.checks[-1].status is Status.NOT_CHECKED
    assert "signed by" not in report.verdict_line()
    report = verify(signed, identity=other)
    assert (report.verdict, report.failure.step, report.failure.code) == ("rejected", 12, "another-signer")
    assert report.signer is None and report.identity is None


def test_a_signature_does_not_make_up_for_a_proof(signed, verify):
    """Signed by the right key, and still rejected: here at step 3; and undecided where the SRS is not trusted."""
    mine = Identity(keyid=keyid(ED25519))
    assert verify(signed, identity=mine, allow_development_srs=False).failure.step == 10
    put_point(signed, 0, bytes(64))
    report = verify(signed, identity=mine)
    assert (report.verdict, report.failure.step, report.identity) == ("rejected", 3, None)


def test_step_12_an_unsigned_bundle_with_an_identity_is_undecided(bundle, verify):
    report = verify(bundle, identity=Identity(keyid=keyid(ED25519)))
    assert (report.verdict, report.failure.step, report.failure.code) == ("undecided", 12, "unsigned")


def test_the_command(signed, tmp_path):
    pem = tmp_path / "key.pub.pem"
    pem.write_bytes(ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    files = [tmp_path / name for name in ("r.html", "r.xml", "r.sarif")]
    options = [f"--{kind}={file}" for kind, file in zip(("report", "junit", "sarif"), files, strict=True)]
    result = CliRunner().invoke(main, [str(signed), "--allow-dev-srs", "--identity", str(pem), *options])
    assert result.exit_code == 0, result.output
    assert f"signed by {keyid(ED25519)}" in result.output.splitlines()[-1]
    page = files[0].read_text()
    assert "Whoever was asked for published it" in page and f"--identity <bdi>{keyid(ED25519)}" in page
    assert "Who published it" not in page
    assert 'name="12 signature"' in files[1].read_text()
    shutil.copy(signed / "link.json", signed / "signature.json")  # JSON, and no signature
    result = CliRunner().invoke(main, [str(signed), "--allow-dev-srs", *options])
    assert result.exit_code == 4
    assert result.output.splitlines()[-1].startswith("REJECTED at step 12 (signature): signature.json.payloadType")
    (found,) = json.loads(files[2].read_bytes())["runs"][0]["results"]
    assert found["ruleId"] == "huref-12-signature"
    assert found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("signature.json")


def test_many_bundles_with_an_identity(tmp_path):
    """In processes of their own: the identity gets there."""
    from tests.conftest import EXAMPLE
    from verifier.many.batch import verify_many

    (report,) = verify_many([EXAMPLE], Options(True, identity=Identity(keyid="0" * 64)), 1)
    assert (report.failure.code, report.failure.step) == ("unsigned", 12)
    assert verify_bundle(tmp_path, Options(identity=Identity(keyid="0" * 64))).failure.step == 1
