"""Step 11: the committed toy bundle opens to its checkpoint, and to nothing else."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import verifier.formats.limits
from tests.verifier.conftest import ASSETS, canonical
from verifier.formats.errors import BadOpening
from verifier.opening.check import row_salts
from verifier.opening.checkpoint import Tensors, read_tokens
from verifier.opening.folding import Folding, halving_sum, quantize
from verifier.results.steps import Status


@pytest.fixture
def model(tmp_path: Path) -> Path:
    shutil.copytree(ASSETS / "model", tmp_path / "model")
    return tmp_path / "model"


def read_safetensors(path: Path):
    data = path.read_bytes()
    size = struct.unpack_from("<Q", data)[0]
    return json.loads(data[8 : 8 + size]), bytearray(data[8 + size :])


def write_safetensors(path: Path, header: dict, raw: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw)


def opened(verify, bundle, model, secret=ASSETS / "secret.json"):
    return verify(bundle, weights=model, secret=secret)


def test_the_checkpoint_opens_it(bundle, verify, model):
    report = opened(verify, bundle, model)
    assert report.verdict == "accepted", report.verdict_line()
    (check,) = (check for check in report.checks if check.step == 11)
    assert check.status is Status.PASSED
    assert any(line.startswith("Made: an opening") for line in report.not_proven())


@pytest.mark.parametrize(
    ("tensor", "named"),
    [
        ("model.layers.2.self_attn.k_proj.weight", "layers.2.k, row 0"),
        ("model.layers.1.mlp.down_proj.weight", "layers.1.down, row 0"),
        ("model.layers.2.post_attention_layernorm.weight", "layers.2.up, row "),
    ],
)
def test_step_11_one_changed_weight_is_named(bundle, verify, model, tensor, named):
    header, raw = read_safetensors(model / "model.safetensors")
    begin = header[tensor]["data_offsets"][0]
    size = {"F32": 4, "F16": 2, "BF16": 2}[header[tensor]["dtype"]]
    one = {"F32": struct.pack("<f", 0.3), "F16": struct.pack("<e", 0.3), "BF16": struct.pack("<f", 0.3)[2:]}
    raw[begin : begin + size] = one[header[tensor]["dtype"]]
    write_safetensors(model / "model.safetensors", header, bytes(raw))
    report = opened(verify, bundle, model)
    assert (report.verdict, report.failure.step) == ("rejected", 11), report.verdict_line()
    assert named in report.failure.message


def test_a_layer_that_is_not_committed_does_not_count(bundle, verify, model):
    header, raw = read_safetensors(model / "model.safetensors")
    begin, end = header["model.layers.0.mlp.up_proj.weight"]["data_offsets"]
    raw[begin:end] = bytes(end - begin)
    write_safetensors(model / "model.safetensors", header, bytes(raw))
    assert opened(verify, bundle, model).verdict == "accepted"


def test_another_seed(bundle, verify, model, tmp_path):
    secret = json.loads((ASSETS / "secret.json").read_text())
    secret["seed"] = "00" * 32
    (tmp_path / "secret.json").write_bytes(canonical(secret))
    report = opened(verify, bundle, model, tmp_path / "secret.json")
    assert (report.verdict, report.failure.step) == ("rejected", 11)
    assert "embedding, row 0" in report.failure.message


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_another_model(bundle, verify, model, file):
    value = json.loads((model / file).read_text())
    if file == "config.json":
        value["num_attention_heads"] = 2
    else:
        value["model"]["vocab"]["another"] = 299
    (model / file).write_text(json.dumps(value))
    report = opened(verify, bundle, model)
    assert (report.verdict, report.failure.step) == ("rejected", 11)
    assert file in report.failure.message


BROKEN = {
    "no folder": lambda m: shutil.rmtree(m),
    "no config": lambda m: (m / "config.json").unlink(),
    "no tokenizer": lambda m: (m / "tokenizer.json").unlink(),
    "no weights": lambda m: (m / "model.safetensors").unlink(),
    "config is not JSON": lambda m: (m / "config.json").write_text("{"),
    "another architecture": lambda m: (m / "config.json").write_text('{"architectures":["GPT2LMHeadModel"]}'),
    "truncated weights": lambda m: (m / "model.safetensors").write_bytes((m / "model.safetensors").read_bytes()[:-100]),
    "header longer than the file": lambda m: (m / "model.safetensors").write_bytes(b"\xff" * 20),
    "empty weights": lambda m: (m / "model.safetensors").write_bytes(b""),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_checkpoint_is_undecided(bundle, verify, model, how):
    BROKEN[how](model)
    report = opened(verify, bundle, model)
    assert (report.verdict, report.failure.step, report.failure.code) == ("undecided", 11, "bad-opening")


@pytest.mark.parametrize("what", ["nan", "shape", "type"])
def test_broken_tensors_are_undecided(bundle, verify, model, what):
    header, raw = read_safetensors(model / "model.safetensors")
    entry = header["model.embed_tokens.weight"]
    if what == "nan":
        begin, end = entry["data_offsets"]
        raw[begin:end] = np.full((end - begin) // 4, np.nan, "<f4").tobytes()
    elif what == "shape":
        entry["shape"] = [entry["shape"][1], entry["shape"][0]]
    else:
        entry["dtype"] = "I32"
    write_safetensors(model / "model.safetensors", header, bytes(raw))
    assert opened(verify, bundle, model).failure.code == "bad-opening"


def moved(header: dict, by: int) -> dict:
    return {name: e | {"data_offsets": [place + by for place in e["data_offsets"]]} for name, e in header.items()}


PLACES = {
    "overlap": (lambda h, raw: (h | {"more": next(iter(h.values()))}, raw), "overlaps another"),
    "hole": (lambda h, raw: (moved(h, 8), bytes(8) + raw), "leaves a hole before it"),
    "bytes behind": (lambda h, raw: (h, raw + bytes(8)), "8 bytes behind the last tensor"),
    "a hole in the middle": (
        lambda h, raw: ({name: e for name, e in h.items() if "layers.0.mlp.up" not in name}, raw),
        "leaves a hole before it",
    ),
    "no tensors": (lambda h, raw: ({}, b""), "is missing"),
}


@pytest.mark.parametrize("what", PLACES)
def test_data_are_the_tensors_one_after_the_other(bundle, verify, model, what):
    spoil, words = PLACES[what]
    header, raw = read_safetensors(model / "model.safetensors")
    write_safetensors(model / "model.safetensors", *spoil(header, bytes(raw)))
    report = opened(verify, bundle, model)
    assert (report.verdict, report.failure.code) == ("undecided", "bad-opening")
    assert words in report.failure.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 70), 1 << 70) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=5,
)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets"]), JSON), JSON)
def test_any_header_is_read_or_refused(tmp_path_factory, changes, whole):
    file = tmp_path_factory.mktemp("header") / "model.safetensors"
    good = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
    for header in ({"t": good | changes}, {"t": whole}, {"t": good, "__metadata__": whole}, whole):
        write_safetensors(file, header, bytes(24))
        try:
            read = Tensors(file.parent).read("t", (2, 3))
        except BadOpening:
            continue
        assert not read.any()


def test_tensors_in_any_order_of_the_header(bundle, verify, model):
    header, raw = read_safetensors(model / "model.safetensors")
    header = {"__metadata__": {"format": "pt"}, **dict(sorted(header.items(), reverse=True))}
    write_safetensors(model / "model.safetensors", header, bytes(raw))
    assert opened(verify, bundle, model).verdict == "accepted"


def test_added_tokens_leave_out_what_they_name(model):
    def ids(added: object, **more: int) -> tuple[int, ...]:
        document = json.loads((model / "tokenizer.json").read_text())
        document["added_tokens"] = added
        document["model"]["vocab"] = {"a": 1, "b": 2, "None": 3, "c": 4} | more
        (model / "tokenizer.json").write_text(json.dumps(document))
        return tuple(sorted(read_tokens(model, 300, 1, 100).ids))

    assert ids([]) == ids(None) == (1, 2, 3, 4)
    assert ids([{"id": 1}, {"id": 2}]) == (3, 4)  # without a string: the token "None" stays
    assert ids([{"content": "a"}, {"content": "c"}]) == (2, 3)
    assert ids([{"id": 1, "content": "b"}]) == (3, 4)
    for added in ([{"id": "1"}], [{"id": 1.0}], [{"id": True}], [{"content": 1}], ["a"], {"id": 1}):
        with pytest.raises(BadOpening):
            ids(added)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("seed"),
        lambda s: s.update(seed="00"),
        lambda s: s.update(cm="0" * 64),
        lambda s: s.update(more=1),
        lambda s: s.update(type="application/vnd.huref-zk.statement+json;version=1"),
    ],
)
def test_a_broken_secret_is_undecided(bundle, verify, model, tmp_path, change):
    secret = json.loads((ASSETS / "secret.json").read_text())
    change(secret)
    (tmp_path / "secret.json").write_bytes(canonical(secret))
    report = opened(verify, bundle, model, tmp_path / "secret.json")
    assert (report.verdict, report.failure.step, report.failure.code) == ("undecided", 11, "bad-opening")


def test_the_seed_is_not_shown(bundle, verify, model):
    seed = json.loads((ASSETS / "secret.json").read_text())["seed"]
    assert seed not in json.dumps(opened(verify, bundle, model).as_json())


# ---------------------------------------- parts


def test_row_salts_are_the_page():
    seed, row = bytes(range(32)), bytes([255, 1])
    salts = row_salts(seed, 12, "layers.2.k", 7, row)
    stream = hashlib.shake_256(
        b"huref-zk/v1/row-salt"
        + seed
        + b"\0\0\0\x0c"
        + b"\0\0\0\x0alayers.2.k"
        + b"\0\0\0\x07"
        + hashlib.sha3_256(row).digest()
    ).digest(1024)
    p = 21888242871839275222246405745257275088548364400416034343698204186575808495617
    assert salts == [int.from_bytes(stream[64 * i : 64 * i + 64], "big") % p for i in range(16)]


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=70))
def test_halving_sum_is_a_sum_in_a_fixed_order(values):
    def slow(entries):
        if len(entries) == 1:
            return entries[0]
        half = (len(entries) + 1) // 2
        return slow([x + entries[half + i] if half + i < len(entries) else x for i, x in enumerate(entries[:half])])

    assert float(halving_sum(np.array(values))) == slow(values)


def test_quantize():
    stored = np.array([[1.0, -1.0], [1.0, 1.0]], dtype=np.float32)
    assert quantize(stored, Folding(), "m").tolist() == [[16, -16], [16, 16]]
    large = np.zeros((20, 20), dtype=np.float32)
    large[0, 0] = 5.0
    assert quantize(large, Folding(), "m")[0, 0] == 127  # 16 * 20 = 320, clipped
    scaled = quantize(stored, Folding(columns=np.array([1.0, 0.5])), "m")
    rms = np.sqrt((1 + 0.25 + 1 + 0.25) / 4)
    assert scaled.tolist() == np.rint(np.array([[1, -0.5], [1, 0.5]]) * 16 / rms).tolist()
    with pytest.raises(BadOpening):
        quantize(np.zeros((2, 2), dtype=np.float32), Folding(), "m")


def test_shards(model):
    header, raw = read_safetensors(model / "model.safetensors")
    names = sorted(header)
    shards: dict[str, str] = {}
    for number in (0, 1):
        part, data = {}, b""
        for name in names[number::2]:
            begin, end = header[name]["data_offsets"]
            part[name] = header[name] | {"data_offsets": [len(data), len(data) + end - begin]}
            data += bytes(raw[begin:end])
            shards[name] = f"part{number}.safetensors"
        write_safetensors(model / f"part{number}.safetensors", part, data)
    (model / "whole").mkdir()
    (model / "model.safetensors").rename(model / "whole" / "model.safetensors")
    whole = Tensors(model / "whole")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    split = Tensors(model)
    for name in names:
        shape = tuple(header[name]["shape"])
        assert (whole.read(name, shape) == split.read(name, shape)).all()
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../part0.safetensors"}}))
    with pytest.raises(BadOpening):
        Tensors(model)


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        ("MAX_CHECKPOINT_JSON_PARTS", 20, "parts, the limit is 20"),
        ("MAX_VOCABULARY", 299, "300 entries, the limit is 299"),
        ("MAX_TOKENIZER_BYTES", 100, "larger than 100 bytes"),
    ],
)
def test_a_tokenizer_has_limits(model, monkeypatch, limit, value, words):
    monkeypatch.setattr(verifier.formats.limits, limit, value)
    with pytest.raises(BadOpening, match=words):
        read_tokens(model, 300, 4, 16)


@pytest.mark.parametrize(
    "shard",
    [
        "a/b.safetensors",
        "b.bin",
        "../b.safetensors",
        "b\0.safetensors",
        "\ud800.safetensors",
        7,
        ["b.safetensors"],
        None,
    ],
)
def test_an_index_names_files_beside_it(model, shard):
    (model / "model.safetensors").rename(model / "b.safetensors")
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": shard}}))
    with pytest.raises(BadOpening):
        Tensors(model)
