"""The tables of docs/evidence.md, from the JSON documents alone.

The page's prose is written by hand. Between `<!-- table NAME -->` and `<!-- end NAME -->` lies what is written here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from circuits.digests import write_atomically
from circuits.errors import UsageError
from fpm.evidence.recipes import KINDS
from fpm.evidence.scores import METHODS

Documents = Mapping[str, dict[str, Any]]
Row = dict[str, Any]

BETTER = 0.05  # gain in ICS from which a pair is listed among those that other blocks help

KIND_ORDER = ("offspring", "rearranged", "padded", "adaptive", "distilled", "same start")


def write(found: Documents, page: Path) -> None:
    """Fill the tables of `page`, or make it if it does not exist.

    Raises:
        UsageError: a table's marks are missing.
    """
    tables = {name: make(found) for name, make in TABLES.items()}
    if not page.exists():
        text = "# Evidence\n\n" + "\n\n".join(f"<!-- table {name} -->\n<!-- end {name} -->" for name in tables) + "\n"
    else:
        text = page.read_text("utf-8")
    for name, table in tables.items():
        text = filled(text, name, table, page)
    write_atomically(page, text.encode())


def filled(text: str, name: str, table: str, page: Path) -> str:
    """`text` with the table between its marks.

    Raises:
        UsageError: they are not there once each.
    """
    begin, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UsageError(f"{page}: the marks {begin} and {end} are not there once each, in this order", step="report")
    return re.sub(f"{re.escape(begin)}.*?{re.escape(end)}", lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL)


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """A score; a dash where there is none, no minus before zero."""
    if value is None:
        return "-"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0.0 else text


def probability(value: float | None) -> str:
    """A p-value: two digits where they mean something, powers of ten below."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value >= 0.01 else "<1e-12" if value <= 1e-12 else f"{value:.0e}"


# ---------------------------------------- tables


def _bases(found: Documents) -> str:
    rows = []
    for item in found["zoo"]["checkpoints"]:
        if item["kind"] == "base":
            text = item["training"]["text"]
            rows.append(
                (
                    item["name"],
                    item["title"],
                    f"{item['parameters']:,}",
                    f"{item['training']['tokens']:,}",
                    f"{item['loss'][0][2]:.2f} -> {item['loss'][-1][2]:.2f} ({text})",
                )
            )
    return markdown(("base", "what", "parameters", "tokens seen", "held-out loss (nats a token)"), rows)


def _methods(found: Documents) -> str:
    summary = found["summary"]
    kinds = [kind for kind in KIND_ORDER[:4] if kind in next(iter(summary["methods"].values()))["by_kind"]]
    rows = []
    for key, of in summary["methods"].items():
        null = of["null"]
        rows.append(
            (
                METHODS[key],
                f"{number(of['aim']['auc'])} ({number(of['aim_readable']['auc'])})",
                number(of["derived"]["auc"]),
                *(f"{of['by_kind'][kind]['tpr']:.0%}" for kind in kinds),
                f"{number(null['mean'])}, {number(null['std'])}, {number(null['worst'])}",
                number(of["threshold"]),
                f"{1000 * of['processor_seconds']['checkpoint']:.0f} + {1000 * of['processor_seconds']['pair']:.1f}",
            )
        )
    head = ("method", "AUC: offspring, rearranged (those it reads)", "AUC: all derived")
    tail = ("unrelated: mean, sd, worst", "threshold", "ms: a checkpoint + a pair")
    return markdown((*head, *(f"found: {kind}" for kind in kinds), *tail), rows)


def _by_checkpoint(kinds: Sequence[str]) -> Callable[[Documents], str]:
    def table(found: Documents) -> str:
        zoo = {item["name"]: item for item in found["zoo"]["checkpoints"]}
        rows: dict[tuple[str, str], list[Row]] = {}
        for row in found["scores"]["pairs"]:
            if row["related"] and row["kind"] in kinds:
                rows.setdefault((row["kind"], zoo[row["other"]]["title"]), []).append(row)
        lines = []
        for kind in kinds:
            for (of, title), group in rows.items():
                if of != kind:
                    continue
                change = [zoo[r["other"]]["held_out"]["stdlib"] - zoo[r["base"]]["held_out"]["stdlib"] for r in group]
                cells = [both(group, method) for method in ("projected", "z", "released", "pcs", "profile", "reef")]
                p = " / ".join(probability(row["p_value"]) for row in group)
                words = list(dict.fromkeys(row["verdict"] or "refused" for row in group))
                losses = " / ".join(f"{value:+.2f}" for value in change)
                lines.append((title, losses, *cells, p, " / ".join(words)))
        head = ("checkpoint", "loss", "ICS, projected", "z", "ICS, released", "PCS", "profile", "REEF", "p", "verdict")
        return markdown(head, lines)

    return table


def both(group: Sequence[Row], method: str) -> str:
    """A method's scores for every base that has such a checkpoint."""
    return " / ".join(number(row[method], 2) for row in group)


def _verdicts(found: Documents) -> str:
    words = ("derived", "inconclusive", "independent", "refused")
    names = {"unrelated": "unrelated pairs"} | KINDS
    of_terms, of_z = found["summary"]["verdicts"], found["summary"]["verdicts_by_z"]
    return markdown(
        ("pairs: `huref ics` / z, by `huref compare`'s thresholds", *words),
        (
            (names[kind], *(f"{of_terms[kind].get(word, 0)} / {of_z[kind].get(word, 0)}" for word in words))
            for kind in of_terms
        ),
    )


def _null(found: Documents) -> str:
    null = found["null"]
    distance, count = null["distance"], null["distance"]["pairs"]
    rows = [
        ("pairs of bases, times projections", f"{null['unrelated_pairs']} x {null['projections']}"),
        ("cosine: mean, standard deviation", f"{null['cosine']['mean']:+.4f}, {null['cosine']['std']:.4f}"),
        ("cosine: least, greatest", f"{null['cosine']['least']:+.3f}, {null['cosine']['greatest']:+.3f}"),
        (
            "distance from theory's mean, in theory's standard deviations: mean, standard deviation",
            f"{distance['mean']:+.3f}, {distance['std']:.3f}",
        ),
        ("the same: greatest", f"{distance['greatest']:+.2f}"),
        *(
            (f"p-values of at most {p}", f"{seen} of {count}, {seen / count:.3f}")
            for p, seen in null["p_values_below"].items()
        ),
        ("calibration that it gives: shift, scale", f"{null['calibration']['shift']}, {null['calibration']['scale']}"),
    ]
    return markdown(("unrelated bases, one tokenizer", "measured"), rows)


def _tokens(found: Documents) -> str:
    rows = [
        (
            str(at["tokens"]),
            f"{at['distance']['mean']:+.2f}, {at['distance']['std']:.2f}",
            number(at["unrelated_worst"]),
            number(at["related_least"]),
            f"{at['related_derived']} of {at['related']}",
        )
        for at in found["null"]["tokens"]
    ]
    return markdown(
        ("K", "unrelated: distance, mean and sd", "unrelated, worst", "offspring, least", "offspring called derived"),
        rows,
    )


def _later(found: Documents) -> str:
    titles = {item["name"]: f"{item['title']} ({item['parent']})" for item in found["zoo"]["checkpoints"]}
    published = {(row["base"], row["other"]): row["projected"] for row in found["scores"]["pairs"]}
    rows = [
        (
            titles[at["other"]],
            number(published[at["base"], at["other"]]),
            ", ".join(number(value) for value in at["projected"]),
            ", ".join(probability(value) for value in at["p_values"]),
        )
        for at in found["null"]["later"]
    ]
    return markdown(("checkpoint", "published projection", "others", "their p-values"), rows)


def _blocks(found: Documents) -> str:
    """Pairs whose verdict is another one with the best blocks, then the unrelated."""
    titles = {item["name"]: item["title"] for item in found["zoo"]["checkpoints"]}
    plain = {(row["base"], row["other"]): row for row in found["scores"]["pairs"]}
    rows, strangers = [], []
    for at in found["null"]["blocks"]:
        row = plain[at["base"], at["other"]]
        if not row["related"]:
            strangers.append(at)
        elif at["cosine"] > row["projected"] + BETTER:
            places = " on ".join(" and ".join(str(block) for block in at[side]) for side in ("left", "right"))
            moved = f"{number(row['projected'])} -> {number(at['cosine'])}"
            words = f"{row['verdict']} -> {at['word']}"
            rows.append((f"{titles[at['other']]} ({at['base']})", moved, places, probability(at["p_value"]), words))
    if strangers:
        worst = max(strangers, key=lambda at: float(at["cosine"]))
        least = probability(min(at["p_value"] for at in strangers))
        called = sum(at["word"] == "derived" for at in strangers)
        title = f"{len(strangers)} unrelated pairs of bases: worst"
        rows.append((title, number(worst["cosine"]), "", least, f"{called} called derived"))
    return markdown(("checkpoint", "ICS, projected", "blocks, base's on the other's", "p", "verdict"), rows)


TABLES: dict[str, Callable[[Documents], str]] = {
    "bases": _bases,
    "methods": _methods,
    "offspring": _by_checkpoint(("offspring",)),
    "attacks": _by_checkpoint(("rearranged", "padded", "adaptive")),
    "others": _by_checkpoint(("distilled", "same start")),
    "verdicts": _verdicts,
    "null": _null,
    "tokens": _tokens,
    "later": _later,
    "blocks": _blocks,
}
