"""How a motion, or anything else, is learned: one record.

It names the optimizer, its schedule, batches and budget, and what of a motion is
matched.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax

from jaxphys import optim, training
from jaxphys.checks import check_count, check_positive, check_rate
from jaxphys.motion import FIXED_STEP
from jaxphys.names import check_known
from jaxphys.types import Array

__all__ = ["ENDING", "OPTIMIZERS", "RATED", "Recipe", "transformation"]

_MODES = ("derivatives", "trajectories", "torques")
_SCHEDULES = ("constant", "cosine", "one_cycle", "step")

#: Schedules that depend on when training ends: of the first rate and the last update.
_ENDING_AT: dict[str, Callable] = {
    "cosine": optax.cosine_decay_schedule,
    "one_cycle": lambda rate, steps: optax.cosine_onecycle_schedule(steps, rate),
}
ENDING = tuple(_ENDING_AT)

#: Optimizers that take a learning rate, a schedule and a weight decay.
RATED: dict[str, Callable] = {
    "adam": lambda rate: optax.chain(
        optax.scale_by_adam(), optax.scale_by_learning_rate(rate)
    ),
    "hig": lambda rate: optim.hig(rate, rcond=1e-8),
    "gauss_newton": lambda rate: optim.gauss_newton(rate, rcond=1e-8),
    "spring": lambda rate: optim.spring(rate),
}
OPTIMIZERS = (*RATED, "levenberg_marquardt")

#: Counts that may be left out.
_OPTIONAL = ("batch_size", "patience", "look_every")

#: A transformation for a batch size, of one's own in place of a name.
_MakeOptimizer = Callable[[int], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a motion is learned.

    Attributes:
      mode: match `derivatives`, or `trajectories` through an integrator, or the
        `torques` that accelerations take.
      optimizer: one of `OPTIMIZERS`, or `make(batch_size) -> optax transformation`.
      learning_rate: of Adam, HIG, Gauss–Newton and SPRING; Levenberg–Marquardt finds
        its own.
      schedule: of the learning rate: `constant`; `cosine`, to zero at the last update;
        `one_cycle`, up to it for three tenths of the updates and then down to nothing;
        `step`, by `decay_factor` each `decay_every` updates.
      max_bend: of Levenberg–Marquardt: how much its steps may follow a curved valley;
        None for straight steps.
      decay_every, decay_factor: of the schedule `step`.
      weight_decay: L2, λ θ added to the gradient.
      batch_size: samples an update; None for all of them.
      batch_growth: smaller batches to begin with, each for an equal part of the budget:
        what a damped method gains early, larger batches keep from being noise later.
      steps, seconds: the budget, one of them.
      integrator: one of `jaxphys.motion.FIXED_STEP`, for trajectories.
      chunk: how many steps of the data are followed from one start, k ≥ 1.
      growth: shorter chunks to begin with, each for an equal part of the budget.
      substeps: integrator steps between two times of the data.
      patience: stop after so many looks at the validation loss without a new lowest
        one, and keep the best; None to train to the end.
      look_every: updates between two looks; by default ever fewer.
      skips: how many updates in a row may be left out as they are not finite, say
        where a mass matrix is singular or a rollout runs away; see `training.fit`.
      starts: how many networks are trained side by side, all in the time of one; the
        one of the lowest training loss counts.
      memory_limit: bytes that a second-order step may take for matrices; see
        `training.make_train_step`.
    """

    mode: str = "derivatives"
    optimizer: str | _MakeOptimizer = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    max_bend: float | None = None
    decay_every: int = 1000
    decay_factor: float = 0.5
    weight_decay: float = 0.0
    batch_size: int | None = None
    batch_growth: tuple[int, ...] = ()
    steps: int | None = None
    seconds: float | None = None
    integrator: str = "rk4"
    chunk: int = 5
    growth: tuple[int, ...] = ()
    substeps: int = 1
    patience: int | None = None
    look_every: int | None = None
    skips: int = 20
    starts: int = 1
    memory_limit: int | None = None

    def check(self) -> "Recipe":
        """This recipe, or a ValueError where it is invalid."""
        check_known("mode", self.mode, _MODES)
        if isinstance(self.optimizer, str):
            check_known("optimizer", self.optimizer, OPTIMIZERS)
        check_known("schedule", self.schedule, _SCHEDULES)
        check_known("integrator", self.integrator, FIXED_STEP)
        counts = [("chunk", length) for length in (*self.growth, self.chunk)]
        names = ["substeps", "decay_every", "batch_size", "patience", "look_every"]
        names.append("starts")
        counts += [("batch_growth", size) for size in self.batch_growth]
        counts += [(name, getattr(self, name)) for name in names]
        for name, count in counts:
            if count is not None or name not in _OPTIONAL:
                check_count(name, count)
        check_rate("learning_rate", self.learning_rate)
        check_positive("decay_factor", self.decay_factor)
        if self.schedule in ENDING and self.steps is None:
            raise ValueError(
                f"the schedule {self.schedule} needs a number of steps: how far down "
                "it is depends on when it ends. Give steps in place of seconds."
            )
        if self.weight_decay:
            check_positive("weight_decay", self.weight_decay)
        if self.optimizer == "levenberg_marquardt" and self.weight_decay:
            raise ValueError(
                "levenberg_marquardt judges its steps by the loss alone and would undo "
                "a weight_decay; use it with adam, or leave it out."
            )
        if self.max_bend is not None and self.optimizer != "levenberg_marquardt":
            raise ValueError(
                f"max_bend goes with levenberg_marquardt, not {self.optimizer}."
            )
        lengths = {1, len(self.lengths), len(self.batch_growth) + 1}
        if len(lengths) > 2:
            raise ValueError(
                f"growth has {len(self.growth)} entries and batch_growth "
                f"{len(self.batch_growth)}; expected as many, or none in one of them."
            )
        check_count("skips", self.skips, 0)
        training.Budget(steps=self.steps, seconds=self.seconds).check()
        return self

    @property
    def lengths(self) -> tuple[int, ...]:
        """The chunk lengths, one after another; derivatives know one stage."""
        return (*self.growth, self.chunk) if self.mode == "trajectories" else (0,)

    @property
    def stages(self) -> tuple[tuple[int, int | None], ...]:
        """Chunk length and batch size of each stage, one after another."""
        batches = (*self.batch_growth, self.batch_size)
        count = max(len(self.lengths), len(batches))
        lengths = self.lengths if len(self.lengths) == count else self.lengths * count
        batches = batches if len(batches) == count else batches * count
        return tuple(zip(lengths, batches, strict=True))


def transformation(
    recipe: Recipe, learning_rate: Array | float | None = None
) -> optax.GradientTransformation:
    """The optax transformation of a recipe, at its learning rate or another one.

    Example:
      >>> import jax.numpy as jnp
      >>> tx = transformation(Recipe(steps=10, schedule="cosine", weight_decay=1e-4))
      >>> weights = {"w": jnp.zeros(2)}
      >>> updates, _ = tx.update({"w": jnp.ones(2)}, tx.init(weights), weights)
      >>> print(updates["w"])
      [-0.001 -0.001]
    """
    if not isinstance(recipe.optimizer, str):
        if recipe.batch_size is None:
            raise ValueError("an optimizer of one's own needs a batch_size.")
        return recipe.optimizer(recipe.batch_size)
    if recipe.optimizer == "levenberg_marquardt":
        return optim.levenberg_marquardt(max_bend=recipe.max_bend)
    first: Any = recipe.learning_rate if learning_rate is None else learning_rate
    rate: optax.ScalarOrSchedule = first
    if recipe.schedule in ENDING:
        rate = _ENDING_AT[recipe.schedule](first, recipe.steps)
    elif recipe.schedule == "step":
        rate = optax.exponential_decay(
            first,
            recipe.decay_every,
            recipe.decay_factor,
            staircase=True,
        )
    if not recipe.weight_decay:
        return RATED[recipe.optimizer](rate)
    decay = optax.add_decayed_weights(recipe.weight_decay)
    return optax.chain(decay, RATED[recipe.optimizer](rate))
