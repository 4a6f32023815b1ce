"""Pieces of the pages about bundles and proofs over them: pictures, checks, bundles, digests, the command.

Used by `compare_page`, `late_page` and `feedforward_page`; built from `page`, with the same rules. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from verifier import __version__
from verifier.feedforward_report import FeedForwardReport
from verifier.late_report import LateReport
from verifier.page import (
    escape,
    given,
    png_in_base64,
    result_mark,
    shape,
    shell_word,
    step_row,
    steps_table,
    table_of,
)
from verifier.page_words import NOT_PROVEN_DEVELOPMENT
from verifier.report import Check, Judged, Report, Status


def verdict_box(report: Judged, heading: str, found: Iterable[str], development_srs: bool) -> str:
    """The box at the top. `heading` is text, `found` HTML paragraphs: what was proven, if it was, and about what."""
    lines = [
        f'<div class="verdict {report.verdict}">{shape(report.verdict)}<div>',
        f'<h2 id="verdict">{escape(heading)}</h2>',
    ]
    if report.failure is not None:
        lines.append(
            f"<p>It ended {escape(report.failed_where())}. <strong>{given(report.failure.message)}</strong></p>"
        )
        if report.failure.hint:
            lines.append(f"<p>What can be done: {given(report.failure.hint)}</p>")
    lines += [*found, "</div></div>"]
    if development_srs and report.verdict != "rejected":
        lines.append(f'<p class="caution"><strong>Mind the setup.</strong> {NOT_PROVEN_DEVELOPMENT}</p>')
    return "\n".join(lines)


def sentence(name: str) -> str:
    """A name at the beginning of a sentence: its other letters stay.

    >>> sentence("bundle A")
    'Bundle A'
    """
    return name[:1].upper() + name[1:]


def picture(name: str, report: Report) -> str:
    """A bundle's picture; `name`, text, says which bundle."""
    if report.picture is None:
        return f'<p class="caution">{escape(name)}: no picture, the bundle could not be read.</p>'
    height, width = report.picture.pixels.shape[:2]
    says = "Its fingerprint" if report.verdict == "accepted" else "<strong>Not shown to be a fingerprint</strong>"
    return (
        f'<figure><img src="data:image/png;base64,{png_in_base64(report.picture)}" width="{width}" height="{height}" '
        f'alt="The picture in {escape(name)}, {width} by {height} pixels, made by a generator.">'
        f"<figcaption><strong>{escape(sentence(name))}</strong>: {given(report.bundle)}. {says}.</figcaption></figure>"
    )


def proof_sections(report: LateReport | FeedForwardReport, why: Mapping[int, str], where: str) -> list[str]:
    """What was checked, `why`, and what is not proven; `where` the steps' numbers come from."""
    missing = "" if report.verdict == "accepted" else "Nothing was proven."
    return [
        "<h3>What was checked</h3>",
        steps_table((_checked(check, why) for check in report.checks), where),
        "<h3>What is not proven</h3>",
        not_proven_list(missing, report.not_proven),
    ]


def _checked(check: Check, why: Mapping[int, str]) -> str:
    said = "" if check.status is Status.NOT_CHECKED else f"<p>Found: {given(check.compared)}</p>"
    title = f"<strong>{escape(check.name.capitalize())}</strong>"
    return step_row(check, f"{title}<p>{escape(why.get(check.step, ''))}</p>{said}")


def not_proven_list(missing: str, open_questions: Iterable[str]) -> str:
    """What it does not show, as text; `missing`: "Nothing was proven.", if so."""
    lines = []
    if missing:
        lines.append(f"<p><strong>{escape(missing)}</strong> Had it been, this would still be open:</p>")
    return "\n".join([*lines, "<ul>", *(f"<li>{escape(text)}</li>" for text in open_questions), "</ul>"])


def bundle_table(name: str, report: Report, *, digests: bool = False) -> str:
    """What a bundle's own verification says; with the `digests` of its files, if wanted."""
    rows = [("Bundle", given(report.bundle)), ("Verification", result_mark(report.verdict))]
    if report.failure is not None:
        rows.append(("Why", f"{escape(report.failed_where())}: {given(report.failure.message)}"))
    rows += [
        (f"{key.capitalize()}, as its maker says", given(value)) for key, value in report.metadata.items() if value
    ]
    if report.commitment is not None:
        rows.append(("Commitment cm", f"<code>{escape(report.commitment)}</code>"))
    if digests:
        rows += [(escape(file), f"<code>{escape(digest)}</code>") for file, digest in sorted(report.files.items())]
    return table_of(rows, f"{escape(sentence(name))}. All its checks: huref-verify BUNDLE --report FILE.")


def digest_tables(what: str, tables: Iterable[tuple[str, Mapping[str, str]]]) -> str:
    """SHA-256 of files, a table for each caption; empty ones are left out. `what` could not be read if all are."""
    found = [
        table_of(
            ((escape(name), f"<code>{escape(digest)}</code>") for name, digest in sorted(digests.items())),
            f"SHA-256 of {escape(caption)}",
        )
        for caption, digests in tables
        if digests
    ]
    return "\n".join(found) or f"<p>None: {escape(what)} could not be read.</p>"


def reproduction(ends: str, words: Iterable[str], paths: Iterable[str], options: Iterable[str]) -> str:
    """The command that verifies it again, and how it `ends`. Of `words` and `options` nothing is an artefact's."""
    lines = [
        f"# once, in a checkout of huref-zk {__version__}; the verifier needs nothing more",
        "python3 -m pip install .",
        f"# exit code {ends}",
        " ".join(["huref-verify", *words, *(shell_word(path) for path in paths), *options]),
    ]
    return f"<p>No network is needed once installed.</p>\n<pre>{chr(10).join(lines)}</pre>"
