"""The whole laboratory in its short version: zoo, attacks, scores, null, plots and tables, by the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from fpm.evidence import recipes
from fpm.evidence.cli import evaluate
from fpm.evidence.report import TABLES
from fpm.evidence.run import DOCUMENTS, read_json
from fpm.evidence.summary import DERIVED, Z_DERIVED, Z_INDEPENDENT, summary_document
from fpm.evidence.workshop import RECORD
from verifier.comparison.likeness import DERIVED_P, INDEPENDENT_P
from verifier.fingerprint.null_distribution import MEASURED, p_value

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "fpm" / "runs" / "evidence"


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder after `huref evaluate --size tiny`."""
    folder = tmp_path_factory.mktemp("laboratory")
    result = _evaluate(folder)
    assert result.exit_code == 0, result.output
    return folder


def _evaluate(folder: Path, *more: str) -> Any:
    arguments = ["--size", "tiny", "--work", str(folder / "work"), "--out", str(folder / "out"), *more]
    return CliRunner().invoke(evaluate, arguments, catch_exceptions=False)


@pytest.fixture(scope="module")
def found(laboratory: Path) -> dict[str, dict[str, Any]]:
    return {name: read_json(laboratory / "out" / f"{name}.json") for name in DOCUMENTS}


def test_every_kind_is_made_and_learns(found: dict[str, dict[str, Any]]) -> None:
    checkpoints = found["zoo"]["checkpoints"]
    assert {item["kind"] for item in checkpoints} == set(recipes.KINDS)
    for item in checkpoints:
        if item["kind"] in ("base", "distilled"):
            assert item["loss"][-1][2] < item["loss"][0][2]


def test_rearranged_and_padded_models_compute_the_same(found: dict[str, dict[str, Any]]) -> None:
    loss = {item["name"]: item["held_out"]["stdlib"] for item in found["zoo"]["checkpoints"]}
    same = [item for item in found["zoo"]["checkpoints"] if item["kind"] in ("rearranged", "padded")]
    assert len(same) >= 6
    for item in same:
        assert loss[item["name"]] == pytest.approx(loss[item["parent"]], abs=5e-4), item["name"]


def test_terms_and_z_find_what_is_rearranged(found: dict[str, dict[str, Any]]) -> None:
    rows = [row for row in found["scores"]["pairs"] if row["related"] and row["kind"] == "rearranged"]
    assert rows
    for row in rows:
        assert row["projected"] > 0.95 and row["z"] > 0.95
        assert row["verdict"] == "derived"
    assert min(row["released"] for row in rows) < 0.9 * min(row["projected"] for row in rows)


def test_strangers_are_not_called_derived(found: dict[str, dict[str, Any]]) -> None:
    verdicts = found["summary"]["verdicts"]["unrelated"]
    assert verdicts.get("derived", 0) == 0
    assert verdicts["independent"] > 10


def test_a_mixture_is_refused_and_found_through_its_mean(found: dict[str, dict[str, Any]]) -> None:
    assert "Mixtral" in found["scores"]["refused"]["llama-1-mixture"]
    by_name = {row["other"]: row for row in found["scores"]["pairs"] if row["base"] == "llama-1"}
    assert by_name["llama-1-mixture"]["projected"] is None
    assert by_name["llama-1-mixture-mean"]["verdict"] == "derived"
    missed = {item["other"]: item["verdict"] for item in found["summary"]["missed"]}
    assert missed["llama-1-mixture"] is None
    assert set(DERIVED) > {"padded"} and "llama-1-idle-blocks" in missed


def test_summary_comes_from_the_scores(found: dict[str, dict[str, Any]]) -> None:
    assert summary_document(found["scores"], found["zoo"]) == found["summary"]


def test_a_second_run_makes_nothing_again(laboratory: Path) -> None:
    zoo = laboratory / "work" / "zoo-tiny"
    before = {folder.name: (folder / RECORD).stat().st_mtime_ns for folder in zoo.iterdir()}
    (zoo / "llama-1-int4" / RECORD).unlink()  # as if killed there
    from fpm.evidence.corpora import Library
    from fpm.evidence.models import TINY
    from fpm.evidence.workshop import Workshop
    from fpm.evidence.zoo import build

    build(Workshop(TINY, Library(laboratory / "work" / "zoo-text", limit=12), zoo), recipes.short_zoo())
    after = {folder.name: (folder / RECORD).stat().st_mtime_ns for folder in zoo.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"llama-1-int4"}


def test_tables_and_plots_are_made_from_the_json_alone(laboratory: Path, tmp_path: Path) -> None:
    page = tmp_path / "evidence.md"
    page.write_text("hand-written\n" + "".join(f"<!-- table {n} -->\n<!-- end {n} -->\n" for n in TABLES))
    result = _evaluate(laboratory, "--report-only", "--docs", str(tmp_path))
    assert result.exit_code == 0
    text = page.read_text()
    assert text.startswith("hand-written\n")
    assert text.count("\n| --- ") == len(TABLES)
    assert "llama-2" in text and "idle blocks" in text
    assert all(plot.stat().st_size > 10_000 for plot in tmp_path.glob("*.png"))
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_damaged_results_are_refused(laboratory: Path, tmp_path: Path) -> None:
    for name in DOCUMENTS:
        (tmp_path / f"{name}.json").write_bytes((laboratory / "out" / f"{name}.json").read_bytes())
    for damage in ("[1]", "{", None):
        file = tmp_path / "scores.json"
        file.unlink() if damage is None else file.write_text(damage)
        result = CliRunner().invoke(evaluate, ["--out", str(tmp_path), "--report-only"])
        assert result.exit_code == 2
        assert "scores.json" in result.stderr
        assert not (tmp_path / "evidence.md").exists()


# ---------------------------------------- what is published


def test_published_summary_comes_from_the_published_scores() -> None:
    found = {name: json.loads((PUBLISHED / f"{name}.json").read_text()) for name in DOCUMENTS}
    assert summary_document(found["scores"], found["zoo"]) == found["summary"]
    assert [item["name"] for item in found["zoo"]["checkpoints"]] == [recipe.name for recipe in recipes.zoo()]
    text = (ROOT / "docs" / "evidence.md").read_text()
    for name, make in TABLES.items():
        assert f"<!-- table {name} -->\n{make(found)}\n<!-- end {name} -->" in text


def test_the_page_says_how_far_the_aim_is_met() -> None:
    methods = json.loads((PUBLISHED / "summary.json").read_text())["methods"]
    text = " ".join((ROOT / "docs" / "evidence.md").read_text().split())
    aimed, padded = (
        {name: round(of["tpr"] * of["pairs"]) for name, of in found.items()}
        for found in (
            {name: methods[name]["aim"] for name in ("projected", "z", "released")},
            {name: methods[name]["by_kind"]["padded"] for name in ("projected", "z", "released")},
        )
    )
    assert f"Of the {methods['z']['aim']['pairs']} offspring and rearrangements the projected ICS" in text
    assert f"ICS finds {aimed['projected']} (all but" in text and methods["projected"]["aim_readable"]["auc"] == 1.0
    assert f"z {aimed['z']} (all but" in text and f"the released definition {aimed['released']}." in text
    assert padded == {"projected": 2, "z": 2, "released": 2} and methods["z"]["by_kind"]["padded"]["pairs"] == 4


def test_thresholds_of_z_are_the_verifiers() -> None:
    (null,) = {measured.effective_dimension: measured for measured in MEASURED.values()}.values()
    for cosine, limit in ((Z_DERIVED, DERIVED_P), (Z_INDEPENDENT, INDEPENDENT_P)):
        assert p_value(cosine + 0.0005, null, 16, 6) <= limit < p_value(cosine - 0.0005, null, 16, 6)


def test_published_bases_learnt() -> None:
    checkpoints = json.loads((PUBLISHED / "zoo.json").read_text())["checkpoints"]
    bases = [item for item in checkpoints if item["kind"] == "base"]
    assert len(bases) >= 6
    assert all(item["loss"][-1][2] < item["loss"][0][2] - 2.0 for item in bases)
    for parent in recipes.PARENTS:
        assert sum(item["kind"] == "offspring" and item["name"].startswith(parent) for item in checkpoints) >= 8


def test_published_files_are_small() -> None:
    assert sum(file.stat().st_size for file in PUBLISHED.iterdir()) < 500_000


def test_without_the_extra_the_command_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    result = CliRunner().invoke(evaluate, ["--out", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "huref-zk[fpm,prover]" in result.stderr
    assert not (tmp_path / "out").exists()


def test_huref_knows_the_command() -> None:
    registered = '\nevaluate = "fpm.evidence.cli:evaluate"\n'
    assert registered in (ROOT / "pyproject.toml").read_text()
