"""The experiments of Lagrangian networks, by one recipe for all of them.

Random states of a known system, each with its exact acceleration; a network for L, one
for L with a mass matrix in it, and one for the acceleration itself. They are judged by
accelerations and rollouts from states they have not seen.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import metrics, optim
from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Row, Run, Samples, Trained
from jaxphys.experiments.measures import Judge, finite, lagrangian_errors
from jaxphys.experiments.motion.rows import damped, damped_row, network, row
from jaxphys.experiments.motion.samples import drawn
from jaxphys.learning import Recipe
from jaxphys.models import Normalization
from jaxphys.motion import Simulator
from jaxphys.types import Array, System, TangentState

__all__ = ["COLUMNS", "Settings", "experiment", "rows", "within"]

COLUMNS = {
    "acceleration_error": "rel. MSE of accel.",
    "final_energy": "energy error, mean",
    "final_energy_median": "median",
    "rollout_error": "rel. rollout error",
    "valid_time": "valid time",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the Lagrangian of a system.

    Attributes:
      states: for training.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of the LNN that Levenberg–Marquardt trains.
      compact_delan: of the DeLaN that it trains, of each of its two networks.
      fast: a twentieth of the updates or of the time, and fewer rollouts.
    """

    states: int = 8192
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (48, 48)
    compact_delan: tuple[int, ...] = (24, 24)
    fast: bool = False


def within(
    system: System, low: Any, high: Any, speed_low: Any, speed_high: Any
) -> System:
    """The same system, its states uniform between bounds of q and of v."""

    def sample(key: Array) -> TangentState:
        n = len(system.periodic)
        first, second = jax.random.split(key)
        bounds = [jnp.asarray(x, float) for x in (low, high, speed_low, speed_high)]
        q = jax.random.uniform(first, (n,), float, bounds[0], bounds[1])
        v = jax.random.uniform(second, (n,), float, bounds[2], bounds[3])
        return TangentState(q, v)

    return system._replace(sample_tangent=sample)


def rows(
    system: System,
    adam: dict[str, Recipe],
    growth: dict[str, tuple[int, ...]],
    units: Normalization | None = None,
) -> dict[str, Row]:
    """Networks for the acceleration and for L, by Adam; L again by Levenberg–Marquardt
    in the time that Adam took for it.

    Args:
      system: for its coordinates.
      adam: the recipes of `mlp`, `lnn` and `delan`.
      growth: batch sizes of Levenberg–Marquardt for `lnn` and `delan`, one after
        another.
      units: typical sizes, that networks work in.
    """
    shape = {
        "num_coordinates": len(system.periodic),
        "periodic": system.periodic,
        "normalization": units,
        "kernel_init": "glorot_normal",
    }
    kinds = {"mlp": "second_order", "lnn": "lnn", "delan": "delan"}
    small = {"lnn": "compact", "delan": "compact_delan"}
    return {
        name: row(name, "adam", network(kind, shape), adam[name])
        for name, kind in kinds.items()
    } | {
        f"{name}_levenberg_marquardt": damped_row(
            name,
            network(name, shape, layers),
            damped(*growth[name], max_bend=optim.USUAL_BEND),
            time_of=name,
        )
        for name, layers in small.items()
    }


def experiment(
    judge: Judge, energy_scale: float, rows: dict[str, Row], **fields: Any
) -> Experiment:
    """The `Experiment` of one system: states for training, and 4096 for the test.

    Args:
      judge: of the system; its `sample_tangent` draws the states.
      energy_scale: what energy errors are divided by.
      rows: as in `Experiment`.
      fields: further fields of `Experiment`.
    """
    simulator = Simulator(judge.system)

    def sample(settings: Any, keys: Keys, dtype: jnp.dtype) -> Samples:
        del dtype
        count, tests = (1024, 512) if settings.fast else (settings.states, 4096)
        return drawn(simulator.drawn, keys, count, tests)

    def measured(trained: Trained) -> dict[str, float]:
        """What the table says of a model; the energy is the true one."""
        judged = judge
        if trained.settings.fast:
            judged = judge.shorter(rollouts=4, duration=judge.duration / 10)
        found = judged.rollouts_of(trained)
        energy = judged.energies(found.found)
        final = jnp.abs(energy[:, -1] - energy[:, 0]) / energy_scale
        final = jnp.where(jnp.isfinite(final), final, jnp.inf)
        return {
            "final_energy": finite(jnp.mean(final)),
            "final_energy_median": finite(metrics.quartiles(final).median),
        } | lagrangian_errors(trained, found)

    def draw(run: Run) -> figures.Figures:
        return figures.lagrangian_figures(judge, run)

    return Experiment(
        sample=sample,
        rows=rows,
        measures=measured,
        columns=COLUMNS,
        figures=draw,
        **fields,
    )
