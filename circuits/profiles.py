"""Published profiles: what a prover may not choose, and the files it names by digest.

Source: docs/protocol.md, section 8. The verifier reads the same files by its own code.
"""

from __future__ import annotations

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.digests import sha256_file
from circuits.errors import CircuitError, UsageError
from circuits.size_classes import SizeClass, size_class

CIRCUITS = ("link", "encoder")
DEFAULT_PROFILE = "tiny-dev"
FPM_FILES = {"encoder": "encoder.onnx", "head": "head.npz", "generator": "generator.onnx"}


@dataclass(frozen=True)
class CircuitFiles:
    """One published circuit."""

    name: str
    onnx: Path
    settings: Path
    vk: Path
    usable_rows: int
    proof_bytes: int

    def digests(self) -> dict[str, str]:
        """SHA-256 of the three files."""
        return {
            "onnx": sha256_file(self.onnx),
            "settings": sha256_file(self.settings),
            "vk": sha256_file(self.vk),
        }


@dataclass(frozen=True)
class Profile:
    """A published profile, every file already compared with its digest."""

    folder: Path
    document: dict[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """The profile's name."""
        return str(self.document["name"])

    @property
    def size(self) -> SizeClass:
        """The size class of its circuits."""
        return size_class(self.document["size_class"]["name"])

    @property
    def g(self) -> int:
        """Rows of the projection P."""
        return int(self.document["projection"]["g"])

    @property
    def shift(self) -> int:
        """S'_t has root mean square 2^shift."""
        return int(self.document["scale"]["shift"])

    @property
    def srs(self) -> Path:
        """The SRS file for the size class's k."""
        return self.folder / "srs" / f"k{self.size.k}.srs"

    def fpm(self, name: str) -> Path:
        """A file of the fingerprinting model: encoder.onnx, head.npz or generator.onnx."""
        return fpm_file(self.folder, name)

    def circuit(self, name: str) -> CircuitFiles:
        """The circuit `link` or `encoder`."""
        record = self.document["circuits"][name]
        folder = self.folder / name
        return CircuitFiles(
            name,
            folder / "circuit.onnx",
            folder / "settings.json",
            folder / "vk.key",
            int(record["usable_rows"]),
            int(record["proof_bytes"]),
        )


def fpm_file(folder: Path, name: str) -> Path:
    """A file of the fingerprinting model of the profile in `folder`: its own, or the one that the profiles share."""
    own = folder / "fpm" / name
    return own if own.exists() else folder.parent / "fpm" / name


def profiles_folder() -> Path:
    """Where published profiles lie: in the installed verifier, or in a source checkout's artifacts/."""
    spec = importlib.util.find_spec("verifier")  # located, never imported: prover and verifier share no code
    if spec is not None and spec.origin is not None:
        installed = Path(spec.origin).parent / "published"
        if installed.is_dir():
            return installed
    return Path(__file__).resolve().parent.parent / "artifacts" / "profiles"


def published() -> list[str]:
    """Names of the published profiles: those under the public ceremony's SRS first, smallest size class first."""
    found = {path.parent.name: json.loads(path.read_text()) for path in profiles_folder().glob("*/profile.json")}

    def place(name: str) -> tuple[bool, int, str]:
        document = found[name]
        return document["srs"]["trust"] != "ceremony", int(document["size_class"]["k"]), name

    return sorted(found, key=place)


def load_profile(name_or_folder: str | Path = DEFAULT_PROFILE) -> Profile:
    """Load a profile by name, or from a folder, and check every file against its digest.

    A published profile's name means that one, also where a folder of the same name lies: say `./name` for the folder.
    Raises UsageError for an unknown one, CircuitError for a file that is not the published one.
    """
    folder = Path(name_or_folder)
    if name_or_folder in published() or not (folder / "profile.json").is_file():
        folder = profiles_folder() / str(name_or_folder)
    path = folder / "profile.json"
    if not path.is_file():
        raise UsageError(
            f"unknown profile {str(name_or_folder)!r}", step="profile", hint=f"one of {', '.join(published())}"
        )
    document = json.loads(path.read_text())
    profile = Profile(folder, document, sha256_file(path))
    expected: list[tuple[Path, str]] = [(profile.srs, document["srs"]["sha256"])]
    expected.append((folder / "srs" / "k1.srs", document["srs"]["verify_sha256"]))
    for part, name in FPM_FILES.items():
        expected.append((profile.fpm(name), document["fpm"][part]))
    for circuit in CIRCUITS:
        files = profile.circuit(circuit)
        record = document["circuits"][circuit]
        expected += [
            (files.onnx, record["onnx"]),
            (files.settings, record["settings"]),
            (files.vk, record["vk"]),
        ]
    for file, digest in expected:
        if not file.is_file() or sha256_file(file) != digest:
            raise CircuitError(
                f"{file}: not the file that {path} names by digest",
                step="profile",
                hint="reinstall, or check the file out again",
            )
    return profile
