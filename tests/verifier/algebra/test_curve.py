"""Sums of points over bases files against py_ecc, the slow and obvious twin."""

from __future__ import annotations

import random
import shutil

import pytest
from py_ecc.optimized_bn128 import FQ, G1, Z1, add, multiply, neg, normalize

from verifier.algebra import curve
from verifier.children.workers import Deadline, Keys, Workers
from verifier.formats.encoding import BASE_MODULUS, FIELD_MODULUS
from verifier.formats.errors import BadInstallation
from verifier.trust.profile import load_profile

IDENTITY = bytes(64)


def to_bytes(point) -> bytes:
    if point[2] == FQ.zero():
        return IDENTITY
    x, y = normalize(point)
    return int(x).to_bytes(32, "big") + int(y).to_bytes(32, "big")


def from_file_form(raw: bytes):
    inverse = pow(1 << 256, -1, BASE_MODULUS)
    x, y = (int.from_bytes(raw[i : i + 32], "little") * inverse % BASE_MODULUS for i in (0, 32))
    return Z1 if (x, y) == (0, 0) else (FQ(x), FQ(y), FQ(1))


def slow_sum(scalars, points):
    total = Z1
    for scalar, point in zip(scalars, points, strict=True):
        total = add(total, multiply(point, scalar % FIELD_MODULUS))
    return total


@pytest.fixture
def profile(toy):
    return load_profile(toy.name)


@pytest.fixture
def srs(profile):
    return curve.parse_srs((profile.folder / "srs" / "k9.srs").read_bytes(), 9)


@pytest.fixture
def workers():
    with Workers(Deadline(300)) as one:
        yield one


@pytest.fixture
def keys(workers, profile):
    def of(circuit: str) -> Keys:
        folder = workers.folder / circuit
        shutil.copytree(profile.folder / circuit, folder)
        return Keys(folder / "settings.json", folder / "vk.key")

    return of


@pytest.mark.parametrize("count", [1, 25, 26, 27, 60])
def test_sums_over_a_bases_file(workers, keys, srs, profile, count):
    rng = random.Random(count)
    points = [multiply(G1, rng.randrange(1, FIELD_MODULUS)) for _ in range(count)]
    unusable = 512 - profile.link.usable_rows
    bases = curve.make_bases([curve.to_file_form(to_bytes(point)) for point in points], srs.g2, unusable)
    assert bases.capacity >= count
    vectors = [
        [rng.randrange(FIELD_MODULUS) for _ in points],
        [0] * count,
        [-1] + [0] * (count - 1),
        [rng.randrange(FIELD_MODULUS)],  # shorter: the rest counts as zero
    ]
    found = workers.multiply(vectors, keys("link"), workers.write_bases(bases), bases.capacity)
    assert found == [to_bytes(slow_sum(v, points[: len(v)])) for v in vectors]
    assert found[1] == IDENTITY


def test_sums_over_many_bases_that_meet(workers, keys, srs, profile):
    """From 2^13 bases on ezkl adds by another method, and the sums must be right there too.

    Whoever makes a bundle chooses the points: rows that repeat, cancel, or meet a bucket's sum must add up as any do.
    """
    rng, count = random.Random(8), 8200
    near = {log: curve.to_file_form(to_bytes(multiply(G1, log))) for log in (1, 2, 3, 4, 6, 12, 24)}
    near |= {-log: curve.to_file_form(to_bytes(neg(multiply(G1, log)))) for log in near}
    unusable, link = 512 - profile.link.usable_rows, keys("link")
    doubling = [1, 2, 3, 6, 12, -24] * (count // 6)  # each the sum of those before it
    for logs in ([1] * count, [1, -1] * (count // 2), doubling, [rng.choice(list(near)) for _ in range(count)]):
        bases = curve.make_bases([near[log] for log in logs], srs.g2, unusable)
        assert len(bases.data) > 128 << 13
        vectors = [[1] * len(logs), [rng.randrange(FIELD_MODULUS) for _ in logs], [rng.randrange(1, 4) for _ in logs]]
        found = workers.multiply(vectors, link, workers.write_bases(bases), bases.capacity)
        sums = [sum(s * log for s, log in zip(vector, logs, strict=True)) % FIELD_MODULUS for vector in vectors]
        assert found == [to_bytes(multiply(G1, total)) for total in sums]


@pytest.mark.parametrize("circuit", ["link", "encoder"])
def test_b_is_the_sum_over_the_unusable_rows(workers, keys, srs, profile, circuit):
    """`B = kzg_commit([0])` under that circuit's own key (section 2)."""
    usable = getattr(profile, circuit).usable_rows
    path = workers.write("srs", (profile.folder / "srs" / "k9.srs").read_bytes())
    (b,) = workers.multiply([[0]], keys(circuit), path, usable)
    tail = [from_file_form(raw) for raw in srs.unusable_rows(usable)]
    assert 1 <= len(tail) <= 64
    assert b == to_bytes(slow_sum([1] * len(tail), tail))


def test_a_public_vector_is_its_lagrange_sum_plus_b(workers, keys, srs, profile):
    rng = random.Random(7)
    usable = profile.link.usable_rows
    path = workers.write("srs", (profile.folder / "srs" / "k9.srs").read_bytes())
    vectors = [[rng.randrange(FIELD_MODULUS) if i % 50 == 0 else 0 for i in range(448)] for _ in range(2)]
    points = [from_file_form(raw) for raw in srs.lagrange_points(range(512))]
    found = workers.multiply(vectors, keys("link"), path, usable)
    for vector, point in zip(vectors, found, strict=True):
        used = [
            (s, p) for s, p in zip([*vector, *[0] * (usable - 448), *[1] * (512 - usable)], points, strict=True) if s
        ]
        assert point == to_bytes(slow_sum(*zip(*used, strict=True)))


def test_negate():
    point = to_bytes(multiply(G1, 5))
    assert curve.negate(point) == to_bytes(neg(multiply(G1, 5)))


def test_the_file_form_is_montgomery():
    point = multiply(G1, 12345)
    assert to_bytes(from_file_form(curve.to_file_form(to_bytes(point)))) == to_bytes(point)
    assert curve.to_file_form(IDENTITY) == IDENTITY


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d + b"\0", lambda d: b"\x0a" + d[1:], lambda d: b""])
def test_an_srs_file_of_another_size(profile, change):
    data = (profile.folder / "srs" / "k9.srs").read_bytes()
    with pytest.raises(BadInstallation):
        curve.parse_srs(change(data), 9)
