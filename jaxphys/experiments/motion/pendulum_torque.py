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

from jaxphys import learning
from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.motion import driven_pendulum as driven
from jaxphys.experiments.motion.rows import damped, damped_row, embedded, network, row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.types import Array, PhaseState, PyTree, State, TangentState

__all__ = ["EXPERIMENT", "Settings", "sample"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn a pendulum's energy and input from trajectories under a torque.

    Attributes:
      trajectories: initial states for training, each under five torques.
      hidden: units of each hidden layer.
      plain_hidden: of the energy that sees q, not its cosine and sine.
      chunk: steps followed from one start.
      fast: a twentieth of the time, and fewer trajectories.
    """

    trajectories: int = 64
    hidden: tuple[int, ...] = (64, 64)
    plain_hidden: tuple[int, ...] = (32,)
    chunk: int = 4
    fast: bool = False


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Training trajectories under every torque; the same starts, longer, without."""
    del dtype
    return driven.samples(keys, 8 if settings.fast else settings.trajectories)


def _measured(trained: Trained) -> dict[str, float]:
    """The published prediction error, of (q, p) or of (cos q, sin q, v)."""
    motion, (true,) = trained.subject.built, trained.samples.test
    found = driven.predicted(motion, trained.params, true)
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


def _draw(run: Run) -> figures.Figures:
    """Fields and predictions beside the truth, in q and velocity."""
    axes = (np.linspace(-np.pi, 2 * np.pi, 61), np.linspace(-8.0, 8.0, 61))
    true = driven.TRUE, jax.tree.map(jnp.asarray, driven.PENDULUM.params)

    def shown(motion: Motion, params: PyTree, samples: Samples) -> figures.Shown:
        (long,) = samples.test
        y = long.y if motion is true[0] else driven.predicted(motion, params, long)
        moved = driven.with_velocities(motion, jax.tree.map(lambda x: x[:4], y))
        return moved, driven.field(motion, params, axes)

    names, parts = ("$q$ [rad]", r"$\dot{q}$ [1]"), ("dq/dt", r"d\dot{q}/dt")
    return figures.motion_figures(run, axes, shown, true, names, parts=parts)


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


_EMBEDDED: dict[str, Any] = {"observe": embedded, "view": driven.in_velocities}

EXPERIMENT = Experiment(
    name="pendulum_torque",
    summary="learn a pendulum's energy and how a torque acts on it",
    title="pendulum with torque",
    settings=Settings,
    sample=sample,
    rows={
        "naive": row("naive", "adam", _NAIVE, _adam),
        "symoden": row("symoden", "adam", _SYMODEN, _adam),
        "symoden_levenberg_marquardt": damped_row("symoden", _SYMODEN, _damped),
        "naive_embedded": row(
            "naive_embedded", "adam", _NAIVE_EMBEDDED, _adam, **_EMBEDDED
        ),
        "symoden_embedded": row(
            "symoden_embedded", "adam", _SYMODEN_EMBEDDED, _adam, **_EMBEDDED
        ),
        "symoden_embedded_levenberg_marquardt": damped_row(
            "symoden_embedded", _SYMODEN_EMBEDDED, _damped, **_EMBEDDED
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
