"""Reference motions of a two-link arm: sums of three sines a joint, and their torques.

Velocities and accelerations are exact; τ = M(q) q̈ + c(q, v) + g(q) is what they take.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import systems
from jaxphys.models import Normalization
from jaxphys.motion import of_system
from jaxphys.types import Array, TangentState, Trajectories, required

__all__ = ["ARM", "TIMES", "TRUE", "UNITS", "random_motions"]

ARM = systems.two_link_arm()
TRUE = of_system(ARM, TangentState)

#: Times of a motion, in s.
TIMES = np.linspace(0.0, 2.0, 50)

#: Typical sizes of the angles, velocities, accelerations and torques.
UNITS = Normalization(
    np.zeros(2), np.ones(2), np.full(2, 2.0), np.full(2, 2.0), np.full(2, 10.0)
)


def _angles(coefficients: Array, t: Array) -> Array:
    """Angles at a time: a middle, and three sines a joint."""
    middle, size, rate, phase = coefficients
    return middle[:, 0] + jnp.sum(size * jnp.sin(rate * t + phase), axis=1)


def _drawn(key: Array) -> Array:
    """Random middles, sizes, rates and phases of one motion, (4, 2, 3)."""
    bounds = jnp.array([[-np.pi, np.pi], [0.2, 0.8], [1.0, 5.0], [-np.pi, np.pi]])
    low, high = (bounds[:, i, None, None] for i in (0, 1))
    return jax.random.uniform(key, (4, 2, 3), float, low, high)


def random_motions(key: Array, count: int) -> Trajectories:
    """Random motions with velocities, accelerations, and the torques they take."""

    def at(coefficients: Array, t: Array) -> tuple[Array, Array, Array]:
        angles = functools.partial(_angles, coefficients)
        q, v = jax.jvp(angles, (t,), (jnp.ones_like(t),))
        a = jax.jacfwd(jax.jacfwd(angles))(t)
        return q, v, a

    inverse = functools.partial(required(TRUE, "inverse"), ARM.params)
    each = jax.vmap(jax.vmap(at, (None, 0)), (0, None))
    coefficients = jax.vmap(_drawn)(jax.random.split(key, count))
    q, v, a = jax.jit(each)(coefficients, jnp.asarray(TIMES, float))
    u = jax.jit(jax.vmap(jax.vmap(inverse)))(q, v, a)
    q, v, a, u = (np.asarray(x) for x in (q, v, a, u))
    return Trajectories(TIMES, TangentState(q, v), TangentState(v, a), u)
