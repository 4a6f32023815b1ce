"""A feed-forward proof as one self-contained HTML page: verdict, the bundle's picture, outputs, every check.

Built from the pieces of `page_pieces`: every string of an artefact goes through `given` or `escape`. Pure.
"""

from __future__ import annotations

from datetime import datetime

from verifier.fingerprint.bundle_pieces import bundle_table, picture
from verifier.fingerprint.options import Options
from verifier.formats.text import printable
from verifier.inference.report import FeedForwardReport, Outcome
from verifier.inference.steps import WHY
from verifier.results.page_pieces import (
    digest_tables,
    document,
    escape,
    given,
    proof_sections,
    reproduction,
    shell_word,
    table_of,
    verdict_box,
)

_VERDICTS = {
    "accepted": "The block's outputs are proven",
    "undecided": "Undecided",
    "rejected": "Rejected",
}
_SHOWN = 4  # entries of each output; the JSON has all


def feed_forward_page(report: FeedForwardReport, options: Options, when: datetime) -> bytes:
    """The page, UTF-8. `options` are those that the proof and its bundle were verified with."""
    bundles = [] if report.bundle is None else [("the bundle", report.bundle)]
    words = ["--allow-dev-srs"] if options.allow_development_srs else []
    if options.weights is not None and options.secret is not None:
        words += ["--weights", shell_word(str(options.weights)), "--opening", shell_word(str(options.secret))]
    parts = [
        '<article aria-labelledby="verdict">',
        _verdict(report),
        *(picture(name, one) for name, one in bundles),
        *(_outcome(report.outcome, report.opened) if report.outcome else []),
        *proof_sections(report, WHY, "docs/inference-proof.md section 7"),
        *(part for name, one in bundles for part in ("<h3>The bundle</h3>", bundle_table(name, one))),
        "<h3>Digests</h3>",
        digest_tables(
            "the proof",
            [
                ("the proof's files", report.files),
                *(("the bundle's files", one.files) for _, one in bundles if report.files),
                ("the activation circuit that the verifier trusts", report.pinned),
            ],
        ),
        "<h3>How to reproduce this</h3>",
        reproduction(f"{report.exit_code}: {report.verdict}", (), (report.path, report.bundle_path), words),
        "</article>",
    ]
    title = f"{report.verdict.capitalize()}: {printable(report.path)}"
    return document(title, "Proof of one feed-forward block", "\n".join(parts), when)


def _verdict(report: FeedForwardReport) -> str:
    lines = []
    if report.outcome is not None:
        one = report.outcome
        lines.append(
            f"<p>The feed-forward part of block {one.layer}, with the committed up and down rows and the gate named "
            f"below, takes the {one.activations} public inputs to the public outputs.</p>"
        )
    lines.append(f"<p>Proof: {given(report.path)}</p>")
    return verdict_box(report, _VERDICTS[report.verdict], lines, report.development_srs)


def _outcome(one: Outcome, opened: bool) -> list[str]:
    whose = "of the given checkpoint" if opened else "as the maker says"
    facts = [
        ("Block", str(one.layer)),
        ("Gate, commitment", f"<code>{escape(one.gate_commitment)}</code>"),
        (f"Scale integers, {whose}", escape(", ".join(str(c) for c in one.scale))),
        (f"Epsilon integer, {whose}", escape(str(one.epsilon))),
    ]
    of_facts = "The gate is in no term of the fingerprint: the proof itself commits to it."
    if opened:
        of_facts += " It was opened: it is the given checkpoint's."
    width = len(one.outputs[0])
    more = ", ..." if width > _SHOWN else ""
    outputs = [
        (f"Input {number}", ", ".join(f"{value:+.4f}" for value in row[:_SHOWN]) + more)
        for number, row in enumerate(one.outputs)
    ]
    of_outputs = (
        f"What the block adds to the residual stream, the first {min(_SHOWN, width)} of {width} entries; "
        "huref-verify --json has all."
    )
    return ["<h3>What is proven</h3>", table_of(facts, of_facts), table_of(outputs, of_outputs)]
