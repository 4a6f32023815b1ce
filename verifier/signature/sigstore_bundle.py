"""Signatures made with Sigstore: verified offline by the sigstore package, an extra of its own (`huref-zk[sigstore]`).

What is trusted is Sigstore's public instance: its certificate authority and its logs, by the trust root that ships with
that package or that it keeps in the user's cache.
"""

from __future__ import annotations

from verifier.formats.errors import Rejected, ToolFailure, Undecided
from verifier.signature.identity import Identity

_PAYLOAD_TYPE = "application/vnd.in-toto+json"


def verified_payload(data: bytes, identity: Identity) -> bytes:
    """The DSSE payload of the Sigstore bundle in `data`, which `identity` signed.

    Raises:
        Rejected: its certificate, log entry or signature is not good, or it is another identity's.
        Undecided: the sigstore package is not installed, or its trust root cannot be read.
    """
    try:
        from cryptography.x509 import DuplicateExtension, ExtensionNotFound
        from sigstore.errors import Error, VerificationError
        from sigstore.models import Bundle, InvalidBundle
        from sigstore.verify import Verifier, policy
    except ImportError:
        raise Undecided(
            "signature.json: made with Sigstore, which this installation cannot check",
            code="needs-sigstore",
            hint="pip install 'huref-zk[sigstore]'",
        ) from None
    try:
        verifier = Verifier.production(offline=True)
    except (Error, OSError, ValueError) as error:
        raise ToolFailure(f"sigstore: no trust root ({str(error)[:200]})") from None
    try:
        bundle = Bundle.from_json(data)
        kind, payload = verifier.verify_dsse(bundle, policy.Identity(identity=identity.who, issuer=identity.issuer))
    except (VerificationError, InvalidBundle) as error:
        raise Rejected(f"signature.json: not signed by {identity}: {str(error)[:300]}", code="signature") from None
    except (Error, ValueError, TypeError, KeyError, ExtensionNotFound, DuplicateExtension) as error:
        words = f"{type(error).__name__}: {str(error)[:300]}"
        raise Rejected(f"signature.json: no Sigstore bundle that can be verified ({words})", code="signature") from None
    if kind != _PAYLOAD_TYPE:
        raise Rejected(f"signature.json: payloadType is not {_PAYLOAD_TYPE}", code="signature")
    return payload
