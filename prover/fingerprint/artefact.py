"""Writing bundles: five files in a folder or a zip, all at once or not at all (docs/protocol.md, section 7)."""

from __future__ import annotations

import base64
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.digests import storage_error
from circuits.errors import UsageError
from prover.formats.canonical_json import canonical

LINK_TYPE = "application/vnd.huref-zk.link+json;version=1"
ENCODER_TYPE = "application/vnd.huref-zk.encoder+json;version=1"
ZIP_SUFFIXES = (".zip", ".huref")
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same bundle gives the same archive


@dataclass(frozen=True)
class Proof:
    """One ezkl proof: its bytes and its instances as integers."""

    data: bytes
    instances: tuple[int, ...]

    def instance_bytes(self) -> bytes:
        """Instances, 32 bytes big-endian each."""
        return b"".join(x.to_bytes(32, "big") for x in self.instances)

    def document(self, media_type: str) -> bytes:
        """The JSON file that carries it."""
        return canonical(
            {
                "type": media_type,
                "instances": [x.to_bytes(32, "big").hex() for x in self.instances],
                "proof": base64.b64encode(self.data).decode("ascii"),
            }
        )

    @classmethod
    def from_worker(cls, answer: dict[str, Any]) -> Proof:
        """From what `circuits.ezkl_worker` returned (instances are little-endian there)."""
        instances = tuple(int.from_bytes(bytes.fromhex(x), "little") for x in answer["instances"][0])
        return cls(bytes.fromhex(answer["proof"]), instances)


def assemble(
    statement: bytes, points: Sequence[bytes], link: Proof, encoder: Proof, picture: bytes
) -> dict[str, bytes]:
    """The five files by name."""
    return {
        "statement.json": statement,
        "commitments.bin": b"".join(points),
        "link.json": link.document(LINK_TYPE),
        "encoder.json": encoder.document(ENCODER_TYPE),
        "fingerprint.png": picture,
    }


def check_target(target: Path, replace: bool, mark: str = "statement.json") -> None:
    """UsageError unless a bundle may be written at `target`; `mark`: the file that tells a folder for one already."""
    if target.exists() and target.is_dir() == (target.suffix in ZIP_SUFFIXES):
        raise UsageError(
            f"{target} exists and is {'a folder' if target.is_dir() else 'a file'}",
            step="bundle",
            hint=f"a bundle is a folder, or a file that ends in {' or '.join(ZIP_SUFFIXES)}",
        )
    if target.exists() and not replace:
        raise UsageError(f"{target} exists already", step="bundle", hint="choose another path, or give --force")
    if target.exists() and target.is_dir() and not (target / mark).exists() and any(target.iterdir()):
        raise UsageError(f"{target} is a folder with something else in it", step="bundle", hint="choose another path")


def write(
    files: dict[str, bytes], target: Path, accept: Callable[[Path], object], archived: bool | None = None
) -> None:
    """Write the bundle beside `target`, let `accept` look at it (it raises to refuse), then put it in place.

    A folder, or an archive (where `archived` says nothing: if `target` ends in .zip or .huref). StorageError on a full
    or read-only disk.
    """
    if archived is None:
        archived = target.suffix in ZIP_SUFFIXES
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as scratch:
            fresh = Path(scratch, "bundle" + target.suffix)
            if archived:
                with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
                    for name, data in files.items():
                        entry = zipfile.ZipInfo(name, _ZIP_DATE)
                        entry.compress_type = zipfile.ZIP_DEFLATED
                        entry.external_attr = 0o644 << 16
                        archive.writestr(entry, data)
            else:
                fresh.mkdir()
                for name, data in files.items():
                    (fresh / name).write_bytes(data)
            accept(fresh)
            if target.is_dir():
                shutil.rmtree(target)
            fresh.replace(target)
    except OSError as error:
        raise storage_error(target, error) from None
