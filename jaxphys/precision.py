"""Products in the full precision of their dtype, on every device.

GPUs and TPUs multiply float32 matrices in fewer digits unless they are told otherwise,
TF32 or bfloat16: three digits in place of seven. Networks of mechanics are small and
lose no time by exact products, but an acceleration or a step of second order is worth
no more than its worst product. So jaxphys computes its own exactly. JAX's own switch,
`jax.default_matmul_precision` or the variable JAX_DEFAULT_MATMUL_PRECISION, chooses
otherwise where it is set, and a layer with a `precision` of its own keeps it; matrices
of second-order steps and their solution stay exact in any case.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax

__all__ = ["always_exact", "exact"]

_HIGHEST = "highest"


def _switch() -> str | None:
    """JAX's own choice of a precision, None if none is made."""
    return jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]


def _check(function: Callable) -> None:
    if not callable(function):
        raise TypeError(f"function is {function!r}; expected a function.")


def exact(function: Callable) -> Callable:
    """The same function with exact products, unless JAX's switch is set.

    Example:
      >>> import jax.numpy as jnp
      >>> traced = jax.make_jaxpr(exact(jnp.dot))(jnp.ones((2, 2)), jnp.ones(2))
      >>> print(traced.jaxpr.eqns[0].params["precision"][0])
      HIGHEST
    """
    _check(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        if _switch() is not None:
            return function(*args, **options)
        with jax.default_matmul_precision(_HIGHEST):
            return function(*args, **options)

    return wrapped


def always_exact(function: Callable) -> Callable:
    """The same function with exact products, whatever JAX's switch says.

    Example:
      >>> import jax.numpy as jnp
      >>> with jax.default_matmul_precision("tensorfloat32"):
      ...     traced = jax.make_jaxpr(always_exact(jnp.dot))(jnp.ones(2), jnp.ones(2))
      >>> print(traced.jaxpr.eqns[0].params["precision"][0])
      HIGHEST
    """
    _check(function)

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        with jax.default_matmul_precision(_HIGHEST):
            return function(*args, **options)

    return wrapped
