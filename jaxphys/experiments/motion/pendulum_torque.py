"""A pendulum driven by a torque: its energy, and how the torque acts on it.

H = 5 (1 − cos q) + 3 p²/2, constant torques u ∈ {−2 … 2}, 64 initial states each, 20
points 0.05 apart; trajectories of four steps are matched through RK4. Told by (q, p),
or by (cos q, sin q, dq/dt), where no momentum is measured. The prediction error is the
squared error summed over 40 points, from the training's initial states without torque.
Published figures: Zhong, Dey & Chakraborty, Symplectic ODE-Net, 2020. Their networks
have up to 800 units a layer and train for an hour or more on two cores; the rows here
train for ten seconds. Those that see the bare angle have sine units, as predictions
leave the angles of the training: what has a period is found to have one.
"""

import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, models, plots, systems
from jaxphys.experiments import dynamics, judging
from jaxphys.experiments.dynamics import Material, Row, Study
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.plots import Sampled
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, TangentState

DT = 0.05
#: Points of a training trajectory, and of a prediction.
TIMES, PREDICTED = 20, 40
TORQUES = (-2.0, -1.0, 0.0, 1.0, 2.0)


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn a pendulum's energy and input from trajectories under a torque.

    Attributes:
      options: what every run understands.
      trajectories: initial states for training, each under five torques.
      hidden: units of each hidden layer, of the rows that see cos q and sin q.
      plain_hidden: of those that see q, with sine units.
      chunk: steps followed from one start.
      fast: a twentieth of the time, and fewer trajectories.
    """

    options: RunOptions = RunOptions()
    trajectories: int = 64
    hidden: tuple[int, ...] = (64, 64)
    plain_hidden: tuple[int, ...] = (32,)
    chunk: int = 4
    fast: bool = False


def pendulum():
    """The pendulum: 1/mass·length² = 3, mass·gravity·length = 5."""
    return systems.pendulum(mass=1 / 3, length=1.0, gravity=15.0)


def _driven() -> Dynamics:
    """The true motion under a torque u."""
    true = dynamics.truth(pendulum())

    def field(t: Array, y: PhaseState, args: PyTree) -> PhaseState:
        params, u = args
        rate = true.vector_field(t, y, params)
        return PhaseState(rate.q, rate.p + u)

    return true._replace(vector_field=field, num_controls=1, conservative=False)


TRUE = _driven()


def _followed(first: PhaseState, torque: float, times: int) -> data.Trajectories:
    """True trajectories from a batch of states under one torque."""
    ts = np.arange(times) * DT
    path = dynamics.paths(
        TRUE, pendulum().params, first, ts, longest=DT / 20, u=jnp.array([torque])
    )
    q, p = (np.asarray(x) for x in path)
    u = np.full((*q.shape[:2], 1), torque)
    return data.Trajectories(ts, q, p, v=3 * p, u=u)


def material(config: Config, seed: int) -> Material:
    """Training trajectories under every torque; the same starts, longer, without."""
    count = 8 if config.fast else config.trajectories
    keys = jax.random.split(jax.random.key(seed))
    low, high = -np.pi, 2 * np.pi

    def drawn(key: Array) -> PhaseState:
        q, p = jax.random.uniform(key, (2, count, 1), float, low, high)
        return PhaseState(q, p)

    first, other = (drawn(key) for key in keys)
    train = [_followed(first, torque, TIMES) for torque in TORQUES]
    test = [_followed(other, torque, TIMES) for torque in TORQUES]
    return Material(train, [_followed(first, 0.0, PREDICTED)], test, seed)


def seen(y: TangentState) -> Array:
    """What is observed of a state told by its velocity: (cos q, sin q, v)."""
    return jnp.concatenate([jnp.cos(y.q), jnp.sin(y.q), y.v])


def predicted(
    motion: Dynamics, params: PyTree, found: data.Trajectories
) -> tuple[np.ndarray, np.ndarray]:
    """The model's q and p (or v) from the first states, without torque."""
    dtype = jax.tree.leaves(params)[0].dtype
    second = found.p if motion.state is PhaseState else found.v
    assert second is not None
    first = motion.state(*(jnp.asarray(x[:, 0], dtype) for x in (found.q, second)))
    quiet = jnp.zeros(1, dtype)
    q, x = dynamics.paths(motion, params, first, found.t, longest=DT / 2, u=quiet)
    return np.asarray(q), np.asarray(x)


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """The published prediction error, of (q, p) or of (cos q, sin q, v)."""
    (true,) = found.test
    q, x = predicted(motion, params, true)
    if motion.state is PhaseState:
        assert true.p is not None
        gap = (q - true.q) ** 2 + (x - true.p) ** 2
    else:
        assert true.v is not None
        gap = (
            (np.cos(q) - np.cos(true.q)) ** 2
            + (np.sin(q) - np.sin(true.q)) ** 2
            + (x - true.v) ** 2
        )
    each = gap.sum(axis=(1, 2))
    each = np.where(np.isfinite(each), each, 1e30).astype(float)
    return {
        "prediction_error": float(np.mean(each)),
        "median_error": float(np.median(each)),
    }


def _field(motion: Dynamics, params: PyTree, axes) -> tuple[np.ndarray, np.ndarray]:
    """dq/dt and dv/dt on a grid of q and v = 3 p, without torque."""
    dtype = jax.tree.leaves(params)[0].dtype
    scale = 3.0 if motion.state is PhaseState else 1.0
    inner = (axes[0], axes[1] / scale)
    dq, dx = judging.field_grid(motion, params, inner, u=jnp.zeros(1, dtype))
    return dq, scale * dx


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Fields and predictions beside the truth, told by q and velocity."""
    (true,) = found.test
    assert true.v is not None

    def sampled(q: np.ndarray, v: np.ndarray) -> Sampled:
        energy = 5 * (1 - np.cos(q)) + v**2 / 6
        return Sampled(true.t, q[:4], v[:4], energy[:4, :, 0])

    motions = {}
    for name, (motion, params) in trained.items():
        q, x = predicted(motion, params, true)
        motions[name] = sampled(q, 3 * x if motion.state is PhaseState else x)
    expected = sampled(true.q, true.v)
    names = ("$q$ [rad]", r"$\dot{q}$ [1]")
    axes = (np.linspace(-np.pi, 2 * np.pi, 61), np.linspace(-8.0, 8.0, 61))
    constants = jax.tree.map(jnp.asarray, pendulum().params)
    figures = judging.compared_fields(
        axes,
        _field(TRUE, constants, axes),
        {name: _field(*model, axes) for name, model in trained.items()},
        names,
        parts=("dq/dt", r"d\dot{q}/dt"),
    )
    return figures | {
        "motion": plots.learned_motion(expected, motions, names=names),
        "energy": plots.energy_errors(expected, motions),
    }


def _options(config: Config, dtype: jnp.dtype, periodic: bool) -> dict[str, Any]:
    return {
        "hidden": config.hidden if periodic else config.plain_hidden,
        "activation": "tanh" if periodic else "sin",
        "periodic": (periodic,),
        "kernel_init": "glorot_normal",
        "dtype": dtype,
    }


def _structured(config: Config, dtype: jnp.dtype, periodic: bool):
    options = _options(config, dtype, periodic)
    model = models.structured(1, **options)
    return models.port_hamiltonian(1, 1, energy=model, **options), model


def _symoden(config: Config, dtype: jnp.dtype) -> Dynamics:
    return _structured(config, dtype, periodic=False)[0]


def _symoden_embedded(config: Config, dtype: jnp.dtype) -> Dynamics:
    return models.in_velocities(*_structured(config, dtype, periodic=True))


def _naive(config: Config, dtype: jnp.dtype) -> Dynamics:
    options = _options(config, dtype, periodic=False) | {"hidden": config.hidden}
    return models.neural_ode(1, 1, **options)


def _naive_embedded(config: Config, dtype: jnp.dtype) -> Dynamics:
    options = _options(config, dtype, periodic=True)
    return models.neural_ode(1, 1, state=TangentState, **options)


def _adam(config: Config) -> Recipe:
    recipe = Recipe(
        mode="trajectories",
        chunk=config.chunk,
        batch_size=256,
        weight_decay=1e-4,
        seconds=10.0,
    )
    return dynamics.shortened(recipe) if config.fast else recipe


def _damped(config: Config) -> Recipe:
    recipe = Recipe(
        mode="trajectories",
        chunk=config.chunk,
        optimizer="levenberg_marquardt",
        batch_size=64,
        seconds=10.0,
    )
    return dynamics.shortened(recipe) if config.fast else recipe


METHODS = {
    "naive": Row(_naive, _adam),
    "symoden": Row(_symoden, _adam),
    "symoden_levenberg_marquardt": Row(_symoden, _damped, "float64"),
    "naive_embedded": Row(_naive_embedded, _adam, observe=seen),
    "symoden_embedded": Row(_symoden_embedded, _adam, observe=seen),
    "symoden_embedded_levenberg_marquardt": Row(
        _symoden_embedded, _damped, "float64", observe=seen
    ),
}

STUDY = Study(
    "pendulum_torque",
    "pendulum with torque",
    METHODS,
    material,
    measure,
    {"prediction_error": "prediction error", "median_error": "median"},
    {
        "naive": {"prediction_error": 19.9},
        "symoden": {"prediction_error": 4.3},
        "naive_embedded": {"prediction_error": 221.0},
        "symoden_embedded": {"prediction_error": 0.095},
    },
    draw,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
