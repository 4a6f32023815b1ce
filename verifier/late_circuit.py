"""Published circuits that compare two bundles, of two kinds, pinned by `trust.json` (docs/comparison.md section 6).

They are no part of a profile: each depends on the size class, the SRS, g and shift alone, so profiles that share these
share it.
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
SIMILARITY, THRESHOLD = "similarity", "threshold"
_REINSTALL = "reinstall huref-zk, or check the source out again"


@dataclass(frozen=True)
class SimilarityCircuit:
    """`circuit.json`, typed. `kind`: similarity or threshold. `scale`: outputs count units of 2^-scale."""

    name: str
    kind: str
    sha256: bytes
    folder: Path
    size_class: SizeClass
    srs: SrsDigests
    g: int
    shift: int
    scale: int
    circuit: Circuit

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
    return trusted_section("comparisons")


def circuits_folder() -> Path:
    """Where they lie: inside the installed package, or in a source checkout's artifacts."""
    here = Path(__file__).resolve().parent
    installed = here / "published_comparisons"
    return installed if installed.is_dir() else here.parent / "artifacts" / "comparisons"


def load_circuit(name: str) -> SimilarityCircuit:
    """The published circuit called `name`, from the table of trusted ones.

    Raises:
        UnknownVersion: this version does not know it.
        BadInstallation: its files are not the ones the table pins.
    """
    pinned = trusted().get(name)
    if pinned is None:
        raise UnknownVersion(
            f"circuit {ascii(name)[:60]} for comparisons is unknown; known: {', '.join(sorted(trusted())) or 'none'}",
            code="unknown-circuit",
            hint="upgrade huref-zk if the comparison is newer; otherwise nobody published its circuit",
        )
    folder = circuits_folder() / name
    data = read_trusted_file(folder / DOCUMENT, pinned, limits.MAX_PROFILE_BYTES)
    try:
        value = strict_json.parse(data, DOCUMENT, limits.MAX_PROFILE_BYTES)
        declared = str(value.get("type")) if isinstance(value, dict) else ""
        kind = THRESHOLD if declared.startswith(f"application/vnd.huref-zk.{THRESHOLD}circuit+") else SIMILARITY
        return _read(Reader(value, DOCUMENT), kind, pinned, folder)
    except (Rejected, Unreadable) as error:
        raise BadInstallation(f"{folder}: {error.message}", hint=_REINSTALL) from None


def _read(fields: Reader, kind: str, sha256: bytes, folder: Path) -> SimilarityCircuit:
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
