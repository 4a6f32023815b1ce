"""Published circuits that are no part of a profile, each with a document that pins its files; `trust.json` pins that.

Those of comparisons (docs/comparison.md section 6) and of feed-forward proofs (docs/inference-proof.md section 6).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from verifier.formats import limits, strict_json
from verifier.formats.errors import BadInstallation, Rejected, UnknownVersion, Unreadable
from verifier.trust.profile import Circuit, published_folder, read_trusted_file
from verifier.trust.records import SizeClass, SrsDigests

T = TypeVar("T")

DOCUMENT = "circuit.json"
_REINSTALL = "reinstall huref-zk, or check the source out again"


@dataclass(frozen=True)
class PublishedCircuit:
    """What `circuit.json` says of every kind of circuit, typed."""

    name: str
    kind: str
    sha256: bytes
    folder: Path
    size_class: SizeClass
    srs: SrsDigests
    circuit: Circuit

    def files(self) -> dict[str, bytes]:
        """Every file that the document names: name in the folder -> SHA-256."""
        digests = self.circuit.digests
        return {"circuit.onnx": digests.onnx, "settings.json": digests.settings, "vk.key": digests.vk}

    def pinned(self) -> dict[str, str]:
        """The document and its files: name -> SHA-256, hexadecimal."""
        return {DOCUMENT: self.sha256.hex()} | {name: sha.hex() for name, sha in sorted(self.files().items())}


def circuits_folder(kind: str) -> Path:
    """Where circuits of a kind (`comparisons`, `activations`) lie: in the installed package, or in a checkout."""
    return published_folder(f"published_{kind}", kind)


def load_document(
    name: str, trusted: Mapping[str, bytes], folder: Path, what: str, parse: Callable[[object, bytes, Path], T]
) -> T:
    """The published circuit called `name`, if it is one of `trusted`; `parse` types its document.

    Raises:
        UnknownVersion: this version does not know it.
        BadInstallation: its files are not the ones the table pins.
    """
    pinned = trusted.get(name)
    if pinned is None:
        raise UnknownVersion(
            f"circuit {ascii(name)[:60]} for {what} is unknown; known: {', '.join(sorted(trusted)) or 'none'}",
            code="unknown-circuit",
            hint="upgrade huref-zk if this is newer; otherwise nobody published its circuit",
        )
    data = read_trusted_file(folder / name / DOCUMENT, pinned, limits.MAX_PROFILE_BYTES)
    try:
        return parse(strict_json.parse(data, DOCUMENT, limits.MAX_PROFILE_BYTES), pinned, folder / name)
    except (Rejected, Unreadable) as error:
        raise BadInstallation(f"{folder / name}: {error.message}", hint=_REINSTALL) from None
