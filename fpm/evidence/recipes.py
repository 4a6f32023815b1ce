"""What is in the zoo. Each line is one checkpoint; docs/evidence.md says what came of it."""

from __future__ import annotations

from typing import Any

from fpm.evidence import attacks, surgery, tuning
from fpm.evidence.rearrangements import CHANGES
from fpm.evidence.workshop import Maker, Recipe

LLAMA, NEOX = "llama-1", "neox-1"
PARENTS = (LLAMA, NEOX)
EVERYTHING = tuple(change.__name__ for change in CHANGES)

KINDS = {
    "base": "trained from nothing",
    "offspring": "weight-derived offspring",
    "rearranged": "same outputs, weights rearranged",
    "padded": "same outputs, idle parts added",
    "adaptive": "against the fingerprint, at a cost",
    "same start": "the parent's initial weights only",
    "distilled": "learnt from the parent's outputs",
}
"""Of a checkpoint against its parent. The first is what independent pairs are made of."""


def _base(name: str, title: str, **options: Any) -> Recipe:
    return Recipe(name, "base", title, tuning.base, options=options)


BASES = (
    _base(LLAMA, "Llama, seed 1", family="llama", seed=1),
    _base(NEOX, "GPT-NeoX, seed 11", family="gpt_neox", seed=11),
    _base("llama-2", "Llama, seed 2", family="llama", seed=2),
    _base("llama-3", "Llama, seed 3", family="llama", seed=3),
    _base("llama-4", "Llama, seed 4, other data", family="llama", seed=4, text="numpy"),
    _base(
        "llama-5", "Llama, seed 5, other data and tokenizer", family="llama", seed=5, text="numpy", tokenizer="numpy"
    ),
    _base("neox-2", "GPT-NeoX, seed 12", family="gpt_neox", seed=12),
    _base("neox-3", "GPT-NeoX, seed 13, other data", family="gpt_neox", seed=13, text="numpy"),
)


def _child(parent: str, kind: str) -> Any:
    """Makes recipes of one kind below one parent."""

    def make(name: str, title: str, maker: Maker, **options: Any) -> Recipe:
        return Recipe(f"{parent}-{name}", kind, title, maker, parent, options=options)

    return make


def _offspring(parent: str) -> list[Recipe]:
    add = _child(parent, "offspring")

    def further(percent: int, after: int, rate: float = 1e-3) -> Recipe:
        """Continued pretraining is one run, saved on its way: each piece goes on from the one before."""
        piece = add(
            f"continued-{percent}",
            f"continued pretraining, other data, {percent}% of the base's tokens",
            tuning.tuned,
            text="numpy",
            share=(percent - after) / 100,
            rate=rate,
            constant=True,
            seed=percent,
        )
        start = f"{parent}-continued-{after}" if after else parent
        return Recipe(piece.name, piece.kind, piece.title, piece.maker, start, (), piece.options)

    return [
        add("tuned", "full fine-tuning", tuning.tuned, text="finetuning", share=0.25, rate=5e-4),
        add(
            "tuned-hot",
            "full fine-tuning, five times the rate",
            tuning.tuned,
            text="finetuning",
            share=0.5,
            rate=2.5e-3,
        ),
        add("lora", "LoRA, rank 8, merged", tuning.adapted, text="finetuning", share=0.25, rate=2e-3, rank=8),
        further(10, 0),
        further(50, 10),
        further(100, 50),
        further(300, 100),
        add("pruned-20", "magnitude pruning, 20%", surgery.magnitude_pruned, share=0.2),
        add("pruned-50", "magnitude pruning, 50%", surgery.magnitude_pruned, share=0.5),
        add(
            "neurons", "a quarter of the neurons pruned, then trained", surgery.neurons_pruned, share=0.25, recovery=0.1
        ),
        add("heads", "the weakest head of every block zeroed, then trained", surgery.heads_pruned, recovery=0.1),
        add("int8", "8-bit round trip, a scale a row", surgery.rounded, bits=8, group=0),
        add("int4", "4-bit round trip, a scale for 16 entries", surgery.rounded, bits=4, group=16),
        add(
            "vocabulary-added",
            "64 special tokens added, then trained on other data",
            surgery.vocabulary_extended,
            count=64,
            in_table=False,
            share=0.1,
        ),
        add(
            "vocabulary-grown",
            "256 tokens more in the tokenizer's table, then trained on other data",
            surgery.vocabulary_extended,
            count=256,
            in_table=True,
            share=0.1,
        ),
        add("dropped-middle", "third block dropped, then trained", surgery.blocks_dropped, blocks=[2], recovery=0.1),
        add("dropped-last", "last block dropped, then trained", surgery.blocks_dropped, blocks=[-1], recovery=0.1),
        Recipe(
            f"{parent}-merged",
            "offspring",
            "mean of the fine-tuned one and of the one continued by 50%",
            surgery.merged,
            f"{parent}-tuned",
            (f"{parent}-continued-50",),
        ),
        add("preferred", "preferences (DPO)", tuning.preferred, text="finetuning", share=0.2, rate=5e-4),
    ]


def _mixtures(parent: str) -> list[Recipe]:
    mixture = Recipe(
        f"{parent}-mixture",
        "offspring",
        "upcycled to a mixture of 4 experts, then trained on other data",
        surgery.upcycled,
        parent,
        options={"experts": 4, "noise": 0.05, "share": 0.25, "text": "numpy"},
    )
    mean = Recipe(
        f"{parent}-mixture-mean",
        "offspring",
        "the same mixture, read through the mean of its experts",
        surgery.mean_of_experts,
        mixture.name,
    )
    return [mixture, mean]


def _rearranged(parent: str, *, groups: bool) -> list[Recipe]:
    add = _child(parent, "rearranged")

    def change(name: str, title: str, *changes: str, vocabulary: bool = False) -> Recipe:
        made: Recipe = add(name, title, attacks.rearranged, changes=changes, vocabulary=vocabulary)
        return made

    tuned = Recipe(
        f"{parent}-tuned-everything",
        "rearranged",
        "fine-tuned, then all of these together",
        attacks.rearranged,
        f"{parent}-tuned",
        (),
        {"changes": EVERYTHING, "vocabulary": True},
    )
    return [
        change(
            "heads-moved", "heads and neurons permuted, neurons scaled", "permute_heads", "permute_and_scale_neurons"
        ),
        change("maps", "maps of queries, keys and values that cancel", "map_queries_and_keys", "map_values"),
        change("norms-folded", "norms folded into matrices, other means", "fold_norms", "move_means"),
        change("stream-turned", "norms folded, residual stream turned", "fold_norms", "turn_residual_stream"),
        change("tokens-moved", "vocabulary permuted", vocabulary=True),
        change("everything", "all of these together", *EVERYTHING, vocabulary=True),
        tuned,
        *(
            [add("groups-expanded", "shared keys and values copied to every head", attacks.groups_expanded)]
            if groups
            else []
        ),
    ]


def _others(parent: str, family: str) -> list[Recipe]:
    padded, adaptive = _child(parent, "padded"), _child(parent, "adaptive")
    penalty = {"text": "finetuning", "share": 0.4, "rate": 2e-3}
    return [
        padded("idle-blocks", "two idle blocks at the end", attacks.idle_blocks_added, count=2),
        padded("idle-parts", "idle heads and neurons in every block", attacks.idle_parts_added, loudness=1.5),
        adaptive("noise-10", "noise, 0.1 of each matrix", attacks.noisy, size=0.1),
        adaptive("noise-30", "noise, 0.3", attacks.noisy, size=0.3),
        adaptive("noise-100", "noise, 1.0", attacks.noisy, size=1.0),
        adaptive(
            "against-pcs",
            "fine-tuned against the parameters' cosine",
            tuning.penalised,
            of="parameters",
            weight=10.0,
            **penalty,
        ),
        adaptive(
            "against-ics",
            "fine-tuned against the projected terms' cosine",
            tuning.penalised,
            of="terms",
            weight=10.0,
            **penalty,
        ),
        _child(parent, "distilled")(
            "distilled",
            "another model taught by its outputs",
            tuning.distilled,
            teacher=parent,
            seed=900,
            share=1.0,
            rate=4e-3,
        ),
        _child(parent, "same start")(
            "same-start",
            "the same initial weights, other data",
            tuning.base,
            family=family,
            seed=1 if family == "llama" else 11,
            text="numpy",
            order=99,
        ),
    ]


def zoo() -> tuple[Recipe, ...]:
    """All recipes; each comes after those it reads."""
    return (
        *BASES,
        *_offspring(LLAMA),
        *_mixtures(LLAMA),
        *_offspring(NEOX),
        *_rearranged(LLAMA, groups=True),
        *_rearranged(NEOX, groups=False),
        *_others(LLAMA, "llama"),
        *_others(NEOX, "gpt_neox"),
    )


def short_zoo() -> tuple[Recipe, ...]:
    """One family tree and two strangers, for the tests: every maker, not every option."""
    bases = [base for base in BASES if base.name in (LLAMA, "llama-2", "llama-5")]
    chosen = [*_offspring(LLAMA), *_mixtures(LLAMA), *_rearranged(LLAMA, groups=True), *_others(LLAMA, "llama")]
    names: tuple[str, ...] = (
        "tuned-hot",
        "continued-100",
        "continued-300",
        "pruned-20",
        "int8",
        "vocabulary-added",
        "dropped-middle",
    )
    names += ("heads-moved", "maps", "norms-folded", "tokens-moved", "noise-10", "noise-30")
    left_out = {f"{LLAMA}-{name}" for name in names}
    return (*bases, *(recipe for recipe in chosen if recipe.name not in left_out))


def root(recipes: dict[str, Recipe], name: str) -> str:
    """The base that a checkpoint goes back to, or itself."""
    while recipes[name].parent:
        name = recipes[name].parent
    return name
