"""Objectives of one sample, and their derivatives for second-order methods.

An objective is `objective(outputs, targets) -> scalar` for one sample; training takes
its mean over the batch.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys.checks import check_function, checked
from jaxphys.precision import exact
from jaxphys.types import Array, PyTree

__all__ = [
    "curvature",
    "half_squared_error",
    "infidelity",
    "infidelity_residual",
    "mean_squared_error",
    "newton_residual",
    "second_derivatives",
    "squared_error",
    "squared_size",
]


def squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|², summed over components, without ½.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      5.0
    """
    _check_same("squared_error", outputs, targets)
    return jnp.sum((outputs - targets) ** 2)


def _check_same(name: str, outputs: Array, targets: Array) -> None:
    """A ValueError unless both are of one shape: others would be broadcast."""
    for what, value in (("outputs", outputs), ("targets", targets)):
        if not hasattr(value, "shape") and not isinstance(value, float | int):
            raise TypeError(
                f"{name} got {what} of type {type(value).__name__}; expected an array."
            )
    if jnp.shape(outputs) != jnp.shape(targets):
        raise ValueError(
            f"{name} got outputs of shape {jnp.shape(outputs)} and targets of shape "
            f"{jnp.shape(targets)}; expected one shape, that of one sample, (d,). For "
            "a batch use jax.vmap; targets (N,) of one output are (N, 1)."
        )


def squared_size(residual: Array, targets: PyTree = None) -> Array:
    """|r|² of outputs that are residuals already; the targets are ignored.

    Example:
      >>> import jax.numpy as jnp
      >>> print(squared_size(jnp.array([1.0, 2.0])))
      5.0
    """
    del targets
    return jnp.sum(residual**2)


def half_squared_error(outputs: Array, targets: Array) -> Array:
    """½ |y − y*|².

    Example:
      >>> import jax.numpy as jnp
      >>> print(half_squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      2.5
    """
    return squared_error(outputs, targets) / 2


def mean_squared_error(outputs: Array, targets: Array) -> Array:
    """|y − y*|²/d, averaged over components.

    Example:
      >>> import jax.numpy as jnp
      >>> print(mean_squared_error(jnp.array([1.0, 2.0]), jnp.zeros(2)))
      2.5
    """
    _check_same("mean_squared_error", outputs, targets)
    return jnp.mean((outputs - targets) ** 2)


@checked(objective=check_function)
@exact
def second_derivatives(objective: Callable, values: Array, targets: PyTree) -> Array:
    """The diagonal of ∂²ℓ/∂y², shape (d,), of any sign.

    Example:
      >>> import jax.numpy as jnp
      >>> up = jnp.array([1.0, 0, 0, 0])
      >>> print(second_derivatives(infidelity, up, up))
      [-2.  0. -2.  0.]
    """
    hessian = jax.jacfwd(jax.grad(objective))(values, targets)
    return jnp.diagonal(hessian)


@checked(objective=check_function)
def curvature(objective: Callable, values: Array, targets: PyTree) -> Array:
    """The diagonal of ∂²ℓ/∂y², shape (d,); one if it is not positive.

    Example:
      >>> import jax.numpy as jnp
      >>> print(curvature(squared_error, jnp.ones(2), jnp.zeros(2)))
      [2. 2.]
    """
    diagonal = second_derivatives(objective, values, targets)
    return jnp.where(diagonal > 0, diagonal, 1)


@checked(objective=check_function)
@exact
def newton_residual(objective: Callable, values: Array, targets: PyTree) -> Array:
    """∂ℓ/∂y over its diagonal curvature: the residual y − y* of a sum of squares.

    Example:
      >>> import jax.numpy as jnp
      >>> print(newton_residual(squared_error, jnp.array([3.0]), jnp.array([1.0])))
      [2.]
    """
    gradient = jax.grad(objective)(values, targets)
    return gradient / curvature(objective, values, targets)


@exact
def infidelity(outputs: Array, targets: Array) -> Array:
    """1 − |⟨ψ*|ψ⟩|² of two normalized states, each stacked as (Re, Im), shape (2n,).

    Example:
      >>> import jax.numpy as jnp
      >>> up, down = jnp.array([1.0, 0, 0, 0]), jnp.array([0, 1.0, 0, 0])
      >>> print(infidelity(up, up), infidelity(up, down))
      0.0 1.0
    """
    real, imaginary = _overlap(outputs, targets)
    return 1 - real**2 - imaginary**2


@exact
def infidelity_residual(outputs: Array, targets: Array) -> Array:
    """(1 − |ψ*⟩⟨ψ*|) ψ, stacked; for normalized states its square is the infidelity.

    Second derivatives of 1 − |⟨ψ*|ψ⟩|² by ψ are negative. With this residual the
    infidelity is a sum of squares, as Gauss–Newton methods need.

    Example:
      >>> import jax.numpy as jnp
      >>> up, down = jnp.array([1.0, 0, 0, 0]), jnp.array([0, 1.0, 0, 0])
      >>> print(infidelity_residual(0.6 * up + 0.8 * down, up))
      [0.  0.8 0.  0. ]
    """
    real, imaginary = _overlap(outputs, targets)
    n = targets.shape[0] // 2
    turned = jnp.concatenate([-targets[n:], targets[:n]])
    return outputs - real * targets - imaginary * turned


def _overlap(outputs: Array, targets: Array) -> tuple[Array, Array]:
    """⟨ψ*|ψ⟩, real and imaginary part."""
    _check_same("infidelity", outputs, targets)
    n = targets.shape[0] // 2
    real = outputs @ targets
    return real, outputs[n:] @ targets[:n] - outputs[:n] @ targets[n:]
