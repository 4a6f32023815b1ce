"""Who commits to rows: processes of this machine, or a dask.distributed cluster. Same work, same points.

A piece of work holds rows and their salts, never the seed; its answer is public. Pieces are made as they are needed, so
that at most a few per worker are in memory.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from circuits.errors import CircuitError, UsageError
from circuits.row_work import Answer, PackedWork, RowWork

CONNECT_TIME_LIMIT_S = 30
ANSWER_TIME_LIMIT_S = 1800.0  # without any piece done: no worker is left, or none gets the program to run
RETRIES = 3  # of a piece whose worker died


@dataclass(frozen=True)
class Work:
    """Rows int8 [n, width] and salts uint8 [n, 512], to be multiplied with `bases`; `key` comes back with it."""

    key: int
    bases: RowWork
    rows: npt.NDArray[np.int8]
    salts: npt.NDArray[np.uint8]


class Pool(Protocol):
    """Somebody who commits."""

    def commit(self, pieces: Iterable[Work]) -> Iterator[tuple[int, Answer]]:
        """(key, answer) of every piece, in the order in which they get done. Raises CircuitError."""


class Processes:
    """`jobs` pieces at a time on this machine: a thread each in a native kernel, or else an ezkl process each."""

    def __init__(self, jobs: int | None = None) -> None:
        """`jobs`: by default as many as there are cores. UsageError below 1."""
        self.jobs = jobs if jobs is not None else os.cpu_count() or 1
        if self.jobs < 1:
            raise UsageError(f"--jobs {self.jobs}: at least 1", step="commit to rows")

    def commit(self, pieces: Iterable[Work]) -> Iterator[tuple[int, Answer]]:
        """See `Pool`."""
        executor = ThreadPoolExecutor(self.jobs)  # each thread is in the kernel, or waits for its child process

        def submit(piece: Work) -> Future[Answer]:
            return executor.submit(piece.bases.commit, piece.rows, piece.salts)

        try:
            yield from _as_done(pieces, submit, lambda: self.jobs + 1)
        finally:
            executor.shutdown(wait=True, cancel_futures=True)


class DaskCluster:
    """Workers of an existing dask.distributed cluster, each with huref-zk[prover,dask] of this version installed."""

    def __init__(self, address: str) -> None:
        """`address`: the scheduler's, tcp://host:port. UsageError when it cannot be reached or dask is missing."""
        try:
            self._dask: Any = importlib.import_module("distributed")  # untyped, and an extra
        except ImportError:
            raise UsageError(
                "--dask: dask.distributed is not installed",
                step="commit to rows",
                hint="pip install 'huref-zk[prover,dask]', here and on the workers",
            ) from None
        try:
            self._client = self._dask.Client(address, timeout=CONNECT_TIME_LIMIT_S, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--dask {address}: no scheduler answers ({error})",
                step="commit to rows",
                hint="start one with: dask scheduler; workers with: dask worker tcp://HOST:8786",
            ) from None

    def commit(self, pieces: Iterable[Work]) -> Iterator[tuple[int, Answer]]:
        """See `Pool`. A piece travels whole, so that another worker does it when the one that had it dies."""
        executor = self._client.get_executor(pure=False, retries=RETRIES)
        packed: dict[int, PackedWork] = {}

        def submit(piece: Work) -> Future[Answer]:
            if piece.bases.width not in packed:
                packed[piece.bases.width] = piece.bases.packed()
            # copies: what is mapped from a file here does not travel
            rows, salts = np.array(piece.rows), np.array(piece.salts)
            future: Future[Answer] = executor.submit(packed[piece.bases.width].commit, rows, salts)
            return future

        try:
            yield from _as_done(pieces, submit, self._slots, ANSWER_TIME_LIMIT_S)
        except (self._dask.KilledWorker, CancelledError, OSError) as error:
            raise CircuitError(
                f"the dask cluster failed: {error}",
                step="commit to rows",
                hint="what is done is kept: see to the workers, then run again",
            ) from None
        finally:
            executor.shutdown(wait=False)
            self._client.close()

    def _slots(self) -> int:
        """Pieces under way: two for each thread of the cluster, so that none waits for the next."""
        threads: dict[str, int] = self._client.nthreads()
        return 2 * max(1, sum(threads.values()))


def _as_done(
    pieces: Iterable[Work],
    submit: Callable[[Work], Future[Answer]],
    slots: Callable[[], int],
    limit_s: float | None = None,
) -> Iterator[tuple[int, Answer]]:
    """Keep as many pieces under way as there are slots; CircuitError when none gets done in `limit_s`."""
    waiting = iter(pieces)
    running: dict[Future[Answer], int] = {}
    while True:
        for piece in islice(waiting, max(0, slots() - len(running))):
            running[submit(piece)] = piece.key
        if not running:
            return
        done, _ = wait(running, timeout=limit_s, return_when=FIRST_COMPLETED)
        if not done:
            raise CircuitError(
                f"no worker finished anything in {limit_s:.0f} s",
                step="commit to rows",
                hint="what is done is kept: see to the workers, then run again",
            )
        for future in done:
            yield running.pop(future), future.result()
