"""Learning a motion: its derivatives are matched, or its trajectories.

Each is an `outputs(params, inputs) -> (d,)` of one sample, which every optimizer
trains by the same call. Matching derivatives needs no integrator; matching
trajectories needs no derivatives, and forgives noise that differences would magnify.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import integrators
from jaxphys.checks import check_count, check_function, checked, has
from jaxphys.data import Accelerated, Chunk, Moment
from jaxphys.motion import arguments, follow
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Dynamics,
    PhaseState,
    PyTree,
    Step,
    VectorField,
    required,
)

__all__ = [
    "derivative_matching",
    "rate_vector",
    "torque_matching",
    "trajectory_matching",
]


def rate_vector(dynamics: Dynamics, rate: PyTree) -> Array:
    """A time derivative as a vector: (q̇, ṗ), or of a TangentState v̇ alone."""
    if dynamics.state is PhaseState:
        return jnp.concatenate([rate[0], rate[1]])
    return rate[1]


def _averaged(one: Callable[[PyTree, Any], Array]) -> Callable[[PyTree, Any], Array]:
    """Of a sample with several points, a leading axis of its state, the mean."""

    @exact
    def outputs(params: PyTree, sample: Any) -> Array:
        if jnp.ndim(sample.y.q) == 1:
            return one(params, sample)
        return jnp.mean(jax.vmap(one, (None, 0))(params, sample), axis=0)

    return outputs


@checked(dynamics=has("a Dynamics", "vector_field", "state"))
def derivative_matching(
    dynamics: Dynamics, scale: Array | float | tuple[float, ...] = 1.0
) -> Callable[[PyTree, Moment], Array]:
    """`outputs(params, Moment)`: the field at one moment, in units of `scale`.

    Of a Moment of several points, (k, n), it is the mean over them.

    Args:
      dynamics: what is learned.
      scale: the unit of each component, (d,); targets are to be divided by it as well.

    Returns:
      A function whose value is (q̇, ṗ)/scale, d = 2n, or v̇/scale, d = n, where the
      state is a TangentState.

    Example:
      >>> from jaxphys import models
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,)))
      >>> outputs = derivative_matching(motion)
      >>> moment = Moment(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)))
      >>> outputs(motion.init(jax.random.key(0)), moment).shape
      (2,)
    """

    def one(params: PyTree, moment: Moment) -> Array:
        rate = dynamics.vector_field(moment.t, moment.y, arguments(params, moment.u))
        vector = rate_vector(dynamics, rate)
        return vector / jnp.asarray(scale, vector.dtype)

    return _averaged(one)


@checked(dynamics=has("a Dynamics", "vector_field", "state"))
def torque_matching(
    dynamics: Dynamics, scale: Array | float | tuple[float, ...] = 1.0
) -> Callable[[PyTree, Accelerated], Array]:
    """`outputs(params, Accelerated)`: the force behind an acceleration, over `scale`.

    The inverse of `derivative_matching`: what is given is the acceleration, what is
    matched the force (n,) that was applied, of several points (k, n) their mean.

    Raises:
      ValueError: for a motion that does not tell its forces.

    Example:
      >>> from jaxphys import models
      >>> from jaxphys.types import TangentState
      >>> motion = models.lagrangian_dynamics(models.delan(1, hidden=(8,)))
      >>> at = Accelerated(TangentState(jnp.ones(1), jnp.zeros(1)), jnp.ones(1))
      >>> torque_matching(motion)(motion.init(jax.random.key(0)), at).shape
      (1,)

    Reference: Lutter, Ritter & Peters, Deep Lagrangian Networks, 2019,
    https://arxiv.org/abs/1907.04490.
    """
    inverse = required(dynamics, "inverse")

    def one(params: PyTree, at: Accelerated) -> Array:
        torque = inverse(params, at.y.q, at.y.v, at.a)
        return torque / jnp.asarray(scale, torque.dtype)

    return _averaged(one)


@checked(
    make_step=check_function,
    substeps=check_count,
    observe=check_function,
    dynamics=has("a Dynamics", "vector_field", "state"),
)
def trajectory_matching(
    dynamics: Dynamics,
    make_step: Callable[[VectorField], Step] = integrators.rk4,
    *,
    substeps: int = 1,
    observe: Callable[[PyTree], Array] | None = None,
) -> Callable[[PyTree, Chunk], Array]:
    """`outputs(params, Chunk)`: what is seen of the motion at k times, one vector.

    Args:
      dynamics: what is learned.
      make_step: an integrator, `make_step(vector_field) -> step(t, y, dt, args)`.
      substeps: integrator steps between two times.
      observe: `observe(state) -> (c,)`, what is seen of a state; by default all of it,
        (q, p).

    Returns:
      A function of value (k · c,), time by time.

    Example:
      >>> from jaxphys import models
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,)))
      >>> outputs = trajectory_matching(motion)
      >>> chunk = Chunk(jnp.linspace(0, 0.5, 6), PhaseState(jnp.ones(1), jnp.zeros(1)))
      >>> outputs(motion.init(jax.random.key(0)), chunk).shape
      (10,)

    Reference: Chen et al., Symplectic Recurrent Neural Networks, 2020; Finzi, Wang &
    Wilson, Simplifying Hamiltonian and Lagrangian Neural Networks via Explicit
    Constraints, 2020.
    """
    path = follow(dynamics, make_step, substeps)
    seen = jax.vmap(jnp.hstack if observe is None else observe)

    @exact
    def outputs(params: PyTree, chunk: Chunk) -> Array:
        return seen(path(params, chunk)).reshape(-1)

    return outputs
