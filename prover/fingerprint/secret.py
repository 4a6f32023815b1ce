"""The secret file: the salt seed, bound to one set of weights. Never written beside a bundle.

Two sets of weights under one seed would be no leak with this project's salts (each has its row's hash in it), but a
seed that serves two models cannot be handed over for one of them; so the tool refuses it.
"""

from __future__ import annotations

import json
import secrets as entropy
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from circuits.digests import write_atomically
from circuits.errors import BundleError, UsageError
from prover.formats.canonical_json import canonical

SECRET_TYPE = "application/vnd.huref-zk.secret+json;version=1"  # noqa: S105 - a media type
SEED_BYTES = 32
MAX_SECRET_BYTES = 4096


@dataclass(frozen=True)
class Secret:
    """A salt seed and the SHA-256 of the quantized matrices it belongs to."""

    seed: bytes
    weights_sha256: bytes
    cm: str = ""


def default_path(weights_sha256: bytes, profile_name: str) -> Path:
    """`<user data>/huref-zk/secrets/<first 16 hex digits of the weights' digest>-<profile>.json`.

    One for each profile: the same weights have another cm under another, and the file names the cm that it opens.
    """
    folder = Path(platformdirs.user_data_dir("huref-zk")) / "secrets"
    return folder / f"{weights_sha256.hex()[:16]}-{profile_name}.json"


def load_or_create(path: Path, bundle: Path, weights_sha256: bytes) -> Secret:
    """The seed kept at `path` for these weights; a new one, mode 0600, when there is none.

    Raises UsageError when `path` lies in or beside the bundle, BundleError when it belongs to other weights.
    """
    refuse_beside(path, bundle)
    if path.exists():
        secret = read(path)
        if secret.weights_sha256 != weights_sha256:
            raise BundleError(
                f"{path}: field weights_sha256 names other weights ({secret.weights_sha256.hex()[:16]}...)",
                step="secret",
                hint="one seed for each set of weights: give --secret another path",
            )
        return secret
    secret = Secret(entropy.token_bytes(SEED_BYTES), weights_sha256)
    write(path, secret)
    return secret


def refuse_beside(path: Path, written: Path) -> None:
    """UsageError when the secret at `path` lies in or beside what is written to be handed on."""
    real, target = path.resolve(), written.resolve()  # no way around by links or "..": --force wipes a folder
    if real.parent == target.parent or target in real.parents:
        raise UsageError(
            f"{path}: the secret would lie beside the bundle {written}",
            step="secret",
            hint="choose another folder: whoever has the secret can test guesses of the weights against the commitment",
        )


def read(path: Path) -> Secret:
    """Parse a secret file; BundleError names the field that is wrong."""
    try:
        data = path.read_bytes()
        if len(data) > MAX_SECRET_BYTES:
            raise BundleError(f"{path}: {len(data)} bytes is too long for a secret", step="secret")
        document = json.loads(data)
        if document["type"] != SECRET_TYPE:
            raise BundleError(f"{path}: field type is {document['type']!r}", step="secret", hint="upgrade huref-zk")
        seed, digest = bytes.fromhex(document["seed"]), bytes.fromhex(document["weights_sha256"])
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}", step="secret") from None
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(f"{path}: not a secret file ({error})", step="secret") from None
    if len(seed) != SEED_BYTES or len(digest) != 32:
        raise BundleError(f"{path}: fields seed and weights_sha256 must be 32 bytes each", step="secret")
    return Secret(seed, digest, str(document.get("cm", "")))


def write(path: Path, secret: Secret) -> None:
    """Write the secret with mode 0600, its folder with 0700 if it is new."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o700)
    document = {
        "type": SECRET_TYPE,
        "seed": secret.seed.hex(),
        "weights_sha256": secret.weights_sha256.hex(),
        "cm": secret.cm,
    }
    write_atomically(path, canonical(document), mode=0o600)
