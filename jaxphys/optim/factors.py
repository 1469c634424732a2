"""A batch's Jacobian as factors, leaf by leaf, and what is done with them.

The columns of J that belong to a dense layer are x ⊗ δ for each sample and output. Two
rows of J then have the inner product (x·x′)(δ·δ′), so that K = J Jᵀ, Jᵀ w and, where it
is asked for, J itself follow from the x and δ.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import devices, linalg, trees
from jaxphys.types import Array, PyTree

__all__ = ["Block", "Factors", "dense", "gram", "joined", "pull_back"]


class Block(NamedTuple):
    """The columns of J of one leaf, as Σ_t rows[:, :, t] ⊗ columns[:, :, t].

    Rows have shape (b, 1 or d, T, n_in), columns (b, 1 or d, T, n_out). Plain columns
    have T = 1, rows None (read as one) and n_out = the leaf's size.
    """

    rows: Array | None
    columns: Array


class Factors(NamedTuple):
    """The Jacobian of a batch, leaf by leaf, without its m × P entries.

    Attributes:
      blocks: one a leaf, in the parameters' order; None where the leaf's columns are
        so large that they are made in pieces, each time they are asked for.
      fold_pieces: `fold_pieces(body, initial)` folds `body(carry, leaf, start, block)`
        over these pieces; a piece's columns begin at entry `start` of the leaf.
      shape: (b, d).
      params: the parameters, for shapes and structure.
    """

    blocks: list[Block | None]
    fold_pieces: Callable[[Callable, Any], Any]
    shape: tuple[int, int]
    params: PyTree


def gram(factors: Factors, dtype=None) -> Array:
    """K = J Jᵀ, shape (m, m), summed over layers; products in `dtype`.

    Of several devices each makes the rows of its samples, and all get the whole.
    """
    batch, d = factors.shape
    dtype = dtype or trees.check_one_dtype(factors.params)
    total = jnp.zeros((batch, d, batch, d), dtype)
    for block in factors.blocks:
        if block is not None:
            formed = _cheaper_formed(block, d)
            block = _form(block, d) if formed else block
            total = total + devices.split(_block_gram(block, dtype))

    def add(carry, leaf, start, block):
        del leaf, start
        return carry + devices.split(_block_gram(block, dtype))

    total = factors.fold_pieces(add, devices.split(total))
    return devices.whole(total.reshape(batch * d, batch * d))


def pull_back(factors: Factors, cotangents: Array) -> PyTree:
    """Jᵀ w from the factors, w of shape (m,) or (b, d): no further reverse pass."""
    leaves, tree = jax.tree.flatten(factors.params)
    w = cotangents.reshape(factors.shape)
    flat = [
        jnp.zeros(leaf.size, leaf.dtype) if block is None else _pulled(block, w)
        for leaf, block in zip(leaves, factors.blocks, strict=True)
    ]

    def place(carry, leaf, start, block):
        update = jax.lax.dynamic_update_slice(carry[leaf], _pulled(block, w), (start,))
        return [*carry[:leaf], update, *carry[leaf + 1 :]]

    flat = factors.fold_pieces(place, flat)
    return jax.tree.unflatten(
        tree, [x.reshape(leaf.shape) for x, leaf in zip(flat, leaves, strict=True)]
    )


def dense(factors: Factors) -> Array:
    """J, shape (m, P), columns in the order of `trees.ravel`."""
    batch, d = factors.shape
    leaves = jax.tree.leaves(factors.params)
    columns = [
        jnp.zeros((batch, d, leaf.size), leaf.dtype)
        if block is None
        else _form(block, d).columns[:, :, 0]
        for leaf, block in zip(leaves, factors.blocks, strict=True)
    ]

    def place(carry, leaf, start, block):
        piece = block.columns[:, :, 0]
        update = jax.lax.dynamic_update_slice(carry[leaf], piece, (0, 0, start))
        return [*carry[:leaf], update, *carry[leaf + 1 :]]

    columns = factors.fold_pieces(place, columns)
    return jnp.concatenate(columns, axis=-1).reshape(batch * d, -1)


def joined(old: Block | None, new: Block, num_outputs: int) -> Block:
    """The block of a leaf used twice: products side by side, plain columns added."""
    if old is None:
        return new
    if old.rows is None or new.rows is None:
        parts = [_form(block, num_outputs).columns for block in (old, new)]
        return Block(None, parts[0] + parts[1])
    both = zip(
        _same_outputs(old.rows, old.columns, num_outputs),
        _same_outputs(new.rows, new.columns, num_outputs),
        strict=True,
    )
    return Block(*(jnp.concatenate(parts, axis=2) for parts in both))


def _inner(a: Array, b: Array) -> Array:
    """All inner products over the last axis: (i, k, t, n), (j, l, s, n) → (i…, j…)."""
    return jnp.tensordot(a, b, axes=(-1, -1))


def _block_gram(block: Block, dtype) -> Array:
    """Σ_{t,s} (columns·columns′)(rows·rows′), shape (b, 1 or d, b, 1 or d)."""
    columns = block.columns.astype(dtype)
    if block.rows is None:
        count, d, _, size = columns.shape
        flat = columns.reshape(-1, size)
        # Half of a matrix in parts would have to move between devices.
        several = devices.count() > 1
        product = flat @ flat.T if several else linalg.self_product(flat)
        return product.reshape(count, d, count, d)
    rows = block.rows.astype(dtype)
    products = _inner(columns, columns) * _inner(rows, rows)
    return jnp.sum(products, axis=(2, 5))


def _form(block: Block, num_outputs: int) -> Block:
    """The same columns, formed: rows None."""
    if block.rows is None:
        return block
    both = _same_outputs(block.rows, block.columns, num_outputs)
    dense = jnp.einsum("bktn,bktm->bknm", *both)
    return Block(None, dense.reshape(*dense.shape[:2], 1, -1))


def _same_outputs(rows: Array, columns: Array, num_outputs: int) -> tuple[Array, Array]:
    """Rows and columns both with all d outputs along their second axis."""
    rows, columns = (
        jnp.broadcast_to(x, (x.shape[0], num_outputs, *x.shape[2:]))
        for x in (rows, columns)
    )
    return rows, columns


def _cheaper_formed(block: Block, num_outputs: int) -> bool:
    """Whether multiplying out the factors costs less than pairing all their terms.

    A layer that is applied to T points, or used T times, has T terms, and T² pairs of
    them in each entry of K: beyond some T the columns themselves are the shorter way.
    """
    if block.rows is None or block.columns.shape[2] == 1:
        return False
    batch, _, terms, n_in = block.rows.shape
    n_out, m = block.columns.shape[-1], batch * num_outputs
    paired = (m * terms) ** 2 * (n_in + n_out)
    formed = m * terms * n_in * n_out + m**2 * n_in * n_out
    return formed < paired


def _pulled(block: Block, w: Array) -> Array:
    """One leaf's part of Jᵀ w, w of shape (b, d), flat."""
    columns, rows = block.columns, block.rows
    weights = w.astype(columns.dtype)
    if rows is None:
        return jnp.einsum("bktm,bk->m", columns, weights)
    weights = weights[:, :, None, None]
    # Of rows and columns one may be the same for all outputs: then the other's sum over
    # outputs comes first, and the product has d times fewer terms.
    if rows.shape[1] == 1:
        columns = jnp.sum(columns * weights, axis=1, keepdims=True)
    elif columns.shape[1] == 1:
        rows = jnp.sum(rows * weights, axis=1, keepdims=True)
    else:
        rows = rows * weights
    return jnp.einsum("bktn,bktm->nm", rows, columns).reshape(-1)
