"""A wave on a ring: one Lagrangian density, learned for all nodes.

ü = c² ∂²u/∂x², c = 1, on 64 nodes of a ring of length 1; states from eight times of
motions that start as sums of the four longest waves. A density of one bond is learned,
a network of a few hundred weights, and its motion costs linear time in the number of
nodes. Judged are accelerations, and the energy over ten periods of the longest wave.
The published experiment is qualitative: Cranmer et al., Lagrangian Neural Networks,
2020, section 4.3.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, models, plots, systems
from jaxphys.experiments import dynamics, judging, lagrangian
from jaxphys.experiments.dynamics import Material, Row, Study, finite, shortened
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.types import Dynamics, PyTree, TangentState


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the Lagrangian density of a wave.

    Attributes:
      options: what every run understands.
      nodes: of the ring.
      motions: for training, eight states each.
      hidden: units of each hidden layer.
      fast: a twentieth of the updates or of the time, and shorter rollouts.
    """

    options: RunOptions = RunOptions()
    nodes: int = 64
    motions: int = 64
    hidden: tuple[int, ...] = (16, 16)
    fast: bool = False


#: Typical sizes of the field, of its slope and of its velocity, of four long waves.
UNITS = models.FieldUnits(1.0, 2 * np.pi, 2 * np.pi)

#: Ten periods of the longest wave, in steps that RK4 is stable with.
JUDGED = Judged(10.0, 401, 0.004, 8)


def _motions(config: Config, key, count: int) -> data.Trajectories:
    """Motions at eight times of a period, with velocities and accelerations."""
    system = systems.wave(config.nodes)
    found = data.simulated(system, key, count, np.linspace(0.0, 1.0, 8))
    spacing = float(system.params.spacing)
    assert found.dp is not None
    return data.Trajectories(found.t, found.q, v=found.v, dv=found.dp / spacing)


def material(config: Config, seed: int) -> Material:
    """Motions for training and for the test."""
    keys = jax.random.split(jax.random.key(seed))
    count, test = (8, 8) if config.fast else (config.motions, 32)
    train, other = _motions(config, keys[0], count), _motions(config, keys[1], test)
    return Material([train], [other], [other], seed)


def _judged(config: Config) -> Judged:
    if config.fast:
        return JUDGED._replace(duration=1.0, times=41, rollouts=2)
    return JUDGED


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """Accelerations, and the energy's largest error over ten periods."""
    system, judged = systems.wave(config.nodes), _judged(config)
    dtype = jax.tree.leaves(params)[0].dtype
    first = judging.starts(judged, found, dtype, TangentState)
    each = judging.rollouts(system, judged, motion, params, first)
    drifts = jax.vmap(metrics.energy_drift)(dynamics.energies(system, each.found))
    return {
        "acceleration_error": lagrangian.acceleration_error(
            motion, params, found.clean
        ),
        "energy_drift": finite(metrics.quartiles(drifts.relative).median),
    } | judging.rollout_errors(each)


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """A wave over space and time, its errors, and the energies of several."""
    system, judged = systems.wave(config.nodes), _judged(config)
    first = judging.starts(judged, found, float, TangentState)
    true, learned = judging.sampled_rollouts(system, judged, trained, first)
    shown = true.t <= 3.0
    x = np.arange(config.nodes) * float(system.params.spacing)
    fields = {name: each.q[0, shown] for name, each in learned.items()}
    return {
        "waves": plots.waves(true.t[shown], x, true.q[0, shown], fields),
        "energy": plots.energy_errors(true, learned),
    }


def _lattice(config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.lattice(
        1 / config.nodes,
        units=UNITS,
        hidden=config.hidden,
        kernel_init="glorot_normal",
        dtype=dtype,
    )
    return models.lagrangian_dynamics(model)


def _adam(config: Config) -> Recipe:
    recipe = Recipe(steps=10_000, batch_size=16, learning_rate=3e-3, schedule="cosine")
    return shortened(recipe) if config.fast else recipe


def _damped(config: Config) -> Recipe:
    return lagrangian.levenberg_marquardt((2, 8), config)


METHODS = {
    "lattice": Row(_lattice, _adam),
    "lattice_levenberg_marquardt": Row(_lattice, _damped, "float64", "lattice"),
}

STUDY = Study(
    "wave",
    "wave on a ring",
    METHODS,
    material,
    measure,
    {
        "acceleration_error": "rel. MSE of accel.",
        "energy_drift": "energy drift",
        "rollout_error": "rel. rollout error",
        "valid_time": "valid time",
    },
    {},
    draw,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
