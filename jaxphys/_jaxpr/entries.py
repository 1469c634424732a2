"""Arrays as their entries: what a primitive does to each, and where it moves them.

An array that is taken apart is a NumPy array of objects: its entries, each a 0-d array
of JAX, or a number that is known when tracing. Moving entries is then indexing, done
once, and a product with a known zero or one disappears.
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
from jaxphys.types import Array

__all__ = [
    "MOVES",
    "SHORTCUTS",
    "apart",
    "counted",
    "filled",
    "fold",
    "is_apart",
    "is_small",
    "is_traced",
    "of_entries",
    "product",
    "sums",
    "whole",
]


def is_small(shape: tuple[int, ...], dtype: Any, largest: int) -> bool:
    """Whether an array is taken apart.

    Empty ones are not, whose entries cannot say what they are, and arrays of what is no
    number, as keys of random numbers.
    """
    is_number = jnp.issubdtype(dtype, np.number) or dtype == np.bool_
    return 0 < math.prod(shape) <= largest and is_number


def is_traced(value: Any) -> bool:
    """Whether a value is unknown when tracing."""
    return isinstance(value, jax.core.Tracer)


def apart(value: Any, largest: int) -> Any:
    """A small array as a NumPy array of its entries, each a 0-d array."""
    if is_apart(value):
        return value
    shape = np.shape(value)
    if not is_small(shape, jnp.result_type(value), largest):
        return value
    if not is_traced(value):
        return filled(list(np.asarray(value).ravel()), shape)
    if shape == ():
        return filled([value], shape)
    flat = value.reshape(-1)
    entries = [jax.lax.index_in_dim(flat, i, keepdims=False) for i in range(flat.size)]
    return filled(entries, shape)


def whole(value: Any, dtype: Any) -> Array:
    """The entries put together again."""
    if not is_apart(value):
        return value
    if not any(map(is_traced, value.ravel())):
        return jnp.asarray(value.tolist(), dtype).reshape(value.shape)
    entries = [jnp.asarray(x, dtype) for x in value.ravel()]
    if value.shape == ():
        return entries[0]
    return jnp.stack(entries).reshape(value.shape)


def filled(entries: list, shape: tuple[int, ...]) -> np.ndarray:
    """An array of these entries."""
    apart = np.empty(len(entries), dtype=object)
    for i, entry in enumerate(entries):
        apart[i] = entry
    return apart.reshape(shape)


def is_apart(value: Any) -> bool:
    """Whether a value is an array of entries."""
    return isinstance(value, np.ndarray) and value.dtype == object


def _is_known(x: Any, number: float) -> bool:
    return not is_traced(x) and bool(np.asarray(x) == number)


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


SHORTCUTS = {"add": _add, "add_any": _add, "mul": _multiply, "sub": _subtract}


def fold(name: str, eqn, value: np.ndarray) -> np.ndarray:
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


def product(eqn, left: np.ndarray, right: np.ndarray) -> np.ndarray:
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
        filled(
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


def of_entries(eqn: Any, known: list) -> Callable[[Array], Array]:
    """A linear equation as a function of all entries of its real operands, in a row.

    `known` has the other operands, at their places.
    """
    where = [i for i, var in enumerate(eqn.invars) if walk.is_real(var.aval)]
    kinds = [eqn.invars[i].aval for i in where]
    ends = np.cumsum([kind.size for kind in kinds])[:-1]

    def flat(point: Array) -> Array:
        parts = [
            part.reshape(kind.shape).astype(kind.dtype)
            for part, kind in zip(jnp.split(point, ends), kinds, strict=True)
        ]
        return walk.bind(eqn, walk.placed(known, where, parts))[0].ravel()

    return flat


def sums(eqn: Any, values: list) -> np.ndarray | None:
    """A linear equation's entries, as sums of those of its real operands.

    None where the other operands, which say what is summed, are not known.
    """
    made, real = eqn.outvars[0].aval, [walk.is_real(var.aval) for var in eqn.invars]
    rest = [v for v, is_real in zip(values, real, strict=True) if not is_real]
    if not walk.is_real(made) or any(is_traced(x) for v in rest for x in v.ravel()):
        return None
    entries = np.concatenate([v.ravel() for v in itertools.compress(values, real)])
    # Compiled functions are found again by what they are, and this one is new.
    with jax.ensure_compile_time_eval():
        known = [
            None if is_real else whole(v, var.aval.dtype)
            for v, is_real, var in zip(values, real, eqn.invars, strict=True)
        ]
        flat = of_entries(eqn, known)
        offset = np.asarray(flat(jnp.zeros(len(entries))))
        weights = [np.asarray(flat(x)) for x in jnp.eye(len(entries))]
    if np.any(offset != 0):
        return None
    result = np.empty(made.size, dtype=object)
    zero = made.dtype.type(0)
    for j, column in enumerate(np.transpose(weights)):
        terms = [_multiply(w, x) for w, x in zip(column, entries, strict=True)]
        result[j] = functools.reduce(_add, terms, zero)
    return result.reshape(made.shape)


def counted(params: dict) -> np.ndarray:
    """The entries of `iota`, which are known."""
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


def _split(params: dict, value: np.ndarray) -> list[np.ndarray]:
    return np.split(value, np.cumsum(params["sizes"])[:-1], params["axis"])


MOVES: dict[str, Callable] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": lambda params, *values: np.concatenate(values, params["dimension"]),
    "expand_dims": lambda params, value: np.expand_dims(value, params["dimensions"]),
    "pad": _pad,
    "reshape": _reshape,
    "rev": lambda params, value: np.flip(value, params["dimensions"]),
    "slice": _slice,
    "split": _split,
    "stack": lambda params, *values: np.stack(values, params["axis"]),
    "squeeze": lambda params, value: np.squeeze(value, params["dimensions"]),
    "transpose": lambda params, value: value.transpose(params["permutation"]),
    "unstack": _unstack,
}
