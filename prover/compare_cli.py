"""`huref compare A B`: whether two bundles' models have a common base. The computation is the verifier's."""

from __future__ import annotations

import os
from pathlib import Path

import click

from prover.verifier_process import COMPARE, run_verifier


@click.command("compare")
@click.argument("left", metavar="BUNDLE_A", type=click.Path(path_type=Path))
@click.argument("right", metavar="BUNDLE_B", type=click.Path(path_type=Path))
@click.option("--allow-dev-srs", is_flag=True, help="Trust whoever made a development SRS.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Also write one HTML page for people.")
@click.option("--time-limit", metavar="SECONDS", help="Undecided after this long, for each bundle.")
@click.pass_context
def compare(
    context: click.Context,
    left: Path,
    right: Path,
    allow_dev_srs: bool,
    as_json: bool,
    report: Path | None,
    time_limit: str | None,
) -> None:
    """Say whether the models of two bundles have a common base, from their fingerprints alone: no secrets, no weights.

    Runs `huref-verify compare`, which verifies both first. Exit codes are its own: 0 compared, whatever the verdict;
    2 wrong usage; 3 undecided, or not comparable; 4 a bundle is rejected.
    """
    arguments = ["--allow-dev-srs"] * allow_dev_srs + ["--json"] * as_json
    arguments += [] if report is None else ["--report", os.fspath(report)]
    arguments += [] if time_limit is None else ["--time-limit", time_limit]
    context.exit(run_verifier([*arguments, "--", os.fspath(left), os.fspath(right)], COMPARE))
