"""A profile under the public ceremony's SRS, from fetching the file to a bundle accepted without --allow-dev-srs.

The ceremony's files cannot be downloaded everywhere. Here a small SRS of our own stands in for them at the network's
edge, under its own digests in this test's table: all that comes after is what a maintainer runs (docs/ceremony.md).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from py_ecc import optimized_bn128 as curve

import verifier.trust.profile
from circuits import ezkl_worker, publish, size_classes, srs
from circuits.curve_files import from_file_form, read_curve_file, to_file_form
from circuits.digests import sha256_file
from circuits.profiles import load_profile, profiles_folder, published
from prover.cli import huref
from prover.commitments.jobs import Job
from prover.fingerprint.prove import FingerprintProver
from prover.terms.terms import TermRules, load_fingerprint_input
from tests.circuits.slow_curve import from_ecc, to_ecc
from tests.conftest import ROOT
from tests.toy_pair import ASSETS, NAME, TOY
from tests.verifier.conftest import canonical
from verifier.cli import main as huref_verify
from verifier.fingerprint.options import Options
from verifier.fingerprint.report import Report
from verifier.fingerprint.verify import verify_bundle

pytestmark = pytest.mark.long

K = TOY.k
OPTIONS = ("--name", "ceremony", "--size", "toy", "--shift", "42", "--g", "4")
PAGE = (ROOT / "docs" / "ceremony.md").read_text()


def verification_file(path: Path) -> bytes:
    """The k=1 file of the same SRS by py_ecc: generator, tau times it, half their sum and difference, G2."""
    whole = read_curve_file(path)
    one, tau = (to_ecc(from_file_form(whole.monomial[i : i + 64])) for i in (0, 64))
    half = pow(2, -1, size_classes.FIELD_MODULUS)
    sums = [curve.multiply(curve.add(one, point), half) for point in (tau, curve.neg(tau))]
    lagrange = b"".join(to_file_form(from_ecc(point)) for point in sums)
    return (1).to_bytes(4, "little") + whole.monomial[:128] + lagrange + whole.g2


class Place:
    """A checkout of one profile's own: where it is published, the table of digests, and what the network has."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.trust = folder / "profiles" / "ceremony", folder / "trust.json"
        self.network = folder / "network.srs"
        self.table = folder / "table.json"
        self.asked: list[int] = []
        shutil.copytree(ASSETS / "profiles" / NAME / "fpm", self.folder / "fpm")
        srs.generate_development(self.network, K)
        self.digests = {K: sha256_file(self.network), 1: hashlib.sha256(verification_file(self.network)).hexdigest()}

    def enter(self, patch: pytest.MonkeyPatch) -> None:
        self.table.write_text(json.dumps({"sha256": {str(k): digest for k, digest in self.digests.items()}}))
        patch.setattr(srs, "DIGESTS", self.table)
        patch.setitem(size_classes.SIZE_CLASSES, "toy", TOY)
        call = ezkl_worker.call

        def network(function: str, **arguments: object) -> object:
            if function != "get_srs":
                return call(function, **arguments)  # type: ignore[arg-type]
            self.asked.append(arguments["k"])
            return shutil.copy(self.network, arguments["out"])

        patch.setattr(ezkl_worker, "call", network)

    def fetch(self):
        return CliRunner().invoke(huref, ["srs", "fetch", "-k", str(K), "-o", str(self.folder / "srs")])

    def publish(self, *options: str):
        where = ("--folder", str(self.folder), "--trust-file", str(self.trust))
        return CliRunner().invoke(publish.main, [*OPTIONS, *where, *options])

    def trusted_by(self, patch: pytest.MonkeyPatch) -> None:
        """What this checkout's verifier pins: the bytes of its trust.json."""
        pinned = verifier.trust.profile.parse_trusted(self.trust.read_bytes())
        patch.setattr(verifier.trust.profile, "trusted", lambda: pinned)
        patch.setattr(verifier.trust.profile, "profiles_folder", lambda: self.folder.parent)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Place:
    """Fetched and published."""
    made = Place(tmp_path_factory.mktemp("ceremony"))
    with pytest.MonkeyPatch.context() as patch:
        made.enter(patch)
        for step in (made.fetch, made.publish):
            done = step()
            assert done.exit_code == 0, (done.output, done.exception)
    return made


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Place:
    """Nothing fetched, nothing published."""
    made = Place(tmp_path)
    made.enter(monkeypatch)
    return made


@pytest.fixture(scope="module")
def bundle(place, tmp_path_factory) -> Path:
    """A bundle under the published profile."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        place.enter(patch)
        profile = load_profile(place.folder)
        source = load_fingerprint_input(ASSETS / "model", TermRules.of_profile(profile.document))
        metadata = {"name": "toy", "version": "1", "maker": "tests"}
        job = folder / "job"
        job.mkdir()
        made = FingerprintProver(profile, source, bytes(32), bytes(32), Job(job), metadata).run()
    (folder / "bundle").mkdir()
    for name, data in made.files.items():
        (folder / "bundle" / name).write_bytes(data)
    return folder / "bundle"


def verified(path: Path, **options: object) -> Report:
    return verify_bundle(path, Options(time_limit_s=60.0, **options))  # type: ignore[arg-type]


def test_what_is_published_is_the_ceremonys(place):
    document = json.loads((place.folder / "profile.json").read_text())
    assert place.asked == [K]
    assert document["srs"] == {"sha256": place.digests[K], "verify_sha256": place.digests[1], "trust": "ceremony"}
    assert json.loads(place.trust.read_text()) == {"profiles": {"ceremony": sha256_file(place.folder / "profile.json")}}


def test_a_bundle_is_accepted_without_the_flag(place, bundle, monkeypatch):
    place.trusted_by(monkeypatch)
    report = verified(bundle)
    assert (report.verdict, report.exit_code, report.development_srs) == ("accepted", 0, False)
    (step,) = (check for check in report.checks if check.name == "srs")
    assert step.compared == "public ceremony"
    done = CliRunner().invoke(huref_verify, [str(bundle)])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == "ACCEPTED: the picture is the proven fingerprint of the committed weights"


def test_the_verifier_shows_it(place, monkeypatch):
    place.trusted_by(monkeypatch)
    said = CliRunner().invoke(huref_verify, ["profiles"]).stdout
    assert "SRS      ceremony: no one knows its secret" in said
    (shown,) = json.loads(CliRunner().invoke(huref_verify, ["profiles", "--json"]).stdout)["profiles"]
    assert (shown["name"], shown["accepted_without_flag"]) == ("ceremony", True)
    assert shown["srs"]["sha256"] == place.digests[K]


def test_a_bundle_under_a_development_srs_cannot_pass_as_one(place, tmp_path, monkeypatch):
    """Whoever knows the development SRS's secret writes the other profile's name and digests into the statement."""
    place.trusted_by(monkeypatch)
    folder = tmp_path / "bundle"
    shutil.copytree(ASSETS / "bundle", folder)
    assert verified(folder).verdict == "undecided"  # not a profile of this verifier
    statement = json.loads((folder / "statement.json").read_bytes())
    document = json.loads((place.folder / "profile.json").read_text())
    statement["profile"] = {"name": "ceremony", "sha256": sha256_file(place.folder / "profile.json")}
    statement["srs"] = {key: document["srs"][key] for key in ("sha256", "verify_sha256")}
    files = ("onnx", "settings", "vk")
    statement["circuits"] = {name: {f: one[f] for f in files} for name, one in document["circuits"].items()}
    (folder / "statement.json").write_bytes(canonical(statement))
    report = verified(folder, allow_development_srs=True)
    assert (report.verdict, report.failure.step) == ("rejected", 4)


def test_another_srs_is_not_published_as_the_ceremonys(empty):
    target = empty.folder / "srs" / f"k{K}.srs"
    srs.generate_development(target, K)
    done = empty.publish()
    assert done.exit_code == 2
    assert f"error (srs) [srs]: {target}: SHA-256 is" in done.output and f"expected {empty.digests[K]}" in done.output
    assert {path.name for path in empty.folder.iterdir()} == {"fpm", "srs"} and not empty.trust.exists()


def test_a_missing_file_is_not_made(empty):
    done = empty.publish()
    assert done.exit_code == 2
    assert f"k{K}.srs is missing" in done.output
    assert f"huref srs fetch -k {K} -o {empty.folder / 'srs'}" in done.output
    assert not (empty.folder / "srs").exists() and not empty.trust.exists()


def test_what_the_network_gave_instead_is_not_kept(empty):
    srs.generate_development(empty.network, K)  # not the one of the table any more
    done = empty.fetch()
    assert done.exit_code == 2
    assert "whoever knows the secret of an SRS can forge" in done.output
    assert list((empty.folder / "srs").glob("*")) == []


def test_the_verification_file_is_the_ceremonys_too(place, tmp_path, monkeypatch):
    """A table whose k=1 digest is another ceremony's: the two files are not of one ceremony, and nothing is pinned."""
    other = Place(tmp_path)
    shutil.rmtree(other.folder)
    shutil.copytree(place.folder, other.folder)
    (other.folder / "profile.json").write_text((place.folder / "profile.json").read_text())
    other.digests = {K: place.digests[K], 1: "0" * 64}
    other.enter(monkeypatch)
    done = other.publish()
    assert done.exit_code == 2
    assert "is not the ceremony's file for k=1" in done.output
    assert not other.trust.exists()


def test_the_ceremonys_come_first(place, tmp_path, monkeypatch):
    """A bundle under the ceremony's SRS is worth more than one that is undecided, whatever its size class."""
    for name, trust, k in (("a-dev", "development", 12), ("b", "ceremony", 14), ("c", "ceremony", 12)):
        (tmp_path / name).mkdir()
        document = {"size_class": {"k": k}, "srs": {"trust": trust}}
        (tmp_path / name / "profile.json").write_text(json.dumps(document))
    monkeypatch.setattr("circuits.profiles.profiles_folder", lambda: tmp_path)
    assert published() == ["c", "b", "a-dev"]


@pytest.mark.parametrize("name", published())
def test_the_published_profiles_say_truly_whose_srs_they_have(name):
    """By the project's digest table: no development SRS is called the ceremony's, nor the other way round."""
    document = json.loads((profiles_folder() / name / "profile.json").read_text())
    k, files = document["size_class"]["k"], document["srs"]
    found = [files["sha256"] == srs.ceremony_digest(k), files["verify_sha256"] == srs.ceremony_digest(1)]
    assert found == [files["trust"] == "ceremony"] * 2
    assert (name in publish.CEREMONY) == (files["trust"] == "ceremony")


def test_the_page_names_what_there_is():
    """Each profile with its own size class's file; every command of the page is one of ours."""
    lines = [line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S) for line in block.splitlines()]
    fetched = {
        m[2]: int(m[1])
        for line in lines
        if (m := re.search(r"srs fetch -k (\d+) -o artifacts/profiles/(\S+)/srs$", line))
    }
    wanted = {name: size_classes.size_class(size).k for name, (size, _) in publish.CEREMONY.items()}
    assert fetched == wanted
    named = {m[1] for line in lines if (m := re.search(r"circuits\.publish --name (\S+)$", line))}
    assert named == set(wanted)
