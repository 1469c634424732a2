"""Pendula: plain, double, chains of N, on a spring, and on a cart.

Angles are measured from the downward vertical, that of the cart's pole from the upward
one. Lengths in m, masses in kg, times in s.

| system | L |
|---|---|
| `pendulum` | m l² θ̇²/2 − m g l (1 − cos θ) |
| `double_pendulum` | ½(m₁ + m₂) l₁² θ̇₁² + ½ m₂ l₂² θ̇₂² + m₂ l₁ l₂ θ̇₁ θ̇₂ cos(θ₁ − θ₂) + (m₁ + m₂) g l₁ cos θ₁ + m₂ g l₂ cos θ₂ |
| `pendulum_chain` | Σ_i m_i (ẋ_i² + ẏ_i²)/2 − g m_i y_i, bodies at (x, y)_i = Σ_{j≤i} l_j (sin θ_j, −cos θ_j) |
| `elastic_pendulum` | m (ṙ² + r² θ̇²)/2 + m g r cos θ − k (r − l)²/2 |
| `cart_pole` | (M + m) ẋ²/2 + m l ẋ θ̇ cos θ + m l² θ̇²/2 − m g l cos θ |
"""  # noqa: E501

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.numpy import cos, sin

from jaxphys.mechanics import natural
from jaxphys.systems.record import (
    Family,
    check_count,
    from_momenta,
    from_velocities,
    like,
    numbered,
    ring,
    symmetric2,
)
from jaxphys.types import Array, System, TangentState

__all__ = [
    "CartPoleParams",
    "DoublePendulumParams",
    "ElasticPendulumParams",
    "PendulumChainParams",
    "PendulumParams",
    "cart_pole",
    "double_pendulum",
    "elastic_pendulum",
    "pendulum",
    "pendulum_chain",
]


class PendulumParams(NamedTuple):
    """Constants of `pendulum`: mass m, length l, gravity g."""

    mass: Array | float
    length: Array | float
    gravity: Array | float


class DoublePendulumParams(NamedTuple):
    """Constants of `double_pendulum`: masses m₁, m₂, lengths l₁, l₂, gravity g."""

    mass1: Array | float
    mass2: Array | float
    length1: Array | float
    length2: Array | float
    gravity: Array | float


class PendulumChainParams(NamedTuple):
    """Constants of `pendulum_chain`: masses (n,), lengths (n,), gravity g."""

    masses: Array
    lengths: Array
    gravity: Array | float


class ElasticPendulumParams(NamedTuple):
    """Constants of `elastic_pendulum`: m, k, the length l at rest, g."""

    mass: Array | float
    stiffness: Array | float
    length: Array | float
    gravity: Array | float


class CartPoleParams(NamedTuple):
    """Constants of `cart_pole`: masses M of the cart and m at the pole's end, l, g."""

    cart_mass: Array | float
    pole_mass: Array | float
    length: Array | float
    gravity: Array | float


def _hanging(lengths: Array, angles: Array) -> Array:
    """The pivot at the origin and the joints below it, (n + 1, 2)."""
    steps = jnp.stack([lengths * sin(angles), -lengths * cos(angles)], axis=1)
    return jnp.concatenate([jnp.zeros((1, 2), steps.dtype), jnp.cumsum(steps, axis=0)])


@Family
def pendulum(mass: float = 0.5, length: float = 1.0, gravity: float = 6.0) -> System:
    """A pendulum, H = p²/2ml² + mgl (1 − cos θ); by default H = p² + 3 (1 − cos θ).

    Initial states have |(θ, p)| ~ U[1.3, 2.3), in a uniform direction, as in Greydanus
    et al., Hamiltonian Neural Networks, 2019.

    Example:
      >>> pendulum(gravity=9.81).params
      PendulumParams(mass=0.5, length=1.0, gravity=9.81)
    """

    def potential(params: PendulumParams, q: Array) -> Array:
        lift = params.length * (1 - cos(q[0]))
        return params.mass * params.gravity * lift

    def inertia(params: PendulumParams) -> Array | float:
        return params.mass * params.length**2

    return from_momenta(
        "pendulum",
        PendulumParams(mass, length, gravity),
        (
            lambda params, q, p: p @ p / (2 * inertia(params)) + potential(params, q),
            lambda params, q, v: inertia(params) * v @ v / 2 - potential(params, q),
        ),
        lambda key: ring(key, 1.3, 2.3),
        (True,),
        coordinates=(r"\theta",),
        units=("rad",),
        points=lambda params, q: _hanging(params.length, q),
        separable=True,
    )


def _double_mass(params: DoublePendulumParams, q: Array) -> Array:
    m1, m2, l1, l2, _ = params
    mixed = m2 * l1 * l2 * cos(q[0] - q[1])
    return symmetric2((m1 + m2) * l1**2, mixed, m2 * l2**2)


def _double_potential(params: DoublePendulumParams, q: Array) -> Array:
    m1, m2, l1, l2, g = params
    return -g * ((m1 + m2) * l1 * cos(q[0]) + m2 * l2 * cos(q[1]))


@Family
def double_pendulum(
    mass1: float = 1.0,
    mass2: float = 1.0,
    length1: float = 1.0,
    length2: float = 1.0,
    gravity: float = 9.8,
) -> System:
    """Two pendula, one attached to the other: chaotic.

    L = ½(m₁ + m₂) l₁² θ̇₁² + ½ m₂ l₂² θ̇₂² + m₂ l₁ l₂ θ̇₁ θ̇₂ cos(θ₁ − θ₂)
        + (m₁ + m₂) g l₁ cos θ₁ + m₂ g l₂ cos θ₂.

    Initial states have θ ~ U[0, 2π), ω ~ U[−10, 10), as in Cranmer et al., Lagrangian
    Neural Networks, 2020.

    Example:
      >>> double_pendulum(mass2=2.0).params.mass2
      2.0
    """

    def sample(key: Array) -> TangentState:
        first, second = jax.random.split(key)
        angles = jax.random.uniform(first, (2,), maxval=2 * jnp.pi)
        rates = jax.random.uniform(second, (2,), minval=-10.0, maxval=10.0)
        return TangentState(angles, rates)

    return from_velocities(
        "double_pendulum",
        DoublePendulumParams(mass1, mass2, length1, length2, gravity),
        natural(_double_mass, _double_potential),
        sample,
        (True, True),
        coordinates=numbered(r"\theta", 2),
        units=("rad", "rad"),
        points=lambda params, q: _hanging(
            jnp.stack(like((params.length1, params.length2), q)), q
        ),
        duration=10.0,
        dt=0.002,
    )


@Family
def pendulum_chain(
    num_pendula: int = 3, *, key: Array | None = None, gravity: float = 9.81
) -> System:
    """N pendula, each attached to the one before.

    M_ij = l_i l_j cos(θ_i − θ_j) Σ_{k≥max(i,j)} m_k, V = −g Σ_i l_i cos θ_i Σ_{k≥i}
    m_k. Initial states have θ, ω ~ N(0, 1).

    Args:
      num_pendula: N.
      key: to draw masses and lengths from 0.6 + 0.8 U[0, 1), as in Finzi et al.,
        Simplifying Hamiltonian and Lagrangian Neural Networks via Explicit Constraints,
        2020; without one they are 1.
      gravity: g.

    Example:
      >>> print(pendulum_chain(2).params.masses)
      [1. 1.]
    """
    check_count("num_pendula", num_pendula)
    ones = jnp.ones((2, num_pendula))
    masses, lengths = (
        ones if key is None else 0.6 + 0.8 * jax.random.uniform(key, ones.shape)
    )
    index = jnp.arange(num_pendula)
    later = jnp.maximum(index[:, None], index[None])

    def carried(params: PendulumChainParams) -> Array:
        """The mass that hangs on each joint, from it to the end."""
        return jnp.cumsum(params.masses[::-1])[::-1]

    def mass(params: PendulumChainParams, q: Array) -> Array:
        params = like(params, q)
        spread = jnp.outer(params.lengths, params.lengths)
        return carried(params)[later] * spread * cos(q[None] - q[:, None])

    def potential(params: PendulumChainParams, q: Array) -> Array:
        params = like(params, q)
        return -params.gravity * (carried(params) * params.lengths) @ cos(q)

    def sample(key: Array) -> TangentState:
        angles, rates = jax.random.normal(key, (2, num_pendula))
        return TangentState(angles, rates)

    return from_velocities(
        "pendulum_chain",
        PendulumChainParams(masses, lengths, gravity),
        natural(mass, potential),
        sample,
        (True,) * num_pendula,
        coordinates=numbered(r"\theta", num_pendula),
        units=("rad",) * num_pendula,
        points=lambda params, q: _hanging(like(params.lengths, q), q),
        duration=10.0,
        dt=0.002,
    )


@Family
def elastic_pendulum(
    mass: float = 1.0,
    stiffness: float = 40.0,
    length: float = 1.0,
    gravity: float = 9.81,
) -> System:
    """A pendulum whose rod is a spring, in (r, θ).

    L = m (ṙ² + r² θ̇²)/2 + m g r cos θ − k (r − l)²/2. Initial states have r within 20 %
    of its value at rest, θ ~ U[−π/2, π/2), ṙ and θ̇ ~ U[−0.5, 0.5).

    Example:
      >>> elastic_pendulum().periodic
      (False, True)
    """

    def inertia(params: ElasticPendulumParams, q: Array) -> Array:
        return jnp.diag(params.mass * jnp.stack([jnp.ones_like(q[0]), q[0] ** 2]))

    def potential(params: ElasticPendulumParams, q: Array) -> Array:
        height = -q[0] * cos(q[1])
        stretch = q[0] - params.length
        fall = params.mass * params.gravity * height
        return fall + params.stiffness * stretch**2 / 2

    still = length + mass * gravity / stiffness

    def sample(key: Array) -> TangentState:
        a, b, c = jax.random.split(key, 3)
        r = still * jax.random.uniform(a, (), minval=0.8, maxval=1.2)
        angle = jax.random.uniform(b, (), minval=-jnp.pi / 2, maxval=jnp.pi / 2)
        rates = jax.random.uniform(c, (2,), minval=-0.5, maxval=0.5)
        return TangentState(jnp.stack([r, angle]), rates)

    return from_velocities(
        "elastic_pendulum",
        ElasticPendulumParams(mass, stiffness, length, gravity),
        natural(inertia, potential),
        sample,
        (False, True),
        coordinates=("r", r"\theta"),
        units=("m", "rad"),
        points=lambda params, q: _hanging(q[:1], q[1:]),
        dt=0.005,
    )


@Family
def cart_pole(
    cart_mass: float = 1.0,
    pole_mass: float = 0.1,
    length: float = 0.5,
    gravity: float = 9.8,
) -> System:
    """A pole with a mass at its end, on a cart: in (x, θ), θ = 0 upright.

    L = (M + m) ẋ²/2 + m l ẋ θ̇ cos θ + m l² θ̇²/2 − m g l cos θ. A force on the cart is
    the generalized force (u, 0). Initial states have x ~ U[−1, 1), θ ~ U[−π, π), and
    rates ~ U[−1, 1).

    Example:
      >>> cart_pole().units
      ('m', 'rad')
    """

    def inertia(params: CartPoleParams, q: Array) -> Array:
        cart, pole, length, _ = params
        mixed = pole * length * cos(q[1])
        return symmetric2(cart + pole, mixed, pole * length**2)

    def potential(params: CartPoleParams, q: Array) -> Array:
        return params.pole_mass * params.gravity * params.length * cos(q[1])

    def points(params: CartPoleParams, q: Array) -> Array:
        end = params.length * jnp.stack([sin(q[1]), cos(q[1])])
        cart = jnp.stack([q[0], jnp.zeros_like(q[0])])
        return jnp.stack([cart, cart + end])

    def sample(key: Array) -> TangentState:
        first, second = jax.random.split(key)
        scale = jnp.array([1.0, jnp.pi])
        q = scale * jax.random.uniform(first, (2,), minval=-1.0, maxval=1.0)
        v = jax.random.uniform(second, (2,), minval=-1.0, maxval=1.0)
        return TangentState(q, v)

    return from_velocities(
        "cart_pole",
        CartPoleParams(cart_mass, pole_mass, length, gravity),
        natural(inertia, potential),
        sample,
        (False, True),
        coordinates=("x", r"\theta"),
        units=("m", "rad"),
        points=points,
        duration=10.0,
        dt=0.005,
    )
