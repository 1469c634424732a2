"""Central forces and gravity.

| system | H |
|---|---|
| `central_force` | p_r²/2m + p_θ²/2mr² + k rⁿ/n, in (r, θ) |
| `kepler` | p²/2 − μ/√(q² + ε²), in the plane |
| `two_body`, `three_body`, `n_body` | Σ p_i²/2m_i − G Σ_{i<j} m_i m_j/√(r_ij² + ε²), in the plane |
"""  # noqa: E501

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.mechanics import natural
from jaxphys.systems.record import (
    Family,
    check_count,
    from_momenta,
    from_velocities,
    like,
)
from jaxphys.types import Array, PhaseState, System, TangentState

__all__ = [
    "CentralForceParams",
    "GravityParams",
    "KeplerParams",
    "central_force",
    "kepler",
    "n_body",
    "three_body",
    "two_body",
]


class CentralForceParams(NamedTuple):
    """Constants of `central_force`: m, k, and n of V = k rⁿ/n."""

    mass: Array | float
    strength: Array | float
    exponent: Array | float


class KeplerParams(NamedTuple):
    """Constants of `kepler`: μ and the softening length ε."""

    mu: Array | float
    softening: Array | float


class GravityParams(NamedTuple):
    """Constants of `n_body`: masses (n,), G and the softening length ε."""

    masses: Array
    gravity: Array | float
    softening: Array | float


@Family
def central_force(
    mass: float = 1.0, strength: float = 1.0, exponent: float = -1.0
) -> System:
    """Motion in a central field V = k rⁿ/n, in polar coordinates (r, θ).

    L = m (ṙ² + r² θ̇²)/2 − k rⁿ/n: n = −1 is gravity, n = 2 a spring. Initial states:
    r ~ U[0.8, 1.2), θ ~ U[0, 2π), ṙ ~ U[−0.3, 0.3) and θ̇ within 20 % of the circular.

    Raises:
      ValueError: for an exponent of zero, where V = k rⁿ/n is not defined.

    Example:
      >>> central_force(exponent=2.0).params.exponent
      2.0
    """
    if exponent == 0:
        raise ValueError("exponent is 0; expected another, as V = k rⁿ/n.")

    def inertia(params: CentralForceParams, q: Array) -> Array:
        return jnp.diag(params.mass * jnp.stack([jnp.ones_like(q[0]), q[0] ** 2]))

    def potential(params: CentralForceParams, q: Array) -> Array:
        return params.strength * q[0] ** params.exponent / params.exponent

    def sample(key: Array) -> TangentState:
        keys = jax.random.split(key, 4)
        r = jax.random.uniform(keys[0], (), minval=0.8, maxval=1.2)
        angle = jax.random.uniform(keys[1], (), maxval=2 * jnp.pi)
        radial = jax.random.uniform(keys[2], (), minval=-0.3, maxval=0.3)
        circular = jnp.sqrt(strength / mass * r ** (exponent - 2))
        rate = circular * jax.random.uniform(keys[3], (), minval=0.8, maxval=1.2)
        return TangentState(jnp.stack([r, angle]), jnp.stack([radial, rate]))

    return from_velocities(
        "central_force",
        CentralForceParams(mass, strength, exponent),
        natural(inertia, potential),
        sample,
        (False, True),
        coordinates=("r", r"\theta"),
        units=("1", "rad"),
        points=lambda params, q: q[0] * jnp.stack([jnp.cos(q[1]), jnp.sin(q[1])])[None],
        linked=False,
    )


def _inverse(distance_squared: Array, softening: Array | float) -> Array:
    return 1 / jnp.sqrt(distance_squared + softening**2)


@Family
def kepler(mu: float = 1.0, softening: float = 0.0) -> System:
    """Kepler's problem in the plane, H = p²/2 − μ/√(q² + ε²), with unit mass.

    Without softening energy, angular momentum and the Runge–Lenz vector
    p × L − μ q/|q| are conserved. Initial states start at the pericenter of ellipses of
    semi-major axis 1 and eccentricity U[0, 0.6), in a uniform direction.

    Example:
      >>> kepler(mu=4.0).params
      KeplerParams(mu=4.0, softening=0.0)
    """

    def potential(params: KeplerParams, q: Array) -> Array:
        return -params.mu * _inverse(q @ q, params.softening)

    def sample(key: Array) -> PhaseState:
        first, second = jax.random.split(key)
        e = jax.random.uniform(first, (), maxval=0.6)
        angle = jax.random.uniform(second, (), maxval=2 * jnp.pi)
        out = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
        along = jnp.stack([-out[1], out[0]])
        return PhaseState((1 - e) * out, jnp.sqrt(mu * (1 + e) / (1 - e)) * along)

    return from_momenta(
        "kepler",
        KeplerParams(mu, softening),
        (
            lambda params, q, p: p @ p / 2 + potential(params, q),
            lambda params, q, v: v @ v / 2 - potential(params, q),
        ),
        sample,
        (False, False),
        coordinates=("x", "y"),
        units=("1", "1"),
        points=lambda params, q: q[None],
        linked=False,
        separable=True,
        dt=0.005,
    )


def _gravity(name: str, masses, gravity, softening, sample, **rest) -> System:
    masses = jnp.asarray(masses, float)
    if not isinstance(masses, jax.core.Tracer) and not np.all(
        np.isfinite(masses) & (np.asarray(masses) > 0)
    ):
        raise ValueError(f"masses are {masses}; expected finite numbers above zero.")
    if masses.ndim != 1 or masses.shape[0] < 2:
        raise ValueError(
            f"masses have shape {masses.shape}; expected one per body, (n,), n ≥ 2."
        )
    count = masses.shape[0]
    first, second = np.triu_indices(count, 1)

    def potential(params: GravityParams, q: Array) -> Array:
        m, gravity, softening = like(params, q)
        positions = q.reshape(count, 2)
        gaps = positions[first] - positions[second]
        inverse = _inverse(jnp.sum(gaps**2, axis=1), softening)
        return -gravity * jnp.sum(m[first] * m[second] * inverse)

    def kinetic(m: Array, speeds: Array) -> Array:
        return m @ jnp.sum(speeds.reshape(count, 2) ** 2, axis=1) / 2

    def hamiltonian(params: GravityParams, q: Array, p: Array) -> Array:
        return kinetic(1 / like(params.masses, q), p) + potential(params, q)

    def lagrangian(params: GravityParams, q: Array, v: Array) -> Array:
        return kinetic(like(params.masses, q), v) - potential(params, q)

    return from_velocities(
        name,
        GravityParams(masses, gravity, softening),
        (hamiltonian, lagrangian),
        sample,
        (False,) * (2 * count),
        coordinates=tuple(f"{x}_{{{i + 1}}}" for i in range(count) for x in "xy"),
        units=("1",) * (2 * count),
        points=lambda params, q: q.reshape(count, 2),
        linked=False,
        separable=True,
        **rest,
    )


def _turned(vector: Array, angle: float) -> Array:
    x, y = vector
    cos, sin = np.cos(angle), np.sin(angle)
    return jnp.stack([cos * x - sin * y, sin * x + cos * y])


def _ring_of_bodies(key: Array, count: int, low: float, high: float) -> TangentState:
    """Unit masses evenly on a circle, turning on it, G = 1; the radius is uniform."""
    first, second = jax.random.split(key)
    radius = jax.random.uniform(first, (), minval=low, maxval=high)
    angle = jax.random.uniform(second, (), maxval=2 * jnp.pi)
    start = radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    turns = 2 * np.pi * np.arange(count) / count
    positions = jnp.stack([_turned(start, turn) for turn in turns])
    # The others pull inward by Σ 1/(4 r² sin(turn/2)).
    pull = np.sum(1 / (4 * np.sin(turns[1:] / 2)))
    speed = jnp.sqrt(pull / radius) / radius
    along = jnp.stack([-positions[:, 1], positions[:, 0]], axis=1)
    return TangentState(positions, speed * along)


@Family
def two_body(gravity: float = 1.0, softening: float = 0.0) -> System:
    """Two unit masses under gravity, in the plane; n = 4 coordinates.

    Initial states are nearly circular: radii U[0.5, 1.5) about the common center,
    speeds 5 % (normal) off the circular one of G = 1, as in Greydanus et al.,
    Hamiltonian Neural Networks, 2019.

    Example:
      >>> two_body().periodic
      (False, False, False, False)
    """

    def sample(key: Array) -> TangentState:
        first, second = jax.random.split(key)
        q, v = _ring_of_bodies(first, 2, 0.5, 1.5)
        v = v * (1 + 0.05 * jax.random.normal(second, ()))
        return TangentState(q.ravel(), v.ravel())

    return _gravity("two_body", jnp.ones(2), gravity, softening, sample)


@Family
def three_body(gravity: float = 1.0, softening: float = 0.0) -> System:
    """Three unit masses under gravity, in the plane; n = 6 coordinates; chaotic.

    Initial states have the bodies on a circle of radius U[0.9, 1.2), 120° apart, each
    component of their circular velocities off by a factor 1 + 0.2 U[−1, 1), as in
    Greydanus et al., Hamiltonian Neural Networks, 2019.

    Example:
      >>> print(three_body().params.masses)
      [1. 1. 1.]
    """

    def sample(key: Array) -> TangentState:
        first, second = jax.random.split(key)
        q, v = _ring_of_bodies(first, 3, 0.9, 1.2)
        v = v * (1 + 0.2 * jax.random.uniform(second, v.shape, minval=-1.0, maxval=1.0))
        return TangentState(q.ravel(), v.ravel())

    return _gravity(
        "three_body", jnp.ones(3), gravity, softening, sample, duration=5.0, dt=0.001
    )


@Family
def n_body(
    num_bodies: int = 5,
    *,
    masses: Array | None = None,
    gravity: float = 1.0,
    softening: float = 0.1,
) -> System:
    """N bodies under gravity in the plane, H = Σ p²/2m − G Σ m m′/√(r² + ε²).

    Coordinates are (x₁, y₁, x₂, y₂, …). Without softening, ε = 0, the values are not
    finite after two bodies have met, which a `RolloutInfo` reports.
    Initial states have positions ~ N(0, 1) and velocities ~ N(0, ½²), about the center
    of mass at rest.

    Args:
      num_bodies: N ≥ 2.
      masses: shape (N,); 1/N each by default.
      gravity: G.
      softening: ε.

    Example:
      >>> n_body(3, softening=0.0).params.softening
      0.0
    """
    check_count("num_bodies", num_bodies, 2)
    weights = jnp.ones(num_bodies) / num_bodies if masses is None else masses
    if jnp.shape(weights) != (num_bodies,):
        raise ValueError(
            f"masses have shape {jnp.shape(weights)}; expected one per body, "
            f"({num_bodies},)."
        )

    def sample(key: Array) -> TangentState:
        q, v = jax.random.normal(key, (2, num_bodies, 2))
        share = jnp.asarray(weights)[:, None] / jnp.sum(weights)
        q, v = (x - jnp.sum(share * x, axis=0) for x in (q, v / 2))
        return TangentState(q.ravel(), v.ravel())

    return _gravity("n_body", weights, gravity, softening, sample, duration=10.0)
