"""strict_json and encoding: what they accept has one reading; hypothesis looks for a second one."""

from __future__ import annotations

import base64
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from py_ecc.bn128 import G1, field_modulus, is_on_curve, multiply

from verifier.formats import strict_json
from verifier.formats.encoding import BASE_MODULUS, FIELD_MODULUS, check_point, field_element, signed, strict_base64
from verifier.formats.errors import Rejected, Unreadable, VerifierError

LIMIT = 1 << 16
ascii_keys = st.text(st.characters(max_codepoint=127), max_size=8)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ascii_keys, inner, max_size=4),
    max_leaves=12,
)


@given(values)
def test_canonical_form_parses_to_itself(value):
    data = strict_json.canonical(value)
    try:
        assert strict_json.parse(data, "f", LIMIT) == value
    except Unreadable as error:
        assert error.code == "too-deep"


@given(values)
def test_canonical_form_is_rfc_8785(value):
    rfc8785 = pytest.importorskip("rfc8785")

    def small(item):
        if isinstance(item, int) and not isinstance(item, bool):
            return item % 2**53
        if isinstance(item, list):
            return [small(one) for one in item]
        return {key: small(one) for key, one in item.items()} if isinstance(item, dict) else item

    assert strict_json.canonical(small(value)) == rfc8785.dumps(small(value))


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda s: s.encode("utf-8", "surrogatepass")))
def test_any_bytes_parse_or_are_refused(data):
    try:
        value = strict_json.parse(data, "f", LIMIT)
    except VerifierError:
        return
    assert json.loads(data) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"a":1,"a":1}', Rejected),
        ('{"a":{"b":1,"b":2}}', Rejected),
        ("1.0", Rejected),
        ("1e3", Rejected),
        ("NaN", Rejected),
        ("[Infinity]", Rejected),
        ("-0", Rejected),
        ("1" * 21, Rejected),
        ('{"é":1}', Rejected),
        ("[" * 9 + "]" * 9, Unreadable),
        ("[" * 100_000, Unreadable),
        ("", Unreadable),
        ("\ufeff{}", Unreadable),
        ("{} {}", Unreadable),
        ("{'a':1}", Unreadable),
        ('{"a":1,}', Unreadable),
        ('"\x01"', Unreadable),
    ],
)
def test_refused_json(text, kind):
    with pytest.raises(kind):
        strict_json.parse(text.encode(), "f", 1 << 20)


def test_json_over_the_limit():
    with pytest.raises(Unreadable):
        strict_json.parse(b"[]" + b" " * 10, "f", 11)


def test_lone_surrogate_has_no_canonical_form():
    with pytest.raises(Rejected):
        strict_json.canonical(strict_json.parse(b'"\\ud800"', "f", LIMIT))


@pytest.mark.parametrize("value", [True, "1", 1.0, None, 0, 11])
def test_typed_integers(value):
    with pytest.raises(Rejected):
        strict_json.integer(value, "f", 1, 10)


@pytest.mark.parametrize("text", ["01", "+1", "", " 1", "1 ", "0x1", "1_0", "٣", "9" * 81, "-01", 5, None])
def test_decimals(text):
    with pytest.raises(Rejected):
        strict_json.decimal(text, "f")


@pytest.mark.parametrize(
    "text", ["0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 62 + "\n0", "0" * 64 + "\n", "٣" * 64, 0]
)
def test_hex64(text):
    with pytest.raises(Rejected):
        strict_json.hex64(text, "f")


# ---------------------------------------- points, field elements, base64


@given(st.integers(1, FIELD_MODULUS - 1))
def test_points_on_the_curve(scalar):
    x, y = (int(c) for c in multiply(G1, scalar))
    data = x.to_bytes(32, "big") + y.to_bytes(32, "big")
    assert check_point(data, "p") == data


@given(st.binary(min_size=64, max_size=64))
def test_random_bytes_are_points_only_if_py_ecc_says_so(data):
    from py_ecc.bn128 import FQ, b

    x, y = int.from_bytes(data[:32], "big"), int.from_bytes(data[32:], "big")
    try:
        check_point(data, "p")
    except Rejected:
        assert x >= field_modulus or y >= field_modulus or (x, y) == (0, 0) or not is_on_curve((FQ(x), FQ(y)), b)
        return
    assert x < field_modulus and y < field_modulus and is_on_curve((FQ(x), FQ(y)), b)


def test_moduli():
    from py_ecc.bn128 import curve_order

    assert (field_modulus, curve_order) == (BASE_MODULUS, FIELD_MODULUS)


@pytest.mark.parametrize("value", [FIELD_MODULUS, FIELD_MODULUS + 1, (1 << 256) - 1])
def test_field_elements_are_canonical(value):
    with pytest.raises(Rejected):
        field_element(value.to_bytes(32, "big"), "f")


@given(st.integers(-(FIELD_MODULUS // 2), FIELD_MODULUS // 2))
def test_signed(value):
    assert signed(value % FIELD_MODULUS) == value


@given(st.binary(max_size=60))
def test_base64_round_trip(data):
    assert strict_base64(base64.b64encode(data).decode(), "f") == data


@pytest.mark.parametrize(
    "text", ["QQ", "QQ=", "QR==", "QQ==\n", " QQ==", "Q Q==", "QQ==QQ==", "-_==", "QQ===", "é", None, 5]
)
def test_refused_base64(text):
    with pytest.raises(Rejected):
        strict_base64(text, "f")


@pytest.mark.parametrize("value", [[], ["type"], [["type", 1]], "type", 5, None, True])
def test_only_an_object_has_fields(value):
    with pytest.raises(Rejected, match="not an object"):
        strict_json.Reader(value, "f")


# ---------------------------------------- depth and size of JSON


def slow_depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(slow_depth, inner), default=0)


awkward = st.text(st.sampled_from('\\"[]{},a\n'), max_size=8)
nested = st.recursive(
    awkward, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(awkward, inner, max_size=3), max_leaves=8
)


@given(nested, st.integers(0, 4))
def test_depth_is_that_of_the_brackets_outside_strings(value, deepest):
    data = json.dumps(value).encode()
    try:
        strict_json.check_depth(data, "f", deepest)
        assert slow_depth(value) <= deepest
    except Unreadable:
        assert slow_depth(value) > deepest


def test_escapes_cost_no_memory():
    """Found by the worst inputs of tests/fuzz: over 50 bytes were kept for each byte of a string of escapes."""
    data = b'["' + b"\\n" * (1 << 20) + b'"' + b"[" * 70
    tracemalloc.start()
    try:
        with pytest.raises(Unreadable):
            strict_json.check_depth(data, "f", 64)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(data)
    finally:
        tracemalloc.stop()


def test_parts_are_bounded():
    for data, parts in ((b'{"a":[1,"b"]}', 5), (b'"[,{"', 4), (b"7", 0)):
        strict_json.check_parts(data, "f", parts)
        with pytest.raises(Unreadable, match=f"JSON of {parts} parts"):
            strict_json.check_parts(data, "f", parts - 1)
