"""Fixed-step integrators as functions, and the two ways to apply one many times.

`rk4(f)` makes a step `step(t, y, dt, args) -> y` for any pytree y; `rollout` keeps the
trajectory, `repeat` only the end. Both are one `lax.scan`, differentiable both ways.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.types import Array, PyTree, Step, VectorField


def _shifted(y: PyTree, scale: Array, slope: PyTree) -> PyTree:
    """y + scale · slope, leaf by leaf."""
    return jax.tree.map(lambda a, b: a + scale * b, y, slope)


def euler(f: VectorField) -> Step:
    """Explicit Euler, order 1: y + dt f(t, y).

    Example:
      >>> print(round(euler(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.9
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        return _shifted(y, dt, f(t, y, args))

    return step


def rk4(f: VectorField) -> Step:
    """The classical Runge–Kutta method, order 4.

    Args:
      f: f(t, y, args) -> dy/dt.

    Returns:
      `step(t, y, dt, args) -> y`; args are held fixed over the step.

    Example:
      >>> print(round(rk4(lambda t, y, args: -y)(0.0, 1.0, 0.1, None), 6))
      0.904837

    Reference: Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I,
    table 1.2.
    """

    def step(t: Array, y: PyTree, dt: Array, args: PyTree) -> PyTree:
        k1 = f(t, y, args)
        k2 = f(t + dt / 2, _shifted(y, dt / 2, k1), args)
        k3 = f(t + dt / 2, _shifted(y, dt / 2, k2), args)
        k4 = f(t + dt, _shifted(y, dt, k3), args)
        return jax.tree.map(
            lambda y0, a, b, c, d: y0 + dt / 6 * (a + 2 * b + 2 * c + d),
            y,
            k1,
            k2,
            k3,
            k4,
        )

    return step


def check_time_step(dt, num_steps: int, substeps: int = 1) -> None:
    """Raise a ValueError on a time grid that cannot be meant."""
    if not isinstance(dt, jax.core.Tracer) and not (np.isfinite(dt) and dt != 0):
        raise ValueError(f"dt is {dt}; expected a finite time step other than zero.")
    for name, count in (("num_steps", num_steps), ("substeps", substeps)):
        if int(count) != count or count < 1:
            raise ValueError(f"{name} is {count}; expected a whole number ≥ 1.")


def _scan(step: Step, y0, t0, dt, num_steps, args, substeps, controls, keep: bool):
    check_time_step(dt, num_steps, substeps)
    if controls is not None:
        lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(controls)}
        if lengths != {(num_steps,)}:
            raise ValueError(
                f"controls have leading axes {sorted(lengths)}; expected one value a "
                f"step, ({num_steps},). For a batch of controls use jax.vmap."
            )
    y0 = jax.tree.map(jnp.asarray, y0)
    dtype = jnp.result_type(*jax.tree.leaves(y0))
    small = jnp.asarray(dt, dtype) / substeps
    start = jnp.asarray(t0, dtype)

    def advance(y: PyTree, numbered) -> tuple[PyTree, PyTree]:
        number, control = numbered
        held = args if controls is None else (args, control)

        def one(sub, y):
            return step(start + (number * substeps + sub) * small, y, small, held)

        if substeps == 1:
            y = one(0, y)
        else:
            y, _ = jax.lax.scan(
                lambda y, sub: (one(sub, y), None), y, jnp.arange(substeps)
            )
        return y, (y if keep else None)

    numbered = (jnp.arange(num_steps), controls)
    return y0, *jax.lax.scan(advance, y0, numbered)


def rollout(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
) -> PyTree:
    """The trajectory of a step: y at t0, t0 + dt, …, t0 + num_steps · dt.

    Args:
      step: `step(t, y, dt, args) -> y`.
      y0: initial state, any pytree, unbatched.
      t0: initial time.
      dt: time between two saved states.
      num_steps: number of saved states after the first.
      args: what the vector field is handed.
      substeps: integrator steps of dt/substeps between two saved states.
      controls: inputs held over each step, leading axis num_steps; the vector field is
        then handed the pair (args, controls[i]).

    Returns:
      y0's pytree with a leading time axis of num_steps + 1, the start included.

    Raises:
      ValueError: on a time grid or controls that do not fit.

    Example:
      >>> step = rk4(lambda t, y, args: -y)
      >>> [round(float(y), 3) for y in rollout(step, 1.0, dt=0.5, num_steps=2)]
      [1.0, 0.607, 0.368]
    """
    y0, _, ys = _scan(step, y0, t0, dt, num_steps, args, substeps, controls, keep=True)
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), y0, ys)


def repeat(
    step: Step,
    y0: PyTree,
    *,
    t0: float = 0.0,
    dt: float,
    num_steps: int,
    args: PyTree = None,
    substeps: int = 1,
    controls: PyTree | None = None,
) -> PyTree:
    """The last state of `rollout`, without keeping the others; same arguments.

    Example:
      >>> step = rk4(lambda t, y, args: -y)
      >>> round(float(repeat(step, 1.0, dt=0.5, num_steps=2)), 3)
      0.368
    """
    _, last, _ = _scan(
        step, y0, t0, dt, num_steps, args, substeps, controls, keep=False
    )
    return last
