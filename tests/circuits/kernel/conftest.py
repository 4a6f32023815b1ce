"""The library that these tests are about: the one that lies there, or, where that is missing or old, a new one."""

from __future__ import annotations

import pytest

from circuits.kernel import build, library
from tests.circuits.kernel.cases import REFERENCE_ROWS, Case, hostile_rows, hostile_salts
from tests.conftest import alone


def newest_source() -> float:
    return max(path.stat().st_mtime for path in build.HERE.glob("*.[ch]"))


@pytest.fixture(scope="session", autouse=True)
def native(tmp_path_factory):
    """The library, of these very sources."""
    path = library.LIBRARY
    if not path.exists() or path.stat().st_mtime < newest_source():
        if not list(build.compilers()):
            pytest.skip("no C compiler here, and no library")
        with alone(tmp_path_factory, "kernel") as folder:
            path = folder / build.LIBRARY_NAME
            if not path.exists():
                build.build(path)
    original = library.load
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(library, "load", lambda: original(path))
        patch.delenv(library.ENVIRONMENT, raising=False)
        yield path


@pytest.fixture(params=["ifma", "mulx", "portable"])
def kernel(request):
    if request.param not in library.kernels():
        pytest.skip(f"this processor does not run {request.param}")
    return request.param


@pytest.fixture(scope="session")
def hostile() -> Case:
    """Rows of five entries and two salts, over points whose logarithms are known."""
    case = Case.random(width=5, salts=2, rows=REFERENCE_ROWS, seed=1)
    return Case(case.logs, hostile_rows(5), hostile_salts(2))
