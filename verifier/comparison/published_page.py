"""A comparison as one self-contained HTML page: both pictures side by side, what was found, what is not proven.

Built from `page_pieces`: every string of a bundle goes through `given` or `escape`. Pure.
"""

from __future__ import annotations

from datetime import datetime

from verifier.comparison.likeness import DERIVED_P, INDEPENDENT_P, p_text
from verifier.comparison.published import MEANING, NOT_PROVEN, Comparison, Likeness
from verifier.fingerprint.bundle_pieces import bundle_table, picture
from verifier.formats.text import printable
from verifier.results.page_pieces import (
    NOT_PROVEN_DEVELOPMENT,
    document,
    escape,
    given,
    not_proven_list,
    reproduction,
    shape,
    table_of,
)

_BUNDLES = ("bundle A", "bundle B")
_VERDICTS = {
    "derived": "Derived: a common base",
    "inconclusive": "Inconclusive",
    "independent": "Independent, as far as this shows",
}


def published_page(comparison: Comparison, allow_development_srs: bool, when: datetime) -> bytes:
    """The page, UTF-8. `allow_development_srs` is what the bundles were verified with."""
    likeness = comparison.likeness
    word = likeness.verdict.capitalize() if likeness else "Not compared"
    names = " and ".join(printable(report.bundle) for report in comparison.reports)
    bundles = list(zip(_BUNDLES, comparison.reports, strict=True))
    options = ["--allow-dev-srs"] if allow_development_srs else []
    parts = [
        '<article aria-labelledby="verdict">',
        _verdict(comparison),
        '<div class="pair">',
        *(picture(name, report) for name, report in bundles),
        "</div>",
        *(_figures(likeness) if likeness else []),
        "<h3>What is not proven</h3>",
        not_proven_list("" if likeness else "Nothing was compared.", NOT_PROVEN),
        "<h3>The two bundles</h3>",
        *(bundle_table(name, report, digests=True) for name, report in bundles),
        "<h3>How to reproduce this</h3>",
        reproduction(str(comparison.exit_code), ("compare",), (report.bundle for _, report in bundles), options),
        "</article>",
    ]
    return document(f"{word}: {names}", "Comparison of two language models' fingerprints", "\n".join(parts), when)


def _verdict(comparison: Comparison) -> str:
    likeness = comparison.likeness
    if likeness is None:
        failure = comparison.failure
        lines = [
            f'<div class="verdict inconclusive">{shape("undecided")}<div>',
            '<h2 id="verdict">Not compared</h2>',
            f"<p>There is no verdict on likeness. <strong>{given(failure.message if failure else '')}</strong></p>",
        ]
        if failure is not None and failure.hint:
            lines.append(f"<p>What can be done: {given(failure.hint)}</p>")
        return "\n".join([*lines, "</div></div>"])
    symbol = "undecided" if likeness.verdict == "inconclusive" else likeness.verdict
    lines = [
        f'<div class="verdict {likeness.verdict}">{shape(symbol)}<div>',
        f'<h2 id="verdict">{_VERDICTS[likeness.verdict]}</h2>',
        f"<p>{escape(MEANING[likeness.verdict])}</p>",
        f"<p>Cosine of the two fingerprints: <strong>{likeness.cosine:+.4f}</strong>. "
        f"Chance of that among unrelated models: <strong>{escape(p_text(likeness.p_value))}</strong>.</p>",
        "</div></div>",
    ]
    if comparison.same_commitment:
        lines.append('<p class="caution">Both bundles commit to the same weights, with the same salts.</p>')
    lines += [
        f'<p class="caution"><strong>Less reliable.</strong> {escape(reason)}.</p>' for reason in likeness.unreliable
    ]
    if comparison.development_srs:
        lines.append(f'<p class="caution"><strong>Mind the setup.</strong> {NOT_PROVEN_DEVELOPMENT}</p>')
    return "\n".join(lines)


def _figures(likeness: Likeness) -> list[str]:
    parts = ["<h3>How alike</h3>"]
    thresholds = likeness.thresholds()
    if thresholds is not None:
        parts.append(_axis(likeness.cosine, *thresholds))
    rows = [
        ("Cosine of z", f"{likeness.cosine:+.6f}"),
        (
            "p-value",
            f"{escape(p_text(likeness.p_value))}, one-sided: a bound on how often unrelated models are as alike",
        ),
    ]
    if thresholds is not None:
        low, high = thresholds
        rows += [
            ("Derived", f"from {high:.3f} on: p at most {DERIVED_P:g}, so at most that share of unrelated pairs"),
            ("Independent", f"below {low:.3f}: p above {INDEPENDENT_P:g}"),
            ("Inconclusive", "between the two"),
        ]
    parts.append(
        table_of(rows, "From the 512 public features of each bundle alone: no weights and no secrets are used.")
    )
    parts.append("<p>Judge by the number, not by the eye: pictures show large differences and hide small ones.</p>")
    return parts


def _axis(cosine: float, low: float, high: float) -> str:
    """Cosines from 0 to 1, three zones with their words, and a pointer."""

    def x(value: float) -> str:
        return f"{24 + 312 * min(1.0, max(0.0, value)):.1f}"

    zones = (("independent", 0.0, low), ("inconclusive", low, high), ("derived", high, 1.0))
    marks = "".join(
        f'<path d="M{x(start)} 40v-8M{x(start)} 36H{x(end)}M{x(end)} 40v-8" fill="none" stroke="currentColor" '
        f'stroke-width="1.5"/><text x="{(float(x(start)) + float(x(end))) / 2:.1f}" y="56" '
        f'text-anchor="middle" font-size="12.5">{name}</text>'
        for name, start, end in zones
    )
    where = float(x(cosine))
    anchor = "end" if where > 250 else "start"
    return (
        f'<svg class="axis" viewBox="0 0 360 62" role="img" aria-label="Cosine {cosine:.3f} on a scale from 0 to 1: '
        f'independent below {low:.3f}, derived from {high:.3f} on.">{marks}'
        f'<path d="M{where:.1f} 34l-6-12h12z" fill="currentColor"/>'
        f'<text x="{where + (-9 if anchor == "end" else 9):.1f}" y="28" text-anchor="{anchor}" font-size="15" '
        f'font-weight="700">{cosine:+.4f}</text></svg>'
    )
