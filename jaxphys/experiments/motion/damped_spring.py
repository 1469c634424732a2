"""A damped spring on a grid of states, split into what turns and what is lost.

dq/dt = 2p − 2q, dp/dt = −2q on 25 × 25 points of [−1.2, 1.2]², 500 for training;
networks of 2 × 256 tanh units, 5000 updates of Adam on 128 points each, with a cosine
schedule that the authors do not use. A Hamiltonian network cannot lose energy and must
fail. Published figures: Greydanus & Sosanya, Dissipative Hamiltonian Neural Networks,
2022; how long their trajectories are is not said, ours last five units of time, five
times the decay's.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import metrics
from jaxphys.experiments import figures, measures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion.damped_grid import DAMPING, SIDE, TRUE, grid
from jaxphys.experiments.motion.rows import damped, damped_row, network, row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.types import PyTree, State, Trajectories

__all__ = ["EXPERIMENT", "Settings", "sample"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn a damped spring's energy and its dissipation from a grid of states.

    Attributes:
      points: along each side of the grid.
      damping: of q.
      hidden: units of each hidden layer, of the published networks.
      fast: a twentieth of the updates, and fewer rollouts.
    """

    points: int = 25
    damping: float = DAMPING
    hidden: tuple[int, ...] = (256, 256)
    fast: bool = False


#: Times of a rollout.
_TIMES = np.linspace(0.0, 5.0, 101)


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """The grid, shuffled, four fifths of it for training."""
    del dtype
    return grid(settings.points, settings.damping, keys.seed)


def _starts(samples: Samples, count: int) -> Trajectories:
    """The first states of the test set, at the times of a rollout."""
    (clean,) = samples.clean
    return Trajectories(_TIMES, jax.tree.map(lambda x: x[:count], clean.y))


def _followed(motion: Motion, params: PyTree, starts: Trajectories) -> State:
    return measures.predicted(motion, params, starts, 0.02)


def _measured(trained: Trained) -> dict[str, float]:
    """Errors of the field, and of rollouts from states of the test set."""
    settings, motion, params = trained.settings, trained.subject.built, trained.params
    starts = _starts(trained.samples, 4 if settings.fast else 25)
    constant = jnp.asarray(settings.damping, measures.dtype_of(params))
    found = _followed(motion, params, starts)
    true = _followed(TRUE, constant, starts)
    error = measures.field_error(motion.dynamics, params, trained.samples.clean)
    return {
        "trajectory_mse": finite(
            jnp.mean(jax.vmap(metrics.squared_error)(found, true))
        ),
        "test_mse": finite(error.mean_square / 2),
        "field_error": finite(error.relative),
    }


def _draw(run: Run) -> figures.Figures:
    """Fields, their errors, and rollouts."""
    side = np.linspace(-SIDE, SIDE, 61)
    axes = (side, side)
    constant = jnp.asarray(run.settings.damping)

    def shown(motion: Motion, params: PyTree, samples: Samples) -> figures.Shown:
        path = _followed(motion, params, _starts(samples, 4))
        energy = TRUE.energy(constant.astype(path.q.dtype), path)
        field = measures.field_grid(motion.dynamics, params, axes)
        return measures.with_energy(_TIMES, path, energy), field

    (seen,) = run.samples.train
    return figures.motion_figures(
        run,
        axes,
        shown,
        (TRUE, constant),
        seen=(seen.y.q.ravel(), seen.y.p.ravel()),
        parts=("dq/dt", "dp/dt"),
    )


_SHAPE = {"num_coordinates": 1, "kernel_init": "lecun_normal"}
_COMPACT = {"num_coordinates": 1, "kernel_init": "glorot_normal", "hidden": (24, 24)}
_ADAM = Recipe(steps=5000, batch_size=128, learning_rate=1e-2, schedule="cosine")

EXPERIMENT = Experiment(
    name="damped_spring",
    summary="split a damped spring into energy and dissipation",
    title="damped spring",
    settings=Settings,
    sample=sample,
    rows={
        "mlp": row("mlp", "adam", network("neural_ode", _SHAPE), _ADAM),
        "hnn": row("hnn", "adam", network("hnn", _SHAPE), _ADAM),
        "dissipative": row(
            "dissipative", "adam", network("dissipative", _SHAPE), _ADAM
        ),
        "dissipative_levenberg_marquardt": damped_row(
            "dissipative",
            network("dissipative", _COMPACT),
            damped(50, seconds=20.0),
            time_of="dissipative",
        ),
    },
    columns={
        "trajectory_mse": "trajectory MSE",
        "test_mse": "test MSE",
        "field_error": "rel. field error",
    },
    measures=_measured,
    figures=_draw,
    published={
        "hnn": {"trajectory_mse": 0.29},
        "dissipative": {"trajectory_mse": 3.6e-6},
    },
)
