"""The native library, by ctypes. Calls let other threads of Python run; each has one thread of its own."""

from __future__ import annotations

import ctypes
import os
from functools import lru_cache
from pathlib import Path

from circuits.errors import KernelError, UsageError

LIBRARY = Path(__file__).resolve().parent / "_row_kernel.so"
INTERFACE = 2  # of library.h
ENVIRONMENT = "HUREF_KERNEL"  # a kernel's name, or EZKL
EZKL = "ezkl"
STEP = "commit to rows"

_size, _bytes, _pointer = ctypes.c_size_t, ctypes.c_char_p, ctypes.c_void_p
_SIGNATURES = {
    "huref_plan_new": ([_bytes, _size, _size, ctypes.c_uint, ctypes.POINTER(_pointer)], ctypes.c_int),
    "huref_plan_free": ([_pointer], None),
    "huref_commit": (
        [_pointer, ctypes.c_int, _pointer, _pointer, _size, _size, _pointer, ctypes.POINTER(_size)],
        ctypes.c_int,
    ),
    "huref_product": ([_pointer, _size, _size, ctypes.c_bool, _bytes, _pointer], ctypes.c_int),
    "huref_has_products": ([], ctypes.c_int),
    "huref_kernel_name": ([ctypes.c_int], _bytes),
    # fold.h
    "huref_fold_name": ([ctypes.c_int], _bytes),
    "huref_all_finite": ([ctypes.c_int, _pointer, ctypes.c_uint, _size], ctypes.c_int),
    "huref_fold_rows": ([ctypes.c_int, _pointer, _size, _size, _pointer], ctypes.c_int),
    "huref_row_squares": ([ctypes.c_int, _pointer, _size, _size, _pointer], ctypes.c_int),
    "huref_quantize_rows": ([ctypes.c_int, _pointer, _size, _size, _pointer], ctypes.c_int),
}
_MEANINGS = {  # of library.h
    1: "no memory",
    2: "sizes that it does not take",
    3: "a base is not a point of the curve, or bases cancel one another",
    4: "an entry does not fit its bits, or a scalar is not below the group's order",
    5: "this machine does not run that kernel",
}


@lru_cache(maxsize=4)
def load(path: Path = LIBRARY) -> ctypes.CDLL | None:
    """The library, or None where it was not built, or for another processor or system.

    Raises KernelError for one that another version of this project built.
    """
    if not path.exists():
        return None
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    found = library.huref_interface() if hasattr(library, "huref_interface") else 0
    if found != INTERFACE:
        raise KernelError(
            f"{path}: interface {found} instead of {INTERFACE}: built from another version",
            step=STEP,
            hint="install huref-zk again; in a checkout: python -m circuits.kernel.build",
        )
    for name, (arguments, result) in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, result
    return library


def require() -> ctypes.CDLL:
    """The library; KernelError where there is none."""
    library = load()
    if library is None:
        raise KernelError("there is no native kernel here", step=STEP, hint="docs/kernel.md says how it is built")
    return library


def kernels() -> tuple[str, ...]:
    """Names of the kernels that this machine runs, fastest first: of `ifma`, `mulx`, `portable`. Empty without any."""
    library = load()
    names: list[str] = []
    while library is not None and (name := library.huref_kernel_name(len(names))):
        names.append(name.decode("ascii"))
    return tuple(names)


def chosen() -> str | None:
    """The kernel that commits to rows: the fastest, or what the environment's HUREF_KERNEL names; None is ezkl.

    Raises UsageError for a name that this machine does not run.
    """
    here = kernels()
    wanted = os.environ.get(ENVIRONMENT, "")
    if wanted == EZKL:
        return None
    if wanted and wanted not in here:
        raise UsageError(
            f"{ENVIRONMENT}={wanted}: this machine has no such kernel",
            step=STEP,
            hint=f"one of {', '.join([*here, EZKL])}",
        )
    return wanted or (here[0] if here else None)


def status() -> str:
    """One line about `chosen`, for people."""
    name = chosen()
    if name is not None:
        return f"{name} (of {', '.join(kernels())})"
    return EZKL if kernels() else f"{EZKL} (no native kernel was built)"


def number(kernel: str | None) -> int:
    """What the library calls `kernel`, the fastest for None. KernelError for one that is not here."""
    here = kernels()
    if kernel is None:
        return 0
    if kernel not in here:
        raise KernelError(f"kernel {kernel!r} is none of this machine's", step=STEP, hint=f"one of {', '.join(here)}")
    return here.index(kernel)


def require_success(result: int, what: str) -> None:
    """Raise KernelError unless the library answered 0."""
    if result:
        raise KernelError(f"native kernel, {what}: {_MEANINGS.get(result, result)}", step=STEP)
