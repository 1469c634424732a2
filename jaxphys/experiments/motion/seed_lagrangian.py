"""What two experiments on small data have in common: their recipe, and statistics.

512 motions of four points each, accelerations as targets, points in random order; a
network of 3 × 16 softplus units, 100 epochs of Adam on four points each or more, the
learning rate 1e-3 halved ten times on the way; and the same network by
Levenberg–Marquardt in the same time. A learned motion is judged from 1000 random
starts, and a mean says little there: some of them run away.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Row, Run, Samples, Trained
from jaxphys.experiments.measures import Judge, lagrangian_errors
from jaxphys.experiments.motion.rows import Make, damped, damped_row, network, row
from jaxphys.experiments.motion.samples import drawn, random_states
from jaxphys.experiments.motion.statistics import statistics, table
from jaxphys.experiments.motion.sweeping import write_sweep
from jaxphys.learning import Recipe
from jaxphys.types import Array, System, TangentState, Trajectories

__all__ = ["TIMES", "Settings", "adam", "experiment", "followed"]

#: Times of a training motion.
TIMES = np.linspace(0.0, 3.0, 4)

#: Learning rates from the first epoch to the last, each half of the one before.
_HALVED = 10


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn a Lagrangian from 512 motions of four points.

    Attributes:
      motions: for training, four points each.
      batch: points an update of Adam.
      hidden: units of each hidden layer.
      epochs: of Adam; the learning rate is halved after every tenth part of them.
      rollouts: starts from which a model is judged.
      sweep: whether to train with other batch sizes and learning rates as well.
      fast: a twentieth of the epochs or of the time, and fewer rollouts.
    """

    motions: int = 512
    batch: int = 4
    hidden: tuple[int, ...] = (16, 16, 16)
    epochs: int = 100
    rollouts: int = 1000
    sweep: bool = False
    fast: bool = False


def followed(judge: Judge, key: Array, count: int, ts: np.ndarray) -> Trajectories:
    """True motions in q and v, with the exact accelerations along them."""
    true, params = judge.truth(TangentState), judge.system.params
    first = random_states(judge.system, key, count)
    path = true.path(params, first, ts, longest=0.005)
    flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), path)
    rate = true.rate(params, flat)
    shape = path.q.shape
    y, rates = jax.tree.map(lambda x: np.asarray(x).reshape(shape), (path, rate))
    return Trajectories(ts, y, rates)


def adam(settings: Settings, batch: int | None = None) -> Recipe:
    """Adam, the learning rate halved ten times."""
    batch = settings.batch if batch is None else batch
    updates = _motions(settings) * len(TIMES) // batch
    return Recipe(
        steps=settings.epochs * updates,
        batch_size=batch,
        learning_rate=1e-3,
        schedule="step",
        decay_every=max(settings.epochs * updates // _HALVED, 1),
        decay_factor=0.5,
    )


def _motions(settings: Settings) -> int:
    return 64 if settings.fast else settings.motions


def _published(n: int) -> Make:
    """Coordinates as they are, the authors' first weights."""
    return network("lnn", {"num_coordinates": n, "kernel_init": "lagrangian"})


def _rows(n: int, adam_dtype: str | None) -> dict[str, Row]:
    """The network by Adam, and by Levenberg–Marquardt in the time that this takes."""
    # Smaller first weights suit large steps.
    small = {"num_coordinates": n, "kernel_init": "glorot_normal"}
    return {
        "lnn": row("lnn", "adam", _published(n), adam, dtype=adam_dtype),
        "lnn_levenberg_marquardt": damped_row(
            "lnn", network("lnn", small), damped(64, 128, 256), time_of="lnn"
        ),
    }


def experiment(system: System, dtype: str | None = None, **fields: Any) -> Experiment:
    """The `Experiment` of one system.

    Args:
      system: its `sample_tangent` draws the starts of all motions.
      dtype: of Adam's data and weights, in place of the one asked for.
      fields: further fields of `Experiment`.
    """
    n = len(system.periodic)
    # Rollouts over ten units of time.
    judge = Judge(system, 10.0, 201, 0.01, 1000, system.sample_tangent)

    def judge_of(settings: Settings) -> Judge:
        return judge.shorter(rollouts=16 if settings.fast else settings.rollouts)

    def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
        """Motions for training and for the test."""
        del dtype
        motions = partial(followed, judge, ts=TIMES)
        return drawn(motions, keys, _motions(settings), 256)

    def measured(trained: Trained) -> dict[str, float]:
        """The squared error of each coordinate over each motion, in all statistics."""
        found = judge_of(trained.settings).rollouts_of(trained)
        square = jnp.mean((found.found.q - found.true.q) ** 2, axis=1)
        return statistics(square) | lagrangian_errors(trained, found)

    def draw(run: Run) -> figures.Figures:
        return figures.lagrangian_figures(judge_of(run.settings), run)

    def finish(run: Run) -> None:
        print(table(system, run.results["methods"]))
        if run.settings.sweep and not run.interrupted:
            make, recipes = _published(n), partial(adam, run.settings)
            write_sweep(run, make, recipes)

    columns = {"acceleration_error": "rel. MSE of accel."}
    for i, _ in enumerate(system.coordinates):
        columns[f"mean_{i + 1}"] = f"mean MSE, q{i + 1}"
        columns[f"median_{i + 1}"] = "median"
    return Experiment(
        sample=sample,
        rows=_rows(n, dtype),
        columns=columns | {"valid_time": "valid time"},
        measures=measured,
        figures=draw,
        finish=finish,
        **fields,
    )
