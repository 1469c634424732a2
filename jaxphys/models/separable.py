"""Separable Hamiltonian networks: H = T_θ(p) + V_θ(q), each a scalar network.

Kinetic and potential energy do not mix, so explicit symplectic steps (leapfrog,
Yoshida's) apply to the learned energy; a mass that depends on position cannot be
learned.
"""

from collections.abc import Sequence

import jax

from jaxphys.checks import check_count, checked
from jaxphys.models.coordinates import Normalization, check_smooth, coordinates, network
from jaxphys.precision import exact
from jaxphys.types import Array, Model, PyTree, check_pair

__all__ = ["separable"]


@checked(num_coordinates=check_count)
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
      A Model whose `apply(params, q, p) -> scalar` is a Hamiltonian, with the parts
      kinetic(params, p) and potential(params, q). Its params are a dict of both.

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
    of_momentum = network(space.number, activation=activation, **options)
    of_position = network(space.num_features, activation=activation, **options)
    unit = space.units.energy()

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {
            "kinetic": of_momentum.init(first),
            "potential": of_position.init(second),
        }

    @exact
    def inner_kinetic(params: PyTree, p: Array) -> Array:
        return of_momentum.apply(params["kinetic"], space.momentum(p))[0]

    @exact
    def inner_potential(params: PyTree, q: Array) -> Array:
        return of_position.apply(params["potential"], space.position(q))[0]

    @exact
    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("the Hamiltonian network", "p", q, p)
        low = inner_potential(params, q)
        return unit * (inner_kinetic(params, p) + low)

    parts = {
        "kinetic": lambda params, p: unit * inner_kinetic(params, p),
        "potential": lambda params, q: unit * inner_potential(params, q),
    }
    return Model(init, hamiltonian, parts)
