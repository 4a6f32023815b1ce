"""`huref compare --prove` as a user meets it, on the toy pair: what it writes, what it refuses, and that it resumes."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import verifier.comparison.circuit
import verifier.trust.profile
from circuits import keys
from circuits.errors import CircuitError
from circuits.profiles import load_profile
from prover.cli import huref
from prover.comparison import cli as late_cli
from tests.conftest import EXAMPLE, MODELS
from tests.toy_pair import ASSETS, AT_LEAST, NAME, toy_pair
from tests.verifier.conftest import TOY
from verifier.comparison.verify import verify_comparison
from verifier.fingerprint.options import Options

BUNDLES = (ASSETS / "bundle", ASSETS / "bundle_b")
CHECKPOINTS = (ASSETS / "model", ASSETS / "model_b")
SECRETS = (ASSETS / "secret.json", ASSETS / "secret_b.json")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the test's own; the built keys are linked. Toy profile and circuit are published and trusted here."""
    cache, built = tmp_path / "cache", keys.cache_folder() / "keys"
    built.mkdir(parents=True, exist_ok=True)
    (cache / "huref-zk").mkdir(parents=True)
    (cache / "huref-zk" / "keys").symlink_to(built)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    pair = toy_pair()
    digest = bytes.fromhex
    monkeypatch.setattr(late_cli, "load_profile", lambda name: pair.profile if name == TOY else load_profile(name))
    circuits = {"similarity": pair.circuit, "threshold": pair.threshold}
    monkeypatch.setattr(late_cli, "load_similarity_circuit", lambda _profile, kind: circuits[kind])
    monkeypatch.setattr(verifier.trust.profile, "trusted", lambda: {NAME: digest(pair.profile.sha256)})
    monkeypatch.setattr(verifier.trust.profile, "profiles_folder", lambda: ASSETS / "profiles")
    monkeypatch.setattr(
        verifier.comparison.circuit, "trusted", lambda: {one.name: digest(one.sha256) for one in circuits.values()}
    )
    monkeypatch.setattr(verifier.comparison.circuit, "circuits_folder", lambda: ASSETS / "comparisons")
    monkeypatch.setattr(late_cli, "verify_with_own_command", accept)
    return tmp_path


def accept(comparison: Path, *bundles: Path) -> None:
    """The verifier in this process: the command itself does not trust the toy profile."""
    a, b = bundles
    report = verify_comparison(comparison, (a, b), Options(allow_development_srs=True))
    if report.verdict != "accepted":
        raise CircuitError(report.verdict_line(), step="verify")


def arguments(target: Path, bundles=BUNDLES, secrets=SECRETS, checkpoints=CHECKPOINTS) -> list[str]:
    given = ["compare", *bundles, "--prove", *secrets, "--weights", *checkpoints, "-o", target]
    return [str(word) for word in given]


def refused(result, *words: str) -> None:
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


def test_proves_resumes_and_writes_an_archive(home, monkeypatch):
    """Ended after the similarity proof, then run again: that proof is kept, and the archive is whole."""
    target, made = home / "out" / "comparison.zip", []

    def dies(self, name, _vectors):
        made.append((self.job.folder / "similarity-proof").read_bytes())
        raise CircuitError("killed", step=name)

    with monkeypatch.context() as patch:
        patch.setattr(late_cli.ComparisonProver, "link_proof", dies)
        refused(CliRunner().invoke(huref, arguments(target)), "killed")
    assert not target.parent.exists() or list(target.parent.iterdir()) == []
    done = CliRunner().invoke(huref, [*arguments(target), "--json", "--quiet"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    with zipfile.ZipFile(target) as archive:
        similarity = json.loads(archive.read("similarity.json"))
        assert sorted(archive.namelist()) == [
            "comparison.json", "link-a.json", "link-b.json", "points.bin", "similarity.json"
        ]  # fmt: skip
    kept = json.loads(made[0])["instances"][0]
    assert [bytes.fromhex(x)[::-1].hex() for x in kept] == similarity["instances"]
    assert 0.3 < report["ics"] < 0.99
    assert list((home / "cache" / "huref-zk" / "jobs").iterdir()) == [], "a finished job leaves nothing"
    refused(CliRunner().invoke(huref, arguments(target)), "exists already", "--force")


def test_at_least_and_challenge(home):
    """Too high a threshold is refused before anything is proven; one that is reached gives version 2."""
    asked = ["--challenge", AT_LEAST.challenge.hex(), "--json", "--quiet"]
    target = home / "out" / "comparison"
    refused(CliRunner().invoke(huref, [*arguments(target), "--at-least", "0.95", *asked]), "+0.89", "below 0.95")
    done = CliRunner().invoke(huref, [*arguments(target), "--at-least", "0.85", *asked])
    assert done.exit_code == 0, done.output
    report = json.loads(done.output)
    assert (report["ics"], report["at_least"]) == (None, 0.85)
    document = json.loads((target / "comparison.json").read_bytes())
    assert document["type"].endswith("version=2") and document["at_least"] == 850_000
    assert document["challenge"] == report["challenge"] == AT_LEAST.challenge.hex()
    assert json.loads((target / "similarity.json").read_bytes())["instances"][12:] == ["0" * 64]


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--at-least", value] for value in ("0", "0.0", "1.1", "-0.5", "0.1234567", "1e-1", "nan", ".5", "")),
        *(["--challenge", value] for value in ("", "ab", "g" * 64, "A" * 64, "0" * 66)),
    ],
)
def test_thresholds_and_challenges_that_are_none(home, wrong):
    refused(CliRunner().invoke(huref, [*arguments(home / "x"), *wrong]), wrong[0], "not ")
    good = ["--at-least", "0.5"] if wrong[0] == "--at-least" else ["--challenge", "0" * 64]
    refused(CliRunner().invoke(huref, ["compare", *map(str, BUNDLES), *good]), "go with --prove")


@pytest.mark.parametrize(("text", "millionths"), [("0.9", 900_000), ("1", 10**6), ("0.000001", 1), ("0.29", 290_000)])
def test_thresholds_are_read_exactly(text, millionths):
    assert late_cli.read_request(text, None).at_least == millionths


def test_wrong_usage(home):
    base = ["compare", *map(str, BUNDLES)]
    refused(CliRunner().invoke(huref, [*base, "--prove", *map(str, SECRETS)]), "come together")
    refused(CliRunner().invoke(huref, [*base, "-o", "x"]), "come together")
    refused(CliRunner().invoke(huref, [*arguments(home / "x"), "--report", "page.html"]), "huref-verify")
    assert not (home / "x").exists()


WRONG = {
    "secrets in the other order": ({"secrets": SECRETS[::-1]}, "weights_sha256"),
    "checkpoints in the other order": ({"checkpoints": CHECKPOINTS[::-1]}, "weights_sha256"),
    "bundles in the other order": ({"bundles": BUNDLES[::-1]}, "field cm"),
    "one bundle twice": ({"bundles": (BUNDLES[0], BUNDLES[0])}, "very same rows"),
    "a bundle of another profile": ({"bundles": (BUNDLES[0], EXAMPLE)}, "another profile"),
    "no bundle": ({"bundles": (BUNDLES[0], MODELS)}, "statement.json"),
    "another model": ({"checkpoints": (CHECKPOINTS[0], MODELS / "base")}, "weights_sha256"),
    "no secret": ({"secrets": (SECRETS[0], ASSETS / "model" / "config.json")}, "not a secret file"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_belong_together_is_refused_before_proving(home, what):
    given, words = WRONG[what]
    refused(CliRunner().invoke(huref, arguments(home / "out", **given)), words)
    assert not (home / "out").exists()


def test_other_tokens_are_refused(home):
    other = home / "other"
    shutil.copytree(BUNDLES[1], other)
    statement = json.loads((other / "statement.json").read_bytes())
    statement["tokens"]["sha256"] = "0" * 64
    (other / "statement.json").write_text(json.dumps(statement))
    refused(CliRunner().invoke(huref, arguments(home / "out", bundles=(BUNDLES[0], other))), "different strings")


def test_no_similarity_circuit_for_a_profile(home, monkeypatch):
    monkeypatch.undo()
    from circuits.comparisons import load_similarity_circuit
    from circuits.errors import UsageError

    with pytest.raises(UsageError, match="no similarity circuit is published"):
        load_similarity_circuit(toy_pair().profile)


def test_a_secret_beside_the_comparison_is_refused(home):
    secret = home / "out" / "secret.json"
    secret.parent.mkdir()
    shutil.copy(SECRETS[0], secret)
    result = CliRunner().invoke(huref, arguments(home / "out" / "comparison", secrets=(secret, SECRETS[1])))
    refused(result, "would lie beside")
