"""Norms and z: exact bounds, and the float part."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from fractions import Fraction

import numpy as np
import pytest

from verifier.fingerprint import encoder, image
from verifier.formats.encoding import FIELD_MODULUS
from verifier.formats.errors import BadInstallation, Rejected, ToolFailure
from verifier.trust.profile import load_profile, parse_trusted


@pytest.fixture
def profile(toy):
    return load_profile(toy.name)


def bound(profile, c: int) -> Fraction:
    t = Fraction(encoder.norm_target(profile))
    return t / c + t / 2**12 + 2


@pytest.mark.parametrize("c", [1024, 99_999, 2**32 - 1])
@pytest.mark.parametrize("term", range(6))
@pytest.mark.parametrize("sign", [1, -1])
def test_step_6_norms_have_exact_bounds(profile, c, term, sign):
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


@pytest.mark.parametrize(("length", "long_enough"), [(7.99, False), (8.0, True)])
def test_z_has_a_least_length(profile, length, long_enough):
    """Before it is scaled: 0.5 from the features, the rest from the bias."""
    bias = np.zeros(512)
    bias[3] = length - 0.5
    weight = np.zeros((512, 8))
    weight[3, 0] = 0.5
    instances, head = [0] * 6 + [1 << profile.feature_scale] * 8, npz(weight=weight, bias=bias)
    if long_enough:
        assert encoder.latent(instances, profile, head)[3] == pytest.approx(np.sqrt(512))
        return
    with pytest.raises(Rejected, match=r"z has no direction: before it is scaled it is 7\.99 long"):
        encoder.latent(instances, profile, head)


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


def member(text: bytes, data: bytes = bytes(24)) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


GOOD = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n"


@pytest.mark.parametrize(
    "weight",
    [
        member(GOOD.replace(b"<f4", b"|O")),
        member(GOOD.replace(b"<f4", b">f4")),
        member(GOOD.replace(b"<f4", b"<i4")),
        member(GOOD.replace(b"False", b"True")),
        member(GOOD.replace(b"(2, 3)", b"(2, 99999999)")),
        member(GOOD.replace(b"(2, 3)", b"(99999999, 3)")),
        member(GOOD.replace(b"(2, 3)", b"(2, -3)")),
        member(GOOD.replace(b"(2, 3)", b"(6)")),
        member(GOOD.replace(b"(2, 3)", b"(" * 5000)),
        member(GOOD, bytes(23)),
        member(GOOD, bytes(28)),
        member(GOOD)[:40],
        b"\x93NUMPY\x02\x00" + member(GOOD)[8:],
        b"",
    ],
)
def test_heads_of_another_form(weight):
    """Nothing is evaluated, and nothing is made of the size that a header announces."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("bias.npy", member(GOOD.replace(b"(2, 3)", b"(2,)"), bytes(8)))
        archive.writestr("weight.npy", member(GOOD))
    assert encoder.read_head(stream.getvalue(), 3)[0].shape == (2, 3)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("bias.npy", member(GOOD.replace(b"(2, 3)", b"(2,)"), bytes(8)))
        archive.writestr("weight.npy", weight)
    with pytest.raises(BadInstallation):
        encoder.read_head(stream.getvalue(), 3)


@pytest.mark.parametrize(
    "text",
    [
        *('{"profiles":{"a":"00"}}', '{"profiles":[]}', "[]", "{}", '{"profiles":{},"more":1}', "[" * 100_000, "{"),
        '{"profiles":{"a":"' + "0" * 64 + '","a":"' + "1" * 64 + '"}}',
        '{"profiles":{}}' + " " * (1 << 16),
    ],
)
def test_a_damaged_table_of_profiles(text):
    assert parse_trusted(b'{"profiles":{"a":"%s"}}' % (b"0" * 64)) == {"a": bytes(32)}
    with pytest.raises(BadInstallation):
        parse_trusted(text.encode())


@pytest.mark.parametrize("name", ["weight", "more.npy", "weight.npy"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_head_with_more_in_it(name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("bias.npy", member(GOOD.replace(b"(2, 3)", b"(2,)"), bytes(8)))
        archive.writestr("weight.npy", member(GOOD))
        archive.writestr(name, member(GOOD))
    with pytest.raises(BadInstallation):
        encoder.read_head(stream.getvalue(), 3)


def test_a_head_with_a_byte_in_front():
    """Found by fuzzing. It is a zip from the first byte on, or it is refused."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("bias.npy", member(GOOD.replace(b"(2, 3)", b"(2,)"), bytes(8)))
        archive.writestr("weight.npy", member(GOOD))
    assert encoder.read_head(stream.getvalue(), 3)
    with pytest.raises(BadInstallation):
        encoder.read_head(b":" + stream.getvalue(), 3)
