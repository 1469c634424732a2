"""What is done to pytrees of arrays: dtypes checked, leaves cast, flattened, selected.

A pytree of parameters, constants or states has real leaves of one dtype; that is
checked here and nowhere else.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import DTypeLike

__all__ = [
    "all_finite",
    "cast",
    "check_double",
    "check_dtype",
    "check_one_dtype",
    "ravel",
    "real_dtype",
    "select",
    "time_dtype",
]


def real_dtype(dtype: DTypeLike | None = None) -> np.dtype:
    """A real dtype by its name, after checking that JAX has it.

    Args:
      dtype: float32 or float64; None for JAX's own, float64 where x64 is on.

    Raises:
      ValueError: for any other dtype, and for float64 where x64 is off, which JAX would
        silently replace by float32.

    Example:
      >>> print(real_dtype("float32"))
      float32
    """
    default = jnp.zeros(()).dtype
    try:
        wanted = default if dtype is None else np.dtype(dtype)
    except TypeError:
        raise ValueError(f"dtype is {dtype!r}; expected float32 or float64.") from None
    if wanted not in (np.float32, np.float64):
        raise ValueError(f"dtype is {wanted}; expected float32 or float64.")
    if wanted == np.float64 and default != np.float64:
        raise ValueError(
            "dtype is float64, which is off in JAX; turn it on with "
            'jax.config.update("jax_enable_x64", True), or take float32.'
        )
    return wanted


def check_double(what: str) -> None:
    """A ValueError where JAX has no float64, for what is computed in it alone.

    Args:
      what: in words, with its verb.
    """
    if jnp.zeros(()).dtype != np.float64:
        raise ValueError(
            f"{what} in float64, which is off in JAX; turn it on with "
            'jax.config.update("jax_enable_x64", True).'
        )


def check_dtype(name: str, dtype: DTypeLike) -> None:
    """A ValueError for a dtype that `real_dtype` does not take, for `checks.checked`.

    Python's `float` is JAX's own dtype, as it is to JAX.

    Example:
      >>> check_dtype("dtype", "int32")
      Traceback (most recent call last):
      ValueError: dtype is int32; expected float32 or float64.
    """
    del name
    real_dtype(None if dtype is float else dtype)


def check_one_dtype(tree: Any) -> jnp.dtype:
    """The one real floating dtype of all leaves.

    Raises:
      ValueError: where the leaves have several dtypes, none, or one that is not real.

    Example:
      >>> print(check_one_dtype({"w": jnp.ones(2, "float32")}))
      float32
    """
    dtypes = sorted({str(_dtype_of(leaf)) for leaf in jax.tree.leaves(tree)})
    if len(dtypes) != 1 or not jnp.issubdtype(jnp.dtype(dtypes[0]), jnp.floating):
        raise ValueError(
            f"parameters have dtypes {dtypes}; expected one real floating dtype. Cast "
            "with jax.tree.map(lambda leaf: leaf.astype(dtype), params)."
        )
    return jnp.dtype(dtypes[0])


def time_dtype(y: Any) -> jnp.dtype:
    """The real dtype of times and time steps beside a state, which may be complex.

    Raises:
      ValueError: for a state of whole numbers.

    Example:
      >>> print(time_dtype((jnp.ones(2, "float32"), jnp.ones(2, "complex64"))))
      float32
    """
    # Beside the numbers of a state there may be a key of random ones.
    dtypes = [_dtype_of(leaf) for leaf in jax.tree.leaves(y)]
    dtypes = [dtype for dtype in dtypes if jnp.issubdtype(dtype, np.number)]
    dtype = jnp.result_type(*dtypes) if dtypes else np.dtype(bool)
    if not jnp.issubdtype(dtype, jnp.inexact):
        raise ValueError(
            f"the state has dtype {dtype}; expected a floating one, as time steps are "
            "no whole numbers. Write 1.0 for 1, or cast with .astype(float)."
        )
    return jnp.finfo(dtype).dtype


def _dtype_of(leaf: Any) -> Any:
    """A leaf's dtype, or a TypeError for what is no number, such as a text."""
    try:
        if isinstance(leaf, str):
            raise TypeError
        return jnp.result_type(leaf)
    except TypeError:
        kind = getattr(leaf, "dtype", type(leaf).__name__)
        raise TypeError(
            f"a pytree has a leaf of type {kind}; expected arrays of numbers."
        ) from None


def cast(tree: Any, dtype: DTypeLike | None, *, integers: bool = False) -> Any:
    """The real leaves of a pytree in another dtype, all others as they are.

    Arrays of NumPy stay such, all else becomes an array of JAX.

    Args:
      tree: a pytree of arrays and numbers.
      dtype: the dtype, or None to change nothing.
      integers: whether integers become real too, as the constants of a system do;
        indices must not.

    Example:
      >>> half = cast({"w": jnp.ones(2), "index": jnp.arange(2)}, "float16")
      >>> print(half["w"].dtype, half["index"].dtype.kind)
      float16 i
    """
    if dtype is None:
        return tree

    def one(leaf: Any) -> Any:
        real = integers or jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
        if not real:
            return leaf
        make = np.asarray if isinstance(leaf, np.ndarray) else jnp.asarray
        return make(leaf, dtype)

    return jax.tree.map(one, tree)


def ravel(tree: Any):
    """Flatten a pytree of real arrays of one dtype: the vector and its inverse.

    Returns:
      `(flat, unravel)`, as of `jax.flatten_util.ravel_pytree`.

    Raises:
      ValueError: where the leaves have several dtypes, which would be promoted
        silently, or one that is not real floating.

    Example:
      >>> flat, unravel = ravel((jnp.ones(2), jnp.zeros((1, 1))))
      >>> print(flat, unravel(2 * flat)[0])
      [1. 1. 0.] [2. 2.]
    """
    check_one_dtype(tree)
    return ravel_pytree(tree)


def all_finite(tree: Any) -> jax.Array:
    """Whether every entry of every array of a pytree is finite.

    Example:
      >>> print(all_finite({"x": jnp.ones(2), "y": jnp.array(jnp.nan)}))
      False
    """
    leaves = jax.tree.leaves(tree)
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def select(condition: jax.Array, yes: Any, no: Any) -> Any:
    """One of two pytrees of the same structure, leaf by leaf, by a condition in arrays.

    Example:
      >>> (chosen,) = select(jnp.array(True), (jnp.ones(2),), (jnp.zeros(2),))
      >>> print(chosen)
      [1. 1.]
    """
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
