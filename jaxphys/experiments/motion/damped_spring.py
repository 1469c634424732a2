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
from jaxphys.experiments.measures import Axes, finite
from jaxphys.experiments.motion.rows import damped, damped_row, network, row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, Trajectories

__all__ = ["EXPERIMENT", "TRUE", "Settings", "sample"]


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
    damping: float = 2.0
    hidden: tuple[int, ...] = (256, 256)
    fast: bool = False


#: Half the side of the grid, and the times of a rollout.
SIDE, TIMES = 1.2, np.linspace(0.0, 5.0, 101)


def _damping(key: Array) -> Array:
    del key
    return jnp.asarray(Settings.damping)


def _rate(t: Array, y: PhaseState, damping: PyTree) -> PhaseState:
    del t
    return PhaseState(2 * y.p - damping * y.q, -2 * y.q)


def _energy(damping: PyTree, q: Array, p: Array) -> Array:
    del damping
    return q @ q + p @ p


#: H = q² + p², with a friction that acts on q; its constant is the damping.
TRUE = Motion(Dynamics(_damping, _rate, energy=_energy))


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """The grid, shuffled, four fifths of it for training."""
    del dtype
    side = np.linspace(-SIDE, SIDE, settings.points)
    q, p = (x.reshape(-1, 1, 1) for x in np.meshgrid(side, side))
    order = np.random.default_rng(keys.seed).permutation(len(q))
    cut = int(0.8 * len(q))

    def part(rows: np.ndarray) -> Trajectories:
        y = PhaseState(q[rows], p[rows])
        rate = _rate(jnp.zeros(()), y, settings.damping)
        return Trajectories(np.zeros(1), y, rate)

    train, test = part(order[:cut]), part(order[cut:])
    return Samples([train], [test], [test])


def _measured(trained: Trained) -> dict[str, float]:
    """Errors of the field, and of rollouts from states of the test set."""
    settings, motion, params = trained.settings, trained.subject.built, trained.params
    (clean,) = trained.samples.clean
    count = 4 if settings.fast else 25
    first = jax.tree.map(lambda x: jnp.asarray(x[:count, 0]), clean.y)
    constant = jnp.asarray(settings.damping, first.q.dtype)
    found = motion.path(params, first, TIMES)
    true = TRUE.path(constant, first, TIMES)
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

    def shown(
        motion: Motion, params: PyTree, samples: Samples
    ) -> tuple[Trajectories, Axes]:
        dtype = measures.dtype_of(params)
        (clean,) = samples.clean
        first = jax.tree.map(lambda x: jnp.asarray(x[:4, 0], dtype), clean.y)
        path = motion.path(params, first, TIMES)
        energy = np.asarray(TRUE.energy(constant.astype(dtype), path))
        followed = Trajectories(TIMES, jax.tree.map(np.asarray, path), energy=energy)
        return followed, measures.field_grid(motion.dynamics, params, axes)

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
