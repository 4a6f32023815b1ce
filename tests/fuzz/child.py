"""One engine on one target in this process: `python -m tests.fuzz.child TARGET ENGINE INPUTS SECONDS SEED FOLDER`.

Memory is limited to 1 GB above what the imports took, an input to 10 seconds. The result is written to FOLDER/result;
FOLDER/last holds the input under way, for when this process does not live to tell.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

INPUT_LIMIT_S = 10.0
MEMORY_LIMIT_BYTES = 1_000_000_000
LAST_BYTES = 1 << 16


class Stop(Exception):
    """Enough inputs, or enough time."""


def limit_memory() -> None:
    """1 GB of address space above what is mapped now."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY_LIMIT_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, 1)


def main(name: str, engine: str, inputs: int, seconds: float, seed: int, folder: Path) -> None:
    """Run until there are enough inputs or no time is left."""
    if engine == "atheris":
        import atheris

        with atheris.instrument_imports(include=["verifier", "zipfile"]):
            from tests.fuzz import targets
    else:
        from tests.fuzz import targets
    from tests.fuzz.harness import Harness

    target = targets.TARGETS[name]
    with (folder / "last").open("w+b") as stream:
        stream.truncate(LAST_BYTES)
        last = mmap.mmap(stream.fileno(), LAST_BYTES)

    def note(data: bytes) -> None:
        kept = data[: LAST_BYTES - 4]
        last[: 4 + len(kept)] = len(kept).to_bytes(4, "little") + kept

    harness = Harness(target, note)
    for data in target.seeds():
        harness.one(data)
    begun, before = time.monotonic(), peak_mb()
    limit_memory()

    def result() -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "target": name,
            "engine": engine,
            "seed": seed,
            **harness.summary(),
            "cpu_s": round(used.ru_utime + used.ru_stime, 1),
            "peak_mb": peak_mb(),
            "peak_before_mb": before,
        }

    def one(data: bytes) -> None:
        harness.one(data)
        if harness.inputs >= inputs or time.monotonic() - begun > seconds:
            raise Stop

    run = by_atheris if engine == "atheris" else by_hypothesis
    run(target, one, folder, seed, lambda: (folder / "result").write_text(json.dumps(result())))


def by_hypothesis(target: Any, one: Any, _folder: Path, seed: int, finish: Any) -> None:
    """Changes of the seeds, chosen by drawn values."""
    import hypothesis
    from hypothesis import strategies as st

    from tests.fuzz.strategies import changed

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=1 << 30,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.one_of(changed(target), st.binary(max_size=100)))
    def example(data: bytes) -> None:
        faulthandler.dump_traceback_later(INPUT_LIMIT_S, exit=True)
        one(data)

    with contextlib.suppress(Stop):
        example()
    finish()


def by_atheris(target: Any, one: Any, folder: Path, seed: int, finish: Any) -> None:
    """libFuzzer with coverage of the verifier and zipfile, changing by `target.change` or by its own means."""
    import atheris

    from tests.fuzz.mutators import RandomDice

    seeds = list(target.seeds())
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data)

    def try_one(data: bytes) -> None:
        try:
            one(data)
        except Stop:
            finish()
            sys.stderr.flush()
            os._exit(0)  # libFuzzer's own way out ends Python in the middle

    def change(data: bytes, max_size: int, number: int) -> bytes:
        dice = RandomDice(number)
        if dice.below(2) == 0:  # the corpus is mostly what was refused: half of the time back to what is accepted
            data = seeds[dice.below(len(seeds))]
        if dice.below(4) == 0:
            return bytes(atheris.Mutate(data, max_size))
        return target.change(dice, data)[:max_size]

    options = [f"-max_len={target.max_bytes}", f"-seed={seed}", f"-timeout={INPUT_LIMIT_S:.0f}", "-rss_limit_mb=1500"]
    atheris.Setup([sys.argv[0], str(corpus), *options, f"-artifact_prefix={folder}/"], try_one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    _, NAME, ENGINE, INPUTS, SECONDS, SEED, FOLDER = sys.argv
    main(NAME, ENGINE, int(INPUTS), float(SECONDS), int(SEED), Path(FOLDER))
