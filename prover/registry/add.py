"""Adding a bundle: a copy is verified by `huref-verify`, then placed and appended to the log."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from circuits.digests import write_atomically
from circuits.errors import RegistryError
from prover.fingerprint.own_verifier import verifier_command
from prover.registry import merkle
from prover.registry.entry import HINT, Entry, parse_line
from prover.registry.files import read_bundle_files
from prover.registry.index import Index
from prover.registry.store import Head, Registry, read_head
from prover.release.signing import FILES, bundle_digest

VERIFY_TIME_LIMIT_S = 400  # the verifier's own is 300


@dataclass(frozen=True)
class Added:
    """Where a bundle lies in the log; `new` unless it was there before."""

    number: int
    bundle: str
    new: bool
    head: Head


def accepted_report(path: Path, allow_dev_srs: bool) -> dict[str, Any]:
    """What `huref-verify --json` says about a bundle that it accepts.

    Raises:
        RegistryError: it does not accept it, or did not end.
    """
    command = verifier_command(["--allow-dev-srs"] * allow_dev_srs + ["--json", "--", str(path)])
    try:
        done = subprocess.run(command, capture_output=True, timeout=VERIFY_TIME_LIMIT_S, check=False)
        report = json.loads(done.stdout)
        accepted = done.returncode == 0 and report["verdict"] == "accepted"
        line, hint = report["verdict_line"], report["hint"] or ""
    except subprocess.TimeoutExpired:
        raise RegistryError(f"{path}: huref-verify ran past {VERIFY_TIME_LIMIT_S} s", step="verify") from None
    except (ValueError, KeyError, TypeError):
        words = done.stderr.decode("utf-8", "replace").strip()[-300:]
        raise RegistryError(f"{path}: huref-verify gave no report: {words}", step="verify") from None
    if not accepted:
        raise RegistryError(f"{path}: {line}", step="verify", hint=hint)
    if report.get("fingerprint") is None:
        raise RegistryError(f"{path}: huref-verify gave no fingerprint", step="verify", hint="upgrade huref-zk")
    return dict(report)


def add_bundle(registry: Registry, path: Path, allow_dev_srs: bool) -> Added:
    """Verify a copy of the bundle at `path`, and publish it. A bundle that is there already is left as it is.

    Raises:
        RegistryError: not accepted, or the log is damaged.
        StorageError: the folder cannot be written.
    """
    files = read_bundle_files(path)
    with registry.incoming(files) as copy:
        try:
            report = accepted_report(copy, allow_dev_srs)
        except RegistryError as error:
            message = error.message.replace(str(copy), str(path))
            raise RegistryError(message, step=error.step, hint=error.hint) from None
        return publish(registry, copy, files, report)


def publish(registry: Registry, copy: Path, files: Mapping[str, bytes], report: Mapping[str, Any]) -> Added:
    """Place the accepted copy and append its entry, under the registry's lock.

    Args:
        registry: where to.
        copy: a folder of `registry.incoming` that holds `files`.
        files: name -> bytes.
        report: `huref-verify --json` about that copy.
    """
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    if any(report["files"].get(name) != digests[name] for name in FILES):
        raise RegistryError(f"{copy}: huref-verify looked at other files", step="verify")
    digest = bundle_digest(files)
    with registry.lock():
        registry.drop_torn_line()
        leaves, there = _read_log(registry, digest)
        before = Head(len(leaves), registry.log_bytes(), merkle.root(leaves).hex())
        _check_head(registry, leaves)
        if there is not None:
            _write_head(registry, before)
            return Added(there, digest, False, before)
        said = report["fingerprint"]
        entry = Entry(
            number=before.entries,
            added=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            bundle=digest,
            files=digests,
            commitment=report["commitment"],
            profile=report["profile"],
            development_srs=report["development_srs"],
            metadata=report["metadata_unverified"],
            fingerprint={key: said[key] for key in ("z", "encoder", "head", "projection", "quantization", "tokens")},
        )
        line = entry.line()
        parse_line(line, entry.number)  # what no reader would take must not get in
        root = merkle.root([*leaves, merkle.leaf_hash(line)]).hex()
        registry.place(copy, digest)
        registry.append(line)
        head = Head(before.entries + 1, before.log_bytes + len(line) + 1, root)
        _write_head(registry, head)
        try:
            with Index.current(registry):
                pass
        except (sqlite3.DatabaseError, RegistryError):  # damaged: the next reader makes it anew
            registry.index_file.unlink(missing_ok=True)
    return Added(entry.number, digest, True, head)


def _read_log(registry: Registry, digest: str) -> tuple[list[bytes], int | None]:
    """Leaf hashes of the log as it lies there, and the entry of that bundle, if there is one."""
    leaves, there = [], None
    named = f'"bundle":"{digest}"'.encode()  # never inside a string, where quotes are escaped
    for number, (_, line) in enumerate(registry.lines()):
        leaves.append(merkle.leaf_hash(line))
        if named in line:
            there = number
    return leaves, there


def _write_head(registry: Registry, head: Head) -> None:
    with contextlib.suppress(RegistryError):
        if read_head(registry.head_file) == head:
            return
    write_atomically(registry.head_file, head.document())


def _check_head(registry: Registry, leaves: list[bytes]) -> None:
    """The log must begin with what head.json says: one that was killed between the two writes is longer by an entry.

    Raises:
        RegistryError: it does not.
    """
    if not registry.head_file.exists():
        if len(leaves) > 1:
            raise RegistryError(f"{registry.head_file}: missing", step="head", hint=HINT)
        return
    written = read_head(registry.head_file)
    if written.entries > len(leaves) or merkle.root(leaves[: written.entries]).hex() != written.root:
        raise RegistryError(f"{registry.log}: does not begin with the entries of head.json", step="log", hint=HINT)
