"""Oscillators of one coordinate, and chains of unit masses on unit springs.

| system | H |
|---|---|
| `mass_spring` | p²/2m + k q²/2 |
| `duffing` | p²/2 + α q²/2 + β q⁴/4 |
| `driven_oscillator` | p²/2m + k q²/2, with R = c v²/2 and F = A cos ωt |
| `linear_chain` | Σ (q² + p²)/2 + k/2 Σ (q_i − q_{i+1})² |
| `quartic_chain` | Σ (q² + p²)/2 + α Σ (q_i − q_{i+1})⁴ |

The force of the linear chain is k times the free-ended discrete Laplacian; α = ¼ of
the quartic one is the force (q_j − q_i)³.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.systems.record import Family, check_count, from_momenta, numbered, ring
from jaxphys.types import Array, PhaseState, PyTree, System

__all__ = [
    "ChainParams",
    "DrivenParams",
    "DuffingParams",
    "SpringParams",
    "driven_oscillator",
    "duffing",
    "linear_chain",
    "mass_spring",
    "quartic_chain",
]


class SpringParams(NamedTuple):
    """Constants of `mass_spring`: its mass m and stiffness k."""

    mass: Array | float
    stiffness: Array | float


class DuffingParams(NamedTuple):
    """Constants of `duffing`: α of the linear force, β of the cubic one."""

    linear: Array | float
    cubic: Array | float


class DrivenParams(NamedTuple):
    """Constants of `driven_oscillator`.

    Attributes:
      mass, stiffness: m and k of its energy.
      damping: c of Rayleigh's function c v²/2.
      amplitude, frequency: A and ω of the force A cos ωt.
    """

    mass: Array | float
    stiffness: Array | float
    damping: Array | float
    amplitude: Array | float
    frequency: Array | float


class ChainParams(NamedTuple):
    """Constants of a chain.

    Attributes:
      coupling: k of the linear chain, or α of the quartic one.
    """

    coupling: Array | float


def _spring_hamiltonian(params, q: Array, p: Array) -> Array:
    return p @ p / (2 * params.mass) + params.stiffness * q @ q / 2


def _spring_lagrangian(params, q: Array, v: Array) -> Array:
    return params.mass * v @ v / 2 - params.stiffness * q @ q / 2


@Family
def mass_spring(mass: float = 0.5, stiffness: float = 2.0) -> System:
    """A mass on a spring, H = p²/2m + k q²/2; by default H = q² + p², with ω = 2.

    Initial states have |(q, p)| ~ U[0.1, 1), in a uniform direction, as in Greydanus
    et al., Hamiltonian Neural Networks, 2019.

    Example:
      >>> mass_spring(stiffness=8.0).params
      SpringParams(mass=0.5, stiffness=8.0)
    """
    return from_momenta(
        "mass_spring",
        SpringParams(mass, stiffness),
        (_spring_hamiltonian, _spring_lagrangian),
        lambda key: ring(key, 0.1, 1.0),
        (False,),
        coordinates=("q",),
        units=("1",),
        points=_on_a_line,
        separable=True,
        dt=0.02,
    )


def _on_a_line(params: PyTree, q: Array) -> Array:
    """Masses at rest one unit apart, displaced along the line."""
    del params
    x = jnp.arange(q.shape[0], dtype=q.dtype) + q
    return jnp.stack([x, jnp.zeros_like(x)], axis=1)


@Family
def duffing(linear: float = -1.0, cubic: float = 1.0) -> System:
    """The Duffing oscillator, H = p²/2 + α q²/2 + β q⁴/4; by default of two wells.

    Initial states have q, p ~ U[−1.5, 1.5).

    Example:
      >>> duffing(linear=1.0).params
      DuffingParams(linear=1.0, cubic=1.0)
    """

    def potential(params, q: Array) -> Array:
        return jnp.sum(params.linear * q**2 / 2 + params.cubic * q**4 / 4)

    def sample(key: Array) -> PhaseState:
        q, p = jax.random.uniform(key, (2, 1), minval=-1.5, maxval=1.5)
        return PhaseState(q, p)

    return from_momenta(
        "duffing",
        DuffingParams(linear, cubic),
        (
            lambda params, q, p: p @ p / 2 + potential(params, q),
            lambda params, q, v: v @ v / 2 - potential(params, q),
        ),
        sample,
        (False,),
        coordinates=("q",),
        units=("1",),
        separable=True,
        dt=0.02,
    )


@Family
def driven_oscillator(
    mass: float = 1.0,
    stiffness: float = 1.0,
    damping: float = 0.2,
    amplitude: float = 0.5,
    frequency: float = 1.2,
) -> System:
    """A damped oscillator driven by a harmonic force: m q̈ = −k q − c q̇ + A cos ωt.

    H = p²/2m + k q²/2, Rayleigh's function R = c v²/2, force F = A cos ωt. Initial
    states have |(q, p)| ~ U[0.1, 1).

    Example:
      >>> driven_oscillator(damping=0.0).params.damping
      0.0
    """

    def force(t: Array, y: PyTree, params: DrivenParams) -> Array:
        push = params.amplitude * jnp.cos(params.frequency * jnp.asarray(t, y.q.dtype))
        return jnp.reshape(push, (1,))

    return from_momenta(
        "driven_oscillator",
        DrivenParams(mass, stiffness, damping, amplitude, frequency),
        (_spring_hamiltonian, _spring_lagrangian),
        lambda key: ring(key, 0.1, 1.0),
        (False,),
        dissipation=lambda params, q, v: params.damping * v @ v / 2,
        force=force,
        coordinates=("q",),
        units=("1",),
        points=_on_a_line,
        duration=60.0,
        dt=0.02,
    )


def _linear_energy(params: ChainParams, q: Array, p: Array) -> Array:
    """H = Σ (q² + p²)/2 + k/2 Σ (q_i − q_{i+1})²."""
    stretch = q[:-1] - q[1:]
    return (q @ q + p @ p + params.coupling * stretch @ stretch) / 2


def _quartic_energy(params: ChainParams, q: Array, p: Array) -> Array:
    """H = Σ (q² + p²)/2 + α Σ (q_i − q_{i+1})⁴."""
    stretch = q[:-1] - q[1:]
    return (q @ q + p @ p) / 2 + params.coupling * jnp.sum(stretch**4)


def _chain(name, hamiltonian, num_oscillators: int, coupling: float) -> System:
    check_count("num_oscillators", num_oscillators)

    def sample(key: Array) -> PhaseState:
        q, p = jax.random.uniform(key, (2, num_oscillators))
        return PhaseState(q, p)

    def lagrangian(params, q, v):
        return v @ v - hamiltonian(params, q, v)

    return from_momenta(
        name,
        ChainParams(coupling),
        (hamiltonian, lagrangian),
        sample,
        (False,) * num_oscillators,
        coordinates=numbered("q", num_oscillators),
        units=("1",) * num_oscillators,
        points=_on_a_line,
        separable=True,
        dt=0.02,
    )


@Family
def linear_chain(num_oscillators: int = 2, coupling: float = 0.2) -> System:
    """N oscillators with linear coupling; q, p ~ U[0, 1).

    Example:
      >>> linear_chain(3).periodic
      (False, False, False)
    """
    return _chain("linear_chain", _linear_energy, num_oscillators, coupling)


@Family
def quartic_chain(num_oscillators: int = 2, coupling: float = 0.25) -> System:
    """N oscillators with quartic coupling; q, p ~ U[0, 1).

    Example:
      >>> quartic_chain().params
      ChainParams(coupling=0.25)
    """
    return _chain("quartic_chain", _quartic_energy, num_oscillators, coupling)
