"""Find a network's dense layers in any JAX function, and read its Jacobian off them.

A weight that a function uses in products z = x W alone has the Jacobian rows
∂y/∂W = x ⊗ δ with δ = ∂y/∂z. Holding the x and the δ of every use in place of the rows
is what lets a Gram matrix be built without the Jacobian: (δ·δ′)(x·x′) for each pair.
The uses are found in the function's jaxpr, so any network qualifies that applies its
weights by `dot_general`, whoever wrote it: linen, nnx, or a plain `x @ w`. A bias is
the weight of a constant input one. A weight used in any other way (a convolution, a
scan over layers, a function with derivatives of its own) is left to the caller.
"""

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys._jaxpr import walk
from jaxphys.types import Array, PyTree


class Site(NamedTuple):
    """One use of a weight in a traced function.

    Attributes:
      leaf: which parameter leaf is used.
      contracted: the axis of W summed over, 0 for x W, 1 for W x; None for a bias.
      operand_axis: the axis of x summed over.
      weight_first: whether W is the left operand, so that z's first axis is its own.
      shape: shape of z.
    """

    leaf: int
    contracted: int | None
    operand_axis: int
    weight_first: bool
    shape: tuple[int, ...]


class Trace(NamedTuple):
    """A function as a jaxpr, with the uses of its weights found.

    Attributes:
      run: `run(leaves, inputs, probes) -> (outputs, operands)`: evaluates the function
        with `probes[i]` added to the product of site i, and returns the x of each site.
      sites: the uses of the weights that are used in products or as biases alone.
      others: indices of the leaves used in any other way.
      ruled: whether weights were followed into a `walk.exact_jvp`, whose own
        derivatives are cheaper than those of `run`, and the same.
      closed: the jaxpr itself, of leaves and inputs.
    """

    run: Callable[[list, PyTree, list], tuple[Array, list]]
    sites: list[Site]
    others: list[int]
    ruled: bool = False
    closed: Any = None


class _Value(NamedTuple):
    """A value in evaluation, and which leaf it is where it is still a leaf itself.

    A row is a leaf whose entries all lie along its last axis, as a bias does; repeated,
    it is there several times. A transposed value is the transpose of its leaf.
    """

    value: Any
    leaf: int | None = None
    row: bool = False
    transposed: bool = False
    repeated: bool = False


def _dense_site(eqn, values) -> Site | None:
    """The site of an equation z = x W, z = W x or z = x + b; None if it is neither."""
    leaves = [v.leaf for v in values]
    if len(values) != 2 or (leaves[0] is None) == (leaves[1] is None):
        return None
    weight_first = leaves[0] is not None
    weight, other = values if weight_first else values[::-1]
    name, aval = eqn.primitive.name, eqn.outvars[0].aval
    shape = aval.shape
    # δ is the derivative by a real probe. A complex z has a second, imaginary part, and
    # a whole number none, so their weights are left to JAX.
    if not jnp.issubdtype(aval.dtype, jnp.floating):
        return None
    if name == "add":
        # Of several points at once the bias may still be one row, (1, n) beside (N, n).
        whole = jnp.shape(other.value) == shape
        is_bias = weight.row and whole and jnp.shape(weight.value)[-1:] == shape[-1:]
        return Site(weight.leaf, None, 0, weight_first, shape) if is_bias else None
    # A row repeated into a matrix has fewer entries of its own than x ⊗ δ.
    if name != "dot_general" or jnp.ndim(weight.value) != 2 or weight.repeated:
        return None
    contracting, batch = eqn.params["dimension_numbers"]
    axes, x_axes = contracting if weight_first else contracting[::-1]
    if batch[0] or len(axes) != 1 or jnp.ndim(other.value) < 1:
        return None
    # Axes are told of the leaf, of which the operand may be the transpose.
    contracted = 1 - axes[0] if weight.transposed else axes[0]
    return Site(weight.leaf, contracted, x_axes[0], weight_first, shape)


def _still_leaf(eqn, value: _Value) -> _Value | None:
    """The leaf after an equation that casts, transposes or repeats it, or None.

    Repeated it may be along leading axes, as a bias is for several points.
    """
    name, aval = eqn.primitive.name, eqn.outvars[0].aval
    shape = aval.shape
    if name == "convert_element_type":
        # As whole numbers a leaf has no derivative, so it is no leaf any more.
        return value if jnp.issubdtype(aval.dtype, jnp.inexact) else None
    if name == "transpose" and eqn.params["permutation"] == (1, 0):
        return value._replace(transposed=not value.transposed, row=False)
    if not value.row or not shape or shape[-1] != jnp.shape(value.value)[-1]:
        return None
    if name == "broadcast_in_dim":
        last = eqn.params["broadcast_dimensions"][-1:]
        if last != (len(shape) - 1,):
            return None
        more = aval.size > jnp.size(value.value)
        return value._replace(repeated=value.repeated or more)
    one_row = name == "reshape" and jnp.size(value.value) == shape[-1]
    return value if one_row else None


def _evaluate(
    jaxpr, consts, args: list[_Value], on_site, on_other, on_entry
) -> list[_Value]:
    """Run a jaxpr on values that remember which leaf they are.

    `on_site(site, x, z)` may replace the result of a weight's use, `on_other(leaf)`
    hears of every leaf that meets an equation this module does not know, and
    `on_entry(exact)` of every call that a leaf is followed into, and whether it is one
    of `walk.exact_jvp`.
    """

    def apply(eqn, values: list[_Value]) -> list[_Value]:
        leaves = [v.leaf for v in values if v.leaf is not None]
        # A call without a leaf is run as it is, and so keeps derivatives of its own.
        # With a leaf it is entered, if its derivatives are those of its inside.
        exact = bool(leaves) and walk.is_exact(eqn)
        inner = walk.inner(eqn) if exact else walk.inner(eqn, walk.PLAIN)
        if leaves and inner is not None:
            on_entry(exact)
            return _evaluate(*inner, values, on_site, on_other, on_entry)
        results = walk.bind(eqn, [v.value for v in values])
        if leaves:
            site = _dense_site(eqn, values)
            kept = _still_leaf(eqn, values[0]) if len(values) == 1 else None
            if site is not None:
                other = next(v.value for v in values if v.leaf is None)
                results = [on_site(site, other, results[0])]
            elif kept is not None:
                return [kept._replace(value=results[0])]
            else:
                for leaf in leaves:
                    on_other(leaf)
        return [_Value(result) for result in results]

    return walk.run(jaxpr, consts, args, lambda x, aval: _Value(x), apply)


def trace(
    outputs: Callable, params: PyTree, inputs: PyTree, apart: Collection[int] = ()
) -> Trace:
    """Trace `outputs(params, inputs)`, one sample, and find its weights' uses.

    Args:
      outputs: a function of one sample, returning an array.
      params: a pytree of arrays (or of shapes and dtypes).
      inputs: one sample's inputs (or their shapes and dtypes).
      apart: leaves that are not to be followed, however they are used.
    """
    closed = jax.make_jaxpr(outputs)(params, inputs)
    num_leaves = len(jax.tree.leaves(params))

    def ignore(what):
        del what

    def evaluate(leaves, sample, on_site, on_other=ignore, on_entry=ignore):
        args = [
            _Value(leaf, index, leaf.ndim > 0 and leaf.size == leaf.shape[-1])
            for index, leaf in enumerate(leaves)
        ]
        args += [_Value(leaf) for leaf in jax.tree.leaves(sample)]
        (result,) = _evaluate(
            closed.jaxpr, closed.consts, args, on_site, on_other, on_entry
        )
        if result.leaf is not None:
            on_other(result.leaf)
        return result.value

    found: list[Site] = []
    others: set[int] = set(apart)
    entered: set[bool] = set()

    def note(site, x, z):
        del x
        found.append(site)
        return z

    jax.eval_shape(
        lambda leaves, sample: evaluate(leaves, sample, note, others.add, entered.add),
        jax.tree.leaves(params),
        inputs,
    )
    sites = [site for site in found if site.leaf not in others]
    used = {site.leaf for site in sites}
    unused = set(range(num_leaves)) - used - others

    def run(leaves, sample, probes):
        remaining = iter(probes)
        operands = []

        def add_probe(site, x, z):
            if site.leaf in others:
                return z
            operands.append(x)
            # A network may compute in less than its parameters' precision.
            return z + next(remaining).astype(z.dtype)

        return evaluate(leaves, sample, add_probe), operands

    return Trace(run, sites, sorted(others | unused), True in entered, closed)


def factors(site: Site, x: Array, delta: Array) -> tuple[Array | None, Array]:
    """A site's Jacobian as factors: ∂y_k/∂W = Σ_t rows[k, t] ⊗ columns[k, t].

    Args:
      site: the use.
      x: its other operand, any rank, for one sample.
      delta: ∂y/∂z, shape (d, *z.shape), for one sample.

    Returns:
      Rows, shape (1 or d, T, W.shape[0]), and columns, (1 or d, T, W.shape[1]). For a
      bias of n entries, None and the columns (d, 1, n).
    """
    num_outputs = delta.shape[0]
    if site.contracted is None:
        columns = delta.reshape(num_outputs, -1, delta.shape[-1])
        return None, jnp.sum(columns, axis=1, keepdims=True)
    if site.weight_first:
        delta = jnp.moveaxis(delta, 1, -1)
    product = delta.reshape(num_outputs, -1, delta.shape[-1])
    operand = jnp.moveaxis(x, site.operand_axis, -1)
    operand = operand.reshape(1, -1, operand.shape[-1])
    return (operand, product) if site.contracted == 0 else (product, operand)
