"""The compiled loop: batches of shuffled epochs, and updates that are left out.

The number of steps is an argument, so that one compilation serves every length, and
nothing goes back to the host between two steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import data as datasets
from jaxphys import trees
from jaxphys.checks import check_count, check_function, check_whole, checked
from jaxphys.training.step import TrainState
from jaxphys.types import Array, PyTree

__all__ = ["Skips", "make_loop", "no_skips", "skip_update"]


class Skips(NamedTuple):
    """Updates that were left out, as they were not finite.

    Attributes:
      row: how many in a row, up to now.
      total: how many in all.
    """

    row: Array
    total: Array


def no_skips(row: int = 0, total: int = 0) -> Skips:
    """None yet, or so many in a row and in all before."""
    return Skips(jnp.asarray(row, jnp.int32), jnp.asarray(total, jnp.int32))


def skip_update(old: TrainState, new: TrainState) -> TrainState:
    """The state after an update that is left out.

    Weights stay, and so do counts of updates. Of the rest of the optimizer's memory
    what is still finite is new, so that a damped method goes on with more damping.
    """

    def finite(a: Array, b: Array) -> Array:
        if jnp.issubdtype(b.dtype, jnp.integer):
            return a
        return jnp.where(jnp.all(jnp.isfinite(b)), b, a)

    memory = jax.tree.map(finite, old.opt_state, new.opt_state)
    return TrainState(old.params, memory, new.step)


@checked(step=check_function, batch_size=check_count, skips=check_whole)
def make_loop(
    step: Callable, batch_size: int, skips: int = 0, *, slowed: bool = False
) -> Callable:
    """The loop that `Trainer` runs, compiled when it is first called.

    `loop(state, data, key, num_steps, Skips) -> (state, done, info, Skips)` takes that
    many steps, or fewer where too many in a row are not finite. Called with zero steps
    it compiles and does nothing.

    Args:
      step: from `make_train_step`.
      batch_size: samples a step; divides the data.
      skips: how many updates in a row may be left out as they are not finite. The one
        that is too many is not: it stands in the state that is returned.
      slowed: whether the loop takes one more argument, the part of each update that is
        taken, in (0, 1]. The usual loop does without, and is the faster for it.
    """

    # The loop asks for the step's shapes and then for the step: traced once for both.
    step = jax.jit(step, inline=True)

    @jax.jit
    def loop(
        state: TrainState,
        data: PyTree,
        key: Array | None,
        num_steps: Array,
        skipped: Skips,
        rate: Array | None = None,
    ):
        total = datasets.num_samples(data)
        batches = total // batch_size

        def order_of(step_number: Array) -> Array:
            return datasets.epoch_order(key, step_number // batches, total, batch_size)

        def body(carry):
            state, order, done, _, skipped = carry
            index = state.step % batches
            if key is not None and batches > 1:
                order = jax.lax.cond(
                    index == 0, order_of, lambda number: order, state.step
                )
            elif key is not None:
                order = order_of(state.step)
            batch = jax.tree.map(lambda x: x[order[index]], data)
            new, info = step(state, batch)
            if slowed and rate is not None:
                new = new._replace(params=_part_way(state.params, new.params, rate))
            bad = ~info.finite
            skipped = Skips(jnp.where(bad, skipped.row + 1, 0), skipped.total + bad)
            if skips:
                leave = bad & (skipped.row <= skips)
                new = trees.select(leave, skip_update(state, new), new)
            return new, order, done + 1, info, skipped

        def unfinished(carry):
            return (carry[2] < num_steps) & (carry[4].row <= skips)

        # A while_loop carries the info of its last step: what stands there before the
        # first one has the shapes of a step that is traced and never run.
        shapes = jax.eval_shape(
            lambda: step(state, jax.tree.map(lambda x: x[:batch_size], data))[1]
        )
        nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        nothing = nothing._replace(finite=jnp.array(True))
        begin = jnp.zeros_like(num_steps)
        start = (state, order_of(state.step), begin, nothing, skipped)
        state, _, done, info, skipped = jax.lax.while_loop(unfinished, body, start)
        return state, done, info, skipped

    return loop


def _part_way(old: PyTree, new: PyTree, rate: Array) -> PyTree:
    """Weights after a part of an update."""
    return jax.tree.map(lambda a, b: a + rate.astype(a.dtype) * (b - a), old, new)
