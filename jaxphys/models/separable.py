"""Separable Hamiltonian networks: H = T_θ(p) + V_θ(q), each a scalar network.

Kinetic and potential energy do not mix, so that explicit symplectic steps (leapfrog,
Yoshida's) apply to what is learned; a mass that depends on position cannot be learned.
"""

from collections.abc import Sequence

import jax

from jaxphys.models.coordinates import (
    Normalization,
    check_smooth,
    coordinates,
    network,
)
from jaxphys.types import Array, Model, PyTree, check_pair


def separable(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    activation: str = "tanh",
    **options,
) -> Model:
    """A Hamiltonian network H = T_θ(p) + V_θ(q); arguments are those of `hnn`.

    Returns:
      A Model whose `apply(params, q, p) -> scalar` is a Hamiltonian; its params are a
      dict of kinetic and potential.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = separable(1, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> mixed = jax.jacfwd(jax.grad(model.apply, 1), 2)
      >>> print(mixed(params, jnp.ones(1), jnp.ones(1)))
      [[0.]]
    """
    check_smooth(activation)
    space = coordinates(num_coordinates, periodic, normalization)
    kinetic = network(space.number, activation=activation, **options)
    potential = network(space.num_features, activation=activation, **options)
    unit = space.units.energy()

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"kinetic": kinetic.init(first), "potential": potential.init(second)}

    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("the Hamiltonian network", "p", q, p)
        low = potential.apply(params["potential"], space.position(q))[0]
        return unit * (kinetic.apply(params["kinetic"], space.momentum(p))[0] + low)

    return Model(init, hamiltonian)
