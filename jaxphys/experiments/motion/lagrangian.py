"""The experiments of Lagrangian networks, by one recipe for all of them.

Random states of a known system, each with its exact acceleration; a network for L, one
for L with a mass matrix in it, and one for the acceleration itself. They are judged by
accelerations and rollouts from states they have not seen.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, models, optim, plots
from jaxphys.experiments import dynamics, judging
from jaxphys.experiments.dynamics import Material, Row, Study, finite, shortened
from jaxphys.experiments.judging import Judged, Models
from jaxphys.experiments.runner import RunOptions
from jaxphys.learning import Recipe
from jaxphys.models import Normalization
from jaxphys.systems.record import like
from jaxphys.types import Array, Dynamics, PyTree, System, TangentState

COLUMNS = {
    "acceleration_error": "rel. MSE of accel.",
    "final_energy": "energy error, mean",
    "final_energy_median": "median",
    "rollout_error": "rel. rollout error",
    "valid_time": "valid time",
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the Lagrangian of a system.

    Attributes:
      options: what every run understands.
      states: for training.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of the LNN that Levenberg–Marquardt trains.
      compact_delan: of the DeLaN that it trains, of each of its two networks.
      fast: a twentieth of the updates or of the time, and fewer rollouts.
    """

    options: RunOptions = RunOptions()
    states: int = 8192
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (48, 48)
    compact_delan: tuple[int, ...] = (24, 24)
    fast: bool = False


class Task(NamedTuple):
    """What is learned, and how it is judged.

    Attributes:
      system: its `sample_tangent` draws the states.
      judged: how rollouts are judged; their starts are those of the test states where
        no sample is given.
      energy_scale: what energy errors are divided by.
      units: typical sizes, that networks work in.
      tests: number of test states.
    """

    system: System
    judged: Judged
    energy_scale: float
    units: Normalization | None = None
    tests: int = 4096


def within(
    system: System, low: Any, high: Any, speed_low: Any, speed_high: Any
) -> System:
    """The same system, its states uniform between bounds of q and of v."""

    def sample(key: Array) -> TangentState:
        n = len(system.periodic)
        first, second = jax.random.split(key)
        bounds = [jnp.asarray(x, float) for x in (low, high, speed_low, speed_high)]
        q = jax.random.uniform(first, (n,), float, bounds[0], bounds[1])
        v = jax.random.uniform(second, (n,), float, bounds[2], bounds[3])
        return TangentState(q, v)

    return system._replace(sample_tangent=sample)


def material(task: Task, config: Any, seed: int) -> Material:
    """States for training and for the test, with their accelerations."""
    keys = jax.random.split(jax.random.key(seed))
    count, tests = (config.states, task.tests) if not config.fast else (1024, 512)
    train = data.drawn(task.system, keys[0], count)
    test = data.drawn(task.system, keys[1], tests)
    return Material([train], [test], [test], seed)


def acceleration_error(
    motion: Dynamics, params: PyTree, trajectories: list[data.Trajectories]
) -> float:
    """The mean squared error of accelerations over their mean square."""
    moments, rates = data.moments(trajectories, TangentState)

    @jax.jit
    def error(params: PyTree, states: TangentState, wanted: Array) -> Array:
        found = jax.vmap(lambda y: motion.vector_field(0.0, y, params))(states)
        return jnp.mean((found.v - wanted) ** 2) / jnp.mean(wanted**2)

    return finite(error(params, moments.y, rates.v))


def measure(
    task: Task, config: Any, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """What the table says of a model; the energy is the true one."""
    judged = task.judged
    if config.fast:
        judged = judged._replace(rollouts=4, duration=judged.duration / 10)
    dtype = jax.tree.leaves(params)[0].dtype
    first = judging.starts(judged, found, dtype, TangentState)
    each = judging.rollouts(task.system, judged, motion, params, first)
    energy = dynamics.energies(task.system, each.found)
    final = jnp.abs(energy[:, -1] - energy[:, 0]) / task.energy_scale
    final = jnp.where(jnp.isfinite(final), final, jnp.inf)
    return {
        "acceleration_error": acceleration_error(motion, params, found.clean),
        "final_energy": finite(jnp.mean(final)),
        "final_energy_median": finite(metrics.quartiles(final).median),
    } | judging.rollout_errors(each)


def mass_at_rest(motion: Dynamics) -> Callable[[PyTree, Array], Array]:
    """M(params, q), the curvature of the energy in v at v = 0."""
    energy = motion.energy
    assert energy is not None

    def mass(params: PyTree, q: Array) -> Array:
        return jax.hessian(energy, 2)(params, q, jnp.zeros_like(q))

    return mass


def draw(
    task: Task, config: Any, trained: Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Motions, energies, errors over the phase plane, masses; and an animation."""
    system = task.system
    judged = task.judged._replace(
        rollouts=min(task.judged.rollouts, 20),
        duration=min(task.judged.duration, 10.0),
        times=301,
    )
    first = judging.starts(judged, found, float, TangentState)
    true, learned = judging.sampled_rollouts(system, judged, trained, first)
    places, paths = judging.placed(system, true), {}
    for name, each in learned.items():
        paths[name] = judging.placed(system, each)
    names, _ = judging.coordinate_names(system)
    figures = {
        "coordinates": plots.coordinates_in_time(true, learned, names),
        "energy": plots.energy_errors(true, learned),
        "paths": plots.planar_paths(places, paths),
        "errors": _error_maps(system, trained, found, names),
        "masses": _masses(system, trained, found, names),
    }
    best = list(trained)[-1]
    animated = plots.compared_animation(
        true.t,
        {
            "true": judging.joints(system, true),
            f"learned, {plots.label(best)}": judging.joints(system, learned[best]),
        },
    )
    plots.save_animation(animated, out / "motion.gif")
    return figures


def _error_maps(
    system: System, trained: Models, found: Material, names: list[str]
) -> plots.Figure:
    """Errors of both accelerations over the first two coordinates, at rest."""
    (clean,) = found.clean
    low, high = clean.q[:, 0].min(axis=0), clean.q[:, 0].max(axis=0)
    axes = (np.linspace(low[0], high[0], 61), np.linspace(low[1], high[1], 61))
    base = np.zeros((2, clean.q.shape[2]))
    true = dynamics.truth(system, TangentState)
    constants = like(system.params, jnp.zeros(()))
    learned = {
        name: judging.acceleration_grid(*model, axes, base)
        for name, model in trained.items()
    }
    expected = judging.acceleration_grid(true, constants, axes, base)
    first, second = system.coordinates[:2]
    parts = (rf"\ddot{{{first}}}", rf"\ddot{{{second}}}")
    return plots.error_maps(axes, expected, learned, names=names, parts=parts)


def _masses(
    system: System, trained: Models, found: Material, names: list[str]
) -> plots.Figure:
    """Mass matrices along the last coordinate, the others at the middle."""
    (clean,) = found.clean
    low, high = (float(f(clean.q[:, 0, -1])) for f in (np.min, np.max))
    middle = jnp.mean(jnp.asarray(clean.q[:, 0]), axis=0)
    x = np.linspace(low, high, 121)

    def along(motion: Dynamics, params: PyTree) -> np.ndarray:
        dtype = jax.tree.leaves(params)[0].dtype
        mass = mass_at_rest(motion)

        def at(value: Array) -> Array:
            return mass(params, middle.at[-1].set(value).astype(dtype))

        return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(x)))

    true = along(
        dynamics.truth(system, TangentState), like(system.params, jnp.zeros(()))
    )
    learned = {
        name: along(*model)
        for name, model in trained.items()
        if model[0].energy is not None
    }
    return plots.mass_matrices(x, true, learned, name=names[-1])


def rows(
    task: Task,
    adam: dict[str, Recipe],
    growth: dict[str, tuple[int, ...]],
) -> dict[str, Row]:
    """Networks for the acceleration and for L, by Adam; L again by Levenberg–Marquardt
    in the time that Adam took for it.

    Args:
      task: for coordinates and units.
      adam: the recipes of `mlp`, `lnn` and `delan`.
      growth: batch sizes of Levenberg–Marquardt for `lnn` and `delan`, one after
        another.
    """
    system = task.system
    shape: dict[str, Any] = {
        "num_coordinates": len(system.periodic),
        "periodic": system.periodic,
        "normalization": task.units,
        "kernel_init": "glorot_normal",
    }

    def mlp(config: Any, dtype: jnp.dtype) -> Dynamics:
        return models.second_order(**shape, hidden=config.hidden, dtype=dtype)

    def lnn(layers: str, config: Any, dtype: jnp.dtype) -> Dynamics:
        hidden = getattr(config, layers)
        model = models.lnn(**shape, hidden=hidden, dtype=dtype)
        return models.lagrangian_dynamics(model)

    def delan(layers: str, config: Any, dtype: jnp.dtype) -> Dynamics:
        hidden = getattr(config, layers)
        model = models.delan(**shape, hidden=hidden, dtype=dtype)
        return models.lagrangian_dynamics(model)

    def by_adam(name: str) -> Callable[[Any], Recipe]:
        return lambda config: shortened(adam[name]) if config.fast else adam[name]

    def damped(name: str) -> Callable[[Any], Recipe]:
        return functools.partial(
            levenberg_marquardt, growth[name], max_bend=optim.USUAL_BEND
        )

    made: dict[str, Callable] = {"lnn": lnn, "delan": delan}
    small = {"lnn": "compact", "delan": "compact_delan"}
    found = {"mlp": Row(mlp, by_adam("mlp"))}
    for name, make in made.items():
        found[name] = Row(functools.partial(make, "hidden"), by_adam(name))
    for name, make in made.items():
        found[f"{name}_levenberg_marquardt"] = Row(
            functools.partial(make, small[name]), damped(name), "float64", name
        )
    return found


def levenberg_marquardt(
    growth: tuple[int, ...],
    config: Any,
    seconds: float = dynamics.USUAL_SECONDS,
    max_bend: float | None = None,
) -> Recipe:
    """Levenberg–Marquardt on batches that grow, each for an equal part of the time.

    In the fast size there is one batch size, and so one compilation.
    """
    growth = growth[:1] if config.fast else growth
    recipe = Recipe(
        optimizer="levenberg_marquardt",
        max_bend=max_bend,
        batch_size=growth[-1],
        batch_growth=growth[:-1],
        seconds=seconds,
    )
    return shortened(recipe) if config.fast else recipe


def study(
    name: str,
    title: str,
    task: Task,
    methods: dict[str, Row],
    published: dict[str, dict[str, float]],
) -> Study:
    """The `Study` of one task."""
    return Study(
        name,
        title,
        methods,
        functools.partial(material, task),
        functools.partial(measure, task),
        COLUMNS,
        published,
        functools.partial(draw, task),
    )
