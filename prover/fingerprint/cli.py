"""`huref prove CHECKPOINT -o BUNDLE`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from circuits.command_group import ResumingCommand
from circuits.errors import UsageError
from circuits.printing import say
from prover.commitments.workers import DaskCluster, Processes
from prover.fingerprint.run import prove_checkpoint
from prover.fingerprint.statement import METADATA_FIELDS
from prover.progress import Progress


def _refuse_tokens(_context: click.Context, _option: click.Parameter, value: str | None) -> None:
    """`--tokens` is for `huref ics`: whoever chooses the tokens of a proof could shop for a fingerprint."""
    if value is not None:
        raise UsageError(
            "--tokens: a proof's tokens are those of the profile's rule; a bundle with others would be rejected",
            step="tokens",
            hint="huref ics A B --tokens FILE compares two models over tokens of your choice, without a proof",
        )


@click.command("prove", cls=ResumingCommand)
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
    progress = Progress.silent() if quiet else Progress.on_stderr()
    if jobs is not None and dask_address is not None:
        raise UsageError("--jobs and --dask: one of them", step="commit to rows")
    made = prove_checkpoint(
        checkpoint,
        target,
        profile=profile_name,
        secret=secret_path,
        metadata=dict(zip(METADATA_FIELDS, (model_name, model_version, model_maker), strict=True)),
        pool=Processes(jobs) if dask_address is None else DaskCluster(dask_address),
        replace=force,
        progress=progress,
    )
    if as_json:
        report = {
            "bundle": str(target),
            "cm": made.cm,
            "secret": str(made.secret),
            "profile": made.profile,
            "seconds": round(made.seconds, 2),
            "bytes": made.bytes,
            "largest_clipped_share": made.largest_clipped_share,
            "quantization_cosine": made.quantization_cosine,
            "row_kernels": list(made.kernels),
            "picture": "fingerprint.png",
        }
        say(json.dumps(report, sort_keys=True))
        return
    say(f"bundle      {target} ({made.bytes / 1000:.0f} kB), verified by huref-verify")
    say(f"picture     {target / 'fingerprint.png' if target.is_dir() else 'fingerprint.png in the archive'}")
    say(f"commitment  {made.cm}")
    say(f"secret      {made.secret} (keep it: an opening needs it; never publish it)")
    say(
        f"quantized   cosine to floating point {made.quantization_cosine:.5f}, "
        f"at most {100 * made.largest_clipped_share:.2f}% clipped a matrix"
    )
    say(f"rows        committed by {' and '.join(made.kernels) or 'an earlier run'}")
    say(f"time        {made.seconds:.0f} s")
