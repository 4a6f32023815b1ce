"""Reports as one self-contained HTML page: no network, no script, readable without colour, on a phone, printed.

Every string of a bundle is untrusted: it goes through `given`, which escapes it, takes out control and direction
characters and isolates what is left. The picture is encoded anew from decoded pixels. Pure.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime

from verifier.fingerprint.bundle_pieces import png_in_base64
from verifier.fingerprint.options import Options
from verifier.fingerprint.page_words import NOT_PROVEN, VERDICT_WORDS
from verifier.fingerprint.report import Report, counts_text
from verifier.fingerprint.steps import PLAIN, WHY
from verifier.formats.package import ZIP_SUFFIXES
from verifier.formats.text import printable
from verifier.results.page_pieces import (
    NOT_PROVEN_DEVELOPMENT,
    document,
    escape,
    given,
    result_mark,
    shape,
    shell_word,
    step_row,
    steps_table,
    table_of,
)
from verifier.results.steps import Check, Status
from verifier.version import __version__


def page(reports: Sequence[Report], options: Options, when: datetime) -> bytes:
    """The page, UTF-8. `options` are those the reports were made with: they are in the commands to reproduce them."""
    if len(reports) == 1:
        title = f"{reports[0].verdict.capitalize()}: {printable(reports[0].bundle)}"
    else:
        title = counts_text(reports).split(".")[0]
    body = [_overview(reports)] if len(reports) != 1 else []
    body += [_article(number, report, options) for number, report in enumerate(reports, 1)]
    return document(title, "Verification of a language model's fingerprint", "\n".join(body), when)


def _overview(reports: Sequence[Report]) -> str:
    lines = "\n".join(
        f'<tr><td><a href="#bundle-{number}">{escape(report.bundle)}</a></td>'
        f"<td>{result_mark(report.verdict)}</td></tr>"
        for number, report in enumerate(reports, 1)
    )
    return (
        f"<section>\n<h2>{escape(counts_text(reports).split('.')[0])}</h2>\n<table>\n"
        '<thead><tr><th scope="col">Bundle</th><th scope="col">Verdict</th></tr></thead>\n'
        f"<tbody>\n{lines}\n</tbody></table>\n</section>"
    )


def _article(number: int, report: Report, options: Options) -> str:
    parts = [
        f'<article id="bundle-{number}" aria-labelledby="verdict-{number}">',
        _verdict(number, report),
        _figure(report),
        "<h3>What was checked</h3>",
        _checks(report.checks),
        "<h3>What is not proven</h3>",
        _not_proven(report),
        "<h3>What it is about</h3>",
        table_of([(key.capitalize(), given(value) if value else "not said") for key, value in report.metadata.items()],
              "What the maker says about the model. Nobody checked it."),
        "<h3>Digests</h3>",
        _digests(report),
        "<h3>How to reproduce this</h3>",
        _reproduce(report, options),
        "</article>",
    ]  # fmt: skip
    if not report.metadata:
        del parts[7:9]
    return "\n".join(parts)


def _verdict(number: int, report: Report) -> str:
    what, explained = VERDICT_WORDS[report.verdict]
    if report.failure is not None:
        what += f" {report.failed_where()}"
        explained += f" <strong>{given(report.failure.message)}</strong>"
    elif report.opened:
        explained += " The committed weights are those of the given checkpoint."
    if report.identity is not None:
        explained += f" Signed by {given(report.identity)}."
    lines = [
        f'<div class="verdict {report.verdict}">{shape(report.verdict)}<div>',
        f'<h2 id="verdict-{number}">{escape(what)}</h2>',
        f"<p>{explained}</p>",
        f"<p>Bundle: {given(report.bundle)}</p>",
    ]
    if report.failure is not None and report.failure.hint:
        lines.append(f"<p>What can be done: {given(report.failure.hint)}</p>")
    lines.append("</div></div>")
    if report.development_srs and report.verdict != "rejected":
        lines.append(f'<p class="caution"><strong>Mind the setup.</strong> {NOT_PROVEN_DEVELOPMENT}</p>')
    return "\n".join(lines)


def _figure(report: Report) -> str:
    if report.picture is None:
        return '<p class="caution">There is no picture to show: the bundle could not be read.</p>'
    height, width = report.picture.pixels.shape[:2]
    shown = any(check.step == 9 and check.status is Status.PASSED for check in report.checks)
    if report.verdict == "accepted":
        caption = "The fingerprint. Models that share a base have nearly the same picture."
    elif shown and report.verdict == "undecided":
        caption = "The picture in the bundle. It fits the proofs, whose worth was not decided."
    else:
        caption = "<strong>Not shown to be a fingerprint.</strong> The picture as it lies in the bundle."
    return (
        f'<figure><img src="data:image/png;base64,{png_in_base64(report.picture)}" width="{width}" height="{height}" '
        f'alt="The picture in the bundle, {width} by {height} pixels, made by a generator.">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _checks(checks: Sequence[Check]) -> str:
    lines = []
    for check in checks:
        said = f"<p>Compared: {given(check.compared)}</p>" if check.status is Status.PASSED else ""
        if check.status is not Status.PASSED and check.compared:
            said = f"<p>Found: {given(check.compared)}</p>"
        title = f"<strong>{PLAIN.get(check.step, 'The start')}</strong> ({check.name})"
        lines.append(step_row(check, f"{title}<p>{WHY.get(check.step, '')}</p>{said}"))
    return steps_table(lines, "docs/protocol.md section 9")


def _not_proven(report: Report) -> str:
    lines = []
    if report.verdict != "accepted":
        lines.append(
            "<p><strong>This bundle was not accepted: nothing is proven.</strong> Had it been, this would still be "
            "open:</p>"
        )
    lines.append("<dl>")
    if report.development_srs:
        lines.append(f"<div><dt>Development SRS</dt><dd>{NOT_PROVEN_DEVELOPMENT}</dd></div>")
    lines += [
        f"<div><dt>{one.name}</dt><dd>{one.words}</dd></div>"
        for one in NOT_PROVEN
        if not (report.opened and one.shown_by_opening) and not (report.identity and one.shown_by_identity)
    ]
    return "\n".join([*lines, "</dl>"])


def _digests(report: Report) -> str:
    def code(digest: str) -> str:
        return f"<code>{escape(digest)}</code>"

    if not report.files:
        return "<p>None: the bundle could not be read.</p>"
    tables = [table_of(((escape(name), code(digest)) for name, digest in report.files.items()), "SHA-256 of its files")]
    if report.bundle_sha256 is not None:
        tables.insert(0, table_of([("bundle", code(report.bundle_sha256))], "Digest of all five files; what is signed"))
    if report.commitment is not None:
        tables.insert(0, table_of([("cm", code(report.commitment))], "What names the committed weights"))
    if report.pinned:
        caption = f"SHA-256 of what the verifier trusts: profile {escape(report.profile or '')}"
        tables.append(table_of(((escape(name), code(digest)) for name, digest in report.pinned.items()), caption))
    return "\n".join(tables)


def _reproduce(report: Report, options: Options) -> str:
    path = shell_word(report.bundle)
    command = ["huref-verify", path]
    if options.allow_development_srs:
        command.append("--allow-dev-srs")
    if options.weights is not None and options.secret is not None:
        command += ["--weights", shell_word(str(options.weights)), "--opening", shell_word(str(options.secret))]
    if options.identity is not None:
        command += ["--identity", shell_word(str(options.identity))]
    lines = [
        f"# once, in a checkout of huref-zk {__version__}; the verifier needs nothing more",
        "python3 -m pip install .",
        "# what it trusts: the digests must be those above",
        "huref-verify profiles",
        f"# exit code {report.exit_code}: {report.verdict}",
        " ".join(command),
    ]
    if report.files and not report.bundle.lower().endswith(ZIP_SUFFIXES):
        lines += ["# the bundle's files: the digests must be those above", f"cd {path}"]
        lines.append(f"sha256sum {' '.join(map(html.escape, sorted(report.files)))}")
    text = "\n".join(lines)
    return (
        "<p>Where the bundle lies; no network is needed once installed. "
        f"Exit codes: 0 accepted, 3 undecided, 4 rejected.</p>\n<pre>{text}</pre>"
    )
