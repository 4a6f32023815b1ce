"""`huref compare ... --prove`: the part that proves. Parses nothing itself: `prover.compare_cli` calls it."""

from __future__ import annotations

import json
import secrets
import time
from functools import partial
from pathlib import Path

import click

from circuits.comparisons import load_similarity_circuit
from circuits.errors import BundleError
from circuits.profiles import Profile, load_profile
from prover import bundle as bundles
from prover import secret as secret_files
from prover.bundle_reader import CommittedRows, read_rows
from prover.jobs import job
from prover.late import ComparisonProver, Side, check_comparable
from prover.progress import Progress
from prover.prove_cli import verify_with_own_command
from prover.terms import TermRules, load_fingerprint_input


def prove_comparison(
    bundle_paths: tuple[Path, Path],
    checkpoints: tuple[Path, Path],
    secret_paths: tuple[Path, Path],
    target: Path,
    *,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Prove the ICS of two bundles and write it at `target`; everything is given side a first.

    A killed run resumes where it was when it is started again with the same arguments. Raises HurefError's kinds.
    """
    start = time.monotonic()
    progress = Progress.silent() if quiet else Progress.on_stderr()
    bundles.check_target(target, force, "comparison.json")
    for path in secret_paths:
        secret_files.refuse_beside(path, target)
    left, right = (read_rows(path) for path in bundle_paths)
    profile = load_profile(left.profile_name)
    check_comparable(profile, left, right)
    circuit = load_similarity_circuit(profile)
    sides = (
        _side(profile, left, checkpoints[0], secret_paths[0]),
        _side(profile, right, checkpoints[1], secret_paths[1]),
    )
    public = [x.encode("ascii") for x in (circuit.sha256, profile.sha256, left.cm, right.cm)]
    statements = [bytes.fromhex(one.statement_sha256) for one in (left, right)]
    with job(b"comparison", *public, *statements, *(side.seed for side in sides)) as work:
        session = work.part("session", lambda: secrets.token_bytes(32))
        result = ComparisonProver(profile, circuit, sides, session, work, progress).run()
        with progress.timed("verify"):
            accept = partial(_verify, bundle_paths=bundle_paths)
            bundles.write(result.files, target, accept=accept)
    seconds, size = time.monotonic() - start, sum(len(data) for data in result.files.values())
    if as_json:
        report = {
            "comparison": str(target),
            "ics": result.ics,
            "commitments": [left.cm, right.cm],
            "profile": profile.name,
            "seconds": round(seconds, 2),
            "bytes": size,
        }
        click.echo(json.dumps(report, sort_keys=True))
        return
    click.echo(f"comparison  {target} ({size / 1000:.0f} kB), verified by huref-verify")
    click.echo(f"ICS         {result.ics:+.4f}, under a projection drawn from both commitments")
    click.echo(f"sides       a {left.cm}")
    click.echo(f"            b {right.cm}")
    click.echo(f"time        {seconds:.0f} s")


def _verify(comparison: Path, bundle_paths: tuple[Path, Path]) -> None:
    verify_with_own_command(comparison, *bundle_paths)


def _side(profile: Profile, committed: CommittedRows, checkpoint: Path, secret_path: Path) -> Side:
    source = load_fingerprint_input(checkpoint, TermRules.of_profile(profile.document))
    secret = secret_files.read(secret_path)
    if secret.weights_sha256 != source.weights_sha256:
        raise BundleError(
            f"{secret_path}: field weights_sha256 names other weights than those of {checkpoint}",
            step="secret",
            hint="give checkpoints, secrets and bundles in the same order",
        )
    if secret.cm and secret.cm != committed.cm:
        raise BundleError(
            f"{secret_path}: field cm is not that of the bundle {committed.path}",
            step="secret",
            hint="give checkpoints, secrets and bundles in the same order",
        )
    return Side(source, secret.seed, committed)
