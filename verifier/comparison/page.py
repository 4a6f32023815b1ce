"""A proven comparison as one self-contained HTML page: verdict, both pictures, every check, what is not proven.

Built from the pieces of `page_pieces`: every string of an artefact goes through `given` or `escape`. Pure.
"""

from __future__ import annotations

from datetime import datetime

from verifier.comparison.ics import ProvenIcs
from verifier.comparison.likeness import p_text
from verifier.comparison.report import ComparisonReport
from verifier.comparison.steps import WHY
from verifier.comparison.threshold import ProvenAtLeast
from verifier.fingerprint.bundle_pieces import bundle_table, picture
from verifier.formats.text import printable
from verifier.results.page_pieces import (
    digest_tables,
    document,
    escape,
    given,
    proof_sections,
    reproduction,
    table_of,
    verdict_box,
)

_BUNDLES = ("bundle A", "bundle B")
_VERDICTS = {
    "accepted": "The ICS is proven",
    "at least": "That the ICS reaches the threshold is proven",
    "undecided": "Undecided",
    "rejected": "Rejected",
}


def comparison_page(report: ComparisonReport, allow_development_srs: bool, when: datetime) -> bytes:
    """The page, UTF-8. `allow_development_srs` is what the artefact and its bundles were verified with."""
    names = " and ".join(printable(path) for path in report.paths)
    options = []
    if report.challenge_expected and report.challenge is not None:
        options += ["--challenge", report.challenge.hex()]
    if allow_development_srs:
        options.append("--allow-dev-srs")
    bundles = list(zip(_BUNDLES, report.reports, strict=False))
    parts = [
        '<article aria-labelledby="verdict">',
        _verdict(report),
        '<div class="pair">',
        *(picture(name, one) for name, one in bundles),
        "</div>",
        *(_figures(report.ics) if report.ics else []),
        *(_threshold(report.at_least) if report.at_least else []),
        *proof_sections(report, WHY, "docs/comparison.md section 7"),
        "<h3>The two bundles</h3>",
        *(bundle_table(name, one) for name, one in bundles),
        "<h3>Digests</h3>",
        digest_tables(
            "the comparison",
            [
                ("the comparison's files", report.files),
                *((f"{name}'s files", one.files) for name, one in bundles if report.files),
                ("the similarity circuit that the verifier trusts", report.pinned),
            ],
        ),
        "<h3>How to reproduce this</h3>",
        reproduction(f"{report.exit_code}: {report.verdict}", (), (report.comparison, *report.paths), options),
        "</article>",
    ]
    title = f"{report.verdict.capitalize()}: {names}"
    return document(title, "Proven comparison of two language models", "\n".join(parts), when)


def _verdict(report: ComparisonReport) -> str:
    lines = []
    if report.shown is not None:
        chance = f"Chance of that among unrelated models: <strong>{escape(p_text(report.shown.p_value))}</strong>."
        lines.append(f"<p><strong>{report.shown.likeness.capitalize()}.</strong> {escape(report.meaning)}</p>")
        lines.append(f"<p>Of the committed weights: <strong>{escape(report.found())}</strong>. {chance}</p>")
    if report.challenge is not None:
        known = "the one that was expected" if report.challenge_expected else "who named it was not checked"
        lines.append(f"<p>Challenge: <code>{report.challenge.hex()}</code>, {known}.</p>")
    lines.append(f"<p>Comparison: {given(report.comparison)}</p>")
    heading = _VERDICTS["at least" if report.at_least else report.verdict]
    return verdict_box(report, heading, lines, report.development_srs)


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
