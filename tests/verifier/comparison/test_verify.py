"""A proven comparison, verified: the committed toy artefact, and one spoilt copy for each way to be rejected."""

from __future__ import annotations

import base64
import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import verifier.comparison.circuit
import verifier.comparison.verify
from tests.verifier.comparison.conftest import PAIR as BUNDLES
from tests.verifier.conftest import ASSETS, TOY
from verifier.cli import main
from verifier.comparison.artefact import COMPARISON, is_comparison
from verifier.comparison.circuit import fits, load_circuit
from verifier.comparison.page import comparison_page
from verifier.comparison.report import NOT_PROVEN, ComparisonReport
from verifier.comparison.steps import STEPS, WHY
from verifier.comparison.verify import check_comparable, verify_comparison
from verifier.fingerprint.options import Options
from verifier.formats.errors import BadInstallation, NotComparable, UnknownVersion
from verifier.results.steps import Status
from verifier.results.verdict import DEVELOPMENT_WARNING

P = 21888242871839275222246405745257275088548364400416034343698204186575808495617


@pytest.fixture
def comparison(circuit, remembered, tmp_path) -> Path:
    """A good comparison, to be spoilt."""
    target = tmp_path / "comparison"
    shutil.copytree(ASSETS / "comparison", target)
    return target


def verify(path: Path, bundles: tuple[Path, Path] = BUNDLES, **options: object) -> ComparisonReport:
    return verify_comparison(
        path, bundles, Options(**({"allow_development_srs": True, "time_limit_s": 300.0} | options))
    )


def rejected(report: ComparisonReport, step: int, words: str = "") -> None:
    assert (report.verdict, report.failure.step) == ("rejected", step), report.verdict_line()
    assert words in report.failure.message
    assert report.exit_code == 4
    assert report.ics is None
    assert all(check.status is Status.PASSED for check in report.checks[: step - 1])
    assert all(check.status is Status.NOT_CHECKED for check in report.checks[step:])


def edit(path: Path, how: Callable[[dict], object]) -> None:
    value = json.loads(path.read_bytes())
    how(value)
    path.write_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode())


# ---------------------------------------- accepted


def test_the_good_comparison_is_accepted(circuit, comparison):
    report = verify(comparison)
    assert report.verdict == "accepted", report.verdict_line()
    assert [check.step for check in report.checks] == list(STEPS) == list(WHY)
    assert all(check.status is Status.PASSED for check in report.checks)
    assert 0.5 < report.ics.ics < 0.99
    assert report.ics.ics == pytest.approx(sum(report.ics.cosines) / 6)
    assert report.ics.p_value is None, "g = 4 was not measured"
    assert DEVELOPMENT_WARNING in report.verdict_line()
    assert report.as_json()["ics"] == report.ics.ics


def test_a_zip_of_it_is_accepted(comparison, tmp_path):
    path = tmp_path / "comparison.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in comparison.iterdir():
            archive.write(file, file.name)
    assert is_comparison(path)
    assert verify(path).verdict == "accepted"


def test_what_is_taken_for_a_comparison(tmp_path):
    assert is_comparison(ASSETS / "comparison")
    assert not any(is_comparison(path) for path in (*BUNDLES, tmp_path, tmp_path / "missing", Path("/dev/null")))
    both = tmp_path / "both"
    shutil.copytree(BUNDLES[0], both)
    shutil.copy(ASSETS / "comparison" / "comparison.json", both)
    assert not is_comparison(both), "a bundle with one file more stays a bundle, and is refused as one"
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        for file in both.iterdir():
            archive.write(file, file.name)
    assert not is_comparison(tmp_path / "both.zip")


def test_undecided_without_trust_in_the_srs(comparison):
    report = verify(comparison, allow_development_srs=False)
    assert (report.verdict, report.failure.step, report.exit_code) == ("undecided", 2, 3)
    assert "srs" in report.failure.message


# ---------------------------------------- rejected


def test_step_2_and_3_a_rejected_bundle_rejects_the_comparison(comparison, tmp_path):
    bad = tmp_path / "bad"
    shutil.copytree(BUNDLES[1], bad)
    edit(bad / "encoder.json", lambda d: d["instances"].__setitem__(0, f"{5:064x}"))
    report = verify(comparison, (BUNDLES[0], bad))
    rejected(report, 3, "bundle b rejected")
    assert [one.verdict for one in report.reports] == ["accepted", "rejected"]


def test_the_other_order_of_bundles_is_rejected(comparison):
    rejected(verify(comparison, (BUNDLES[1], BUNDLES[0])), 4, "a.cm")


FIELDS = {
    "profile.name": lambda d: d["profile"].update(name="other"),
    "profile.sha256": lambda d: d["profile"].update(sha256="0" * 64),
    "circuit.sha256": lambda d: d["circuit"].update(sha256="0" * 64),
    "a.cm": lambda d: d["a"].update(cm=d["b"]["cm"]),
    "b.cm": lambda d: d["b"].update(cm="0" * 64),
    "a.statement": lambda d: d["a"].update(statement=d["b"]["statement"]),
    "a.c[0]": lambda d: d["a"]["c"].__setitem__(0, "1023"),
    "b.c[5]": lambda d: d["b"]["c"].__setitem__(5, str(2**32)),
    "b.c[1]": lambda d: d["b"]["c"].__setitem__(1, str(P - int(d["b"]["c"][1]))),
    "a.c[2]": lambda d: d["a"]["c"].__setitem__(2, f"-{d['a']['c'][2]}"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_step_4_statement(comparison, field):
    edit(comparison / "comparison.json", FIELDS[field])
    rejected(verify(comparison), 4, f"comparison.json.{field}")


def test_step_4_an_unknown_circuit_is_undecided(comparison):
    edit(comparison / "comparison.json", lambda d: d["circuit"].update(name="newer"))
    report = verify(comparison)
    assert (report.verdict, report.failure.code) == ("undecided", "unknown-circuit")


@pytest.mark.parametrize("name", ["link-a.json", "link-b.json", "similarity.json"])
def test_step_4_proofs_of_another_length(comparison, name):
    def shorter(document):
        document["proof"] = base64.b64encode(base64.b64decode(document["proof"])[:-32]).decode()

    edit(comparison / name, shorter)
    rejected(verify(comparison), 4, f"{name}.proof")


BAD_POINTS = {
    "identity": bytes(64),
    "off the curve": (1).to_bytes(32, "big") + (3).to_bytes(32, "big"),
    "not canonical": b"\xff" * 64,
}


@pytest.mark.parametrize("what", BAD_POINTS)
@pytest.mark.parametrize("index", [0, 25])
def test_step_5_points(comparison, what, index):
    data = bytearray((comparison / "points.bin").read_bytes())
    data[64 * index : 64 * index + 64] = BAD_POINTS[what]
    (comparison / "points.bin").write_bytes(bytes(data))
    rejected(verify(comparison), 5, f"points.bin, point {index}")


def test_step_6_swapped_points_of_s(comparison):
    data = (comparison / "points.bin").read_bytes()
    side = 13 * 64
    (comparison / "points.bin").write_bytes(data[side : side + 64] + data[64:side] + data[:64] + data[side + 64 :])
    rejected(verify(comparison), 6, "input a")


@pytest.mark.parametrize("index", [0, 6, 12, 17])
def test_step_7_other_sums(comparison, index):
    def change(document):
        document["instances"][index] = f"{int(document['instances'][index], 16) + 1:064x}"

    edit(comparison / "similarity.json", change)
    rejected(verify(comparison), 7, "proof")


@pytest.mark.parametrize("how", [lambda d: d["instances"].append("0" * 64), lambda d: d["instances"].pop()])
def test_another_number_of_sums(comparison, how):
    edit(comparison / "similarity.json", how)
    rejected(verify(comparison), 4, "instances instead of 18")


def test_step_9_a_link_proof_used_twice(comparison):
    shutil.copy(comparison / "link-a.json", comparison / "link-b.json")
    rejected(verify(comparison), 9, "side b: input")


def test_step_9_the_link_proof_of_the_bundle_itself(comparison):
    shutil.copy(BUNDLES[0] / "link.json", comparison / "link-a.json")
    rejected(verify(comparison), 9, "side a: input")


def test_step_9_y_of_the_other_side(comparison):
    data = bytearray((comparison / "points.bin").read_bytes())
    data[64:128] = data[14 * 64 : 15 * 64]
    (comparison / "points.bin").write_bytes(bytes(data))
    rejected(verify(comparison), 9, "side a: input")


def test_step_10_another_instance(comparison):
    edit(comparison / "link-b.json", lambda d: d.update(instances=[f"{1:064x}"]))
    rejected(verify(comparison), 10, "link-b.json.instances")


@pytest.mark.parametrize("side", "ab")
def test_step_10_a_damaged_proof(comparison, side):
    def flip(document):
        proof = bytearray(base64.b64decode(document["proof"]))
        proof[-5] ^= 1
        document["proof"] = base64.b64encode(bytes(proof)).decode()

    edit(comparison / f"link-{side}.json", flip)
    rejected(verify(comparison), 10, f"side {side}")


# ---------------------------------------- format


@pytest.mark.parametrize("name", COMPARISON.files)
def test_step_1_a_file_missing_or_too_large(comparison, name):
    data = (comparison / name).read_bytes()
    with (comparison / name).open("r+b") as stream:
        stream.truncate(COMPARISON.files[name] + 1)  # sparse: costs nothing
    assert verify(comparison).failure.code == "too-large"
    (comparison / name).unlink()
    assert verify(comparison).failure.code == "missing-file"
    (comparison / name).write_bytes(data)
    (comparison / "more").touch()
    assert verify(comparison).failure.code == "unknown-file"


@pytest.mark.parametrize("name", ["comparison.json", "link-a.json", "similarity.json"])
def test_step_1_json_has_one_meaning(comparison, name):
    path = comparison / name
    good = path.read_bytes()
    path.write_bytes(good[:-1] + b',"type":"x"}')
    assert verify(comparison).failure.code == "json-duplicate-key"
    path.write_bytes(good[:-1] + b',"zzz":1}')
    rejected(verify(comparison), 1, "unknown key")
    path.write_bytes(good[:5])
    assert verify(comparison).verdict == "undecided"


def test_step_1_statement_is_canonical_and_of_a_known_version(comparison):
    path = comparison / "comparison.json"
    good = path.read_bytes()
    path.write_bytes(json.dumps(json.loads(good)).encode())
    rejected(verify(comparison), 1, "canonical")
    path.write_bytes(good.replace(b"version=1", b"version=2"))
    rejected(verify(comparison), 1, "at_least: missing")
    path.write_bytes(good.replace(b"version=1", b"version=3"))
    report = verify(comparison)
    assert report.verdict == "undecided" and isinstance(report.failure, UnknownVersion)


def test_step_1_points_are_exactly_26(comparison):
    path = comparison / "points.bin"
    path.write_bytes(path.read_bytes()[:-64])
    rejected(verify(comparison), 1, "points.bin")


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=400), name=st.sampled_from(sorted(COMPARISON.files)))
def test_no_bytes_crash_the_reader(tmp_path_factory, data, name):
    target = tmp_path_factory.mktemp("fuzz")
    for file in (ASSETS / "comparison").iterdir():
        (target / file.name).write_bytes(data if file.name == name else file.read_bytes())
    report = verify_comparison(target, BUNDLES, Options(time_limit_s=60.0))
    assert report.verdict in ("undecided", "rejected") and report.failure.step == 1


# ---------------------------------------- what may be compared


def test_only_bundles_of_one_profile_and_token_list(accepted_once):
    a, b = (accepted_once[path][1] for path in BUNDLES)
    check_comparable([a, b])
    tokens = replace(b.bundle.statement.tokens, sha256=b"x" * 32)
    other_tokens = replace(b, bundle=replace(b.bundle, statement=replace(b.bundle.statement, tokens=tokens)))
    for other, words in (
        (replace(b, profile=replace(b.profile, sha256=b"x" * 32)), "different profiles"),
        (other_tokens, "different strings"),
        (replace(b, cm=a.cm), "very same rows"),
    ):
        with pytest.raises(NotComparable, match=words):
            check_comparable([a, other])


def test_a_circuit_fits_only_profiles_with_the_same_vectors(circuit, accepted_once):
    profile = accepted_once[BUNDLES[0]][1].profile
    assert fits(circuit, profile)
    for change in (
        {"shift": 43},
        {"projection": replace(profile.projection, g=8)},
        {"srs": None},
        {"size_class": None},
    ):
        assert not fits(circuit, replace(profile, **change))


def test_a_damaged_installation_is_undecided(circuit, monkeypatch):
    monkeypatch.setattr(verifier.comparison.circuit, "trusted", lambda: {TOY: b"x" * 32})
    with pytest.raises(BadInstallation):
        load_circuit(TOY)


# ---------------------------------------- the command and the page


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command(comparison, tmp_path):
    page = tmp_path / "page.html"
    done = run(comparison, *BUNDLES, "--allow-dev-srs", "--report", page)
    assert done.exit_code == 0, done.output
    assert "10  link proofs" in done.output
    assert done.output.strip().splitlines()[-1].startswith("ACCEPTED: inconclusive, ICS +0.")
    text = page.read_text()
    assert "<script" not in text and "The ICS is proven" in text
    assert all(words[:40] in text for words in NOT_PROVEN)
    assert "huref-verify" in text and str(comparison) in text


def test_the_command_in_json(comparison):
    document = json.loads(run(comparison, *BUNDLES, "--allow-dev-srs", "--json").output)
    assert document["verdict"] == "accepted" and len(document["checks"]) == 10
    assert [one["verdict"] for one in document["bundles"]] == ["accepted", "accepted"]
    assert document["likeness"] == "inconclusive"


@pytest.mark.parametrize(
    "more",
    [[], [BUNDLES[0]], [*BUNDLES, BUNDLES[0]], [*BUNDLES, "--junit", "x.xml"], [*BUNDLES, "--sarif", "x.sarif"]],
)
def test_wrong_usage(comparison, more, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(comparison, *more).exit_code == 2


def test_exit_codes_of_the_command(comparison):
    assert run(comparison, *BUNDLES).exit_code == 3
    assert run(comparison, BUNDLES[1], BUNDLES[0], "--allow-dev-srs").exit_code == 4


def test_the_page_of_a_rejected_comparison(comparison):
    (comparison / "link-a.json").write_bytes((comparison / "link-b.json").read_bytes())
    page = comparison_page(verify(comparison), True, datetime.now(timezone.utc)).decode()
    assert "Nothing was proven" in page and "It ended at step 9 (link inputs)" in page
    unread = verify(comparison / "missing")
    assert "could not be read" in comparison_page(unread, True, datetime.now(timezone.utc)).decode()
