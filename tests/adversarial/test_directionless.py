"""A fingerprint that is nothing but rounding: all is proven honestly, of weights built so that z nearly vanishes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from circuits.errors import CheckpointError
from fpm.encoder_figures import Fingerprinter
from fpm.generator_figures import Painter
from fpm.rounding import farthest_z, largest_pixel_change
from fpm.train import PUBLISHED
from prover.commitments.jobs import Job
from prover.fingerprint.picture import SHORTEST_Z, features_of
from prover.fingerprint.prove import FingerprintProver
from tests.adversarial.cheats import SEED, SESSION, CheatingProver, expect_rejected, proof_of, verify
from tests.adversarial.directionless import (
    directionless_terms,
    features_of_terms,
    head_of,
    weights_with,
)
from verifier.formats.limits import MIN_LATENT_LENGTH

pytestmark = pytest.mark.long


def raw_z(profile, encoder) -> np.ndarray:
    """W f + b of an encoder proof."""
    weight, bias = head_of(profile)
    return weight @ features_of(encoder.instances[6:], profile.document["features"]["scale"]) + bias


@pytest.fixture(scope="module")
def made(world, tmp_path_factory):
    """The honest steps on such weights; only the length of z is not looked at. The prover and its bundle's files."""

    class Liar(CheatingProver):
        def z(self, encoder):
            z = raw_z(self.profile, encoder)
            return z * np.sqrt(512) / np.linalg.norm(z)

    source = weights_with(world, directionless_terms(world.profile))
    cheat = Liar(replace(world, source=source), tmp_path_factory.mktemp("directionless"))
    return cheat, cheat.run().files


def test_step_9_a_z_without_direction(made, tmp_path):
    cheat, files = made
    assert cheat.relation == 0
    report = verify(files, tmp_path)
    expect_rejected(report, 9, "z has no direction", "from 8 on are accepted")
    assert [check.status.value for check in report.checks[:8]] == ["passed"] * 8


def test_its_direction_is_rounding(world, made):
    """One unit in each feature, which ezkl leaves to the prover, turns this z anywhere, and an honest one hardly."""
    profile = world.profile
    weight, _ = head_of(profile)
    wanted = np.random.default_rng(0).normal(size=512)
    turn = weight @ np.sign(weight.T @ wanted) / 2 ** profile.document["features"]["scale"]

    def turned(files) -> float:
        z = raw_z(profile, proof_of(files, "encoder.json"))
        return float((z + turn) @ z / np.linalg.norm(z + turn) / np.linalg.norm(z))

    assert turned(made[1]) < 0.8
    assert turned(world.honest.files) > 1 - 1e-8


def test_the_prover_says_so(world, made):
    """Nothing of the honest prover but its last look at z."""
    cheat, files = made
    honest = FingerprintProver(world.profile, cheat.source, SEED, SESSION, Job(cheat.job.folder))
    with pytest.raises(CheckpointError, match=r"z is .* long before it is scaled"):
        honest.z(proof_of(files, "encoder.json"))
    assert SHORTEST_Z == MIN_LATENT_LENGTH


def test_no_norm_stops_them(world):
    """The control: each term has the length that step 6 asks for, and anybody's terms would give more than 20."""
    profile = world.profile
    encoder, (weight, bias) = features_of_terms(profile), head_of(profile)
    terms = directionless_terms(profile)
    assert np.allclose((terms**2).mean((1, 2)), 1.0)
    assert np.linalg.norm(weight @ encoder @ terms.reshape(-1) + bias) < 1e-9
    # what all models share is the identity (docs/fpm.md): terms that are nothing else pass
    for signs in itertools.product((1, -1), repeat=6):
        identities = np.stack([sign * 4.0 * np.eye(16) for sign in signs]).reshape(-1)
        assert np.linalg.norm(weight @ encoder @ identities + bias) > 1.2 * MIN_LATENT_LENGTH
    anybodys = np.random.default_rng(2).permuted(terms, axis=2).reshape(-1)
    assert np.linalg.norm(weight @ encoder @ anybodys + bias) > 20


def test_rounding_hardly_turns_the_shortest_z_that_is_accepted(world):
    """Terms built so that z is as short as step 9 admits, and the best choices of roundings for z and for a pixel."""
    profile = world.profile
    encoder, (weight, bias) = features_of_terms(profile), head_of(profile)
    direction = np.random.default_rng(4).normal(size=512)  # of six directions tried the one with the largest change
    terms = directionless_terms(profile, direction / np.linalg.norm(direction) * MIN_LATENT_LENGTH, seed=4)
    assert np.linalg.norm(weight @ encoder @ terms.reshape(-1) + bias) == pytest.approx(MIN_LATENT_LENGTH, rel=1e-6)
    finger = Fingerprinter.load(PUBLISHED)
    _, _, lost = farthest_z(finger, terms)
    assert 1e-10 < lost < 1e-8  # 1 - cosine
    found = largest_pixel_change(finger, Painter(PUBLISHED), terms, pixels=1)
    assert found["unrounded"] == pytest.approx(found["bound"], rel=0.1) and 1 <= found["bytes"] <= 3
