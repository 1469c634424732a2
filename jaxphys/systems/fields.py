"""A point mass in a field: a galaxy's potential, a magnetic field.

| system | H or L |
|---|---|
| `henon_heiles` | H = (p² + q²)/2 + λ (x² y − y³/3) |
| `charged_particle` | L = m v²/2 + (e B/2)(x ẏ − y ẋ) + e E x |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.systems.record import Family, from_momenta, from_velocities
from jaxphys.types import Array, PhaseState, System, TangentState

__all__ = ["ChargedParams", "HenonHeilesParams", "charged_particle", "henon_heiles"]


class HenonHeilesParams(NamedTuple):
    """Constants of `henon_heiles`: the coupling λ."""

    coupling: Array | float


class ChargedParams(NamedTuple):
    """Constants of `charged_particle`: mass m, charge e, fields B and E."""

    mass: Array | float
    charge: Array | float
    magnetic: Array | float
    electric: Array | float


@Family
def henon_heiles(coupling: float = 1.0) -> System:
    """A star in a galaxy's plane, H = (p² + q²)/2 + λ (x² y − y³/3).

    With λ = 1 it is bound below H = 1/6, and the more chaotic the nearer to that.
    Initial states have q ~ U[−0.25, 0.25), and p of H = 1/8 in a uniform direction.

    Example:
      >>> henon_heiles(0.5).params
      HenonHeilesParams(coupling=0.5)

    Reference: Hénon & Heiles, Astronomical Journal 69, 1964.
    """

    def potential(params: HenonHeilesParams, q: Array) -> Array:
        x, y = q
        return q @ q / 2 + params.coupling * (x**2 * y - y**3 / 3)

    params = HenonHeilesParams(coupling)

    def sample(key: Array) -> PhaseState:
        first, second = jax.random.split(key)
        q = jax.random.uniform(first, (2,), minval=-0.25, maxval=0.25)
        angle = jax.random.uniform(second, (), maxval=2 * jnp.pi)
        speed = jnp.sqrt(jnp.maximum(2 * (1 / 8 - potential(params, q)), 0))
        return PhaseState(q, speed * jnp.stack([jnp.cos(angle), jnp.sin(angle)]))

    return from_momenta(
        "henon_heiles",
        params,
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
        duration=100.0,
        dt=0.02,
    )


@Family
def charged_particle(
    mass: float = 1.0,
    charge: float = 1.0,
    magnetic: float = 1.0,
    electric: float = 0.0,
) -> System:
    """A charge in uniform fields: B across the plane of motion, E along x.

    L = m v²/2 + (e B/2)(x ẏ − y ẋ) + e E x, H = |p − e A|²/2m − e E x with
    A = (B/2)(−y, x): a force that depends on velocity, m v̇ = e B (v_y, −v_x) + e E. The
    charge turns at ω = eB/m and drifts along −y at E/B. Initial states have q and v
    ~ U[−1, 1).

    Example:
      >>> charged_particle(electric=0.1).params.electric
      0.1
    """

    def potential(params: ChargedParams, q: Array) -> Array:
        """e A: what the momentum has beside m v."""
        return params.charge * params.magnetic / 2 * jnp.stack([-q[1], q[0]])

    def hamiltonian(params: ChargedParams, q: Array, p: Array) -> Array:
        kinetic = p - potential(params, q)
        work = params.charge * params.electric * q[0]
        return kinetic @ kinetic / (2 * params.mass) - work

    def lagrangian(params: ChargedParams, q: Array, v: Array) -> Array:
        work = params.charge * params.electric * q[0]
        return params.mass * v @ v / 2 + potential(params, q) @ v + work

    def sample(key: Array) -> TangentState:
        q, v = jax.random.uniform(key, (2, 2), minval=-1.0, maxval=1.0)
        return TangentState(q, v)

    return from_velocities(
        "charged_particle",
        ChargedParams(mass, charge, magnetic, electric),
        (hamiltonian, lagrangian),
        sample,
        (False, False),
        coordinates=("x", "y"),
        units=("1", "1"),
        points=lambda params, q: q[None],
        linked=False,
    )
