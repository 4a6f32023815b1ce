"""The published activation circuit, pinned by `trust.json` (docs/inference-proof.md section 6).

It is no part of a profile: it depends on the size class, the SRS and the number of entries alone.
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


@dataclass(frozen=True)
class ActivationCircuit(PublishedCircuit):
    """`circuit.json`, typed.

    `entries`: how many entries of its inputs it reads; `fraction`: fractional bits of a gate entry; `limit`: the
    largest that an honest prover has; `rest_bits`: R, rests and up entries are in [-2^(R-1), 2^(R-1)).
    """

    entries: int
    fraction: int
    limit: int
    rest_bits: int


@functools.cache
def trusted() -> dict[str, bytes]:
    """Name -> SHA-256 of circuit.json, from `trust.json`.

    Raises:
        BadInstallation: the table is missing or damaged.
    """
    return trusted_section("activations")


def circuits_folder() -> Path:
    """Where they lie."""
    return published_circuit.circuits_folder("activations")


def load_circuit(name: str) -> ActivationCircuit:
    """The published activation circuit called `name`, from the table of trusted ones.

    Raises:
        UnknownVersion, BadInstallation: see `load_document`.
    """
    return load_document(name, trusted(), circuits_folder(), "feed-forward proofs", _read)


def _read(value: object, sha256: bytes, folder: Path) -> ActivationCircuit:
    fields = Reader(value, DOCUMENT)
    fields.media_type("activationcircuit")
    size_class = read_size_class(fields.nested("size_class"))
    srs = fields.nested("srs")
    result = ActivationCircuit(
        name=fields.text("name"),
        kind="activation",
        sha256=sha256,
        folder=folder,
        size_class=size_class,
        srs=read_srs(srs),
        entries=fields.integer("entries", 1, size_class.data_length),
        fraction=fields.integer("fraction", 1, 30),
        limit=fields.integer("limit", 1, 1 << size_class.k),
        rest_bits=fields.integer("rest_bits", 1, 60),
        circuit=read_published_circuit(fields.nested("circuit"), size_class),
    )
    for reader in (srs, fields):
        reader.done()
    return result


def fits(circuit: ActivationCircuit, profile: Profile) -> bool:
    """Whether the circuit is one for this profile: the same committed vectors."""
    return (circuit.size_class, circuit.srs) == (profile.size_class, profile.srs)
