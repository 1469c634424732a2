"""A policy that acts at every step of a motion, as a problem to be trained.

From a start y₀ the state goes on as

    u_i = policy(observe(t_i, y_i)),    y_{i+1} = step(t_i, y_i, Δt, (params, u_i)),

with u_i held over the step, and what is lowered is the mean over starts of

    Σ_i |stage(t_i, y_i, u_i)|² + |final(y_N)|²,

or of any convex function of the same rows in place of the squares. The rows are the
outputs of one sample, so that second-order methods know them one by one. Weights of a
policy act at every step; `jaxphys.optim.columns` says how they are linearised.

Reference: Bertsekas, Dynamic Programming and Optimal Control, volume I.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import integrators, losses, trees
from jaxphys.checks import check_count
from jaxphys.precision import exact
from jaxphys.types import Array, Problem, PyTree, Step

__all__ = ["Path", "feedback"]


class Path(NamedTuple):
    """A motion under a policy.

    Attributes:
      t: times, shape (N + 1,).
      y: the states at them, each leaf with a leading axis N + 1.
      u: the controls, held from each time to the next, shape (N, c).
    """

    t: Array
    y: PyTree
    u: Array


def _everything(t: Array, y: PyTree) -> Array:
    """What a policy sees where nothing else is said: the whole state."""
    del t
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(y)])


def feedback(
    step: Step,
    stage: Callable[[Array, PyTree, Array], Array],
    starts: Callable[[Array], PyTree],
    *,
    dt: float,
    num_steps: int,
    final: Callable[[PyTree], Array] | None = None,
    params: PyTree = None,
    observe: Callable[[Array, PyTree], Array] = _everything,
    penalty: Callable[[Array], Array] | None = None,
    num_controls: int = 1,
    substeps: int = 1,
    name: str = "feedback",
) -> Problem:
    """The problem of a policy that acts at every step.

    Args:
      step: `step(t, y, dt, (params, u)) -> y`, one step of an integrator: say
        `integrators.rk4` of a field that reads its control from `args[1]`.
      stage: `stage(t, y, u) -> (k,)`, the rows whose squares are the cost of a step,
        Δt and all.
      starts: `starts(key) -> y`, one random start, any pytree of real arrays.
      dt: Δt > 0, for which a control is held.
      num_steps: N ≥ 1, the horizon.
      final: `final(y) -> (j,)`, the rows of the cost of the last state.
      params: what `step` is handed beside the control.
      observe: `observe(t, y) -> (num_inputs,)`, what the policy reads; by default y.
      penalty: `penalty(rows) -> scalar`, convex, in place of the sum of squares, of the
        rows of each step and of the final ones.
      num_controls: c, the size of u.
      substeps: integrator steps of Δt/substeps in each Δt.
      name: of the problem.

    Returns:
      A `Problem` whose inputs are starts, and whose network is the policy: it composes
      with `outputs`, `steered` and `jaxphys.compare` as the others do. Its `simulate`
      takes the policy itself in place of a control, `simulate(policy, y) -> (d,)`, and
      `follow(policy, y) -> Path` is the motion.

    Raises:
      ValueError: for an invalid time grid, and where functions do not fit together.

    Example:
      A mass that is pushed back to the origin, by a policy of two gains:

      >>> field = lambda t, y, args: jnp.stack([y[1], args[1][0]])
      >>> problem = feedback(
      ...     integrators.rk4(field),
      ...     lambda t, y, u: jnp.concatenate([y, 0.1 * u]),
      ...     lambda key: jax.random.normal(key, (2,)),
      ...     dt=0.1,
      ...     num_steps=50,
      ... )
      >>> path = problem.follow(lambda y: -jnp.array([[1.0, 2.0]]) @ y, jnp.ones(2))
      >>> path.y.shape, path.u.shape, bool(jnp.all(jnp.abs(path.y[-1]) < 0.1))
      ((51, 2), (50, 1), True)
      >>> problem.num_outputs
      150
    """
    integrators.check_time_step(dt, num_steps, substeps)
    check_count("num_controls", num_controls)
    if dt < 0:
        raise ValueError(f"dt is {dt}; expected a time step above zero.")
    ends = final if final is not None else lambda y: jnp.zeros(0, trees.time_dtype(y))

    def act(policy: Callable, t: Any, y: PyTree) -> tuple[PyTree, Array, Array]:
        """The next state, the control, and the rows of this step."""
        u = policy(observe(t, y))
        if jnp.shape(u) != (num_controls,):
            raise ValueError(
                f"the policy gave shape {jnp.shape(u)}; expected controls of shape "
                f"({num_controls},). Set num_controls, or the network's last layer."
            )
        after = integrators.repeat(
            step, y, t0=t, dt=dt / substeps, num_steps=substeps, args=(params, u)
        )
        return after, u, stage(t, y, u)

    def run(policy: Callable, start: PyTree, kept: Callable) -> tuple[PyTree, PyTree]:
        """The last state, and what is kept of each step."""
        times = dt * jnp.arange(num_steps, dtype=trees.time_dtype(start))

        def advance(y: PyTree, t: Array) -> tuple[PyTree, PyTree]:
            after, u, rows = act(policy, t, y)
            return after, kept(y, u, rows)

        return jax.lax.scan(advance, start, times)

    @exact
    def simulate(policy: Callable, start: PyTree) -> Array:
        last, rows = run(policy, start, lambda y, u, rows: rows)
        return jnp.concatenate([rows.reshape(-1), ends(last)])

    @exact
    def follow(policy: Callable, start: PyTree) -> Path:
        start = jax.tree.map(jnp.asarray, start)
        last, (y, u) = run(policy, start, lambda y, u, rows: (y, u))
        path = jax.tree.map(lambda a, b: jnp.concatenate([a, b[None]]), y, last)
        times = dt * jnp.arange(num_steps + 1, dtype=trees.time_dtype(start))
        return Path(times, path, u)

    def sample(key: Array, num_samples: int) -> tuple[PyTree, PyTree]:
        states = jax.vmap(starts)(jax.random.split(key, num_samples))
        return states, states

    seen, rows, last = _sizes(act, ends, starts, observe, num_controls)
    objective: Any = losses.squared_size
    if penalty is not None:
        objective = _sum_of(penalty, ((num_steps, rows), (1, last)))
    return Problem(
        name=name,
        num_inputs=seen,
        num_controls=num_controls,
        num_outputs=num_steps * rows + last,
        sample=sample,
        simulate=simulate,
        objective=objective,
        follow=follow,
    )


def _sum_of(
    penalty: Callable[[Array], Array], sizes: tuple[tuple[int, int], ...]
) -> Callable[[Array, PyTree], Array]:
    """The objective Σ φ(piece) over consecutive pieces: (how many, of which size)."""

    def objective(outputs: Array, targets: PyTree) -> Array:
        del targets
        total, end = jnp.zeros((), outputs.dtype), 0
        for count, size in sizes:
            begin, end = end, end + count * size
            if count * size:
                pieces = outputs[begin:end].reshape(count, size)
                total += jnp.sum(jax.vmap(penalty)(pieces))
        return total

    return objective


def _sizes(
    act: Callable,
    final: Callable,
    starts: Callable,
    observe: Callable,
    num_controls: int,
) -> tuple[int, int, int]:
    """Of what is observed, of a step's rows and of the last; checks that all fit."""
    y = jax.eval_shape(starts, jax.random.key(0))
    t = jax.ShapeDtypeStruct((), trees.time_dtype(y))
    seen = jax.eval_shape(observe, t, y)
    u = jnp.zeros(num_controls, t.dtype)
    after, _, rows = jax.eval_shape(lambda t, y: act(lambda x: u, t, y), t, y)
    for what, found in (
        ("observe(t, y)", seen),
        ("stage(t, y, u)", rows),
        ("final(y)", jax.eval_shape(final, y)),
    ):
        if getattr(found, "ndim", None) != 1:
            shape = jax.tree.map(lambda x: x.shape, found)
            raise ValueError(
                f"{what} gave shape {shape}; expected one vector. For a cost that is a "
                "sum of squares return the roots, such as jnp.stack([x, 0.1 * u[0]])."
            )
    kinds = (jax.tree.map(lambda x: (x.shape, x.dtype), z) for z in (y, after))
    before, then = kinds
    if before != then:
        raise ValueError(
            f"the step makes of a state {before} one of {then}; expected the same "
            "structure, shapes and dtypes."
        )
    last: Any = jax.eval_shape(final, y)
    return seen.shape[0], rows.shape[0], last.shape[0]
