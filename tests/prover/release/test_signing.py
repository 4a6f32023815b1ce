"""`huref key`, `huref sign` and `huref card` as a release engineer meets them. The bundle is the shipped example."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric import utils
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from markdown_it import MarkdownIt
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from circuits.errors import BundleError, StorageError
from prover.cli import huref
from prover.fingerprint import own_verifier
from prover.formats.canonical_json import canonical
from prover.release import keys
from prover.release.card import card
from prover.release.signing import (
    FILES,
    P256_ORDER,
    bundle_digest,
    envelope,
    in_toto_statement,
    read_files,
    sign_bundle,
)
from tests.conftest import EXAMPLE, ROOT
from tests.verifier.fingerprint.test_page import HOSTILE
from verifier.fingerprint.artefact import read_bundle
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_bundle
from verifier.signature.identity import Identity

SCHEMA = json.loads((ROOT / "docs" / "fingerprint-predicate-v1.schema.json").read_bytes())


def run(*arguments: object):
    return CliRunner().invoke(huref, [str(argument) for argument in arguments])


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    for word in words:
        assert word in result.output, result.output


@pytest.fixture
def bundle(tmp_path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.fixture(scope="module")
def maker(tmp_path_factory) -> Path:
    """A key, as `huref key new` makes it."""
    path = tmp_path_factory.mktemp("keys") / "maker.pem"
    result = run("key", "new", path)
    assert result.exit_code == 0, result.output
    assert "is not encrypted" in result.stderr
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# ---------------------------------------- keys


def test_a_private_key_is_its_owners_alone(maker):
    assert stat.S_IMODE(maker.stat().st_mode) == 0o600
    public = maker.with_name("maker.pub.pem")
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    before = content(maker.parent)
    refused(run("key", "new", maker), "exists already", "never replaced")
    public.rename(maker.with_name("elsewhere.pem"))
    maker.with_name("elsewhere.pem").rename(public)
    assert content(maker.parent) == before
    assert keys.load(maker).keyid in run("key", "show", maker).stdout


def test_a_public_file_in_the_way_leaves_no_private_one(tmp_path):
    (tmp_path / "a.pub.pem").write_text("mine")
    refused(run("key", "new", tmp_path / "a.pem"), "exists already")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pub.pem"]


def test_a_disk_that_fills_up_leaves_no_key(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(keys.os, "fsync", full)
    with pytest.raises(StorageError):
        keys.create(tmp_path / "a.pem", "ed25519", None)
    assert list(tmp_path.iterdir()) == []


def test_an_encrypted_key(tmp_path):
    (tmp_path / "phrase").write_text("correct horse\nignored\n")
    (tmp_path / "wrong").write_text("incorrect horse\n")
    (tmp_path / "empty").write_text("\n")
    path = tmp_path / "key.pem"
    assert run("key", "new", path, "--algorithm", "p256", "--passphrase-file", tmp_path / "phrase").exit_code == 0
    assert b"ENCRYPTED" in path.read_bytes()
    assert run("key", "show", path, "--passphrase-file", tmp_path / "phrase", "--json").exit_code == 0
    refused(run("key", "show", path), "give --passphrase-file")
    refused(run("key", "show", path, "--passphrase-file", tmp_path / "wrong"), "under this passphrase")
    refused(run("key", "show", path, "--passphrase-file", tmp_path / "empty"), "is empty")
    refused(run("key", "show", path, "--passphrase-file", tmp_path / "missing"), "No such file")


@pytest.mark.parametrize("how", [["genpkey", "-algorithm", "ed25519"], ["ecparam", "-name", "prime256v1", "-genkey"]])
def test_a_key_that_openssl_made(tmp_path, how):
    path = tmp_path / "key.pem"
    subprocess.run(["openssl", *how, "-out", path], check=True, capture_output=True)
    answer = json.loads(run("key", "show", path, "--json").stdout)
    public = subprocess.run(
        ["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], capture_output=True, check=True
    )
    assert answer == {"keyid": hashlib.sha256(public.stdout).hexdigest(), "private": str(path), "public": None}


def test_files_that_are_no_keys(tmp_path, maker):
    (tmp_path / "text.pem").write_text("hello")
    (tmp_path / "large.pem").write_bytes(bytes(1 << 20))
    subprocess.run(["openssl", "genrsa", "-out", tmp_path / "rsa.pem", "2048"], check=True, capture_output=True)
    (tmp_path / "phrase").write_text("x")
    refused(run("key", "show", tmp_path / "text.pem"), "no private key in PEM form")
    refused(run("key", "show", tmp_path / "large.pem"), "larger than any key")
    refused(run("key", "show", tmp_path / "rsa.pem"), "neither an Ed25519 key nor one on P-256")
    refused(run("key", "show", tmp_path / "missing.pem"), "No such file", "huref key new")
    refused(run("key", "show", maker, "--passphrase-file", tmp_path / "phrase"), "is not encrypted")
    refused(run("key", "show", maker.with_name("maker.pub.pem")), "no private key")


# ---------------------------------------- signing


def test_signing_a_folder(bundle, maker):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in bundle.iterdir()}
    result = run("sign", bundle, "--key", maker)
    assert result.exit_code == 0, result.output
    digest, keyid = bundle_digest(read_files(bundle)), keys.load(maker).keyid
    assert digest in result.stdout and keyid in result.stdout
    for path, as_it_was in before.items():
        assert (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) == as_it_was
    assert {path.name for path in bundle.iterdir()} == {*FILES, "signature.json"}
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]
    report = verify_bundle(bundle, Options(True, identity=Identity(keyid=keyid)))
    assert (report.verdict, report.bundle_sha256) == ("accepted", digest)

    signature = (bundle / "signature.json").read_bytes()
    refused(run("sign", bundle, "--key", maker), "is signed already", "--force")
    assert (bundle / "signature.json").read_bytes() == signature
    other = bundle.parent / "p256.pem"
    run("key", "new", other, "--algorithm", "p256")
    result = run("sign", bundle, "--key", other, "--force", "--json")
    assert json.loads(result.stdout)["identity"] == keys.load(other).keyid
    assert (bundle / "signature.json").read_bytes() != signature


@pytest.mark.parametrize("name", ["bundle.zip", "no suffix"])
def test_signing_an_archive(tmp_path, maker, name):
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:
        for file in EXAMPLE.iterdir():
            archive.write(file, file.name)
    (tmp_path / "link").symlink_to(path)
    result = run("sign", tmp_path / "link", "--key", maker)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "link").is_symlink() and not path.is_symlink()
    with zipfile.ZipFile(path) as archive:
        assert {m: archive.read(m) for m in archive.namelist() if m in FILES} == content(EXAMPLE)
        assert archive.testzip() is None and "signature.json" in archive.namelist()
    assert {file.name for file in tmp_path.iterdir()} == {"link", name}


def test_what_is_not_accepted_is_not_signed(bundle, maker):
    with (bundle / "commitments.bin").open("r+b") as stream:
        stream.write(b"\xff")
    before = content(bundle)
    refused(run("sign", bundle, "--key", maker), "REJECTED at step 3 (points)")
    assert content(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


def test_no_bundle(bundle, maker, tmp_path):
    def spoil(what: str, change) -> None:
        folder = tmp_path / what
        shutil.copytree(bundle, folder)
        change(folder)
        with pytest.raises(BundleError, match=re.escape(what)):
            sign_bundle(folder, lambda payload: pytest.fail("signed"), lambda _: None)

    spoil("link.json is missing", lambda folder: (folder / "link.json").unlink())
    spoil("link.json: over the limit", lambda folder: (folder / "link.json").write_bytes(bytes((4 << 20) + 1)))
    spoil("statement.json: not a statement", lambda folder: (folder / "statement.json").write_text("{}"))
    refused(run("sign", tmp_path / "missing", "--key", maker), "missing: No such file")
    refused(run("sign", maker, "--key", maker), "no readable archive")
    for arguments in ((), ("--key", maker, "--sigstore"), ("--key", maker, "--identity-token", maker)):
        refused(run("sign", bundle, *arguments), "--key")


def test_a_disk_that_fills_up_leaves_the_bundle_unsigned(bundle, maker, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    before = content(bundle)
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="No space left"):
        sign_bundle(bundle, lambda payload: b"{}", lambda _: None)
    assert content(bundle) == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


# ---------------------------------------- what is signed, by others' tools


@pytest.mark.parametrize("algorithm", keys.ALGORITHMS)
def test_securesystemslib_and_openssl_read_it(tmp_path, algorithm):
    key = keys.create(tmp_path / "key.pem", algorithm, None)
    payload = canonical(in_toto_statement(read_files(EXAMPLE)))
    data = envelope(payload, key)
    public = load_pem_public_key((tmp_path / "key.pub.pem").read_bytes())
    assert Envelope.from_dict(json.loads(data)).verify([SSlibKey.from_crypto(public, keyid=key.keyid)], 1)
    (one,) = json.loads(data)["signatures"]
    (tmp_path / "sig").write_bytes(base64.b64decode(one["sig"]))
    (tmp_path / "pae").write_bytes(Envelope(payload, "application/vnd.in-toto+json", {}).pae())
    how = ["pkeyutl", "-verify", "-pubin", "-inkey", "key.pub.pem", "-rawin", "-in", "pae", "-sigfile", "sig"]
    if algorithm == "p256":
        how = ["dgst", "-sha256", "-verify", "key.pub.pem", "-signature", "sig", "pae"]
        assert utils.decode_dss_signature(base64.b64decode(one["sig"]))[1] <= P256_ORDER // 2
    subprocess.run(["openssl", *how], cwd=tmp_path, check=True, capture_output=True)
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", tmp_path / "key.pub.pem", "-outform", "DER"],
        capture_output=True,
        check=True,
    )
    assert hashlib.sha256(der.stdout).hexdigest() == key.keyid == one["keyid"]


def test_the_statement_is_the_schemas(bundle):
    statement = in_toto_statement(read_files(bundle))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(statement, SCHEMA)
    assert statement["subject"][0]["digest"]["sha256"] == read_bundle(bundle).digest.hex()
    for change in (
        lambda s: s.update(extra=1),
        lambda s: s["subject"].append(s["subject"][0]),
        lambda s: s["predicate"].pop("commitment"),
        lambda s: s["predicate"]["files"].update(x="0" * 64),
        lambda s: s["subject"][0]["digest"].update(sha256="0"),
    ):
        other = json.loads(json.dumps(statement))
        change(other)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(other, SCHEMA)


# ---------------------------------------- the model card


@pytest.fixture(scope="module")
def report(tmp_path_factory, maker) -> dict:
    """The verifier's report on a signed copy, beside it."""
    folder = tmp_path_factory.mktemp("card")
    shutil.copytree(EXAMPLE, folder / "my bundle")
    assert run("sign", folder / "my bundle", "--key", maker).exit_code == 0
    return own_verifier.report_on(folder / "my bundle", "--allow-dev-srs")


def parts(block: str) -> tuple[dict, str]:
    _, front, markdown = block.split("---\n", 2)
    return yaml.safe_load(front), markdown


def test_the_command_in_the_card_verifies_the_bundle(report, maker):
    path = Path(report["bundle"])
    result = run("card", path, "--url", "https://example.org/models/x", "--identity", maker.with_name("maker.pub.pem"))
    assert result.exit_code == 0, result.output
    front, markdown = parts(result.stdout)
    (command,) = re.findall(r"^```sh\n(.*)\n```$", markdown, re.M)
    name, *arguments = shlex.split(command)
    assert name == "huref-verify" and "--identity" in arguments
    verifier = [sys.executable, "-m", "verifier"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [*verifier, *arguments, "--json"], cwd=path.parent, env=environment, capture_output=True, check=False
    )
    found = json.loads(done.stdout)
    assert (done.returncode, found["identity"]) == (0, keys.load(maker).keyid)
    about = front["huref_zk"]
    for key in ("bundle_sha256", "commitment", "profile", "profile_sha256", "files"):
        assert about[key] == found[key]
    assert about["signed_by"] == found["identity"]
    assert about["srs"] == "development"
    assert (
        "![fingerprint of this model's committed weights](<https://example.org/models/x/fingerprint.png>)" in markdown
    )


def test_the_picture_without_an_address_lies_beside_the_card(report):
    _, markdown = parts(card(report, "my bundle", False, None))
    assert "(<my%20bundle/fingerprint.png>)" in markdown
    assert "![" not in card(report, "bundle.zip", True, None)


def test_an_unsigned_bundle_says_so(report):
    block = card(report | {"signer": None}, "b", False, None)
    assert "| Signed by | unsigned |" in block and "signed_by" not in block and "--identity" not in block


def outline(markdown: str) -> list[tuple[str, str]]:
    """Tags of the page, without its text."""
    rendered = MarkdownIt("gfm-like", {"linkify": False}).render(markdown)
    return re.findall(r"<(/?[a-z0-9]+)([^>]*)>", rendered)


@pytest.mark.parametrize(
    "text", [*HOSTILE, "---\n", "x: [y", "'\"\\", "# h", "| a | b |", "`x`", "- x", "@you #1 :smile:", "\U0001f600"]
)
def test_hostile_metadata_stays_text(report, text):
    def with_metadata(value: str) -> str:
        return card(
            report | {"metadata_unverified": dict.fromkeys(("name", "version", "maker"), value)}, "b", False, None
        )

    front, markdown = parts(with_metadata(text))
    plain = "".join(c if c.isprintable() else "?" for c in text)
    assert front["huref_zk"]["stated"] == dict.fromkeys(("name", "version", "maker"), plain)
    assert set(front) == {"tags", "huref_zk"} and set(front["huref_zk"]) == set(
        parts(with_metadata("x"))[0]["huref_zk"]
    )
    assert outline(markdown) == outline(parts(with_metadata("x"))[1])


def test_addresses_and_names_that_do_not_fit(report):
    for url in (
        "javascript:alert(1)",
        "https://x/<script>",
        "https://x y",
        "https://x\n---",
        'https://x"',
        "ftp://x",
        "",
    ):
        with pytest.raises(Exception, match="not an http"):
            card(report, "b", False, url)
    with pytest.raises(Exception, match="control characters"):
        card(report, "a\n```", False, None)
    assert "\nhuref-verify ./-x " in card(report, "-x", False, None)


def test_no_card_for_what_is_not_accepted(bundle):
    (bundle / "link.json").write_bytes((bundle / "encoder.json").read_bytes())
    refused(run("card", bundle), "REJECTED at step 1")
