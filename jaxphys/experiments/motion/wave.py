"""A wave on a ring: one Lagrangian density, learned for all nodes.

ü = c² ∂²u/∂x², c = 1, on 64 nodes of a ring of length 1; states from eight times of
motions that start as sums of the four longest waves. A density of one bond is learned,
a network of a few hundred weights, and its motion costs linear time in the number of
nodes. Judged are accelerations, and the energy over ten periods of the longest wave.
The published experiment is qualitative: Cranmer et al., Lagrangian Neural Networks,
2020, section 4.3.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import metrics, models, plots, systems
from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import Judge, finite, lagrangian_errors
from jaxphys.experiments.motion.rows import damped, damped_row, row
from jaxphys.experiments.motion.samples import drawn
from jaxphys.learning import Recipe
from jaxphys.motion import Simulator
from jaxphys.types import Array, Dynamics, TangentState, Trajectories

__all__ = ["EXPERIMENT", "Settings", "sample"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the Lagrangian density of a wave.

    Attributes:
      nodes: of the ring.
      motions: for training, eight states each.
      hidden: units of each hidden layer.
      fast: a twentieth of the updates or of the time, and shorter rollouts.
    """

    nodes: int = 64
    motions: int = 64
    hidden: tuple[int, ...] = (16, 16)
    fast: bool = False


#: Typical sizes of the field, of its slope and of its velocity, of four long waves.
_UNITS = models.FieldUnits(1.0, 2 * np.pi, 2 * np.pi)

#: When a training motion is seen, over one period of the longest wave.
_TIMES = np.linspace(0.0, 1.0, 8)


@functools.cache
def _judge(nodes: int, fast: bool) -> Judge:
    """Ten periods of the longest wave, or one, in steps that RK4 is stable with."""
    duration, times, rollouts = (1.0, 41, 2) if fast else (10.0, 401, 8)
    return Judge(systems.wave(nodes), duration, times, 0.004, rollouts)


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Motions for training and for the test, in velocities and accelerations."""
    del dtype
    system = _judge(settings.nodes, settings.fast).system
    simulator, spacing = Simulator(system), float(system.params.spacing)

    def seen(key: Array, count: int) -> Trajectories:
        found = simulator.simulated(key, count, _TIMES)
        rate: Any = found.rate  # which simulated motions have
        return Trajectories(
            found.t,
            TangentState(found.y.q, rate.q),
            TangentState(rate.q, rate.p / spacing),
        )

    count, tests = (8, 8) if settings.fast else (settings.motions, 32)
    return drawn(seen, keys, count, tests)


def _measured(trained: Trained) -> dict[str, float]:
    """Accelerations, and the energy's largest error over ten periods."""
    judge = _judge(trained.settings.nodes, trained.settings.fast)
    found = judge.rollouts_of(trained)
    drifts = jax.vmap(metrics.energy_drift)(judge.energies(found.found))
    drift = finite(metrics.quartiles(drifts.relative).median)
    return {"energy_drift": drift} | lagrangian_errors(trained, found)


def _draw(run: Run) -> dict[str, plots.Figure]:
    """A wave over space and time, its errors, and the energies of several."""
    judge = _judge(run.settings.nodes, run.settings.fast)
    first = judge.starts(run.samples, run.keys, float, TangentState)
    true, learned = figures.followed(judge, run, first)
    shown = true.t <= 3.0
    x = np.arange(run.settings.nodes) * float(judge.system.params.spacing)
    fields = {name: each.y.q[0, shown] for name, each in learned.items()}
    t, expected = true.t[shown], true.y.q[0, shown]
    return {
        "waves": plots.waves(t, x, expected, fields, looks=run.looks),
        "energy": plots.energy_errors(true, learned, looks=run.looks),
    }


def _lattice(settings: Settings, dtype: jnp.dtype) -> Dynamics:
    model = models.lattice(
        1 / settings.nodes,
        units=_UNITS,
        hidden=settings.hidden,
        kernel_init="glorot_normal",
        dtype=dtype,
    )
    return models.lagrangian_dynamics(model)


_ADAM = Recipe(steps=10_000, batch_size=16, learning_rate=3e-3, schedule="cosine")

EXPERIMENT = Experiment(
    name="wave",
    summary="learn the Lagrangian density of a wave on a ring",
    title="wave on a ring",
    settings=Settings,
    sample=sample,
    rows={
        "lattice": row("lattice", "adam", _lattice, _ADAM),
        "lattice_levenberg_marquardt": damped_row(
            "lattice", _lattice, damped(2, 8), time_of="lattice"
        ),
    },
    columns={
        "acceleration_error": "rel. MSE of accel.",
        "energy_drift": "energy drift",
        "rollout_error": "rel. rollout error",
        "valid_time": "valid time",
    },
    measures=_measured,
    figures=_draw,
)
