"""A robot arm of two links: torques of motions, and what they are spent on.

τ = M(q) q̈ + c(q, v) + g(q). Reference motions are sums of three sines a joint, 64 of
them for training, 50 times each; what is matched is the torque of (q, v, q̈). A DeLaN
and a Hamiltonian network with a mass matrix know the parts of a torque apart, a
Lagrangian network without structure as well; a plain network of (q, v, q̈) knows the
sum. The motions of the published figures are not public; theirs are of Lutter & Peters,
Combining Physics and Deep Learning to learn Continuous-Time Dynamics Models, 2023.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxphys import plots
from jaxphys.experiments import figures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion import reference_motions, torques
from jaxphys.experiments.motion.reference_motions import ARM, TIMES, TRUE
from jaxphys.experiments.motion.rows import Make, damped, damped_row, network, row
from jaxphys.experiments.motion.samples import drawn
from jaxphys.learning import Recipe
from jaxphys.types import Dynamics, PyTree

__all__ = ["EXPERIMENT", "Settings", "sample"]

#: Of torques and of what they are spent on, in figures.
_LABELS = {
    "torque": r"torque $\tau$",
    "inertia": "inertial part",
    "coriolis": "Coriolis part",
    "gravity": "gravity part",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the torques of an arm.

    Attributes:
      motions: for training, 50 times each.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of those that Levenberg–Marquardt trains.
      fast: a twentieth of the updates or of the time, and fewer motions.
    """

    motions: int = 64
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (24, 24)
    fast: bool = False


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Motions for training and for the test."""
    del dtype
    count, tests = (8, 4) if settings.fast else (settings.motions, 32)
    return drawn(reference_motions.random_motions, keys, count, tests)


def _measured(trained: Trained) -> dict[str, float]:
    """Mean squared errors of torques and of their parts."""
    *at, torque = torques.points(trained.samples.clean)
    found = torques.parts(trained.subject.built.dynamics, trained.params, *at)
    true = torques.parts(TRUE, ARM.params, *at) | {"torque": torque}
    return {
        f"{name}_mse": finite(jnp.mean((found[name] - true[name]) ** 2))
        for name in true
    }


def _draw(run: Run) -> figures.Figures:
    """Torques along a test motion and their parts; masses over the second angle."""
    *at, _ = (x[: len(TIMES)] for x in torques.points(run.samples.clean))

    def shown(motion: Dynamics, params: PyTree) -> dict[str, np.ndarray]:
        parts = torques.parts(motion, params, *at)
        return {label: np.asarray(parts[name]) for name, label in _LABELS.items()}

    learned = {
        name: shown(run.subjects[name].built.dynamics, params)
        for name, params in run.params.items()
    }
    masses = figures.mass_figures(
        run,
        TRUE,
        ARM.params,
        np.linspace(-np.pi, np.pi, 121),
        jnp.zeros(2),
        name="$q_2$ [rad]",
        unit="kg m²",
    )
    figure = plots.torques(TIMES, shown(TRUE, ARM.params), learned, looks=run.looks)
    return {"torques": figure} | masses


_SHAPE = {
    "num_coordinates": 2,
    "periodic": (True, True),
    "normalization": reference_motions.UNITS,
    "kernel_init": "glorot_normal",
}
_ADAM = Recipe(
    mode="torques", steps=40_000, batch_size=64, learning_rate=3e-3, schedule="cosine"
)
_DAMPED = damped(64, 256, mode="torques")


def _made(name: str, layers: str) -> Make:
    """The network of a row."""
    if name == "mlp":
        return torques.plain(layers)
    if name == "structured":
        smooth = {**_SHAPE, "activation": "softplus"}
        return network(name, smooth, layers, velocities=True)
    return network(name, _SHAPE, layers)


_NAMES = ("mlp", "lnn", "structured", "delan")

_ROWS = {name: row(name, "adam", _made(name, "hidden"), _ADAM) for name in _NAMES} | {
    f"{name}_levenberg_marquardt": damped_row(
        name, _made(name, "compact"), _DAMPED, time_of=name
    )
    for name in _NAMES
}

_PUBLISHED = {"mlp": 6.2e-4, "lnn": 2.8e-5, "structured": 5.4e-6, "delan": 2.2e-5}

EXPERIMENT = Experiment(
    name="two_link_arm",
    summary="learn the torques of a robot arm, and what they are spent on",
    title="two-link arm",
    settings=Settings,
    sample=sample,
    rows=_ROWS,
    columns={
        "torque_mse": "torque MSE",
        "inertia_mse": "inertial",
        "coriolis_mse": "Coriolis",
        "gravity_mse": "gravity",
    },
    measures=_measured,
    figures=_draw,
    published={name: {"torque_mse": value} for name, value in _PUBLISHED.items()},
)
