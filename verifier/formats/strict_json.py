"""JSON that means one thing only: UTF-8, no duplicate keys, no floats, no NaN, ASCII keys, bounded depth.

`parse` gives plain values; `Reader` turns them into typed ones, refusing unknown keys. Bytes that are not JSON at all
are `Unreadable` (undecided); JSON that breaks a rule of this protocol is `Rejected`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from verifier.formats.errors import Rejected, UnknownVersion, Unreadable
from verifier.formats.limits import MAX_DECIMAL_DIGITS, MAX_JSON_DEPTH, MAX_JSON_DIGITS, MAX_JSON_KEYS

T = TypeVar("T")

_BRACKET_OR_STRING = re.compile(rb'[\[\]{}]|"[^"]*"?')
_HEX64 = re.compile(r"[0-9a-f]{64}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)")
_MEDIA_TYPE = re.compile(r"application/vnd\.huref-zk\.([a-z]+)\+json;version=([1-9][0-9]{0,5})")


def parse(data: bytes, name: str, max_bytes: int) -> object:
    """The JSON value in `data`, a file called `name`.

    Raises:
        Unreadable: longer than `max_bytes`, nested too deep, not UTF-8, not JSON.
        Rejected: a duplicate or non-ASCII key, a float, NaN, or a huge integer.
    """
    if len(data) > max_bytes:
        raise Unreadable(f"{name}: {len(data)} bytes, the limit is {max_bytes}", code="too-large")
    check_depth(data, name, MAX_JSON_DEPTH)

    def refuse_float(_text: str) -> NoReturn:
        raise Rejected(f"{name}: a number that is not an integer", code="json-float")

    def read_int(text: str) -> int:
        if len(text) > MAX_JSON_DIGITS or text == "-0":
            raise Rejected(f"{name}: an integer of {len(text)} digits", code="json-integer")
        return int(text)

    def read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise Rejected(f"{name}: an object has a key twice", code="json-duplicate-key")
        if len(pairs) > MAX_JSON_KEYS or not all(key.isascii() for key in result):
            raise Rejected(f"{name}: an object has too many keys, or one that is not ASCII", code="json-key")
        return result

    try:
        return json.loads(
            data.decode("utf-8"),
            parse_float=refuse_float,
            parse_int=read_int,
            parse_constant=refuse_float,
            object_pairs_hook=read_object,
        )
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"{name}: not JSON ({str(error)[:100]})", code="not-json") from None


def check_depth(data: bytes, name: str, deepest: int) -> None:
    """Refuse deep nesting before the library sees it, whose parser recurses. Linear in the length of `data`.

    Escapes are taken out first, then a quote begins or ends a string. (A pattern with the escapes in it
    would keep 100 bytes for each.) Where that is not so, the bytes are no JSON, and the library stops there too.

    Raises:
        Unreadable: `name` nests deeper than `deepest`.
    """
    if data.count(b"[") + data.count(b"{") <= deepest:
        return
    plain = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    depth = 0
    for match in _BRACKET_OR_STRING.finditer(plain):
        kind = plain[match.start()]
        if kind in b"[{":
            depth += 1
            if depth > deepest:
                raise Unreadable(f"{name}: not JSON this protocol uses: nested deeper than {deepest}", code="too-deep")
        elif kind in b"]}":
            depth -= 1


def check_parts(data: bytes, name: str, most: int) -> None:
    """Refuse JSON of so many values that Python's objects for them, up to 30 bytes for each of `data`, fill the memory.

    Counted are commas, opening brackets and pairs of quotes, wherever they are.

    Raises:
        Unreadable: `name` has more than `most`.
    """
    found = data.count(b",") + data.count(b"[") + data.count(b"{") + data.count(b'"') // 2
    if found > most:
        raise Unreadable(f"{name}: JSON of {found} parts, the limit is {most}", code="too-large")


def canonical(value: object) -> bytes:
    """RFC 8785 for values without floats and with ASCII keys.

    Raises:
        Rejected: a string with a lone surrogate.

    >>> canonical({"b": [1, "é"], "a": "x"})
    b'{"a":"x","b":[1,"\\xc3\\xa9"]}'
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Rejected("a string that is not Unicode text", code="json-surrogate") from None


class Reader:
    """Typed access to one JSON object: every key is taken once, and `done` refuses what is left over."""

    def __init__(self, value: object, where: str) -> None:
        """Wrap `value`, found at `where` (file and field, for messages)."""
        if not isinstance(value, dict):
            raise Rejected(f"{where}: not an object", code="schema")
        self._left = dict(value)
        self.where = where

    def fail(self, key: str, what: str) -> NoReturn:
        """Refuse field `key`."""
        raise Rejected(f"{self.where}.{key}: {what}", code="schema")

    def take(self, key: str) -> Any:
        """The value at `key`, whatever it is."""
        if key not in self._left:
            self.fail(key, "missing")
        return self._left.pop(key)

    def media_type(self, kind: str, newest: int = 1) -> int:
        """Field `type`: its major version, 1 to `newest`. Another one means "upgrade", not "forged"."""
        value = self.take("type")
        match = _MEDIA_TYPE.fullmatch(value) if isinstance(value, str) else None
        if match is None or match[1] != kind:
            self.fail("type", f"not application/vnd.huref-zk.{kind}+json;version={newest}")
        if int(match[2]) > newest:
            raise UnknownVersion(
                f"{self.where}: version {match[2]} of the {kind} format; this verifier knows {newest}",
                hint="upgrade: pip install --upgrade huref-zk",
            )
        return int(match[2])

    def nested(self, key: str) -> Reader:
        """A nested object."""
        return Reader(self.take(key), f"{self.where}.{key}")

    def array(self, key: str, read: Callable[[object, str], T], length: int | None = None) -> tuple[T, ...]:
        """An array whose items `read(item, where)` makes typed; `length` items if given."""
        value = self.take(key)
        if not isinstance(value, list) or (length is not None and len(value) != length):
            self.fail(key, "not an array" if length is None else f"not an array of {length}")
        return tuple(read(item, f"{self.where}.{key}[{i}]") for i, item in enumerate(value))

    def integer(self, key: str, low: int, high: int) -> int:
        """An integer with low <= value <= high."""
        return integer(self.take(key), f"{self.where}.{key}", low, high)

    def text(self, key: str, max_characters: int = 200) -> str:
        """A string of at most `max_characters`."""
        value = self.take(key)
        if not isinstance(value, str) or len(value) > max_characters:
            self.fail(key, f"not a string of at most {max_characters} characters")
        return value

    def hex64(self, key: str) -> bytes:
        """32 bytes as 64 lower-case hex digits."""
        return hex64(self.take(key), f"{self.where}.{key}")

    def done(self) -> None:
        """Refuse keys that nobody took."""
        if self._left:
            self.fail(ascii(sorted(self._left)[0])[:60], "unknown key")


def integer(value: object, where: str, low: int, high: int) -> int:
    """An integer (never a bool) with low <= value <= high."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Rejected(f"{where}: not an integer from {low} to {high}", code="schema")
    return value


def hex64(value: object, where: str) -> bytes:
    """32 bytes as 64 lower-case hex digits."""
    if not isinstance(value, str) or not _HEX64.fullmatch(value):
        raise Rejected(f"{where}: not 64 lower-case hex digits", code="schema")
    return bytes.fromhex(value)


def decimal(value: object, where: str) -> int:
    """An integer as a decimal string without leading zeros; its range is checked where it is used."""
    if not isinstance(value, str) or len(value) > MAX_DECIMAL_DIGITS or not _DECIMAL.fullmatch(value):
        raise Rejected(f"{where}: not a decimal integer", code="schema")
    return int(value)
