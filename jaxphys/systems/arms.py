"""Robot arms.

| system | L |
|---|---|
| `two_link_arm` | ½ vᵀ M(q₂) v − g₁ sin q₁ − g₂ sin(q₁ + q₂) |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.numpy import cos, sin

from jaxphys.mechanics import natural
from jaxphys.systems.record import Family, from_velocities, symmetric2
from jaxphys.types import Array, System, TangentState

__all__ = ["TwoLinkParams", "two_link_arm"]


class TwoLinkParams(NamedTuple):
    """Constants of `two_link_arm`.

    Attributes:
      inertia1, inertia2: I₁, I₂ of the links, in kg m².
      coupling: c, in kg m².
      gravity1, gravity2: g₁, g₂, the torques that hold the links level, in N m.
    """

    inertia1: Array | float
    inertia2: Array | float
    coupling: Array | float
    gravity1: Array | float
    gravity2: Array | float


def _mass(params: TwoLinkParams, q: Array) -> Array:
    swing = params.coupling * cos(q[1])
    mixed = params.inertia2 + swing
    return symmetric2(params.inertia1 + mixed + swing, mixed, params.inertia2)


def _potential(params: TwoLinkParams, q: Array) -> Array:
    return params.gravity1 * sin(q[0]) + params.gravity2 * sin(q[0] + q[1])


@Family
def two_link_arm(
    inertia1: float = 0.8551146,
    inertia2: float = 0.5176146,
    coupling: float = 0.5,
    gravity1: float = 2.625,
    gravity2: float = 1.5,
) -> System:
    """A planar arm of two links, of the DeLaN experiments: τ = M q̈ + c + g.

    M₁₁ = I₁ + I₂ + 2c cos q₂, M₁₂ = I₂ + c cos q₂, M₂₂ = I₂; V = g₁ sin q₁ +
    g₂ sin(q₁ + q₂). The first angle is measured from the horizontal, the second from
    the first link; torques are its generalized forces. Initial states: q ~ U[−π, π),
    v ~ U[−2, 2). It is drawn with links of 1 m.

    Example:
      >>> two_link_arm().periodic
      (True, True)

    Reference: Lutter, Ritter & Peters, Deep Lagrangian Networks, 2019.
    """

    def sample(key: Array) -> TangentState:
        first, second = jax.random.split(key)
        q = jax.random.uniform(first, (2,), minval=-jnp.pi, maxval=jnp.pi)
        v = jax.random.uniform(second, (2,), minval=-2.0, maxval=2.0)
        return TangentState(q, v)

    def points(params: TwoLinkParams, q: Array) -> Array:
        angles = jnp.cumsum(q)
        links = jnp.stack([cos(angles), sin(angles)], axis=1)
        return jnp.concatenate([jnp.zeros((1, 2), q.dtype), jnp.cumsum(links, axis=0)])

    return from_velocities(
        "two_link_arm",
        TwoLinkParams(inertia1, inertia2, coupling, gravity1, gravity2),
        natural(_mass, _potential),
        sample,
        (True, True),
        coordinates=("q_1", "q_2"),
        units=("rad", "rad"),
        points=points,
        duration=10.0,
        dt=0.002,
    )
