"""A step applied from one given time to the next, where these are not evenly spaced.

`rollout` has one dt, as simulations do; measurements have the times that they have.
"""

import jax
import jax.numpy as jnp

from jaxphys.checks import (
    check_count,
    check_function,
    check_start,
    check_times,
    checked,
)
from jaxphys.trees import time_dtype
from jaxphys.types import Array, PyTree, Step

__all__ = ["rollout_at"]


def _check_substeps(name: str, value: int | Array) -> None:
    # A number that is an array may change between calls of one program.
    if not isinstance(value, jax.core.Tracer):
        check_count(name, value)


@checked(step=check_function, substeps=_check_substeps)
def rollout_at(
    step: Step,
    y0: PyTree,
    ts: Array,
    *,
    args: PyTree = None,
    substeps: int | Array = 1,
    controls: PyTree | None = None,
) -> PyTree:
    """The trajectory of a step at given times: y at ts[0], ts[1], …, ts[T − 1].

    Args:
      step: `step(t, y, dt, args) -> y`.
      y0: the state at ts[0], any pytree, unbatched.
      ts: times, (T,), T ≥ 2, uneven if need be. A time that repeats the one before
        repeats its state, which fills trajectories up to a common length.
      args: passed to the vector field.
      substeps: integrator steps between two times. As an array, one compiled program
        serves every number of them, and only forward-mode derivatives are defined.
      controls: inputs held from each time to the next, leading axis T − 1; the vector
        field then gets the pair (args, controls[i]).

    Returns:
      y0's pytree with a leading time axis of T, the start included.

    Raises:
      ValueError: for invalid times, substeps or controls.

    Example:
      >>> from jaxphys.integrators import rk4
      >>> step = rk4(lambda t, y, args: -y)
      >>> path = rollout_at(step, 1.0, jnp.array([0.0, 0.1, 0.5]), substeps=4)
      >>> [round(float(y), 3) for y in path]
      [1.0, 0.905, 0.607]
    """
    check_start(y0)
    check_times(ts)
    y0 = jax.tree.map(jnp.asarray, y0)
    ts = jnp.asarray(ts, time_dtype(y0))
    if ts.ndim != 1 or len(ts) < 2:
        raise ValueError(
            f"ts has shape {ts.shape}; expected at least two times, (T,). For a batch "
            "use jax.vmap."
        )
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(controls)}
    if lengths - {(len(ts) - 1,)}:
        raise ValueError(
            f"controls have leading axes {sorted(lengths)}; expected one value from "
            f"each time to the next, ({len(ts) - 1},). For a batch use jax.vmap."
        )

    def between(y: PyTree, at: tuple) -> tuple[PyTree, PyTree]:
        t, dt, control = at
        held = args if controls is None else (args, control)

        def one(number: Array, y: PyTree) -> PyTree:
            return step(t + number.astype(dt.dtype) * dt, y, dt, held)

        # With a number that is known this loop is a scan, which has both derivatives.
        y = jax.lax.fori_loop(0, substeps, one, y)
        return y, y

    small = (jnp.diff(ts) / substeps).astype(ts.dtype)
    _, later = jax.lax.scan(between, y0, (ts[:-1], small, controls))
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, later)
