"""Which way an optimizer of many outputs goes, by the size of its batch.

A batch with m outputs of P parameters has a Gram matrix of side min(m, P), which is
factorized while it fits: eigenvectors, Cholesky, or its inverse root. Beyond that
products by J Jᵀ are left, each a pass forward and one back, in a Krylov space of k ≪ m
dimensions. The spectral and the damped steps choose here, by the same rule, and what a
`memory_limit` means is said here alone: a route may take all of it for matrices or a
Krylov basis, and half of it for a block of the Jacobian's columns.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.names import check_known

__all__ = [
    "BLOCK_BYTES",
    "LARGEST_CHOLESKY",
    "LARGEST_EIGENVECTORS",
    "Routes",
    "block_bytes",
    "chosen_route",
    "gram_bytes",
    "lanczos_bytes",
    "num_params",
    "require",
]

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


def block_bytes(memory_limit: int | None) -> int:
    """How large a block of the Jacobian's plain columns may be, in bytes.

    Half of the limit, as the route's own matrices are there beside it.

    Example:
      >>> block_bytes(None) == BLOCK_BYTES, block_bytes(1000)
      (True, 500)
    """
    return BLOCK_BYTES if memory_limit is None else min(BLOCK_BYTES, memory_limit // 2)


class Routes(NamedTuple):
    """How one optimizer chooses its route.

    Attributes:
      method: a route's name, or "auto".
      iterations: of Lanczos' method.
      memory_limit: bytes that "auto" may take, or None.
      largest_side: of a Gram matrix that "auto" factorizes where memory does not
        matter.
    """

    method: str
    iterations: int
    memory_limit: int | None
    largest_side: int

    def check(self, methods: tuple[str, ...]) -> "Routes":
        """These settings, or a ValueError where they are invalid."""
        check_known("method", self.method, methods)
        if self.iterations < 1:
            raise ValueError(f"iterations is {self.iterations}; expected a number ≥ 1.")
        return self

    def choose(
        self, rows: int, num_columns: int, wide, memory_limit: int | None = None
    ) -> str:
        """The route for a batch with m outputs of P parameters.

        Args:
          rows, num_columns: m and P.
          wide: the widest real dtype at hand, `linalg.double`.
          memory_limit: of the training, in place of the optimizer's own where it is
            not None.
        """
        if self.method != "auto":
            return self.method
        return chosen_route(
            rows,
            num_columns,
            iterations=self.iterations,
            memory_limit=self.memory_limit if memory_limit is None else memory_limit,
            wide=wide == jnp.float64,
            largest_side=self.largest_side,
        )


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
