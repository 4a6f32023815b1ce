"""Keys and identities: what is no key of ours, under which anybody could sign, or has two encodings is refused."""

from __future__ import annotations

import hashlib

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.verifier.conftest import canonical
from tests.verifier.signature.envelopes import ED25519, P256, b64, check, der, envelope, facts_of_the_toy, first, keyid
from verifier.cli import main
from verifier.formats.errors import Rejected
from verifier.signature import keys
from verifier.signature.identity import Identity, parse_identity, read_identity
from verifier.signature.signature import Facts


@pytest.fixture(scope="module")
def facts() -> Facts:
    return facts_of_the_toy()


def ed25519_der(raw: bytes) -> bytes:
    return bytes.fromhex("302a300506032b6570032100") + raw


def double(point, p=keys.ED25519_PRIME):
    """Twice a point of RFC 8032's curve, by the addition formula."""
    d = -121665 * pow(121666, -1, p) % p
    x, y = point
    k = d * x * x * y * y % p
    return 2 * x * y * pow(1 + k, -1, p) % p, (y * y + x * x) * pow(1 - k, -1, p) % p


def test_the_list_of_small_orders_is_whole():
    """Each y is that of a point which three doublings take to the neutral one; there are five such y, for 8 points."""
    p = keys.ED25519_PRIME
    d = -121665 * pow(121666, -1, p) % p
    points = set()
    for y in keys.SMALL_ORDER_Y:
        square = (y * y - 1) * pow(d * y * y + 1, -1, p) % p
        x = pow(square, (p + 3) // 8, p)
        x = x if x * x % p == square else x * pow(2, (p - 1) // 4, p) % p
        assert x * x % p == square
        for point in ((x, y), (-x % p, y)):
            assert double(double(double(point))) == (0, 1)
            points.add(point)
    assert len(points) == 8


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("y", [*sorted(keys.SMALL_ORDER_Y), keys.ED25519_PRIME, keys.ED25519_PRIME + 1])
def test_keys_under_which_anybody_signs(facts, y, sign):
    """A point of small order, or a second encoding of one: the key itself is refused, whatever is signed with it."""
    raw = bytearray(y.to_bytes(32, "little"))
    raw[31] |= sign
    data = ed25519_der(bytes(raw))
    document = envelope(canonical(facts.statement()))
    first(public_key=b64(data), keyid=hashlib.sha256(data).hexdigest(), sig=b64(bytes(64)))(document)
    with pytest.raises(Rejected, match=r"small order|not a public key"):
        check(document, facts, None)


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 2048),
        ed448.Ed448PrivateKey.generate(),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
    ],
    ids=["rsa", "ed448", "p384", "secp256k1"],
)
def test_other_kinds_of_keys(facts, key, tmp_path):
    with pytest.raises(Rejected, match="neither an Ed25519 key nor one on P-256"):
        keys.read_der(der(key), "key")


def test_a_point_has_one_encoding():
    public = P256.public_key()
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    with pytest.raises(Rejected, match=r"canonical|not a public key"):
        keys.read_der(prefix + compressed, "key")


# ---------------------------------------- identities


def test_identities(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key.pub.pem").write_bytes(
        ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert read_identity("key.pub.pem") == read_identity(keyid(ED25519)) == Identity(keyid=keyid(ED25519))
    who = "sigstore:https://github.com/o/r/.github/workflows/x.yml@refs/tags/v1@https://token.actions.githubusercontent.com"
    found = parse_identity(who)
    assert found.who.endswith("@refs/tags/v1") and found.issuer == "https://token.actions.githubusercontent.com"
    assert str(found) == who
    assert parse_identity("sigstore:x@http://y") is None
    assert parse_identity(keyid(ED25519).upper()) is None


def test_identities_that_are_none(bundle, tmp_path):
    (tmp_path / "private.pem").write_bytes(ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (tmp_path / "rsa.pem").write_bytes(
        rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "large.pem").write_bytes(bytes(1 << 20))
    for given_as, words in (
        (tmp_path / "private.pem", "a private key"),
        (tmp_path / "rsa.pem", "neither"),
        (tmp_path / "large.pem", "larger"),
        (tmp_path / "missing.pem", "No such file"),
        (tmp_path, "directory"),
        ("sigstore:x", "not sigstore:WHO"),
        ("", "No such file|directory"),
        ("a\0b", "no file name"),
    ):
        result = CliRunner().invoke(main, [str(bundle), "--identity", str(given_as)])
        assert result.exit_code == 2, result.output
        assert any(word in " ".join(result.output.split()) for word in words.split("|")), result.output
