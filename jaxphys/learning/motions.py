"""Learning a motion from trajectories: what is matched, and in which units.

Derivatives need no integrator; trajectories need no derivatives, and forgive noise that
differences would magnify; torques need accelerations. The model is any `Dynamics`, the
optimizer first or second order, by the same call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, losses, problems
from jaxphys.data import Chunk, Moment
from jaxphys.learning.learner import Learner
from jaxphys.learning.recipe import Recipe
from jaxphys.motion import make_stepper
from jaxphys.problems.matching import rate_vector
from jaxphys.problems.targets import Loss, Target
from jaxphys.training import Fit, Storage
from jaxphys.types import Array, Dynamics, PyTree, Trajectories

__all__ = ["everything", "learn", "matching", "samples", "typical"]

_Observe = Callable[[PyTree], Array]


def everything(y: PyTree) -> Array:
    """All components of a state as one vector: (q, p), or (q, v)."""
    return jnp.concatenate([y[0], y[1]])


def samples(
    motion: Dynamics,
    mode: str,
    trajectories: Sequence[Trajectories],
    length: int = 0,
    observe: _Observe = everything,
) -> tuple[Moment | Chunk | data.Accelerated, Array]:
    """What is trained on: inputs, and targets (N, d) in the units of the data.

    Args:
      motion: whose states they are.
      mode: what is matched, as `Recipe` has it.
      trajectories: with rates where derivatives or torques are matched.
      length: of the chunks, for trajectories.
      observe: what of a state is matched, for trajectories.

    Raises:
      ValueError: for data that lack what is matched.
    """
    _check_kind(motion, trajectories)
    if mode == "derivatives":
        moments, rates = data.moments(trajectories)
        vectors = jax.vmap(lambda rate: rate_vector(motion, rate))(rates)
        return _grouped(trajectories, moments, vectors)
    if mode == "torques":
        moments, rates = data.moments(trajectories)
        if moments.u is None:
            raise ValueError(
                "torques are matched, and the trajectories have no inputs u; expected "
                "the torque of each time there."
            )
        accelerated = data.Accelerated(moments.y, rates.v)
        return _grouped(trajectories, accelerated, moments.u)
    chunks, states = data.chunks(trajectories, length)
    rows = jax.jit(jax.vmap(jax.vmap(observe)))(states)
    return chunks, rows.reshape(rows.shape[0], -1)


def _grouped(
    trajectories: Sequence[Trajectories], inputs: PyTree, targets: Array
) -> tuple[PyTree, Array]:
    """As many points as one interval has as one sample, whose target is their mean."""
    every = {each.meta.get("points", 1) for each in trajectories}
    points = every.pop()
    if every or points == 1:
        return inputs, targets

    def group(x: Array) -> Array:
        return x.reshape(-1, points, *x.shape[1:])

    return jax.tree.map(group, inputs), jnp.mean(group(targets), axis=1)


def _check_kind(motion: Dynamics, trajectories: Sequence[Trajectories]) -> None:
    kinds = {type(each.y) for each in trajectories} - {motion.state}
    if kinds:
        got, want = kinds.pop().__name__, motion.state.__name__
        raise ValueError(
            f"the trajectories have states of the kind {got}, this motion is one of "
            f"{want}s; expected {' and '.join(motion.state._fields)} of each time."
        )


def typical(mode: str, targets: Array, width: int) -> tuple[float, ...]:
    """The root mean square of each component of targets, (d,); one where it is zero.

    For trajectories it is of each component of a state, about its mean, the same for
    all times.
    """
    rows = np.asarray(targets, float)
    if mode == "trajectories":
        rows = rows.reshape(-1, width)
        rows = rows - rows.mean(axis=0)
    size = np.sqrt(np.mean(rows**2, axis=0))
    size = np.where(size > 0, size, 1.0)
    return tuple(size.tolist())


def matching(
    motion: Dynamics,
    recipe: Recipe,
    *,
    observe: _Observe = everything,
    units: tuple[float, ...] | None = None,
) -> Target:
    """A motion as something to be trained: what the recipe matches of it.

    The loss is the mean over components of the squared difference.

    Args:
      motion: what is learned.
      recipe: its mode, integrator and substeps.
      observe: what of a state is matched, where trajectories are: all of it, or say
        (cos q, sin q, v).
      units: of each component, such as `typical` finds; None for those of the data.

    Raises:
      TypeError: for a network, which is no motion yet.

    Example:
      >>> from jaxphys import models
      >>> target = matching(models.dynamics(models.hnn(1)), Recipe(steps=1))
      >>> target.trained == target.judged
      True
    """
    _check_motion(motion)
    outputs: Callable
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
            make_stepper(motion, recipe.integrator),
            substeps=recipe.substeps,
            observe=seen,
        )

    def pairs(trajectories: Sequence[Trajectories], length: int):
        inputs, targets = samples(motion, recipe.mode, trajectories, length, observe)
        if units is not None:
            size = np.tile(np.array(units), max(length, 1))
            targets = targets / size.astype(targets.dtype)
        return inputs, targets

    def judged_pairs(trajectories: Sequence[Trajectories], length: int):
        # What is held out may be shorter than a chunk.
        longest = max((len(each.t) for each in trajectories), default=1) - 1
        return pairs(trajectories, min(length, max(longest, 1)))

    loss = Loss(outputs, losses.mean_squared_error)
    return Target(motion.init, loss, loss, pairs, judged_pairs)


def _check_motion(motion: Any) -> None:
    if not isinstance(motion, Dynamics):
        raise TypeError(
            f"the motion is a {type(motion).__name__}; expected a Dynamics. A network "
            "becomes one by models.dynamics(models.hnn(n, own=network)), or by "
            "models.lagrangian_dynamics(models.lnn(n, own=network)); see also "
            "models.from_equinox, from_nnx and from_linen."
        )


def learn(
    motion: Dynamics,
    recipe: Recipe,
    train: Sequence[Trajectories],
    *,
    key: Array,
    others: Mapping[str, Sequence[Trajectories]] | None = None,
    normalized: bool = False,
    observe: _Observe = everything,
    params: PyTree | None = None,
    shuffle: bool = True,
    storage: Storage | None = None,
    progress: bool | str = True,
) -> Fit:
    """Train a motion on trajectories.

    Args:
      motion: what is learned.
      recipe: how.
      train: trajectories with what the mode needs: rates, or two states and more.
      key: of the first weights and of the order of samples.
      others: name → further trajectories whose loss is recorded under that name, such
        as validation_loss, which early stopping watches. They may be shorter than a
        chunk, and are then followed from end to end.
      normalized: whether each component counts in units of its own size.
      observe: as in `matching`.
      params: weights to begin with, in place of fresh ones.
      shuffle: whether each epoch has its own order of samples.
      storage, progress: those of `jaxphys.training.fit`.

    Returns:
      A `jaxphys.training.Fit`; its state holds the weights.

    Raises:
      ValueError: for recipes and data that do not fit, before compiling.

    Example:
      >>> from jaxphys import models, systems
      >>> from jaxphys.motion import simulated
      >>> ts = jnp.linspace(0.0, 3.0, 10)
      >>> seen = simulated(systems.mass_spring(), jax.random.key(0), 5, ts)
      >>> motion = models.dynamics(models.hnn(1, hidden=(8,), dtype=seen.y.q.dtype))
      >>> recipe = Recipe(optimizer="levenberg_marquardt", steps=20)
      >>> fit = learn(motion, recipe, [seen], key=jax.random.key(1), progress=False)
      >>> fit.history[-1]["train_loss"] < 1e-3 * fit.history[0]["train_loss"]
      True
    """
    recipe.check()
    _check_motion(motion)
    for_weights, for_order = jax.random.split(key)
    units = None
    if normalized:
        length = recipe.lengths[0]
        _, targets = samples(motion, recipe.mode, train, length, observe)
        units = typical(recipe.mode, targets, targets.shape[1] // max(length, 1))
    learner = Learner(matching(motion, recipe, observe=observe, units=units), recipe)
    return learner.fit(
        {"train_loss": train, **(others or {})},
        for_weights,
        for_order if shuffle else None,
        params=params,
        storage=storage,
        progress=progress,
    )
