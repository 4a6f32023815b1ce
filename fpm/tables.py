"""The tables of docs/fpm.md, made of run records. `python -m fpm.figures` puts them there; a test compares.

A table lies on the page between `<!-- table: NAME -->` and `<!-- end of table -->`; nothing else is touched.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from fpm.encoder_figures import Figures
from fpm.train_encoder import WHITENING

RECORDS = ("evaluate", "study", "whitening", "trade_off")
_PLACE = re.compile(r"(<!-- table: (\w+) -->\n\n)(.*?)(\n\n<!-- end of table -->)", re.DOTALL)


def records(runs: Path) -> dict[str, Figures]:
    """The run records that the tables are made of, by name, from the folder `runs`."""
    return {name: json.loads((runs / f"{name}.json").read_text()) for name in RECORDS}


def tables(found: Mapping[str, Figures]) -> dict[str, str]:
    """Every table by its name, as Markdown; `found` as `records` gives it."""
    encoder, generator = found["evaluate"]["encoder"], found["evaluate"]["generator"]
    return {
        "study": study(found["study"]),
        "whitening": how_much_to_whiten(found["whitening"]),
        "synthetic": synthetic(encoder["synthetic"]),
        "noise": noise(encoder["synthetic"]["offspring"]),
        "trade_off": other_maps(found["trade_off"]),
        "real": real(encoder["real"]),
        "real_noise": real_noise(encoder["real"]["noise_on_base"]),
        "runtime": runtime(generator["runtime"]),
        "distance": distance(generator["distance_curve"]),
        "identification": identification(generator["identification_at_ics"]),
    }


def filled(page: str, made: Mapping[str, str]) -> str:
    """The page with each of its tables as it was `made`.

    Raises:
        ValueError: a table has no place on the page, or a place no table.
    """
    places = [match[2] for match in _PLACE.finditer(page)]
    if sorted(places) != sorted(made):
        raise ValueError(f"docs/fpm.md has places for {sorted(places)}, the records give {sorted(made)}")
    return _PLACE.sub(lambda match: match[1] + made[match[2]] + match[4], page)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    names = list(head)
    lines = [names, ["---"] * len(names), *map(list, rows)]
    return "\n".join(map(line, lines))


def line(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in cells)


def percent(share: float) -> str:
    """A share as a percentage; what is not all of it is never rounded to 100%.

    >>> percent(0.9999), percent(1.0), percent(0.9)
    ('99.9%', '100%', '90.0%')
    """
    return "100%" if share == 1.0 else f"{min(100 * share, 99.9):.1f}%"


def study(record: Figures) -> str:
    """Encoders that were trained alike, by cost and accuracy."""
    head = (
        "encoder", "features", "products", "processor seconds of a proof", "proof (kB), key (MiB)",
        r"mean \|cos\| of independents", "worst; pairs above 0.3", "offspring, training noise",
        "z >= 0.99 where terms are", "found at noise 0.8, 1.2",
    )  # fmt: skip
    rows = []
    for name, of in record["encoders"].items():
        near, cost = of["independents"], of["cost"][0]
        found = {row["noise"]: row["retrieval"] for row in of["offspring"][1:]}
        rows.append(
            (
                f"**{name}**" if name == record["published"] else name,
                str(of["features"]),
                f"{of['products']:,}",
                f"{min(cost['processor_seconds']):.1f}",
                f"{cost['proof_bytes'] / 1000:.0f}, {cost['proving_key_mib']:.0f}",
                f"{near['mean_abs']:.4f}",
                f"{near['worst']:.2f}; {near['pairs_above_0.3']:,}",
                f"{of['offspring'][0]['z']:.3f}",
                percent(of["at_0.99"]["share"]),
                f"{percent(found[0.8])}, {percent(found[1.2])}",
            )
        )
    return table(head, rows)


def how_much_to_whiten(record: Figures) -> str:
    """Powers of the covariance in the head, the published one in bold."""
    found = record["powers"]
    one = found[f"{WHITENING:g}"]
    head = (
        "exponent", "largest variance of a direction", r"mean \|cos\| of independents",
        f"pairs above 0.3, of {one['pairs']:,}", "z >= 0.99 where terms are",
        f"not found, of {one['terms_above_0.4']:,} with terms above 0.4", f"of {one['terms_above_0.5']:,} above 0.5",
    )  # fmt: skip
    rows = (power_cells(f"**{power}**" if float(power) == WHITENING else power, of) for power, of in found.items())
    return table(head, rows)


def power_cells(power: str, found: Figures) -> tuple[str, ...]:
    """One power's cells, of `fpm.whitening`'s record."""
    return (
        power,
        f"{found['spread']:.1f}",
        f"{found['mean_abs']:.4f}",
        f"{found['pairs_above_0.3']:,}",
        f"{found['at_0.99']:.1%}",
        f"{found['not_found_above_0.4']:,}",
        f"{found['not_found_above_0.5']:,}",
    )


def other_maps(record: Figures) -> str:
    """Linear maps in the place of encoder and head."""
    crowd = next(iter(record["maps"].values()))["crowd_pairs"]
    head = (
        "map", "public numbers", r"mean \|cos\| of independents", "worst; pairs above 0.3",
        f"of {crowd / 1e6:.1f} million", "offspring, training noise", "z >= 0.99 where terms are", "not found",
    )  # fmt: skip
    return table(head, (map_cells(name, of) for name, of in record["maps"].items()))


def map_cells(name: str, found: Figures) -> tuple[str, ...]:
    """One map's cells, of `fpm.trade_off`'s record."""
    near = found["independents"]
    return (
        name,
        f"{found['numbers']:,}",
        f"{near['mean_abs']:.4f}",
        f"{near['worst']:.2f}; {near['pairs_above_0.3']:,}",
        f"{found['crowd_above_0.3']:,}",
        f"{found['offspring_at_training_noise']:.3f}",
        f"{found['at_0.99']:.1%}",
        f"{found['lost_of_them']}",
    )


def synthetic(of: Figures) -> str:
    """Models that training never saw, against the aims."""
    near, floor, terms = of["independents"], of["floor_of_512_dimensions"], of["independents_terms"]
    normal, close, first = of["gaussianity"], of["at_0.99"], of["offspring"][0]
    counts = [row["terms_above_0.5"] for row in of["offspring"]]
    found = [round(row["terms_above_0.5"] * (row["retrieval_terms_above_0.5"] or 0.0)) for row in of["offspring"]]
    spread, usual = normal["variance"], normal["variance_of_a_gaussian_sample"]
    sphere, plain = normal["nearest_neighbour_same_side_normalised"], normal["nearest_neighbour_same_side"]
    none_near, all_close = near["pairs_above_0.3"] == 0, close["share"] == 1.0
    rows = [
        (
            r"mean \|cosine\| of independents",
            f"{near['mean_abs']:.4f} (floor of 512 dimensions: {floor['mean_abs']:.4f})",
            "0.06",
        ),
        (
            "mean cosine, standard deviation",
            f"{near['mean']:.4f}, {near['std']:.4f} (floor: {floor['std']:.4f})",
            "0",
        ),
        (
            "worst pair; pairs above 0.3",
            f"{near['worst']:.3f}; {near['pairs_above_0.3']:,} of {near['pairs']:,}",
            "none above 0.3" + ("" if none_near else ", **not met**"),
        ),
        (
            "the same for the terms themselves",
            rf"mean \|cosine\| {terms['mean_abs']:.3f}, worst {terms['worst']:.2f}, "
            f"{terms['pairs_above_0.3']:,} above 0.3",
            "",
        ),
        (
            f"found among {of['models']:,}: offspring with a terms' cosine above 0.5, all noises together",
            f"{sum(found):,} of {sum(counts):,}",
            "all" + ("" if found == counts else ", **not met**"),
        ),
        ("offspring at training noise (0.1 / 0.4): terms, z", f"{first['terms']:.3f}, {first['z']:.3f}", ""),
        (
            f"offspring whose z is at 0.99 or more, among {close['offspring']:,} whose terms are",
            f"{percent(close['share'])} (worst {close['worst_z']:.3f}); 99% from a terms' cosine of "
            f"{close['terms_that_suffice_for_99_percent']:.4f} on",
            "all" + ("" if all_close else ", **not met**"),
        ),
        (
            r"z before normalisation: mean \|mean\|, variance per dimension",
            f"{normal['mean_abs_mean']:.3f} (a Gaussian sample: {normal['mean_abs_mean_of_a_gaussian_sample']:.3f}); "
            f"{spread[0]:.2f} to {spread[-1]:.2f} ({usual[0]:.2f} to {usual[-1]:.2f})",
            "0; 1",
        ),
        (
            "dimensions that a Kolmogorov-Smirnov test rejects at 0.01",
            f"{percent(normal['ks_rejected_at_0.01'])} of 512",
            "1%",
        ),
        (
            "nearest neighbour of the same sample, z and N(0, I), both on the sphere",
            f"{sphere[0]:.2f}, {sphere[1]:.2f}",
            "0.5, 0.5",
        ),
        ("the same before normalisation", f"{plain[0]:.3f}, {plain[1]:.3f}", "0.5, 0.5"),
        (
            "fixed point (16 fractional bits, as in the circuit) against float64, 1 - worst z cosine of "
            f"{of['fixed_point']['models']}",
            f"{of['fixed_point']['worst_1_minus_cosine']:.0e}",
            "0.001",
        ),
    ]
    return table(("figure", "measured", "aim"), rows)


def noise(of: list[Figures]) -> str:
    """Offspring of synthetic models at rising noise, without the training noise."""
    head = (
        "noise (weights and embeddings)", "cosine of terms", "cosine of z", "worst z minus terms",
        "found among 1,000", "of those whose terms' cosine is above 0.5",
    )  # fmt: skip
    rows = [
        (
            f"{row['noise']:g}",
            f"{row['terms']:.4f}",
            f"{row['z']:.4f}",
            f"-{row['largest_loss']:.3f}",
            percent(row["retrieval"]),
            f"{percent(row['retrieval_terms_above_0.5'])} of {row['terms_above_0.5']:,}"
            if row["terms_above_0.5"]
            else "there are none",
        )
        for row in of[1:]
    ]
    return table(head, rows)


def real(of: Figures) -> str:
    """Pairs of really trained models."""
    every, shipped = of["with_variants"], of["shipped"]
    rows = []
    for row in every["related"]:
        low, high = row["z_range"]
        of_terms = row["terms_range"]
        ranges = f"{low:.3f} to {high:.3f} (terms {of_terms[0]:.3f} to {of_terms[1]:.3f})"
        pair = row["pair"].replace(" / ", ", ").replace("-", " ")
        rows.append((pair, f"{row['terms']:.3f}", f"{row['z']:.3f}", ranges))
    apart = shipped["base_against_independent"]
    rows.append(("base, independent", f"{apart['terms']:.3f}", f"{apart['z']:.3f}", ""))
    others = every["unrelated"]
    rows.append(
        (
            f"all {others['pairs']} unrelated pairs, {others['pairs_and_projections']} with projections",
            f"worst {others['worst_terms']:.3f}",
            rf"mean \|cosine\| {others['mean_abs']:.3f}, standard deviation {others['std']:.3f}, "
            f"worst {others['worst']:.3f}",
            "none above 0.3" if others["above_0.3"] == 0 else f"{others['above_0.3']} above 0.3, **not met**",
        )
    )
    return table(("pair", "cosine of terms", "cosine of z", f"over {every['projections']} projections"), rows)


def real_noise(of: list[Figures]) -> str:
    """Noise on the shipped base's weights."""
    digits = [4 if row["terms"] > 0.99 else 3 for row in of]
    names = (("terms", "terms"), ("z", "z"), ("worst z", "z_worst"))
    rows = [
        *((name, *(f"{row[key]:.{n}f}" for row, n in zip(of, digits, strict=True))) for name, key in names),
        (
            "z at 0.99 or more, of those whose terms are",
            *(f"{row['z_at_0.99_of_them']} of {row['terms_at_0.99']}" if row["terms_at_0.99"] else "" for row in of),
        ),
        ("found among 1,000", *(percent(row["retrieval"]) for row in of)),
    ]
    return table(("noise", *(f"{row['noise']:g}" for row in of)), rows)


def runtime(of: Figures) -> str:
    """Size and speed of the generator, and the agreement of onnxruntime's ways to run it."""
    levels = of["optimised_against_plain_grey_levels"]
    rows = [
        (
            "size; time a picture (onnxruntime, one thread)",
            f"{of['megabytes']:.1f} MB; {1000 * of['seconds_a_picture']:.0f} ms",
            "20 MB",
        ),
        ("graph optimisation on against off", f"{levels} grey level{'' if levels == 1 else 's'}", "1"),
    ]
    return table(("figure", "measured", "aim"), rows)


def distance(of: list[Figures]) -> str:
    """How far apart pictures are, by the angle between their z."""
    rows = [
        ("mean pixel distance (grey levels)", *(f"{row['pixel']:.1f}" for row in of)),
        ("perceptual distance", *(f"{row['perceptual']:.3f}" for row in of)),
    ]
    return table(("cosine between z", *(f"{row['cosine']:g}" for row in of)), rows)


def identification(of: list[Figures]) -> str:
    """1-of-18 identification by the picture alone."""
    rows = [
        ("mean cosine of z (worst)", *(f"{row['z']:.3f} ({row['z_worst']:.3f})" for row in of)),
        ("plain pixel distance at 32x32", *(percent(row["pixel_32"]) for row in of)),
        (
            "perceptual distance (a hand-made pyramid of edges and opponent colours)",
            *(percent(row["perceptual"]) for row in of),
        ),
    ]
    return table(("ICS of the terms", *(f"{row['ics']:g}" for row in of)), rows)
