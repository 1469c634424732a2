"""Policies that act at every step: followed from fresh starts, and their costs.

A policy feeds the state back. The yardstick is control in open loop: for one start, the
controls of least cost, each of them free.
"""

import jax
import jax.numpy as jnp

from jaxphys import optim, problems, training
from jaxphys.experiments.control.rows import Steering
from jaxphys.experiments.experiment import Keys
from jaxphys.problems.feedback import Path
from jaxphys.types import Array, Model, Problem, PyTree

__all__ = ["costs", "followed", "open_loop", "optimal_costs"]

#: Updates by which controls are optimized.
_UPDATES = 40


def followed(built: Steering, params: PyTree, keys: Keys, count: int) -> Path:
    """Motions from fresh starts under a policy, with a leading axis of starts."""
    starts, _ = built.problem.sample(keys.draw, count)
    return jax.jit(jax.vmap(problems.closed_loop(*built), (None, 0)))(params, starts)


def costs(problem: Problem, model: Model, params: PyTree, starts: Array) -> Array:
    """The cost of a policy from each start, (b,)."""
    rows = jax.vmap(problems.outputs(problem, model), (None, 0))(params, starts)
    return jnp.sum(rows**2, axis=1)


def open_loop(problem: Problem, steps: int) -> Model:
    """A policy that reads nothing but the time: its weights are the controls.

    Args:
      problem: of feedback by one control, whose last observation is t/T.
      steps: how often it acts.
    """

    def init(key: Array) -> Array:
        del key
        return jnp.zeros(steps, problem.sample(jax.random.key(0), 1)[0].dtype)

    def apply(controls: Array, seen: Array) -> Array:
        number = jnp.round(seen[-1] * steps).astype(jnp.int32)
        return controls[number][None]

    return Model(init, apply)


def optimal_costs(problem: Problem, steps: int, starts: Array) -> Array:
    """The least cost from each start, by Levenberg–Marquardt on the controls, (b,)."""
    outputs = problems.outputs(problem, open_loop(problem, steps))
    tx = optim.levenberg_marquardt(damping=1e-2)
    step = training.make_train_step(outputs, problem.objective, tx)
    first = training.init_state(jnp.zeros(steps, starts.dtype), tx)

    def one(start: Array) -> Array:
        batch = (start[None], start[None])
        last, _ = jax.lax.scan(
            lambda state, _: (step(state, batch)[0], None), first, length=_UPDATES
        )
        return jnp.sum(outputs(last.params, start) ** 2)

    return jax.lax.map(one, starts)
