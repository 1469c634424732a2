"""A batch of network outputs, linearised at the parameters.

From `outputs(params, inputs) -> (d,)` for one sample and a batch of b inputs come the
values, Jacobian–vector products both ways, and the m × P Jacobian J of all m = b·d
outputs: kept as factors x ⊗ δ of the network's dense layers, so that the sample-space
Gram matrix K = J Jᵀ costs m² + activations in memory and J itself is never formed.
What is no dense layer joins as plain columns of J, in blocks where those are large.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import linalg, trees
from jaxphys._jaxpr import layers
from jaxphys.types import Array, PyTree

#: Plain columns of J beyond this many bytes are formed in blocks, one after another.
BLOCK_BYTES = 128 * 2**20


class Linearisation(NamedTuple):
    """A batch of outputs y(θ) at θ, and what their derivative can do.

    Attributes:
      values: y, shape (b, d).
      vjp: `vjp(cotangents) -> params`, Jᵀ w for w of shape (b, d), by one reverse pass.
      jvp: `jvp(tangent) -> (b, d)`, J v for v shaped like the parameters.
      bend: `bend(tangent) -> (b, d)`, ∂²y(θ + t v)/∂t² at t = 0.
      factors: `factors() -> Factors`, the Jacobian layer by layer, by d reverse passes.
      responses: `responses(cotangents) -> [Block or None]`, leaf by leaf the factors of
        each sample's Jᵀ w as if it were one output, by one reverse pass; None of leaves
        that are no dense layer's.
      jacobian: `jacobian() -> (m, P)`, the dense Jacobian; columns in `ravel` order.
      gram: `gram(dtype=None, route="auto") -> (m, m)`, K = J Jᵀ.
      normal: `normal(dtype=None) -> (P, P)`, N = Jᵀ J, summed over blocks of samples.
      product: `product(dtype=None) -> w ↦ K w` for w of shape (m,), by one pass forward
        and one back for each w: neither J nor K is formed.
    """

    values: Array
    vjp: Callable[[Array], PyTree]
    jvp: Callable[[PyTree], Array]
    bend: Callable[[PyTree], Array]
    factors: Callable[[], "Factors"]
    responses: Callable[[Array], list["Block | None"]]
    jacobian: Callable[[], Array]
    gram: Callable[..., Array]
    normal: Callable[..., Array]
    product: Callable[..., Callable[[Array], Array]]


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
    fold_pieces: Callable
    shape: tuple[int, int]
    params: PyTree


def _inner(a: Array, b: Array) -> Array:
    """All inner products over the last axis: (i, k, t, n), (j, l, s, n) → (i…, j…)."""
    return jnp.tensordot(a, b, axes=(-1, -1))


def _block_gram(block: Block, dtype) -> Array:
    """Σ_{t,s} (columns·columns′)(rows·rows′), shape (b, 1 or d, b, 1 or d)."""
    columns = block.columns.astype(dtype)
    if block.rows is None:
        count, d, _, size = columns.shape
        product = linalg.self_product(columns.reshape(-1, size))
        return product.reshape(count, d, count, d)
    else:
        rows = block.rows.astype(dtype)
        products = _inner(columns, columns) * _inner(rows, rows)
    return jnp.sum(products, axis=(2, 5))


def _form(block: Block, num_outputs: int) -> Block:
    """The same columns, formed: rows None."""
    if block.rows is None:
        return block
    dense = jnp.einsum("bktn,bktm->bknm", *_same_outputs(block, num_outputs))
    return Block(None, dense.reshape(*dense.shape[:2], 1, -1))


def _same_outputs(block: Block, num_outputs: int) -> tuple[Array, Array]:
    """Rows and columns both with all d outputs along their second axis."""
    assert block.rows is not None
    both = (block.rows, block.columns)
    rows, columns = (
        jnp.broadcast_to(x, (x.shape[0], num_outputs, *x.shape[2:])) for x in both
    )
    return rows, columns


def _cheaper_formed(block: Block, num_outputs: int) -> bool:
    """Whether multiplying out the factors costs less than pairing all their terms."""
    if block.rows is None or block.columns.shape[2] == 1:
        return False
    batch, _, terms, n_in = block.rows.shape
    n_out, m = block.columns.shape[-1], batch * num_outputs
    paired = (m * terms) ** 2 * (n_in + n_out)
    formed = m * terms * n_in * n_out + m**2 * n_in * n_out
    return formed < paired


def gram(factors: Factors, dtype=None) -> Array:
    """K = J Jᵀ, shape (m, m), summed over layers; products in `dtype`."""
    batch, d = factors.shape
    dtype = dtype or trees.check_one_dtype(factors.params)
    total = jnp.zeros((batch, d, batch, d), dtype)
    for block in factors.blocks:
        if block is not None:
            formed = _cheaper_formed(block, d)
            block = _form(block, d) if formed else block
            total = total + _block_gram(block, dtype)

    def add(carry, leaf, start, block):
        del leaf, start
        return carry + _block_gram(block, dtype)

    return factors.fold_pieces(add, total).reshape(batch * d, batch * d)


def pull_back(factors: Factors, cotangents: Array) -> PyTree:
    """Jᵀ w from the factors, w of shape (m,) or (b, d): no further reverse pass."""
    leaves, tree = jax.tree.flatten(factors.params)
    w = cotangents.reshape(factors.shape)

    def pull(block: Block) -> Array:
        columns, rows = block.columns, block.rows
        weights = w.astype(columns.dtype)
        if rows is None:
            return jnp.einsum("bktm,bk->m", columns, weights)
        weights = weights[:, :, None, None]
        if rows.shape[1] == 1:
            columns = jnp.sum(columns * weights, axis=1, keepdims=True)
        elif columns.shape[1] == 1:
            rows = jnp.sum(rows * weights, axis=1, keepdims=True)
        else:
            rows = rows * weights
        return jnp.einsum("bktn,bktm->nm", rows, columns).reshape(-1)

    flat = [
        jnp.zeros(leaf.size, leaf.dtype) if block is None else pull(block)
        for leaf, block in zip(leaves, factors.blocks, strict=True)
    ]

    def place(carry, leaf, start, block):
        update = jax.lax.dynamic_update_slice(carry[leaf], pull(block), (start,))
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


def _better_forward(run: Callable, leaf: Array, inputs: PyTree) -> bool:
    """Whether a tangent for each entry of the leaf is fewer than a cotangent for each
    output, and the function has forward derivatives at all (custom_vjp has none)."""
    sample = jax.tree.map(lambda x: x[0], inputs)
    if leaf.size >= jax.eval_shape(run, leaf, sample).size:
        return False
    try:
        jax.eval_shape(jax.jacfwd(run), leaf, sample)
    except TypeError:
        return False
    return True


def _plain_columns(run: Callable, leaf: Array, inputs: PyTree) -> Block:
    """∂y/∂leaf sample by sample, formed: (b, d, 1, size)."""
    mode = jax.jacfwd if _better_forward(run, leaf, inputs) else jax.jacrev
    jacobian = jax.vmap(mode(run), in_axes=(None, 0))(leaf, inputs)
    return Block(None, jacobian.reshape(*jacobian.shape[:2], 1, leaf.size))


def _columns_together(run: Callable, leaves: list[Array], inputs: PyTree) -> list:
    """`_plain_columns` of many leaves by the same reverse passes: one compilation."""
    jacobians = jax.vmap(jax.jacrev(run), in_axes=(None, 0))(leaves, inputs)
    return [
        Block(None, x.reshape(*x.shape[:2], 1, leaf.size))
        for x, leaf in zip(jacobians, leaves, strict=True)
    ]


def _make_fold(pieced: dict[int, int], run_with: Callable, leaves, inputs) -> Callable:
    """The fold over pieces of large plain leaves; `pieced` maps a leaf to its size."""

    def fold(body, carry):
        for index, size in pieced.items():
            flat = leaves[index].reshape(-1)

            def piece(carry, start, length, index=index, flat=flat):
                def run(part, sample):
                    whole = jax.lax.dynamic_update_slice(flat, part, (start,))
                    return run_with({index: whole}, sample)

                part = jax.lax.dynamic_slice(flat, (start,), (length,))
                return body(carry, index, start, _plain_columns(run, part, inputs))

            whole, rest = divmod(flat.size, size)

            def one(number, carry, piece=piece, size=size):
                return piece(carry, number * size, size)

            carry = jax.lax.fori_loop(0, whole, one, carry)
            carry = piece(carry, whole * size, rest) if rest else carry
        return carry

    return fold


def _check_batch(params: PyTree, inputs: PyTree) -> int:
    """The batch size of `inputs`, after checking what can be checked."""
    trees.check_one_dtype(params)
    sizes = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(inputs)}
    if len(sizes) != 1 or sizes == {()}:
        raise ValueError(
            "linearise got inputs whose leading axes are "
            f"{sorted(sizes)}; expected one batch axis of equal length on every leaf."
        )
    return sizes.pop()[0]


def linearise(
    outputs: Callable[[PyTree, PyTree], Array],
    params: PyTree,
    inputs: PyTree,
    *,
    block_bytes: int = BLOCK_BYTES,
) -> Linearisation:
    """Linearise a batch of outputs in the parameters; nothing is computed unasked.

    Args:
      outputs: `outputs(params, inputs) -> (d,)`, for one sample: a network, or a
        simulator after a network.
      params: θ, a pytree of real arrays of one dtype, P entries in all.
      inputs: a pytree of arrays with leading axis b.
      block_bytes: columns of J that are no dense layer's are formed in pieces of this
        many bytes at most.

    Returns:
      A `Linearisation`.

    Raises:
      ValueError: if `outputs` does not return one real vector for one sample, if the
        parameters have several dtypes, or if the inputs have no common batch axis.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> outputs = lambda params, x: jnp.tanh(x @ params)
      >>> batch = linearise(outputs, jnp.ones((2, 3)), jnp.eye(2))
      >>> batch.values.shape, batch.jacobian().shape, batch.gram().shape
      ((2, 3), (6, 6), (6, 6))
    """
    batch = _check_batch(params, inputs)
    sample = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x)[1:], jnp.result_type(x)), inputs
    )
    result = jax.eval_shape(outputs, params, sample)
    if not hasattr(result, "shape") or len(result.shape) != 1:
        got = jax.tree.map(lambda x: x.shape, result)
        raise ValueError(
            f"outputs(params, inputs) gave shape {got} for one sample; expected one "
            "vector (d,). It is called without a batch axis: linearise batches it."
        )
    if not jnp.issubdtype(result.dtype, jnp.floating):
        raise ValueError(
            f"outputs(params, inputs) gave dtype {result.dtype}; expected a real one. "
            "Stack the real and imaginary parts of complex outputs."
        )
    (d,) = result.shape
    traced = layers.trace(outputs, params, sample)
    leaves, tree = jax.tree.flatten(params)
    leaves = [jnp.asarray(leaf) for leaf in leaves]
    probes = [jnp.zeros((batch, *site.shape), leaves[0].dtype) for site in traced.sites]

    def batched(leaves, probes):
        return jax.vmap(traced.run, in_axes=(None, 0, 0))(leaves, inputs, probes)

    @functools.cache
    def probed():
        return jax.vjp(batched, leaves, probes, has_aux=True)

    def plain(params: PyTree) -> Array:
        return jax.vmap(outputs, in_axes=(None, 0))(params, inputs)

    # A function's own derivatives are there to be cheaper, or other, than JAX's.
    if traced.ruled:
        values, backward = jax.vjp(plain, params)
    else:
        values, backward, _ = probed()

    def run_with(replaced: dict[int, Array], sample: PyTree) -> Array:
        new = [
            replaced.get(index, leaf).reshape(leaf.shape)
            for index, leaf in enumerate(leaves)
        ]
        return outputs(jax.tree.unflatten(tree, new), sample)

    def vjp(cotangents: Array) -> PyTree:
        whole = cotangents.reshape(batch, d).astype(values.dtype)
        change = backward(whole)[0]
        return change if traced.ruled else jax.tree.unflatten(tree, change)

    def jvp(tangent: PyTree) -> Array:
        return jax.jvp(plain, (params,), (tangent,))[1]

    def bend(tangent: PyTree) -> Array:
        def slope(params: PyTree) -> Array:
            return jax.jvp(plain, (params,), (tangent,))[1]

        return jax.jvp(slope, (params,), (tangent,))[1]

    def of_layers(operands, deltas, num_outputs: int) -> list[Block | None]:
        """The dense layers' factors, from δ of shape (num_outputs, b, *z.shape)."""
        blocks: list[Block | None] = [None] * len(leaves)
        for site, operand, delta in zip(traced.sites, operands, deltas, strict=True):
            delta = jnp.moveaxis(delta, 0, 1)
            make = functools.partial(layers.factors, site)
            block = Block(*jax.vmap(make)(operand, delta))
            blocks[site.leaf] = _joined(blocks[site.leaf], block, num_outputs)
        return blocks

    def responses(cotangents: Array) -> list[Block | None]:
        _, pull, operands = probed()
        whole = cotangents.reshape(batch, d).astype(values.dtype)
        deltas = [delta[None] for delta in pull(whole)[1]]
        return of_layers(operands, deltas, 1)

    @functools.cache
    def factors() -> Factors:
        _, pull, operands = probed()
        deltas = jax.vmap(
            lambda e: pull(jnp.broadcast_to(e, (batch, d)).astype(values.dtype))[1]
        )(jnp.eye(d))
        blocks = of_layers(operands, deltas, d)
        itemsize = jnp.dtype(leaves[0].dtype).itemsize
        piece = max(block_bytes // (batch * d * itemsize), 1)
        pieced = {}
        together = []
        for index in traced.others:

            def run(leaf, sample, index=index):
                return run_with({index: leaf}, sample)

            if leaves[index].size > piece:
                pieced[index] = piece
            elif _better_forward(run, leaves[index], inputs):
                blocks[index] = _plain_columns(run, leaves[index], inputs)
            else:
                together.append(index)

        def run_all(parts, sample):
            return run_with(dict(zip(together, parts, strict=True)), sample)

        if together:
            found = _columns_together(run_all, [leaves[i] for i in together], inputs)
            for index, block in zip(together, found, strict=True):
                blocks[index] = block
        fold = _make_fold(pieced, run_with, leaves, inputs)
        return Factors(blocks, fold, (batch, d), params)

    def whole_gram(dtype=None, route: str = "auto") -> Array:
        if route == "dense":
            jacobian = dense(factors()).astype(dtype or leaves[0].dtype)
            return linalg.self_product(jacobian)
        if route not in ("auto", "layers"):
            raise ValueError(f"unknown route {route!r}; known: auto, layers, dense.")
        return gram(factors(), dtype)

    def normal(dtype=None, scale: Array | None = None) -> Array:
        weights = jnp.ones((batch, d), values.dtype) if scale is None else scale
        size = sum(leaf.size for leaf in leaves)
        dtype = dtype or leaves[0].dtype
        limit = max(block_bytes // (d * size * jnp.dtype(dtype).itemsize), 1)
        chunk = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= limit)

        def add(total, part):
            some_inputs, some_weights = part
            some = linearise(outputs, params, some_inputs, block_bytes=block_bytes)
            rows = some.jacobian().astype(dtype)
            rows = rows * some_weights.reshape(-1, 1).astype(dtype)
            return total + linalg.self_product(rows.T), None

        split = jax.tree.map(
            lambda x: x.reshape(batch // chunk, chunk, *x.shape[1:]), (inputs, weights)
        )
        return jax.lax.scan(add, jnp.zeros((size, size), dtype), split)[0]

    def product(dtype=None) -> Callable[[Array], Array]:
        wide_params, wide_inputs = (trees.cast(x, dtype) for x in (params, inputs))

        def flat(params: PyTree) -> Array:
            return jax.vmap(outputs, (None, 0))(params, wide_inputs).reshape(-1)

        at, forward = jax.linearize(flat, wide_params)
        back = jax.linear_transpose(forward, wide_params)
        return lambda w: forward(back(w.astype(at.dtype))[0]).astype(w.dtype)

    return Linearisation(
        values,
        vjp,
        jvp,
        bend,
        factors,
        responses,
        lambda: dense(factors()),
        whole_gram,
        normal,
        product,
    )


def _joined(old: Block | None, new: Block, num_outputs: int) -> Block:
    """The block of a leaf used twice: products side by side, plain columns added."""
    if old is None:
        return new
    if old.rows is None or new.rows is None:
        parts = [_form(block, num_outputs).columns for block in (old, new)]
        return Block(None, parts[0] + parts[1])
    both = zip(
        _same_outputs(old, num_outputs), _same_outputs(new, num_outputs), strict=True
    )
    return Block(*(jnp.concatenate(parts, axis=2) for parts in both))
