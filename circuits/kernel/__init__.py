"""A native kernel for commitments to rows, twenty times faster than ezkl, where there was a C compiler.

- `library`    the library beside this file, by ctypes: which kernels this machine runs
- `rows`       commitments to rows, by one of them
- `check`      ezkl's word on what a kernel gave, without which nothing of it may be kept
- `products`   exact products of bytes and field elements, for the link argument
- `fold`       folding and quantizing rows of a stored matrix (`fold.h`), bit for bit as numpy does
- `build`, `hatch_build`   how it is compiled; docs/kernel.md

The C files begin with `kernel.h`, which has the method. A kernel is chosen by what the processor can do.
"""

from circuits.kernel.check import CommittedRows, RowChecker
from circuits.kernel.library import chosen, kernels, status
from circuits.kernel.rows import RowPlan, row_plan

__all__ = ["CommittedRows", "RowChecker", "RowPlan", "chosen", "kernels", "row_plan", "status"]
