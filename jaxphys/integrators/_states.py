"""Small things that the integrators do to a state of any pytree."""

import jax

from jaxphys.types import Array, PyTree


def shifted(y: PyTree, scale: Array | float, slope: PyTree) -> PyTree:
    """y + scale · slope, leaf by leaf."""
    return jax.tree.map(lambda a, b: a + scale * b, y, slope)
