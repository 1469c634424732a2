"""The experiments of Hamiltonian Neural Networks, by one recipe for all of them.

Trajectories of a known system, noise on the states and none on the rates, a network for
H and one for the field. They are judged by rollouts from states they have not seen: a
loss on noisy states is that of the noise.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data
from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Row, Run, Samples, Trained
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion.rows import damped_row, network, row
from jaxphys.learning import Recipe
from jaxphys.motion import Simulator
from jaxphys.types import Array, PhaseState, System

__all__ = ["COLUMNS", "Compact", "Settings", "around_the_middle", "experiment", "rows"]

COLUMNS = {
    "energy_mse": "energy MSE",
    "test_mse": "test MSE",
    "field_error": "rel. field error",
    "rollout_error": "rel. rollout error",
    "valid_time": "valid time",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the energy of a system.

    Attributes:
      trajectories: for training.
      noise: standard deviation of the noise on q and p.
      hidden: units of each hidden layer, of the published networks.
      fast: a twentieth of the updates, and fewer rollouts.
    """

    trajectories: int = 25
    noise: float = 0.1
    hidden: tuple[int, ...] = (200, 200)
    fast: bool = False


def around_the_middle(key: Array) -> PhaseState:
    """q and p each ±U[0.2, 1): where the published rollouts of one coordinate start."""
    first, second = jax.random.split(key)
    size = jax.random.uniform(first, (2,), minval=0.2, maxval=1.0)
    sign = jnp.where(jax.random.bernoulli(second, shape=(2,)), 1, -1)
    q, p = size * sign
    return PhaseState(q[None], p[None])


class Compact(NamedTuple):
    """How a small network is trained by Levenberg–Marquardt.

    Attributes:
      hidden: its layers.
      batch_size: None for all samples.
    """

    hidden: tuple[int, ...]
    batch_size: int | None


def rows(
    system: System, published: Recipe, *, clean: Compact, noisy: Compact
) -> dict[str, Row]:
    """A network for the field, one for H, each with the published budget, and H again
    by Levenberg–Marquardt in the time that the published budget took.

    Args:
      system: for the number of coordinates.
      published: the recipe of the published budget.
      clean, noisy: the last row's network and batch, for data without noise and with
        it: the more it can learn, the more of the noise it learns.
    """
    shape = {"num_coordinates": len(system.periodic)}
    smooth = {"kernel_init": "glorot_normal", "periodic": system.periodic}

    def compact(settings: Any) -> Compact:
        return noisy if settings.noise else clean

    def small(settings: Any) -> dict[str, Any]:
        return {**shape, **smooth, "hidden": compact(settings).hidden}

    def damped(settings: Any) -> Recipe:
        return Recipe(
            optimizer="levenberg_marquardt",
            batch_size=compact(settings).batch_size,
            seconds=30.0,
        )

    return {
        "mlp": row("mlp", "adam", network("neural_ode", shape), published),
        "hnn": row("hnn", "adam", network("hnn", shape), published),
        "hnn_levenberg_marquardt": damped_row(
            "hnn",
            network("hnn", small),
            damped,
            time_of="hnn",
        ),
    }


def experiment(
    judge: Judge,
    rows: dict[str, Row],
    *,
    ts: np.ndarray,
    extent: float,
    test_share: float = 1.0,
    **fields: Any,
) -> Experiment:
    """The `Experiment` of one system.

    Args:
      judge: of the system that is learned.
      rows: as in `Experiment`.
      ts: times of the data.
      extent: half the side of the square of q and p that fields are drawn on; of
        several coordinates it is that of the first, about the first test state.
      test_share: trajectories for the test, per one for training.
      fields: further fields of `Experiment`.
    """
    simulator = Simulator(judge.system)

    def sample(settings: Any, keys: Keys, dtype: jnp.dtype) -> Samples:
        root = jax.random.key(keys.seed)
        for_train, for_test, for_noise, for_test_noise = (
            jax.random.fold_in(root, purpose) for purpose in range(4)
        )
        count = settings.trajectories
        train = simulator.simulated(for_train, count, ts)
        clean = simulator.simulated(for_test, max(int(count * test_share), 1), ts)
        noisy, seen = train, clean
        if settings.noise:
            noisy = data.add_noise(train, settings.noise, for_noise)
            seen = data.add_noise(clean, settings.noise, for_test_noise)
        return Samples([noisy], [seen], [clean])

    def measures(trained: Trained) -> dict[str, float]:
        fast = trained.settings.fast
        judged = judge.shorter(rollouts=min(judge.rollouts, 4)) if fast else judge
        return judged.measure(trained)

    def draw(run: Run) -> figures.Figures:
        fields = figures.field_figures(judge, run, extent)
        return figures.rollout_figures(judge, run) | fields

    return Experiment(
        sample=sample,
        rows=rows,
        measures=measures,
        columns=COLUMNS,
        figures=draw,
        **fields,
    )
