"""The published activation circuit, pinned by `trust.json` (docs/inference-proof.md section 6).

It is no part of a profile: it depends on the size class, the SRS and the number of entries alone.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from verifier import limits, strict_json
from verifier.errors import BadInstallation, Rejected, UnknownVersion, Unreadable
from verifier.profile import Circuit, Profile, read_published_circuit, read_trusted_file, trusted_section
from verifier.statement import SizeClass, SrsDigests, read_size_class, read_srs
from verifier.strict_json import Reader

DOCUMENT = "circuit.json"
_REINSTALL = "reinstall huref-zk, or check the source out again"


@dataclass(frozen=True)
class ActivationCircuit:
    """`circuit.json`, typed.

    `entries`: how many entries of its inputs it reads; `fraction`: fractional bits of a gate entry; `limit`: the
    largest that an honest prover has; `rest_bits`: R, rests and up entries are in [-2^(R-1), 2^(R-1)).
    """

    name: str
    sha256: bytes
    folder: Path
    size_class: SizeClass
    srs: SrsDigests
    entries: int
    fraction: int
    limit: int
    rest_bits: int
    circuit: Circuit
    kind: str = "activation"

    def files(self) -> dict[str, bytes]:
        """Every file that the document names: name in the folder -> SHA-256."""
        digests = self.circuit.digests
        return {"circuit.onnx": digests.onnx, "settings.json": digests.settings, "vk.key": digests.vk}


@functools.cache
def trusted() -> dict[str, bytes]:
    """Name -> SHA-256 of circuit.json, from `trust.json`.

    Raises:
        BadInstallation: the table is missing or damaged.
    """
    return trusted_section("activations")


def circuits_folder() -> Path:
    """Where activation circuits lie: inside the installed package, or in a source checkout's artifacts."""
    here = Path(__file__).resolve().parent
    installed = here / "published_activations"
    return installed if installed.is_dir() else here.parent / "artifacts" / "activations"


def load_circuit(name: str) -> ActivationCircuit:
    """The published activation circuit called `name`, from the table of trusted ones.

    Raises:
        UnknownVersion: this version does not know it.
        BadInstallation: its files are not the ones the table pins.
    """
    pinned = trusted().get(name)
    if pinned is None:
        raise UnknownVersion(
            f"activation circuit {ascii(name)[:60]} is unknown; known: {', '.join(sorted(trusted())) or 'none'}",
            code="unknown-circuit",
            hint="upgrade huref-zk if the proof is newer; otherwise nobody published its circuit",
        )
    folder = circuits_folder() / name
    data = read_trusted_file(folder / DOCUMENT, pinned, limits.MAX_PROFILE_BYTES)
    try:
        fields = Reader(strict_json.parse(data, DOCUMENT, limits.MAX_PROFILE_BYTES), DOCUMENT)
        return _read(fields, pinned, folder)
    except (Rejected, Unreadable) as error:
        raise BadInstallation(f"{folder}: {error.message}", hint=_REINSTALL) from None


def _read(fields: Reader, sha256: bytes, folder: Path) -> ActivationCircuit:
    fields.media_type("activationcircuit")
    size_class = read_size_class(fields.nested("size_class"))
    srs = fields.nested("srs")
    result = ActivationCircuit(
        name=fields.text("name"),
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
