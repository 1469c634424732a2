"""Deep Lagrangian networks: L = ½ vᵀ M(q) v − V(q), as mechanics has it.

The mass matrix is A Aᵀ + ε I with a triangular network A(q), so it is symmetric and
positive definite for any weights. One set of weights gives accelerations from torques,
torques from accelerations, and the energy.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxphys import mechanics
from jaxphys.checks import check_count, checked
from jaxphys.models.coordinates import Normalization, check_smooth, coordinates, network
from jaxphys.models.structured import positive_matrix
from jaxphys.precision import exact
from jaxphys.types import Array, Model, PyTree, check_pair

__all__ = ["delan"]


@checked(num_coordinates=check_count)
def delan(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    activation: str = "softplus",
    kernel_init: str = "glorot_normal",
    **options,
) -> Model:
    """A Lagrangian network ½ vᵀ M(q) v − V(q); arguments are those of `lnn`.

    `mechanics.acceleration`, `inverse_dynamics`, `torque_parts` and `energy` of its
    `apply` are the forward model, the inverse model and its parts, and the energy.

    Returns:
      A Model whose `apply(params, q, v) -> scalar` is a Lagrangian, `positive`, with
      the parts mass(params, q), potential(params, q) and hamiltonian(params, q, p). Its
      params are a dict of mass and potential.

    Example:
      >>> model = delan(2, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> mass = model.parts["mass"](params, jnp.ones(2))
      >>> bool(jnp.all(jnp.linalg.eigvalsh(mass) > 0))
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

    @exact
    def mass(params: PyTree, q: Array) -> Array:
        inner = matrix.apply(params["mass"], q)
        scale = jnp.asarray(space.units.p_scale, inner.dtype)
        return unit * inner / jnp.outer(scale, scale)

    @exact
    def potential(params: PyTree, q: Array) -> Array:
        return unit * scalar.apply(params["potential"], space.position(q))[0]

    hamiltonian, lagrangian = mechanics.natural(mass, potential)

    @exact
    def checked(params: PyTree, q: Array, v: Array) -> Array:
        check_pair("the Lagrangian network", "v", q, v)
        return lagrangian(params, q, v)

    return Model(
        init,
        checked,
        {"mass": mass, "potential": potential, "hamiltonian": hamiltonian},
        positive=True,
    )
