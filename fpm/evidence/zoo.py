"""Makes the zoo: every checkpoint once, in the order of the recipes; what is finished is not made again."""

from __future__ import annotations

import json
import platform
import shutil
import sys
import time
from collections.abc import Iterable

import peft
import torch
import transformers

from fpm.evidence.corpora import Corpus
from fpm.evidence.models import save_model
from fpm.evidence.training import held_out_loss
from fpm.evidence.workshop import RECORD, Made, Recipe, Workshop


def build(shop: Workshop, recipes: Iterable[Recipe]) -> None:
    """Make what is missing or was made by another recipe. A killed run goes on where it was.

    Raises:
        HurefError: an option that a recipe's maker refuses.
    """
    # models are those of these versions: other ones may train otherwise
    libraries = f"torch-{torch.__version__}-transformers-{transformers.__version__}-peft-{peft.__version__}"
    digests: dict[str, str] = {}
    for recipe in recipes:
        read = (recipe.parent, *recipe.needs) if recipe.parent else recipe.needs
        digest = recipe.digest(
            shop.size, f"{shop.library.versions}-{libraries}", {name: digests[name] for name in read}
        )
        digests[recipe.name] = digest
        if not _finished(shop, recipe.name, digest):
            _make(shop, recipe, digest)


def _finished(shop: Workshop, name: str, digest: str) -> bool:
    return (shop.path(name) / RECORD).exists() and shop.record(name)["digest"] == digest


def _make(shop: Workshop, recipe: Recipe, digest: str) -> None:
    started = time.process_time()
    made = recipe.maker(shop, recipe, **recipe.options)
    folder = shop.path(recipe.name)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    save_model(made.model, part, made.tokenizer)
    seconds = round(time.process_time() - started, 1)
    held_out = _losses(shop, made)
    document = {
        "name": recipe.name,
        "kind": recipe.kind,
        "parent": recipe.parent,
        "made_by": recipe.maker.__name__,
        "options": dict(recipe.options),
        "parameters": sum(p.numel() for p in made.model.parameters()),
        "held_out": held_out,
        "training": dict(made.record),
        "processor_seconds": seconds,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
        "digest": digest,
    }
    (part / RECORD).write_text(json.dumps(document, indent=1, default=str) + "\n", "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    losses = " ".join(f"{text} {loss:.3f}" for text, loss in held_out.items())
    print(f"{recipe.name}: held out {losses} ({seconds} s)", file=sys.stderr, flush=True)


def _losses(shop: Workshop, made: Made) -> dict[str, float]:
    """Held-out loss of every text, in the model's own tokens (nats a token)."""
    return {
        name: round(held_out_loss(made.model, _in_tokens_of(shop, made, name), shop.size), 4)
        for name in ("stdlib", "finetuning", "numpy")
    }


def _in_tokens_of(shop: Workshop, made: Made, text: str) -> Corpus:
    """The text as the model's tokenizer has it.

    Tokenizers with new ids, and those with more tokens, come from one of the zoo's: `made.record` says which and how.
    """
    corpus = shop.corpus(text, made.record.get("tokenizer", "stdlib"))
    new_ids = made.record.get("new_ids")
    if new_ids is None:
        return corpus
    return Corpus(text, torch.tensor(new_ids)[corpus.stream])
