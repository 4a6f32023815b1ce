"""The SQLite index: made from the log, for listing and searching. Never evidence: `audit.py` compares it."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from circuits.errors import RegistryError
from prover.registry import merkle
from prover.registry.entry import Z_LENGTH, Entry, parse_line
from prover.registry.store import Head, Registry

VERSION = 1  # also in _SCHEMA
_SCHEMA = """
CREATE TABLE state(version INTEGER NOT NULL, log_bytes INTEGER NOT NULL, entries INTEGER NOT NULL);
INSERT INTO state VALUES (1, 0, 0);
CREATE TABLE frames(id INTEGER PRIMARY KEY, frame TEXT NOT NULL UNIQUE);
CREATE TABLE entries(number INTEGER PRIMARY KEY, place INTEGER NOT NULL, leaf BLOB NOT NULL,
  bundle TEXT NOT NULL UNIQUE, commitment TEXT NOT NULL, added TEXT NOT NULL, profile TEXT NOT NULL,
  development_srs INTEGER NOT NULL, name TEXT NOT NULL, model_version TEXT NOT NULL, maker TEXT NOT NULL,
  frame INTEGER NOT NULL);
CREATE INDEX commitments ON entries(commitment);
CREATE TABLE vectors(number INTEGER PRIMARY KEY, frame INTEGER NOT NULL, z BLOB NOT NULL);
"""
_COLUMNS = "number, bundle, commitment, added, profile, name, model_version, maker, development_srs"


@dataclass(frozen=True)
class Listed:
    """An entry as the index has it."""

    number: int
    bundle: str
    commitment: str
    added: str
    profile: str
    name: str
    model_version: str
    maker: str
    development_srs: bool


class Index:
    """An index that is as long as the log was when it was opened."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    @contextlib.contextmanager
    def current(cls, registry: Registry) -> Iterator[Index]:
        """The registry's index, brought up to the log; made anew where it is missing or damaged.

        The caller holds the registry's lock, or uses `reading`.

        Raises:
            RegistryError: a line of the log is not an entry.
        """
        try:
            index = cls._opened(registry.index_file)
        except (sqlite3.DatabaseError, _OutdatedError):
            for suffix in ("", "-journal", "-wal", "-shm"):
                registry.index_file.with_name(registry.index_file.name + suffix).unlink(missing_ok=True)
            index = cls._opened(registry.index_file)
        try:
            if index.state()[0] > registry.log_bytes():  # the log was cut, or is another one
                index._clear()
            index.catch_up(registry)
            yield index
        finally:
            index.close()

    @classmethod
    @contextlib.contextmanager
    def reading(cls, registry: Registry) -> Iterator[Index]:
        """As `current`, from outside: waits for the lock. Where the folder cannot be written, nothing is."""
        try:
            if registry.writable:
                with registry.lock(), cls.current(registry) as index:
                    yield index
            else:
                with contextlib.closing(cls._without_writing(registry)) as index:
                    yield index
        except sqlite3.DatabaseError as error:
            hint = "delete it: it is made anew from the log"
            raise RegistryError(f"{registry.index_file}: {error}", step="index", hint=hint) from None

    @classmethod
    def _without_writing(cls, registry: Registry) -> Index:
        with contextlib.suppress(RegistryError):
            index = cls.as_it_lies(registry)
            if index.state()[0] == registry.log_bytes():
                return index
            index.close()
        return cls.in_memory(registry)

    @classmethod
    def in_memory(cls, registry: Registry) -> Index:
        """A fresh index, from the log alone."""
        connection = sqlite3.connect(":memory:")
        connection.executescript(_SCHEMA)
        index = cls(connection)
        index.catch_up(registry)
        return index

    @classmethod
    def as_it_lies(cls, registry: Registry) -> Index:
        """The index as it is, not brought up to anything.

        Raises:
            RegistryError: missing, damaged, or of another version.
        """
        mode = "rw" if registry.writable else "ro"
        try:
            return cls._opened(f"{registry.index_file.absolute().as_uri()}?mode={mode}")
        except (sqlite3.DatabaseError, _OutdatedError) as error:
            what = str(error) or "of another version"
            raise RegistryError(f"{registry.index_file}: {what}", step="index") from None

    @classmethod
    def _opened(cls, path: Path | str) -> Index:
        connection = sqlite3.connect(path, uri=isinstance(path, str))
        try:
            (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not tables:
                connection.execute("PRAGMA page_size = 32768")  # a z has 2 kB
                connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
            if _schema_of(connection) != _schema():  # nor triggers and views that somebody else put there
                raise _OutdatedError
            if connection.execute("SELECT version FROM state").fetchone() != (VERSION,):
                raise _OutdatedError
        except BaseException:
            connection.close()
            raise
        return cls(connection)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _clear(self) -> None:
        with self._connection:
            for table in ("frames", "entries", "vectors"):
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - three names written here
            self._connection.execute("UPDATE state SET log_bytes = 0, entries = 0")

    def state(self) -> tuple[int, int]:
        """Bytes of the log that were read, and entries found in them."""
        log_bytes, entries = self._connection.execute("SELECT log_bytes, entries FROM state").fetchone()
        return int(log_bytes), int(entries)

    def catch_up(self, registry: Registry) -> None:
        """Read the lines that are new, in one transaction."""
        start, number = self.state()
        end = start
        with self._connection:
            for place, line in registry.lines(start):
                self._insert(parse_line(line, number), place, merkle.leaf_hash(line))
                number, end = number + 1, place + len(line) + 1
            self._connection.execute("UPDATE state SET log_bytes = ?, entries = ?", (end, number))

    def _insert(self, entry: Entry, place: int, leaf: bytes) -> None:
        run = self._connection.execute
        run("INSERT OR IGNORE INTO frames(frame) VALUES (?)", (entry.frame(),))
        (frame,) = run("SELECT id FROM frames WHERE frame = ?", (entry.frame(),)).fetchone()
        told = (entry.metadata["name"], entry.metadata["version"], entry.metadata["maker"])
        facts = (entry.bundle, entry.commitment, entry.added, entry.profile, entry.development_srs)
        try:
            run(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (entry.number, place, leaf, *facts, *told, frame),
            )
        except sqlite3.IntegrityError:
            raise RegistryError(
                f"log.jsonl, line {entry.number + 1}: a bundle that is in the log already", step="log"
            ) from None
        run("INSERT INTO vectors VALUES (?, ?, ?)", (entry.number, frame, entry.z().tobytes()))

    # ---------------------------------------- asking

    def leaves(self) -> list[bytes]:
        """Leaf hashes, in the log's order."""
        return [leaf for (leaf,) in self._connection.execute("SELECT leaf FROM entries ORDER BY number")]

    def head(self) -> Head:
        """The log's head as this index has it."""
        log_bytes, entries = self.state()
        return Head(entries, log_bytes, merkle.root(self.leaves()).hex())

    def all(self) -> list[Listed]:
        """Every entry, in the log's order."""
        return self._listed("ORDER BY number")

    def numbered(self, numbers: list[int]) -> list[Listed]:
        """These entries, in that order."""
        found = [one for number in numbers for one in self._listed("WHERE number = ?", number)]
        if len(found) != len(numbers):
            raise RegistryError("index.sqlite: damaged", step="index", hint="delete it: it is made anew from the log")
        return found

    def place_of(self, number: int) -> int:
        """Where an entry's line begins in the log."""
        (place,) = self._connection.execute("SELECT place FROM entries WHERE number = ?", (number,)).fetchone()
        return int(place)

    def frames(self) -> list[str]:
        """Every frame that some entry has."""
        return [frame for (frame,) in self._connection.execute("SELECT frame FROM frames ORDER BY id")]

    def vectors(self, frame: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Numbers [n] and unit z [n,512] of the entries in that frame."""
        found = self._connection.execute("SELECT id FROM frames WHERE frame = ?", (frame,)).fetchone()
        rows = self._connection.execute(
            "SELECT number, z FROM vectors WHERE frame = ?", found if found is not None else (-1,)
        ).fetchall()
        z = np.frombuffer(b"".join(z for _, z in rows), np.float32).reshape(-1, Z_LENGTH)
        return np.array([number for number, _ in rows], np.int64), z

    def counts(self) -> tuple[int, int]:
        """Rows of `entries` and of `vectors`."""
        rows = self._connection.execute("SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM vectors)")
        entries, vectors = rows.fetchone()
        return int(entries), int(vectors)

    def dump(self) -> Iterator[tuple[object, ...]]:
        """Everything but `state`, in the log's order, for comparing two indexes."""
        yield from self._connection.execute(
            f"SELECT {_COLUMNS}, place, leaf, frames.frame, vectors.z FROM entries "  # noqa: S608 - constant columns
            "LEFT JOIN vectors USING (number) LEFT JOIN frames ON entries.frame = frames.id "
            "AND vectors.frame = frames.id ORDER BY number"
        )

    def _listed(self, rest: str, *values: object) -> list[Listed]:
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM entries {rest}", values)  # noqa: S608 - constant text
        return [
            Listed(number, bundle, cm, added, profile, name, version, maker, bool(srs))
            for number, bundle, cm, added, profile, name, version, maker, srs in rows
        ]


def _schema_of(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name").fetchall()


@functools.cache
def _schema() -> list[tuple[str, str]]:
    with contextlib.closing(sqlite3.connect(":memory:")) as fresh:
        fresh.executescript(_SCHEMA)
        return _schema_of(fresh)


class _OutdatedError(Exception):
    """The index is of another version of this program."""
