"""A double pendulum's masses and lengths, found from noisy measurements of its motion.

Both angles are measured while a known torque drives the first joint; the constants are
fitted by differentiating through the simulator, with Adam and with Levenberg–Marquardt.
The yardstick is what noise lets anyone know, σ² (JᵀJ)⁻¹ of Gauss and Newton.
"""

import dataclasses
import math
from collections.abc import Callable

import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems, systems
from jaxphys.checks import check_count, check_positive
from jaxphys.experiments.control import constant_figures, constants
from jaxphys.experiments.control.constants import Constant
from jaxphys.experiments.control.rows import MILESTONES, Steering, row, steering
from jaxphys.experiments.experiment import Keys, Row, Run, RunOptions
from jaxphys.problems.identification import guess, truth
from jaxphys.types import Array, System, TangentState

__all__ = ["CONSTANTS", "EXPERIMENT", "Settings", "build", "pendulum", "release"]

#: What is to be found, gravity being known.
CONSTANTS = {
    "mass1": Constant("m_1", "kg"),
    "mass2": Constant("m_2", "kg"),
    "length1": Constant("l_1", "m"),
    "length2": Constant("l_2", "m"),
}

#: A step of RK4 is at most this long [s]: its error is some 1e-5 rad over a motion.
_LONGEST_STEP = 0.025


@dataclasses.dataclass(frozen=True)
class Settings:
    """Find a double pendulum's masses and lengths from noisy motion.

    Attributes:
      mass1: the first mass as it is [kg].
      mass2: the second mass as it is [kg].
      length1: the first length as it is [m].
      length2: the second length as it is [m].
      motions: how many motions are measured, all from one release, each with a torque
        of its own; as many more are kept for the test.
      duration: of a motion [s].
      times: measurements of a motion after the release.
      noise: standard deviation of a measured angle [rad].
      torque: amplitude of the known torque on the first joint [N m]; at zero only the
        ratio of the masses is in the data.
      start_error: how far off every constant starts, relative, in [0, 1).
    """

    mass1: float = 1.3
    mass2: float = 0.8
    length1: float = 1.0
    length2: float = 0.7
    motions: int = 4
    duration: float = 2.0
    times: int = 100
    noise: float = 0.01
    torque: float = 3.0
    start_error: float = 0.3

    @property
    def samples(self) -> int:
        """Each motion is a sample."""
        return self.motions


def _true(settings: Settings) -> dict[str, float]:
    """The constants as they are."""
    return {name: getattr(settings, name) for name in CONSTANTS}


def pendulum(settings: Settings) -> System:
    """The pendulum that is measured."""
    return systems.double_pendulum(**_true(settings))


def release() -> TangentState:
    """The angles [rad] and rates [rad/s] that every motion starts from."""
    return TangentState(jnp.array([0.6, 0.2]), jnp.array([0.0, 0.5]))


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The measured motions, and the guesses of the constants.

    Raises:
      ValueError: for settings that are invalid.
    """
    check_count("motions", settings.motions)
    check_positive("duration", settings.duration)
    dt = settings.duration / check_count("times", settings.times)
    problem = problems.identification(
        pendulum(settings),
        list(CONSTANTS),
        release(),
        num_steps=settings.times,
        dt=dt,
        substeps=math.ceil(dt / _LONGEST_STEP - 1e-9),
        noise=settings.noise,
        amplitude=settings.torque,
        dtype=dtype,
    )
    actual = _unknowns(settings, dtype)
    start = guess(actual, len(CONSTANTS), relative_error=settings.start_error)
    return Steering(problem, start)


def _unknowns(settings: Settings, dtype: jnp.dtype) -> Array:
    """All that is to be found, as it is: logarithms of constants, and the release."""
    return truth(pendulum(settings), list(CONSTANTS), release(), dtype)


def _rows(settings: Settings) -> dict[str, Row]:
    """Both methods, on all motions at once."""
    makers = {
        "adam": lambda b: optax.adam(5e-2),
        "levenberg_marquardt": lambda b: optim.levenberg_marquardt(),
    }
    return {
        name: row(build, name, settings.motions, make, model="constants")
        for name, make in makers.items()
    }


def _milestones(settings: Settings) -> tuple[float, ...]:
    """Multiples of the loss that noise leaves."""
    floor = settings.noise**2
    return tuple(x * floor for x in (100, 10, 1.2)) if floor else MILESTONES


def _monitor(settings: Settings, built: Steering, keys: Keys) -> Callable:
    """The relative error of each constant."""
    del built, keys
    return constants.relative_errors(_true(settings))


def _finish(run: Run) -> None:
    """The second table, and `constants` in results.json, which the figures read."""
    actual = _unknowns(run.settings, run.samples.train[0].dtype)
    constants.report(run, _true(run.settings), actual, CONSTANTS)


def _figures(run: Run) -> dict[str, plots.Figure]:
    """The errors of the constants in time, and the motion that was fitted best."""
    return constant_figures.figures(run, CONSTANTS)


EXPERIMENT = steering(
    "identification",
    "find a double pendulum's masses and lengths from noisy motion",
    Settings,
    build,
    _rows,
    figures=_figures,
    finish=_finish,
    milestones=_milestones,
    monitor=_monitor,
    options=RunOptions(dtype="float64"),
)
