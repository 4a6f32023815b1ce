"""Folding and quantizing some rows of a stored matrix, by the native library: the bits that numpy gives, in one pass.

The slow, obvious twin is `prover.checkpoint.folded_matrix` with `prover.terms.quantization`. Calls let other threads of
Python run, and different rows of one matrix may be worked on by several threads.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from circuits.errors import KernelError
from circuits.kernel import library
from circuits.kernel.library import require_success

Float64Array = npt.NDArray[np.float64]
Int8Array = npt.NDArray[np.int8]

LANES = 8  # of fold.h
_TYPES = {"<f8": 0, "<f4": 1, "<f2": 2, "<u2": 3}  # of fold.h; uint16 is bfloat16


class _Matrix(ctypes.Structure):
    """`stored_matrix` of fold.h."""

    _fields_ = (
        ("stored", ctypes.c_void_p),
        ("type", ctypes.c_uint64),
        ("rows", ctypes.c_uint64),
        ("columns", ctypes.c_uint64),
        ("row_step", ctypes.c_int64),
        ("column_step", ctypes.c_int64),
        ("scale", ctypes.c_void_p),
        ("centred", ctypes.c_uint64),
    )


class _Quantized(ctypes.Structure):
    """`quantized_rows` of fold.h."""

    _fields_ = (
        ("factor", ctypes.c_double),
        ("entries", ctypes.c_void_p),
        ("clipped", ctypes.c_uint64),
        ("left_rows", ctypes.c_uint64),
        ("folded_left", ctypes.c_void_p),
        ("quantized_left", ctypes.c_void_p),
        ("folded_products", ctypes.c_void_p),
        ("quantized_products", ctypes.c_void_p),
    )


def reads(stored: npt.NDArray[Any]) -> bool:
    """Whether the library is here and reads such entries: floats, or bfloat16 as uint16; steps of whole entries."""
    whole = all(step % stored.itemsize == 0 for step in stored.strides)
    return library.load() is not None and stored.dtype.str in _TYPES and stored.size > 0 and whole


def folds(stored: npt.NDArray[Any]) -> bool:
    """Whether the library is here and folds such an array: [rows, d] that it `reads`."""
    return stored.ndim == 2 and reads(stored)


def fold_kernels() -> tuple[str, ...]:
    """Names of the ways to fold that this machine runs, fastest first: of `avx512`, `avx2`, `portable`."""
    loaded = library.load()
    names: list[str] = []
    while loaded is not None and (name := loaded.huref_fold_name(len(names))):
        names.append(name.decode("ascii"))
    return tuple(names)


def all_finite(stored: npt.NDArray[Any], kernel: int = 0) -> bool:
    """Whether no entry is infinite or NaN. `stored`: contiguous, and the library `reads` it."""
    if not stored.flags.c_contiguous:
        raise KernelError("entries do not lie in one piece", step="read")
    answer = library.require().huref_all_finite(kernel, stored.ctypes.data, _TYPES[stored.dtype.str], stored.size)
    if answer < 0:
        raise KernelError(f"no folding kernel {kernel}", step="read")
    return bool(answer)


def padded(left: npt.NDArray[Any]) -> Float64Array:
    """`left` [n, d] as float64, with zeros behind its columns up to a multiple of `LANES`: what `quantize` wants."""
    width = -(-left.shape[1] // LANES) * LANES
    result = np.zeros((len(left), width))
    result[:, : left.shape[1]] = left
    return result


@dataclass(frozen=True)
class StoredRows:
    """A stored matrix [rows, d] with what folding does: times `scale` [d], then `centred`: less each row's mean.

    `kernel`: its number in `fold_kernels`.
    """

    stored: npt.NDArray[Any]
    scale: Float64Array | None = None
    centred: bool = False
    kernel: int = 0

    def __post_init__(self) -> None:
        """KernelError for what the library does not read."""
        if not folds(self.stored):
            raise KernelError(f"rows {self.stored.dtype} {self.stored.shape} are not read by the library", step="read")
        if self.scale is not None and (
            self.scale.dtype != np.float64
            or self.scale.shape != self.stored.shape[1:]
            or not self.scale.flags.c_contiguous
        ):
            raise KernelError(f"scale {self.scale.dtype} {self.scale.shape}", step="read")

    def _matrix(self) -> _Matrix:
        item = self.stored.itemsize
        return _Matrix(
            self.stored.ctypes.data,
            _TYPES[self.stored.dtype.str],
            *self.stored.shape,
            *(step // item for step in self.stored.strides),
            None if self.scale is None else self.scale.ctypes.data,
            self.centred,
        )

    def fold(self, begin: int, end: int) -> Float64Array:
        """Folded rows `begin` to `end`: float64 [end - begin, d]."""
        result = np.empty((max(0, end - begin), self.stored.shape[1]))
        matrix = self._matrix()
        answer = library.require().huref_fold_rows(self.kernel, ctypes.byref(matrix), begin, end, result.ctypes.data)
        require_success(answer, f"rows {begin} to {end} of {self.stored.shape}")
        return result

    def squares(self, begin: int, end: int) -> Float64Array:
        """The sum by halving of each folded row's squares, rows `begin` to `end`: float64 [end - begin]."""
        result = np.empty(max(0, end - begin))
        matrix = self._matrix()
        answer = library.require().huref_row_squares(self.kernel, ctypes.byref(matrix), begin, end, result.ctypes.data)
        require_success(answer, f"rows {begin} to {end} of {self.stored.shape}")
        return result

    def quantize(
        self,
        begin: int,
        end: int,
        factor: float,
        entries: Int8Array,
        lefts: tuple[Float64Array, Float64Array] | None = None,
    ) -> tuple[int, Float64Array, Float64Array]:
        """Rows `begin` to `end`, times `factor`, rounded half to even, cut to +-127, into `entries` int8 [n, d].

        `lefts`: two `padded` factors [g, d']. Returns how many entries were cut, the first times the folded rows
        transposed, the second times the quantized ones: float64 [g, n] each, [0, n] without factors. A sum's terms are
        added in a fixed order, so that it is the same for any cut and on any machine.
        """
        count = max(0, end - begin)
        if entries.dtype != np.int8 or entries.shape != (count, self.stored.shape[1]) or not entries.flags.c_contiguous:
            raise KernelError(f"entries {entries.dtype} {entries.shape} for {count} rows", step="quantize")
        folded_left, quantized_left = lefts or (padded(np.zeros((0, self.stored.shape[1]))),) * 2
        wanted = len(folded_left), -(-self.stored.shape[1] // LANES) * LANES
        for left in (folded_left, quantized_left):
            if left.shape != wanted or left.dtype != np.float64 or not left.flags.c_contiguous:
                raise KernelError(f"left factor {left.dtype} {left.shape}, not {wanted}", step="quantize")
        products = np.empty((2, count, wanted[0]))
        made = _Quantized(
            factor,
            entries.ctypes.data,
            0,
            wanted[0],
            folded_left.ctypes.data,
            quantized_left.ctypes.data,
            products[0].ctypes.data,
            products[1].ctypes.data,
        )
        matrix = self._matrix()
        answer = library.require().huref_quantize_rows(
            self.kernel, ctypes.byref(matrix), begin, end, ctypes.byref(made)
        )
        require_success(answer, f"rows {begin} to {end} of {self.stored.shape}")
        return int(made.clipped), products[0].T, products[1].T
