"""Pieces of pages about a bundle: its picture, and what its own verification says. Pure."""

from __future__ import annotations

import base64
import io

from verifier.fingerprint.image import Picture
from verifier.fingerprint.report import Report
from verifier.results.page_pieces import escape, given, result_mark, sentence, table_of


def png_in_base64(picture: Picture) -> str:
    """Decoded pixels as a new PNG: nothing of the bundle's file but what it shows."""
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture.pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode("ascii")


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
