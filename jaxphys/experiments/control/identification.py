"""A double pendulum's masses and lengths, found from noisy measurements of its motion.

Both angles are measured while a known torque drives the first joint; the constants are
fitted by differentiating through the simulator, with Adam and with Levenberg–Marquardt.
The yardstick is what noise lets anyone know, σ² (JᵀJ)⁻¹ of Gauss and Newton.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxphys import optim, plots, problems, systems
from jaxphys.experiments import runner
from jaxphys.experiments.runner import Method, RunOptions, Trained
from jaxphys.problems.identification import guess, standard_errors, truth
from jaxphys.types import Array, Model, Problem, System, TangentState

#: What is to be found, gravity being known.
CONSTANTS = ("mass1", "mass2", "length1", "length2")

#: In the table and the figures: symbol and unit of each constant.
SYMBOLS = {"mass1": "m_1", "mass2": "m_2", "length1": "l_1", "length2": "l_2"}
UNITS = {"mass1": "kg", "mass2": "kg", "length1": "m", "length2": "m"}

#: Without noise a constant counts as found within this relative error.
EXACT = 1e-6


@dataclasses.dataclass(frozen=True)
class Config:
    """Find a double pendulum's masses and lengths from noisy motion.

    Attributes:
      options: what every run understands.
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

    options: RunOptions = RunOptions(dtype="float64")
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


METHODS = {
    "adam": Method(Config.motions, lambda b: optax.adam(5e-2)),
    "levenberg_marquardt": Method(
        Config.motions, lambda b: optim.levenberg_marquardt()
    ),
}

#: A step of RK4 is at most this long [s]: its error is some 1e-5 rad over a motion.
_LONGEST_STEP = 0.025


def pendulum(config: Config) -> System:
    """The pendulum that is measured."""
    return systems.double_pendulum(
        **{name: getattr(config, name) for name in CONSTANTS}
    )


def release() -> TangentState:
    """The angles [rad] and rates [rad/s] that every motion starts from."""
    return TangentState(jnp.array([0.6, 0.2]), jnp.array([0.0, 0.5]))


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem of a config, and the guesses it starts from.

    Raises:
      ValueError: for a config that cannot be meant.
    """
    dtype = runner.model_dtype(config.options)
    if config.motions < 1 or config.times < 1:
        raise ValueError(
            f"motions is {config.motions} and times {config.times}; expected both ≥ 1."
        )
    if not 0 < config.duration < math.inf:
        raise ValueError(
            f"duration is {config.duration}; expected a finite time above zero."
        )
    dt = config.duration / config.times
    system = pendulum(config)
    problem = problems.identification(
        system,
        CONSTANTS,
        release(),
        num_steps=config.times,
        dt=dt,
        substeps=math.ceil(dt / _LONGEST_STEP - 1e-9),
        noise=config.noise,
        amplitude=config.torque,
        dtype=dtype,
    )
    actual = truth(system, CONSTANTS, release(), dtype)
    return problem, guess(actual, len(CONSTANTS), relative_error=config.start_error)


def run(config: Config = Config()) -> Trained:
    """Fit by every chosen method, print two tables, write results and figures."""
    problem, model = build(config)
    settings = dataclasses.asdict(config)
    settings.pop("options")
    floor = config.noise**2
    trained = runner.compare(
        "identification",
        problem,
        model,
        {
            name: method._replace(batch_size=config.motions)
            for name, method in METHODS.items()
        },
        config.options,
        settings=settings,
        num_samples=config.motions,
        milestones=[x * floor for x in (100, 10, 1.2)] if floor else runner.MILESTONES,
        monitor=lambda params: _errors(config, params),
    )
    methods = trained.results["methods"]
    if methods:
        known = knowable(config)
        constants = found(config, methods, known)
        runner.write_json(
            trained.out / "results.json", trained.results | {"constants": constants}
        )
        print("\n" + table(constants))
        histories = {name: entry["history"] for name, entry in methods.items()}
        shown = known if config.noise and max(known.values()) < 1 else None
        figure = plots.constant_errors(histories, SYMBOLS, shown)
        plots.save(figure, trained.out / "constants.png")
        trained.results["constants"] = constants
    if trained.params:
        best = min(
            trained.params, key=lambda name: methods[name]["final"]["train_loss"]
        )
        figure = motion_figure(config, trained.params[best], best)
        plots.save(figure, trained.out / "motion.png")
    return trained


def _errors(config: Config, params: Array) -> dict[str, float]:
    """The relative error of each constant."""
    found = np.exp(np.asarray(params, float)[: len(CONSTANTS)])
    return {
        f"{name}_error": float(x) / getattr(config, name) - 1
        for name, x in zip(CONSTANTS, found, strict=True)
    }


def _keys(config: Config) -> tuple[Array, Array]:
    """The keys of the first seed's guess and data, as the runner has them."""
    key = jax.random.key(config.options.seed)
    return jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def knowable(config: Config) -> dict[str, float]:
    """The relative standard error that the noise leaves each constant."""
    problem, model = build(config)
    inputs, _ = problem.sample(_keys(config)[1], config.motions)
    outputs = problems.outputs(problem, model)
    actual = truth(pendulum(config), CONSTANTS, release(), inputs.dtype)
    errors = jax.jit(
        lambda: standard_errors(outputs, actual, inputs, noise=config.noise)
    )()
    # What is not determined at all has an error without bound, or not a number.
    bounded = np.nan_to_num(np.asarray(errors, float), nan=1e300, posinf=1e300)
    return dict(zip(CONSTANTS, bounded[: len(CONSTANTS)].tolist(), strict=True))


def found(
    config: Config, methods: dict[str, Any], known: dict[str, float]
) -> dict[str, Any]:
    """What each method found from the first seed, beside the truth.

    Args:
      config: with the true constants.
      methods: the `methods` of a results.json.
      known: the relative standard errors, from `knowable`.

    Returns:
      method → `reached`, the updates and seconds from which on all constants are
      within three standard errors of the truth (without noise, within 1e-6), or None;
      and `constants`, name → true, start and recovered value, relative error, and
      standard error.
    """
    bound = {name: 3 * x if config.noise else EXACT for name, x in known.items()}
    determined = all(x < 1 for x in known.values())

    def inside(record: dict[str, float]) -> bool:
        return all(abs(record[f"{name}_error"]) <= bound[name] for name in CONSTANTS)

    def one(history: list[dict[str, float]]) -> dict[str, Any]:
        stay = len(history)
        while stay and inside(history[stay - 1]):
            stay -= 1
        reached = None
        if determined and stay < len(history):
            reached = {key: history[stay][key] for key in ("step", "seconds")}
        constants = {}
        for name in CONSTANTS:
            actual = getattr(config, name)
            first, last = (history[i][f"{name}_error"] for i in (0, -1))
            constants[name] = {
                "true": actual,
                "start": actual * (1 + first),
                "recovered": actual * (1 + last),
                "relative_error": last,
                "standard_error": known[name],
            }
        return {"reached": reached, "constants": constants}

    return {name: one(entry["history"]) for name, entry in methods.items()}


def table(constants: dict[str, Any]) -> str:
    """The closing table of constants; `constants` is from `found`."""
    header = ["method", "constant", "true", "start", "recovered", "rel. error"]
    rows = [[*header, "std. error", "ratio", "updates", "seconds"]]
    for method, entry in constants.items():
        reached = entry["reached"]
        when = [f"{reached['step']}", f"{reached['seconds']:.2f}"] if reached else "––"
        for number, (name, x) in enumerate(entry["constants"].items()):
            error, known = x["relative_error"], x["standard_error"]
            rows.append(
                [
                    "" if number else method,
                    f"{name} [{UNITS[name]}]",
                    *(f"{x[key]:.5f}" for key in ("true", "start", "recovered")),
                    f"{error:+.1e}",
                    f"{known:.1e}" if known < 1 else "∞",
                    f"{error / known:+.1f}" if 0 < known < 1 else "–",
                    *(("", "") if number else when),
                ]
            )
    lines = runner.aligned(rows)
    noisy = any(x["standard_error"] for x in entry["constants"].values())
    within = "three standard errors" if noisy else f"{EXACT:g}"
    return (
        f"{lines}\nupdates and seconds: from there on all constants are within {within}"
        "\nstd. error: what the noise of the data leaves, relative; ratio: error by it"
    )


def motion_figure(config: Config, params: Array, method: str):
    """The first two motions: measured, by the first guess, and as fitted."""
    problem, model = build(config)
    for_guess, for_data = _keys(config)
    inputs, targets = (x[:2] for x in problem.sample(for_data, config.motions))

    def angles(flat: Array) -> np.ndarray:
        return np.asarray(flat).reshape(len(inputs), config.times + 1, -1)

    simulate = jax.jit(jax.vmap(problem.simulate, (None, 0)))
    return plots.identified_motion(
        np.linspace(0, config.duration, config.times + 1),
        angles(targets),
        angles(simulate(model.init(for_guess), inputs)),
        angles(simulate(params, inputs)),
        inputs,
        noise=config.noise,
        method=method,
    )
