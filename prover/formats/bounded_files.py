"""Reading files of a checkpoint: bounded, JSON without surprises, faults that name the file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from circuits.errors import CheckpointError

MAX_JSON_DEPTH = 64  # real files nest less than 10 deep
MAX_JSON_PARTS = 5_000_000  # commas, brackets, strings: Gemma 3's tokenizer.json has about 3.2 million

_MARK = re.compile(rb'\\.|["\[\]{}]', re.DOTALL)
_STEP = "checkpoint"
_MAX_NAME_IN_MESSAGE = 120


def fault(file: Path | str, text: str, hint: str = "") -> CheckpointError:
    """A `CheckpointError` about `file`."""
    return CheckpointError(f"{file}: {text}", step=_STEP, hint=hint)


def short(value: object) -> str:
    """A value for a message: quoted, cut, without control characters."""
    return ascii(value)[:_MAX_NAME_IN_MESSAGE]


def read_bytes(file: Path, max_bytes: int, hint: str = "") -> bytes:
    """The bytes of `file`, at most `max_bytes`.

    Raises:
        CheckpointError: missing, unreadable, too long, or not a plain file.
    """
    refuse_pipes(file)
    try:
        with file.open("rb") as stream:
            data = stream.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise fault(file, "file is missing", hint) from error
    except OSError as error:
        raise fault(file, f"cannot be read: {error.strerror}", hint) from error
    if len(data) > max_bytes:
        raise fault(file, f"larger than the limit of {max_bytes} bytes")
    return data


def refuse_pipes(file: Path) -> None:
    """Raise CheckpointError if something that is not a plain file lies at `file`."""
    if file.exists() and not file.is_file():
        raise fault(file, "not a file", "a pipe or folder lies where a file is expected")


def read_json(file: Path, max_bytes: int, hint: str = "") -> dict[str, Any]:
    """The JSON object in `file`, at most `max_bytes` long; `hint`: what to do where it is missing.

    Raises:
        CheckpointError: missing, too long, not UTF-8, not JSON, duplicate keys, or not an object.
    """
    return parse_json(read_bytes(file, max_bytes, hint), file)


def parse_json(data: bytes, file: Path | str) -> dict[str, Any]:
    """The JSON object in `data`; `file` is for messages.

    Raises:
        CheckpointError: not UTF-8, not JSON, duplicate keys, nested too deeply, or not an object.
    """
    value = parse_json_value(data, file)
    if not isinstance(value, dict):
        raise fault(file, "not a JSON object")
    return value


def parse_json_value(data: bytes, file: Path | str) -> object:
    """The JSON value in `data`; `file` is for messages.

    Raises:
        CheckpointError: not UTF-8, not JSON, duplicate keys, nested too deeply, or with too many values.
    """
    parts = sum(map(data.count, (b",", b"[", b"{"))) + data.count(b'"') // 2
    if parts > MAX_JSON_PARTS:
        raise fault(file, f"JSON of {parts} values, the limit is {MAX_JSON_PARTS}")
    if _depth(data) > MAX_JSON_DEPTH:
        raise fault(file, f"JSON nested more than {MAX_JSON_DEPTH} deep")
    try:
        value: object = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates)
    except ValueError as error:
        raise fault(file, f"not valid JSON: {short(str(error))}") from error
    return value


def _depth(data: bytes) -> int:
    """How deep brackets nest outside strings. Before the library sees them: its parser recurses on the C stack."""
    depth = deepest = 0
    inside = False
    for match in _MARK.finditer(data):
        if match[0] == b'"':
            inside = not inside
        elif not inside and match[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not inside and match[0] in b"]}":
            depth -= 1
    return deepest


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has a key twice")
    return result
