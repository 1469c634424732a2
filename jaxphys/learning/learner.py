"""Training any target by a recipe, compiled once and used for many seeds."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from jaxphys import checkpoint, data, devices, training
from jaxphys.learning.recipe import Recipe, transformation
from jaxphys.problems import Target
from jaxphys.training import Budget, Fit, Looks, Storage, Trainer, TrainState
from jaxphys.types import Array, PyTree

__all__ = ["Learner"]


class Learner:
    """A target and a recipe, with what was compiled of them.

    Args:
      target: what is trained; `jaxphys.problems.steered` makes one of a simulator and
        a network, `jaxphys.learning.matching` of a motion.
      recipe: how.

    Raises:
      ValueError: for an invalid recipe.

    Example:
      >>> from jaxphys import models, problems
      >>> problem = problems.oscillator_control()
      >>> target = problems.steered(problem, models.mlp((4, 20, 24)))
      >>> recipe = Recipe(optimizer="levenberg_marquardt", batch_size=32, steps=20)
      >>> learner = Learner(target, recipe)
      >>> sets = {"train_loss": problem.sample(jax.random.key(0), 64)}
      >>> for seed in (1, 2):
      ...     keys = jax.random.split(jax.random.key(seed))
      ...     fit = learner.fit(sets, *keys, progress=False)
      >>> fit.history[-1]["train_loss"] < 1e-2 * fit.history[0]["train_loss"]
      True
    """

    def __init__(self, target: Target, recipe: Recipe):
        self.target, self.recipe = target, recipe.check()
        self.tx = transformation(recipe)
        step = training.make_train_step(
            *target.trained, self.tx, memory_limit=recipe.memory_limit
        )
        self._step = step if recipe.starts == 1 else training.side_by_side(step)
        self._losses = training.make_evaluate(*target.judged)
        self._trainers: dict[int, Trainer] = {}

    def fit(
        self,
        sets: Mapping[str, Any],
        network_key: Array,
        order_key: Array | None,
        *,
        budget: Budget | None = None,
        params: PyTree | None = None,
        start: optax.GradientTransformation | None = None,
        monitor: Callable[[PyTree], Mapping[str, Any]] | None = None,
        storage: Storage | None = None,
        progress: bool | str = True,
    ) -> Fit:
        """Train from one seed.

        Args:
          sets: name → data; those of `train_loss` are trained on, and the loss of each
            is recorded under its name, such as validation_loss, which early stopping
            watches.
          network_key: of the first weights.
          order_key: of the order of samples in each epoch; None for the stored order.
          budget: steps or seconds, in place of the recipe's.
          params: weights to begin with, in place of fresh ones.
          start: a transformation whose first memory is the optimizer's, in place of its
            own: hyperparameters that live there differ without another compilation.
          monitor: `monitor(params) -> {name: number}`, what else to record.
          storage, progress: those of `jaxphys.training.fit`.

        Returns:
          A `jaxphys.training.Fit`; its state holds the weights.

        Raises:
          ValueError: for data that do not fit, before compiling.
        """
        recipe, stages = self.recipe, self.recipe.stages
        if budget is None:
            budget = Budget(steps=recipe.steps, seconds=recipe.seconds)
        fits: list[Fit] = []
        state: TrainState | None = None
        for number, (length, batch_size) in enumerate(stages):
            inputs, targets = self.target.samples(sets["train_loss"], length)
            if state is None:
                state = self._first(network_key, params, start)
            total = data.num_samples(targets)
            batch = _batch(total, batch_size)
            fit = self._trainer(batch).fit(
                state,
                _filled((inputs, targets), batch),
                _left_over(budget, number, len(stages), fits, storage),
                key=order_key if batch < total else None,
                looks=self._looks(sets, length, monitor),
                storage=storage and _of_stage(storage, number),
                progress=progress,
            )
            fits.append(fit)
            state = fit.state
            if fit.status != "finished":
                break
        whole = _joined(fits)
        if recipe.starts > 1:
            evaluate = self._evaluate(sets, length)
            best = self._best(evaluate, whole.state.params)
            whole = whole._replace(state=whole.state._replace(params=best))
        return whole

    def check_batches(self, train: Any) -> None:
        """A ValueError where the devices in force cannot share the batches evenly.

        Args:
          train: what is trained on, as in the sets of `fit`.
        """
        if devices.count() > 1:
            for length, batch_size in self.recipe.stages:
                _, targets = self.target.samples(train, length)
                devices.check_batch(_batch(data.num_samples(targets), batch_size))

    def _first(self, key: Array, params: PyTree | None, start: Any) -> TrainState:
        """The state before the first step: one network, or many side by side."""
        tx = self.tx if start is None else start
        if self.recipe.starts == 1:
            weights = self.target.init(key) if params is None else params
            return training.init_state(weights, tx)
        keys = jax.random.split(key, self.recipe.starts)
        return training.init_side_by_side(jax.vmap(self.target.init)(keys), tx)

    def _trainer(self, batch_size: int) -> Trainer:
        if batch_size not in self._trainers:
            made = Trainer(self._step, batch_size, skips=self.recipe.skips)
            self._trainers[batch_size] = made
        return self._trainers[batch_size]

    def _evaluate(self, sets: Mapping[str, Any], length: int) -> Callable:
        pairs = {k: self.target.judged_samples(v, length) for k, v in sets.items()}
        return lambda params: self._losses(params, pairs)

    def _best(self, evaluate: Callable, params: PyTree) -> PyTree:
        """Of weights side by side those of the lowest training loss."""
        return training.best_of(params, jax.vmap(evaluate)(params)["train_loss"])

    def _looks(
        self, sets: Mapping[str, Any], length: int, monitor: Callable | None
    ) -> Looks:
        recipe, losses = self.recipe, self._evaluate(sets, length)

        def evaluate(params: PyTree) -> dict[str, Any]:
            if recipe.starts > 1:
                params = self._best(losses, params)
            return {**losses(params), **(monitor(params) if monitor else {})}

        stopping = None
        if recipe.patience is not None:
            stopping = training.EarlyStopping("validation_loss", recipe.patience)
        return Looks(evaluate, recipe.look_every, stopping)


def _batch(total: int, batch_size: int | None) -> int:
    """Samples an update: so many, or all."""
    return total if batch_size is None else min(batch_size, total)


def _part(budget: Budget, number: int, stages: int) -> Budget:
    """The budget of one stage: steps count on from stage to stage, seconds do not."""
    if budget.steps is not None:
        return Budget(steps=max(int(budget.steps * (number + 1) / stages), 1))
    seconds = budget.seconds and budget.seconds / stages
    return Budget(epochs=budget.epochs, seconds=seconds)


def _left_over(
    budget: Budget, number: int, stages: int, fits: list[Fit], storage: Storage | None
) -> Budget:
    """The budget of one stage of a training that may be going on from disk.

    A stage after which the next one has begun is over, whatever the budget is now: the
    last one gets what is new.
    """
    if storage is None or not storage.resume or stages == 1:
        return _part(budget, number, stages)
    own, following = (_of_stage(storage, n).directory for n in (number, number + 1))
    if number + 1 < stages and checkpoint.exists(following):
        return Budget(steps=max(checkpoint.latest_step(own) or 0, 1))
    if number + 1 == stages and budget.seconds is not None:
        spent = sum(fit.seconds for fit in fits)
        part = budget.seconds / stages
        return Budget(seconds=max(budget.seconds - spent, part))
    return _part(budget, number, stages)


def _filled(pair: PyTree, batch_size: int) -> PyTree:
    """Whole batches: the last is filled up with samples from the beginning."""
    total = data.num_samples(pair)
    if total % batch_size == 0:
        return pair
    rows = np.arange(math.ceil(total / batch_size) * batch_size) % total
    return jax.tree.map(lambda x: x[rows], pair)


def _of_stage(storage: Storage, number: int) -> Storage:
    if number == 0:
        return storage
    directory = pathlib.Path(storage.directory)
    return storage._replace(directory=directory.with_name(f"{directory.name}-{number}"))


def _joined(fits: list[Fit]) -> Fit:
    """Stages one after another as one fit."""
    history: list[dict[str, float]] = []
    seconds = compiling = 0.0
    for fit in fits:
        history += [
            record | {"seconds": record["seconds"] + seconds} for record in fit.history
        ]
        seconds += fit.seconds
        compiling += fit.compile_seconds
    return fits[-1]._replace(
        history=history, seconds=seconds, compile_seconds=compiling
    )
