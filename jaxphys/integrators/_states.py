"""Small things that the integrators do to a state of any pytree."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

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


def check_start(y0: PyTree, *, flagged: bool = False) -> None:
    """Raise an error unless y0 is a state of finite numbers.

    Args:
      y0: where a motion begins; what is traced is not looked at.
      flagged: whether a NaN is told in another way.
    """
    if type(y0) is list:
        raise TypeError(
            "y0 is a list; expected an array or a pytree of arrays, such as a "
            "PhaseState. Write jnp.array(y0) for one vector."
        )
    leaves = jax.tree.leaves(y0)
    for leaf in leaves:
        is_number = isinstance(leaf, float | int | complex)
        if getattr(leaf, "dtype", None) == np.dtype(object):
            raise TypeError("y0 has dtype object; expected arrays of numbers.")
        if not (is_number or hasattr(leaf, "dtype")):
            raise TypeError(
                f"y0 has a {type(leaf).__name__}; expected arrays of numbers."
            )
    if not sum(jnp.size(leaf) for leaf in leaves):
        raise ValueError("y0 is empty; expected a state of at least one number.")
    if not flagged and any(map(_is_broken, leaves)):
        raise ValueError(
            "y0 has a NaN or an infinity; expected finite numbers. With with_info=True "
            "a rollout goes on, and says where it failed."
        )


def _is_broken(leaf: Array) -> bool:
    """Whether a leaf that is known is not finite."""
    if isinstance(leaf, jax.core.Tracer):
        return False
    if not jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
        return False
    return not np.all(np.isfinite(np.asarray(leaf)))
