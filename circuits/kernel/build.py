"""Builds the native library from the C files beside this one: used by `pip install` (`hatch_build.py`), and by hand.

`python -m circuits.kernel.build` builds it again, here: for an editable installation whose C files have changed.
Nothing of this project is imported: the build of a wheel loads this file alone.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBRARY_NAME = "_row_kernel.so"  # on every system: it is loaded by its path
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c11", "-O2", "-funroll-loops", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra")
EXACT = ("-ffp-contract=off",)  # no fused operations: fold.c gives the bits that numpy gives
TIME_LIMIT_S = 300.0
WORDS_KEPT = 2000  # of a compiler's own


class NotBuiltError(Exception):
    """No compiler was found, or it failed; the message says which."""


def sources() -> list[Path]:
    """The C files, in one order."""
    return sorted(HERE.glob("*.c"))


def compilers() -> Iterator[list[str]]:
    """Commands that may compile C: $CC where that is set and not empty, otherwise the usual names that PATH has."""
    chosen = shlex.split(os.environ.get("CC", ""))
    for command in [chosen] if chosen else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            yield command


def build(target: Path) -> Path:
    """Compile and link the library as the file `target`, whole or not at all; $CFLAGS go after this module's own.

    Raises NotBuiltError.
    """
    flags = [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    words = [f"CC={os.environ['CC']}: there is no such command" if os.environ.get("CC") else "no C compiler on PATH"]
    for compiler in compilers():
        try:
            return _build_with(compiler, target, flags)
        except NotBuiltError as error:
            words.append(str(error))
    raise NotBuiltError("; ".join(words[1:] or words))


def _build_with(compiler: list[str], target: Path, flags: list[str]) -> Path:
    with tempfile.TemporaryDirectory(prefix="huref-kernel-") as name:
        folder = Path(name)

        def compiled(source: Path) -> Path:
            made = folder / f"{source.stem}.o"
            _run([*compiler, *flags, *EXACT, "-c", str(source), "-o", str(made)])
            return made

        with ThreadPoolExecutor(os.cpu_count() or 1) as executor:
            objects = [str(path) for path in executor.map(compiled, sources())]
        linked = folder / LIBRARY_NAME
        _run([*compiler, "-shared", *objects, "-o", str(linked)])
        # beside the target first: another process may have the old one open
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=LIBRARY_NAME, suffix=".tmp", delete=False) as file:
            file.write(linked.read_bytes())
        placed = Path(file.name)
        placed.chmod(0o755)
        placed.replace(target)
    return target


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=TIME_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuiltError(f"{command[0]}: {error}") from None
    if done.returncode:
        raise NotBuiltError(f"{command[0]}: exit status {done.returncode}\n{done.stderr[-WORDS_KEPT:]}")


def main() -> None:
    """Entry point of `python -m circuits.kernel.build`."""
    try:
        print(build(HERE / LIBRARY_NAME))
    except NotBuiltError as error:
        sys.exit(f"not built: {error}")


if __name__ == "__main__":
    main()
