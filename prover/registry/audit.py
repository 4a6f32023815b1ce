"""Finding what was changed: log, head, bundles and index against each other, and against a head known from before."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from circuits.errors import RegistryError
from prover.registry import merkle
from prover.registry.add import accepted_report
from prover.registry.entry import Entry, parse_line
from prover.registry.files import read_bundle_files
from prover.registry.index import Index
from prover.registry.store import Head, Registry, read_head
from prover.release.signing import bundle_digest


@dataclass(frozen=True)
class Audit:
    """What was found.

    Args:
        head: of the log as it lies there.
        findings: what is wrong, in words; none: nothing was changed.
        notes: what killed commands left, harmless.
    """

    head: Head
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def audit(
    registry: Registry,
    since: Head | None = None,
    again: bool = False,
    on_bundle: Callable[[], None] = lambda: None,
) -> Audit:
    """Compare everything with everything. Call it where the registry is quiet.

    Args:
        registry: what to look at.
        since: a head known from elsewhere: the log must begin with it. Without one, somebody who rewrote log, head and
            bundles together is not found.
        again: also run `huref-verify` on every bundle, and compare its fingerprint with the log's.
        on_bundle: called after each bundle.
    """
    findings: list[str] = []
    notes: list[str] = []
    entries: list[Entry] = []
    leaves: list[bytes] = []
    end = 0
    try:
        for place, line in registry.lines():
            entries.append(parse_line(line, len(entries)))
            leaves.append(merkle.leaf_hash(line))
            end = place + len(line) + 1
        if registry.log.exists() and registry.log.stat().st_size > end:
            notes.append("log.jsonl: a killed add left part of a line; the next add drops it")
    except RegistryError as error:
        findings.append(error.message)
    head = Head(len(leaves), end, merkle.root(leaves).hex())
    findings += _head_findings(registry, leaves, end, notes)
    if since is not None and (since.entries > len(leaves) or merkle.root(leaves[: since.entries]).hex() != since.root):
        findings.append(f"log.jsonl: does not begin with the {since.entries} entries of the head given")
    if not findings:  # after a change of the log, what follows says nothing
        for entry in entries:
            findings += _bundle_findings(registry, entry, again)
            on_bundle()
        notes += _strangers(registry, entries)
        findings += _index_findings(registry, notes)
    return Audit(head, tuple(findings), tuple(notes))


def _head_findings(registry: Registry, leaves: list[bytes], end: int, notes: list[str]) -> list[str]:
    if not registry.head_file.exists() and len(leaves) <= 1:
        return []
    try:
        written = read_head(registry.head_file)
    except RegistryError as error:
        return [error.message]
    if written.entries > len(leaves) or merkle.root(leaves[: written.entries]).hex() != written.root:
        return [f"log.jsonl: does not begin with the {written.entries} entries of head.json"]
    if (written.entries == len(leaves)) != (written.log_bytes == end):
        return ["head.json: another length of the log than its entries have"]
    if written.entries < len(leaves):
        notes.append("head.json: a killed add left it behind the log; the next add writes it")
    return []


def _bundle_findings(registry: Registry, entry: Entry, again: bool) -> Iterator[str]:
    folder = registry.bundles / entry.bundle
    name = f"entry {entry.number}, bundles/{entry.bundle}"
    try:
        files = read_bundle_files(folder)
    except RegistryError as error:
        yield f"{name}: {error.message}"
        return
    if set(files) != set(entry.files):
        yield f"{name}: a signature came or went"
    for file, data in files.items():
        if file in entry.files and hashlib.sha256(data).hexdigest() != entry.files[file]:
            yield f"{name}: {file} is not the file of the log"
    if bundle_digest(files) != entry.bundle:
        yield f"{name}: not the bundle of that digest"
    elif again:
        try:
            report = accepted_report(folder, entry.development_srs)
        except RegistryError as error:
            yield f"{name}: {error.message}"
            return
        said = {key: report["fingerprint"].get(key) for key in entry.fingerprint}
        if (said, report["commitment"], report["metadata_unverified"], report["profile"]) != (
            entry.fingerprint, entry.commitment, entry.metadata, entry.profile,
        ):  # fmt: skip
            yield f"{name}: huref-verify says something else than the log"


def _strangers(registry: Registry, entries: list[Entry]) -> Iterator[str]:
    known = {entry.bundle for entry in entries}
    for path in sorted(registry.bundles.iterdir()):
        if path.name not in known:
            yield f"bundles/{ascii(path.name)[1:65]}: in no entry; a killed add may have left it"


def _index_findings(registry: Registry, notes: list[str]) -> list[str]:
    if not registry.index_file.exists():
        notes.append("index.sqlite: missing; it is made anew from the log when it is needed")
        return []
    with contextlib.closing(Index.in_memory(registry)) as fresh:
        try:
            with contextlib.closing(Index.as_it_lies(registry)) as index:
                (log_bytes, entries), found, counts = index.state(), list(index.dump()), index.counts()
        except (sqlite3.DatabaseError, RegistryError) as error:
            return [f"index.sqlite: not readable ({error}); delete it, and it is made anew from the log"]
        expected = list(fresh.dump())
        ends = [place for *_, place, _leaf, _frame, _z in expected] + [fresh.state()[0]]
    if entries < len(expected):
        notes.append("index.sqlite: behind the log; it catches up when it is needed")
    if entries > len(expected) or (found, counts, log_bytes) != (expected[:entries], (entries, entries), ends[entries]):
        return ["index.sqlite: not what the log gives; delete it, and it is made anew"]
    return []
