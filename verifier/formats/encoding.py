"""Points, field elements and base64: the only encodings of docs/protocol.md section 2."""

from __future__ import annotations

import base64
import binascii

from verifier.formats.errors import Rejected

FIELD_MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617  # p
BASE_MODULUS = 21888242871839275222246405745257275088696311157297823662689037894645226208583  # q
POINT_BYTES = 64
SCALAR_BYTES = 32


def u32be(value: int) -> bytes:
    """Four bytes, big-endian."""
    return value.to_bytes(4, "big")


def field_element(data: bytes, where: str) -> int:
    """32 bytes big-endian, below p.

    Raises:
        Rejected: not canonical.
    """
    value = int.from_bytes(data, "big")
    if len(data) != SCALAR_BYTES or value >= FIELD_MODULUS:
        raise Rejected(f"{where}: not a canonical field element", code="field-element")
    return value


def signed(value: int) -> int:
    """A field element as a signed integer: above p/2 is negative.

    >>> signed(FIELD_MODULUS - 3)
    -3
    """
    return value - FIELD_MODULUS if value > FIELD_MODULUS // 2 else value


def check_point(data: bytes, where: str) -> bytes:
    """64 bytes that are a point of the curve, canonical and not the identity; returned unchanged.

    Raises:
        Rejected: coordinates not below q, not on `y^2 = x^3 + 3`, or the identity.
    """
    x, y = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
    if len(data) != POINT_BYTES or x >= BASE_MODULUS or y >= BASE_MODULUS:
        raise Rejected(f"{where}: coordinates are not canonical", code="point-not-canonical")
    if x == 0 and y == 0:
        raise Rejected(f"{where}: the identity", code="point-identity")
    # y^2 = x^3 + 3; the curve has prime order, so every point on it is in the group
    if (y * y - x * x * x - 3) % BASE_MODULUS:
        raise Rejected(f"{where}: not on the curve", code="point-off-curve")
    return data


def split_points(data: bytes, first: int, count: int, where: str) -> tuple[bytes, ...]:
    """Points `first` to `first + count - 1` of a run of 64-byte points, each checked."""
    return tuple(
        check_point(data[POINT_BYTES * i : POINT_BYTES * (i + 1)], f"{where}, point {i}")
        for i in range(first, first + count)
    )


def strict_base64(text: object, where: str) -> bytes:
    """Standard, padded base64 that re-encodes to itself.

    Raises:
        Rejected: anything else.
    """
    if not isinstance(text, str):
        raise Rejected(f"{where}: not a string", code="schema")
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error):
        raise Rejected(f"{where}: not base64", code="base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise Rejected(f"{where}: base64 that does not re-encode to itself", code="base64")
    return data
