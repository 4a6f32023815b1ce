"""docs/fpm.md: its tables are those that the records give, its sentences say what they hold, and whose they are."""

from __future__ import annotations

import json

import pytest

from fpm.encoder_figures import Figures
from fpm.tables import RECORDS, filled, percent, records, table, tables
from fpm.train import PUBLISHED, ROOT, RUNS, digests

PAGE = (ROOT / "docs" / "fpm.md").read_text()


@pytest.fixture(scope="module")
def found() -> dict[str, Figures]:
    return records(RUNS)


def test_the_page_holds_the_records_tables(found: dict[str, Figures]) -> None:
    assert filled(PAGE, tables(found)) == PAGE, "python -m fpm.figures"


def test_another_record_gives_another_page(found: dict[str, Figures]) -> None:
    changed = json.loads(json.dumps(found))
    changed["evaluate"]["encoder"]["synthetic"]["independents"]["pairs_above_0.3"] = 0
    page = filled(PAGE, tables(changed))
    assert page != PAGE and page.count("**not met**") == PAGE.count("**not met**") - 1
    assert filled(page, tables(found)) == PAGE, "all else stays"


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_of_the_published_files(name: str, found: dict[str, Figures]) -> None:
    if name == "study":  # trains each encoder itself: the published one has to come out again
        mine = found[name]["encoders"][found[name]["published"]]
        theirs = found["evaluate"]["encoder"]["synthetic"]
        assert mine["independents"] == pytest.approx(theirs["independents"], rel=0.05, abs=2)
        assert mine["offspring"][0]["z"] == pytest.approx(theirs["offspring"][0]["z"], abs=0.002)
        return
    files = found[name]["files"]
    assert files == digests(PUBLISHED / file for file in files) and "head.npz" in files


def test_a_table_without_a_place_is_refused(found: dict[str, Figures]) -> None:
    made = tables(found)
    with pytest.raises(ValueError, match="has places for"):
        filled(PAGE.replace("<!-- table: noise -->", ""), made)
    with pytest.raises(ValueError, match="has places for"):
        filled(PAGE, made | {"more": "| a |"})


def test_the_page_says_what_the_records_hold(found: dict[str, Figures]) -> None:
    encoder, generator = found["evaluate"]["encoder"], found["evaluate"]["generator"]
    near = encoder["synthetic"]["nearest_pairs"]
    thick = near["models_of_rank_2_or_more"]
    normal, int8 = encoder["synthetic"]["gaussianity"], encoder["real"]["quantization"]
    noisy = [row for row in encoder["real"]["noise_on_base"] if row["terms_at_0.99"]]
    by_angle = generator["identification_at_angle"]
    turned = [", ".join(percent(row[distance]) for row in by_angle) for distance in ("pixel_32", "perceptual")]
    moved = max(row["unrounded"] for row in generator["rounding"]["largest_pixel_change"])
    page = " ".join(PAGE.split())
    for sentence in (
        f"Of the {near['pairs']} pairs above {near['threshold']:g}, {near['near_pairs_with_one_below_1.5']} have a",
        f"(effective rank below 1.5; median {near['effective_rank_of_nearest_pairs_lower_one'][1]:.2f})",
        f"Among the {thick['models']} models of effective rank 2 or more, {thick['pairs']:,} pairs, the worst is "
        f"{thick['worst']:.3f} and none is above 0.3",
        f"{near['models_below_1.5']} of 1,000 synthetic models are below 1.5",
        "({:.2f} to {:.2f} times sqrt(512))".format(*normal["norm_over_sqrt_512"][::2]),
        f"z loses {encoder['synthetic']['at_0.99']['loss_of_z_over_loss_of_terms']:.1f} times what the terms lose",
        f"moves z by a cosine of {int8['mean_z']:.5f} on average, {int8['worst_z']:.5f} at worst "
        f"(terms {int8['worst_terms']:.5f})",
        f"{sum(row['z_at_0.99_of_them'] for row in noisy)} of {sum(row['terms_at_0.99'] for row in noisy)} "
        f"(worst {min(row['z_worst'] for row in noisy):.4f})",
        f"{turned[0]} (pixels) and {turned[1]} (perceptual)",
        f"at most {moved:.2f} of a grey level",
    ):
        assert sentence in page, sentence


def test_a_share_is_not_rounded_to_all() -> None:
    shares = (0.0, 0.5, 0.99949, 0.99951, 1.0)
    assert [percent(share) for share in shares] == ["0.0%", "50.0%", "99.9%", "99.9%", "100%"]


def test_a_table_is_one_of_markdown() -> None:
    assert table(("a", "b"), [("1", ""), ("", "2")]) == "| a | b |\n| --- | --- |\n| 1 | |\n| | 2 |"
