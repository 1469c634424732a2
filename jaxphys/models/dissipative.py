"""Dissipative Hamiltonian networks: a field split after Helmholtz into two scalars.

dq/dt = ∂H/∂p + ∂D/∂q, dp/dt = −∂H/∂q + ∂D/∂p: the part of H has no divergence, the part
of D has no curl and makes the motion lose or gain energy. With D constant the motion
is that of H.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax

from jaxphys import mechanics
from jaxphys.checks import check_count, checked
from jaxphys.models.coordinates import Normalization
from jaxphys.models.hnn import hnn
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, VectorField

__all__ = ["HelmholtzParams", "dissipative"]


class HelmholtzParams(NamedTuple):
    """Weights of the conserved energy H, and of the potential of dissipation D."""

    conserved: PyTree
    dissipated: PyTree


def _helmholtz_field(conserved, dissipated) -> VectorField:
    """The field of two scalars H and D, each of (params, q, p)."""
    rotation = mechanics.hamiltonian_vector_field(conserved)
    gradient = jax.grad(dissipated, argnums=(1, 2))

    @exact
    def field(t: Array, y: PhaseState, params: PyTree) -> PhaseState:
        rate = rotation(t, y, params[0])
        dq, dp = gradient(params[1], *y)
        return PhaseState(rate.q + dq, rate.p + dp)

    return field


@checked(num_coordinates=check_count)
def dissipative(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    **options,
) -> Dynamics:
    """A dissipative Hamiltonian network; arguments are those of `hnn`.

    Returns:
      A `Dynamics` over `PhaseState` with `HelmholtzParams`; its energy is H.

    Example:
      >>> motion = dissipative(1, hidden=(8,))
      >>> motion.init(jax.random.key(0))._fields
      ('conserved', 'dissipated')

    Reference: Greydanus & Sosanya, Dissipative Hamiltonian Neural Networks, 2022,
    https://arxiv.org/abs/2201.10085.
    """
    options |= {"periodic": periodic, "normalization": normalization}
    conserved, dissipated = (hnn(num_coordinates, **options) for _ in range(2))

    def init(key: Array) -> HelmholtzParams:
        first, second = jax.random.split(key)
        return HelmholtzParams(conserved.init(first), dissipated.init(second))

    @exact
    def energy(params: HelmholtzParams, q: Array, p: Array) -> Array:
        return conserved.apply(params.conserved, q, p)

    field = _helmholtz_field(conserved.apply, dissipated.apply)
    return Dynamics(init, field, PhaseState, energy)
