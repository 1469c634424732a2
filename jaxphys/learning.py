"""Learning a motion from trajectories: what is matched, how, and for how long.

A `Recipe` says it in one record: derivatives or trajectories, which optimizer, which
schedule, when to stop. `learn` turns trajectories into samples and trains; the model is
any `Dynamics`, the optimizer first or second order, by the same call.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import data, integrators, losses, optim, problems, training
from jaxphys.data import Chunk, Moment, Trajectories
from jaxphys.names import check_known
from jaxphys.problems.matching import rate_vector
from jaxphys.types import Array, Dynamics, PyTree, Step, TangentState, VectorField

MODES = ("derivatives", "trajectories", "torques")
SCHEDULES = ("constant", "cosine", "one_cycle", "step")

#: Schedules that depend on when training ends.
ENDING = ("cosine", "one_cycle")

#: Optimizers that take a learning rate, a schedule and a weight decay.
_RATED: dict[str, Callable] = {
    "adam": lambda rate: optax.chain(
        optax.scale_by_adam(), optax.scale_by_learning_rate(rate)
    ),
    "hig": lambda rate: optim.hig(rate, rcond=1e-8),
    "gauss_newton": lambda rate: optim.gauss_newton(rate, rcond=1e-8),
    "spring": lambda rate: optim.spring(rate),
}
OPTIMIZERS = (*_RATED, "levenberg_marquardt")

_GENERAL: dict[str, Callable[[VectorField], Step]] = {
    # Its stages in a loop compile four times faster; products of networks do not mind.
    "rk4": functools.partial(integrators.rk4, rolled=True),
    "euler": integrators.euler,
    "implicit_midpoint": integrators.implicit_midpoint,
    "gauss4": integrators.gauss4,
}
_SYMPLECTIC = {
    "leapfrog": integrators.leapfrog,
    "yoshida4": integrators.yoshida4,
    "symplectic_euler": integrators.symplectic_euler,
}
INTEGRATORS = (*_GENERAL, *_SYMPLECTIC)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a motion is learned.

    Attributes:
      mode: match `derivatives`, or `trajectories` through an integrator, or the
        `torques` that accelerations take.
      optimizer: one of `OPTIMIZERS`.
      learning_rate: of Adam, HIG, Gauss–Newton and SPRING; Levenberg–Marquardt finds
        its own.
      schedule: of the learning rate: `constant`; `cosine`, to zero at the last update;
        `one_cycle`, up to it for three tenths of the updates and then down to nothing;
        `step`, by `decay_factor` each `decay_every` updates.
      max_bend: of Levenberg–Marquardt: how much its steps may follow a curved valley;
        None for straight steps.
      decay_every, decay_factor: of the schedule `step`.
      weight_decay: L2, λ θ added to the gradient.
      decoupled: whether λ θ is added after Adam's scaling instead, as in AdamW.
      batch_size: samples an update; None for all of them.
      batch_growth: smaller batches to begin with, each for an equal part of the budget:
        what a damped method gains early, larger batches keep from being noise later.
      steps, seconds: the budget, one of them.
      integrator: one of `INTEGRATORS`, for trajectories.
      chunk: how many steps of the data are followed from one start, k ≥ 1.
      growth: shorter chunks to begin with, each for an equal part of the budget.
      substeps: integrator steps between two times of the data.
      patience: stop after so many looks at the validation loss without a new lowest
        one, and keep the best; None to train to the end.
      look_every: updates between two looks; by default ever fewer.
      skips: how many updates in a row may be left out as they are not finite, say
        where a mass matrix is singular or a rollout runs away; see `training.fit`.
      memory_limit: bytes that a second-order step may take for matrices; see
        `training.make_train_step`.
    """

    mode: str = "derivatives"
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    schedule: str = "constant"
    max_bend: float | None = None
    decay_every: int = 1000
    decay_factor: float = 0.5
    weight_decay: float = 0.0
    decoupled: bool = False
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
    memory_limit: int | None = None

    def check(self) -> "Recipe":
        """This recipe, or a ValueError where it cannot be meant."""
        check_known("mode", self.mode, MODES)
        check_known("optimizer", self.optimizer, OPTIMIZERS)
        check_known("schedule", self.schedule, SCHEDULES)
        check_known("integrator", self.integrator, INTEGRATORS)
        counts = [("chunk", length) for length in (*self.growth, self.chunk)]
        names = ("substeps", "decay_every", "batch_size", "patience", "look_every")
        counts += [("batch_growth", size) for size in self.batch_growth]
        counts += [(name, getattr(self, name)) for name in names]
        for name, count in counts:
            if count is not None and (int(count) != count or count < 1):
                raise ValueError(f"{name} is {count}; expected a whole number ≥ 1.")
        if self.schedule in ENDING and self.steps is None:
            raise ValueError(
                f"the schedule {self.schedule} needs a number of steps: how far down "
                "it is depends on when it ends. Give steps in place of seconds."
            )
        if self.weight_decay < 0:
            raise ValueError(f"weight_decay is {self.weight_decay}; expected ≥ 0.")
        if self.optimizer == "levenberg_marquardt" and self.weight_decay:
            raise ValueError(
                "levenberg_marquardt judges its steps by the loss alone and would undo "
                "a weight_decay; use it with adam, or leave it out."
            )
        if self.max_bend is not None and self.optimizer != "levenberg_marquardt":
            raise ValueError(
                f"max_bend goes with levenberg_marquardt, not {self.optimizer}."
            )
        if self.decoupled and self.optimizer != "adam":
            raise ValueError(f"decoupled decay goes with adam, not {self.optimizer}.")
        lengths = {1, len(self.lengths), len(self.batch_growth) + 1}
        if len(lengths) > 2:
            raise ValueError(
                f"growth has {len(self.growth)} entries and batch_growth "
                f"{len(self.batch_growth)}; expected as many, or none in one of them."
            )
        if self.skips < 0:
            raise ValueError(f"skips is {self.skips}; expected a whole number ≥ 0.")
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
      >>> tx = transformation(Recipe(steps=10, schedule="cosine", weight_decay=1e-4))
      >>> tx.init({"w": jnp.zeros(2)}) is not None
      True
    """
    if recipe.optimizer == "levenberg_marquardt":
        return optim.levenberg_marquardt(max_bend=recipe.max_bend)
    first: Any = recipe.learning_rate if learning_rate is None else learning_rate
    rate: optax.ScalarOrSchedule = first
    if recipe.schedule == "cosine":
        assert recipe.steps is not None
        rate = optax.cosine_decay_schedule(first, recipe.steps)
    elif recipe.schedule == "one_cycle":
        assert recipe.steps is not None
        rate = optax.cosine_onecycle_schedule(recipe.steps, first)
    elif recipe.schedule == "step":
        rate = optax.exponential_decay(
            first,
            recipe.decay_every,
            recipe.decay_factor,
            staircase=True,
        )
    if not recipe.weight_decay:
        return _RATED[recipe.optimizer](rate)
    decay = optax.add_decayed_weights(recipe.weight_decay)
    if not recipe.decoupled:
        return optax.chain(decay, _RATED[recipe.optimizer](rate))
    return optax.chain(optax.scale_by_adam(), decay, optax.scale_by_learning_rate(rate))


def step_maker(motion: Dynamics, name: str) -> Callable[[VectorField], Step]:
    """The integrator of that name for a motion, `make_step(vector_field) -> step`.

    Raises:
      ValueError: for a symplectic integrator of a motion that is not Hamilton's.
    """
    check_known("integrator", name, INTEGRATORS)
    if name in _GENERAL:
        return _GENERAL[name]
    if not motion.conservative:
        raise ValueError(
            f"{name} integrates a Hamiltonian and would leave out all else of this "
            f"motion; use one of {', '.join(_GENERAL)}."
        )
    energy = motion.energy
    assert energy is not None
    return lambda field: _SYMPLECTIC[name](energy)


Observe = Callable[[PyTree], Array]


def everything(y: PyTree) -> Array:
    """All components of a state as one vector: (q, p), or (q, v)."""
    return jnp.concatenate([y[0], y[1]])


def samples(
    motion: Dynamics,
    recipe: Recipe,
    trajectories: Sequence[Trajectories],
    length: int,
    observe: Observe = everything,
) -> tuple[Moment | Chunk | data.Accelerated, Array]:
    """What a recipe trains on: inputs, and targets (N, d) in the units of the data.

    Args:
      motion: whose states they are.
      recipe: its mode.
      trajectories: with derivatives where these are matched.
      length: of the chunks, for trajectories.
      observe: what of a state is matched, for trajectories.
    """
    if recipe.mode == "derivatives":
        moments, rates = data.moments(trajectories, motion.state)
        return moments, jax.vmap(lambda rate: rate_vector(motion, rate))(rates)
    if recipe.mode == "torques":
        moments, rates = data.moments(trajectories, TangentState)
        if moments.u is None:
            raise ValueError(
                "torques are matched, and the trajectories have no inputs u; expected "
                "the torque of each time there."
            )
        return data.Accelerated(moments.y, rates.v), moments.u
    chunks, states = data.chunks(trajectories, length, motion.state)
    rows = jax.jit(jax.vmap(jax.vmap(observe)))(states)
    return chunks, rows.reshape(rows.shape[0], -1)


def typical(recipe: Recipe, targets: Array, width: int) -> tuple[float, ...]:
    """The root mean square of each component of targets, (d,); one where it is zero.

    For trajectories it is of each component of a state, about its mean, the same for
    all times.
    """
    rows = np.asarray(targets, float)
    if recipe.mode == "trajectories":
        rows = rows.reshape(-1, width)
        rows = rows - rows.mean(axis=0)
    size = np.sqrt(np.mean(rows**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    return tuple(size.tolist())


@functools.lru_cache(maxsize=64)
def _train_step(
    motion: Dynamics,
    recipe: Recipe,
    units: tuple[float, ...] | None,
    observe: Observe,
):
    """(outputs, tx, step), the same objects for all seeds: hence one compilation."""
    outputs: Callable[[PyTree, Any], Array]
    if recipe.mode == "derivatives":
        outputs = problems.derivative_matching(motion, 1.0 if units is None else units)
    elif recipe.mode == "torques":
        outputs = problems.torque_matching(motion, 1.0 if units is None else units)
    else:

        def seen(y: PyTree) -> Array:
            vector = observe(y)
            return (
                vector if units is None else vector / jnp.asarray(units, vector.dtype)
            )

        outputs = problems.trajectory_matching(
            motion,
            step_maker(motion, recipe.integrator),
            substeps=recipe.substeps,
            observe=seen,
        )
    tx = transformation(recipe)
    step = training.make_train_step(
        outputs, _objective, tx, memory_limit=recipe.memory_limit
    )
    return outputs, tx, step


def _lasting(recipe: Recipe) -> Recipe:
    """What of a recipe a compiled step depends on: not sizes, nor when to stop."""
    steps = recipe.steps if recipe.schedule in ENDING else None
    sizes: dict[str, Any] = {"batch_size": None, "batch_growth": (), "growth": ()}
    times: dict[str, Any] = {"seconds": None, "patience": None, "look_every": None}
    return dataclasses.replace(recipe, steps=steps, chunk=1, **sizes, **times)


def _objective(outputs: Array, targets: Array) -> Array:
    return losses.mean_squared_error(outputs, targets)


def _filled(pair: PyTree, batch_size: int) -> PyTree:
    """Whole batches: the last is filled up with samples from the beginning."""
    total = data.num_samples(pair)
    rows = np.arange(-(-total // batch_size) * batch_size) % total
    return jax.tree.map(lambda x: x[rows], pair)


def learn(
    motion: Dynamics,
    recipe: Recipe,
    train: Sequence[Trajectories],
    *,
    key: Array,
    others: Mapping[str, Sequence[Trajectories]] | None = None,
    normalized: bool = False,
    observe: Observe = everything,
    params: PyTree | None = None,
    shuffle: bool = True,
    name: str = "learn",
    progress: bool = True,
    checkpoint_dir: str | pathlib.Path | None = None,
    resume: bool = False,
) -> training.Fit:
    """Train a motion on trajectories.

    The loss is the mean over samples and components of the squared difference, in the
    units of the data, or in those of each component's own size.

    Args:
      motion: what is learned.
      recipe: how.
      train: trajectories with what the mode needs: derivatives, or two states and more.
      key: of the first weights and of the order of samples.
      others: name → further trajectories whose loss is recorded under that name, such
        as validation_loss, which early stopping watches.
      normalized: whether each component counts in units of its own size.
      observe: what of a state is matched, where trajectories are: all of it, or say
        (cos q, sin q, v).
      params: weights to begin with, in place of fresh ones.
      shuffle: whether each epoch has its own order of samples.
      name, progress, checkpoint_dir, resume: those of `jaxphys.training.fit`.

    Returns:
      A `jaxphys.training.Fit`; its state holds the weights.

    Raises:
      ValueError: for recipes and data that do not fit, before compiling.

    Example:
      >>> from jaxphys import models, systems
      >>> spring = systems.mass_spring()
      >>> ts = jnp.linspace(0.0, 3.0, 10)
      >>> seen = data.simulated(spring, jax.random.key(0), 5, ts)
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,), dtype=seen.q.dtype))
      >>> recipe = Recipe(optimizer="levenberg_marquardt", steps=20)
      >>> fit = learn(motion, recipe, [seen], key=jax.random.key(1), progress=False)
      >>> fit.history[-1]["train_loss"] < 1e-3 * fit.history[0]["train_loss"]
      True
    """
    recipe.check()
    for_weights, for_order = jax.random.split(key)
    sets = {"train_loss": train, **(others or {})}
    fits: list[training.Fit] = []
    state = None
    for stage, (length, batch_size) in enumerate(recipe.stages):
        pairs = {
            k: samples(motion, recipe, v, length, observe) for k, v in sets.items()
        }
        _, targets = pairs["train_loss"]
        units = None
        if normalized:
            units = typical(recipe, targets, targets.shape[1] // max(length, 1))
            size = np.tile(np.array(units), max(length, 1))
            pairs = {k: (x, y / size.astype(y.dtype)) for k, (x, y) in pairs.items()}
        outputs, tx, step = _train_step(motion, _lasting(recipe), units, observe)
        if state is None:
            weights = motion.init(for_weights) if params is None else params
            state = training.init_state(weights, tx)
        total = data.num_samples(targets)
        batch = total if batch_size is None else min(batch_size, total)
        part = (stage + 1) / len(recipe.stages)
        fit = training.fit(
            step,
            state,
            _filled(pairs["train_loss"], batch),
            batch_size=batch,
            steps=None if recipe.steps is None else max(int(recipe.steps * part), 1),
            seconds=recipe.seconds and recipe.seconds / len(recipe.stages),
            key=for_order if shuffle and batch < total else None,
            evaluate=training.make_evaluate(outputs, _objective, pairs),
            name=name,
            progress=progress,
            checkpoint_dir=_stage_directory(checkpoint_dir, stage),
            resume=resume,
            look_every=recipe.look_every,
            skips=recipe.skips,
            early_stopping=None
            if recipe.patience is None
            else training.EarlyStopping("validation_loss", recipe.patience),
        )
        fits.append(fit)
        state = fit.state
        if fit.status != "finished":
            break
    return _joined(fits)


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

    One compiled loop over all of them by `jax.vmap`: for small networks it takes hardly
    longer than one training. An update that is not finite is left out.

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
      >>> seen = data.simulated(
      ...     systems.mass_spring(), jax.random.key(0), 4, jnp.linspace(0.0, 1.0, 8)
      ... )
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,), dtype=seen.q.dtype))
      >>> recipe = Recipe(steps=40, batch_size=8)
      >>> keys = jax.random.split(jax.random.key(1), 2)
      >>> rates = jnp.array([1e-3, 1e-2])
      >>> learn_many(motion, recipe, [seen], rates=rates, keys=keys).losses.shape
      (2, 10)
    """
    recipe.check()
    if recipe.optimizer not in _RATED:
        raise ValueError(
            f"{recipe.optimizer} finds its own step; expected one of "
            f"{', '.join(_RATED)}, which have a learning rate."
        )
    if jnp.ndim(rates) != 1 or jnp.shape(rates) != jnp.shape(keys):
        raise ValueError(
            f"rates have shape {jnp.shape(rates)}, keys {jnp.shape(keys)}; expected "
            "both (S,), one training each."
        )
    pair = samples(motion, recipe, train, recipe.lengths[-1])
    total = data.num_samples(pair)
    batch = total if recipe.batch_size is None else recipe.batch_size
    batches = data.num_batches(pair, batch)
    if recipe.steps is None or recipe.steps % batches:
        raise ValueError(
            f"steps is {recipe.steps}; expected a multiple of {batches}, whole epochs."
        )
    run = _side_by_side(motion, recipe, total, batch)
    return Many(*run(jnp.asarray(rates), keys, jax.tree.map(jnp.asarray, pair)))


@functools.lru_cache(maxsize=32)
def _side_by_side(motion: Dynamics, recipe: Recipe, total: int, batch: int):
    outputs, _, _ = _train_step(motion, _lasting(recipe), None, everything)
    assert recipe.steps is not None
    epochs = recipe.steps * batch // total

    def one(rate: Array, key: Array, pair: PyTree) -> tuple[PyTree, Array]:
        for_weights, for_order = jax.random.split(key)
        tx = transformation(recipe, rate)
        step = training.make_train_step(outputs, _objective, tx)

        def update(state: training.TrainState, rows: Array):
            new, info = step(state, jax.tree.map(lambda x: x[rows], pair))
            kept = training.left_out(state, new)
            new = jax.tree.map(lambda a, b: jnp.where(info.finite, a, b), new, kept)
            return new, info.loss

        def epoch(state: training.TrainState, number: Array):
            order = data.epoch_order(for_order, number, total, batch)
            state, seen = jax.lax.scan(update, state, order)
            return state, jnp.mean(seen)

        start = training.init_state(motion.init(for_weights), tx)
        state, seen = jax.lax.scan(epoch, start, jnp.arange(epochs))
        return state.params, seen

    return jax.jit(jax.vmap(one, (0, 0, None)))


def _stage_directory(directory, stage: int) -> pathlib.Path | None:
    if directory is None:
        return None
    directory = pathlib.Path(directory)
    return directory if stage == 0 else directory.with_name(f"{directory.name}-{stage}")


def _joined(fits: list[training.Fit]) -> training.Fit:
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
