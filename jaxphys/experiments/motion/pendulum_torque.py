"""A pendulum driven by a torque: its energy, and how the torque acts on it.

H = 5 (1 − cos q) + 3 p²/2, constant torques u ∈ {−2 … 2}, 64 initial states each, 20
points 0.05 apart; trajectories of four steps are matched through RK4. The state is
(q, p), or (cos q, sin q, dq/dt), where no momentum is measured. The prediction error is
the squared error summed over 40 points, from the training's initial states without
torque. Published figures: Zhong, Dey & Chakraborty, Symplectic ODE-Net, 2020. Their
networks have up to 800 units a layer and train for an hour or more on two cores; the
rows here train for ten seconds. Those that see the bare angle have sine units, as
predictions leave the angles of the training: what has a period is found to have one.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import learning, systems
from jaxphys.experiments import figures, measures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import Axes
from jaxphys.experiments.motion.rows import damped, damped_row, embedded, network, row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion, of_system
from jaxphys.types import (
    Array,
    PhaseState,
    PyTree,
    State,
    TangentState,
    Trajectories,
)

__all__ = ["EXPERIMENT", "TORQUES", "Settings", "sample"]

_DT = 0.05
#: Points of a training trajectory, and of a prediction.
TIMES, PREDICTED = 20, 40
TORQUES = (-2.0, -1.0, 0.0, 1.0, 2.0)

#: 1/mass·length² = 3, which makes velocities of momenta; mass·gravity·length = 5.
_INVERSE_MASS = 3.0
_PENDULUM = systems.pendulum(mass=1 / 3, length=1.0, gravity=15.0)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn a pendulum's energy and input from trajectories under a torque.

    Attributes:
      trajectories: initial states for training, each under five torques.
      hidden: units of each hidden layer, of the rows that see cos q and sin q.
      plain_hidden: of those that see q, with sine units.
      chunk: steps followed from one start.
      fast: a twentieth of the time, and fewer trajectories.
    """

    trajectories: int = 64
    hidden: tuple[int, ...] = (64, 64)
    plain_hidden: tuple[int, ...] = (32,)
    chunk: int = 4
    fast: bool = False


_FREE = of_system(_PENDULUM)


def _driven(t: Array, y: PhaseState, args: PyTree) -> PhaseState:
    """The pendulum's field under a torque u."""
    params, u = args
    rate = _FREE.vector_field(t, y, params)
    return PhaseState(rate.q, rate.p + u)


_TRUE = Motion(_FREE._replace(vector_field=_driven, num_controls=1, conservative=False))


def _followed(first: PhaseState, torque: float, times: int) -> Trajectories:
    """True trajectories from a batch of states under one torque."""
    ts = np.arange(times) * _DT
    u = jnp.array([torque])
    path = _TRUE.path(_PENDULUM.params, first, ts, longest=_DT / 20, u=u)
    y = jax.tree.map(np.asarray, path)
    return Trajectories(ts, y, u=np.full((*y.q.shape[:2], 1), torque))


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Training trajectories under every torque; the same starts, longer, without."""
    del dtype
    count = 8 if settings.fast else settings.trajectories

    def drawn(key: Array) -> PhaseState:
        low, high = -np.pi, 2 * np.pi
        return PhaseState(*jax.random.uniform(key, (2, count, 1), float, low, high))

    first, other = drawn(keys.train), drawn(keys.test)
    train = [_followed(first, torque, TIMES) for torque in TORQUES]
    clean = [_followed(other, torque, TIMES) for torque in TORQUES]
    return Samples(train, [_followed(first, 0.0, PREDICTED)], clean)


def _in_velocities(found: list[Trajectories]) -> list[Trajectories]:
    """The same with v = 3 p in the place of p."""
    return [x._replace(y=TangentState(x.y.q, _INVERSE_MASS * x.y[1])) for x in found]


def _predicted(motion: Motion, params: PyTree, true: Trajectories) -> State:
    """The model's motion from the first states, without torque."""
    quiet = jnp.zeros(1, measures.dtype_of(params))
    return measures.predicted(motion, params, true, _DT / 2, u=quiet)


def _measured(trained: Trained) -> dict[str, float]:
    """The published prediction error, of (q, p) or of (cos q, sin q, v)."""
    motion, (true,) = trained.subject.built, trained.samples.test
    found = _predicted(motion, trained.params, true)
    in_momenta = motion.dynamics.state is PhaseState
    observe: Callable = learning.everything if in_momenta else embedded

    @jax.vmap
    @jax.vmap
    def square(found: State, true: State) -> Array:
        return jnp.sum((observe(found) - observe(true)) ** 2)

    errors = np.asarray(square(found, true.y)).sum(axis=1)
    errors = np.where(np.isfinite(errors), errors, 1e30).astype(float)
    return {
        "prediction_error": float(np.mean(errors)),
        "median_error": float(np.median(errors)),
    }


def _velocities(motion: Motion, x: Any) -> Any:
    """Velocities of momenta, or of what are velocities already."""
    return _INVERSE_MASS * x if motion.dynamics.state is PhaseState else x


def _field(motion: Motion, params: PyTree, axes: Axes) -> Axes:
    """dq/dt and dv/dt on a grid of q and v = 3 p, without torque."""
    inner = (axes[0], axes[1] / _velocities(motion, 1.0))
    quiet = jnp.zeros(1, measures.dtype_of(params))
    dq, dx = measures.field_grid(motion.dynamics, params, inner, u=quiet)
    return dq, _velocities(motion, dx)


def _draw(run: Run) -> figures.Figures:
    """Fields and predictions beside the truth, in q and velocity."""
    axes = (np.linspace(-np.pi, 2 * np.pi, 61), np.linspace(-8.0, 8.0, 61))
    ts = _DT * np.arange(PREDICTED)

    def shown(
        motion: Motion, params: PyTree, samples: Samples
    ) -> tuple[Trajectories, Axes]:
        (starts,) = samples.test
        y = starts.y if motion is _TRUE else _predicted(motion, params, starts)
        q, v = np.asarray(y[0][:4]), np.asarray(_velocities(motion, y[1][:4]))
        energy = (5 * (1 - np.cos(q)) + v**2 / 6)[:, :, 0]
        predicted = Trajectories(ts, TangentState(q, v), energy=energy)
        return predicted, _field(motion, params, axes)

    return figures.motion_figures(
        run,
        axes,
        shown,
        (_TRUE, jax.tree.map(jnp.asarray, _PENDULUM.params)),
        names=("$q$ [rad]", r"$\dot{q}$ [1]"),
        parts=("dq/dt", r"d\dot{q}/dt"),
    )


_SHAPE = {"num_coordinates": 1, "num_controls": 1, "kernel_init": "glorot_normal"}
_PLAIN = {**_SHAPE, "activation": "sin", "periodic": (False,)}
_PERIODIC = {**_SHAPE, "activation": "tanh", "periodic": (True,)}

_NAIVE = network("neural_ode", _PLAIN)
_SYMODEN = network("port_hamiltonian", _PLAIN, "plain_hidden")
_NAIVE_EMBEDDED = network("neural_ode", {**_PERIODIC, "state": TangentState})
_SYMODEN_EMBEDDED = network("port_hamiltonian", _PERIODIC, velocities=True)


def _adam(settings: Settings) -> Recipe:
    return Recipe(
        mode="trajectories",
        chunk=settings.chunk,
        batch_size=256,
        weight_decay=1e-4,
        seconds=10.0,
    )


def _damped(settings: Settings) -> Recipe:
    return damped(64, seconds=10.0, mode="trajectories", chunk=settings.chunk)


_EMBEDDED: dict[str, Any] = {"observe": embedded, "view": _in_velocities}

EXPERIMENT = Experiment(
    name="pendulum_torque",
    summary="learn a pendulum's energy and how a torque acts on it",
    title="pendulum with torque",
    settings=Settings,
    sample=sample,
    rows={
        "naive": row("naive", "adam", _NAIVE, _adam),
        "symoden": row("symoden", "adam", _SYMODEN, _adam),
        "symoden_levenberg_marquardt": damped_row(
            "symoden",
            _SYMODEN,
            _damped,
        ),
        "naive_embedded": row(
            "naive_embedded", "adam", _NAIVE_EMBEDDED, _adam, **_EMBEDDED
        ),
        "symoden_embedded": row(
            "symoden_embedded", "adam", _SYMODEN_EMBEDDED, _adam, **_EMBEDDED
        ),
        "symoden_embedded_levenberg_marquardt": damped_row(
            "symoden_embedded",
            _SYMODEN_EMBEDDED,
            _damped,
            **_EMBEDDED,
        ),
    },
    columns={"prediction_error": "prediction error", "median_error": "median"},
    measures=_measured,
    figures=_draw,
    published={
        "naive": {"prediction_error": 19.9},
        "symoden": {"prediction_error": 4.3},
        "naive_embedded": {"prediction_error": 221.0},
        "symoden_embedded": {"prediction_error": 0.095},
    },
)
