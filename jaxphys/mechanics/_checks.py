"""The check that an energy is a scalar, and the type of external forces."""

from collections.abc import Callable

import jax.numpy as jnp

from jaxphys.checks import check_function, check_not_negative, checked
from jaxphys.types import Array, PyTree

Force = Callable[[Array, PyTree, PyTree], Array]

#: Checks the arguments of what makes equations of motion of a Lagrangian.
of_law = checked(
    lagrangian=check_function,
    force=check_function,
    dissipation=check_function,
    regularization=check_not_negative,
)


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
