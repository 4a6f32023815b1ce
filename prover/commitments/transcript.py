"""The Fiat-Shamir transcript (docs/protocol.md, section 4)."""

from __future__ import annotations

import hashlib
import struct

from circuits.size_classes import FIELD_MODULUS

CHALLENGE_BYTES = 64


class Transcript:
    """A 32-byte state that everything said so far goes through.

    >>> t = Transcript(); t.absorb("statement", b"{}"); len(t.challenge("sigma", 2))
    2
    """

    def __init__(self, domain: bytes = b"huref-zk/v1/transcript") -> None:
        self.state = hashlib.sha3_256(domain).digest()

    def absorb(self, label: str, data: bytes) -> None:
        """s = SHA3-256(s || 0x01 || u32be(len(label)) || label || u64be(len(data)) || data)."""
        header = b"\x01" + _labelled(label) + struct.pack(">Q", len(data))
        self.state = hashlib.sha3_256(self.state + header + data).digest()

    def challenge(self, label: str, count: int) -> list[int]:
        """`count` field elements, 64 bytes of SHAKE256(s || 0x02 || h) each, reduced mod p."""
        header = _labelled(label) + struct.pack(">I", count)
        stream = hashlib.shake_256(self.state + b"\x02" + header).digest(CHALLENGE_BYTES * count)
        self.state = hashlib.sha3_256(self.state + b"\x03" + header).digest()
        return field_elements(stream)


def field_elements(stream: bytes) -> list[int]:
    """64 bytes big-endian each, mod p."""
    return [
        int.from_bytes(stream[i : i + CHALLENGE_BYTES], "big") % FIELD_MODULUS
        for i in range(0, len(stream), CHALLENGE_BYTES)
    ]


def _labelled(label: str) -> bytes:
    data = label.encode("ascii")
    return struct.pack(">I", len(data)) + data
