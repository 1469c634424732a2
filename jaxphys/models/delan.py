"""Deep Lagrangian networks: L = ½ vᵀ M(q) v − V(q), as mechanics has it.

The mass matrix is A Aᵀ + ε I with a triangular network A(q), hence symmetric and
positive definite whatever the weights. One set of weights tells accelerations of
torques, torques of accelerations, and the energy.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import mechanics
from jaxphys.models.coordinates import (
    Normalization,
    check_smooth,
    coordinates,
    network,
)
from jaxphys.models.structured import positive_matrix
from jaxphys.types import Array, PyTree, check_pair


class Delan(NamedTuple):
    """A Lagrangian in parts.

    Attributes:
      init, apply: of the Model, `apply(params, q, v) -> scalar` is the Lagrangian.
      mass: `mass(params, q) -> (n, n)`, M.
      potential: `potential(params, q) -> scalar`, V.
      hamiltonian: `hamiltonian(params, q, p) -> scalar`, the same motion's.
    """

    init: Callable[[Array], PyTree]
    apply: Callable[..., Array]
    mass: Callable[[PyTree, Array], Array]
    potential: Callable[[PyTree, Array], Array]
    hamiltonian: Callable[[PyTree, Array, Array], Array]


def delan(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    activation: str = "softplus",
    kernel_init: str = "glorot_normal",
    **options,
) -> Delan:
    """A Lagrangian network ½ vᵀ M(q) v − V(q); arguments are those of `lnn`.

    `mechanics.acceleration`, `inverse_dynamics`, `torque_parts` and `energy` of its
    `apply` are the forward model, the inverse model and its parts, and the energy.

    Returns:
      A `Delan`, a Model with its parts; params are a dict of mass and potential.

    Example:
      >>> model = delan(2, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> bool(jnp.all(jnp.linalg.eigvalsh(model.mass(params, jnp.ones(2))) > 0))
      True

    Reference: Lutter, Ritter & Peters, Deep Lagrangian Networks, 2019,
    https://arxiv.org/abs/1907.04490.
    """
    check_smooth(activation, "a Lagrangian")
    space = coordinates(num_coordinates, periodic, normalization)
    options |= {"activation": activation, "kernel_init": kernel_init}
    matrix = positive_matrix(space, **options)
    scalar = network(space.num_features, **options)
    unit = space.units.energy()

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"mass": matrix.init(first), "potential": scalar.init(second)}

    def mass(params: PyTree, q: Array) -> Array:
        inner = matrix.apply(params["mass"], q)
        scale = jnp.asarray(space.units.p_scale, inner.dtype)
        return unit * inner / (scale[:, None] * scale)

    def potential(params: PyTree, q: Array) -> Array:
        return unit * scalar.apply(params["potential"], space.position(q))[0]

    hamiltonian, lagrangian = mechanics.natural(mass, potential)

    def checked(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the Lagrangian network", "v", q, v)
        return lagrangian(params, q, v)

    return Delan(init, checked, mass, potential, hamiltonian)
