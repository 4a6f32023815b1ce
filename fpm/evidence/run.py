"""The whole of docs/evidence.md: zoo, scores, null, summary, plots, tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from circuits.digests import write_atomically
from fpm.evidence import figures, null, report
from fpm.evidence.prover_terms import LaboratoryError
from fpm.evidence.scores import pairs_of, score_zoo
from fpm.evidence.summary import summary_document
from fpm.evidence.workshop import Recipe, Workshop
from fpm.evidence.zoo import build

DOCUMENTS = ("zoo", "scores", "null", "summary")
POINTS_KEPT = ("step", "training", "held_out")


def rebuild(
    shop: Workshop,
    recipes: Sequence[Recipe],
    out: Path,
    docs: Path | None = None,
    projections: int = null.PROJECTIONS,
    tokens: Sequence[int] = null.TOKENS,
) -> None:
    """Train what is missing, score every pair, write JSON, plots and tables.

    Args:
        shop: size, texts and folder of the zoo.
        recipes: in the order they are made.
        out: gets zoo.json, scores.json, null.json, summary.json.
        docs: gets the plots and the tables in its evidence.md; None: they go to `out`.
        projections, tokens: of the null's check.

    Raises:
        HurefError: anything that is wrong with a recipe, a file or the disk.
    """
    build(shop, recipes)
    by_name = {recipe.name: recipe for recipe in recipes}
    zoo = zoo_document(shop, recipes)
    write_json(out / "zoo.json", zoo)
    scores = score_zoo(shop, by_name)
    write_json(out / "scores.json", scores)
    one_tokenizer = [name for name, item in by_name.items() if item.kind == "base" and "tokenizer" not in item.options]
    unrelated = [(a, b) for a, b in pairs_of(by_name) if a in one_tokenizer and b in one_tokenizer]
    related, attacked = (
        [(r["base"], r["other"]) for r in scores["pairs"] if r["related"] and r["kind"] == kind and r["verdict"]]
        for kind in ("offspring", "adaptive")
    )
    every = [(row["base"], row["other"]) for row in scores["pairs"] if row["related"] and row["verdict"]]
    document = null.null_document(shop.folder, unrelated, related, attacked, every, projections, tokens)
    write_json(out / "null.json", document)
    write_json(out / "summary.json", summary_document(scores, zoo))
    publish(out, docs)


def publish(out: Path, docs: Path | None = None) -> None:
    """Plots and tables from the JSON in `out`.

    Raises:
        LaboratoryError: a JSON file is missing or damaged.
    """
    found = {name: read_json(out / f"{name}.json") for name in DOCUMENTS}
    report.write(found, (docs or out) / "evidence.md")  # first: it refuses a page without marks
    figures.draw(found, docs or out)
    print(f"{(docs or out) / 'evidence.md'}", file=sys.stderr)


def zoo_document(shop: Workshop, recipes: Sequence[Recipe]) -> dict[str, Any]:
    """Every checkpoint's record, without what only its maker needs."""
    checkpoints = []
    for recipe in recipes:
        record = shop.record(recipe.name)
        training = record["training"]
        checkpoints.append(
            {
                "name": recipe.name,
                "kind": recipe.kind,
                "title": recipe.title,
                "parent": recipe.parent,
                "needs": list(recipe.needs),
                "made_by": record["made_by"],
                "options": record["options"],
                "parameters": record["parameters"],
                "held_out": record["held_out"],
                "training": {key: value for key, value in training.items() if key not in ("new_ids", "loss")},
                "loss": [[point[key] for key in POINTS_KEPT] for point in training.get("loss", [])],
                "processor_seconds": record["processor_seconds"],
            }
        )
    texts = {name: {"tokens": len(corpus.stream), "sha256": corpus.sha256} for name, corpus in _corpora(shop)}
    versions = shop.record(recipes[0].name)["versions"]
    return {"size": asdict(shop.size), "texts": texts, "versions": versions, "checkpoints": checkpoints}


def _corpora(shop: Workshop) -> list[tuple[str, Any]]:
    return [(name, shop.corpus(name)) for name in ("stdlib", "finetuning", "numpy")]


def write_json(path: Path, document: dict[str, Any]) -> None:
    """One item of a list a line: small, and readable in a diff."""
    parts = []
    for key, value in document.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            rows = ",\n  ".join(json.dumps(item) for item in value)
            parts.append(f" {json.dumps(key)}: [\n  {rows}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    write_atomically(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """A document that `write_json` wrote.

    Raises:
        LaboratoryError: missing, or not JSON.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise LaboratoryError(
            f"{path}: {error}", step="report", hint="run huref evaluate without --report-only"
        ) from error
    if not isinstance(found, dict):
        raise LaboratoryError(f"{path}: not a JSON object", step="report")
    return found
