"""A motion with unknown constants, as multiple shooting takes it: a vector field.

The constants may be six of a pendulum or the weights of a network.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys import trees
from jaxphys.motion import arguments, chart_of
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, State

__all__ = ["Law", "law_of_motion"]


class Law(NamedTuple):
    """A motion with constants.

    Attributes:
      names: of the constants.
      start: where to look for them, (k,).
      field: f(t, z, (constants, u)), of states as one vector z, (2n,).
      observe: `observe(constants, z) -> (2n,)`, what the sensors show.
      enter: `enter(constants, shown) -> z`, the state that shows this.
      params: `params(constants)`, in the form in which they were given.
      takes_input: whether u acts.
      state: the kind of state of which z has the two halves.
      energy: `energy(constants, q, p)`, or of (q, v); None where there is none.
      lagrangian: `lagrangian(constants, q, v)`, or None.
      delay: `delay(constants)`, how much later inputs act; None where they act at once.
    """

    names: tuple[str, ...]
    start: np.ndarray
    field: Callable[[Array, Array, Any], Array]
    observe: Callable[[Array, Array], Array]
    enter: Callable[[Array, Array], Array]
    params: Callable[[Any], PyTree]
    takes_input: bool
    state: type[State] = PhaseState
    energy: Callable[..., Array] | None = None
    lagrangian: Callable[..., Array] | None = None
    delay: Callable[[Array], Array] | None = None


def law_of_motion(motion: Dynamics, params: PyTree, n: int) -> Law:
    """A motion as a law whose constants are its weights, in double precision.

    Args:
      motion: a network's, say; where it has a chart, it is integrated there.
      params: weights to begin with.
      n: how many coordinates it has.

    Example:
      >>> jax.config.update("jax_enable_x64", True)
      >>> from jaxphys import models
      >>> motion = models.dynamics(models.hnn(1, hidden=(4,)))
      >>> law = law_of_motion(motion, motion.init(jax.random.key(0)), 1)
      >>> law.field(0.0, jnp.ones(2), (jnp.asarray(law.start), None)).shape
      (2,)
    """
    params = trees.cast(jax.tree.map(jnp.asarray, params), jnp.float64)
    flat, unravel = ravel_pytree(params)
    chart, state, controlled = chart_of(motion), motion.state, bool(motion.num_controls)
    # A chart may lead to another kind of state.
    example = state(jnp.zeros(n), jnp.zeros(n))
    inner = type(jax.eval_shape(chart.enter, params, example))

    def field(t: Array, z: Array, args: Any) -> Array:
        c, u = args
        held = arguments(unravel(c), u if controlled else None)
        return jnp.concatenate(chart.vector_field(t, inner(*jnp.split(z, 2)), held))

    def observe(c: Array, z: Array) -> Array:
        return jnp.concatenate(chart.leave(unravel(c), inner(*jnp.split(z, 2))))

    def enter(c: Array, shown: Array) -> Array:
        return jnp.concatenate(chart.enter(unravel(c), state(*jnp.split(shown, 2))))

    names = tuple(f"w{i}" for i in range(len(flat)))
    start = np.asarray(flat)
    return Law(names, start, field, observe, enter, unravel, controlled)
