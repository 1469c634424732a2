"""Small things that the integrators do to a state of any pytree."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxphys.types import Array, PyTree


def shifted(y: PyTree, scale: Array | float, slope: PyTree) -> PyTree:
    """y + scale · slope, leaf by leaf."""
    own: Any = jax.tree.structure(y)
    other: Any = jax.tree.structure(slope)
    if own != other:
        raise ValueError(
            f"the vector field returned {other}; expected the structure of the state, "
            f"{own}. A Hamiltonian becomes a vector field by "
            "mechanics.hamiltonian_vector_field."
        )
    return jax.tree.map(lambda a, b: _shifted(a, scale, b), y, slope)


def _shifted(a: Array, scale: Array | float, b: Array) -> Array:
    if jnp.shape(a) != jnp.shape(b):
        raise ValueError(
            f"the vector field returned shape {jnp.shape(b)} for a state of shape "
            f"{jnp.shape(a)}; expected the same. A Hamiltonian becomes a vector field "
            "by mechanics.hamiltonian_vector_field."
        )
    return a + scale * b
