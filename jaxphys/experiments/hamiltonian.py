"""The experiments of Hamiltonian Neural Networks, by one recipe for all of them.

Trajectories of a known system, noise on the states and none on the derivatives, a
network for H and one for the field; both are judged by rollouts from states they have
not seen, as a loss on noisy states is that of the noise.
"""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, models, plots
from jaxphys.experiments import dynamics, judging
from jaxphys.experiments.dynamics import Material, Row, Study, shortened
from jaxphys.experiments.judging import Judged, Models
from jaxphys.experiments.runner import RunOptions
from jaxphys.learning import Recipe
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, System

#: Keys of one seed, by what is drawn.
_TRAIN, _TEST, _NOISE, _TEST_NOISE = range(judging.STARTS)

COLUMNS = {
    "energy_mse": "energy MSE",
    "test_mse": "test MSE",
    "field_error": "rel. field error",
    "rollout_error": "rel. rollout error",
    "valid_time": "valid time",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the energy of a system.

    Attributes:
      options: what every run understands.
      trajectories: for training.
      noise: standard deviation of the noise on q and p.
      hidden: units of each hidden layer, of the published networks.
      fast: a twentieth of the updates, and fewer rollouts.
    """

    options: RunOptions = RunOptions()
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


def simulated(
    system: System, seed: int, count: int, test: int, ts: np.ndarray, noise: float
) -> Material:
    """Train and test trajectories of a seed, with noise on their states."""
    key = jax.random.key(seed)
    keys = [jax.random.fold_in(key, purpose) for purpose in range(judging.STARTS)]
    train = data.simulated(system, keys[_TRAIN], count, ts)
    clean = data.simulated(system, keys[_TEST], test, ts)
    noisy, seen = train, clean
    if noise:
        noisy = data.add_noise(train, noise, keys[_NOISE])
        seen = data.add_noise(clean, noise, keys[_TEST_NOISE])
    return Material([noisy], [seen], [clean], seed)


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
    n = jax.eval_shape(system.sample, jax.random.key(0)).q.shape[0]

    def hnn(config: Any, dtype: jnp.dtype) -> Dynamics:
        return models.dynamics(models.hnn(n, hidden=config.hidden, dtype=dtype))

    def mlp(config: Any, dtype: jnp.dtype) -> Dynamics:
        return models.neural_ode(n, hidden=config.hidden, dtype=dtype)

    def compact(config: Any, dtype: jnp.dtype) -> Dynamics:
        model = models.hnn(
            n,
            hidden=(noisy if config.noise else clean).hidden,
            kernel_init="glorot_normal",
            periodic=system.periodic,
            dtype=dtype,
        )
        return models.dynamics(model)

    def recipe(config: Any) -> Recipe:
        return published if not config.fast else shortened(published)

    def second_order(config: Any) -> Recipe:
        damped = Recipe(
            optimizer="levenberg_marquardt",
            batch_size=(noisy if config.noise else clean).batch_size,
            seconds=dynamics.USUAL_SECONDS,
        )
        return damped if not config.fast else shortened(damped)

    return {
        "mlp": Row(mlp, recipe),
        "hnn": Row(hnn, recipe),
        "hnn_levenberg_marquardt": Row(compact, second_order, "float64", "hnn"),
    }


def study(
    name: str,
    title: str,
    system: System,
    rows: dict[str, Row],
    published: dict[str, dict[str, float]],
    *,
    ts: np.ndarray,
    test_share: float = 1.0,
    judged: Judged,
    extent: float,
) -> Study:
    """The `Study` of one system.

    Args:
      name, title, rows, published: as in `Study`.
      system: what is learned.
      ts: times of the data.
      test_share: trajectories for the test, per one for training.
      judged: how rollouts are judged.
      extent: half the side of the square of q and p that fields are drawn on; of
        several coordinates it is that of the first, about the first test state.
    """

    def material(config: Any, seed: int) -> Material:
        count = config.trajectories
        test = max(int(count * test_share), 1)
        return simulated(system, seed, count, test, ts, config.noise)

    def measured(config: Any, motion: Dynamics, params: PyTree, found: Material):
        shorter = judged
        if config.fast:
            shorter = judged._replace(rollouts=min(judged.rollouts, 4))
        return judging.measure(system, shorter, motion, params, found)

    def draw(
        config: Any, trained: Models, found: Material, out: pathlib.Path
    ) -> dict[str, plots.Figure]:
        figures = judging.rollout_figures(system, judged, trained, found)
        return figures | judging.field_figures(system, extent, trained, found)

    return Study(name, title, rows, material, measured, COLUMNS, published, draw)
