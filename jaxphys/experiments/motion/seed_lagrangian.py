"""What two experiments on small data have in common: their recipe, and statistics.

512 motions of four points each, accelerations as targets, points in random order; a
network of 3 × 16 softplus units, 100 epochs of Adam on four points each, the learning
rate 1e-3 halved every ten epochs; and the same network by Levenberg–Marquardt in the
same time. A learned motion is judged from 1000 random starts, and a mean says little
there: some of them run away.
"""

import dataclasses
import functools
import json
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, learning, mechanics, metrics, models, plots
from jaxphys.experiments import dynamics, judging, lagrangian, runner
from jaxphys.experiments.dynamics import Material, Row, Study, finite
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.types import Array, Dynamics, PyTree, System, TangentState

#: Times of a training motion.
TIMES = np.linspace(0.0, 3.0, 4)

#: Epochs of training, and how many of them have one learning rate.
EPOCHS, DECAY = 100, 10

#: What the sweep tries.
RATES, BATCHES, SWEPT = (1e-4, 1e-3, 1e-2), (4, 16, 64), 3

STATISTICS = metrics.Summary._fields


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn a Lagrangian from 512 motions of four points.

    Attributes:
      options: what every run understands.
      motions: for training, four points each.
      batch: points an update of Adam.
      hidden: units of each hidden layer.
      rollouts: starts from which a model is judged.
      sweep: whether to train with other batch sizes and learning rates as well.
      fast: a twentieth of the epochs or of the time, and fewer rollouts.
    """

    options: RunOptions = RunOptions()
    motions: int = 512
    batch: int = 4
    hidden: tuple[int, ...] = (16, 16, 16)
    rollouts: int = 1000
    sweep: bool = False
    fast: bool = False


def followed(
    system: System, key: Array, count: int, ts: np.ndarray
) -> data.Trajectories:
    """True motions, told by q and v, with the exact accelerations along them."""
    assert system.sample_tangent is not None
    assert system.lagrangian is not None
    first = jax.vmap(system.sample_tangent)(jax.random.split(key, count))
    first = jax.tree.map(lambda x: x.astype(float), first)
    true = dynamics.truth(system, TangentState)
    q, v = dynamics.paths(true, system.params, first, ts, longest=0.005)
    accelerate = mechanics.acceleration(system.lagrangian)
    each = jax.vmap(jax.vmap(functools.partial(accelerate, system.params)))
    rows = (np.asarray(x) for x in (q, v, jax.jit(each)(q, v)))
    q, v, a = rows
    return data.Trajectories(ts, q, v=v, dq=v, dv=a)


def material(system: System, config: Config, seed: int) -> Material:
    """Motions for training and for the test."""
    keys = jax.random.split(jax.random.key(seed))
    count = 64 if config.fast else config.motions
    train = followed(system, keys[0], count, TIMES)
    test = followed(system, keys[1], 256, TIMES)
    return Material([train], [test], [test], seed)


def judged(system: System, config: Config) -> Judged:
    """Rollouts over ten units of time."""
    count = 16 if config.fast else config.rollouts
    return Judged(10.0, 201, 0.01, count, system.sample_tangent)


def measure(
    system: System, config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """The squared error of each coordinate over each motion, by all its statistics."""
    how = judged(system, config)
    dtype = jax.tree.leaves(params)[0].dtype
    first = judging.starts(how, found, dtype, TangentState)
    each = judging.rollouts(system, how, motion, params, first)
    square = jnp.mean((each.found.q - each.true.q) ** 2, axis=1)
    measured = {
        "acceleration_error": lagrangian.acceleration_error(motion, params, found.clean)
    }
    for i in range(square.shape[1]):
        known = metrics.summary(square[:, i])
        for name, value in zip(STATISTICS, known, strict=True):
            measured[f"{name}_{i + 1}"] = finite(value)
    return measured | judging.rollout_errors(each)


def statistics(system: System, results: dict[str, Any]) -> str:
    """All statistics of the first seed's models, a row a coordinate of each."""
    header = ["model", "coordinate", *(name.replace("_", " ") for name in STATISTICS)]
    rows = [[*header, "valid time"]]
    for name, entry in results["methods"].items():
        end = runner.finals(entry)[0]
        for i, coordinate in enumerate(system.coordinates):
            cells = [f"{end[f'{kind}_{i + 1}']:.2e}" for kind in STATISTICS]
            shown = coordinate.replace("\\", "").replace("_{", "").replace("}", "")
            rows.append([name, shown, *cells, f"{end['valid_time']:.2f}"])
    note = "mean squared error of each coordinate over a motion, of all starts"
    return f"\n{note}\n{runner.aligned(rows)}"


def draw(
    system: System,
    config: Config,
    trained: judging.Models,
    found: Material,
    out: pathlib.Path,
) -> dict[str, plots.Figure]:
    """What `lagrangian.draw` draws, of twenty motions."""
    how = judged(system, config)._replace(rollouts=min(20, config.rollouts))
    task = lagrangian.Task(system, how, 1.0)
    return lagrangian.draw(task, config, trained, found, out)


def _network(system: System, config: Config, dtype: jnp.dtype) -> Dynamics:
    """The seed's network: coordinates as they are, the authors' first weights."""
    n = len(system.periodic)
    return models.lagrangian_dynamics(
        models.lnn(n, hidden=config.hidden, dtype=dtype, kernel_init="lagrangian")
    )


def _glorot(system: System, config: Config, dtype: jnp.dtype) -> Dynamics:
    """The same network from smaller weights, which suit large steps."""
    n = len(system.periodic)
    return models.lagrangian_dynamics(
        models.lnn(n, hidden=config.hidden, dtype=dtype, kernel_init="glorot_normal")
    )


def recipe(config: Config, batch: int | None = None) -> Recipe:
    """Adam, 100 epochs, the learning rate halved every ten."""
    batch = config.batch if batch is None else batch
    motions = 64 if config.fast else config.motions
    updates = motions * len(TIMES) // batch
    return Recipe(
        steps=(EPOCHS // 20 if config.fast else EPOCHS) * updates,
        batch_size=batch,
        learning_rate=1e-3,
        schedule="step",
        decay_every=DECAY * updates,
        decay_factor=0.5,
    )


def rows(system: System) -> dict[str, Row]:
    """The network by Adam, and by Levenberg–Marquardt in the time that this takes."""
    return {
        "lnn": Row(functools.partial(_network, system), recipe),
        "lnn_levenberg_marquardt": Row(
            functools.partial(_glorot, system),
            functools.partial(lagrangian.levenberg_marquardt, (64, 128, 256)),
            "float64",
            "lnn",
        ),
    }


def study(name: str, title: str, system: System) -> Study:
    """The `Study` of one system."""
    columns = {"acceleration_error": "rel. MSE of accel."}
    for i, _ in enumerate(system.coordinates):
        columns[f"mean_{i + 1}"] = f"mean MSE, q{i + 1}"
        columns[f"median_{i + 1}"] = "median"
    return Study(
        name,
        title,
        rows(system),
        functools.partial(material, system),
        functools.partial(measure, system),
        columns | {"valid_time": "valid time"},
        {},
        functools.partial(draw, system),
    )


def sweep(system: System, config: Config) -> dict[str, Any]:
    """Adam with other batch sizes and learning rates: errors, medians over seeds.

    Those of one batch size train side by side, all rates and seeds at once.
    """
    found = material(system, config, config.options.seed)
    dtype = runner.model_dtype(config.options)
    found = found.cast(dtype)
    motion = _network(system, config, dtype)
    seeds = jax.random.split(jax.random.key(config.options.seed), SWEPT)
    rates = jnp.repeat(jnp.asarray(RATES, dtype), SWEPT)
    keys = jnp.tile(seeds, len(RATES))
    errors, losses = [], []
    for batch in BATCHES:
        many = learning.learn_many(
            motion, recipe(config, batch), found.train, rates=rates, keys=keys
        )
        each = [
            lagrangian.acceleration_error(
                motion, jax.tree.map(lambda x, i=i: x[i], many.params), found.clean
            )
            for i in range(len(rates))
        ]
        errors.append(np.reshape(each, (len(RATES), SWEPT)).tolist())
        losses.append(np.asarray(many.losses, float).tolist())
    return {
        "rates": list(RATES),
        "batches": list(BATCHES),
        "acceleration_error": errors,
        "losses": losses,
    }


def run(which: Study, system: System, config: Config) -> Trained:
    """Train every chosen row, print the tables, write results and figures."""
    trained = dynamics.run(which, config)
    print(statistics(system, trained.results))
    if config.sweep and not trained.interrupted:
        swept = sweep(system, config)
        (trained.out / "sweep.json").write_text(json.dumps(swept))
        middle = np.median(np.asarray(swept["acceleration_error"]), axis=2)
        figure = plots.sweep(
            RATES, BATCHES, middle, what="rel. MSE of accelerations [1]"
        )
        plots.save(figure, trained.out / "sweep.png")
    return trained
