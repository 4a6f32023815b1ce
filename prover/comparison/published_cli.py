"""`huref compare A B`: whether two bundles' models have a common base. The computation is the verifier's."""

from __future__ import annotations

import os
from pathlib import Path

import click

from circuits.command_group import ResumingCommand
from circuits.errors import UsageError
from prover.comparison.cli import prove_comparison, read_request
from prover.fingerprint.own_verifier import COMPARE, run_verifier

_VERDICTS = ("derived", "inconclusive", "independent")  # as huref-verify compare says them


@click.command("compare", cls=ResumingCommand)
@click.argument("left", metavar="BUNDLE_A", type=click.Path(path_type=Path))
@click.argument("right", metavar="BUNDLE_B", type=click.Path(path_type=Path))
@click.option("--allow-dev-srs", is_flag=True, help="Trust whoever made a development SRS.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Also write one HTML page for people.")
@click.option("--time-limit", metavar="SECONDS", help="Undecided after this long, for each bundle.")
@click.option(
    "--prove",
    "secrets",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="SECRET_A SECRET_B",
    help="Prove how alike the committed weights are: both makers' secret files.",
)
@click.option(
    "--weights",
    "checkpoints",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="DIR_A DIR_B",
    help="With --prove: both checkpoints.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    metavar="COMPARISON",
    help="With --prove: what to write, a folder, or an archive if it ends in .zip or .huref.",
)
@click.option("--at-least", metavar="T", help="With --prove: show only that the ICS is at least T, and not how high.")
@click.option(
    "--challenge",
    metavar="HEX",
    help="With --prove: 64 hex digits that an auditor named after both commitments; the projection hangs on them too.",
)
@click.option("--force", is_flag=True, help="With --prove: replace an existing comparison.")
@click.option("-q", "--quiet", is_flag=True, help="Only the verdict line; with --prove: no progress on stderr.")
@click.option(
    "--fail-on",
    type=click.Choice(_VERDICTS),
    multiple=True,
    help="Exit code 5 if this is the verdict; may be given more than once.",
)
@click.pass_context
def compare(
    context: click.Context,
    left: Path,
    right: Path,
    allow_dev_srs: bool,
    as_json: bool,
    report: Path | None,
    time_limit: str | None,
    secrets: tuple[Path, Path] | None,
    checkpoints: tuple[Path, Path] | None,
    target: Path | None,
    at_least: str | None,
    challenge: str | None,
    force: bool,
    quiet: bool,
    fail_on: tuple[str, ...],
) -> None:
    """Say whether the models of two bundles have a common base, from their fingerprints alone: no secrets, no weights.

    Runs `huref-verify compare`, which verifies both first. Exit codes are its own: 0 compared, whatever the verdict,
    but see --fail-on; 2 wrong usage; 3 undecided, or not comparable; 4 a bundle is rejected; 5 the verdict is one that
    --fail-on names.

    With --prove, --weights and -o: prove the ICS of the committed weights under a projection drawn from both
    commitments, and write that. Whoever has both secrets can; `huref-verify COMPARISON BUNDLE_A BUNDLE_B` verifies it.
    """
    if secrets is not None or checkpoints is not None or target is not None:
        if secrets is None or checkpoints is None or target is None:
            raise UsageError("--prove, --weights and -o come together", step="comparison")
        if report is not None or time_limit is not None or allow_dev_srs:
            raise UsageError(
                "--report, --time-limit and --allow-dev-srs are about verifying, not about --prove",
                step="comparison",
                hint="huref-verify COMPARISON BUNDLE_A BUNDLE_B takes them",
            )
        if fail_on:
            raise UsageError("--fail-on is about two fingerprints' verdict, not about --prove", step="comparison")
        request = read_request(at_least, challenge)
        prove_comparison(
            (left, right), checkpoints, secrets, target, request, force=force, as_json=as_json, quiet=quiet
        )
        return
    if at_least is not None or challenge is not None:
        raise UsageError("--at-least and --challenge go with --prove", step="comparison")
    arguments = ["--allow-dev-srs"] * allow_dev_srs + ["--json"] * as_json
    arguments += [] if report is None else ["--report", os.fspath(report)]
    arguments += ["--quiet"] * quiet + [f"--fail-on={word}" for word in fail_on]
    arguments += [] if time_limit is None else ["--time-limit", time_limit]
    context.exit(run_verifier([*arguments, "--", os.fspath(left), os.fspath(right)], COMPARE))
