"""Objectives of one sample, and what second-order methods read off them.

An objective is `objective(outputs, targets) -> scalar` for one sample; training takes
its mean over the batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys.types import Array, PyTree


def squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|², summed over components, without ½.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      5.0
    """
    return jnp.sum((outputs - targets) ** 2)


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|²/d, averaged over components.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mean_squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      2.5
    """
    return jnp.mean((outputs - targets) ** 2)


def curvature(objective: Callable, values: Array, targets: PyTree) -> Array:
    """The diagonal of ∂²ℓ/∂y², shape (d,); one where it is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> print(curvature(squared_error, jnp.ones(2), jnp.zeros(2)))
      [2. 2.]
    """
    hessian = jax.jacfwd(jax.grad(objective))(values, targets)
    diagonal = jnp.diagonal(hessian)
    return jnp.where(diagonal > 0, diagonal, 1)


def newton_residual(objective: Callable, values: Array, targets: PyTree) -> Array:
    """∂ℓ/∂y over its diagonal curvature: the residual y − y* of a sum of squares.

    Example:
      >>> import jax.numpy as jnp
      >>> print(newton_residual(squared_error, jnp.array([3.0]), jnp.array([1.0])))
      [2.]
    """
    gradient = jax.grad(objective)(values, targets)
    return gradient / curvature(objective, values, targets)
