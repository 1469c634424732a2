"""Which products of matrices a GPU or a TPU would compute in few digits."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys._jaxpr import walk

__all__ = ["inexact", "warn_of_inexact"]

_PRODUCTS = {"dot_general", "conv_general_dilated"}
_SHORT = {jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16)}
_SINGLE = {jnp.dtype(jnp.float32), jnp.dtype(jnp.complex64)}


def inexact(jaxpr: Any) -> list[str]:
    """The products of float32 that ask for fewer digits, and those of shorter dtypes.

    Example:
      >>> product = lambda a: a @ a
      >>> inexact(jax.make_jaxpr(product)(jnp.ones((2, 2), jnp.float32)).jaxpr)
      ['float32 (2, 2) by (2, 2), precision default']
      >>> with jax.default_matmul_precision("highest"):
      ...     inexact(jax.make_jaxpr(product)(jnp.ones((2, 2), jnp.float32)).jaxpr)
      []
    """
    found: list[str] = []
    for eqn in walk.everywhere(jaxpr.eqns):
        if eqn.primitive.name not in _PRODUCTS:
            continue
        left, right = (var.aval for var in eqn.invars)
        asked = _names(eqn.params["precision"])
        short = left.dtype in _SHORT or right.dtype in _SHORT
        if short or (left.dtype in _SINGLE and asked != {"highest"}):
            said = "/".join(sorted(asked))
            shapes = f"{left.shape} by {right.shape}"
            found.append(f"{left.dtype} {shapes}, precision {said}")
    return found


def warn_of_inexact(function: Any, *arguments: Any) -> None:
    """Warn, on devices that take fewer digits, where a function asks for fewer.

    Args:
      function: of the arguments, arrays or their shapes.
    """
    if jax.default_backend() == "cpu":
        return
    found = inexact(jax.make_jaxpr(function)(*arguments).jaxpr)
    if found:
        warnings.warn(
            f"{len(found)} products of matrices have fewer digits than their dtype on "
            f"this device ({found[0]}), which limits what training reaches. Where the "
            "last digits matter, leave the precision of layers and JAX's "
            "default_matmul_precision unset, or say 'highest'.",
            stacklevel=2,
        )


def _names(precision: Any) -> set[str]:
    """What a product asks for on its two sides."""
    sides = precision if isinstance(precision, tuple) else (precision,)
    return {"default" if side is None else str(side).lower() for side in sides}
