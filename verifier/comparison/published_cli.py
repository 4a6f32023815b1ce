"""`huref-verify compare A B`: verify two bundles, then say how alike their fingerprints are."""

from __future__ import annotations

import json
import math
from datetime import datetime, timezone
from pathlib import Path

import click

from verifier.comparison.likeness import p_text
from verifier.comparison.published import MEANING, NOT_PROVEN, Comparison, compare_bundles
from verifier.comparison.published_page import published_page
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import summary_line
from verifier.formats.limits import DEFAULT_TIME_LIMIT_S
from verifier.formats.text import printable
from verifier.results.files import check_target, write_result
from verifier.results.printing import Command, color_option, say, tell
from verifier.results.verdict import EXIT_ASKED_FOR


@click.command(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("left", metavar="A", type=click.Path(path_type=Path))
@click.argument("right", metavar="B", type=click.Path(path_type=Path))
@click.option("--allow-dev-srs", is_flag=True, help="Trust whoever made a development SRS.")
@click.option("--quiet", "-q", is_flag=True, help="Of the text only the verdict line.")
@color_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option(
    "--report",
    "page_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also write one HTML page for people.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0.0, max=1e6, min_open=True),
    default=DEFAULT_TIME_LIMIT_S,
    show_default=True,
    metavar="SECONDS",
    help="Undecided after this long, for each bundle.",
)
@click.option(
    "--fail-on",
    type=click.Choice(tuple(MEANING)),
    multiple=True,
    help="Exit code 5 if this is the verdict; may be given more than once.",
)
@click.pass_context
def compare(
    context: click.Context,
    left: Path,
    right: Path,
    allow_dev_srs: bool,
    quiet: bool,
    as_json: bool,
    page_file: Path | None,
    time_limit: float,
    fail_on: tuple[str, ...],
) -> None:
    """Say whether the models of bundles A and B have a common base, from their fingerprints alone.

    Both bundles are verified first; there is no verdict on likeness unless both are accepted.

    Exit codes: 0 compared, whatever the verdict, but see --fail-on; 2 wrong usage, or a result that cannot be
    written; 3 undecided, or made so that they cannot be compared; 4 a bundle is rejected; 5 the verdict is one that
    --fail-on names. 141: who read the result stopped reading.
    """
    if not math.isfinite(time_limit):
        raise click.UsageError("--time-limit is a number of seconds")
    check_target("--report", page_file)
    options = Options(allow_development_srs=allow_dev_srs, time_limit_s=time_limit)
    comparison = compare_bundles(left, right, options)
    if as_json:
        say(json.dumps(comparison.as_json(), indent=1))
    else:
        tell(comparison.verdict_line() if quiet else as_text(comparison))

    def page() -> bytes:
        return published_page(comparison, allow_dev_srs, datetime.now(timezone.utc))

    exit_code = max(comparison.exit_code, write_result(page_file, page))
    named = comparison.likeness is not None and comparison.likeness.verdict in fail_on
    context.exit(EXIT_ASKED_FOR if named and not exit_code else exit_code)


def as_text(comparison: Comparison) -> str:
    """A comparison in words; the last line is the verdict."""
    lines = [f"{letter}  {summary_line(report)}" for letter, report in zip("AB", comparison.reports, strict=True)]
    likeness = comparison.likeness
    if likeness is not None:
        lines += ["", f"cosine of z  {likeness.cosine:+.6f}"]
        lines.append(f"p-value      {p_text(likeness.p_value)}: a bound on how often unrelated models are as alike")
        thresholds = likeness.thresholds()
        if thresholds is not None:
            lines.append(f"verdicts     independent below {thresholds[0]:.3f}, derived from {thresholds[1]:.3f} on")
        if comparison.same_commitment:
            lines.append("both bundles commit to the same weights, with the same salts")
        lines += [f"unreliable   {reason}" for reason in likeness.unreliable]
        lines += ["", MEANING[likeness.verdict], "Not proven:", *(f"- {text}" for text in NOT_PROVEN)]
    elif comparison.failure is not None and comparison.failure.hint:
        lines.append(f"Hint: {printable(comparison.failure.hint)}")
    return "\n".join([*lines, comparison.verdict_line()])
