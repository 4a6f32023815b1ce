"""Comparing two bundles: the bound on unrelated models, the verdict, and what is refused."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import EXAMPLE, ROOT
from tests.verifier.fingerprint.test_verify import change_proof
from verifier.cli import main
from verifier.comparison.likeness import DERIVED_P, INDEPENDENT_P
from verifier.comparison.published import compare, compare_reports
from verifier.fingerprint.null_distribution import MEASURED, P_FLOOR, p_value, rank_one_tail, spread_tail
from verifier.fingerprint.options import Options
from verifier.fingerprint.verify import verify_bundle
from verifier.fingerprint.z import Fingerprint
from verifier.formats.errors import NotComparable
from verifier.trust.profile import load_profile, trusted

G, TERMS = 16, 6
DIGESTS = next(iter(MEASURED))
NULL = MEASURED[DIGESTS]
RUN = json.loads((ROOT / "fpm" / "runs" / "null.json").read_text())
GRID = [float(t) for t in RUN["all"]["above"]]


def made_up(cosine: float = 1.0, **changes: object) -> Fingerprint:
    """z at that cosine to `made_up()`'s."""
    z = np.zeros(512)
    z[:2] = cosine * 512**0.5, (1 - cosine * cosine) ** 0.5 * 512**0.5
    one = Fingerprint(z, *DIGESTS, G, "5" * 64, "rms16-int8-v1", "sha256-order-v1", "7" * 64, 1984, "8" * 64)
    return replace(one, **changes)


# ---------------------------------------- the bound


def integral(t: float, n: int) -> float:
    """The slow twin: directions of R^n at an angle below arccos t, by the density sin^(n-2)."""
    angle = np.linspace(0.0, math.pi, 200_001)
    density = np.sin(angle) ** (n - 2)
    below = angle <= math.acos(t)
    return float(density[below].sum() / density.sum())


@pytest.mark.parametrize("n", [3, 16, 256, 512])
@pytest.mark.parametrize("t", [-0.3, 0.0, 0.05, 0.3, 0.6])
def test_spread_tail_is_its_integral(n, t):
    assert spread_tail(t, n) == pytest.approx(integral(t, n), rel=2e-3, abs=1e-300)


def test_spread_tail_at_its_ends():
    assert [spread_tail(t, 256) for t in (-2.0, -1.0, 0.0, 1.0, 2.0)] == [1.0, 1.0, 0.5, 0.0, 0.0]
    assert spread_tail(0.9, 16) == pytest.approx(1 - spread_tail(-0.9, 16))
    assert 0.0 < spread_tail(0.999, 16) < 1e-20


def test_rank_one_tail_is_what_drawing_gives():
    rng = np.random.default_rng(0)
    s, other = rng.normal(size=(2, 400_000, G))
    u = (s * other).sum(1) / np.linalg.norm(s, axis=1) / np.linalg.norm(other, axis=1)
    drawn = rng.choice([-1.0, 1.0], size=(len(u), TERMS)).mean(1) * u * u
    for t in (0.05, 0.1, 0.2, 0.3):
        assert rank_one_tail(t, G, TERMS) == pytest.approx((drawn > t).mean(), rel=0.1)


@pytest.mark.parametrize("group", ["all", "effective_rank_below_1.1", "effective_rank_above_2.0"])
def test_the_bound_holds_for_every_measured_pair(group):
    """What `python -m fpm.null` wrote for this encoder: 32 million pairs; opposite pairs count too."""
    assert (RUN["files"]["encoder.onnx"], RUN["files"]["head.npz"]) == DIGESTS
    assert RUN["tokens"] == NULL.least_tokens
    found = RUN[group]
    for t in GRID:
        share = (found["above"][f"{t:g}"] + found["below_negative"][f"{t:g}"]) / (2 * found["pairs"])
        assert share <= p_value(t, NULL, G, TERMS), (group, t)


def test_the_bound_holds_for_the_zoo_of_trained_models():
    """The published scores of docs/evidence.md: unrelated pairs that share their tokens."""
    pairs = json.loads((ROOT / "fpm" / "runs" / "evidence" / "scores.json").read_text())["pairs"]
    found = np.array([
        pair["z"] for pair in pairs
        if not pair["related"] and pair["z"] is not None and pair["projected"] == pair["projected_by_rule"]
    ])  # fmt: skip
    assert len(found) > 400
    for t in GRID:
        assert (found > t).mean() <= p_value(t, NULL, G, TERMS), t
    assert max(found) < 0.25


@pytest.mark.parametrize("name", sorted(trusted()))
def test_the_published_profiles_are_calibrated(name):
    """After another encoder is published, `python -m fpm.null` and `MEASURED` come next."""
    profile = load_profile(name)
    assert (profile.fpm.encoder.hex(), profile.fpm.head.hex()) in MEASURED
    assert profile.projection.g == G


def test_p_value_falls_from_one_to_its_floor():
    values = [p_value(t, NULL, G, TERMS) for t in np.linspace(-1, 1, 401)]
    assert values == sorted(values, reverse=True)
    assert (values[0], values[-1]) == (1.0, P_FLOOR)


# ---------------------------------------- the verdict


@pytest.mark.parametrize(
    ("cosine", "verdict"), [(1.0, "derived"), (0.7, "derived"), (0.4, "inconclusive"), (0.05, "independent")]
)
def test_verdict(cosine, verdict):
    found = compare(made_up(), made_up(cosine))
    assert (found.verdict, found.unreliable) == (verdict, ())
    assert found.cosine == pytest.approx(cosine)


def test_thresholds_are_where_the_verdict_changes():
    low, high = compare(made_up(), made_up(0.4)).thresholds()
    assert p_value(low, NULL, G, TERMS) == pytest.approx(INDEPENDENT_P)
    assert p_value(high, NULL, G, TERMS) == pytest.approx(DERIVED_P)
    verdicts = [compare(made_up(), made_up(t)).verdict for t in (low - 1e-6, low + 1e-6, high - 1e-6, high + 1e-6)]
    assert verdicts == ["independent", "inconclusive", "inconclusive", "derived"]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"encoder": "0" * 64}, "encoder"),
        ({"head": "0" * 64}, "encoder's head"),
        ({"projection_seed": "0" * 64}, "projection"),
        ({"g": 8}, "projection"),
        ({"quantization": "other"}, "quantization"),
        ({"tokens_rule": "other"}, "rule for tokens"),
        ({"tokens_sha256": "0" * 64}, "tokens"),
        ({"tokens": 1952}, "tokens"),
    ],
)
def test_another_frame_is_refused(change, name):
    with pytest.raises(NotComparable, match=f"another {name}$"):
        compare(made_up(), made_up(**change))


def test_what_makes_a_verdict_unreliable():
    assert "tokenizer.json" in compare(made_up(), made_up(tokenizer="0" * 64)).unreliable[0]
    few = {"tokens": 256}
    assert "K = 256" in compare(made_up(**few), made_up(**few)).unreliable[0]


def test_another_encoder_is_not_calibrated():
    other = {"encoder": "0" * 64}
    found = compare(made_up(**other), made_up(**other))
    assert (found.verdict, found.p_value, found.thresholds()) == ("inconclusive", None, None)
    assert "not calibrated" in found.unreliable[0]


def test_a_fingerprint_survives_json():
    one = made_up(0.3)
    again = Fingerprint.from_json(json.loads(json.dumps(one.as_json())))
    assert again.frame == one.frame
    assert again.z.tobytes() == one.z.tobytes()
    assert again.null == NULL


# ---------------------------------------- the command


def run(*arguments: object):
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def test_command_on_one_bundle_twice(bundle):
    """The toy profile's encoder is not calibrated: a cosine, and no verdict to rely on."""
    result = run(bundle, bundle, "--allow-dev-srs", "--json")
    found = json.loads(result.stdout)
    assert (result.exit_code, found["exit_code"]) == (0, 0)
    assert (found["verdict"], found["p_value"], found["same_commitment"]) == ("inconclusive", None, True)
    assert found["cosine"] == pytest.approx(1.0)
    assert found["unreliable"][0].startswith("not calibrated")
    assert [report["verdict"] for report in found["bundles"]] == ["accepted"] * 2
    z = np.frombuffer(base64.b64decode(found["bundles"][0]["fingerprint"]["z"]), "<f8")
    assert np.linalg.norm(z) == pytest.approx(len(z) ** 0.5)
    text = run(bundle, bundle, "--allow-dev-srs").output
    assert "both bundles commit to the same weights" in text
    assert text.strip().splitlines()[-1].startswith("INCONCLUSIVE: cosine +1.0000, no p-value [unreliable, see above]")


def test_no_verdict_unless_both_are_accepted(bundle, tmp_path):
    bad = tmp_path / "bad"
    bundle.rename(bad)
    change_proof(bad / "link.json", -1)
    for arguments, code in (((bad, bad), 4), ((EXAMPLE, bad), 4), ((tmp_path / "gone", bad), 4), ((bad,), 2)):
        result = run(*arguments, "--allow-dev-srs")
        assert result.exit_code == code
        assert "DERIVED" not in result.output and "INDEPENDENT" not in result.output
    found = json.loads(run(bad, bad, "--allow-dev-srs", "--json").stdout)
    assert (found["verdict"], found["cosine"], found["code"]) == (None, None, "not-accepted")
    assert [report["fingerprint"] for report in found["bundles"]] == [None, None]


def test_a_job_fails_by_verdict_if_asked_to(bundle, tmp_path):
    """The toy profile is not calibrated, so the verdict is inconclusive; a failure stays what it is."""
    for words, exit_code in ((["inconclusive"], 5), (["derived", "inconclusive"], 5), (["derived"], 0)):
        asked = [f"--fail-on={word}" for word in words]
        result = run(bundle, bundle, "--allow-dev-srs", "-q", *asked)
        assert result.exit_code == exit_code and len(result.stdout.splitlines()) == 1
    assert run(bundle, bundle, "--fail-on=inconclusive").exit_code == 3
    page = ["--report", tmp_path]  # a folder: wrong usage
    assert run(bundle, bundle, "--allow-dev-srs", "--fail-on=inconclusive", *page).exit_code == 2


def test_an_untrusted_srs_is_undecided(bundle):
    result = run(bundle, bundle)
    assert result.exit_code == 3
    assert "Hint: give --allow-dev-srs" in result.output
    assert result.output.strip().splitlines()[-1].startswith("NOT COMPARED: ")


@pytest.mark.parametrize(
    "arguments", [[], ["--time-limit", "nan"], ["--report", "gone/x.html"], ["third"], ["--nonsense"]]
)
def test_wrong_usage(arguments):
    assert run("a", *(["b"] if arguments else []), *arguments).exit_code == 2


def test_a_bundle_may_be_called_compare(bundle, tmp_path, monkeypatch):
    bundle.rename(tmp_path / "compare")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["./compare", "--allow-dev-srs"])
    assert result.output.strip().splitlines()[-1].startswith("ACCEPTED")
    refused = run("./compare", "./compare", "--allow-dev-srs")  # the word itself is now a bundle's name
    assert (refused.exit_code, "say ./compare" in refused.output) == (2, True)


def test_bundles_of_two_profiles_are_refused(bundle, monkeypatch):
    """Both accepted, each under its own profile: another encoder, projection and other tokens."""
    options = Options(allow_development_srs=True)
    toy = verify_bundle(bundle, options)
    monkeypatch.undo()
    comparison = compare_reports(verify_bundle(EXAMPLE, options), toy)
    assert [report.verdict for report in comparison.reports] == ["accepted"] * 2
    assert (comparison.likeness, comparison.exit_code, comparison.failure.code) == (None, 3, "not-comparable")
    assert "another encoder, another encoder's head, another projection, another tokens" in comparison.verdict_line()
