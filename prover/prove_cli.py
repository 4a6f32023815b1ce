"""`huref prove CHECKPOINT -o BUNDLE`."""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import click

from circuits.errors import CircuitError, UsageError
from prover import bundle as bundles
from prover import own_verifier
from prover import secret as secret_files
from prover.jobs import job
from prover.profile_choice import read_for_profile
from prover.progress import Progress
from prover.prove import FingerprintProver
from prover.secret import Secret
from prover.statement import METADATA_FIELDS, build_statement, canonical, check_metadata
from prover.workers import DaskCluster, Processes


def _refuse_tokens(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """`--tokens` is for `huref ics`: whoever chooses the tokens of a proof could shop for a fingerprint."""
    if value is not None:
        raise UsageError(
            "--tokens: a proof's tokens are those of the profile's rule; a bundle with others would be rejected",
            step="tokens",
            hint="huref ics A B --tokens FILE compares two models over tokens of your choice, without a proof",
        )


@click.command("prove")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="Bundle to write: a folder, or an archive if it ends in .zip or .huref.",
)
@click.option(
    "--secret",
    "secret_path",
    type=click.Path(path_type=Path),
    help="Where the salt seed is kept, mode 0600. Default: the user's data directory.",
)
@click.option("--profile", "profile_name", help="Published profile. Default: the smallest that admits the model.")
@click.option("--model-name", default="", help="Free text in the statement.")
@click.option("--model-version", default="", help="Free text in the statement.")
@click.option("--model-maker", default="", help="Free text in the statement.")
@click.option("--jobs", type=int, help="Processes that commit to rows. Default: as many as there are cores.")
@click.option(
    "--dask", "dask_address", help="Commit on the dask.distributed cluster with this scheduler, tcp://HOST:PORT."
)
@click.option("--force", is_flag=True, help="Replace an existing bundle.")
@click.option("--tokens", hidden=True, expose_value=False, is_eager=True, callback=_refuse_tokens)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("-q", "--quiet", is_flag=True, help="No progress on stderr.")
def prove(
    checkpoint: Path,
    target: Path,
    secret_path: Path | None,
    profile_name: str | None,
    model_name: str,
    model_version: str,
    model_maker: str,
    jobs: int | None,
    dask_address: str | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Prove the fingerprint of the model in CHECKPOINT, a Hugging Face directory.

    A killed run resumes where it was when it is started again with the same arguments.
    """
    start = time.monotonic()
    progress = Progress.silent() if quiet else Progress.on_stderr()
    bundles.check_target(target, force)
    metadata = dict(zip(METADATA_FIELDS, (model_name, model_version, model_maker), strict=True))
    check_metadata(metadata)
    if jobs is not None and dask_address is not None:
        raise UsageError("--jobs and --dask: one of them", step="commit to rows")
    pool = Processes(jobs) if dask_address is None else DaskCluster(dask_address)
    with progress.timed("read, quantize"):
        profile, source = read_for_profile(checkpoint, profile_name)
    if profile_name is None:
        srs = " under the ceremony's SRS" if profile.document["srs"]["trust"] == "ceremony" else ""
        progress.notice(f"profile {profile.name}, the smallest published one{srs} that admits this model")
    path = secret_path or secret_files.default_path(source.weights_sha256, profile.name)
    secret = secret_files.load_or_create(path, target, source.weights_sha256)
    everything_public = canonical(build_statement(profile, source, (), metadata))
    with job(everything_public, source.weights_sha256, secret.seed) as work:
        session = work.part("session", lambda: secrets.token_bytes(32))
        result = FingerprintProver(profile, source, secret.seed, session, work, metadata, progress, pool).run()
        secret_files.write(path, Secret(secret.seed, secret.weights_sha256, result.cm))
        with progress.timed("verify"):
            bundles.write(result.files, target, accept=verify_with_own_command)
    seconds = time.monotonic() - start
    size = sum(len(data) for data in result.files.values())
    clipped = max(source.matrices.clipped.values())
    if as_json:
        report = {
            "bundle": str(target),
            "cm": result.cm,
            "secret": str(path),
            "profile": profile.name,
            "seconds": round(seconds, 2),
            "bytes": size,
            "largest_clipped_share": clipped,
            "quantization_cosine": source.cosine,
            "picture": "fingerprint.png",
        }
        click.echo(json.dumps(report, sort_keys=True))
        return
    click.echo(f"bundle      {target} ({size / 1000:.0f} kB), verified by huref-verify")
    click.echo(f"picture     {target / 'fingerprint.png' if target.is_dir() else 'fingerprint.png in the archive'}")
    click.echo(f"commitment  {result.cm}")
    click.echo(f"secret      {path} (keep it: an opening needs it; never publish it)")
    click.echo(
        f"quantized   cosine to floating point {source.cosine:.5f}, at most {100 * clipped:.2f}% clipped a matrix"
    )
    click.echo(f"time        {seconds:.0f} s")


def verify_with_own_command(folder: Path, *more: Path) -> None:
    """Run `huref-verify` on a finished bundle, or on a comparison and its bundles; CircuitError unless it accepts.

    The development SRS is allowed here: whether to trust it is the auditor's question, not the maker's.
    """
    report = own_verifier.report_on(folder, "--allow-dev-srs", more=more)
    if report["verdict"] != "accepted":
        raise CircuitError(
            f"what was made does not verify: {report['verdict_line']}",
            step="verify",
            hint="report this: it is a bug",
        )
