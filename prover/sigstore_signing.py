"""Signing with Sigstore: no key to keep, a name that an issuer vouches for, a public log. Needs the network.

The sigstore package does it (`huref-zk[sigstore]`); its errors are turned into this project's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.errors import BundleError, UsageError

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer

MAX_TOKEN_BYTES = 64 << 10
_STEP = "sigstore"


@dataclass(frozen=True)
class SigstoreSigner:
    """Signs payloads; `identity` is what `huref-verify --identity` takes."""

    identity: str
    signer: Signer

    def sign(self, payload: bytes) -> bytes:
        """An in-toto Statement's bytes -> a Sigstore bundle, JSON.

        Raises:
            BundleError: the certificate authority or the log gave no answer, or refused.
        """
        from sigstore.dsse import Statement

        with _turned("no signature from Sigstore"):
            return self.signer.sign_dsse(Statement(payload)).to_json().encode()


@contextlib.contextmanager
def sigstore_signer(token_file: Path | None) -> Iterator[SigstoreSigner]:
    """Sigstore's public instance, with the token in a file, else the one that CI provides, else by a browser.

    Raises:
        UsageError: the sigstore package is not installed.
        BundleError: no trust root, no token, or an expired one.
    """
    try:
        from sigstore.models import ClientTrustConfig
        from sigstore.oidc import IdentityToken, Issuer, detect_credential
        from sigstore.sign import SigningContext
    except ImportError:
        raise UsageError(
            "--sigstore needs the sigstore extra", step=_STEP, hint="pip install 'huref-zk[prover,sigstore]'"
        ) from None
    given = None if token_file is None else _read_token(token_file)
    with _turned("Sigstore cannot be reached"):
        trust = ClientTrustConfig.production()
        raw = given or detect_credential()
        token = IdentityToken(raw) if raw else Issuer(trust.signing_config.get_oidc_url()).identity_token()
        context = SigningContext.from_trust_config(trust)
    with context.signer(token) as signer:
        yield SigstoreSigner(_identity(token), signer)


def _identity(token: IdentityToken) -> str:
    return f"sigstore:{token.identity}@{token.federated_issuer}"


def _read_token(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(MAX_TOKEN_BYTES).decode("ascii").strip()
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: no identity token ({error})", step=_STEP) from None


@contextlib.contextmanager
def _turned(what: str) -> Iterator[None]:
    """The errors of the sigstore package, and of the network below it, as one of this project's."""
    import requests
    from sigstore.errors import Error
    from sigstore.oidc import ExpiredIdentity, IssuerError

    try:
        yield
    except (Error, IssuerError, ExpiredIdentity, requests.RequestException, OSError, ValueError) as error:
        words = str(error) or type(error).__name__
        raise BundleError(f"{what}: {words[:300]}", step=_STEP, hint="sign with a key of your own: --key") from None
