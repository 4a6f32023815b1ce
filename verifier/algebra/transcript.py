"""Fiat-Shamir, and everything that is absorbed and drawn, in order (docs/protocol.md section 4). Pure."""

from __future__ import annotations

import hashlib

from verifier.formats.encoding import FIELD_MODULUS, u32be

_WIDE = 64  # bytes a challenge is reduced from: its distance from uniform is below 2^-250


class Transcript:
    """A 32-byte state, absorbing labelled data and giving labelled challenges."""

    def __init__(self, domain: bytes = b"huref-zk/v1/transcript") -> None:
        """`s = SHA3-256(domain)`: bundles have one domain, comparisons another."""
        self._state = hashlib.sha3_256(domain).digest()

    def copy(self) -> Transcript:
        """Another transcript that heard the same so far."""
        other = Transcript()
        other._state = self._state
        return other

    def absorb(self, label: str, data: bytes) -> None:
        """`s = SHA3-256(s || 0x01 || u32be(len(label)) || label || u64be(len(data)) || data)`."""
        name = label.encode("ascii")
        head = self._state + b"\x01" + u32be(len(name)) + name + len(data).to_bytes(8, "big")
        self._state = hashlib.sha3_256(head + data).digest()

    def challenge(self, label: str, count: int) -> tuple[int, ...]:
        """`count` field elements.

        `h = u32be(len(label)) || label || u32be(n)`; bytes from `SHAKE256(s || 0x02 || h)`; `s = SHA3-256(s
        || 0x03 || h)`.
        """
        name = label.encode("ascii")
        h = u32be(len(name)) + name + u32be(count)
        wide = hashlib.shake_256(self._state + b"\x02" + h).digest(_WIDE * count)
        self._state = hashlib.sha3_256(self._state + b"\x03" + h).digest()
        return tuple(int.from_bytes(wide[i : i + _WIDE], "big") % FIELD_MODULUS for i in range(0, len(wide), _WIDE))
