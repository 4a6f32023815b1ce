"""Published circuits that compare two bundles, of two kinds, pinned by `trust.json` (docs/comparison.md section 6).

They are no part of a profile: each depends on the size class, the SRS, g and shift alone, so profiles that share these
share it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from verifier.formats.strict_json import Reader
from verifier.trust import published_circuit
from verifier.trust.profile import Profile, read_published_circuit, trusted_section
from verifier.trust.published_circuit import DOCUMENT, PublishedCircuit, load_document
from verifier.trust.records import read_size_class, read_srs

SIMILARITY, THRESHOLD = "similarity", "threshold"


@dataclass(frozen=True)
class SimilarityCircuit(PublishedCircuit):
    """`circuit.json`, typed. `kind`: similarity or threshold. `scale`: outputs count units of 2^-scale."""

    g: int
    shift: int
    scale: int


@functools.cache
def trusted() -> dict[str, bytes]:
    """Name -> SHA-256 of circuit.json, from `trust.json`.

    Raises:
        BadInstallation: the table is missing or damaged.
    """
    return trusted_section("comparisons")


def circuits_folder() -> Path:
    """Where they lie."""
    return published_circuit.circuits_folder("comparisons")


def load_circuit(name: str) -> SimilarityCircuit:
    """The published circuit called `name`, from the table of trusted ones.

    Raises:
        UnknownVersion, BadInstallation: see `load_document`.
    """
    return load_document(name, trusted(), circuits_folder(), "comparisons", _read)


def _read(value: object, sha256: bytes, folder: Path) -> SimilarityCircuit:
    declared = str(value.get("type")) if isinstance(value, dict) else ""
    kind = THRESHOLD if declared.startswith(f"application/vnd.huref-zk.{THRESHOLD}circuit+") else SIMILARITY
    fields = Reader(value, DOCUMENT)
    fields.media_type(f"{kind}circuit")
    size_class = read_size_class(fields.nested("size_class"))
    srs = fields.nested("srs")
    result = SimilarityCircuit(
        name=fields.text("name"),
        kind=kind,
        sha256=sha256,
        folder=folder,
        size_class=size_class,
        srs=read_srs(srs),
        g=fields.integer("g", 1, 1024),
        shift=fields.integer("shift", 1, 128),
        scale=fields.integer("scale", 1, 60),
        circuit=read_published_circuit(fields.nested("circuit"), size_class),
    )
    for reader in (srs, fields):
        reader.done()
    return result


def fits(circuit: SimilarityCircuit, profile: Profile) -> bool:
    """Whether the circuit is one for this profile: the same committed vectors, with the same meaning."""
    return (circuit.size_class, circuit.srs, circuit.g, circuit.shift) == (
        profile.size_class,
        profile.srs,
        profile.projection.g,
        profile.shift,
    )
