"""Progress on stderr: bars with time left on a terminal, plain lines elsewhere, nothing when silent."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from circuits.digests import write_atomically
from circuits.keys import cache_folder

_FIRST_GUESS_S = {"prove encoder": 20.0, "prove link": 14.0}
_TICK_S = 0.25


class Progress:
    """Steps of one run. ezkl says nothing while it proves, so time left comes from how long the step took last time."""

    def __init__(self, console: Console | None) -> None:
        self._console = console
        self._record = cache_folder() / "timings.json"

    @classmethod
    def silent(cls) -> Progress:
        """Says nothing."""
        return cls(None)

    @classmethod
    def on_stderr(cls) -> Progress:
        """Bars where stderr is a terminal, lines elsewhere."""
        return cls(Console(file=sys.stderr, highlight=False, soft_wrap=True))

    def notice(self, text: str) -> None:
        """One line that the user should see."""
        if self._console is not None:
            self._console.print(text, markup=False)

    @contextmanager
    def counted(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A step of `total` equal units; the block gets a function that says how many more are done."""
        with self._bar() as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.update(task, advance=n)
        self._done(what, bar.tasks[0].finished_time or 0.0)

    @contextmanager
    def timed(self, what: str, size: str = "") -> Iterator[None]:
        """A step that reports nothing of itself; how long it took is remembered by step and `size`."""
        key = f"{what} {size}".strip()
        expected = self._timings().get(key, _FIRST_GUESS_S.get(what, 10.0))
        start = time.monotonic()
        with self._bar() as bar:
            task = bar.add_task(what, total=expected)
            stop = _ticker(lambda: bar.update(task, completed=min(time.monotonic() - start, 0.99 * expected)))
            try:
                yield
            finally:
                stop()
            bar.update(task, completed=expected)
        elapsed = time.monotonic() - start
        write_atomically(self._record, json.dumps({**self._timings(), key: round(elapsed, 2)}).encode())
        self._done(what, elapsed)

    def _bar(self) -> RichProgress:
        return RichProgress(
            TextColumn("{task.description:<20}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console or Console(file=io.StringIO()),
            transient=True,
            disable=self._console is None or not self._console.is_terminal,
        )

    def _done(self, what: str, seconds: float) -> None:
        self.notice(f"{what:<20} {seconds:6.1f} s")

    def _timings(self) -> dict[str, float]:
        try:
            return dict(json.loads(Path(self._record).read_text()))
        except (OSError, ValueError):
            return {}


def _ticker(action: Callable[[], None]) -> Callable[[], None]:
    stopped = threading.Event()

    def loop() -> None:
        while not stopped.wait(_TICK_S):
            action()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()

    def stop() -> None:
        stopped.set()
        thread.join()

    return stop
