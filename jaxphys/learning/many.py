"""One network trained by several learning rates and seeds, all at once.

One compiled loop over all of them by `jax.vmap`: for small networks it takes hardly
longer than one training.
"""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import data, training, trees
from jaxphys.learning.motions import matching
from jaxphys.learning.recipe import RATED, Recipe, transformation
from jaxphys.types import Array, Dynamics, PyTree, Trajectories

__all__ = ["Many", "learn_many"]


class Many(NamedTuple):
    """Trainings that ran side by side, S of them.

    Attributes:
      params: the weights, with a leading axis of S.
      losses: the mean loss over the updates of each epoch, (S, epochs), in the units of
        the data.
    """

    params: PyTree
    losses: Array


def learn_many(
    motion: Dynamics,
    recipe: Recipe,
    train: Sequence[Trajectories],
    *,
    rates: Array,
    keys: Array,
) -> Many:
    """Train one network by several learning rates and from several keys, all at once.

    An update that is not finite is left out.

    Args:
      motion: what is learned.
      recipe: how, with an optimizer that has a learning rate, and steps that make whole
        epochs.
      train: trajectories with what the mode needs.
      rates: learning rates, (S,).
      keys: random keys of weights and orders, (S,).

    Raises:
      ValueError: for recipes and data that do not fit.

    Example:
      >>> from jaxphys import models, systems
      >>> from jaxphys.motion import simulated
      >>> ts = jnp.linspace(0.0, 1.0, 8)
      >>> seen = simulated(systems.mass_spring(), jax.random.key(0), 4, ts)
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,), dtype=seen.y.q.dtype))
      >>> recipe = Recipe(steps=40, batch_size=8)
      >>> keys = jax.random.split(jax.random.key(1), 2)
      >>> rates = jnp.array([1e-3, 1e-2])
      >>> learn_many(motion, recipe, [seen], rates=rates, keys=keys).losses.shape
      (2, 10)
    """
    recipe.check()
    if recipe.optimizer not in RATED:
        raise ValueError(
            f"{recipe.optimizer} finds its own step; expected one of "
            f"{', '.join(RATED)}, which have a learning rate."
        )
    if jnp.ndim(rates) != 1 or jnp.shape(rates) != jnp.shape(keys):
        raise ValueError(
            f"rates have shape {jnp.shape(rates)}, keys {jnp.shape(keys)}; expected "
            "both (S,), one training each."
        )
    target = matching(motion, recipe)
    pair = target.samples(train, recipe.lengths[-1])
    total = data.num_samples(pair)
    batch = total if recipe.batch_size is None else recipe.batch_size
    batches = data.num_batches(pair, batch)
    if recipe.steps is None or recipe.steps % batches:
        raise ValueError(
            f"steps is {recipe.steps}; expected a multiple of {batches}, whole epochs."
        )
    epochs = recipe.steps // batches

    @jax.jit
    @functools.partial(jax.vmap, in_axes=(0, 0, None))
    def train_one(rate: Array, key: Array, pair: PyTree) -> tuple[PyTree, Array]:
        for_weights, for_order = jax.random.split(key)
        tx = transformation(recipe, rate)
        step = training.make_train_step(*target.trained, tx)

        def update(state: training.TrainState, rows: Array):
            new, info = step(state, jax.tree.map(lambda x: x[rows], pair))
            kept = training.skip_update(state, new)
            return trees.select(info.finite, new, kept), info.loss

        def epoch(state: training.TrainState, number: Array):
            order = data.epoch_order(for_order, number, total, batch)
            state, seen = jax.lax.scan(update, state, order)
            return state, jnp.mean(seen)

        start = training.init_state(motion.init(for_weights), tx)
        state, seen = jax.lax.scan(epoch, start, jnp.arange(epochs))
        return state.params, seen

    return Many(*train_one(jnp.asarray(rates), keys, jax.tree.map(jnp.asarray, pair)))
