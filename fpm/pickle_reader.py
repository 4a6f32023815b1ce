"""Reads a PyTorch checkpoint's pickle as plain values and passive records; `pickle_machine` does the reading.

Source: torch/_utils.py, torch/serialization.py `_legacy_save` (a storage's bytes), torch_utils/persistence.py of
stylegan2-ada-pytorch. Storages are not read with `torch.load(weights_only=True)`: before torch 2.6 that could be made
to run code (CVE-2025-32434).
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fpm.pickle_machine import Global, Machine, Stateful, set_of_names

MAX_RANK = 8  # dimensions of a tensor; a convolution's weight has 4


@dataclass(frozen=True, eq=False)
class Storage:
    """A tensor's numbers, flat."""

    values: npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """A view into a storage. `offset` and `strides` count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> npt.NDArray[np.generic]:
        """A copy of the tensor, of shape `shape`.

        Raises:
            ValueError: it reaches outside its storage, or has more elements than it.
        """
        values = self.storage.values
        if math.prod(self.shape) > values.size:
            raise ValueError("more elements than its storage")
        step = values.dtype.itemsize
        strides = tuple(step * stride for stride in self.strides)
        return np.ndarray(self.shape, values.dtype, values, step * self.offset, strides).copy()


@dataclass(frozen=True, eq=False)
class ModuleRecord:
    """A network saved by `torch_utils.persistence`: its class's name and its attributes, without its source code."""

    class_name: str
    state: dict[str, object]


@dataclass(frozen=True, eq=False)
class _Dtype(Stateful):
    """numpy's dtype by its code, such as `f8`."""

    code: str

    def check_state(self, state: object) -> None:
        """(version, byte order, ...): little-endian or single bytes."""
        if type(state) is not tuple or state[1] not in ("<", "|"):
            raise ValueError("a numpy dtype of another byte order")


_STORAGES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
    "torch.ShortStorage": "<i2",
    "torch.CharStorage": "<i1",
    "torch.ByteStorage": "<u1",
    "torch.BoolStorage": "|b1",
}
_SCALARS = {"f8": "<d", "f4": "<f", "i8": "<q", "i4": "<i", "b1": "<?"}


def _reconstruct(meta: object) -> ModuleRecord:
    """torch_utils.persistence: `module_src` is never looked at."""
    if type(meta) is not dict or meta.get("type") != "class" or meta.get("version") != 6:
        raise ValueError("a persistent object of another version than 6")
    name, state = meta.get("class_name"), meta.get("state")
    if type(name) is not str or type(state) is not dict:
        raise ValueError("a persistent object without class_name or state")
    return ModuleRecord(name, state)


def _tensor(
    storage: object, offset: object, shape: object, strides: object, grad: object, hooks: object, *_: object
) -> TensorRecord:
    if type(storage) is not Storage:
        raise ValueError("a tensor without a storage")
    (start,) = _lengths((offset,))
    return TensorRecord(storage, start, _lengths(shape), _lengths(strides))


def _lengths(values: object) -> tuple[int, ...]:
    """A shape or strides: a tuple of at most MAX_RANK small numbers."""
    if type(values) is not tuple or len(values) > MAX_RANK:
        raise ValueError("a tensor's shape is not a short tuple")
    if not all(type(v) is int and 0 <= v < 1 << 31 for v in values):
        raise ValueError("a tensor's shape holds something else than lengths")
    return values


def _parameter(data: object, grad: object, hooks: object) -> TensorRecord:
    if type(data) is not TensorRecord:
        raise ValueError("a parameter without a tensor")
    return data


def _scalar(dtype: object, data: object) -> float | int:
    if type(dtype) is not _Dtype or dtype.code not in _SCALARS or type(data) is not bytes:
        raise ValueError("a numpy number of an unknown type")
    (value,) = struct.unpack(_SCALARS[dtype.code], data)
    return float(value) if dtype.code.startswith("f") else int(value)


def _dtype(code: object, align: object, copy: object) -> _Dtype:
    if type(code) is not str:
        raise ValueError("a numpy dtype without a code")
    return _Dtype(code)


def _empty() -> dict[str, object]:
    return {}


def read_checkpoint_pickle(data: bytes, name: str) -> object:
    """The value of a checkpoint's pickle, made of plain values and this module's records.

    Args:
        data: the file.
        name: the file's name, for messages.

    Raises:
        CheckpointError: damaged, too large a program, or a global, call or opcode that no checkpoint needs.
    """
    calls: dict[str, Callable[..., object]] = {
        "torch_utils.persistence._reconstruct_persistent_obj": _reconstruct,
        "dnnlib.util.EasyDict": _empty,
        "collections.OrderedDict": _empty,
        "builtins.set": set_of_names,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch.storage._load_from_bytes": lambda inner: read_storage(inner, name),
        "numpy.dtype": _dtype,
        "numpy.core.multiarray.scalar": _scalar,
        "numpy._core.multiarray.scalar": _scalar,
    }
    return Machine(name, calls).load(io.BytesIO(data))


def read_storage(data: object, name: str) -> Storage:
    """A storage's bytes, as torch.save writes them inside another pickle: four small pickles, then the numbers.

    Raises:
        CheckpointError: damaged, or another global than a kind of storage.
        ValueError: lengths that contradict each other.
    """
    if type(data) is not bytes:
        raise ValueError("a storage that is not bytes")
    stream = io.BytesIO(data)
    inner = f"{name}, inside a tensor"
    plain = Machine(inner, {})
    if plain.load(stream) != 0x1950A86A20F9469CFC6C or plain.load(stream) != 1001:
        raise ValueError("a storage without torch's magic number, or of another version")
    system = plain.load(stream)
    if type(system) is not dict or system.get("little_endian") is not True:
        raise ValueError("a storage of another byte order")
    machine = Machine(inner, {}, frozenset(_STORAGES), persistent=lambda given: given)
    description = machine.load(stream)
    if type(description) is not tuple or len(description) != 6:
        raise ValueError("a storage without its description")
    kind, dtype, key, _, count, view = description
    if kind != "storage" or type(dtype) is not Global or type(count) is not int or view is not None:
        raise ValueError("a storage without its description")
    keys = plain.load(stream)
    if type(key) is not str or type(keys) is not list or len(keys) != 1 or type(keys[0]) is not str or keys[0] != key:
        raise ValueError("more than one storage")
    values = memoryview(data)[stream.tell() + 8 :]
    if data[stream.tell() : stream.tell() + 8] != struct.pack("<q", count):
        raise ValueError("a storage whose two lengths differ")
    form = np.dtype(_STORAGES[dtype.name])
    if len(values) != count * form.itemsize:
        raise ValueError("a storage of another length than it says")
    return Storage(np.frombuffer(values, form))
