"""Published activation circuits, each with the document that pins it.

A document names what its circuit depends on and nothing else: size class, SRS, and how many entries it reads.
Source: docs/inference-proof.md, section 6. The verifier reads the same files by its own code.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.activation_circuit import CIRCUIT, ActivationScale
from circuits.digests import sha256_file
from circuits.errors import CircuitError, UsageError
from circuits.keys import Published
from circuits.profiles import CircuitFiles, Profile

DOCUMENT = "circuit.json"


@dataclass(frozen=True)
class ActivationCircuit:
    """A published activation circuit, every file already compared with its digest. `entries`: how many it reads."""

    name: str
    sha256: str
    entries: int
    scale: ActivationScale
    circuit: Published


def activations_folder() -> Path:
    """Where activation circuits lie: in the installed verifier, or in a source checkout's artifacts/."""
    spec = importlib.util.find_spec("verifier")  # located, never imported: prover and verifier share no code
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "published_activations"
        if installed.is_dir():
            return installed
    return Path(__file__).resolve().parent.parent / "artifacts" / "activations"


def dependencies(profile: Profile) -> dict[str, Any]:
    """What an activation circuit has in common with its profile, as its document says it."""
    return {
        "size_class": profile.document["size_class"],
        "srs": {key: profile.document["srs"][key] for key in ("sha256", "verify_sha256")},
    }


def files_in(folder: Path, record: dict[str, Any]) -> CircuitFiles:
    """The circuit's three files in `folder`."""
    return CircuitFiles(
        CIRCUIT,
        folder / "circuit.onnx",
        folder / "settings.json",
        folder / "vk.key",
        int(record.get("usable_rows", 0)),
        int(record.get("proof_bytes", 0)),
    )


def load_activation_circuit(profile: Profile, published: Path | None = None) -> ActivationCircuit:
    """The activation circuit that goes with `profile`, of those in `published` (by default where they are published).

    Raises UsageError when there is none, CircuitError for a file that is not the published one.
    """
    for path in sorted((published or activations_folder()).glob(f"*/{DOCUMENT}")):
        document = json.loads(path.read_text())
        if all(document[key] == value for key, value in dependencies(profile).items()):
            return _checked(path, document, profile)
    raise UsageError(
        f"no activation circuit is published for profile {profile.name}",
        step="feed-forward",
        hint="maintainers: python -m circuits.publish_activation",
    )


def _checked(path: Path, document: dict[str, Any], profile: Profile) -> ActivationCircuit:
    record = document["circuit"]
    files = files_in(path.parent, record)
    for name, digest in files.digests().items():
        if record[name] != digest:
            raise CircuitError(
                f"{path.parent}: its {name} is not the file that {path.name} names by digest",
                step="feed-forward",
                hint="reinstall, or check the file out again",
            )
    return ActivationCircuit(
        str(document["name"]),
        sha256_file(path),
        int(document["entries"]),
        ActivationScale(*(int(document[key]) for key in ("fraction", "limit", "rest_bits"))),
        Published(files, str(record["vk"]), profile.srs, profile.size),
    )
