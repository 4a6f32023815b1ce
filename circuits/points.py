"""Points of BN254's first group as 64 bytes big-endian, x then y, zeros for the identity: the little that Python adds.

Sums over many points are `kzg_commit`'s work; here a row's few parts are added, 15 us each.
"""

from __future__ import annotations

from circuits.size_classes import BASE_FIELD_MODULUS as Q

POINT_BYTES = 64
IDENTITY = bytes(POINT_BYTES)


def on_curve(point: bytes) -> bool:
    """Whether these 64 bytes are a point: the identity, or coordinates below q with `y^2 = x^3 + 3`."""
    x, y = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
    return point == IDENTITY or (x < Q and y < Q and (y * y - x * x * x - 3) % Q == 0)


def negate(point: bytes) -> bytes:
    """-P: the same x, the other y."""
    if point == IDENTITY:
        return point
    return point[:32] + (Q - int.from_bytes(point[32:], "big")).to_bytes(32, "big")


def add(left: bytes, right: bytes) -> bytes:
    """P + R on `y^2 = x^3 + 3`, affine, for any two points. They are not checked."""
    if left == IDENTITY or right == IDENTITY:
        return right if left == IDENTITY else left
    x1, y1 = int.from_bytes(left[:32], "big"), int.from_bytes(left[32:], "big")
    x2, y2 = int.from_bytes(right[:32], "big"), int.from_bytes(right[32:], "big")
    if x1 != x2:
        # slope = (y2 - y1) / (x2 - x1)
        slope = (y2 - y1) * pow(x2 - x1, -1, Q) % Q
    elif y1 == y2:
        # slope = 3 x^2 / 2 y; no point has y = 0, the group's order is odd
        slope = 3 * x1 * x1 * pow(2 * y1, -1, Q) % Q
    else:
        return IDENTITY
    x3 = (slope * slope - x1 - x2) % Q
    return x3.to_bytes(32, "big") + ((slope * (x1 - x3) - y1) % Q).to_bytes(32, "big")
