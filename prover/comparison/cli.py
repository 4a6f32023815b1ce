"""`huref compare ... --prove`: the part that proves. Parses nothing itself: `published_cli` calls it."""

from __future__ import annotations

import json
import re
import secrets
import time
from functools import partial
from pathlib import Path

from circuits.comparisons import load_similarity_circuit
from circuits.errors import BundleError, UsageError
from circuits.printing import say
from circuits.profiles import Profile, load_profile
from prover.commitments.jobs import job
from prover.comparison.prove import CHALLENGE_BYTES, MILLIONTHS, ComparisonProver, Request, Side, check_comparable
from prover.fingerprint import artefact as bundles
from prover.fingerprint import secret as secret_files
from prover.fingerprint.own_verifier import verify_with_own_command
from prover.fingerprint.reader import CommittedRows, read_rows
from prover.progress import Progress
from prover.terms.terms import TermRules, load_fingerprint_input


def prove_comparison(
    bundle_paths: tuple[Path, Path],
    checkpoints: tuple[Path, Path],
    secret_paths: tuple[Path, Path],
    target: Path,
    request: Request,
    *,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Prove the ICS of two bundles, or what `request` asks, and write it at `target`; everything is side a first.

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
    circuit = load_similarity_circuit(profile, kind=request.kind)
    sides = (
        _side(profile, left, checkpoints[0], secret_paths[0]),
        _side(profile, right, checkpoints[1], secret_paths[1]),
    )
    public = [x.encode("ascii") for x in (circuit.sha256, profile.sha256, left.cm, right.cm)]
    statements = [bytes.fromhex(one.statement_sha256) for one in (left, right)]
    asked = [b"" if request.at_least is None else str(request.at_least).encode("ascii"), request.challenge or b""]
    with job(b"comparison", *public, *statements, *asked, *(side.seed for side in sides)) as work:
        session = work.part("session", lambda: secrets.token_bytes(32))
        result = ComparisonProver(profile, circuit, sides, session, work, progress, request).run()
        with progress.timed("verify"):
            accept = partial(_verify, bundle_paths=bundle_paths)
            bundles.write(result.files, target, accept=accept)
    seconds, size = time.monotonic() - start, sum(len(data) for data in result.files.values())
    if as_json:
        report = {
            "comparison": str(target),
            "ics": result.ics,
            "at_least": None if request.at_least is None else request.at_least / MILLIONTHS,
            "challenge": None if request.challenge is None else request.challenge.hex(),
            "commitments": [left.cm, right.cm],
            "profile": profile.name,
            "seconds": round(seconds, 2),
            "bytes": size,
        }
        say(json.dumps(report, sort_keys=True))
        return
    say(f"comparison  {target} ({size / 1000:.0f} kB), verified by huref-verify")
    found = f"at least {(request.at_least or 0) / MILLIONTHS:g}" if result.ics is None else f"{result.ics:+.4f}"
    drawn = "" if request.challenge is None else " and the challenge"
    say(f"ICS         {found}, under a projection drawn from both commitments{drawn}")
    say(f"sides       a {left.cm}")
    say(f"            b {right.cm}")
    say(f"time        {seconds:.0f} s")


def read_request(at_least: str | None, challenge: str | None) -> Request:
    """What `--at-least` and `--challenge` ask. UsageError for anything but a decimal number and 64 hex digits."""
    millionths = None
    if at_least is not None:
        if not re.fullmatch(r"(0(\.[0-9]{1,6})?|1(\.0{1,6})?)", at_least) or float(at_least) == 0:
            raise UsageError(
                f"--at-least {at_least!r}: not a decimal number above 0, at most 1, with at most six decimals",
                step="comparison",
            )
        millionths = round(float(at_least) * MILLIONTHS)
    if challenge is not None and not re.fullmatch(rf"[0-9a-f]{{{2 * CHALLENGE_BYTES}}}", challenge):
        raise UsageError(
            f"--challenge {challenge!r}: not {2 * CHALLENGE_BYTES} lower-case hex digits",
            step="comparison",
            hint="the number that the auditor named after both commitments; of a text, take its SHA-256",
        )
    return Request(millionths, None if challenge is None else bytes.fromhex(challenge))


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
