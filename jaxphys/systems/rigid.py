"""A rigid body that turns freely, in Euler's angles.

| system | L |
|---|---|
| `free_rigid_body` | ½ Σ I_i ω_i², ω = B(θ, ψ) (φ̇, θ̇, ψ̇) |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.numpy import cos, sin

from jaxphys.mechanics import natural
from jaxphys.precision import exact
from jaxphys.systems.record import Family, from_velocities, like
from jaxphys.types import Array, System, TangentState

__all__ = ["RigidBodyParams", "angular_velocity", "body_axes", "free_rigid_body"]


class RigidBodyParams(NamedTuple):
    """Constants of `free_rigid_body`: its principal moments of inertia."""

    inertia1: Array | float
    inertia2: Array | float
    inertia3: Array | float


def _rates(q: Array) -> Array:
    """B with ω = B q̇, the angular velocity in the axes of the body."""
    _, theta, psi = q
    zero, one = jnp.zeros_like(theta), jnp.ones_like(theta)
    rows = [
        [sin(theta) * sin(psi), cos(psi), zero],
        [sin(theta) * cos(psi), -sin(psi), zero],
        [cos(theta), zero, one],
    ]
    return jnp.stack([jnp.stack(row) for row in rows])


def _mass(params: RigidBodyParams, q: Array) -> Array:
    rates = _rates(q)
    return rates.T @ (jnp.stack(like(params, q))[:, None] * rates)


@exact
def angular_velocity(q: Array, v: Array) -> Array:
    """ω in the axes of the body, shape (3,).

    ω = (φ̇ sin θ sin ψ + θ̇ cos ψ, φ̇ sin θ cos ψ − θ̇ sin ψ, φ̇ cos θ + ψ̇).

    Example:
      >>> print(angular_velocity(jnp.zeros(3), jnp.array([1.0, 2.0, 3.0])))
      [2. 0. 4.]

    Reference: Landau & Lifshitz, Mechanics, § 35.
    """
    return _rates(q) @ v


@exact
def body_axes(q: Array) -> Array:
    """The body's axes as columns, in space, shape (3, 3): a rotation matrix.

    Example:
      >>> print(body_axes(jnp.zeros(3)))
      [[1. 0. 0.]
       [0. 1. 0.]
       [0. 0. 1.]]
    """

    def about_z(angle: Array) -> Array:
        c, s, zero = cos(angle), sin(angle), jnp.zeros_like(angle)
        rows = [[c, -s, zero], [s, c, zero], [zero, zero, jnp.ones_like(angle)]]
        return jnp.stack([jnp.stack(row) for row in rows])

    # About x is about z with the axes turned around by one: z → x.
    about_x = jnp.roll(about_z(q[1]), (1, 1), (0, 1))
    return about_z(q[0]) @ about_x @ about_z(q[2])


@Family
def free_rigid_body(
    inertia1: float = 1.0, inertia2: float = 2.0, inertia3: float = 3.0
) -> System:
    """A body that turns freely, in Euler's angles (φ, θ, ψ): ½ Σ I_i ω_i².

    Its angular momentum in space is conserved, and turning about the middle axis is
    unstable. The angles are singular at θ = 0 and π; motions that come near need other
    coordinates. Initial states turn about nearly the third axis, which nods by less
    than the angle to the singularity: φ, ψ ~ U[0, 2π), θ ~ U[π/3, 2π/3) and
    ω = (0, 0, Ω) plus 0.1 N(0, 1), where Ω ~ U[1, 2).

    Example:
      >>> free_rigid_body().periodic
      (True, False, True)

    Reference: Landau & Lifshitz, Mechanics, § 35–37.
    """

    def sample(key: Array) -> TangentState:
        a, b, c, d = jax.random.split(key, 4)
        phi, psi = jax.random.uniform(a, (2,), maxval=2 * jnp.pi)
        theta = jax.random.uniform(b, (), minval=jnp.pi / 3, maxval=2 * jnp.pi / 3)
        q = jnp.stack([phi, theta, psi])
        spin = jax.random.uniform(c, (), minval=1.0, maxval=2.0)
        wobble = 0.1 * jax.random.normal(d, (3,))
        omega = wobble.at[2].add(spin)
        return TangentState(q, jnp.linalg.solve(_rates(q), omega))

    return from_velocities(
        "free_rigid_body",
        RigidBodyParams(inertia1, inertia2, inertia3),
        natural(_mass, lambda params, q: jnp.zeros((), q.dtype)),
        sample,
        (True, False, True),
        coordinates=(r"\varphi", r"\theta", r"\psi"),
        units=("rad", "rad", "rad"),
        dt=0.005,
    )
