"""`--identity`: who must have signed a bundle. A key, by its id; or a Sigstore identity: a name that an issuer vouches
for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from verifier.formats.errors import Rejected
from verifier.formats.limits import MAX_IDENTITY_CHARACTERS, MAX_KEY_FILE_BYTES
from verifier.signature.keys import read_pem

_KEYID = re.compile(r"[0-9a-f]{64}")
_SIGSTORE = re.compile(r"sigstore:(?P<who>\S+)@(?P<issuer>https://[^\s@]+)")


@dataclass(frozen=True)
class Identity:
    """Either `keyid` (64 hexadecimal digits), or `who` and `issuer` as Sigstore's certificates name them."""

    keyid: str = ""
    who: str = ""
    issuer: str = ""

    def __str__(self) -> str:
        """The form that `parse_identity` reads."""
        return self.keyid or f"sigstore:{self.who}@{self.issuer}"


def parse_identity(text: str) -> Identity | None:
    """`KEYID` or `sigstore:WHO@https://ISSUER`; None if it is neither.

    >>> parse_identity("sigstore:release@example.org@https://accounts.example").who
    'release@example.org'
    """
    if _KEYID.fullmatch(text):
        return Identity(keyid=text)
    match = _SIGSTORE.fullmatch(text) if len(text) <= MAX_IDENTITY_CHARACTERS else None
    return Identity(who=match["who"], issuer=match["issuer"]) if match else None


def read_identity(text: str) -> Identity:
    """What `parse_identity` reads, or else the path of a PEM file with a public key.

    Raises:
        Rejected: neither; the file holds no such key.
        OSError: the file cannot be read.

    >>> read_identity("sigstore:release@example.org@https://accounts.example").issuer
    'https://accounts.example'
    """
    found = parse_identity(text)
    if found is not None:
        return found
    if text.startswith("sigstore:"):
        raise Rejected("not sigstore:WHO@https://ISSUER", code="identity")
    with Path(text).open("rb") as stream:
        data = stream.read(MAX_KEY_FILE_BYTES + 1)
    return Identity(keyid=read_pem(data, text).keyid)
