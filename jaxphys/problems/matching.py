"""Learning a motion by matching its derivatives, its torques or its trajectories.

Each function makes an `outputs(params, inputs) -> (d,)` of one sample, as every
optimizer takes it. Matching derivatives needs no integrator. Matching trajectories
needs no derivatives, and so no finite differences, which amplify noise.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import integrators
from jaxphys.data import Accelerated, Chunk, Moment
from jaxphys.types import (
    Array,
    Chart,
    Dynamics,
    PhaseState,
    PyTree,
    Step,
    VectorField,
    required,
)

__all__ = [
    "arguments",
    "chart_of",
    "derivative_matching",
    "follow",
    "rate_vector",
    "torque_matching",
    "trajectory_matching",
]


def arguments(params: PyTree, u: Array | None) -> Any:
    """The args of a vector field: the params, or (params, u) with an input u."""
    return params if u is None else (params, u)


def rate_vector(dynamics: Dynamics, rate: PyTree) -> Array:
    """A time derivative as one vector: (q̇, ṗ), or v̇ for a TangentState."""
    if dynamics.state is PhaseState:
        return jnp.concatenate([rate[0], rate[1]])
    return rate[1]


def derivative_matching(
    dynamics: Dynamics, scale: Array | float | tuple[float, ...] = 1.0
) -> Callable[[PyTree, Moment], Array]:
    """`outputs(params, Moment)`: the field at one moment, in units of `scale`.

    Args:
      dynamics: the motion to be learned.
      scale: the unit of each component, (d,). Divide the targets by it too.

    Returns:
      A function with the value (q̇, ṗ)/scale, d = 2n; or v̇/scale, d = n, for a
      TangentState.

    Example:
      >>> from jaxphys import models
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,)))
      >>> outputs = derivative_matching(motion)
      >>> moment = Moment(0.0, PhaseState(jnp.ones(1), jnp.zeros(1)))
      >>> outputs(motion.init(jax.random.key(0)), moment).shape
      (2,)
    """

    def outputs(params: PyTree, moment: Moment) -> Array:
        rate = dynamics.vector_field(moment.t, moment.y, arguments(params, moment.u))
        vector = rate_vector(dynamics, rate)
        return vector / jnp.asarray(scale, vector.dtype)

    return outputs


def torque_matching(
    dynamics: Dynamics, scale: Array | float | tuple[float, ...] = 1.0
) -> Callable[[PyTree, Accelerated], Array]:
    """`outputs(params, Accelerated)`: the force of an acceleration, over `scale`.

    The inverse of `derivative_matching`: the acceleration is given, and the applied
    force (n,) is matched.

    Raises:
      ValueError: for a motion without an inverse.

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

    def outputs(params: PyTree, at: Accelerated) -> Array:
        torque = inverse(params, at.y.q, at.y.v, at.a)
        return torque / jnp.asarray(scale, torque.dtype)

    return outputs


def chart_of(dynamics: Dynamics) -> Chart:
    """The coordinates in which a motion is integrated: its chart, or else its own."""
    own = Chart(lambda params, y: y, lambda params, z: z, dynamics.vector_field)
    return own if dynamics.chart is None else dynamics.chart


def follow(
    dynamics: Dynamics,
    make_step: Callable[[VectorField], Step] = integrators.rk4,
    substeps: int = 1,
) -> Callable[[PyTree, Chunk], PyTree]:
    """`path(params, Chunk)`: the states at all its times but the first.

    A motion that has a chart is integrated in its coordinates.

    Args:
      dynamics: the motion.
      make_step: an integrator, `make_step(vector_field) -> step(t, y, dt, args)`.
      substeps: integrator steps between two times.
    """
    chart = chart_of(dynamics)
    # Reverse mode through the gradient of an energy stores many small arrays, and the
    # scans copy them. It is faster to keep only the matrix products and to compute the
    # rest again.
    field = jax.checkpoint(
        chart.vector_field,
        prevent_cse=False,
        policy=jax.checkpoint_policies.dots_saveable,
    )
    step = make_step(field)

    def path(params: PyTree, chunk: Chunk) -> PyTree:
        small = jnp.diff(chunk.t) / substeps

        def between(y: PyTree, at: tuple):
            t, dt, u = at
            for number in range(substeps):
                y = step(t + number * dt, y, dt, arguments(params, u))
            return y, y

        at = (chunk.t[:-1], small, chunk.u)
        inner = jax.lax.scan(between, chart.enter(params, chunk.y), at)[1]
        return jax.vmap(chart.leave, (None, 0))(params, inner)

    return path


def trajectory_matching(
    dynamics: Dynamics,
    make_step: Callable[[VectorField], Step] = integrators.rk4,
    *,
    substeps: int = 1,
    observe: Callable[[PyTree], Array] | None = None,
) -> Callable[[PyTree, Chunk], Array]:
    """`outputs(params, Chunk)`: the observed states at k times, as one vector.

    Args:
      dynamics: the motion to be learned.
      make_step: an integrator, `make_step(vector_field) -> step(t, y, dt, args)`.
      substeps: integrator steps between two times.
      observe: `observe(state) -> (c,)`, the observed part of a state; by default all of
        it, (q, p).

    Returns:
      A function with a value of shape (k · c,), time by time.

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
    observed = jax.vmap(jnp.hstack if observe is None else observe)

    def outputs(params: PyTree, chunk: Chunk) -> Array:
        return observed(path(params, chunk)).reshape(-1)

    return outputs
