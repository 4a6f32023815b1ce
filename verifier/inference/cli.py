"""`huref-verify PROOF BUNDLE`: what `cli` does when the first path is a feed-forward proof."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import click

from verifier.fingerprint.options import Options
from verifier.inference.page import feed_forward_page
from verifier.inference.report import closing_text, step_text
from verifier.inference.verify import verify_feed_forward
from verifier.results.files import write_result
from verifier.results.printing import say, tell
from verifier.results.steps import Check


def feed_forward_command(
    paths: tuple[Path, ...], options: Options, as_json: bool, quiet: bool, page_file: Path | None
) -> int:
    """Verify, print, write the page if it is asked for; the exit code.

    Raises:
        click.UsageError: not exactly one bundle follows.
    """
    if len(paths) != 2:
        raise click.UsageError(
            f"{click.format_filename(paths[0])} is a feed-forward proof: give its bundle too, PROOF BUNDLE"
        )

    def show(check: Check) -> None:
        tell(step_text(check))

    report = verify_feed_forward(paths[0], paths[1], options, None if as_json or quiet else show)
    if as_json:
        say(json.dumps(report.as_json(), indent=1, ensure_ascii=True))
    else:
        tell(report.verdict_line() if quiet else closing_text(report))

    def page() -> bytes:
        return feed_forward_page(report, options, datetime.now(timezone.utc))

    return max(report.exit_code, write_result(page_file, page))
