"""Which way an optimizer of many outputs goes, by the size of its batch.

A batch with m outputs of P parameters has a Gram matrix of side min(m, P), which is
factorized while it fits: eigenvectors, Cholesky, or its inverse root. Beyond that
products by J Jᵀ are left, each a pass forward and one back, in a Krylov space of k ≪ m
dimensions. The spectral and the damped steps choose here, by the same rule.
"""

from typing import Any

import jax

from jaxphys.names import check_known

#: The largest side of a Gram matrix whose eigenvectors "auto" takes: those of a larger
#: one take longer than a hundred products by it.
LARGEST_EIGENVECTORS = 1024
#: The same of a Cholesky factor, which costs a tenth. With 4096 outputs of 24 896
#: parameters a step took 9 s by the Gram matrix and 0.15 s by products, on two cores of
#: a processor; the losses of the first five steps agreed to half a percent.
LARGEST_CHOLESKY = 2048
#: Plain columns of J beyond this many bytes are formed in blocks, one after another.
BLOCK_BYTES = 128 * 2**20


def require(name: str, **extras: Any) -> None:
    """Raise a ValueError where an optimizer was not handed what it needs."""
    missing = [key for key, value in extras.items() if value is None]
    if missing:
        raise ValueError(
            f"{name} got no {' and no '.join(missing)}; pass "
            f"{', '.join(f'{key}=...' for key in missing)} to update(), or train with "
            "jaxphys.training.make_train_step, which does."
        )


def num_params(params) -> int:
    """P, the number of entries of a parameter pytree."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def check(method: str, known: tuple[str, ...], iterations: int) -> None:
    """A ValueError for a method that there is not, or no iterations."""
    check_known("method", method, known)
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; expected a number ≥ 1.")


def gram_bytes(rows: int, num_columns: int, itemsize: int = 8) -> int:
    """Memory of the route "gram": the smaller Gram matrix, its factor, and a copy."""
    return 3 * itemsize * min(rows, num_columns) ** 2


def lanczos_bytes(
    rows: int, num_columns: int, iterations: int, itemsize: int = 8
) -> int:
    """Memory of the route "lanczos": its basis, and a few vectors of either space."""
    return itemsize * ((iterations + 4) * rows + 3 * num_columns)


def chosen_route(
    rows: int,
    num_columns: int,
    *,
    iterations: int,
    memory_limit: int | None,
    wide: bool = True,
    largest_side: int = LARGEST_EIGENVECTORS,
) -> str:
    """The route that "auto" takes for a Jacobian of that shape.

    Args:
      rows, num_columns: m and P.
      iterations: of Lanczos' method.
      memory_limit: bytes that a route may take, or None.
      wide: whether there is double precision.
      largest_side: of a Gram matrix that is factorized where memory does not matter.

    Raises:
      ValueError: where no route fits into the limit, with the smallest that works.

    Example:
      >>> chosen_route(448, 9484, iterations=100, memory_limit=None)
      'gram'
      >>> chosen_route(4096, 24896, iterations=100, memory_limit=None)
      'lanczos'
    """
    matrix = gram_bytes(rows, num_columns)
    krylov = lanczos_bytes(rows, num_columns, min(iterations, rows))
    if not wide:
        matrix = 4 * rows * num_columns
    limit = max(matrix, krylov) if memory_limit is None else memory_limit
    if min(matrix, krylov) > limit:
        raise ValueError(
            f"memory_limit is {limit} bytes; a batch with {rows} outputs and "
            f"{num_columns} parameters needs at least {min(matrix, krylov)}, with "
            f"{iterations} iterations of Lanczos' method. Take a smaller batch, fewer "
            "iterations or a higher limit."
        )
    if matrix > limit or (min(rows, num_columns) > largest_side and krylov <= limit):
        return "lanczos"
    return "gram" if wide else "qr"
