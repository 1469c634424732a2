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
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Literal

from jaxphys._jaxpr import entries, trig, walk
from jaxphys._jaxpr.primitives import Kind, of
from jaxphys.checks import check_count, check_function, checked
from jaxphys.types import Array

__all__ = ["scalarize"]

_ELEMENTWISE = of(Kind.ELEMENTWISE)
_RULED = of(Kind.RULED)

# The most numbers that a step may compute. Above it, compiling them takes longer than
# compiling the arrays they come from.
_MOST = 5000

#: Sums of entries, as a look-up is one of them: which ones is found by trying.
_LINEAR = {"cumsum", "dynamic_slice", "gather"}

_FOLDS = {"reduce_sum": "add", "reduce_max": "max", "reduce_min": "min"}


@checked(function=check_function, largest=check_count)
def scalarize(function: Callable, *, largest: int = 25) -> Callable:
    """The same function of pytrees, computed number by number.

    `integrators.rollout` does this by itself. Give it other functions that `jax.vmap`
    runs for thousands of states:

        accelerate = scalarize(mechanics.acceleration(lagrangian))
        rates = jax.jit(jax.vmap(accelerate, (None, 0, 0)))(params, q, v)

    Derivatives are those of the function as it was, rewritten likewise.

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
        outputs = _by_numbers(closed, leaves, largest)
        return jax.tree.unflatten(jax.tree.structure(shape), outputs)

    return wrapped


def _rewritten(jaxpr: Any, consts: list, leaves: list, largest: int) -> list[Array]:
    """The outputs of a jaxpr computed number by number."""
    rewrite = _Rewrite(largest)
    inputs = [rewrite.apart(leaf) for leaf in leaves]
    outputs = rewrite.evaluate(jaxpr, consts, inputs)
    return [entries.whole(value, dtype) for value, dtype in outputs]


def _by_numbers(closed: Any, leaves: list, largest: int) -> list[Array]:
    """The outputs of a jaxpr computed number by number, differentiable likewise."""
    # What the function closes over may be batched or differentiated outside, and
    # then has to come in by the front door. What is known stays known.
    traced = [i for i, c in enumerate(closed.consts) if entries.is_traced(c)]
    given = [closed.consts[i] for i in traced]
    jaxpr = closed.jaxpr
    # Without those that come in: a rule that kept them would outlive their trace.
    known = [None if entries.is_traced(c) else c for c in closed.consts]
    del closed

    # What is rewritten has lost its calls, and with them their own derivatives, which
    # derivatives of the derivative would miss.
    exact = not _has_rules(jaxpr)

    # The rule is the derivative of the function itself, rewritten in the same way.
    @walk.exact_jvp
    def numbers(outer: list, leaves: list) -> list[Array]:
        return _rewritten(jaxpr, walk.placed(known, traced, outer), leaves, largest)

    def derivative(values: tuple, changed: tuple) -> tuple[list, list]:
        count = len(values[0])
        points, rates = [*values[0], *values[1]], [*changed[0], *changed[1]]
        # What does not move is not differentiated.
        moving = [i for i, rate in enumerate(rates) if not _is_zero(rate)]

        def changes(points: list, rates: list) -> list:
            def plain(*moved: Array) -> list:
                at = walk.placed(points, moving, moved)
                consts = walk.placed(known, traced, at[:count])
                return jax.core.eval_jaxpr(jaxpr, consts, *at[count:])

            _, changes = jax.jvp(plain, [points[i] for i in moving], rates)
            return [c for c in changes if c.dtype != jax.dtypes.float0]

        # The way back evaluates values and rates at different times.
        outputs = numbers(*values)
        moved = [rates[i] for i in moving]
        if exact:
            # Without a rule of its own: JAX has to see which of it is linear.
            inner = jax.make_jaxpr(changes)(points, moved)
            leaves = [*points, *moved]
            computed = iter(_rewritten(inner.jaxpr, inner.consts, leaves, largest))
        else:
            computed = iter(changes(points, moved))
        return outputs, [_rate_of(value, computed) for value in outputs]

    numbers.defjvp(derivative, symbolic_zeros=True)
    return numbers(given, leaves)


def _is_zero(rate: Any) -> bool:
    """Whether a rate is zero by its kind: of what is constant, or of a whole number."""
    return isinstance(rate, SymbolicZero) or rate.dtype == jax.dtypes.float0


def _rate_of(value: Array, given: Iterator[Array]) -> Any:
    """The next rate, or for a whole number, which has none, JAX's sign of that."""
    if jnp.issubdtype(value.dtype, np.inexact):
        return next(given)
    return np.zeros(value.shape, jax.dtypes.float0)


def pays(jaxpr: Any, *, largest: int = 25) -> bool:
    """Whether `scalarize` makes a function faster, and its compilation no longer.

    That is so if nothing in it is large, as a network's layers are, and if all of it is
    arithmetic, without loops of unknown length, look-ups and factorizations.

    Example:
      >>> pays(jax.make_jaxpr(lambda x: jnp.sin(x) @ x)(jnp.ones(3)).jaxpr)
      True
      >>> pays(jax.make_jaxpr(lambda x: jnp.ones((100, 3)) @ x)(jnp.ones(3)).jaxpr)
      False
    """
    return _count(jaxpr, largest) <= _MOST


def _count(jaxpr: Any, largest: int, varying: Iterable[bool] | None = None) -> float:
    """How many numbers a jaxpr computes; infinity if part of it would be left whole.

    `varying` says which of its inputs are unknown when tracing, all of them usually.
    """
    if _has_rules(jaxpr):
        return math.inf
    given = (
        jaxpr.invars if varying is None else itertools.compress(jaxpr.invars, varying)
    )
    unknown = set(given)
    total = 0.0
    for eqn in jaxpr.eqns:
        name, called = eqn.primitive.name, walk.inner(eqn)
        inputs = [not isinstance(v, Literal) and v in unknown for v in eqn.invars]
        if not any(inputs):
            continue
        unknown.update(eqn.outvars)
        times = 1
        if name == "scan":
            called = eqn.params["jaxpr"].jaxpr, ()
            times = eqn.params["length"] if _is_short(eqn) else 1
        if called is not None:
            total += times * _count(called[0], largest, inputs)
            continue
        sizes = [v.aval.size for v in (*eqn.invars, *eqn.outvars)]
        if not 0 < min(sizes) <= max(sizes) <= largest:
            return math.inf
        if name in _LINEAR:
            chosen = [v for v, moves in zip(eqn.invars, inputs, strict=True) if moves]
            if not all(jnp.issubdtype(v.aval.dtype, np.inexact) for v in chosen):
                return math.inf
        elif name not in _APART:
            return math.inf
        if name not in entries.MOVES:
            total += sum(v.aval.size for v in eqn.outvars)
    return total


def _has_rules(jaxpr: Any) -> bool:
    """Whether a function brings derivatives that may be other than its own."""
    return any(
        eqn.primitive.name in _RULED and not walk.is_exact(eqn)
        for eqn in walk.everywhere(jaxpr.eqns)
    )


def split(tree: Any, *, axes: int = 0, largest: int = 25) -> list[Array]:
    """The entries of a pytree's small arrays, one after the other; large ones whole.

    Args:
      tree: pytree of arrays.
      axes: how many leading axes are kept, as that of time.
      largest: arrays of more entries, without those axes, are left whole.

    Example:
      >>> [float(x) for x in split((jnp.array([1.0, 2.0]), 3.0))]
      [1.0, 2.0, 3.0]
    """
    parts: list = []
    for leaf in map(jnp.asarray, jax.tree.leaves(tree)):
        if entries.is_small(leaf.shape[axes:], leaf.dtype, largest):
            flat = leaf.reshape(*leaf.shape[:axes], -1)
            parts += [flat[..., i] for i in range(flat.shape[-1])]
        else:
            parts.append(leaf)
    return parts


def join(parts: list, like: Any, *, largest: int = 25) -> Any:
    """The pytree that `split` took apart; `like` has its shapes, without leading axes.

    Example:
      >>> print(join([jnp.array(1.0), jnp.array(2.0)], jnp.zeros(2)))
      [1. 2.]
    """
    rest = iter(parts)

    def leaf(like: Any) -> Array:
        shape, dtype = jnp.shape(like), jnp.result_type(like)
        if not entries.is_small(shape, dtype, largest):
            return next(rest)
        numbers = [next(rest) for _ in range(math.prod(shape))]
        return jnp.stack(numbers, -1).reshape(*numbers[0].shape, *shape)

    return jax.tree.map(leaf, like)


class _Rewrite:
    """One function, run number by number; what was computed once is not again.

    Attributes:
      largest: arrays of more entries are left whole.
    """

    def __init__(self, largest: int):
        self.largest = largest
        self._known: dict = {}

    def apart(self, value: Any) -> Any:
        return entries.apart(value, self.largest)

    def evaluate(self, jaxpr: Any, consts: Any, inputs: list) -> list[tuple]:
        """Run a jaxpr on arrays taken apart; its outputs with their dtypes."""

        def lift(value: Any, aval: Any) -> Any:
            # A literal is a Python number, whose dtype the jaxpr knows.
            known = value if hasattr(value, "dtype") else np.asarray(value, aval.dtype)
            return self.apart(known)

        outputs = walk.run(jaxpr, consts, inputs, lift, self._apply)
        dtypes = [atom.aval.dtype for atom in jaxpr.outvars]
        return list(zip(outputs, dtypes, strict=True))

    def _apply(self, eqn: Any, values: list) -> list:
        """The outputs of one equation, apart wherever this module knows how."""
        name, params = eqn.primitive.name, eqn.params
        # Rules for derivatives do not matter here: those are of the function as it was.
        inner = walk.inner(eqn)
        if inner is not None:
            return [value for value, _ in self.evaluate(*inner, values)]
        if name == "optimization_barrier":
            # It keeps apart what is computed twice, which here is computed once.
            return values
        if name == "scan":
            return self._unrolled(eqn, values) or _scan(eqn, values, self.largest)
        apart = all(map(entries.is_apart, values))
        small = all(0 < var.aval.size <= self.largest for var in eqn.outvars)
        if apart and small:
            if name in _ELEMENTWISE:
                return [self._by_entry(eqn, values)]
            if name == "iota":
                return [self.apart(entries.counted(params))]
            if name in entries.MOVES:
                moved = entries.MOVES[name](params, *values)
                return moved if eqn.primitive.multiple_results else [moved]
            if name in _FOLDS:
                return [entries.fold(_FOLDS[name], eqn, values[0])]
            if name == "dot_general":
                return [entries.product(eqn, *values)]
            if name in _LINEAR and (sums := entries.sums(eqn, values)) is not None:
                return [sums]
        whole = [
            entries.whole(v, var.aval.dtype)
            for v, var in zip(values, eqn.invars, strict=True)
        ]
        return [self.apart(output) for output in walk.bind(eqn, whole)]

    def _unrolled(self, eqn: Any, values: list) -> list | None:
        """A short loop as straight code; None if it is over large arrays."""
        if not _is_short(eqn):
            return None
        body, first, end = eqn.params["jaxpr"], *walk.carried(eqn)
        consts, carry, xs = values[:first], values[first:end], values[end:]
        if not all(map(entries.is_apart, xs)):
            return None
        order = range(eqn.params["length"])
        ys = []
        for i in reversed(order) if eqn.params["reverse"] else order:
            # An entry alone would be a number: a slice is made, and its axis dropped.
            rows = [x[i : i + 1].reshape(x.shape[1:]) for x in xs]
            outputs = self.evaluate(body.jaxpr, body.consts, [*consts, *carry, *rows])
            results = [value for value, _ in outputs]
            carry = results[: end - first]
            ys.append(results[end - first :])
        if eqn.params["reverse"]:
            ys.reverse()
        kinds = [var.aval.dtype for var in body.jaxpr.outvars[end - first :]]
        stacked: list = []
        for column, dtype in zip(zip(*ys, strict=True), kinds, strict=True):
            if all(map(entries.is_apart, column)):
                stacked.append(np.stack(column))
            else:
                stacked.append(jnp.stack([entries.whole(y, dtype) for y in column]))
        return [*carry, *stacked]

    def _by_entry(self, eqn: Any, values: list) -> np.ndarray:
        """An elementwise equation, one entry at a time."""
        shape = eqn.outvars[0].aval.shape
        spread = np.broadcast_arrays(*values, np.empty(shape, object))[:-1]
        result = np.empty(shape, dtype=object)
        for index in np.ndindex(shape):
            result[index] = self._once(eqn, [v[index] for v in spread])
        return result

    def _once(self, eqn: Any, numbers: list) -> Any:
        """An equation of these numbers, computed where it is met first."""
        # Derivatives repeat much of their function, and each tangent all of it.
        params = tuple(sorted(eqn.params.items()))
        try:
            key = hash((eqn.primitive.name, params, *map(_identity, numbers)))
        except TypeError:  # Not all parameters can be compared.
            return _entry(eqn, numbers)
        same = (eqn.primitive.name, eqn.params, [_identity(x) for x in numbers])
        known = self._known.get(key)
        if known is None or known[0] != same:
            # The numbers are kept, as Python gives the identity of lost ones anew.
            known = self._known[key] = (same, numbers, _entry(eqn, numbers))
        return known[2]


def _identity(number: Any) -> Any:
    """What two numbers share if they are the same."""
    if entries.is_traced(number):
        return id(number)
    value = np.asarray(number)
    return value.dtype.str, value.tobytes()  # Zeros have signs.


def _entry(eqn: Any, numbers: list) -> Any:
    name = eqn.primitive.name
    if name in entries.SHORTCUTS:
        # NumPy warns of overflow in known numbers, where JAX does not.
        with np.errstate(all="ignore"):
            return entries.SHORTCUTS[name](*numbers)
    dtypes = [var.aval.dtype for var in eqn.invars]

    if name in trig.PRIMITIVES and trig.is_faster(numbers[0]):
        return trig.PRIMITIVES[name].bind(numbers[0])

    def bound() -> Any:
        return walk.bind(eqn, list(map(jnp.asarray, numbers, dtypes)))[0]

    if any(map(entries.is_traced, numbers)):
        return bound()
    # Even under jit, so that zeros and ones stay known.
    with jax.ensure_compile_time_eval():
        return np.asarray(bound())[()]


def _is_short(eqn: Any) -> bool:
    """Whether a loop is written out, as the stages of a step are."""
    return eqn.params["length"] <= 4


def _scan(eqn: Any, values: list, largest: int) -> list:
    """A loop whose carry is numbers, so that its body stays taken apart.

    A carry has a place of its own for each number: what the body computes is written
    there once, in a loop of its own over the batch.
    """
    body, params = eqn.params["jaxpr"], eqn.params
    kinds = [var.aval for var in body.jaxpr.invars]
    first, end = walk.carried(eqn)
    num_carry = end - first
    consts, carry, xs = values[:first], values[first:end], values[end:]
    carry_kinds = kinds[first:end]
    whole_xs = [
        entries.whole(x, kind.dtype) for x, kind in zip(xs, kinds[end:], strict=True)
    ]

    def numbers(value: Any, dtype: Any) -> Any:
        if not entries.is_apart(value):
            return value
        return [jnp.asarray(x, dtype) for x in value.ravel()]

    def together(value: Any, shape: tuple[int, ...]) -> Any:
        return entries.filled(value, shape) if isinstance(value, list) else value

    def step(carry: list, xs: list) -> tuple[list, list]:
        parts = [together(c, k.shape) for c, k in zip(carry, carry_kinds, strict=True)]
        rewrite = _Rewrite(largest)
        inputs = [*consts, *parts, *(entries.apart(x, largest) for x in xs)]
        outputs = rewrite.evaluate(body.jaxpr, body.consts, inputs)
        taken = [numbers(value, dtype) for value, dtype in outputs]
        return taken[:num_carry], taken[num_carry:]

    start = [numbers(c, k.dtype) for c, k in zip(carry, carry_kinds, strict=True)]
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
    return [*ends, *(entries.apart(y, largest) for y in stacked)]


#: What is taken apart.
_APART = _ELEMENTWISE | entries.MOVES.keys() | _FOLDS.keys() | {"iota", "dot_general"}
