"""Chains of N unit masses on unit springs, coupled to their neighbors.

    H = Σ_i (q_i² + p_i²)/2 + Σ_{i<N} V(q_i − q_{i+1}),

with V(d) = k d²/2 for the linear chain, whose force is k times the free-ended discrete
Laplacian, and V(d) = α d⁴ for the quartic one (α = ¼ is the force (q_j − q_i)³).
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.types import Array, PhaseState, System


class ChainParams(NamedTuple):
    """Constants of a chain.

    Attributes:
      coupling: k of the linear chain, or α of the quartic one.
    """

    coupling: Array | float


def linear_chain_hamiltonian(params: ChainParams, q: Array, p: Array) -> Array:
    """H = Σ (q² + p²)/2 + k/2 Σ (q_i − q_{i+1})²."""
    stretch = q[:-1] - q[1:]
    return (q @ q + p @ p + params.coupling * stretch @ stretch) / 2


def quartic_chain_hamiltonian(params: ChainParams, q: Array, p: Array) -> Array:
    """H = Σ (q² + p²)/2 + α Σ (q_i − q_{i+1})⁴."""
    stretch = q[:-1] - q[1:]
    return (q @ q + p @ p) / 2 + params.coupling * jnp.sum(stretch**4)


def _chain(name, hamiltonian, num_oscillators: int, coupling: float) -> System:
    if int(num_oscillators) != num_oscillators or num_oscillators < 1:
        raise ValueError(
            f"num_oscillators is {num_oscillators}; expected a whole number ≥ 1."
        )

    def sample(key: Array) -> PhaseState:
        q, p = jax.random.uniform(key, (2, num_oscillators))
        return PhaseState(q, p)

    def lagrangian(params, q, v):
        return v @ v - hamiltonian(params, q, v)

    params = ChainParams(coupling)
    periodic = (False,) * num_oscillators
    return System(name, params, hamiltonian, lagrangian, sample, periodic)


def linear_chain(num_oscillators: int = 2, coupling: float = 0.2) -> System:
    """N oscillators with linear coupling; q, p ~ U[0, 1).

    Example:
      >>> linear_chain(3).periodic
      (False, False, False)
    """
    return _chain("linear_chain", linear_chain_hamiltonian, num_oscillators, coupling)


def quartic_chain(num_oscillators: int = 2, coupling: float = 0.25) -> System:
    """N oscillators with quartic coupling; q, p ~ U[0, 1).

    Example:
      >>> quartic_chain().params
      ChainParams(coupling=0.25)
    """
    return _chain("quartic_chain", quartic_chain_hamiltonian, num_oscillators, coupling)
