"""Signing with Sigstore, and verifying offline: the real package, against an instance on this machine.

What is not shown here, for want of a network: that the public instance answers as `sigstore_double` does.
"""

from __future__ import annotations

import base64
import json
import shutil

import pytest
from click.testing import CliRunner
from sigstore.models import ClientTrustConfig

from prover.cli import huref
from tests.conftest import EXAMPLE
from tests.prover.release.sigstore_double import ISSUER, Sigstore
from verifier.fingerprint.artefact import read_bundle
from verifier.formats.errors import Rejected
from verifier.signature.identity import parse_identity
from verifier.signature.signature import Facts, check_signature

WHO = f"sigstore:release@example.org@{ISSUER}"


@pytest.fixture(scope="module")
def instance():
    instance = Sigstore()
    yield instance
    instance.server.shutdown()
    instance.server.server_close()


@pytest.fixture
def sigstore(instance, tmp_path, monkeypatch):
    """The instance, in the place of the public one. Its trust root is not fetched: TUF is the network, too."""
    instance.install(tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    production = ClientTrustConfig.production
    monkeypatch.setattr(ClientTrustConfig, "production", lambda offline=False: production(offline=True))
    instance.refuse.clear()
    return instance


@pytest.fixture
def token(sigstore, tmp_path):
    path = tmp_path / "token"
    path.write_text(sigstore.token("release@example.org") + "\n")
    return path


@pytest.fixture
def bundle(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "bundle")
    return tmp_path / "bundle"


def run(*arguments: object):
    return CliRunner().invoke(huref, [str(argument) for argument in arguments])


def check(bundle, identity: str, change=None):
    """Step 12 alone, of a bundle whose signature is changed."""
    found = read_bundle(bundle)
    cm = json.loads(base64.b64decode(json.loads(found.signature)["dsseEnvelope"]["payload"]))["predicate"]["commitment"]
    facts = Facts(
        found.digest, found.digests, bytes.fromhex(cm), found.statement.profile_name, found.statement.profile_sha256
    )
    document = json.loads(found.signature)
    if change is not None:
        change(document)
    return check_signature(json.dumps(document).encode(), facts, parse_identity(identity))


def envelope_of(document: dict) -> dict:
    return document["dsseEnvelope"]


def entry_of(document: dict) -> dict:
    return document["verificationMaterial"]["tlogEntries"][0]


def other_payload(document: dict) -> None:
    payload = json.loads(base64.b64decode(envelope_of(document)["payload"]))
    payload["predicate"]["commitment"] = "0" * 64
    envelope_of(document)["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


def flip(text: str, at: int = 10) -> str:
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(bytes(data)).decode()


CHANGES = {
    "another payload": other_payload,
    "another payload type": lambda d: envelope_of(d).update(payloadType="text/plain"),
    "a bit of the signature": lambda d: envelope_of(d)["signatures"][0].update(
        sig=flip(envelope_of(d)["signatures"][0]["sig"], 20)
    ),
    "a second signature": lambda d: envelope_of(d)["signatures"].append(envelope_of(d)["signatures"][0]),
    "a bit of the log's promise": lambda d: entry_of(d)["inclusionPromise"].update(
        signedEntryTimestamp=flip(entry_of(d)["inclusionPromise"]["signedEntryTimestamp"], 20)
    ),
    "another time": lambda d: entry_of(d).update(integratedTime=str(int(entry_of(d)["integratedTime"]) + 1)),
    "another log entry": lambda d: entry_of(d).update(canonicalizedBody=flip(entry_of(d)["canonicalizedBody"])),
    "no log entry": lambda d: d["verificationMaterial"].update(tlogEntries=[]),
    "a bit of the certificate": lambda d: d["verificationMaterial"]["certificate"].update(
        rawBytes=flip(d["verificationMaterial"]["certificate"]["rawBytes"], 60)
    ),
    "another media type": lambda d: d.update(mediaType="application/json"),
    "nothing but the media type": lambda d: [d.pop(key) for key in list(d) if key != "mediaType"],
}


def test_signed_by_a_name_and_verified_offline(bundle, token, sigstore):
    result = run("sign", bundle, "--sigstore", "--identity-token", token, "--json")
    assert result.exit_code == 0, result.output  # huref-verify, in a process of its own, accepted it
    assert json.loads(result.stdout)["identity"] == WHO
    sigstore.refuse |= {"/api/v2/signingCert", "/api/v1/log/entries"}
    assert check(bundle, WHO).signer == WHO
    assert run("card", bundle, "--identity", WHO).stdout.count(WHO) == 3
    result = run("card", bundle)  # not "unsigned"
    assert result.exit_code == 2 and "was not checked" in result.output
    for other in (f"sigstore:other@example.org@{ISSUER}", "sigstore:release@example.org@https://other.example"):
        with pytest.raises(Rejected, match="not signed by") as caught:
            check(bundle, other)
        assert caught.value.code == "signature"
    with pytest.raises(Rejected, match="by Sigstore, not by key"):
        check(bundle, "0" * 64)
    for what, change in CHANGES.items():
        with pytest.raises(Rejected) as caught:
            check(bundle, WHO, change)
        assert caught.value.code == "signature", what
    data = (bundle / "signature.json").read_bytes()
    found = read_bundle(EXAMPLE)
    other_facts = Facts(bytes(32), found.digests, bytes(32), "tiny-dev", bytes(32))
    with pytest.raises(Rejected, match="about other files"):
        check_signature(data, other_facts, parse_identity(WHO))
    found = check_signature(data, other_facts, None)
    assert found.signer is None and "it was not checked" in found.words


@pytest.mark.parametrize("service", ["/api/v2/signingCert", "/api/v1/log/entries"])
def test_an_instance_that_does_not_answer(bundle, token, sigstore, service):
    sigstore.refuse.add(service)
    result = run("sign", bundle, "--sigstore", "--identity-token", token)
    assert result.exit_code == 2, result.exception
    assert "from Sigstore" in result.output and "--key" in result.output
    assert not (bundle / "signature.json").exists()


def test_tokens_that_are_none(bundle, sigstore, tmp_path):
    (tmp_path / "bad").write_text("no token")
    for path, words in ((tmp_path / "bad", "malformed"), (tmp_path / "missing", "no identity token")):
        result = run("sign", bundle, "--sigstore", "--identity-token", path)
        assert result.exit_code == 2, result.exception
        assert words in result.output


def test_without_the_package(bundle, monkeypatch, tmp_path):
    """A plain install says what to install: undecided with an identity, and accepted without as any bundle is."""
    import sys

    (bundle / "signature.json").write_text('{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}')
    found = read_bundle(bundle)
    facts = Facts(found.digest, found.digests, bytes(32), "tiny-dev", bytes(32))
    for name in [name for name in sys.modules if name.split(".")[0] == "sigstore"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "sigstore", None)
    with pytest.raises(Exception, match="made with Sigstore") as caught:
        check_signature(found.signature, facts, parse_identity(WHO))
    assert (caught.value.code, "huref-zk[sigstore]" in caught.value.hint) == ("needs-sigstore", True)
    result = run("sign", bundle, "--sigstore", "--force")
    assert result.exit_code == 2 and "huref-zk[prover,sigstore]" in result.output
