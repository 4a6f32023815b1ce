"""`huref sign BUNDLE --key FILE`, `huref key new FILE` and `huref key show FILE`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import click

from circuits.command_group import HurefCommand, HurefGroup
from circuits.errors import BundleError, UsageError
from circuits.printing import say
from prover.fingerprint import own_verifier
from prover.release import keys
from prover.release.signing import SIGNATURE_FILE, envelope, sign_bundle

_FILE = click.Path(path_type=Path, dir_okay=False)
_PASSPHRASE = click.option(
    "--passphrase-file", type=_FILE, metavar="FILE", help="The private key is encrypted under its first line."
)


@click.command("sign", cls=HurefCommand)
@click.argument("bundle", metavar="BUNDLE", type=click.Path(path_type=Path))
@click.option("--key", "key_file", type=_FILE, metavar="FILE", help="Private key, as `huref key new` makes it.")
@_PASSPHRASE
@click.option("--sigstore", is_flag=True, help="Sign with Sigstore's public instance instead (needs the network).")
@click.option(
    "--identity-token", type=_FILE, metavar="FILE", help="For --sigstore: an OIDC token, where no browser is."
)
@click.option("--force", is_flag=True, help="Replace an existing signature.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def sign(
    bundle: Path,
    key_file: Path | None,
    passphrase_file: Path | None,
    sigstore: bool,
    identity_token: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Sign BUNDLE: say "I published this". Writes signature.json; the bundle's other files stay as they are.

    huref-verify must accept the signed bundle before anything is put in place. It says who published the bundle to
    those who know your key; it proves nothing about the model.
    """
    if (key_file is None) != sigstore:
        raise UsageError("--key FILE or --sigstore: one of them", step="sign")
    if (passphrase_file and sigstore) or (identity_token and not sigstore):
        raise UsageError("--passphrase-file goes with --key, --identity-token with --sigstore", step="sign")
    with _signer(key_file, passphrase_file, identity_token) as signer:
        digest = sign_bundle(bundle, signer.sign, partial(_accept, bundle, signer), force)
        identity = signer.identity
    if as_json:
        say(json.dumps({"bundle": str(bundle), "bundle_sha256": digest, "identity": identity}, sort_keys=True))
        return
    say(f"signed      {bundle}, verified by huref-verify")
    say(f"signature   {bundle / SIGNATURE_FILE if bundle.is_dir() else SIGNATURE_FILE + ' in the archive'}")
    say(f"digest      {digest}")
    say(f"identity    {identity} (publish it elsewhere than the bundle: it is what others give to --identity)")


class _Signer(Protocol):
    """Makes signature.json of a payload; then its `identity` is known."""

    @property
    def identity(self) -> str:
        """What `huref-verify --identity` takes."""

    def sign(self, payload: bytes) -> bytes:
        """The bytes of signature.json."""


@dataclass(frozen=True)
class _KeySigner:
    """A key of one's own."""

    key: keys.SigningKey

    @property
    def identity(self) -> str:
        return self.key.keyid

    def sign(self, payload: bytes) -> bytes:
        return envelope(payload, self.key)


@contextlib.contextmanager
def _signer(key_file: Path | None, passphrase_file: Path | None, token_file: Path | None) -> Iterator[_Signer]:
    if key_file is not None:
        yield _KeySigner(keys.load(key_file, keys.read_passphrase(passphrase_file)))
        return
    from prover.release.sigstore_signing import sigstore_signer

    with sigstore_signer(token_file) as signer:
        yield signer


def _accept(bundle: Path, signer: _Signer, signed: Path) -> None:
    report = own_verifier.report_on(signed, "--allow-dev-srs", "--identity", signer.identity)
    if report["verdict"] != "accepted":
        raise BundleError(
            f"{bundle}: not signed, for huref-verify does not accept it: {report['verdict_line']}",
            step="sign",
            hint=report["hint"] or "",
        )


@click.group("key", cls=HurefGroup)
def key_group() -> None:
    """Keys that sign bundles."""


@key_group.command("new")
@click.argument("file", metavar="FILE", type=_FILE)
@click.option("--algorithm", type=click.Choice(keys.ALGORITHMS), default=keys.ALGORITHMS[0], show_default=True)
@_PASSPHRASE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def new(file: Path, algorithm: str, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a key: the private half in FILE, mode 0600, the public half beside it (maker.pem: maker.pub.pem)."""
    key = keys.create(file, algorithm, keys.read_passphrase(passphrase_file))
    _print(file, key, as_json)
    if passphrase_file is None:
        say(f"{file} is not encrypted; --passphrase-file FILE does that", err=True)


@key_group.command("show")
@click.argument("file", metavar="FILE", type=_FILE)
@_PASSPHRASE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def show(file: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Print the id of the private key in FILE."""
    _print(file, keys.load(file, keys.read_passphrase(passphrase_file)), as_json)


def _print(file: Path, key: keys.SigningKey, as_json: bool) -> None:
    public = keys.public_path(file)  # where `key new` puts it; a key made elsewhere may have none there
    where = str(public) if public.exists() else None
    if as_json:
        say(json.dumps({"keyid": key.keyid, "private": str(file), "public": where}, sort_keys=True))
        return
    say(f"private     {file} (keep it; whoever has it can sign as you)")
    if where is not None:
        say(f"public      {where}")
    say(f"key id      {key.keyid}")
