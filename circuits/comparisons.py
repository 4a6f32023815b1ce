"""Published circuits that compare two bundles' terms, of two kinds, each with the document that pins it.

A document names what its circuit depends on and nothing else: a profile that is published again with another generator
or other tokens keeps its circuits. Source: docs/comparison.md, section 6. The verifier reads the same files
by its own code.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.digests import sha256_file
from circuits.errors import CircuitError, UsageError
from circuits.keys import Published
from circuits.profiles import CircuitFiles, Profile

DOCUMENT = "circuit.json"
SIMILARITY, THRESHOLD = "similarity", "threshold"
KINDS = (SIMILARITY, THRESHOLD)
NAME_SUFFIX = {SIMILARITY: "", THRESHOLD: "-threshold"}


@dataclass(frozen=True)
class SimilarityCircuit:
    """A published circuit of either kind, every file already compared with its digest."""

    name: str
    document: dict[str, Any]
    sha256: str
    circuit: Published

    @property
    def scale(self) -> int:
        """Its outputs count units of `2^-scale`."""
        return int(self.document["scale"])


def comparisons_folder() -> Path:
    """Where they lie: in the installed verifier, or in a source checkout's artifacts/."""
    spec = importlib.util.find_spec("verifier")  # located, never imported: prover and verifier share no code
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "published_comparisons"
        if installed.is_dir():
            return installed
    return Path(__file__).resolve().parent.parent / "artifacts" / "comparisons"


def media_type(kind: str) -> str:
    """The type of a document that pins a circuit of this kind."""
    return f"application/vnd.huref-zk.{kind}circuit+json;version=1"


def dependencies(profile: Profile) -> dict[str, Any]:
    """What such a circuit depends on, as its document says it."""
    return {
        "size_class": profile.document["size_class"],
        "srs": {key: profile.document["srs"][key] for key in ("sha256", "verify_sha256")},
        "g": profile.g,
        "shift": profile.shift,
    }


def files_in(folder: Path, record: dict[str, Any], kind: str = SIMILARITY) -> CircuitFiles:
    """The circuit's three files in `folder`."""
    return CircuitFiles(
        kind,
        folder / "circuit.onnx",
        folder / "settings.json",
        folder / "vk.key",
        int(record.get("usable_rows", 0)),
        int(record.get("proof_bytes", 0)),
    )


def load_similarity_circuit(
    profile: Profile, published: Path | None = None, kind: str = SIMILARITY
) -> SimilarityCircuit:
    """The circuit of this kind that goes with `profile`, of those in `published` (by default where they are published).

    Raises UsageError when there is none, CircuitError for a file that is not the published one.
    """
    for path in sorted((published or comparisons_folder()).glob(f"*/{DOCUMENT}")):
        document = json.loads(path.read_text())
        wanted = {"type": media_type(kind), **dependencies(profile)}
        if all(document[key] == value for key, value in wanted.items()):
            return _checked(path, document, profile, kind)
    raise UsageError(
        f"no {kind} circuit is published for profile {profile.name}",
        step="comparison",
        hint="maintainers: python -m circuits.publish_comparison",
    )


def _checked(path: Path, document: dict[str, Any], profile: Profile, kind: str) -> SimilarityCircuit:
    record = document["circuit"]
    files = files_in(path.parent, record, kind)
    for name, digest in files.digests().items():
        if record[name] != digest:
            raise CircuitError(
                f"{path.parent}: its {name} is not the file that {path.name} names by digest",
                step="comparison",
                hint="reinstall, or check the file out again",
            )
    return SimilarityCircuit(
        str(document["name"]),
        document,
        sha256_file(path),
        Published(files, str(record["vk"]), profile.srs, profile.size),
    )
