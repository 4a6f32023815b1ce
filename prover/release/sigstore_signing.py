"""Signing with Sigstore: no key to keep, a name that an issuer vouches for, a public log. Needs the network.

The sigstore package does it (`huref-zk[sigstore]`); its errors are turned into this project's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from circuits.errors import BundleError, UsageError

if TYPE_CHECKING:
    from sigstore.sign import Signer

MAX_TOKEN_BYTES = 64 << 10
ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")  # of a Sigstore certificate: who vouches for the name in it
_STEP = "sigstore"


class SigstoreSigner:
    """Signs payloads with one certificate. `identity`, once it has signed, is what `huref-verify --identity` takes."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.identity = ""

    def sign(self, payload: bytes) -> bytes:
        """An in-toto Statement's bytes -> a Sigstore bundle, JSON.

        Raises:
            BundleError: the log gave no answer, or refused.
        """
        from sigstore.dsse import Statement

        with _turned("no signature from Sigstore"):
            bundle = self._signer.sign_dsse(Statement(payload))
            self.identity = identity_in(bundle.signing_certificate)
            return bundle.to_json().encode()


def identity_in(certificate: x509.Certificate) -> str:
    """`sigstore:WHO@ISSUER`: the name and issuer that a Sigstore certificate is about.

    It is read from the certificate, not from the token: a GitHub workflow's token names it otherwise.

    Raises:
        ValueError: not one mail address or URI, or no issuer.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        (who,) = [name.value for name in names if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier)]
        issuer = certificate.extensions.get_extension_for_oid(ISSUER).value
    except x509.ExtensionNotFound as error:
        raise ValueError(f"a certificate without {error.oid}") from None
    if not isinstance(issuer, x509.UnrecognizedExtension):
        raise ValueError("a certificate without an issuer of the name")
    return f"sigstore:{who}@{issuer.value.decode()}"


@contextlib.contextmanager
def sigstore_signer(token_file: Path | None) -> Iterator[SigstoreSigner]:
    """Sigstore's public instance, with the token in a file, else the one that CI provides, else by a browser.

    Raises:
        UsageError: the sigstore package is not installed.
        BundleError: no trust root, no token, an expired one, or no certificate.
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
    with contextlib.ExitStack() as open_until_signed:
        with _turned("no certificate from Sigstore"):
            trust = ClientTrustConfig.production()
            raw = given or detect_credential()
            token = IdentityToken(raw) if raw else Issuer(trust.signing_config.get_oidc_url()).identity_token()
            context = SigningContext.from_trust_config(trust)
            signer = SigstoreSigner(open_until_signed.enter_context(context.signer(token)))
        yield signer


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
    from sigstore._internal.fulcio.client import FulcioClientError
    from sigstore._internal.rekor import RekorClientError
    from sigstore.errors import Error
    from sigstore.oidc import ExpiredIdentity, IssuerError

    theirs = (Error, FulcioClientError, RekorClientError, IssuerError, ExpiredIdentity, requests.RequestException)
    try:
        yield
    except (*theirs, OSError, ValueError) as error:
        cause = f" ({error.__cause__})" if error.__cause__ else ""
        words = f"{str(error) or type(error).__name__}{cause}"
        raise BundleError(f"{what}: {words[:400]}", step=_STEP, hint="sign with a key of your own: --key") from None
