"""Small things that the integrators do to a state of any pytree."""

import jax
import jax.numpy as jnp

from jaxphys.types import Array, PyTree


def shifted(y: PyTree, scale: Array | float, slope: PyTree) -> PyTree:
    """y + scale · slope, leaf by leaf."""
    return jax.tree.map(lambda a, b: a + scale * b, y, slope)


def real_dtype(y: PyTree) -> jnp.dtype:
    """The dtype of times that go with a state: real, of the state's precision."""
    dtype = jnp.result_type(*jax.tree.leaves(y))
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(
            f"the state has dtype {dtype}; expected a floating one, as a state moves "
            "by fractions of its rate. Write 1.0 for 1, or cast with .astype(float)."
        )
    return jnp.finfo(dtype).dtype
