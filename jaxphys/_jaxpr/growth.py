"""How a loop's steps stretch a small change of its state: the growth over a horizon.

With the state y_k of step k and the Jacobian Φ_k = ∂y_k/∂y_0, the length of Φ_k v is
followed for random v, which is scaled back to length one after every step, so that its
logarithm never overflows (Benettin et al., Meccanica 15, 1980).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxphys._jaxpr import walk
from jaxphys._jaxpr.places import Place, place
from jaxphys.types import Array

#: Shorter loops have no horizon.
SHORTEST = 4


class Growth(NamedTuple):
    """What a loop does to a small change of its state.

    Attributes:
      place: where the loop is written.
      logs: ln |Φ_k v| / |v| after each step, for the v that has grown most, (length,).
      sizes: |y_k| after each step, (length,).
      start: |y_0|.
    """

    place: Place
    logs: Array
    sizes: Array
    start: Array


def growth(closed: core.ClosedJaxpr, inputs: list, tangents: int = 2) -> list[Growth]:
    """The growth in every loop of a known length that is in no other loop.

    Args:
      closed: what to run.
      inputs: its inputs, arrays.
      tangents: how many changes of each state are followed.

    Example:
      >>> def double(x):
      ...     return jax.lax.fori_loop(0, 8, lambda i, x: 2 * x, x)
      >>> (found,) = growth(jax.make_jaxpr(double)(1.0), [1.0])
      >>> print(jnp.exp(found.logs)[-1].round())
      256.0
    """
    places: list[Place] = []

    def followed(*arrays: Any) -> list:
        places.clear()
        found: list = []
        _run(closed, list(arrays), tangents, places, found)
        return found

    found = jax.jit(followed)(*inputs)
    return [Growth(each, *told) for each, told in zip(places, found, strict=True)]


def _run(
    called: Any,
    values: list,
    tangents: int,
    places: list[Place],
    found: list,
    outer: Place | None = None,
) -> list:
    """Run a jaxpr, and follow the loops in it."""

    def apply(eqn: Any, values: list) -> list:
        where = place(eqn, outer)
        called = walk.inner(eqn)
        if called is not None:
            inside = core.ClosedJaxpr(*called)
            return _run(inside, values, tangents, places, found, where)
        if eqn.primitive.name == "scan" and eqn.params["length"] >= SHORTEST:
            stretched = _stretched(eqn, values, tangents)
            if stretched is not None:
                places.append(where)
                found.append(stretched)
        return walk.bind(eqn, values)

    return walk.run(called.jaxpr, called.consts, values, lambda x, aval: x, apply)


def _stretched(eqn: Any, values: list, tangents: int) -> tuple | None:
    """ln |Φ_k v|, |y_k| and |y_0| of a scan; None where no state is carried."""
    params = eqn.params
    body = params["jaxpr"]
    first, end = walk.carried(eqn)
    consts, carry = values[:first], values[first:end]
    xs = tuple(values[end:])
    real = [number for number, x in enumerate(carry) if walk.is_real(x)]
    if not real:
        return None

    def advance(state: list, rest: list, xs: tuple) -> tuple[list, list]:
        whole = walk.placed(rest, real, state)
        done = jax.core.eval_jaxpr(body.jaxpr, body.consts, *consts, *whole, *xs)
        return [done[number] for number in real], done[: end - first]

    def step(carry: tuple, xs: tuple) -> tuple:
        rest, changes, logs = carry
        state = [rest[number] for number in real]

        def only(state: list) -> tuple[list, list]:
            return advance(state, rest, xs)

        # One pass for the state, and one along each change.
        new, push, whole = jax.linearize(only, state, has_aux=True)
        changes = jax.vmap(push)(changes)
        lengths = jax.vmap(_length)(changes)
        logs = logs + jnp.log(lengths)
        safe = jnp.where(lengths > 0, lengths, 1)
        changes = [x / safe.reshape(-1, *[1] * (x.ndim - 1)) for x in changes]
        return (whole, changes, logs), (jnp.max(logs), _length(new))

    state = [jnp.asarray(carry[number]) for number in real]
    keys = jax.random.split(jax.random.key(0), len(state))
    changes = [
        jax.random.normal(key, (tangents, *jnp.shape(x)), jnp.result_type(x))
        for key, x in zip(keys, state, strict=True)
    ]
    lengths = jax.vmap(_length)(changes)
    changes = [x / lengths.reshape(-1, *[1] * (x.ndim - 1)) for x in changes]
    begin = ([jnp.asarray(x) for x in carry], changes, jnp.zeros_like(lengths))
    options: Any = {"length": params["length"], "reverse": params["reverse"]}
    left: Any = jax.lax.scan(step, begin, xs, **options)
    logs, sizes = left[1]
    if params["reverse"]:
        logs, sizes = logs[::-1], sizes[::-1]
    return logs, sizes, _length(state)


def _length(tree: list) -> Array:
    return jnp.sqrt(sum(jnp.sum(jnp.abs(x) ** 2) for x in tree))
