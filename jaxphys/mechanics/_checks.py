"""The check that an energy is a scalar, and the type of external forces."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxphys.types import Array, PyTree

Force = Callable[[Array, PyTree, PyTree], Array]


def scalar(energy: Callable) -> Callable:
    """The same energy, with a clear error if it is not a scalar."""

    def checked(*args):
        value = energy(*args)
        if jnp.shape(value) != ():
            raise ValueError(
                f"the energy returned shape {jnp.shape(value)}; expected a scalar, "
                "shape (). Sum over particles, or index the single entry."
            )
        return value

    return checked
