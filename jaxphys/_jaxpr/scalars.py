"""Small arrays taken apart into numbers, for speed in large batches on a CPU.

A state has a few entries and a batch has thousands of states. XLA then stacks, pads and
slices arrays of (thousands, few) all day, and in loops over these a CPU's vector
instructions find no use. `scalarize` traces a function, and rewrites it entry by entry:
indexing, stacking and the like become bookkeeping that is done once, products with
zeros and ones disappear, and what is left is arithmetic on one number a state, which
`jax.vmap` turns into arithmetic on long, contiguous vectors.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.types import Array

__all__ = ["scalarize"]

_ELEMENTWISE = of(Kind.ELEMENTWISE)

_FOLDS = {"reduce_sum": "add", "reduce_max": "max", "reduce_min": "min"}


def scalarize(function: Callable, *, largest: int = 64) -> Callable:
    """The same function of pytrees, computed number by number.

    Give it what `jax.vmap` runs for thousands of initial states, loops and all:

        step = rk4(field, rolled=True)
        path = scalarize(lambda y: rollout(step, y, dt=dt, num_steps=1000, args=params))
        paths = jax.jit(jax.vmap(path))(starts)

    Derivatives are taken of the function as it was, so they are right, and no faster.

    Args:
      function: pure, of pytrees of arrays; unbatched.
      largest: arrays of more entries are left whole, as a network's are, and so is
        what takes a loop of unknown length or a linear solver.

    Returns:
      A function of the same arguments. Its rounding differs, as sums are ordered anew;
      a zero that is known when tracing makes a product zero, whatever the other factor,
      and one that is added leaves the other number, and the sign of its zero, as it is.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> rotate = scalarize(lambda x: jnp.array([[0.0, -1.0], [1.0, 0.0]]) @ x)
      >>> print(rotate(jnp.array([1.0, 2.0])))
      [-2.  1.]
      >>> print(jax.make_jaxpr(rotate)(jnp.ones(2)).jaxpr.eqns[0].primitive)
      custom_jvp_call
    """

    @functools.wraps(function)
    def wrapped(*args):
        leaves, tree = jax.tree.flatten(args)
        leaves = [jnp.asarray(leaf) for leaf in leaves]

        def flat(*leaves):
            return function(*jax.tree.unflatten(tree, leaves))

        closed, shape = jax.make_jaxpr(flat, return_shape=True)(*leaves)
        # What the function closes over may be batched or differentiated outside, and
        # then has to come in by the front door. What is known stays known.
        traced = [i for i, c in enumerate(closed.consts) if _is_traced(c)]

        def consts_with(outer) -> list:
            consts = list(closed.consts)
            for i, value in zip(traced, outer, strict=True):
                consts[i] = value
            return consts

        @jax.custom_jvp
        def by_numbers(outer, leaves):
            inputs = [_apart(leaf, largest) for leaf in leaves]
            outputs = _evaluate(closed.jaxpr, consts_with(outer), inputs, largest)
            whole = [_whole(value, dtype) for value, dtype in outputs]
            return jax.tree.unflatten(jax.tree.structure(shape), whole)

        @by_numbers.defjvp
        def as_it_was(values, rates):
            def plain(outer, leaves):
                closed_over = consts_with(outer)
                outputs = jax.core.eval_jaxpr(closed.jaxpr, closed_over, *leaves)
                return jax.tree.unflatten(jax.tree.structure(shape), outputs)

            return jax.jvp(plain, values, rates)

        return by_numbers([closed.consts[i] for i in traced], leaves)

    return wrapped


def _is_traced(value: Any) -> bool:
    return isinstance(value, jax.core.Tracer)


def _apart(value: Any, largest: int) -> Any:
    """An array as a NumPy array of its entries, each a 0-d array; large ones as is.

    So are empty ones, whose entries cannot say what they are, and arrays of what is no
    number, as keys of random numbers.
    """
    if _is_apart(value):
        return value
    dtype = jnp.result_type(value)
    is_number = jnp.issubdtype(dtype, np.number) or dtype == np.bool_
    if not 0 < np.size(value) <= largest or not is_number:
        return value
    shape = np.shape(value)
    if _is_traced(value):
        flat = value.reshape(-1)
        entries = [
            jax.lax.index_in_dim(flat, i, keepdims=False) for i in range(flat.size)
        ]
    else:
        entries = list(np.asarray(value).ravel())
    return _filled(entries, shape)


def _whole(value: Any, dtype: Any) -> Array:
    """The entries put together again."""
    if not _is_apart(value):
        return value
    if not any(map(_is_traced, value.ravel())):
        return jnp.asarray(value.tolist(), dtype).reshape(value.shape)
    entries = [jnp.asarray(x, dtype) for x in value.ravel()]
    if value.shape == ():
        return entries[0]
    return jnp.stack(entries).reshape(value.shape)


def _evaluate(jaxpr: Any, consts: Any, inputs: list, largest: int) -> list[tuple]:
    """Run a jaxpr on arrays taken apart; its outputs with their dtypes."""

    def lift(value: Any, aval: Any) -> Any:
        # A literal is a Python number, whose dtype the jaxpr knows.
        known = value if hasattr(value, "dtype") else np.asarray(value, aval.dtype)
        return _apart(known, largest)

    def apply(eqn: Any, values: list) -> list:
        return _apply(eqn, values, largest)

    outputs = walk.run(jaxpr, consts, inputs, lift, apply)
    dtypes = [atom.aval.dtype for atom in jaxpr.outvars]
    return list(zip(outputs, dtypes, strict=True))


def _apply(eqn, values: list, largest: int) -> list:
    """The outputs of one equation, apart wherever this module knows how."""
    name, params = eqn.primitive.name, eqn.params
    # Rules for derivatives do not matter here: those are of the function as it was.
    inner = walk.inner(eqn)
    if inner is not None:
        return [value for value, _ in _evaluate(*inner, values, largest)]
    if name == "scan":
        return _scan(eqn, values, largest)
    apart = all(map(_is_apart, values))
    small = all(0 < var.aval.size <= largest for var in eqn.outvars)
    if apart and small:
        if name in _ELEMENTWISE:
            return [_by_entry(eqn, values)]
        if name == "iota":
            return [_apart(_counted(params), largest)]
        if name in _MOVES:
            moved = _MOVES[name](params, *values)
            return moved if eqn.primitive.multiple_results else [moved]
        if name in _FOLDS:
            return [_fold(_FOLDS[name], eqn, values[0])]
        if name == "dot_general":
            return [_product(eqn, *values)]
    whole = [
        _whole(v, var.aval.dtype) for v, var in zip(values, eqn.invars, strict=True)
    ]
    return [_apart(output, largest) for output in walk.bind(eqn, whole)]


def _scan(eqn: Any, values: list, largest: int) -> list:
    """A loop whose carry is numbers, so that its body stays taken apart.

    A carry has a place of its own for each number: what the body computes is written
    there once, in a loop of its own over the batch.
    """
    body, params = eqn.params["jaxpr"], eqn.params
    kinds = [var.aval for var in body.jaxpr.invars]
    # What the loop runs over, and what it collects, has one axis more outside. How JAX
    # counts them differs from version to version.
    num_carry = sum(
        outer.aval.ndim == inner.aval.ndim
        for outer, inner in zip(eqn.outvars, body.jaxpr.outvars, strict=True)
    )
    num_xs = sum(
        outer.aval.ndim > kind.ndim
        for outer, kind in zip(eqn.invars, kinds, strict=True)
    )
    first, end = len(values) - num_carry - num_xs, len(values) - num_xs
    consts, carry, xs = values[:first], values[first:end], values[end:]
    carry_kinds = kinds[first:end]
    whole_xs = [_whole(x, kind.dtype) for x, kind in zip(xs, kinds[end:], strict=True)]

    def entries(value: Any, dtype: Any) -> Any:
        if not _is_apart(value):
            return value
        return [jnp.asarray(x, dtype) for x in value.ravel()]

    def together(entries: Any, shape: tuple[int, ...]) -> Any:
        return _filled(entries, shape) if isinstance(entries, list) else entries

    def step(carry: list, xs: list) -> tuple[list, list]:
        parts = [together(c, k.shape) for c, k in zip(carry, carry_kinds, strict=True)]
        inputs = [*consts, *parts, *(_apart(x, largest) for x in xs)]
        outputs = _evaluate(body.jaxpr, body.consts, inputs, largest)
        taken = [entries(value, dtype) for value, dtype in outputs]
        return taken[:num_carry], taken[num_carry:]

    start = [entries(c, k.dtype) for c, k in zip(carry, carry_kinds, strict=True)]
    names = ("length", "reverse", "unroll")
    options = {name: params[name] for name in names}
    last, ys = jax.lax.scan(step, start, whole_xs, **options)
    ends = [together(c, k.shape) for c, k in zip(last, carry_kinds, strict=True)]
    rows = [var.aval.shape for var in body.jaxpr.outvars[num_carry:]]
    stacked = [
        jnp.stack(y, axis=1).reshape(params["length"], *shape)
        if isinstance(y, list)
        else y
        for y, shape in zip(ys, rows, strict=True)
    ]
    return [*ends, *(_apart(y, largest) for y in stacked)]


def _filled(entries: list, shape: tuple[int, ...]) -> np.ndarray:
    apart = np.empty(len(entries), dtype=object)
    for i, entry in enumerate(entries):
        apart[i] = entry
    return apart.reshape(shape)


def _is_apart(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == object


def _is_known(x: Any, number: float) -> bool:
    return not _is_traced(x) and bool(x == number)


def _add(x: Any, y: Any) -> Any:
    if _is_known(x, 0):
        return y
    return x if _is_known(y, 0) else x + y


def _multiply(x: Any, y: Any) -> Any:
    for one, other in ((x, y), (y, x)):
        if _is_known(one, 0):
            return one
        if _is_known(one, 1):
            return other
    return x * y


def _subtract(x: Any, y: Any) -> Any:
    # 0 − y is no shorter as −y, which has another zero.
    return x if _is_known(y, 0) else x - y


_SHORTCUTS = {"add": _add, "add_any": _add, "mul": _multiply, "sub": _subtract}


def _by_entry(eqn, values: list) -> np.ndarray:
    """An elementwise equation, one entry at a time."""
    name = eqn.primitive.name
    dtypes = [var.aval.dtype for var in eqn.invars]
    known = not any(_is_traced(x) for v in values for x in v.ravel())

    def entry(*xs) -> Any:
        if name in _SHORTCUTS:
            # NumPy warns of overflow in known numbers, where JAX does not.
            with np.errstate(all="ignore"):
                return _SHORTCUTS[name](*xs)
        numbers = (jnp.asarray(x, dtype) for x, dtype in zip(xs, dtypes, strict=True))
        if not known:
            return walk.bind(eqn, list(numbers))[0]
        # Even under jit, so that zeros and ones stay known.
        with jax.ensure_compile_time_eval():
            return np.asarray(walk.bind(eqn, list(numbers))[0])[()]

    shape = eqn.outvars[0].aval.shape
    spread = np.broadcast_arrays(*values, np.empty(shape, object))[:-1]
    result = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        result[index] = entry(*(v[index] for v in spread))
    return result


def _fold(name: str, eqn, value: np.ndarray) -> np.ndarray:
    """A sum, or a largest or smallest entry, over some axes, none of them empty."""
    folds: dict[str, Callable] = {"add": _add, "max": jnp.maximum, "min": jnp.minimum}
    combine = folds[name]
    axes = eqn.params["axes"]
    kept = [i for i in range(value.ndim) if i not in axes]
    shape = tuple(value.shape[i] for i in kept)
    rows = value.transpose(*kept, *axes).reshape(*shape, -1)
    result = np.empty(shape, dtype=object)
    with np.errstate(all="ignore"):
        for index in np.ndindex(shape):
            result[index] = functools.reduce(combine, rows[index])
    return result


def _product(eqn, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """`dot_general`, as sums of products."""
    (over_left, over_right), (batch_left, batch_right) = eqn.params["dimension_numbers"]

    def ordered(value, batch, over):
        free = [i for i in range(value.ndim) if i not in (*batch, *over)]
        groups = (batch, free, over)
        sizes = [math.prod(value.shape[i] for i in axes) for axes in groups]
        return value.transpose(*batch, *free, *over).reshape(sizes)

    a = ordered(left, batch_left, over_left)
    b = ordered(right, batch_right, over_right)
    # A product of small numbers may be asked for in a larger dtype, in which it fits.
    dtype = eqn.outvars[0].aval.dtype
    zero = np.zeros((), dtype)[()]
    # Entries that are known are plain numbers of Python or NumPy.
    make = np.dtype(dtype).type
    a, b = (
        _filled(
            [x.astype(dtype) if hasattr(x, "astype") else make(x) for x in m.ravel()],
            m.shape,
        )
        for m in (a, b)
    )
    result = np.empty((a.shape[0], a.shape[1], b.shape[1]), dtype=object)
    with np.errstate(all="ignore"):
        for i, j, k in itertools.product(*map(range, result.shape)):
            terms = [_multiply(x, y) for x, y in zip(a[i, j], b[i, k], strict=True)]
            result[i, j, k] = functools.reduce(_add, terms, zero)
    return result.reshape(eqn.outvars[0].aval.shape)


def _counted(params: dict) -> np.ndarray:
    shape, axis = params["shape"], params["dimension"]
    sizes = [n if i == axis else 1 for i, n in enumerate(shape)]
    count = np.arange(shape[axis], dtype=params["dtype"]).reshape(sizes)
    return np.broadcast_to(count, shape)


def _broadcast(params: dict, value: np.ndarray) -> np.ndarray:
    shape, where = params["shape"], params["broadcast_dimensions"]
    sizes = [1] * len(shape)
    for axis, size in zip(where, value.shape, strict=True):
        sizes[axis] = size
    return np.broadcast_to(value.reshape(sizes), shape)


def _reshape(params: dict, value: np.ndarray) -> np.ndarray:
    # Entries are read in the order of these axes, where they are given.
    ordered = value.transpose(params.get("dimensions") or tuple(range(value.ndim)))
    return ordered.reshape(params["new_sizes"])


def _slice(params: dict, value: np.ndarray) -> np.ndarray:
    strides = params["strides"] or (1,) * value.ndim
    starts, limits = params["start_indices"], params["limit_indices"]
    return value[tuple(map(slice, starts, limits, strides))]


def _pad(params: dict, value: np.ndarray, filler: np.ndarray) -> np.ndarray:
    config = params["padding_config"]
    shape = [
        low + size + max(size - 1, 0) * inside + high
        for size, (low, high, inside) in zip(value.shape, config, strict=True)
    ]
    result = np.full(shape, filler[()], dtype=object)
    for index in np.ndindex(value.shape):
        place = tuple(
            low + i * (inside + 1)
            for i, (low, _, inside) in zip(index, config, strict=True)
        )
        if all(0 <= i < n for i, n in zip(place, shape, strict=True)):
            result[place] = value[index]
    return result


def _unstack(params: dict, value: np.ndarray) -> list[np.ndarray]:
    # An entry alone would be a number, so slices are made, and their axis dropped.
    rows = np.moveaxis(value, params["axis"], 0)
    return [rows[i : i + 1].reshape(rows.shape[1:]) for i in range(len(rows))]


_MOVES: dict[str, Callable] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *values: np.concatenate(values, params["dimension"]),
    "expand_dims": lambda params, value: np.expand_dims(value, params["dimensions"]),
    "pad": _pad,
    "reshape": _reshape,
    "rev": lambda params, value: np.flip(value, params["dimensions"]),
    "slice": _slice,
    "stack": lambda params, *values: np.stack(values, params["axis"]),
    "squeeze": lambda params, value: np.squeeze(value, params["dimensions"]),
    "transpose": lambda params, value: value.transpose(params["permutation"]),
    "unstack": _unstack,
}
