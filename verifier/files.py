"""Results are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import click


def write_atomically(path: Path, data: bytes) -> None:
    """Put `data` in place of `path` by one rename: a reader sees the old file or the new one.

    Raises:
        OSError: it could not be written; `path` is as it was.
    """
    part = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with part.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


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


def write_result(path: Path | None, make: Callable[[], bytes]) -> bool:
    """Write what a command was asked for, if it was; False when that fails, which is said."""
    if path is None:
        return True
    try:
        write_atomically(path, make())
    except OSError as error:
        click.echo(f"{click.format_filename(path)}: {error.strerror}", err=True)
        return False
    return True
