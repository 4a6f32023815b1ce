"""Structured reference strings: the public ceremony's files, by digest, and insecure ones for development.

Source: docs/protocol.md, section 8; the digest table in `circuits/data/srs_sha256.json` names its own source.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from circuits import ezkl_worker
from circuits.curve_files import (
    MAX_K,
    CurveFile,
    from_file_form,
    read_curve_file,
    to_file_form,
    write_bases,
)
from circuits.digests import sha256_file, write_atomically
from circuits.errors import CircuitError, SrsError
from circuits.size_classes import FIELD_MODULUS

DIGESTS = Path(__file__).parent / "data" / "srs_sha256.json"
FETCH_TIME_LIMIT_S = 1800.0
GENERATE_TIME_LIMIT_S = 600.0
_GENERATOR = (1).to_bytes(32, "big") + (2).to_bytes(32, "big")


def ceremony_digest(k: int) -> str:
    """The project's own record of the SHA-256 of the public ceremony's file for 2^k rows."""
    table = json.loads(DIGESTS.read_text())["sha256"]
    if str(k) not in table:
        raise SrsError(f"no ceremony file for k={k}", step="srs", hint=f"k is 1 to {MAX_K}")
    return str(table[str(k)])


def ezkl_download(path: Path, k: int) -> None:
    """The network edge: ezkl downloads the ceremony's file. Tests put a local double here."""
    try:
        ezkl_worker.call("get_srs", time_limit_s=FETCH_TIME_LIMIT_S, out=path, k=k)
    except CircuitError as error:
        raise SrsError(
            f"the ceremony's file for k={k} could not be downloaded: {error.message}",
            step="srs",
            hint="check the network; or download it elsewhere and use huref srs check",
        ) from None


def fetch(folder: Path, k: int, download: Callable[[Path, int], None] = ezkl_download) -> Path:
    """Put the ceremony's file for `k` into `folder` as `k<k>.srs`, if it is not there already.

    The file is checked against the project's digest before it gets its name; on a mismatch SrsError, nothing is left.
    """
    target = folder / f"k{k}.srs"
    expected = ceremony_digest(k)
    if target.exists():
        check(target, expected)
        return target
    with tempfile.TemporaryDirectory(prefix="huref-srs-") as scratch:
        fresh = Path(scratch, "fetched.srs")
        download(fresh, k)
        check(fresh, expected)
        write_atomically(target, fresh.read_bytes())
    return target


def check(path: Path, expected: str) -> None:
    """SrsError unless `path` is an SRS file with SHA-256 `expected`."""
    read_curve_file(path)
    found = sha256_file(path)
    if found != expected:
        raise SrsError(
            f"{path}: SHA-256 is {found}, expected {expected}",
            step="srs",
            hint="whoever knows the secret of an SRS can forge: delete the file and fetch it again",
        )


def generate_development(path: Path, k: int) -> None:
    """Write an INSECURE SRS for 2^k rows: whoever runs this could keep its secret and forge any proof."""
    with tempfile.TemporaryDirectory(prefix="huref-srs-") as scratch:
        fresh = Path(scratch, "fresh.srs")
        ezkl_worker.call("gen_srs", time_limit_s=GENERATE_TIME_LIMIT_S, out=fresh, k=k)
        read_curve_file(fresh)
        write_atomically(path, fresh.read_bytes())


def truncate(srs: CurveFile, vk: Path, settings: Path, tail: int) -> CurveFile:
    """The k=1 file of the same ceremony: all that verifying a proof needs.

    Its Lagrange points are those of the domain {1, -1}: (G + tau G)/2 and (G - tau G)/2. `vk`, `settings` and `tail`
    are any circuit's; they serve only to multiply.
    """
    first, second = srs.monomial[:64], srs.monomial[64:128]
    if from_file_form(first) != _GENERATOR:
        raise SrsError("the SRS does not start with the generator", step="srs", hint="the file is damaged")
    half = pow(2, -1, FIELD_MODULUS)
    minus_half = FIELD_MODULUS - half
    messages = [
        half.to_bytes(32, "little") + half.to_bytes(32, "little"),
        half.to_bytes(32, "little") + minus_half.to_bytes(32, "little"),
    ]
    with tempfile.TemporaryDirectory(prefix="huref-srs-") as scratch:
        bases = write_bases(Path(scratch, "bases"), [first, second], srs.g2, tail, vk, settings)
        lagrange = [to_file_form(point) for point in bases.multiply(messages)]
    return CurveFile(1, first + second, b"".join(lagrange), srs.g2)
