"""`huref-verify COMPARISON BUNDLE_A BUNDLE_B`: what `cli` does when the first path is a proven comparison."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import click

from verifier.comparison.page import comparison_page
from verifier.comparison.report import closing_text, step_text
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options
from verifier.results.files import write_result
from verifier.results.printing import say, tell
from verifier.results.steps import Check


def comparison_command(
    paths: tuple[Path, ...],
    options: Options,
    as_json: bool,
    quiet: bool,
    page_file: Path | None,
    challenge: bytes | None,
) -> int:
    """Verify, print, write the page if it is asked for; the exit code.

    Raises:
        click.UsageError: not exactly two bundles follow.
    """
    if len(paths) != 3:
        raise click.UsageError(
            f"{click.format_filename(paths[0])} is a comparison: give its two bundles too, COMPARISON BUNDLE_A BUNDLE_B"
        )

    def show(check: Check) -> None:
        tell(step_text(check))

    report = verify_comparison(paths[0], (paths[1], paths[2]), options, None if as_json or quiet else show, challenge)
    if as_json:
        say(json.dumps(report.as_json(), indent=1, ensure_ascii=True))
    else:
        tell(report.verdict_line() if quiet else closing_text(report))

    def page() -> bytes:
        return comparison_page(report, options.allow_development_srs, datetime.now(timezone.utc))

    return max(report.exit_code, write_result(page_file, page))
