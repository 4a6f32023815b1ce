"""A feed-forward proof, verified: the committed toy artefact, its formats, the command. Cheats: tests/adversarial/."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import verifier.inference.circuit
from tests.verifier.conftest import ASSETS, TOY
from verifier.cli import main
from verifier.comparison.artefact import is_comparison
from verifier.fingerprint.options import Options
from verifier.formats.errors import BadInstallation, Rejected, UnknownVersion, Unreadable, VerifierError
from verifier.formats.package import read_files
from verifier.inference.artefact import FEED_FORWARD, is_feed_forward, parse_feed_forward, read_statement
from verifier.inference.circuit import fits, load_circuit
from verifier.inference.relation import normalise, read_integers
from verifier.inference.report import NOT_PROVEN, NOT_PROVEN_UNOPENED, Check, FeedForwardReport
from verifier.inference.steps import OPENING_STEP, STEPS, WHY
from verifier.inference.verify import verify_feed_forward
from verifier.results.steps import Status
from verifier.results.verdict import DEVELOPMENT_WARNING
from verifier.trust.profile import load_profile

BUNDLE, PROOF = ASSETS / "bundle", ASSETS / "feedforward"


@pytest.fixture
def activation(toy, monkeypatch):
    """The toy activation circuit, trusted by this test."""
    folder = ASSETS / "activations"
    digest = hashlib.sha256((folder / TOY / "circuit.json").read_bytes()).digest()
    monkeypatch.setattr(verifier.inference.circuit, "trusted", lambda: {TOY: digest})
    monkeypatch.setattr(verifier.inference.circuit, "circuits_folder", lambda: folder)
    return load_circuit(TOY)


@pytest.fixture
def proof(activation, tmp_path) -> Path:
    """A good proof, to be spoilt."""
    target = tmp_path / "proof"
    shutil.copytree(PROOF, target)
    return target


def verify(path: Path, **options: object) -> FeedForwardReport:
    return verify_feed_forward(
        path, BUNDLE, Options(**({"allow_development_srs": True, "time_limit_s": 300.0} | options))
    )


# ---------------------------------------- the procedure


def test_the_good_proof_is_accepted(proof):
    report = verify(proof)
    assert report.verdict == "accepted", report.verdict_line()
    assert [check.step for check in report.checks] == list(WHY)[:-1] and list(STEPS) == list(WHY)
    assert all(check.status is Status.PASSED for check in report.checks)
    assert DEVELOPMENT_WARNING in report.verdict_line()
    document = report.as_json()
    assert (document["activations"], len(document["outputs"]), len(document["outputs"][0])) == (4, 4, 32)
    assert document["bundle"]["verdict"] == "accepted"
    data = (PROOF / "activations.bin").read_bytes()
    first = int.from_bytes(data[len(data) // 2 :][:8], "big", signed=True)
    # y in units of c_down 2^-(32 + 3F + 4), with F = 5
    assert document["outputs"][0][0] == pytest.approx(first * (1 << 20) / 2.0 ** (32 + 15 + 4), rel=1e-12)


def test_undecided_without_trust_in_the_srs(proof):
    report = verify(proof, allow_development_srs=False)
    assert (report.verdict, report.failure.step, report.exit_code) == ("undecided", 2, 3)
    assert report.as_json()["outputs"] == []


def test_undecided_when_time_runs_out(proof):
    assert verify(proof, time_limit_s=1e-3).verdict == "undecided"


def test_steps_after_the_failed_one_are_reported_as_not_checked(proof):
    path = proof / "points.bin"
    path.write_bytes(path.read_bytes()[:-64])
    seen: list[Check] = []
    report = verify_feed_forward(proof, BUNDLE, Options(allow_development_srs=True), seen.append)
    assert (report.verdict, report.failure.step) == ("rejected", 3)
    statuses = [(check.step, check.status) for check in report.checks]
    assert statuses == [
        (1, Status.PASSED), (2, Status.PASSED), (3, Status.FAILED), *((n, Status.NOT_CHECKED) for n in range(4, 9))
    ]  # fmt: skip
    assert tuple(seen) == report.checks


def test_a_zip_of_it_is_accepted(proof, tmp_path):
    path = tmp_path / "proof.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(proof.iterdir()):
            archive.write(file, file.name)
    assert is_feed_forward(path) and not is_comparison(path)
    assert verify(path).verdict == "accepted"


def test_what_is_taken_for_a_proof(tmp_path):
    assert is_feed_forward(PROOF) and not is_comparison(PROOF)
    others = (BUNDLE, ASSETS / "comparison", tmp_path, tmp_path / "missing", Path("/dev/null"))
    assert not any(map(is_feed_forward, others))
    both = tmp_path / "both"
    shutil.copytree(BUNDLE, both)
    shutil.copy(PROOF / "feedforward.json", both)
    assert not is_feed_forward(both), "a bundle with one file more stays a bundle, and is refused as one"


# ---------------------------------------- files


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("feedforward.json", b"{", Unreadable),
        ("feedforward.json", b"{}", Rejected),
        ("activations.bin", bytes(24), Rejected),
        ("points.bin", bytes(65), Rejected),
        ("activation.json", b"[]", Rejected),
        ("link.json", b"\xff", Unreadable),
    ],
)
def test_step_1_files_that_are_no_such_file(name, data, kind):
    files = dict(read_files(PROOF, FEED_FORWARD))
    with pytest.raises(kind, match=name.partition(".")[0]):
        parse_feed_forward({**files, name: data})


def test_a_file_too_many_or_too_large(proof):
    (proof / "more.json").write_text("{}")
    assert verify(proof).failure.code == "unknown-file"
    (proof / "more.json").unlink()
    (proof / "activations.bin").write_bytes(bytes(8 * 1024 * 1024 + 1))
    assert (verify(proof).verdict, verify(proof).failure.code) == ("undecided", "too-large")
    (proof / "activations.bin").unlink()
    assert verify(proof).failure.code == "missing-file"


def test_a_newer_version_says_upgrade(proof):
    document = json.loads((proof / "feedforward.json").read_text())
    document["type"] = document["type"].replace("version=1", "version=2")
    with pytest.raises(UnknownVersion):
        read_statement(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(more=1),
        lambda d: d.pop("epsilon"),
        lambda d: d.update(layer=-1),
        lambda d: d.update(layer="2"),
        lambda d: d.update(activations=0),
        lambda d: d["scale"].update(gate=34),
        lambda d: d["scale"].update(gate="034"),
        lambda d: d["scale"].pop("down"),
        lambda d: d["bundle"].update(cm="00"),
        lambda d: d["circuit"].update(more="x"),
    ],
)
def test_statements_of_another_form(change):
    document = json.loads((PROOF / "feedforward.json").read_text())
    change(document)
    with pytest.raises(Rejected):
        read_statement(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_a_statement_that_is_not_canonical():
    data = (PROOF / "feedforward.json").read_bytes()
    with pytest.raises(Rejected, match="canonical"):
        read_statement(data + b" ")


@given(st.binary(max_size=400) | st.sampled_from([(PROOF / "feedforward.json").read_bytes()]), st.data())
def test_any_statement_is_read_or_refused(data, draw):
    spoilt = bytearray(data)
    if spoilt:
        place = draw.draw(st.integers(0, len(spoilt) - 1))
        spoilt[place] = draw.draw(st.integers(0, 255))
    try:
        read_statement(bytes(spoilt))
    except VerifierError as error:
        assert len(error.message) < 1000


# ---------------------------------------- numbers


@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=12), st.integers(1, 2**32 - 1))
def test_normalise_is_the_rounded_quotient(x, epsilon):
    """|n| is the integer nearest to 2^8 |x| / sqrt(mean x^2 + epsilon): compared as fractions, squared."""
    mean = Fraction(sum(value * value for value in x), len(x)) + epsilon
    for value, n in zip(x, normalise(x, epsilon), strict=True):
        exact = Fraction(4**8 * value * value) / mean
        assert (n >= 0) == (value >= 0) or n == 0
        low, high = Fraction(2 * abs(n) - 1, 2), Fraction(2 * abs(n) + 1, 2)
        assert (n == 0 or low * low <= exact) and exact < high * high
        assert abs(n) <= 2**8 * math.sqrt(len(x)) + 1


def test_read_integers_gives_rows():
    data = b"".join(value.to_bytes(8, "big", signed=True) for value in (1, -2, 3, 4, 5, -6, 7, 8))
    assert read_integers(data, 2, 2) == ([[1, -2], [3, 4]], [[5, -6], [7, 8]])


# ---------------------------------------- the circuit


def test_the_circuit_fits_its_profile_alone(activation):
    assert fits(activation, load_profile(TOY))
    assert (activation.entries, activation.fraction, activation.limit, activation.rest_bits) == (192, 5, 248, 14)


def test_a_circuit_that_is_not_published(activation, monkeypatch, tmp_path):
    with pytest.raises(UnknownVersion, match="unknown"):
        load_circuit("other")
    shutil.copytree(ASSETS / "activations", tmp_path / "activations")
    (tmp_path / "activations" / TOY / "circuit.json").write_text("{}")
    monkeypatch.setattr(verifier.inference.circuit, "circuits_folder", lambda: tmp_path / "activations")
    with pytest.raises(BadInstallation):
        load_circuit(TOY)


def test_a_damaged_key_is_undecided(proof, monkeypatch, tmp_path):
    shutil.copytree(ASSETS / "activations", tmp_path / "activations")
    with (tmp_path / "activations" / TOY / "vk.key").open("r+b") as stream:
        stream.write(b"\0")
    monkeypatch.setattr(verifier.inference.circuit, "circuits_folder", lambda: tmp_path / "activations")
    report = verify(proof)
    assert (report.verdict, report.failure.code) == ("undecided", "bad-installation")


# ---------------------------------------- the command


def run(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command(proof):
    result = run(proof, BUNDLE, "--allow-dev-srs")
    assert result.exit_code == 0, result.output
    names = [name for step, name in STEPS.items() if step != OPENING_STEP]
    assert all(name in result.output for name in names)
    assert all(line in result.output for line in NOT_PROVEN + NOT_PROVEN_UNOPENED)
    assert result.output.strip().splitlines()[-1].startswith("ACCEPTED: the feed-forward part of block 2")
    document = json.loads(run(proof, BUNDLE, "--allow-dev-srs", "--json").output)
    assert document["type"] == "application/vnd.huref-zk.feedforwardreport+json;version=1"
    assert [check["name"] for check in document["checks"]] == names and document["opened"] is False


def test_the_command_writes_a_page(proof, tmp_path):
    file = tmp_path / "page.html"
    result = run(proof, BUNDLE, "--allow-dev-srs", "--report", file)
    assert result.exit_code == 0, result.output
    assert b"The block&#x27;s outputs are proven" in file.read_bytes()
    (tmp_path / "folder").mkdir()
    assert run(proof, BUNDLE, "--allow-dev-srs", "--report", tmp_path / "folder").exit_code == 2
    assert list(tmp_path.glob(".*.part")) == []


def test_a_bundle_that_cannot_be_read_has_no_commitment(proof, tmp_path):
    output = run(proof, tmp_path, "--allow-dev-srs").output
    assert "Bundle: no cm was read; its maker says, unchecked: nothing" in output and "None" not in output


def test_exit_codes_of_the_command(proof):
    assert run(proof, BUNDLE).exit_code == 3
    assert run(proof, "--allow-dev-srs").exit_code == 2
    assert run(proof, BUNDLE, BUNDLE, "--allow-dev-srs").exit_code == 2
    assert run(proof, BUNDLE, "--allow-dev-srs", "--junit", proof.parent / "x.xml").exit_code == 2
    data = bytearray((proof / "activations.bin").read_bytes())
    data[-1] ^= 1
    (proof / "activations.bin").write_bytes(bytes(data))
    result = run(proof, BUNDLE, "--allow-dev-srs")
    assert (result.exit_code, "REJECTED at step 6" in result.output) == (4, True)
