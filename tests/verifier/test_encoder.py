"""Norms and z: exact bounds, and the float part."""

from __future__ import annotations

import dataclasses
import io
from fractions import Fraction

import numpy as np
import pytest

from verifier import encoder, image
from verifier.encoding import FIELD_MODULUS
from verifier.errors import BadInstallation, Rejected, ToolFailure
from verifier.profile import load_profile


@pytest.fixture
def profile(toy):
    return load_profile(toy.name)


def bound(profile, c: int) -> Fraction:
    t = Fraction(encoder.norm_target(profile))
    return t / c + t / 2**12 + 2


@pytest.mark.parametrize("c", [1024, 99_999, 2**32 - 1])
@pytest.mark.parametrize("term", range(6))
@pytest.mark.parametrize("sign", [1, -1])
def test_norms_have_exact_bounds(profile, c, term, sign):
    target = encoder.norm_target(profile)
    edge = int(bound(profile, c))  # floor: the last integer within
    norms = [target] * 6
    norms[term] = target + sign * edge
    encoder.check_norms(norms, [c] * 6, profile)
    norms[term] += sign
    with pytest.raises(Rejected, match=f"term {term}"):
        encoder.check_norms(norms, [c] * 6, profile)


@pytest.mark.parametrize(("norm", "words"), [(0, "expected"), (1 << 64, "2\\^64"), (FIELD_MODULUS - 1, "2\\^64")])
def test_norms_that_are_nothing_like_it(profile, norm, words):
    with pytest.raises(Rejected, match=words):
        encoder.check_norms([norm] * 6, [1024] * 6, profile)


def test_features_are_signed(profile):
    values = [
        0,
        1,
        FIELD_MODULUS - 1,
        1 << profile.feature_scale,
        FIELD_MODULUS - (3 << profile.feature_scale),
        0,
        0,
        0,
    ]
    unit = 2.0**-profile.feature_scale
    assert encoder.features([0] * 6 + values, profile).tolist() == [0, unit, -unit, 1, -3, 0, 0, 0]


@pytest.mark.parametrize("value", [1 << 62, FIELD_MODULUS - (1 << 62), FIELD_MODULUS // 2])
def test_features_are_bounded(profile, value):
    with pytest.raises(Rejected, match="feature 0"):
        encoder.features([0] * 6 + [value] + [0] * 7, profile)


def npz(**arrays) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def test_z_lies_on_the_sphere(profile):
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(512, 8)), rng.normal(size=512)
    instances = [0] * 6 + [1 << profile.feature_scale] * 8
    z = encoder.latent(instances, profile, npz(weight=weight, bias=bias))
    raw = weight.sum(axis=1) + bias
    assert np.allclose(z, raw * np.sqrt(512) / np.linalg.norm(raw), rtol=0, atol=1e-12)


def test_z_without_direction(profile):
    head = npz(weight=np.ones((512, 8)), bias=np.zeros(512))
    with pytest.raises(Rejected, match="no direction"):
        encoder.latent([0] * 14, profile, head)


@pytest.mark.parametrize(
    "head",
    [
        b"",
        npz(weight=np.ones((512, 8))),
        npz(weight=np.ones((512, 7)), bias=np.ones(512)),
        npz(weight=np.ones((5, 8)), bias=np.ones(6)),
    ],
)
def test_another_head(profile, head):
    with pytest.raises(BadInstallation):
        encoder.latent([0] * 14, profile, head)


def test_a_pickle_is_not_loaded(profile):
    stream = io.BytesIO()
    np.savez(stream, weight=np.array([{"a": 1}], dtype=object), bias=np.ones(1))
    with pytest.raises(BadInstallation):
        encoder.latent([0] * 14, profile, stream.getvalue())


def test_the_target_follows_the_features_scale(profile):
    other = dataclasses.replace(profile, feature_scale=16)
    assert encoder.norm_target(other) == 4 * 4 * 2**16


@pytest.mark.parametrize("generator", [b"", b"nonsense"])
def test_a_generator_that_does_not_load(generator):
    with pytest.raises(ToolFailure):
        image.render(generator, np.ones(512))
