"""Adaptive integration by diffrax, behind one function.

Vector fields are those of `integrators`: f(t, y, args), any pytree y. Use `solve` for
an accuracy given by tolerances, and `integrators.rollout` if the fixed step is part of
the problem, as in a simulator that a network is trained through.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix

from jaxphys.checks import (
    check_count,
    check_function,
    check_positive,
    check_start,
    check_times,
    checked,
)
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.trees import all_finite, time_dtype
from jaxphys.types import Array, PyTree, VectorField

__all__ = ["FIXED_STEP", "SOLVERS", "STATUS", "Solution", "solve"]

#: The adaptive methods; kvaerno5 is implicit.
SOLVERS = {
    "tsit5": diffrax.Tsit5,
    "dopri5": diffrax.Dopri5,
    "dopri8": diffrax.Dopri8,
    "kvaerno5": diffrax.Kvaerno5,
}

#: Methods of `integrators`, which need a fixed step.
FIXED_STEP = (
    "euler",
    "rk4",
    "symplectic_euler",
    "leapfrog",
    "yoshida4",
    "yoshida6",
    "implicit_midpoint",
    "gauss4",
    "variational",
)

_ADJOINTS = {
    "reverse": diffrax.RecursiveCheckpointAdjoint,
    "forward": diffrax.ForwardMode,
    "any": diffrax.DirectAdjoint,
}


#: How an integration may end, in words; `Solution.status` is an index of it.
STATUS = (
    "reached the last time",
    "stopped at the event",
    "took max_steps steps before the last time; raise max_steps, loosen rtol and atol, "
    "or take an implicit solver if the problem is stiff",
    "came to a state that is not finite",
    "could not solve an implicit step; tighten rtol and atol",
    "failed inside the solver",
)


class Solution(NamedTuple):
    """An integrated trajectory.

    Attributes:
      ys: y's pytree with a leading axis of save times; not finite at times after the
        solver stopped.
      ok: whether it reached the last time, or an event.
      num_steps: steps taken, rejected ones included.
      status: how it ended, an index of `STATUS`; `message` gives the words.
      t_end, y_end: the last time and state, or those of the event.
      dense: diffrax's interpolation, for `at`; None without dense=True.
    """

    ys: PyTree
    ok: Array
    num_steps: Array
    status: Array
    t_end: Array
    y_end: PyTree
    dense: Any = None

    def at(self, t: Array) -> PyTree:
        """The state at one time between the first and the last, to solver accuracy."""
        if self.dense is None:
            raise ValueError(
                "this solution has no dense output; solve with dense=True to have it."
            )
        return self.dense.evaluate(t)

    def message(self) -> str:
        """How the integration ended, in words; for one solution, outside of jit."""
        return f"the integration {STATUS[int(self.status)]} (t = {float(self.t_end):g})"


def _check_solver(solver: str) -> None:
    if solver in FIXED_STEP:
        raise ValueError(
            f"{solver} needs a fixed step, but ode.solve varies it: use "
            f"integrators.rollout(integrators.{solver}(...), y0, dt=...). Adaptive "
            f"solvers: {', '.join(SOLVERS)}."
        )
    check_known("solver", solver, SOLVERS)


def _status(result: diffrax.RESULTS, finite: Array) -> Array:
    kinds = diffrax.RESULTS
    ended = [
        ((result == kinds.successful) & finite, 0),
        (result == kinds.event_occurred, 1),
        (result == kinds.max_steps_reached, 2),
        ((result == kinds.successful) | (result == kinds.nonfinite), 3),
        (result == kinds.nonlinear_max_steps_reached, 4),
        (result == kinds.nonlinear_divergence, 4),
    ]
    conditions, codes = zip(*ended, strict=True)
    return jnp.select(conditions, [jnp.asarray(code) for code in codes], 5)


@checked(
    vector_field=check_function,
    rtol=check_positive,
    atol=check_positive,
    max_steps=check_count,
    event=check_function,
)
@exact
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
    dense: bool = False,
    event: Callable | None = None,
    rising: bool | None = None,
) -> Solution:
    """Integrate dy/dt = f(t, y, args) through the times `ts`, to a tolerance.

    Args:
      vector_field: f(t, y, args) -> dy/dt.
      y0: state at ts[0], any pytree, unbatched.
      ts: times to save at, increasing, shape (T,), T ≥ 2.
      args: passed to the vector field.
      rtol, atol: relative and absolute tolerance of a step; by default 1e-9 and 1e-9 in
        float64, 1e-6 and 1e-6 in float32.
      solver: one of `SOLVERS`; "kvaerno5" is implicit, for stiff systems.
      max_steps: the largest number of steps.
      derivative: the derivatives that can be taken of the result: "reverse" (grad),
        with little memory; "forward" (jvp, jacfwd); "any", both and their mixtures.
      dense: whether `Solution.at` gives the state at any time.
      event: `event(t, y, args)`. If it is real, its first zero ends the integration,
        found to the tolerance; if it is a bool, the first step after which it is True.
      rising: True for zeros with rising values only, False for falling; None for both.

    Returns:
      A `Solution`. Failure does not raise: it shows in `ok` and `status`.

    Raises:
      ValueError: for unknown names, and times that are not one increasing vector.

    Example:
      >>> result = solve(lambda t, y, args: -y, jnp.ones(1), jnp.array([0.0, 1.0]))
      >>> bool(result.ok), round(float(result.ys[-1, 0]), 5)
      (True, 0.36788)

    Reference: Kidger, On Neural Differential Equations, 2022; diffrax.
    """
    _check_solver(solver)
    check_known("derivative", derivative, _ADJOINTS)
    check_start(y0)
    check_times(ts)
    known = not any(isinstance(t, jax.core.Tracer) for t in jax.tree.leaves(ts))
    times = np.asarray(ts) if known else jnp.asarray(ts)
    if times.ndim != 1 or times.shape[0] < 2:
        raise ValueError(
            f"ts has shape {times.shape}; expected at least two times, (T,)."
        )
    if known and not np.all(np.diff(times) > 0):
        raise ValueError("ts does not increase; sort the times and drop repeated ones.")
    ts = jnp.asarray(times)
    y0 = jax.tree.map(jnp.asarray, y0)
    dtype = time_dtype(y0)
    tolerance = 1e-9 if jnp.finfo(dtype).bits == 64 else 1e-6
    ts = ts.astype(dtype)
    rtol, atol = (tolerance if x is None else x for x in (rtol, atol))
    saved = [diffrax.SubSaveAt(ts=ts), diffrax.SubSaveAt(t1=True)]
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(vector_field),
        SOLVERS[solver](),
        t0=ts[0],
        t1=ts[-1],
        dt0=None,
        y0=y0,
        args=args,
        saveat=diffrax.SaveAt(subs=saved, dense=dense),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        adjoint=_ADJOINTS[derivative](),
        event=None
        if event is None
        else _event(event, rising, ts, y0, args, rtol, atol),
        max_steps=max_steps,
        throw=False,
    )
    ys, last = solution.ys
    last = jax.tree.map(lambda y: y[0], last)
    status = _status(solution.result, all_finite(last))
    return Solution(
        ys,
        status <= 1,
        solution.stats["num_steps"],
        status,
        solution.ts[1][0],
        last,
        solution.interpolation,
    )


def _event(event, rising, ts, y0, args, rtol, atol) -> diffrax.Event:
    kind = jax.eval_shape(event, ts[0], y0, args)
    if kind.shape != ():
        raise ValueError(
            f"the event returned shape {kind.shape}; expected one number or one bool."
        )
    real = jnp.issubdtype(kind.dtype, jnp.floating)
    finder: Any = optimistix.Newton(rtol, atol) if real else None
    return diffrax.Event(
        lambda t, y, args, **unused: event(t, y, args), finder, direction=rising
    )
