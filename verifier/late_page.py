"""A proven comparison as one self-contained HTML page: verdict, both pictures, every check, what is not proven.

Built from the pieces of `page`, with the same rules: every string of an artefact goes through `given` or `escape`.
Pure.
"""

from __future__ import annotations

from datetime import datetime

from verifier import __version__
from verifier.comparison import p_text
from verifier.late_ics import ProvenIcs
from verifier.late_report import WHY, LateCheck, LateReport
from verifier.late_threshold import ProvenAtLeast
from verifier.page import document, escape, given, png_in_base64, result_mark, shape, shell_word, table_of
from verifier.page_words import NOT_PROVEN_DEVELOPMENT
from verifier.report import Report, Status, printable

_LETTERS = ("A", "B")
_RESULT = {
    Status.PASSED: ("passed", "accepted", "passed"),
    Status.FAILED: ("failed", "rejected", "failed"),
    Status.UNDECIDED: ("unsure", "undecided", "unclear"),
    Status.NOT_CHECKED: ("skipped", "skipped", "not done"),
}
_VERDICTS = {
    "accepted": "The ICS is proven",
    "at least": "That the ICS reaches the threshold is proven",
    "undecided": "Undecided",
    "rejected": "Rejected",
}


def late_page(report: LateReport, allow_development_srs: bool, when: datetime) -> bytes:
    """The page, UTF-8. `allow_development_srs` is what the artefact and its bundles were verified with."""
    names = " and ".join(printable(path) for path in report.paths)
    parts = [
        '<article aria-labelledby="verdict">',
        _verdict(report),
        '<div class="pair">',
        *(_picture(letter, one) for letter, one in zip(_LETTERS, report.reports, strict=False)),
        "</div>",
        *(_figures(report.ics) if report.ics else []),
        *(_threshold(report.at_least) if report.at_least else []),
        "<h3>What was checked</h3>",
        _checks(report.checks),
        "<h3>What is not proven</h3>",
        _not_proven(report),
        "<h3>The two bundles</h3>",
        *(_bundle(letter, one) for letter, one in zip(_LETTERS, report.reports, strict=False)),
        "<h3>Digests</h3>",
        _digests(report),
        "<h3>How to reproduce this</h3>",
        _reproduce(report, allow_development_srs),
        "</article>",
    ]
    title = f"{report.verdict.capitalize()}: {names}"
    return document(title, "Proven comparison of two language models", "\n".join(parts), when)


def _verdict(report: LateReport) -> str:
    lines = [
        f'<div class="verdict {report.verdict}">{shape(report.verdict)}<div>',
        f'<h2 id="verdict">{_VERDICTS["at least" if report.at_least else report.verdict]}</h2>',
    ]
    if report.shown is not None:
        chance = f"Chance of that among unrelated models: <strong>{escape(p_text(report.shown.p_value))}</strong>."
        lines.append(f"<p><strong>{report.shown.likeness.capitalize()}.</strong> {escape(report.meaning)}</p>")
        lines.append(f"<p>Of the committed weights: <strong>{escape(report.found())}</strong>. {chance}</p>")
    if report.failure is not None:
        lines.append(
            f"<p>It ended {escape(report.failed_where())}. <strong>{given(report.failure.message)}</strong></p>"
        )
        if report.failure.hint:
            lines.append(f"<p>What can be done: {given(report.failure.hint)}</p>")
    if report.challenge is not None:
        known = "the one that was expected" if report.challenge_expected else "who named it was not checked"
        lines.append(f"<p>Challenge: <code>{report.challenge.hex()}</code>, {known}.</p>")
    lines += [f"<p>Comparison: {given(report.comparison)}</p>", "</div></div>"]
    if report.development_srs and report.verdict != "rejected":
        lines.append(f'<p class="caution"><strong>Mind the setup.</strong> {NOT_PROVEN_DEVELOPMENT}</p>')
    return "\n".join(lines)


def _picture(letter: str, report: Report) -> str:
    if report.picture is None:
        return f'<p class="caution">{letter}: no picture, the bundle could not be read.</p>'
    height, width = report.picture.pixels.shape[:2]
    says = "Its fingerprint" if report.verdict == "accepted" else "<strong>Not shown to be a fingerprint</strong>"
    return (
        f'<figure><img src="data:image/png;base64,{png_in_base64(report.picture)}" width="{width}" height="{height}" '
        f'alt="The picture in bundle {letter}, {width} by {height} pixels, made by a generator.">'
        f"<figcaption><strong>{letter}</strong>: {given(report.bundle)}. {says}.</figcaption></figure>"
    )


def _figures(ics: ProvenIcs) -> list[str]:
    rows = [("ICS", f"{ics.ics:+.6f}, mean of the six terms"), ("Error at most", f"{ics.error:.2g}")]
    rows += [(f"Cosine of term {t}", f"{cosine:+.6f}") for t, cosine in enumerate(ics.cosines)]
    rows.append(
        ("p-value", f"{escape(p_text(ics.p_value))}, one-sided: a bound on how often unrelated models are as alike")
    )
    caption = "From 18 public sums of the similarity proof. The projection was drawn from both commitments."
    return ["<h3>How alike</h3>", table_of(rows, caption)]


def _threshold(shown: ProvenAtLeast) -> list[str]:
    rows = [
        ("ICS", f"at least {shown.at_least:g}; how high is hidden"),
        ("Error at most", f"{shown.error:.2g}"),
        ("p-value", f"{escape(p_text(shown.p_value))}, one-sided: a bound on how often unrelated models are as alike"),
    ]
    caption = "From the 13 public values of the threshold proof. The projection was drawn from both commitments."
    return ["<h3>How alike, at least</h3>", table_of(rows, caption)]


def _checks(checks: tuple[LateCheck, ...]) -> str:
    lines = []
    for check in checks:
        kind, symbol, word = _RESULT[check.status]
        said = "" if check.status is Status.NOT_CHECKED else f"<p>Found: {given(check.compared)}</p>"
        lines.append(
            f"<tr><td>{check.step}</td><td><strong>{escape(check.name.capitalize())}</strong>"
            f"<p>{escape(WHY.get(check.step, ''))}</p>{said}</td>"
            f'<td><span class="result {kind}">{shape(symbol)}{word}</span></td></tr>'
        )
    return (
        '<table class="checks"><caption>Steps as docs/comparison.md section 7 numbers them. The first that does not '
        'pass ends the procedure.</caption>\n<thead><tr><th scope="col"><abbr title="Step">#</abbr></th>'
        '<th scope="col">Check</th><th scope="col">Result</th></tr></thead>\n<tbody>\n'
        + "\n".join(lines)
        + "\n</tbody></table>"
    )


def _not_proven(report: LateReport) -> str:
    lines = []
    if report.verdict != "accepted":
        lines.append("<p><strong>Nothing was proven.</strong> Had it been, this would still be open:</p>")
    return "\n".join([*lines, "<ul>", *(f"<li>{escape(text)}</li>" for text in report.not_proven), "</ul>"])


def _bundle(letter: str, report: Report) -> str:
    rows = [("Bundle", given(report.bundle)), ("Verification", result_mark(report.verdict))]
    if report.failure is not None:
        rows.append(("Why", f"{escape(report.failed_where())}: {given(report.failure.message)}"))
    rows += [
        (f"{key.capitalize()}, as its maker says", given(value)) for key, value in report.metadata.items() if value
    ]
    if report.commitment is not None:
        rows.append(("Commitment cm", f"<code>{escape(report.commitment)}</code>"))
    return table_of(rows, f"Bundle {letter}. All its checks: huref-verify BUNDLE --report FILE.")


def _digests(report: LateReport) -> str:
    def code(items: dict[str, str]) -> list[tuple[str, str]]:
        return [(escape(name), f"<code>{escape(digest)}</code>") for name, digest in sorted(items.items())]

    if not report.files:
        return "<p>None: the comparison could not be read.</p>"
    tables = [table_of(code(report.files), "SHA-256 of the comparison's files")]
    for letter, one in zip(_LETTERS, report.reports, strict=False):
        if one.files:
            tables.append(table_of(code(one.files), f"SHA-256 of bundle {letter}'s files"))
    if report.pinned:
        tables.append(table_of(code(report.pinned), "SHA-256 of the similarity circuit that the verifier trusts"))
    return "\n".join(tables)


def _reproduce(report: LateReport, allow_development_srs: bool) -> str:
    words = ["huref-verify", *(shell_word(path) for path in (report.comparison, *report.paths))]
    if report.challenge_expected and report.challenge is not None:
        words += ["--challenge", report.challenge.hex()]
    if allow_development_srs:
        words.append("--allow-dev-srs")
    lines = [
        f"# once, in a checkout of huref-zk {__version__}; the verifier needs nothing more",
        "python3 -m pip install .",
        f"# exit code {report.exit_code}: {report.verdict}",
        " ".join(words),
    ]
    return f"<p>No network is needed once installed.</p>\n<pre>{chr(10).join(lines)}</pre>"
