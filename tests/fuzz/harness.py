"""Judges inputs: accepted, refused by a typed error, or a finding. Knows no engine."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.mutators import Dice
from verifier.formats.errors import VerifierError

MAX_MESSAGE_CHARACTERS = 1000  # of an error: what a hostile file can make a log grow by
MAX_FINDINGS = 20


@dataclass(frozen=True)
class Target:
    """A parser under test.

    `run` gives the outcome's name, raises VerifierError, or anything else: a finding. `change` makes an input of
    another one. `share`: of a run's inputs.
    """

    name: str
    what: str
    run: Callable[[bytes], str]
    seeds: Callable[[], Iterable[bytes]]
    change: Callable[[Dice, bytes], bytes]
    share: int
    max_bytes: int = 4096


@dataclass
class Harness:
    """Counts what a target did; `note` is told each input before it is tried."""

    target: Target
    note: Callable[[bytes], None] = lambda _data: None
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    slowest: dict[str, Any] = field(default_factory=lambda: {"ms": 0.0})

    def one(self, data: bytes) -> None:
        """Try an input."""
        self.note(data)
        self.inputs += 1
        start = time.thread_time()
        try:
            outcome = self.target.run(data)
        except VerifierError as error:
            outcome = f"{type(error).__name__}: {error.code}"
            if len(error.message) > MAX_MESSAGE_CHARACTERS:
                self._found("a long message", data, outcome)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a library's panic is no Exception
            last = traceback.extract_tb(error.__traceback__)[-1]
            outcome = "finding"
            self._found(f"{type(error).__name__} in {last.name}", data, str(error)[:200])
        took = (time.thread_time() - start) * 1e3
        self.outcomes[outcome] += 1
        if took > self.slowest["ms"]:
            self.slowest = {"ms": round(took, 3), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def _found(self, kind: str, data: bytes, words: str) -> None:
        known = self.findings.get(kind)
        smaller = known is None or len(data) < known["bytes"]
        if smaller and (known is not None or len(self.findings) < MAX_FINDINGS):
            self.findings[kind] = {"kind": kind, "words": words, "bytes": len(data), "input": data.hex()[:20_000]}

    def summary(self) -> dict[str, Any]:
        """For the record."""
        return {
            "inputs": self.inputs,
            "slowest": self.slowest,
            "outcomes": dict(self.outcomes.most_common()),
            "findings": list(self.findings.values()),
        }
