"""A double pendulum's masses and lengths, found from noisy measurements of its motion.

Both angles are measured while a known torque drives the first joint; the constants are
fitted by differentiating through the simulator, with Adam and with Levenberg–Marquardt.
The yardstick is what noise lets anyone know, σ² (JᵀJ)⁻¹ of Gauss and Newton.
"""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import optim, plots, problems, systems
from jaxphys.experiments import record
from jaxphys.experiments.control import constants
from jaxphys.experiments.control.rows import MILESTONES, Steering, row, steering
from jaxphys.experiments.experiment import Keys, Row, Run, RunOptions
from jaxphys.problems.identification import guess, standard_errors, truth
from jaxphys.types import Array, PyTree, System, TangentState

__all__ = [
    "CONSTANTS",
    "EXPERIMENT",
    "Settings",
    "build",
    "pendulum",
    "release",
    "rows",
]

#: What is to be found, gravity being known: its symbol and unit.
CONSTANTS = {
    "mass1": ("m_1", "kg"),
    "mass2": ("m_2", "kg"),
    "length1": ("l_1", "m"),
    "length2": ("l_2", "m"),
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


def pendulum(settings: Settings) -> System:
    """The pendulum that is measured."""
    return systems.double_pendulum(
        **{name: getattr(settings, name) for name in CONSTANTS}
    )


def release() -> TangentState:
    """The angles [rad] and rates [rad/s] that every motion starts from."""
    return TangentState(jnp.array([0.6, 0.2]), jnp.array([0.0, 0.5]))


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The measured motions, and the guesses of the constants.

    Raises:
      ValueError: for settings that are invalid.
    """
    if settings.motions < 1 or settings.times < 1:
        raise ValueError(
            f"motions is {settings.motions} and times {settings.times}; expected both "
            "≥ 1."
        )
    if not 0 < settings.duration < math.inf:
        raise ValueError(
            f"duration is {settings.duration}; expected a finite time above zero."
        )
    dt = settings.duration / settings.times
    system = pendulum(settings)
    problem = problems.identification(
        system,
        list(CONSTANTS),
        release(),
        num_steps=settings.times,
        dt=dt,
        substeps=math.ceil(dt / _LONGEST_STEP - 1e-9),
        noise=settings.noise,
        amplitude=settings.torque,
        dtype=dtype,
    )
    actual = truth(system, list(CONSTANTS), release(), dtype)
    start = guess(actual, len(CONSTANTS), relative_error=settings.start_error)
    return Steering(problem, start)


def _adam(batch_size: int) -> optax.GradientTransformation:
    del batch_size
    return optax.adam(5e-2)


def _damped(batch_size: int) -> optax.GradientTransformation:
    del batch_size
    return optim.levenberg_marquardt()


def rows(settings: Settings) -> dict[str, Row]:
    """Both methods, on all motions at once."""
    return {
        name: row(build, name, settings.motions, make, model="constants")
        for name, make in (("adam", _adam), ("levenberg_marquardt", _damped))
    }


def _milestones(settings: Settings) -> tuple[float, ...]:
    """Multiples of the loss that noise leaves."""
    floor = settings.noise**2
    return tuple(x * floor for x in (100, 10, 1.2)) if floor else MILESTONES


def _monitor(settings: Settings, built: Steering, keys: Keys) -> Callable:
    """The relative error of each constant."""
    del built, keys

    def errors(params: PyTree) -> dict[str, float]:
        values = np.exp(np.asarray(params, float)[: len(CONSTANTS)])
        return {
            f"{name}_error": float(x) / getattr(settings, name) - 1
            for name, x in zip(CONSTANTS, values, strict=True)
        }

    return errors


def _knowable(run: Run) -> dict[str, float]:
    """The relative standard error that the noise leaves each constant."""
    settings, (inputs, _) = run.settings, run.samples.train
    outputs = problems.outputs(*run.built)
    actual = truth(pendulum(settings), list(CONSTANTS), release(), inputs.dtype)

    @jax.jit
    def errors() -> Array:
        return standard_errors(outputs, actual, inputs, noise=settings.noise)

    # What is not determined at all has an error without bound, or not a number.
    bounded = np.nan_to_num(np.asarray(errors(), float), nan=1e300, posinf=1e300)
    return dict(zip(CONSTANTS, bounded[: len(CONSTANTS)].tolist(), strict=True))


def _finish(run: Run) -> None:
    """The second table, and `constants` in results.json, which the figures read."""
    settings, methods = run.settings, run.results["methods"]
    true = {name: getattr(settings, name) for name in CONSTANTS}
    noisy = settings.noise > 0
    found = constants.recovered(true, methods, _knowable(run), noisy=noisy)
    run.results["constants"] = found
    record.write_json(run.out / "results.json", run.results)
    print(
        "\n"
        + constants.table(found, {name: unit for name, (_, unit) in CONSTANTS.items()})
    )


def _figures(run: Run) -> dict[str, plots.Figure]:
    """The errors of the constants in time, and the motion that was fitted best."""
    methods = run.results["methods"]
    first = next(iter(run.results["constants"].values()))["constants"]
    knowable = {name: first[name]["standard_error"] for name in CONSTANTS}
    shown = knowable if run.settings.noise and max(knowable.values()) < 1 else None
    errors = plots.constant_errors(
        {name: entry["history"] for name, entry in methods.items()},
        {name: symbol for name, (symbol, _) in CONSTANTS.items()},
        shown,
        looks=run.looks,
    )
    best = min(run.params, key=lambda name: methods[name]["final"]["train_loss"])
    return {"constants": errors, "motion": _motion_figure(run, best)}


def _motion_figure(run: Run, name: str) -> plots.Figure:
    """The first two motions: measured, by the first guess, and as a row fitted them."""
    settings, (problem, model) = run.settings, run.built
    inputs, targets = (x[:2] for x in run.samples.train)
    simulate = jax.jit(jax.vmap(problem.simulate, (None, 0)))

    def angles(flat: Array) -> np.ndarray:
        return np.asarray(flat).reshape(len(inputs), settings.times + 1, -1)

    return plots.identified_motion(
        np.linspace(0, settings.duration, settings.times + 1),
        angles(targets),
        angles(simulate(model.init(run.keys.network), inputs)),
        angles(simulate(run.params[name], inputs)),
        inputs,
        noise=settings.noise,
        method=run.looks[name].label,
    )


EXPERIMENT = steering(
    "identification",
    "find a double pendulum's masses and lengths from noisy motion",
    Settings,
    build,
    rows,
    figures=_figures,
    finish=_finish,
    milestones=_milestones,
    monitor=_monitor,
    options=RunOptions(dtype="float64"),
)
