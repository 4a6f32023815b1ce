"""Pages as self-contained HTML: no network, no script, readable without colour, on a phone, printed.

Every string of an artefact is untrusted: it goes through `given`, which escapes it, takes out control and direction
characters and isolates what is left. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import html
import shlex
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Protocol

from verifier.children.workers import EZKL_VERSION
from verifier.formats.limits import MAX_PAGE_BYTES
from verifier.formats.text import printable
from verifier.results.steps import Check, Status
from verifier.results.verdict import Judged
from verifier.version import __version__

NOT_PROVEN_DEVELOPMENT = (
    "The proofs rest on a development SRS. Whoever made that file could forge every one of them, so they convince "
    "only those who trust that person."
)


_TEMPLATE = Path(__file__).with_name("page.html")
_RESULT = {
    Status.PASSED: ("passed", "accepted", "passed"),
    Status.FAILED: ("failed", "rejected", "failed"),
    Status.UNDECIDED: ("unsure", "undecided", "unclear"),
    Status.NOT_CHECKED: ("skipped", "skipped", "not done"),
}  # class, shape, word


class ProofReport(Protocol):
    """What a report about a proof over bundles has, whatever was proven."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """Its steps."""

    @property
    def verdict(self) -> str:
        """accepted, rejected or undecided."""

    @property
    def not_proven(self) -> tuple[str, ...]:
        """What it does not show."""


def document(title: str, heading: str, body: str, when: datetime) -> bytes:
    """A whole page around `body`, which is HTML; `title` and `heading` are text."""
    with _TEMPLATE.open("rb") as stream:
        template = stream.read(MAX_PAGE_BYTES).decode("utf-8")
    style = template.split("<style>")[1].split("</style>")[0]
    style_hash = "sha256-" + base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    filled = Template(template).substitute(
        style_hash=style_hash,
        title=html.escape(title),
        heading=html.escape(heading),
        body=body,
        version=f"{__version__} (ezkl {EZKL_VERSION}, Python {sys.version.split()[0]})",
        when=when.strftime("%Y-%m-%d %H:%M UTC"),
    )
    return filled.encode("utf-8")


def escape(value: str) -> str:
    """Text that may come from a bundle, as HTML text or a quoted attribute.

    >>> escape("<b>\\u202e'\\x00")
    '&lt;b&gt;?&#x27;?'
    """
    return html.escape(printable(value), quote=True)


def given(value: str) -> str:
    """A string of the bundle, isolated: its direction and its marks stay inside."""
    return f'<bdi class="given">{escape(value)}</bdi>'


def shape(name: str) -> str:
    """A symbol of the template; words say the same."""
    return f'<svg aria-hidden="true" focusable="false"><use href="#{name}"/></svg>'


def table_of(rows: Iterable[tuple[str, str]], caption: str) -> str:
    """A table of names and values, both HTML."""
    lines = "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in rows)
    return f'<table class="names"><caption>{caption}</caption>\n<tbody>\n{lines}\n</tbody></table>'


def result_mark(verdict: str) -> str:
    """A bundle's verdict as a shape and a word."""
    kind = {"accepted": "passed", "rejected": "failed", "undecided": "unsure"}[verdict]
    return f'<span class="result {kind}">{shape(verdict)}{verdict}</span>'


def step_row(check: Check, words: str) -> str:
    """A step's number, `words` about it, which are HTML, and how it ended."""
    kind, symbol, word = _RESULT[check.status]
    result = f'<span class="result {kind}">{shape(symbol)}{word}</span>'
    return f"<tr><td>{check.step}</td><td>{words}</td><td>{result}</td></tr>"


def steps_table(rows: Iterable[str], where: str) -> str:
    """The rows that `step_row` gives, under a caption that says `where` their numbers come from."""
    lines = "\n".join(rows)
    return (
        f'<table class="checks"><caption>Steps as {where} numbers them. The first that does not pass ends the '
        'procedure.</caption>\n<thead><tr><th scope="col"><abbr title="Step">#</abbr></th>'
        f'<th scope="col">Check</th><th scope="col">Result</th></tr></thead>\n<tbody>\n{lines}\n</tbody></table>'
    )


def shell_word(path: str) -> str:
    """A path as one word of a shell's command, never an option or a word of huref-verify's own, as isolated HTML."""
    quoted = shlex.quote(printable(path))
    bare = path.startswith("-") or path in ("profiles", "compare")
    return f"<bdi>{html.escape(f'./{quoted}' if bare else quoted)}</bdi>"


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


def proof_sections(report: ProofReport, why: Mapping[int, str], where: str) -> list[str]:
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
