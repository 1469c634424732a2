"""Lattices: a discretized wave equation, and the chains of Fermi et al. and of Toda.

| system | H |
|---|---|
| `wave` | Σ p²/2dx + c² Σ (u_{i+1} − u_i)²/2dx, on a ring |
| `fput_chain` | Σ p²/2 + Σ (d²/2 + α d³/3 + β d⁴/4), d = q_{i+1} − q_i, ends held |
| `toda_chain` | Σ p²/2 + Σ exp(q_i − q_{i+1}), on a ring |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.systems.record import Family, check_count, from_momenta, numbered
from jaxphys.types import Array, PhaseState, System

__all__ = [
    "FPUTParams",
    "TodaParams",
    "WaveParams",
    "fput_chain",
    "toda_chain",
    "toda_lax",
    "wave",
]


class WaveParams(NamedTuple):
    """Constants of `wave`: its speed c and the distance dx between nodes."""

    speed: Array | float
    spacing: Array | float


class FPUTParams(NamedTuple):
    """Constants of `fput_chain`: α of the quadratic force, β of the cubic one."""

    alpha: Array | float
    beta: Array | float


class TodaParams(NamedTuple):
    """Constants of `toda_chain`: the strength of its bonds."""

    strength: Array | float


@Family
def wave(num_nodes: int = 64, speed: float = 1.0, length: float = 1.0) -> System:
    """The wave equation ü = c² ∂²u/∂x² on a periodic grid of dx = length/num_nodes.

    L = Σ dx [u̇²/2 − c² ((u_{i+1} − u_i)/dx)²/2], so that the momenta are p = dx u̇. Its
    waves exp(i(kx − ωt)) have ω = (2c/dx) sin(k dx/2). Initial states are the sum of
    the four longest waves, with normal amplitudes that decrease as 1/k, at rest.

    Example:
      >>> wave(32).params
      WaveParams(speed=1.0, spacing=0.03125)
    """
    check_count("num_nodes", num_nodes, 3)
    positions = jnp.arange(num_nodes) / num_nodes

    def bonds(params: WaveParams, u: Array) -> Array:
        slope = (jnp.roll(u, -1) - u) / params.spacing
        return params.spacing * params.speed**2 * slope @ slope / 2

    def sample(key: Array) -> PhaseState:
        k = jnp.arange(1, 5)
        a, b = jax.random.normal(key, (2, 4)) / k
        phase = 2 * jnp.pi * k * positions[:, None]
        u = jnp.cos(phase) @ a + jnp.sin(phase) @ b
        return PhaseState(u, jnp.zeros_like(u))

    return from_momenta(
        "wave",
        WaveParams(speed, length / num_nodes),
        (
            lambda params, q, p: p @ p / (2 * params.spacing) + bonds(params, q),
            lambda params, q, v: params.spacing * v @ v / 2 - bonds(params, q),
        ),
        sample,
        (False,) * num_nodes,
        coordinates=numbered("u", num_nodes),
        units=("1",) * num_nodes,
        points=lambda params, q: jnp.stack(
            [params.spacing * jnp.arange(q.shape[0], dtype=q.dtype), q], axis=1
        ),
        separable=True,
        duration=3.0 * length / speed,
        dt=0.2 * length / num_nodes / speed,
    )


@Family
def fput_chain(
    num_particles: int = 32, alpha: float = 0.25, beta: float = 0.0
) -> System:
    """The chain of Fermi, Pasta, Ulam and Tsingou, its ends held.

    H = Σ p²/2 + Σ (d²/2 + α d³/3 + β d⁴/4) over the N + 1 bonds d = q_{i+1} − q_i.
    Initial states have their energy in the longest wave, of amplitude U[0.5, 1.5), at
    rest; it comes back to that wave again and again.

    Example:
      >>> fput_chain(8, beta=1.0).params
      FPUTParams(alpha=0.25, beta=1.0)

    Reference: Fermi, Pasta & Ulam, Studies of nonlinear problems, 1955.
    """
    check_count("num_particles", num_particles)
    shape = jnp.sin(jnp.pi * jnp.arange(1, num_particles + 1) / (num_particles + 1))

    def bonds(params: FPUTParams, q: Array) -> Array:
        d = jnp.diff(jnp.pad(q, 1))
        return jnp.sum(d**2 / 2 + params.alpha * d**3 / 3 + params.beta * d**4 / 4)

    def sample(key: Array) -> PhaseState:
        q = jax.random.uniform(key, (), minval=0.5, maxval=1.5) * shape
        return PhaseState(q, jnp.zeros_like(q))

    return from_momenta(
        "fput_chain",
        FPUTParams(alpha, beta),
        (
            lambda params, q, p: p @ p / 2 + bonds(params, q),
            lambda params, q, v: v @ v / 2 - bonds(params, q),
        ),
        sample,
        (False,) * num_particles,
        coordinates=numbered("q", num_particles),
        units=("1",) * num_particles,
        points=lambda params, q: jnp.stack(
            [jnp.arange(1, q.shape[0] + 1, dtype=q.dtype), q], axis=1
        ),
        separable=True,
        duration=200.0,
        dt=0.1,
    )


@Family
def toda_chain(num_particles: int = 8, strength: float = 1.0) -> System:
    """Toda's chain on a ring, H = Σ p²/2 + s Σ exp(q_i − q_{i+1}): integrable.

    It has as many conserved quantities as particles, the eigenvalues of Lax's matrix
    (`toda_lax`). Initial states have q, p ~ N(0, ½²), their mean momentum removed.

    Example:
      >>> toda_chain(3).periodic
      (False, False, False)

    Reference: Flaschka, The Toda lattice II, Physical Review B 9, 1974.
    """
    check_count("num_particles", num_particles, 2)

    def bonds(params: TodaParams, q: Array) -> Array:
        return params.strength * jnp.sum(jnp.exp(q - jnp.roll(q, -1)))

    def sample(key: Array) -> PhaseState:
        q, p = jax.random.normal(key, (2, num_particles)) / 2
        return PhaseState(q, p - jnp.mean(p))

    return from_momenta(
        "toda_chain",
        TodaParams(strength),
        (
            lambda params, q, p: p @ p / 2 + bonds(params, q),
            lambda params, q, v: v @ v / 2 - bonds(params, q),
        ),
        sample,
        (False,) * num_particles,
        coordinates=numbered("q", num_particles),
        units=("1",) * num_particles,
        points=lambda params, q: jnp.stack(
            [jnp.arange(1, q.shape[0] + 1, dtype=q.dtype), q], axis=1
        ),
        separable=True,
        dt=0.02,
    )


def toda_lax(params: TodaParams, q: Array, p: Array) -> Array:
    """Lax's matrix of Toda's chain, (N, N): its eigenvalues are constants of motion.

    Diagonal p/2, off it a_i = √s exp((q_i − q_{i+1})/2)/2, cyclic.

    Example:
      >>> print(toda_lax(TodaParams(1.0), jnp.zeros(3), jnp.ones(3)))
      [[0.5 0.5 0.5]
       [0.5 0.5 0.5]
       [0.5 0.5 0.5]]
    """
    bond = jnp.sqrt(params.strength) * jnp.exp((q - jnp.roll(q, -1)) / 2) / 2
    up = jnp.roll(jnp.diag(bond), 1, axis=1)
    return jnp.diag(p / 2) + up + up.T
