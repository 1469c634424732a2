"""One BLAS thread while a compiled loop runs on a CPU.

JAX factorizes matrices there by the OpenBLAS of SciPy, NumPy by its own. Their threads
spin between small factorizations and take the cores from XLA: an update takes twice as
long on an idle machine, and twenty times on a busy one. The command line sets
OPENBLAS_NUM_THREADS before JAX is imported; in a script or a notebook it is too late
for that.
"""

import contextlib
import ctypes
import os
import pathlib
from collections.abc import Iterator
from typing import Any

__all__ = ["one_blas_thread"]

_MAPS = pathlib.Path("/proc/self/maps")
#: The names of the pair of functions in builds of SciPy, of NumPy, and in others.
_NAMES = tuple(
    (f"{maker}_get_num_threads{suffix}", f"{maker}_set_num_threads{suffix}")
    for maker in ("scipy_openblas", "openblas")
    for suffix in ("", "64_")
)


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold OpenBLAS to one thread, unless OPENBLAS_NUM_THREADS says how many.

    Where the library or its functions are not found, nothing is changed.
    """
    found = [] if "OPENBLAS_NUM_THREADS" in os.environ else _libraries()
    before = [(change, count()) for count, change in found]
    try:
        for change, _ in before:
            change(1)
        yield
    finally:
        for change, number in before:
            change(number)


def _libraries() -> list[tuple[Any, Any]]:
    """Of each OpenBLAS library of this process how threads are counted and set."""
    if not _MAPS.exists():
        return []
    lines = _MAPS.read_text().splitlines()
    paths = {line.split()[-1] for line in lines if "openblas" in line.lower()}
    found = []
    for path in sorted(paths):
        if not pathlib.Path(path).exists():
            continue
        library = ctypes.CDLL(path)
        for names in _NAMES:
            if all(hasattr(library, name) for name in names):
                found.append(tuple(getattr(library, name) for name in names))
                break
    return found
