"""One proof of a published circuit as a part of a job: what fingerprints and comparisons share."""

from __future__ import annotations

import json
from collections.abc import Sequence

from circuits import keys, proofs
from circuits.keys import Published
from circuits.size_classes import SizeClass
from prover.commitments.field import FieldVector
from prover.commitments.jobs import Job
from prover.fingerprint.artefact import Proof
from prover.progress import Progress

PROVE_TIME_LIMIT_S = 3600.0


def prove_part(
    job: Job, part: str, circuit: Published, vectors: Sequence[FieldVector], size: SizeClass, progress: Progress
) -> Proof:
    """A proof of `circuit`, verified by ezkl before it is kept as `part` of the job. CircuitError when ezkl refuses."""

    def make() -> bytes:
        key = keys.key_of(circuit, progress.notice)
        with progress.timed(f"prove {circuit.files.name}", size.name):
            answer = proofs.prove(
                vectors,
                compiled=key.compiled,
                pk=key.pk,
                vk=circuit.files.vk,
                settings=circuit.files.settings,
                srs=circuit.srs,
                time_limit_s=PROVE_TIME_LIMIT_S,
            )
        return json.dumps(answer).encode()

    return Proof.from_worker(json.loads(job.part(part, make)))
