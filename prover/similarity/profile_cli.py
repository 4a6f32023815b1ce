"""`huref profile A B`: the intrinsic fingerprint of two checkpoints, a thin command around `attention_profile`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from circuits.command_group import HurefCommand
from circuits.printing import say
from prover.checkpoint.folded_matrix import Float64Array
from prover.similarity.attention_profile import ROLES, Likeness, compare_profiles, profile_of

_NAMES = {"q": "queries", "k": "keys", "v": "values", "o": "outputs"}


@click.command("profile", cls=HurefCommand)
@click.argument("left", metavar="A", type=click.Path(path_type=Path))
@click.argument("right", metavar="B", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def profile(left: Path, right: Path, as_json: bool) -> None:
    """Compare how spread out the attention matrices of checkpoints A and B are, block by block (arXiv 2507.03014).

    Correlation near 1: alike. Models with few blocks are often alike by chance, and folding a norm into a matrix
    changes the profile but not the model: docs/evidence.md has figures. `huref ics` is the test to rely on.
    """
    profiles = profile_of(left), profile_of(right)
    likeness = compare_profiles(*profiles)
    say(json.dumps(as_document(likeness, profiles), indent=2) if as_json else as_table(likeness))


def as_document(
    likeness: Likeness, profiles: tuple[dict[str, Float64Array], dict[str, Float64Array]]
) -> dict[str, Any]:
    """The comparison as a JSON object, with the standard deviations it was made from."""
    return {
        "profile": likeness.score,
        "correlations": likeness.by_role,
        "blocks": list(likeness.blocks),
        "standard_deviations": [{role: list(values) for role, values in side.items()} for side in profiles],
    }


def as_table(likeness: Likeness) -> str:
    """The comparison as lines of text."""
    lines = [f"profile  {likeness.score:+.4f}  mean of the four correlations over depth"]
    for role in ROLES:
        value = likeness.by_role[role]
        text = "-        one of the two is constant" if value is None else f"{value:+.4f}"
        lines.append(f"{_NAMES[role]:<7}  {text}")
    lines.append(f"blocks   {likeness.blocks[0]} and {likeness.blocks[1]}")
    return "\n".join(lines)
