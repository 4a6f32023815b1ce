"""Large arrays on disk instead of in memory: a 70B model's quantized matrices are 1.3 GB."""

from __future__ import annotations

import os
import tempfile
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from circuits.digests import storage_error
from circuits.keys import cache_folder

Byte = TypeVar("Byte", np.int8, np.uint8)

SPILL_BYTES = 16 << 20


def byte_array(shape: tuple[int, int], dtype: type[Byte]) -> npt.NDArray[Byte]:
    """An array of bytes to be filled; from `SPILL_BYTES` on it is a file in the user's cache directory, mapped.

    The file has no name, since weights are secret: it is gone when the process ends, however that happens. Its pages
    can leave memory. Raises StorageError when the disk has no room.
    """
    size = shape[0] * shape[1]
    if size < SPILL_BYTES:
        return np.empty(shape, dtype=dtype)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk is an error here, and not a signal later
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                file.truncate(size)
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise storage_error(folder, error) from None
