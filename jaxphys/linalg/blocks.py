"""Symmetric matrices of a batch that fall into small blocks, and their positive part.

The second derivatives of an objective by the outputs of one sample couple few outputs
with each other: none in a sum of squares, the classes of one softmax, a mean and its
variance. Such a matrix is kept as its diagonal, or as n blocks of side k.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.precision import always_exact
from jaxphys.types import Array

__all__ = ["Blocks", "Roots", "positive_roots"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Blocks:
    """A (d, d) matrix for each of b samples, zero outside of blocks.

    Attributes:
      entries: the diagonal, (b, d); or the blocks, (b, n, k, k).
      groups: of blocks, n tuples of the k rows of each, in any order, every row in one
        of them; a smaller one is filled up with -1. None for a diagonal.

    Example:
      >>> print(Blocks(jnp.ones((1, 3))).apply(jnp.arange(3.0)[None]))
      [[0. 1. 2.]]
      >>> pair = Blocks(jnp.array([[[[0.0, 2.0], [2.0, 0.0]]]]), ((0, 1),))
      >>> print(pair.apply(jnp.array([[1.0, 5.0]])))
      [[10.  2.]]
    """

    entries: Array
    groups: tuple[tuple[int, ...], ...] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )

    @always_exact
    def apply(self, rows: Array) -> Array:
        """The product with rows (b, d, …), for every sample."""
        if self.groups is None:
            shape = self.entries.shape + (1,) * (rows.ndim - 2)
            return self.entries.reshape(shape) * rows
        gathered = self.gather(rows)
        flat = gathered.reshape(*gathered.shape[:3], -1)
        return self.scatter((self.entries @ flat).reshape(gathered.shape))

    def gather(self, rows: Array) -> Array:
        """Rows (b, d, …) by groups, (b, n, k, …); zeros where groups are filled up."""
        index = np.asarray(self.groups)
        if np.array_equal(index.ravel(), np.arange(rows.shape[1])):
            return rows.reshape(rows.shape[0], *index.shape, *rows.shape[2:])
        # Beyond the last row there is nothing, which is filled with zeros.
        index = np.where(index < 0, rows.shape[1], index)
        return jnp.take(rows, index, axis=1, mode="fill", fill_value=0)

    def scatter(self, gathered: Array) -> Array:
        """The inverse of `gather`."""
        order = np.asarray(self.groups).ravel()
        flat = gathered.reshape(gathered.shape[0], order.size, *gathered.shape[3:])
        place = np.argsort(order, kind="stable")[np.sum(order < 0) :]
        return flat if np.array_equal(place, np.arange(order.size)) else flat[:, place]

    def diagonal(self) -> Array:
        """The diagonal, (b, d)."""
        if self.groups is None:
            return self.entries
        return self.scatter(jnp.diagonal(self.entries, axis1=-2, axis2=-1))


class Roots(NamedTuple):
    """A square root of the positive part of a batch's curvature, and its inverse.

    Attributes:
      root: S, symmetric, S² = H₊ and what holds the directions that were cut.
      inverse: S⁻¹, zero where S is zero.
      solve: S⁻², the same.
      largest: the largest eigenvalue of S².
      cut: the share of |g|² in directions whose curvature is not positive.
    """

    root: Blocks
    inverse: Blocks
    solve: Blocks
    largest: Array
    cut: Array


@always_exact
def positive_roots(
    curvature: Blocks, slope: Array, otherwise: float, rounding: float | None = None
) -> Roots:
    """The positive part of a curvature H, as a root that solves for a slope g.

    Eigenvalues of H that are not positive are cut. Where g has no part along their
    eigenvectors, S is zero; where it has one, no step is the best one, as the objective
    falls further and further, and S² is the mean of the positive eigenvalues of the
    batch: what is as long there as a step elsewhere.

    Args:
      curvature: H, of any sign.
      slope: g, shape (b, d).
      otherwise: S² there, if no eigenvalue of the batch is positive.
      rounding: the relative error of H and g, by default that of their dtype.

    Example:
      >>> H = Blocks(jnp.array([[4.0, 0.0, -1.0]]))
      >>> roots = positive_roots(H, jnp.array([[1.0, 0.0, 1.0]]), 1.0)
      >>> print(roots.root.entries, roots.cut)
      [[2. 0. 2.]] 0.5
    """
    if rounding is None:
        rounding = float(jnp.finfo(slope.dtype).eps)
    if curvature.groups is None:
        values, vectors, slopes = curvature.entries, None, slope
        small = jnp.zeros_like(slope)
    else:
        values, vectors = jnp.linalg.eigh(curvature.entries)
        slopes = jnp.einsum("bnij,bni->bnj", vectors, curvature.gather(slope))
        size = jnp.max(jnp.abs(values), axis=-1, keepdims=True)
        small = size * values.shape[-1] * rounding
    positive = values > small
    # Rounding leaves a little slope along directions that an objective ignores.
    least = jnp.zeros_like(slope)
    if vectors is not None:
        least = rounding**0.5 * jnp.linalg.norm(slopes, axis=-1, keepdims=True)
    held = ~positive & (jnp.abs(slopes) > least)
    count = jnp.sum(positive, dtype=values.dtype)
    mean = jnp.sum(jnp.where(positive, values, 0)) / jnp.maximum(count, 1)
    mean = jnp.where(count > 0, mean, otherwise)
    squares = jnp.where(positive, values, jnp.where(held, mean, 0))
    root = jnp.sqrt(squares)
    kept = squares > 0
    inverse = jnp.where(kept, 1 / jnp.where(kept, root, 1), 0)
    solve = jnp.where(kept, 1 / jnp.where(kept, squares, 1), 0)
    total = jnp.sum(slopes**2)
    cut = jnp.sum(jnp.where(held, slopes**2, 0)) / jnp.where(total > 0, total, 1)

    def blocks(numbers: Array) -> Blocks:
        if vectors is None:
            return Blocks(numbers)
        matrices = (vectors * numbers[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)
        return Blocks(matrices, curvature.groups)

    parts = blocks(root), blocks(inverse), blocks(solve)
    return Roots(*parts, jnp.max(squares), cut)
