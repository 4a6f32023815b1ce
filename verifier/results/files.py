"""Results are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import click

from verifier.results.printing import say
from verifier.results.verdict import EXIT_USAGE


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in place of `path` by one rename: a reader sees the old file or the new one.

    A device or a pipe is written to instead: a rename would put a file in its place, for everybody. A link stays one.

    Raises:
        OSError: it could not be written; a file `path` is as it was.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as stream:
            stream.write(data)
        return
    path = Path(os.path.realpath(path))  # Path.resolve ends in a RuntimeError at a link to itself
    part = path.with_name(f".{path.name[:50]}.{os.getpid()}.part")  # 50 characters have 200 bytes at most
    stream = part.open("xb")
    with contextlib.ExitStack() as undo:
        undo.callback(part.unlink, missing_ok=True)
        with stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
        undo.pop_all()


def is_folder(path: Path) -> bool:
    """`Path.is_dir`, but false too where asking fails: a name that is too long, a folder that must not be entered."""
    try:
        return path.is_dir()
    except OSError:
        return False


def check_target(option: str, path: Path | None) -> None:
    """Whether there is a folder for a result, if one is wanted: asked before the work, not after it.

    Raises:
        click.UsageError: there is none.
    """
    if path is not None and not is_folder(path.parent):
        raise click.UsageError(f"{option}: there is no folder {click.format_filename(path.parent)}")


def write_result(path: Path | None, make: Callable[[], bytes]) -> int:
    """Write what a command was asked for, if it was; 0, or the exit code when that fails, which is said."""
    if path is None:
        return 0
    try:
        write_atomically(path, make())
    except OSError as error:
        say(f"{click.format_filename(path)}: {error.strerror}", err=True)
        return EXIT_USAGE
    return 0
