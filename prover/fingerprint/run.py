"""A whole run: checkpoint to bundle, read, committed, proven, verified by `huref-verify`, and put in place."""

from __future__ import annotations

import secrets as entropy
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prover.commitments.jobs import job
from prover.commitments.workers import Pool, Processes
from prover.fingerprint import artefact
from prover.fingerprint import secret as secret_files
from prover.fingerprint.own_verifier import verify_with_own_command
from prover.fingerprint.profile_choice import read_for_profile
from prover.fingerprint.prove import FingerprintProver
from prover.fingerprint.statement import build_statement, check_metadata
from prover.formats.canonical_json import canonical
from prover.progress import Progress


@dataclass(frozen=True)
class Proven:
    """What a run made, and where.

    Args:
        bundle: the folder, or the archive.
        cm: the commitment that names the weights, 64 hexadecimal digits.
        secret: the file with the salt seed.
        profile: the published profile it is proven under.
        seconds: of wall-clock time.
        bytes: of the bundle's files.
        largest_clipped_share: of a matrix's entries, from 0 to 1, that quantization clipped.
        quantization_cosine: of the quantized terms to those in floating point.
        kernels: who committed to rows: native kernels by name, or ezkl; none where all were there from an earlier run.
    """

    bundle: Path
    cm: str
    secret: Path
    profile: str
    seconds: float
    bytes: int
    largest_clipped_share: float
    quantization_cosine: float
    kernels: tuple[str, ...]


def prove_checkpoint(
    checkpoint: Path,
    target: Path,
    *,
    profile: str | None = None,
    secret: Path | None = None,
    metadata: Mapping[str, str] | None = None,
    pool: Pool | None = None,
    replace: bool = False,
    progress: Progress | None = None,
) -> Proven:
    """Prove the fingerprint of a Hugging Face checkpoint and write its bundle. A killed run resumes.

    Args:
        checkpoint: a directory with config.json, tokenizer.json and safetensors files.
        target: where the bundle goes: a folder, or an archive if it ends in .zip or .huref.
        profile: a published profile's name; without one, the smallest that admits the model.
        secret: where the salt seed is kept, mode 0600; without one, in the user's data directory.
        metadata: free text for the statement: name, version, maker.
        pool: what commits to rows; without one, as many processes as there are cores.
        replace: whether an existing bundle may be replaced.
        progress: who is told how far it is; without one, nobody.

    Raises:
        UsageError: a target, name or profile that does not do.
        CheckpointError: something wrong with the checkpoint, by file and field.
        BundleError: the secret belongs to other weights.
        CircuitError: ezkl refused, or `huref-verify` did not accept what was made.
        StorageError: a disk that is full or read-only. Nothing half-written stays.

    Source: docs/protocol.md, sections 3 to 7. Example: docs/api.md, section Prove, which a test runs.
    """
    start = time.monotonic()
    progress = progress or Progress.silent()
    artefact.check_target(target, replace)
    metadata = metadata or {}
    check_metadata(metadata)
    if secret is not None:  # the model may take minutes to read
        secret_files.refuse_beside(secret, target)
    with progress.timed("read, quantize"):
        chosen, source = read_for_profile(checkpoint, profile)
    if profile is None:
        srs = " under the ceremony's SRS" if chosen.document["srs"]["trust"] == "ceremony" else ""
        progress.notice(f"profile {chosen.name}, the smallest published one{srs} that admits this model")
    path = secret or secret_files.default_path(source.weights_sha256, chosen.name)
    kept = secret_files.load_or_create(path, target, source.weights_sha256)
    everything_public = canonical(build_statement(chosen, source, (), metadata))
    with job(everything_public, source.weights_sha256, kept.seed) as work:
        session = work.part("session", lambda: entropy.token_bytes(32))
        prover = FingerprintProver(
            chosen, source, kept.seed, session, work, metadata, progress, pool or Processes(None)
        )
        result = prover.run()
        secret_files.write(path, secret_files.Secret(kept.seed, kept.weights_sha256, result.cm))
        with progress.timed("verify"):
            artefact.write(result.files, target, accept=verify_with_own_command)
    return Proven(
        bundle=target,
        cm=result.cm,
        secret=path,
        profile=chosen.name,
        seconds=time.monotonic() - start,
        bytes=sum(len(data) for data in result.files.values()),
        largest_clipped_share=max(source.matrices.clipped.values()),
        quantization_cosine=source.cosine,
        kernels=result.kernels,
    )
