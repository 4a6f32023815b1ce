"""`huref-verify`: its options. Only this module, those called `..._cli`, and `files` of a failed write print,
all by `printing`.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from verifier.comparison.artefact import is_comparison
from verifier.comparison.cli import comparison_command
from verifier.comparison.published_cli import compare
from verifier.fingerprint.options import Options
from verifier.fingerprint.page import page
from verifier.fingerprint.report import (
    Report,
    closing_text,
    counts_text,
    many_as_json,
    step_text,
    summary_line,
    worst_exit_code,
)
from verifier.fingerprint.verify import verify_bundle
from verifier.formats.errors import Rejected, VerifierError
from verifier.formats.limits import DEFAULT_OPENING_TIME_LIMIT_S, DEFAULT_TIME_LIMIT_S, MAX_JOBS
from verifier.formats.strict_json import hex64
from verifier.formats.text import printable
from verifier.inference.artefact import is_feed_forward
from verifier.inference.cli import feed_forward_command
from verifier.many.batch import default_jobs, find_bundles, verify_many
from verifier.many.junit import junit
from verifier.many.sarif import sarif
from verifier.profiles_cli import profiles
from verifier.results.files import check_target, write_result
from verifier.results.printing import Command, color_option, quiet_option, say, tell
from verifier.results.steps import Check
from verifier.signature.identity import Identity, read_identity
from verifier.version import __version__

_FILE = click.Path(path_type=Path, dir_okay=False)


_WORDS = {"profiles": profiles, "compare": compare}


class _WithWords(Command):
    """The command, but a first word of `_WORDS` means another one: `./compare` is a bundle of that name."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args and args[0] in _WORDS:
            word = args[0]
            if Path(word).exists():  # `huref-verify *` in somebody's folder must not end with 0, nothing verified
                raise click.UsageError(f"{word} is also here: say ./{word}, or ask from a folder without it")
            return _WORDS[word].make_context(f"{info_name} {word}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


@click.command(
    cls=_WithWords,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`huref-verify profiles` lists what this verifier trusts; `huref-verify compare A B` compares two bundles.",
)
@click.argument("bundles", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--recursive", "-r", is_flag=True, help="Find bundles below each folder given.")
@click.option(
    "--jobs",
    "-j",
    type=click.IntRange(1, MAX_JOBS),
    metavar="N",
    help="Verify so many bundles at a time.  [default: as many as cores]",
)
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
@click.option(
    "--identity",
    metavar="KEY_OR_ID",
    help="Who must have signed: a public key's PEM file, a key's id, or sigstore:WHO@https://ISSUER.",
)
@click.option(
    "--challenge",
    metavar="HEX",
    help="Of a comparison: the number that you named after both commitments, 64 hex digits.",
)
@click.option("--allow-no-bundles", is_flag=True, help="With --recursive: exit code 0 also if there is no bundle.")
@click.option("--allow-dev-srs", is_flag=True, help="Trust whoever made a development SRS.")
@quiet_option
@color_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@click.option("--report", "page_file", type=_FILE, metavar="FILE", help="Also write one HTML page for people.")
@click.option("--junit", "junit_file", type=_FILE, metavar="FILE", help="Also write JUnit XML.")
@click.option("--sarif", "sarif_file", type=_FILE, metavar="FILE", help="Also write SARIF 2.1.0, for code scanning.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0.0, max=1e6, min_open=True),
    metavar="SECONDS",
    help="Undecided after this long, for each bundle.  "
    f"[default: {DEFAULT_TIME_LIMIT_S:g}; {DEFAULT_OPENING_TIME_LIMIT_S:g} with --weights]",
)
@click.version_option(__version__, "-V", "--version", prog_name="huref-verify")
def main(
    bundles: tuple[Path, ...],
    recursive: bool,
    jobs: int | None,
    weights: Path | None,
    opening: Path | None,
    identity: str | None,
    challenge: str | None,
    allow_no_bundles: bool,
    allow_dev_srs: bool,
    quiet: bool,
    as_json: bool,
    page_file: Path | None,
    junit_file: Path | None,
    sarif_file: Path | None,
    time_limit: float | None,
) -> None:
    """Verify each fingerprint BUNDLE, a directory or zip.

    One bundle: every check is shown. Several, or --recursive: a line each, in parallel. If the first is a proven
    comparison (huref compare --prove), its two bundles follow: COMPARISON BUNDLE_A BUNDLE_B; if it is a feed-forward
    proof (huref feedforward), its bundle follows: PROOF BUNDLE.

    Exit codes, the worst of all bundles: 0 accepted; 2 wrong usage, or a result that cannot be written; 3 undecided;
    4 rejected. 141: who read the result stopped reading.
    """
    many = recursive or len(bundles) > 1
    if (weights is None) != (opening is None):
        raise click.UsageError("--weights and --opening come together")
    if time_limit is not None and not math.isfinite(time_limit):
        raise click.UsageError("--time-limit is a number of seconds")
    if allow_no_bundles and not recursive:
        raise click.UsageError("--allow-no-bundles goes with --recursive")
    for option, file in (("--report", page_file), ("--junit", junit_file), ("--sarif", sarif_file)):
        check_target(option, file)
    default = DEFAULT_TIME_LIMIT_S if weights is None else DEFAULT_OPENING_TIME_LIMIT_S
    options = Options(
        allow_development_srs=allow_dev_srs,
        weights=weights,
        secret=opening,
        time_limit_s=default if time_limit is None else time_limit,
        identity=None if identity is None else _identity(identity),
    )
    if not recursive and is_comparison(bundles[0]):
        if any(option is not None for option in (weights, identity, junit_file, sarif_file)):
            raise click.UsageError("--weights, --opening, --identity, --junit and --sarif are about bundles alone")
        sys.exit(comparison_command(bundles, options, as_json, quiet, page_file, _challenge(challenge)))
    if challenge is not None:
        raise click.UsageError("--challenge is about a comparison: COMPARISON BUNDLE_A BUNDLE_B")
    if not recursive and is_feed_forward(bundles[0]):
        if any(option is not None for option in (identity, junit_file, sarif_file)):
            raise click.UsageError("--identity, --junit and --sarif are about bundles alone")
        sys.exit(feed_forward_command(bundles, options, as_json, quiet, page_file))
    if weights is not None and many:
        raise click.UsageError("--weights and --opening are about one BUNDLE")
    paths = _find(bundles, allow_no_bundles) if recursive else list(dict.fromkeys(bundles))
    reports = _many(paths, options, jobs, as_json, quiet) if many else [_one(paths[0], options, as_json, quiet)]
    written = [
        write_result(file, data)
        for file, data in (
            (page_file, lambda: page(reports, options, datetime.now(timezone.utc))),
            (junit_file, lambda: junit(reports)),
            (sarif_file, lambda: sarif(reports, Path.cwd())),
        )
    ]
    sys.exit(max(worst_exit_code(reports), *written))


def _identity(text: str) -> Identity:
    try:
        return read_identity(text)
    except VerifierError as error:
        raise click.UsageError(f"--identity: {printable(error.message)}") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no file name"
        raise click.UsageError(f"--identity: {printable(text)}: {reason}") from None


def _challenge(text: str | None) -> bytes | None:
    try:
        return None if text is None else hex64(text, "--challenge")
    except Rejected as error:
        raise click.UsageError(error.message) from None


def _find(given: tuple[Path, ...], none_is_fine: bool) -> list[Path]:
    try:
        paths = [found for path in given for found in (find_bundles(path) if path.is_dir() else [path])]
    except (VerifierError, OSError) as error:
        raise click.UsageError(f"--recursive: {printable(str(error))}") from None
    if not paths and not none_is_fine:  # a CI job that looks into the wrong folder must not pass
        raise click.UsageError(f"--recursive: no bundle below {', '.join(map(click.format_filename, given))}")
    return list(dict.fromkeys(paths))


def _one(path: Path, options: Options, as_json: bool, quiet: bool) -> Report:
    def show(check: Check) -> None:
        tell(step_text(check))

    report = verify_bundle(path, options, None if as_json or quiet else show)
    if as_json:
        say(json.dumps(report.as_json(), indent=1, ensure_ascii=True))
    else:
        tell(report.verdict_line() if quiet else closing_text(report))
    return report


def _many(paths: list[Path], options: Options, jobs: int | None, as_json: bool, quiet: bool) -> list[Report]:
    reports = []
    for report in verify_many(paths, options, jobs or default_jobs()):
        reports.append(report)
        if not as_json and not (quiet and report.failure is None):
            tell(summary_line(report))
    if as_json:
        say(json.dumps(many_as_json(reports), indent=1, ensure_ascii=True))
    else:
        tell(counts_text(reports))
    return reports
