"""A motion in one file that runs without jaxphys: its vector field, and its energy.

`jax.export` writes both as StableHLO, for CPU, CUDA and TPU, with any number of states
at once; the weights are in it. JAX alone reads it, a version as new as the writer's.
"""

import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from jaxphys import files, trees
from jaxphys.checks import check_count, checked
from jaxphys.types import Array, Dynamics, PyTree

__all__ = ["EXPORT_FORMAT", "PLATFORMS", "export_motion"]

#: Of the layout of these files, and where what is in them runs.
EXPORT_FORMAT = 1
PLATFORMS = ("cpu", "cuda", "tpu")


@checked(num_coordinates=check_count)
def export_motion(
    path: str | pathlib.Path,
    dynamics: Dynamics,
    params: PyTree,
    num_coordinates: int,
    *,
    dtype: Any = None,
    about: Mapping[str, Any] | None = None,
) -> pathlib.Path:
    """Write a motion and its weights as one .npz that JAX alone can run.

    In the file are `about`, JSON, and as bytes of `jax.export` the functions
    `vector_field(t, q, x) -> (dq/dt, dx/dt)` and, where there is one, `energy(q, x)`;
    x is p or v, and with inputs u follows it. t is a scalar, q and x are (N, n), u is
    (N, m), energies are (N,), for any N. `vector_field` and `energy` can be
    differentiated once.

    Args:
      path: the file, *.npz.
      dynamics: the motion.
      params: its weights, or the constants of a law.
      num_coordinates: n.
      dtype: of states and weights, float32 or float64; by default that of the weights.
      about: what else to write of it, as JSON has it.

    Raises:
      ValueError: for a path that is no .npz, float64 with x64 off, and weights that
        are not the motion's.

    Example:
      >>> import tempfile
      >>> from jaxphys import motion, systems
      >>> spring = systems.mass_spring(1.0, 4.0)
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "spring.npz"
      >>> path = export_motion(path, motion.of_system(spring), spring.params, 1)
      >>> with np.load(path) as file:
      ...     field = export.deserialize(bytearray(file["vector_field"]))
      >>> q = np.ones((3, 1), field.in_avals[1].dtype)
      >>> dq, dp = field.call(np.zeros((), q.dtype), q, q)
      >>> print(dq[0], dp[0])
      [1.] [-4.]
    """
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"the file is {path}; expected a name that ends in .npz.")
    own = jnp.result_type(*jax.tree.leaves(params)) if dtype is None else dtype
    kind = trees.real_dtype(own)
    weights = trees.cast(jax.tree.map(jnp.asarray, params), kind)
    m = dynamics.num_controls

    def field(t: Array, q: Array, x: Array, *u: Array) -> tuple:
        def one(q: Array, x: Array, *u: Array) -> tuple:
            args = (weights, *u) if m else weights
            return tuple(dynamics.vector_field(t, dynamics.state(q, x), args))

        return jax.vmap(one)(q, x, *u)

    (count,) = export.symbolic_shape("N")
    states = [jax.ShapeDtypeStruct((count, num_coordinates), kind)] * 2
    inputs = [jax.ShapeDtypeStruct((count, m), kind)] if m else []
    functions: dict[str, Any] = {
        "vector_field": _bytes(field, jax.ShapeDtypeStruct((), kind), *states, *inputs)
    }
    energy = dynamics.energy
    if energy is not None:
        functions["energy"] = _bytes(
            lambda q, x: jax.vmap(energy, (None, 0, 0))(weights, q, x), *states
        )
    head = {
        "format": EXPORT_FORMAT,
        "state": list(dynamics.state._fields),
        "num_coordinates": num_coordinates,
        "num_controls": m,
        "dtype": str(np.dtype(kind)),
        "functions": list(functions),
        "platforms": list(PLATFORMS),
        "jax": jax.__version__,
        **(about or {}),
    }
    with files.replacing(path) as file:
        np.savez(file, about=np.array(json.dumps(head)), **functions)
    return path


def _bytes(function: Callable, *shapes: jax.ShapeDtypeStruct) -> np.ndarray:
    """A function as `jax.export` writes it, with its derivative."""
    made = export.export(jax.jit(function), platforms=PLATFORMS)(*shapes)
    return np.frombuffer(made.serialize(vjp_order=1), np.uint8)
