"""`huref ics A B`: how alike two checkpoints are. A thin command around `prover.similarity.metrics`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from circuits.command_group import HurefCommand
from circuits.printing import EXIT_ASKED_FOR, say
from circuits.profiles import DEFAULT_PROFILE
from prover.checkpoint.families import FAMILIES
from prover.checkpoint.tensors import open_checkpoint
from prover.checkpoint.tokens import read_token_list
from prover.similarity.blocks import BestBlocks, best_blocks
from prover.similarity.metrics import Comparison, common_strings, rules_of, similarity_of
from prover.similarity.null_distribution import P_FLOOR
from prover.similarity.verdict import DERIVED_P, INDEPENDENT_P, MEANING

_FULL = {
    "paper": ("ICS, full", "HuRef's definition, feed-forward term from up and down"),
    "released": ("ICS, full, released", "as in HuRef's code: gate times up, elementwise"),
    "centred": (
        "ICS, full, centred",
        "terms at norm 1, mean token removed: the projected one's target",
    ),
}


@click.command("ics", cls=HurefCommand)
@click.argument("left", metavar="A", type=click.Path(path_type=Path))
@click.argument("right", metavar="B", type=click.Path(path_type=Path))
@click.option("--profile", default=DEFAULT_PROFILE, show_default=True, help="Profile whose projection is used.")
@click.option(
    "--tokens",
    "token_list",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Token strings to use instead of the profile's rule, as in HuRef: one a line, or a JSON list (*.json).",
)
@click.option("--blocks", is_flag=True, help="Also look for the most similar blocks: for shortened and padded models.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option(
    "--fail-on",
    type=click.Choice(tuple(MEANING)),
    multiple=True,
    help="Exit code 5 if this is the verdict on the two models, whatever --blocks finds; may be given more than once.",
)
@click.pass_context
def ics(
    context: click.Context,
    left: Path,
    right: Path,
    profile: str,
    token_list: Path | None,
    blocks: bool,
    as_json: bool,
    fail_on: tuple[str, ...],
) -> None:
    """Compare checkpoints A and B: invariant-terms cosine similarity (ICS) and parameter cosine similarity (PCS).

    Near 1: same origin. Near 0: trained apart. The p-value says how often unrelated models are as alike;
    docs/evidence.md says where it comes from. Nothing is proven by this command.

    Exit codes: 0 compared, whatever the verdict, but see --fail-on; 2 refused; 5 the verdict is one that --fail-on
    names.
    """
    listed = None if token_list is None else read_token_list(token_list)
    comparison = similarity_of(left, right, profile=profile, tokens=listed)
    rules = rules_of(profile)
    best = None
    if blocks:
        sides = open_checkpoint(left, FAMILIES), open_checkpoint(right, FAMILIES)
        best = best_blocks(*sides, common_strings(*sides, listed), rules)
    if as_json:
        say(json.dumps(as_document(comparison) | ({} if best is None else {"blocks": vars(best)}), indent=2))
    else:
        say(as_table(comparison, rules.g))
        if best is not None:
            say(as_lines(best))
    if comparison.verdict.word in fail_on:
        context.exit(EXIT_ASKED_FOR)


def as_lines(best: BestBlocks) -> str:
    """The most similar blocks, as lines of text."""
    (a, b), (c, d) = best.left, best.right
    return (
        f"\nmost similar blocks: {a} and {b} of A, {c} and {d} of B (of {best.tried} pairs tried, counted from 0)\n"
        f"ICS, projected  {best.cosine:+.4f}\np-value  {as_probability(best.p_value)}, times {best.tried} included\n"
        f"{best.word.upper()}: {MEANING[best.word]}"
    )


def as_probability(p: float) -> str:
    """Two digits where they mean something, powers of ten below."""
    return f"{p:.2f}" if p >= INDEPENDENT_P else f"{p:.0e}"


def as_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as a JSON object: similarities from -1 to 1, and what they were computed over."""
    return {
        "ics_projected": comparison.projected,
        "ics_projected_common": comparison.projected_common,
        "projected_tokens": comparison.projected_tokens,
        "ics_full": {name: item.value for name, item in comparison.full.items()},
        "tokens": comparison.full["paper"].count,
        "pcs": comparison.pcs.value if comparison.pcs else None,
        "parameters": comparison.pcs.count if comparison.pcs else 0,
        "p_value": comparison.verdict.p_value,
        "p_value_floor": P_FLOOR,
        "verdict": comparison.verdict.word,
        "false_positive_rate": DERIVED_P,
        "unreliable": list(comparison.verdict.unreliable),
    }


def as_table(comparison: Comparison, g: int) -> str:
    """The comparison as lines of text: name, value, what it is."""
    rows = [
        (
            "ICS, projected",
            f"{comparison.projected:+.4f}",
            f"six terms of {g} x {g}: what a fingerprint shows",
        )
    ]
    if comparison.projected_common is not None:
        rows.append(
            (
                "ICS, projected, common",
                f"{comparison.projected_common:+.4f}",
                f"the same over {comparison.projected_tokens} strings that both vocabularies have: theirs differ",
            )
        )
    for name, item in comparison.full.items():
        title, text = _FULL[name]
        rows.append((title, f"{item.value:+.4f}", f"{text}; {item.count} tokens"))
    if comparison.pcs is None:
        rows.append(("PCS", "-", "two different architectures"))
    else:
        rows.append(("PCS", f"{comparison.pcs.value:+.4f}", f"cosine of {comparison.pcs.count} parameters"))
    verdict = comparison.verdict
    at_most = "at most " if verdict.p_value <= P_FLOOR else ""
    p = as_probability(verdict.p_value)
    rows.append(("p-value", p, f"{at_most}this share of unrelated pairs is as alike, by ICS, projected"))
    width = max(len(title) for title, _, _ in rows)
    lines = [f"{title:<{width}}  {value:>7}  {text}" for title, value, text in rows]
    lines += [f"unreliable: {reason}" for reason in verdict.unreliable]
    rate = f"; said of at most 1 in {1 / DERIVED_P:,.0f} unrelated pairs" if verdict.word == "derived" else ""
    return "\n".join([*lines, f"{verdict.word.upper()}: {MEANING[verdict.word]}{rate}"])
