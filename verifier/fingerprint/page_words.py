"""What the HTML report says in plain words. What is not proven follows docs/threat-model.md, title by title."""

from __future__ import annotations

from dataclasses import dataclass

VERDICT_WORDS = {
    "accepted": ("Accepted", "The picture is the proven fingerprint of the committed weights."),
    "undecided": ("Undecided", "This verifier could not tell whether the bundle shows what it claims."),
    "rejected": ("Rejected", "The bundle does not show what it claims."),
}


@dataclass(frozen=True)
class Open:
    """A question that an accepted bundle leaves open; some are closed by an opening."""

    name: str
    words: str
    shown_by_opening: bool = False
    shown_by_identity: bool = False


NOT_PROVEN = (
    Open(
        "Serving other weights",
        "No inference proof is made: that the committed weights are the ones somebody serves is not shown.",
    ),
    Open(
        "Which checkpoint",
        "No opening was made: which checkpoint was committed is not shown. An auditor who is given the weights and the "
        "maker's secret can check it (--weights, --opening).",
        shown_by_opening=True,
    ),
    Open(
        "Who published it",
        "Names in the bundle are whatever its maker wrote. Who published it only a signature shows, to those who know "
        "the publisher's key (--identity).",
        shown_by_identity=True,
    ),
    Open(
        "Weights of one's own making",
        "Two pictures that match are not evidence of copying by themselves: weights can be built whose terms equal any "
        "target.",
    ),
    Open(
        "Entries that are not bytes",
        "Weights are rounded to bytes before they are committed. The proof is about what was committed, and does not "
        "show that it was rounded by the rule, or that it is bytes at all.",
        shown_by_opening=True,
    ),
    Open(
        "The wrong layers",
        "The statement says how many blocks the model has and how rows are grouped in heads; that the committed ones "
        "are its last two, and the heads its own, is not shown.",
        shown_by_opening=True,
    ),
    Open(
        "The wrong family",
        "What was folded into the committed rows depends on the model's family and switches, as the maker states them. "
        "That the served model computes so, nothing but running it shows.",
    ),
    Open(
        "The wrong tokens",
        "The tokens are bound by a digest; that they are those the rule gives for this tokenizer is not shown.",
        shown_by_opening=True,
    ),
    Open(
        "Evasion",
        "A thief who changes the architecture, say by blocks or neurons without effect, can move a fingerprint.",
    ),
    Open(
        "Rounding",
        "The proof leaves the maker a choice in rounding that moves no pixel by more than the tolerance.",
    ),
)
