"""Hamiltonian networks of bodies that act on each other in pairs.

H = Σ_i t(p_i) + Σ_{i<j} φ(log |x_i − x_j|) with two small networks, the same for all
bodies and all pairs. H does not change when space is shifted or bodies are exchanged, φ
does not change under rotations, and an energy of many coordinates is learned as two
functions of few.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.checks import check_count, checked
from jaxphys.models.coordinates import check_smooth, network
from jaxphys.precision import exact
from jaxphys.types import Array, Model, PyTree, check_pair

__all__ = ["pairwise"]


@checked(num_bodies=check_count, dimensions=check_count)
def pairwise(
    num_bodies: int,
    dimensions: int = 2,
    *,
    hidden: tuple[int, ...] = (16, 16),
    activation: str = "tanh",
    **options,
) -> Model:
    """A Hamiltonian network of N equal bodies in space.

    Args:
      num_bodies: N ≥ 2.
      dimensions: of space, d; q and p have shape (N d,), body by body.
      hidden, activation, options: of both networks, as in `hnn`.

    Returns:
      A Model whose `apply(params, q, p) -> scalar` is a Hamiltonian; its params are a
      dict of kinetic and potential. It is not finite if two bodies meet.

    Raises:
      ValueError: for sizes that do not fit, unknown names, or ReLU.

    Example:
      >>> model = pairwise(3, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> q, p = jnp.arange(6.0), jnp.ones(6)
      >>> shifted = model.apply(params, q + 1, p) - model.apply(params, q, p)
      >>> bool(abs(shifted) < 1e-5)
      True

    Reference: the idea of equal interactions is that of Battaglia et al., Interaction
    Networks, 2016, https://arxiv.org/abs/1612.00222.
    """
    check_smooth(activation)
    if num_bodies < 2 or dimensions < 1:
        raise ValueError(
            f"got {num_bodies} bodies in {dimensions} dimensions; expected at least 2 "
            "bodies and 1 dimension."
        )
    options |= {"hidden": hidden, "activation": activation}
    kinetic = network(dimensions, **options)
    potential = network(1, **options)
    pairs = np.array(list(itertools.combinations(range(num_bodies), 2)))

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"kinetic": kinetic.init(first), "potential": potential.init(second)}

    @exact
    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("the Hamiltonian network", "p", q, p)
        if q.shape != (num_bodies * dimensions,):
            raise ValueError(
                f"the model got q of shape {q.shape}; it was made for {num_bodies} "
                f"bodies in {dimensions} dimensions, ({num_bodies * dimensions},)."
            )
        at, moving = (x.reshape(num_bodies, dimensions) for x in (q, p))
        apart = at[pairs[:, 0]] - at[pairs[:, 1]]
        distance = jnp.log(jnp.sum(apart**2, axis=1, keepdims=True)) / 2
        energies = (
            jax.vmap(kinetic.apply, (None, 0))(params["kinetic"], moving),
            jax.vmap(potential.apply, (None, 0))(params["potential"], distance),
        )
        return jnp.sum(energies[0]) + jnp.sum(energies[1])

    return Model(init, hamiltonian)
