"""One BLAS thread while a compiled loop runs on a CPU.

JAX factorizes matrices there by the OpenBLAS of SciPy, whose threads spin between small
factorizations and take the cores from XLA: an update takes twice as long on an idle
machine, and twenty times on a busy one. The command line sets OPENBLAS_NUM_THREADS
before JAX is imported; in a script or a notebook it is too late for that.
"""

import contextlib
import ctypes
import os
import pathlib
from collections.abc import Iterator

__all__ = ["one_blas_thread"]

_MAPS = pathlib.Path("/proc/self/maps")
#: The names of the pair of functions in builds of SciPy, and in others.
_PREFIXES = ("scipy_openblas", "openblas")


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold OpenBLAS to one thread, unless OPENBLAS_NUM_THREADS says how many.

    Where the library or its functions are not found, nothing is changed.
    """
    found = [] if "OPENBLAS_NUM_THREADS" in os.environ else _libraries()
    before = [(library, prefix, _count(library, prefix)) for library, prefix in found]
    try:
        for library, prefix, _ in before:
            getattr(library, f"{prefix}_set_num_threads")(1)
        yield
    finally:
        for library, prefix, count in before:
            getattr(library, f"{prefix}_set_num_threads")(count)


def _count(library: ctypes.CDLL, prefix: str) -> int:
    return getattr(library, f"{prefix}_get_num_threads")()


def _libraries() -> list[tuple[ctypes.CDLL, str]]:
    """The OpenBLAS libraries of this process that have both functions."""
    if not _MAPS.exists():
        return []
    lines = _MAPS.read_text().splitlines()
    paths = {line.split()[-1] for line in lines if "openblas" in line.lower()}
    found = []
    for path in sorted(paths):
        if not pathlib.Path(path).exists():
            continue
        library = ctypes.CDLL(path)
        for prefix in _PREFIXES:
            names = (f"{prefix}_set_num_threads", f"{prefix}_get_num_threads")
            if all(hasattr(library, name) for name in names):
                found.append((library, prefix))
                break
    return found
