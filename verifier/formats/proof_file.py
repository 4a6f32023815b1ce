"""The file of one ezkl proof: public instances and the proof's bytes (docs/protocol.md section 7)."""

from __future__ import annotations

from dataclasses import dataclass

from verifier.formats import limits, strict_json
from verifier.formats.encoding import field_element, strict_base64


@dataclass(frozen=True)
class ProofFile:
    """One ezkl proof: public instances (field elements) and the proof's bytes."""

    instances: tuple[int, ...]
    proof: bytes


def read_proof(data: bytes, kind: str, name: str = "") -> ProofFile:
    """A proof's file: `link.json`, `encoder.json`, or another `name` of the same kind."""
    name = name or f"{kind}.json"
    fields = strict_json.Reader(strict_json.parse(data, name, limits.MAX_PROOF_FILE_BYTES), name)
    fields.media_type(kind)

    def instance(value: object, where: str) -> int:
        return field_element(strict_json.hex64(value, where), where)

    result = ProofFile(
        instances=fields.array("instances", instance),
        proof=strict_base64(fields.take("proof"), f"{name}.proof"),
    )
    fields.done()
    return result
