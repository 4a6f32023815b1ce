"""Pickles as data: what a checkpoint needs is read, nothing that a file names runs, lies about lengths are refused."""

from __future__ import annotations

import builtins
import gc
import io
import os
import pickle
import random
import struct
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch

from circuits.errors import CheckpointError
from fpm import pickle_machine, pickle_reader
from fpm.pickle_reader import ModuleRecord, TensorRecord, read_checkpoint_pickle
from tests.fpm.ada_checkpoints import EasyDict, Persistent, document, pickled, small_generator

EVENTS: list[str] | None = None  # audit events while watched
RUNS_CODE = {"exec", "compile", "import", "open", "os.system", "subprocess.Popen", "pickle.find_class", "ctypes.dlopen"}


def _audit(event, arguments):
    if EVENTS is not None and event in RUNS_CODE:
        EVENTS.append(event)


sys.addaudithook(_audit)


def watched(data):
    """Reads `data` and demands that the interpreter imported, compiled, opened and ran nothing meanwhile.

    Nor does it collect what other tests left: a temporary directory that goes with its last reference is opened first.
    """
    global EVENTS
    gc.disable()
    EVENTS = []
    try:
        return read_checkpoint_pickle(data, "x.pkl")
    finally:
        seen, EVENTS = EVENTS, None
        gc.enable()
        assert seen == []


class Calls:
    """Pickled as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_plain_values_come_back(protocol):
    value = {
        "a": [1, -2, 2**40, 2.5, None, True, False, "é", b"bytes", ()],
        "b": {"nested": (1, (2, 3), [4])},
        "c": {"x", "y"},
        "d": EasyDict(e=OrderedDict(f=1)),
        "numpy": [np.sqrt(2), np.float32(0.5), np.int64(7), np.bool_(True)],
    }
    assert watched(pickled(value, protocol)) == {**value, "numpy": [np.sqrt(2), 0.5, 7, 1]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8, torch.bool])
def test_tensors_are_those_that_torch_reads(dtype):
    whole = (torch.randn(4, 5, 6) * 10).to(dtype)
    for tensor in (whole, whole.transpose(0, 2), whole[1:3, ::2], torch.nn.Parameter(whole, requires_grad=False)):
        record = watched(pickled(tensor))
        assert type(record) is TensorRecord
        assert np.array_equal(record.array(), tensor.detach().numpy())


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
def test_storages_are_those_that_torch_reads_without_code():
    data = storage_bytes()
    mine = pickle_reader.read_storage(data, "x.pkl").values
    assert mine.tolist() == list(torch.load(io.BytesIO(data), weights_only=True)) == [1.0] * 3


def test_networks_become_records():
    record = watched(pickled(document(small_generator())))["G_ema"]
    assert type(record) is ModuleRecord and record.class_name == "Generator"
    assert record.state["z_dim"] == 512 and set(record.state["_modules"]) == {"synthesis", "mapping"}


@pytest.fixture
def sentinel(tmp_path):
    path = tmp_path / "code-ran"
    yield path
    assert not path.exists()


def storage_bytes():
    """A storage of three ones, as torch puts it into another pickle."""
    data = io.BytesIO()
    torch.save(torch.ones(3)._typed_storage(), data, _use_new_zipfile_serialization=False)
    return data.getvalue()


def attacks(path):
    write = f"open({str(path)!r}, 'w').close()"
    touch = f"touch {path}"
    inner = pickle.dumps(Calls(os.system, touch), 2)
    zipped = io.BytesIO()
    torch.save({"a": Calls(os.system, touch)}, zipped)
    return {
        "os.system": Calls(os.system, touch),
        "exec": Calls(builtins.exec, write),
        "eval": Calls(builtins.eval, write),
        "getattr": Calls(builtins.getattr, "x", "y"),
        "popen": Calls(subprocess.Popen, ["touch", str(path)]),
        "open": Calls(builtins.open, str(path), "w"),
        "torch.load": Calls(torch.load, str(path)),
        "code in a dictionary's value": {"G_ema": [{"x": (1, Calls(os.system, touch))}]},
        "code for a storage": Calls(torch.storage._load_from_bytes, inner),
        "code before a storage": Calls(torch.storage._load_from_bytes, inner + storage_bytes()),
        "code after a storage's magic number": Calls(torch.storage._load_from_bytes, storage_bytes()[:13] + inner),
        "a zip with code for a storage": Calls(torch.storage._load_from_bytes, zipped.getvalue()),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("name", attacks("x"))
def test_code_is_refused_and_does_not_run(name, protocol, sentinel):
    with pytest.raises(CheckpointError) as refusal:
        watched(pickled(attacks(sentinel)[name], protocol))
    assert refusal.value.message.startswith("x.pkl") and refusal.value.hint


def test_a_refusal_names_the_global():
    with pytest.raises(CheckpointError, match=r"x\.pkl: global posix\.system") as refusal:
        watched(pickled(Calls(os.system, "true")))
    assert refusal.value.step == "read checkpoint"


def test_source_code_in_the_file_is_ignored(sentinel):
    class Generator(Persistent):
        module_src = f"open({str(sentinel)!r}, 'w').close()\nclass Generator: pass\n"

    assert watched(pickled({"G_ema": Generator()}))["G_ema"].class_name == "Generator"


def test_tensorflow_pickles_are_named():
    with pytest.raises(CheckpointError, match="tflib") as refusal:
        watched(b"\x80\x03cdnnlib.tflib.network\nNetwork\n)\x81.")
    assert "legacy.py" in refusal.value.hint


RECONSTRUCT = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
LIES = {
    "empty": b"",
    "not a pickle": b"hello",
    "no end": b"\x80\x04}",
    "stack underflow": b"\x80\x040.",
    "two values left": b"\x80\x04}}.",
    "unknown memo": b"\x80\x04h\x05.",
    "far memo of nothing": b"\x80\x04r\xff\xff\xff\xff.",
    "8 exabytes": b"\x80\x04\x8e" + struct.pack("<q", 2**62) + b"abc.",
    "4 gigabytes of text": b"\x80\x04X\xff\xff\xff\xffabc.",
    "global cut short": b"\x80\x04cos\nsyst",
    "huge integer": b"\x80\x04\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b".",
    "huge text integer": b"L" + b"9" * 10_000 + b"L\n.",
    "mark without group": b"\x80\x04t.",
    "odd dictionary": b"\x80\x04}(K\x01u.",
    "tuple as key": b"\x80\x04}()K\x01u.",
    "append to a name": b"\x80\x04" + RECONSTRUCT + b"K\x01a.",
    "set on a name": b"\x80\x04" + RECONSTRUCT + b"X\x01\0\0\0aK\x01s.",
    "state for a name": b"\x80\x04" + RECONSTRUCT + b"}b.",
    "slots for a name": b"\x80\x04" + RECONSTRUCT + b"N}X\x05\0\0\0callsNs\x86b.",
    "instance": b"(i" + RECONSTRUCT[1:] + b".",
    "object": b"(" + RECONSTRUCT + b"o.",
    "extension": b"\x80\x04\x82\x01.",
    "persistent id": b"\x80\x04K\x01Q.",
    "call with no tuple": b"\x80\x04" + RECONSTRUCT + b"]R.",
    "call of a value": b"\x80\x04])R.",
    "wrong number of arguments": b"\x80\x04" + RECONSTRUCT + b")R.",
    "name that is not text": b"\x80\x04K\x01K\x02\x93.",
    "another version": b"\x80\x04" + RECONSTRUCT + b"}X\x07\0\0\0versionK\x05s\x85R.",
    "dtype of big numbers": b"\x80\x04cnumpy\ndtype\nX\x02\0\0\0f8\x88\x88\x87RK\x03X\x01\0\0\0>\x86b.",
}


@pytest.mark.parametrize("name", LIES)
def test_lies_are_refused(name):
    with pytest.raises(CheckpointError) as refusal:
        watched(LIES[name])
    assert refusal.value.message.startswith("x.pkl")


def test_deep_nesting_is_data_like_any_other():
    value = watched(b"\x80\x04" + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert type(value) is list
    del value
    with pytest.raises(CheckpointError, match="not a name"):  # nothing is hashed but names, however deep it is
        watched(b"\x80\x04})" + b"\x85" * 3 + b"Ns.")


def test_the_number_of_operations_is_bounded(monkeypatch):
    monkeypatch.setattr(pickle_machine, "MAX_OPERATIONS", 100)
    with pytest.raises(CheckpointError, match="100 operations"):
        watched(b"\x80\x04(" + b"N" * 100 + b"t.")


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [((2, 3), (3, 1), 1), ((6,), (2,), 0), ((2**31 - 1,) * 2, (0, 0), 0), ((7,), (0,), 0)],
)
def test_tensors_stay_inside_their_storage(shape, strides, offset):
    storage = pickle_reader.Storage(np.arange(6, dtype=np.float32))
    with pytest.raises(ValueError, match=r"storage|buffer|strides|bigger"):
        TensorRecord(storage, offset, shape, strides).array()


@pytest.mark.parametrize(
    "place", [(2**100, (1,), (1,)), (0, (2**100,), (1,)), (0, (1,), (-1,)), (0, (1,) * 9, (1,) * 9)]
)
def test_tensors_have_short_small_shapes(place):
    call = Calls(torch._utils._rebuild_tensor_v2, torch.ones(3)._typed_storage(), *place, False, OrderedDict())
    with pytest.raises(CheckpointError, match="shape"):
        watched(pickled(call))


@pytest.mark.parametrize("cut", [1, 8, 12, 100])
def test_storages_cut_short_are_refused(cut):
    data = storage_bytes()
    for lie in (data[:-cut], data + b"\0" * cut):
        with pytest.raises((ValueError, CheckpointError)):
            pickle_reader.read_storage(lie, "x.pkl")


def test_storages_whose_names_are_deep_are_refused():
    """Only names are compared."""
    deep = b"]" * 5 + b"a" * 4
    start = storage_bytes().index(b"\x80\x02(X\x07\0\0\0storage")
    description = b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\n" + deep + b"X\x03\0\0\0cpuK\x03NtQ."
    with pytest.raises(ValueError, match="more than one storage"):
        pickle_reader.read_storage(storage_bytes()[:start] + description + b"\x80\x02]" + deep + b"a.", "x.pkl")


def mutated(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, taken out, put in, copied elsewhere, or the end cut off. Mostly outside the tensors."""
    result = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(result))
        kind = rng.randrange(6)
        if kind == 0:
            result[at] = rng.randrange(256)
        elif kind == 1:
            del result[at : at + rng.randint(1, 8)]
        elif kind == 2:
            result[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 3:
            other = rng.randrange(len(result))
            result[at:at] = result[other : other + rng.randint(1, 200)]
        elif kind == 4:
            result[at] = rng.choice(b"cR\x81\x93b.t(0a\x85\x86\x87\x94h}]Q\x8e\x95i")
        else:
            del result[at:]
            result += b"." * rng.randint(0, 1)
        if not result:
            result += b"."
    return bytes(result)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_pickles_give_typed_errors_or_values(seed, sentinel, monkeypatch):
    monkeypatch.chdir(sentinel.parent)  # the sentinel by its name alone: the same bytes in every run

    class Generator(Persistent):
        module_src = f"open({sentinel.name!r}, 'w').close()"

    network = Generator()
    network.weight = torch.nn.Parameter(torch.ones(2, 3))
    network.gain = np.sqrt(2)
    plain = pickled({"G_ema": network}, 3 + seed % 2)
    hostile = pickled({"G_ema": network, "x": Calls(os.system, f"touch {sentinel.name}")}, 3 + seed % 2)
    rng = random.Random(seed)
    refused = 0
    for i in range(400):
        try:
            watched(mutated(hostile if i % 2 else plain, rng))
        except CheckpointError as error:
            refused += 1
            assert error.message.isprintable() and len(error.message) < 400
    assert refused > 100
