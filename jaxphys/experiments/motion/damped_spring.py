"""A damped spring on a grid of states, split into what turns and what is lost.

dq/dt = 2p − 2q, dp/dt = −2q on 25 × 25 points of [−1.2, 1.2]², 500 for training;
networks of 2 × 256 tanh units, 5000 updates of Adam on 128 points each, with a cosine
schedule that the authors do not use. A Hamiltonian
network cannot lose energy and must fail. Published figures: Greydanus & Sosanya,
Dissipative Hamiltonian Neural Networks, 2022; how long their trajectories are is not
said, ours last five units of time, five times the decay's.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, models, plots
from jaxphys.experiments import dynamics, judging
from jaxphys.experiments.dynamics import Material, Row, Study, finite
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.plots import Sampled
from jaxphys.types import Dynamics, PhaseState, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn a damped spring's energy and its dissipation from a grid of states.

    Attributes:
      options: what every run understands.
      points: along each side of the grid.
      damping: of q.
      hidden: units of each hidden layer, of the published networks.
      fast: a twentieth of the updates, and fewer rollouts.
    """

    options: RunOptions = RunOptions()
    points: int = 25
    damping: float = 2.0
    hidden: tuple[int, ...] = (256, 256)
    fast: bool = False


#: Time of a rollout, and its number of times.
DURATION, TIMES = 5.0, 101


def truth(damping: float) -> Dynamics:
    """H = q² + p², with a friction that acts on q."""
    return Dynamics(
        lambda key: jnp.asarray(damping),
        lambda t, y, c: PhaseState(2 * y.p - c * y.q, -2 * y.q),
        energy=lambda c, q, p: q @ q + p @ p,
    )


def material(config: Config, seed: int) -> Material:
    """The grid, shuffled, four fifths of it for training."""
    side = np.linspace(-1.2, 1.2, config.points)
    q, p = (x.reshape(-1, 1, 1) for x in np.meshgrid(side, side))
    order = np.random.default_rng(seed).permutation(len(q))
    q, p = q[order], p[order]
    grid = PhaseState(jnp.asarray(q), jnp.asarray(p))
    rate = truth(config.damping).vector_field(0.0, grid, config.damping)
    dq, dp = (np.asarray(x) for x in rate)
    cut = int(0.8 * len(q))
    parts = [
        data.Trajectories(np.zeros(1), q[part], p[part], dq=dq[part], dp=dp[part])
        for part in (slice(None, cut), slice(cut, None))
    ]
    return Material([parts[0]], [parts[1]], [parts[1]], seed)


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """Errors of the field, and of rollouts from states of the test set."""
    (clean,) = found.clean
    assert clean.p is not None
    count = 4 if config.fast else 25
    dtype = jax.tree.leaves(params)[0].dtype
    first = PhaseState(*(jnp.asarray(x[:count, 0], dtype) for x in (clean.q, clean.p)))
    ts = np.linspace(0.0, DURATION, TIMES)
    ours = dynamics.paths(motion, params, first, ts)
    true = dynamics.paths(
        truth(config.damping), jnp.asarray(config.damping, dtype), first, ts
    )
    square = jnp.mean(jax.vmap(metrics.squared_error)(ours, true))
    error = judging.field_error(motion, params, found.clean)
    return {
        "trajectory_mse": finite(square),
        "test_mse": finite(error.mean_square / 2),
        "field_error": finite(error.relative),
    }


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Fields, their errors, and a rollout."""
    side = np.linspace(-1.2, 1.2, 61)
    axes = (side, side)
    true_motion = truth(config.damping)
    constant = jnp.asarray(config.damping)
    (seen,) = found.train
    assert seen.p is not None
    figures = judging.compared_fields(
        axes,
        judging.field_grid(true_motion, constant, axes),
        {k: judging.field_grid(*model, axes) for k, model in trained.items()},
        seen=(seen.q.ravel(), seen.p.ravel()),
        parts=("dq/dt", "dp/dt"),
    )
    (clean,) = found.clean
    assert clean.p is not None
    starts = (clean.q[:4, 0], clean.p[:4, 0])
    ts = np.linspace(0.0, DURATION, TIMES)

    def sampled(motion: Dynamics, params: PyTree) -> Sampled:
        dtype = jax.tree.leaves(params)[0].dtype
        first = (jnp.asarray(x, dtype) for x in starts)
        q, p = dynamics.paths(motion, params, PhaseState(*first), ts)
        energy = jnp.sum(q**2 + p**2, axis=-1)
        return Sampled(ts, *(np.asarray(x) for x in (q, p, energy)))

    motions = {name: sampled(*model) for name, model in trained.items()}
    true = sampled(true_motion, constant)
    return figures | {
        "motion": plots.learned_motion(true, motions),
        "energy": plots.energy_errors(true, motions),
    }


def _recipe(config: Config) -> Recipe:
    recipe = Recipe(steps=5000, batch_size=128, learning_rate=1e-2, schedule="cosine")
    return dynamics.shortened(recipe) if config.fast else recipe


def _damped(config: Config) -> Recipe:
    recipe = Recipe(optimizer="levenberg_marquardt", batch_size=50, seconds=20.0)
    return dynamics.shortened(recipe) if config.fast else recipe


def _compact(config: Any, dtype: jnp.dtype) -> Dynamics:
    return models.dissipative(
        1, hidden=(24, 24), kernel_init="glorot_normal", dtype=dtype
    )


METHODS = {
    "mlp": Row(
        lambda c, dtype: models.neural_ode(
            1, hidden=c.hidden, kernel_init="lecun_normal", dtype=dtype
        ),
        _recipe,
    ),
    "hnn": Row(
        lambda c, dtype: models.dynamics(
            models.hnn(1, hidden=c.hidden, kernel_init="lecun_normal", dtype=dtype)
        ),
        _recipe,
    ),
    "dissipative": Row(
        lambda c, dtype: models.dissipative(
            1, hidden=c.hidden, kernel_init="lecun_normal", dtype=dtype
        ),
        _recipe,
    ),
    "dissipative_levenberg_marquardt": Row(_compact, _damped, "float64", "dissipative"),
}

STUDY = Study(
    "damped_spring",
    "damped spring",
    METHODS,
    material,
    measure,
    {
        "trajectory_mse": "trajectory MSE",
        "test_mse": "test MSE",
        "field_error": "rel. field error",
    },
    {
        "hnn": {"trajectory_mse": 0.29},
        "dissipative": {"trajectory_mse": 3.6e-6},
    },
    draw,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
