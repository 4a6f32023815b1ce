"""Canonical JSON: what is hashed and signed has one form."""

from __future__ import annotations

from typing import Any

import rfc8785


def canonical(document: Any) -> bytes:
    """RFC 8785 bytes."""
    return rfc8785.dumps(document)
