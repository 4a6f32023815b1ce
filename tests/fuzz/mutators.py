"""Inputs from inputs: JSON, bytes, PNG, zip and safetensors, changed where it hurts, with lengths and checksums mended.

Choices come from `Dice`: a seeded generator under atheris, drawn values under hypothesis, which can shrink them.
"""

from __future__ import annotations

import copy
import io
import json
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Dice(Protocol):
    """Whatever chooses."""

    def below(self, count: int) -> int:
        """An integer from 0 to count - 1."""
        ...


class RandomDice:
    """Choices of a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, count: int) -> int:
        return self._random.randrange(count)


def one_of(dice: Dice, items: Sequence[T]) -> T:
    return items[dice.below(len(items))]


# ---------------------------------------- bytes

_INTERESTING = (b"\0", b"\xff", b"\x7f", b"\x80", b'"', b"\\", b"[", b"{", b"0", b"-", b"\n", b" ", b",", b"\xc3")


def change_bytes(dice: Dice, data: bytes) -> bytes:
    """One to four edits: a bit, a byte, a run deleted, repeated, moved or zeroed, the end cut, something behind."""
    out = bytearray(data)
    for _ in range(1 + dice.below(4)):
        at, kind = dice.below(len(out) + 1), dice.below(9)
        run = 1 + dice.below(min(64, len(out) + 1))
        if kind == 0 and at < len(out):
            out[at] ^= 1 << dice.below(8)
        elif kind == 1 and at < len(out):
            out[at] = dice.below(256)
        elif kind == 2:
            del out[at : at + run]
        elif kind == 3:
            out[at:at] = out[at : at + run]
        elif kind == 4:
            out[at:at] = one_of(dice, _INTERESTING) * (run if dice.below(4) == 0 else 1)
        elif kind == 5:
            out[at : at + run] = bytes(len(out[at : at + run]))
        elif kind == 6:
            out[at : at + run] = b"\xff" * len(out[at : at + run])
        elif kind == 7 and dice.below(4) == 0:
            del out[at:]
        else:
            piece = out[at : at + run]
            del out[at : at + run]
            where = dice.below(len(out) + 1)
            out[where:where] = piece
    return bytes(out)


# ---------------------------------------- JSON


class Pairs(list[tuple[str, Any]]):
    """An object that may have a key twice."""


class Raw(str):
    """JSON text as it is, right or wrong."""


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 255, 1 << 24, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 10**19, 10**20),
    *map(Raw, ("-0", "1.0", "1e2", "1e999", "-1E-9", "NaN", "-Infinity", "01", "+1", "1" * 5000, "0.1" + "0" * 400)),
    *(
        "",
        "a",
        "0",
        "-1",
        "00",
        "1" * 81,
        "0" * 64,
        "f" * 64,
        "F" * 64,
        "x" * 201,
        "x" * 3000,
        "AA==",
        "AB==",
        "é",
        "𝟘",
    ),
    *map(Raw, ('"\\ud800"', '"\\u0000"', '"\x01"', '"\\x"', '"\\u12"', '"', "'a'", '"\\ud83d\\ude00"', '"\u202e"')),
    *(Pairs(), [], [[]], Pairs([("", [])]), [0] * 70, Pairs((f"k{i}", 0) for i in range(66))),
    *map(Raw, ("[" * 9 + "]" * 9, "[" * 66 + "]" * 66, "[" * 3000, '{"a":' * 2000, "[" * 7 + "]" * 7)),
)
_KEYS = ("", "type", "name", "é", "\0", "a" * 300, "__metadata__", "__class__", "sha256", "id", "content", "shape")


def dump(value: Any) -> str:
    """JSON text, in the order and with the repeats that are there."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Pairs):
        return "{" + ",".join(f"{json.dumps(key, ensure_ascii=False)}:{dump(item)}" for key, item in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dump, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _slots(value: Any, found: list[tuple[Any, int]]) -> list[tuple[Any, int]]:
    for place, item in enumerate(value if isinstance(value, list) else ()):
        found.append((value, place))
        _slots(item[1] if isinstance(value, Pairs) else item, found)
    return found


def change_json(dice: Dice, data: bytes) -> bytes:
    """One to three nodes replaced, removed, repeated, tweaked or exchanged; sometimes also bytes changed."""
    try:
        value = json.loads(data, object_pairs_hook=Pairs)
    except (ValueError, RecursionError):
        return change_bytes(dice, data)
    whole = [value]
    for _ in range(1 + dice.below(3)):
        slots = _slots(whole, [])
        if not slots:
            return b""
        holder, place = one_of(dice, slots)
        if place < len(holder):
            _edit(dice, holder, place, slots)
    text = dump(whole[0] if whole else Raw()).encode("utf-8", "surrogatepass")
    return change_bytes(dice, text) if dice.below(6) == 0 else text


def _edit(dice: Dice, holder: Any, place: int, slots: list[tuple[Any, int]]) -> None:
    key, old = holder[place] if isinstance(holder, Pairs) else (None, holder[place])

    def put(new: Any) -> None:
        holder[place] = (key, new) if isinstance(holder, Pairs) else new

    kind = dice.below(8)
    if kind <= 1:
        put(copy.deepcopy(one_of(dice, VALUES)))
    elif kind == 2:
        del holder[place]
    elif kind == 3:
        holder.insert(place, holder[place])
    elif kind == 4:
        put(_tweaked(dice, old))
    elif kind == 5:  # another node's value
        there, at = one_of(dice, slots)
        if at < len(there):
            put(copy.deepcopy(there[at][1] if isinstance(there, Pairs) else there[at]))
    elif isinstance(holder, Pairs):
        new = one_of(dice, _KEYS) if dice.below(2) else _tweaked(dice, key)
        holder[place] = (new, old)
    else:
        holder.insert(place, copy.deepcopy(one_of(dice, VALUES)))


def _tweaked(dice: Dice, old: Any) -> Any:
    if isinstance(old, Raw) or old is None:
        return old
    if isinstance(old, bool):
        return int(old)
    if isinstance(old, int):
        return (old + 1, old - 1, -old, 2 * old, float(old % 10**6), str(old), old + 2**64)[dice.below(7)]
    if isinstance(old, str) and old:
        at = dice.below(len(old))
        return (old[:at], old + old[at], old[:at] + "0" + old[at + 1 :], old.swapcase(), old[1:] + " ")[dice.below(5)]
    return [old] if dice.below(2) else Pairs([("a", old)])


# ---------------------------------------- with lengths and checksums


def change_safetensors(dice: Dice, data: bytes) -> bytes:
    """The header changed as JSON and its length mended; sometimes the data's length, or anything."""
    length = int.from_bytes(data[:8], "little")
    if dice.below(8) == 0 or length > len(data):
        return change_bytes(dice, data)
    header, rest = data[8 : 8 + length], data[8 + length :]
    if dice.below(3) == 0:  # numbers only: places, shapes
        numbers = list(re.finditer(rb"\d+", header))
        if numbers:
            chosen = one_of(dice, numbers)
            new = (int(chosen[0][:18]) + (-1, 1, 4, 24, -4, 2**62)[dice.below(6)]) if dice.below(4) else dice.below(200)
            header = header[: chosen.start()] + str(new).encode() + header[chosen.end() :]
    else:
        header = change_json(dice, header)
    if dice.below(4) == 0:
        rest = rest[: dice.below(len(rest) + 1)] + bytes(dice.below(9))
    return struct.pack("<Q", len(header)) + header + rest


def chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with the right checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


_KINDS = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"acTL", b"fdAT", b"tEXt", b"zTXt", b"eXIf")


def change_png(dice: Dice, data: bytes) -> bytes:
    """Chunks changed, repeated, removed or made anew, checksums mended; picture data inflated, changed, deflated."""
    if dice.below(8) == 0:
        return change_bytes(dice, data)
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + min(size, len(data))]))
        at += 12 + size
    if not chunks:
        return change_bytes(dice, data)
    for _ in range(1 + dice.below(2)):
        place = dice.below(len(chunks))
        kind, content = chunks[place]
        what = dice.below(6)
        if what == 0:
            chunks[place] = kind, change_bytes(dice, content)
        elif what == 1:
            chunks.insert(place, (one_of(dice, _KINDS), content if dice.below(2) else bytes(dice.below(20))))
        elif what == 2 and len(chunks) > 1:
            del chunks[place]
        elif what == 3:
            cut = dice.below(len(content) + 1)
            chunks[place : place + 1] = [(kind, content[:cut]), (kind, content[cut:])]
        elif kind == b"IDAT":
            chunks[place] = kind, _deflated_again(dice, content)
        elif kind == b"IHDR" and len(content) == 13:
            width, height, *rest = struct.unpack(">IIBBBBB", content)
            width, height = one_of(dice, ((width + 1, height), (0, height), (2**31, 2), (3, 5), (2048, 2048), (4, 4)))
            chunks[place] = kind, struct.pack(">IIBBBBB", width % 2**32, height, *rest)
    return data[:8] + b"".join(chunk(*one) for one in chunks)


def _deflated_again(dice: Dice, content: bytes) -> bytes:
    try:
        raw = zlib.decompressobj().decompress(content, 1 << 16)
    except zlib.error:
        return content
    packed = zlib.compress(change_bytes(dice, raw), dice.below(10))
    return packed + b"more" if dice.below(8) == 0 else packed


_PLACES = {  # of a central directory's entry and of the end record: offset, bytes
    b"PK\1\2": (
        *((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 4), (24, 4)),
        *((28, 2), (30, 2), (32, 2), (34, 2), (36, 2), (38, 4), (42, 4), (46, 4)),
    ),
    b"PK\3\4": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4)),
    b"PK\5\6": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}
_NUMBERS = (0, 1, 2, 8, 9, 14, 0x10, 0x800, 0x7FFF, 0xFFFF, 0x41ED0010, 0xA1FF0000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def change_zip(dice: Dice, data: bytes) -> bytes:
    """Fields of headers and end record, where they lie; zip64 extras; members made anew; or any bytes."""
    what = dice.below(8)
    if what == 0:
        return change_bytes(dice, data)
    if what == 1:
        return _rebuilt(dice, data)
    if what == 2:
        return with_zip64(data, one_of(dice, (0, 1, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)), dice.below(3))
    out = bytearray(data)
    for _ in range(1 + dice.below(3)):
        mark = one_of(dice, tuple(_PLACES))
        found = [match.start() for match in re.finditer(re.escape(mark), bytes(out))]
        if not found:
            continue
        offset, size = one_of(dice, _PLACES[mark])
        at = one_of(dice, found) + offset
        if at + size <= len(out):
            number = one_of(dice, _NUMBERS)
            if dice.below(3) == 0:
                number = int.from_bytes(out[at : at + size], "little") + one_of(dice, (-1, 1, 100))
            out[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(out)


def _rebuilt(dice: Dice, data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(member.filename, archive.read(member)) for member in archive.infolist()[:20]]
    except Exception:  # noqa: BLE001 - a spoilt one cannot be made anew
        return change_bytes(dice, data)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = one_of(dice, (0, 0, 0o100644 << 16, 0o120777 << 16, 0o040755 << 16, 0x10))
            info.compress_type = one_of(dice, (0, 0, 8, 8, 12, 14))
            other = dice.below(12)
            if other == 0:
                info.filename = one_of(
                    dice, ("../x", "a/" + name, name + "/", "", "x" * 300, "é", "\\" + name, "/" + name)
                )
            archive.writestr(info, bytes(1 << 20) if other == 1 else content)
    return stream.getvalue()


def with_zip64(data: bytes, number: int, field: int) -> bytes:
    """The first member's size, packed size or place (`field` 0, 1, 2) moved into a zip64 extra that says `number`."""
    first, end = data.find(b"PK\1\2"), data.rfind(b"PK\5\6")
    if not 0 <= first < end or len(data) - end < 22:
        return data
    head = bytearray(data[first : first + 46])
    name = int.from_bytes(head[28:30], "little")
    extra = struct.pack("<HHQ", 1, 8, number)
    place = (24, 20, 42)[field]
    head[place : place + 4] = b"\xff" * 4
    head[30:32] = struct.pack("<H", len(extra))
    middle = bytes(head) + data[first + 46 : first + 46 + name] + extra + data[first + 46 + name : end]
    return data[:first] + middle + data[end : end + 12] + struct.pack("<I", len(middle)) + data[end + 16 :]
