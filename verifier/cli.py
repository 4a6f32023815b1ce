"""`huref-verify`: the only place of the verifier that prints and exits."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import click

from verifier import __version__, profile
from verifier.errors import VerifierError
from verifier.limits import DEFAULT_OPENING_TIME_LIMIT_S, DEFAULT_TIME_LIMIT_S
from verifier.report import EXIT_UNDECIDED, Check, check_text, closing_text
from verifier.verify import Options, verify_bundle


def _list_profiles(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    try:
        for name in sorted(profile.trusted()):
            found = profile.load_profile(name)
            trust = "development SRS" if found.development_srs else "ceremony SRS"
            click.echo(
                f"{name}  {found.size_class.name}, k={found.size_class.k}, {trust}, SHA-256 {found.sha256.hex()}"
            )
    except VerifierError as error:
        click.echo(f"{error.message}\nHint: {error.hint}", err=True)
        context.exit(EXIT_UNDECIDED)
    context.exit(0)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Checkpoint directory: also check that the commitments are its (needs --opening).",
)
@click.option(
    "--opening",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The maker's secret file that opens the commitments (needs --weights).",
)
@click.option("--allow-dev-srs", is_flag=True, help="Trust whoever made a development SRS.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0.0, max=1e6, min_open=True),
    metavar="SECONDS",
    help="Undecided after this long.  "
    f"[default: {DEFAULT_TIME_LIMIT_S:g}; {DEFAULT_OPENING_TIME_LIMIT_S:g} with --weights]",
)
@click.option(
    "--list-profiles",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_profiles,
    help="List the published profiles this verifier trusts, and exit.",
)
@click.version_option(__version__, prog_name="huref-verify")
def main(
    bundle: Path,
    weights: Path | None,
    opening: Path | None,
    allow_dev_srs: bool,
    as_json: bool,
    time_limit: float | None,
) -> None:
    """Verify the fingerprint BUNDLE, a directory or zip.

    Exit codes: 0 accepted, 2 wrong usage, 3 undecided, 4 rejected.
    """
    if (weights is None) != (opening is None):
        raise click.UsageError("--weights and --opening come together")
    if time_limit is not None and not math.isfinite(time_limit):
        raise click.UsageError("--time-limit is a number of seconds")
    default = DEFAULT_TIME_LIMIT_S if weights is None else DEFAULT_OPENING_TIME_LIMIT_S
    options = Options(
        allow_development_srs=allow_dev_srs,
        weights=weights,
        secret=opening,
        time_limit_s=default if time_limit is None else time_limit,
    )

    def show(check: Check) -> None:
        click.echo(check_text(check))

    report = verify_bundle(bundle, options, None if as_json else show)
    if as_json:
        click.echo(json.dumps(report.as_json(), indent=1, ensure_ascii=True))
    else:
        click.echo(closing_text(report))
    sys.exit(report.exit_code)
