"""Which entries of its argument a scalar function couples, read off its gradient.

∂²f/∂y_i∂y_j is zero wherever ∂f/∂y_i does not depend on y_j. The gradient's jaxpr is
walked with a label in place of each number: one entry of y that the number depends on,
or none. Where two labels meet in one number, their entries are in one group, and what
is left apart at the end has a diagonal second derivative. A primitive that is not known
joins all that it is given, so that a missing entry costs time and is never wrong.
"""

from collections.abc import Callable
from itertools import compress
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.entries import MOVES, of_entries
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.types import PyTree

__all__ = ["groups"]

_NONE = -1
_ELEMENTWISE = of(Kind.ELEMENTWISE)
_FOLDS = of(Kind.FOLD)
_LINEAR = of(Kind.LINEAR)
#: The largest matrix of zeros and ones that a linear equation is read as.
_LARGEST = 2**20


class _Value(NamedTuple):
    """Labels of an array's entries, and the array itself where it is a known index."""

    labels: np.ndarray
    known: Any = None


class _Pairs:
    """Pairs of entries that are coupled, and the groups that they make."""

    def __init__(self) -> None:
        self._found: set[tuple[int, int]] = set()

    def add(self, left: np.ndarray, right: np.ndarray) -> None:
        """Note that entries at the same place are coupled; both may be none."""
        both = (left != _NONE) & (right != _NONE) & (left != right)
        if np.any(both):
            pairs = np.unique(np.stack([left[both], right[both]]), axis=1)
            self._found.update(map(tuple, pairs.T.tolist()))

    def joined(self, labels: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
        """One label for all along these axes."""
        if not labels.size:
            return np.full(np.delete(labels.shape, axes), _NONE)
        top = labels.max(axis=axes, keepdims=True, initial=_NONE)
        self.add(labels, np.broadcast_to(top, labels.shape))
        return np.asarray(top.squeeze(axes))

    def met(self, arrays: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The labels of an elementwise operation."""
        spread = [np.broadcast_to(x, shape) for x in arrays]
        top = np.max(spread, axis=0) if spread else np.full(shape, _NONE)
        for labels in spread:
            self.add(labels, top)
        return top

    def components(self, size: int) -> list[list[int]]:
        """All entries, group by group, in the order of their first ones."""
        parent = list(range(size))

        def root(i: int) -> int:
            while parent[i] != i:
                parent[i] = parent[parent[i]]
                i = parent[i]
            return i

        for i, j in self._found:
            low, high = sorted((root(i), root(j)))
            parent[high] = low
        found: dict[int, list[int]] = {}
        for i in range(size):
            found.setdefault(root(i), []).append(i)
        return list(found.values())


def groups(f: Callable, y: Any, *rest: PyTree) -> list[list[int]]:
    """The entries of y in groups, such that ∂²f/∂y² is zero between two groups.

    Args:
      f: f(y, *rest) -> scalar.
      y: a real vector, or its shape and dtype.
      rest: further arguments, or their shapes and dtypes.

    Example:
      >>> groups(lambda y: y[0] * y[2] + jnp.sin(y[1]), jnp.ones(3))
      [[0, 2], [1]]
    """
    closed = jax.make_jaxpr(jax.grad(f))(y, *rest)
    size = closed.jaxpr.invars[0].aval.shape[0]
    pairs = _Pairs()
    inputs = [_constant(var.aval) for var in closed.jaxpr.invars]
    inputs[0] = _Value(np.arange(size))
    outputs = _run(closed.jaxpr, closed.consts, inputs, [True], pairs)
    pairs.add(np.arange(size), outputs[0].labels)
    return pairs.components(size)


def _constant(aval: Any) -> _Value:
    return _Value(np.full(aval.shape, _NONE))


def _lift(value: Any, aval: Any) -> _Value:
    """A constant; an index is kept, if it is known when tracing."""
    traced = isinstance(value, jax.core.Tracer)
    is_index = jnp.issubdtype(aval.dtype, np.integer) or aval.dtype == np.bool_
    return _constant(aval)._replace(known=value if is_index and not traced else None)


def _run(
    jaxpr: Any, consts: Any, inputs: list, wanted: list[bool], pairs: _Pairs
) -> list[_Value]:
    """Walk through a jaxpr for the outputs that are wanted.

    What they do not depend on is left out, as the function's own value beside its
    gradient: it would join all that goes into it.
    """
    needed = {id(out) for out, want in zip(jaxpr.outvars, wanted, strict=True) if want}
    live = []
    for eqn in reversed(jaxpr.eqns):
        mask = [id(out) in needed for out in eqn.outvars]
        live.append(mask)
        if any(mask):
            needed.update(map(id, eqn.invars))
    masks = iter(reversed(live))

    def apply(eqn: Any, values: list[_Value]) -> list[_Value]:
        mask = next(masks)
        if not any(mask):
            return [_constant(out.aval) for out in eqn.outvars]
        called = walk.inner(eqn, walk.PLAIN)
        if called is not None:
            return _run(*called, values, mask, pairs)
        return _operate(eqn, values, pairs)

    return walk.run(jaxpr, consts, inputs, _lift, apply)


def _operate(eqn: Any, values: list[_Value], pairs: _Pairs) -> list[_Value]:
    """The labels of one equation's outputs."""
    avals, name = [out.aval for out in eqn.outvars], eqn.primitive.name
    # What is no real number, as a comparison or an index, changes in steps alone.
    if not any(map(walk.is_real, avals)):
        return _indices(eqn, values, avals)
    arrays = [value.labels for value in values]
    if name == "stop_gradient" or all(np.all(x == _NONE) for x in arrays):
        return [_constant(aval) for aval in avals]
    if name in _ELEMENTWISE:
        return [_Value(pairs.met(arrays, avals[0].shape))]
    if name in MOVES:
        moved = MOVES[name](eqn.params, *arrays)
        parts = moved if eqn.primitive.multiple_results else [moved]
        return [_Value(part.astype(int)) for part in parts]
    if name in _FOLDS:
        return [_Value(pairs.joined(arrays[0], tuple(eqn.params["axes"])))]
    if name == "dot_general":
        return [_Value(_product(eqn, arrays, pairs))]
    if name == "custom_jvp_call":
        return _ruled(eqn, values, pairs)
    if name in _LINEAR:
        pattern = _pattern(eqn, values)
        if pattern is not None:
            real = [walk.is_real(var.aval) for var in eqn.invars]
            given = np.concatenate([x.ravel() for x in compress(arrays, real)])
            spread = np.where(pattern, given[:, None], _NONE)
            labels = pairs.joined(spread, (0,)).reshape(avals[0].shape)
            return [_Value(labels)]
    every = np.concatenate([x.ravel() for x in arrays])
    label = pairs.joined(every, (0,))
    return [_Value(np.full(aval.shape, label)) for aval in avals]


def _indices(eqn: Any, values: list[_Value], avals: list) -> list[_Value]:
    """Outputs that are no real numbers; those of known ones are known."""
    results: list[Any] = [None] * len(avals)
    if all(value.known is not None for value in values):
        with jax.ensure_compile_time_eval():
            results = walk.bind(eqn, [value.known for value in values])
    return [
        _constant(aval)._replace(known=result)
        for aval, result in zip(avals, results, strict=True)
    ]


def _product(eqn: Any, arrays: list[np.ndarray], pairs: _Pairs) -> np.ndarray:
    """A product's entries meet all that they are summed over."""
    (over_left, over_right), (batch_left, batch_right) = eqn.params["dimension_numbers"]

    def summed(labels: np.ndarray, batch: Any, over: Any) -> np.ndarray:
        free = [i for i in range(labels.ndim) if i not in (*batch, *over)]
        ordered = labels.transpose(*batch, *free, *over)
        return pairs.joined(ordered, tuple(range(labels.ndim - len(over), labels.ndim)))

    left = summed(arrays[0], batch_left, over_left)
    right = summed(arrays[1], batch_right, over_right)
    shape, count = eqn.outvars[0].aval.shape, len(batch_left)
    free = np.ndim(left) - count
    left = np.reshape(left, (*np.shape(left), *[1] * (np.ndim(right) - count)))
    sizes = np.shape(right)
    right = np.reshape(right, (*sizes[:count], *[1] * free, *sizes[count:]))
    return pairs.met([left, right], shape)


def _ruled(eqn: Any, values: list[_Value], pairs: _Pairs) -> list[_Value]:
    """A call with a rule: its tangents say what it depends on, not its function."""
    real = [i for i, var in enumerate(eqn.invars) if walk.is_real(var.aval)]

    def slope(point: list, tangents: list) -> list:
        def called(varied: list) -> list:
            return walk.bind(eqn, walk.placed(point, real, varied))

        return jax.jvp(called, ([point[i] for i in real],), (tangents,))[1]

    point = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in eqn.invars]
    closed = jax.make_jaxpr(slope)(point, [point[i] for i in real])
    moving = [values[i] for i in real]
    still = [_constant(var.aval) for var in eqn.invars]
    wanted = [True] * len(closed.jaxpr.outvars)
    return _run(closed.jaxpr, closed.consts, still + moving, wanted, pairs)


def _pattern(eqn: Any, values: list[_Value]) -> np.ndarray | None:
    """Which inputs reach which outputs of a linear equation, as a matrix of bools.

    None where indices are not known, or the matrix would be large.
    """
    avals = [var.aval for var in eqn.invars]
    size = sum(aval.size for aval in avals if walk.is_real(aval))
    known = [value.known for value in values]
    unknown = (
        x is None and not walk.is_real(aval)
        for x, aval in zip(known, avals, strict=True)
    )
    if any(unknown) or size * eqn.outvars[0].aval.size > _LARGEST:
        return None
    flat = of_entries(eqn, known)
    with jax.ensure_compile_time_eval():
        return np.asarray(jax.vmap(flat)(jnp.eye(size))) != 0
