"""Adaptive integration by diffrax, behind one function.

The vector fields are those of `integrators`: f(t, y, args), any pytree y. Take this
where accuracy is asked for by tolerance, and a fixed step where the step itself is
part of the problem, as in a simulator that a network is trained through.
"""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from jaxphys.names import check_known
from jaxphys.types import Array, PyTree, VectorField

SOLVERS = {
    "tsit5": diffrax.Tsit5,
    "dopri5": diffrax.Dopri5,
    "dopri8": diffrax.Dopri8,
    "kvaerno5": diffrax.Kvaerno5,
}

_ADJOINTS = {
    "reverse": diffrax.RecursiveCheckpointAdjoint,
    "forward": diffrax.ForwardMode,
    "any": diffrax.DirectAdjoint,
}


class Solution(NamedTuple):
    """An integrated trajectory.

    Attributes:
      ys: y's pytree with a leading axis of save times; not finite from where the solver
        gave up.
      ok: whether it reached the last time.
      num_steps: steps taken, rejected ones included.
    """

    ys: PyTree
    ok: Array
    num_steps: Array


def solve(
    vector_field: VectorField,
    y0: PyTree,
    ts: Array,
    args: PyTree = None,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    solver: str = "tsit5",
    max_steps: int = 100_000,
    derivative: str = "reverse",
) -> Solution:
    """Integrate dy/dt = f(t, y, args) through the times `ts`, to a tolerance.

    Args:
      vector_field: f(t, y, args) -> dy/dt.
      y0: state at ts[0], any pytree, unbatched.
      ts: times to save at, increasing, shape (T,), T ≥ 2.
      args: handed to the vector field.
      rtol, atol: relative and absolute tolerance of a step; by default 1e-9 and 1e-9 in
        float64, 1e-6 and 1e-6 in float32.
      solver: one of `SOLVERS`; "kvaerno5" is implicit, for stiff systems.
      max_steps: give up after so many.
      derivative: which derivatives are to be taken of the result: "reverse" (grad),
        with little memory; "forward" (jvp, jacfwd); "any", both and their mixtures.

    Returns:
      A `Solution`. Failure does not raise: it shows in `ok`.

    Raises:
      ValueError: on unknown names and on times that are not one increasing vector.

    Example:
      >>> result = solve(lambda t, y, args: -y, jnp.ones(1), jnp.array([0.0, 1.0]))
      >>> bool(result.ok), round(float(result.ys[-1, 0]), 5)
      (True, 0.36788)

    Reference: Kidger, On Neural Differential Equations, 2022; diffrax.
    """
    check_known("solver", solver, SOLVERS)
    check_known("derivative", derivative, _ADJOINTS)
    ts = jnp.asarray(ts)
    if ts.ndim != 1 or ts.shape[0] < 2:
        raise ValueError(f"ts has shape {ts.shape}; expected at least two times, (T,).")
    if not isinstance(ts, jax.core.Tracer) and not bool(jnp.all(jnp.diff(ts) > 0)):
        raise ValueError("ts does not increase; sort the times and drop repeated ones.")
    y0 = jax.tree.map(jnp.asarray, y0)
    double = jnp.result_type(*jax.tree.leaves(y0)) == jnp.float64
    tolerance = 1e-9 if double else 1e-6
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        SOLVERS[solver](),
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=y0,
        args=args,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(
            rtol=tolerance if rtol is None else rtol,
            atol=tolerance if atol is None else atol,
        ),
        adjoint=_ADJOINTS[derivative](),
        max_steps=max_steps,
        throw=False,
    )
    ok = solution.result == diffrax.RESULTS.successful
    return Solution(solution.ys, ok, solution.stats["num_steps"])
