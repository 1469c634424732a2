"""The experiments of Hamiltonian Neural Networks, by one recipe for all of them.

Trajectories of a known system, noise on the states and none on the derivatives, a
network for H and one for the field; both are judged by rollouts from states they have
not seen, as a loss on noisy states is that of the noise.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, models, plots
from jaxphys.experiments import dynamics
from jaxphys.experiments.dynamics import Material, Row, Study, finite
from jaxphys.experiments.runner import RunOptions
from jaxphys.learning import Recipe
from jaxphys.plots import Sampled
from jaxphys.problems.matching import arguments
from jaxphys.systems.record import like
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, System

#: Keys of one seed, by what is drawn.
_TRAIN, _TEST, _NOISE, _TEST_NOISE, _STARTS = range(5)

COLUMNS = {
    "energy_mse": "energy MSE",
    "test_mse": "test MSE",
    "field_error": "rel. field error",
    "rollout_error": "rel. rollout error",
    "valid_time": "valid time",
}

#: What the error maps are of; of motions without an energy, the rates themselves.
PARTS = (r"\partial H/\partial p", r"-\partial H/\partial q")

Trained = dict[str, tuple[Dynamics, PyTree]]


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the energy of a system.

    Attributes:
      options: what every run understands.
      trajectories: for training.
      noise: standard deviation of the noise on q and p.
      hidden: units of each hidden layer, of the published networks.
      fast: a twentieth of the updates, and fewer rollouts.
    """

    options: RunOptions = RunOptions()
    trajectories: int = 25
    noise: float = 0.1
    hidden: tuple[int, ...] = (200, 200)
    fast: bool = False


class Judged(NamedTuple):
    """How rollouts are judged.

    Attributes:
      duration, times: how long a rollout is, and its number of times.
      longest: the longest time step of RK4.
      rollouts: how many.
      sample: `sample(key) -> PhaseState` of their starts; None for those of the test
        trajectories.
    """

    duration: float
    times: int
    longest: float
    rollouts: int
    sample: Callable[[Array], PhaseState] | None = None


def around_the_middle(key: Array) -> PhaseState:
    """q and p each ±U[0.2, 1): where the published rollouts of one coordinate start."""
    first, second = jax.random.split(key)
    size = jax.random.uniform(first, (2,), minval=0.2, maxval=1.0)
    sign = jnp.where(jax.random.bernoulli(second, shape=(2,)), 1, -1)
    q, p = size * sign
    return PhaseState(q[None], p[None])


def simulated(
    system: System, seed: int, count: int, test: int, ts: np.ndarray, noise: float
) -> Material:
    """Train and test trajectories of a seed, with noise on their states."""
    key = jax.random.key(seed)
    keys = [jax.random.fold_in(key, purpose) for purpose in range(4)]
    train = data.simulated(system, keys[_TRAIN], count, ts)
    clean = data.simulated(system, keys[_TEST], test, ts)
    noisy, seen = train, clean
    if noise:
        noisy = data.add_noise(train, noise, keys[_NOISE])
        seen = data.add_noise(clean, noise, keys[_TEST_NOISE])
    return Material([noisy], [seen], [clean], seed)


def starts(judged: Judged, material: Material, dtype) -> PhaseState:
    """Where rollouts start, without noise, in some precision."""
    (clean,) = material.clean
    assert clean.p is not None
    if judged.sample is None:
        rows = [jnp.asarray(x[: judged.rollouts, 0]) for x in (clean.q, clean.p)]
        states = PhaseState(rows[0], rows[1])
    else:
        key = jax.random.fold_in(jax.random.key(material.seed), _STARTS)
        keys = jax.random.split(key, judged.rollouts)
        states = jax.vmap(judged.sample)(keys)
    return PhaseState(*(jnp.asarray(x, dtype) for x in states))


def measure(
    system: System,
    judged: Judged,
    motion: Dynamics,
    params: PyTree,
    material: Material,
) -> dict[str, float]:
    """What the table says of a model; means over test starts, of errors medians too."""
    first = starts(judged, material, jax.tree.leaves(params)[0].dtype)
    ts = np.linspace(0.0, judged.duration, judged.times)
    found = dynamics.paths(motion, params, first, ts, longest=judged.longest)
    true = dynamics.paths(
        dynamics.truth(system),
        like(system.params, first.q),
        first,
        ts,
        longest=judged.longest,
    )
    energy = dynamics.energies(system, found)
    drifts = jax.vmap(metrics.energy_drift)(energy)
    errors = jax.vmap(metrics.relative_error)(found, true)
    times = jnp.asarray(ts, errors.dtype)
    geometric = jax.vmap(lambda e: metrics.geometric_mean(e, times))(errors)
    valid = jax.vmap(lambda e: metrics.valid_time(times, e))(errors)
    noisy, clean = (
        field_error(motion, params, x) for x in (material.test, material.clean)
    )
    return {
        "energy_mse": finite(jnp.mean(drifts.mean_square)),
        "energy_mse_median": finite(jnp.median(drifts.mean_square)),
        "energy_drift": finite(metrics.quartiles(drifts.relative).median),
        "test_mse": finite(noisy.mean_square / (2 * first.q.shape[1])),
        "field_error": finite(clean.relative),
        "rollout_error": finite(metrics.quartiles(geometric).median),
        "valid_time": finite(metrics.quartiles(valid).median),
    }


def field_error(
    motion: Dynamics, params: PyTree, trajectories: list[data.Trajectories]
) -> metrics.DerivativeError:
    """The field against the derivatives that trajectories come with."""
    moments, rates = data.moments(trajectories, motion.state)
    return jax.jit(functools.partial(metrics.derivative_error, motion))(
        params, moments.y, rates
    )


class Compact(NamedTuple):
    """How a small network is trained by Levenberg–Marquardt.

    Attributes:
      hidden: its layers.
      batch_size: None for all samples.
    """

    hidden: tuple[int, ...]
    batch_size: int | None


def rows(
    system: System, published: Recipe, *, clean: Compact, noisy: Compact
) -> dict[str, Row]:
    """A network for the field, one for H, each with the published budget, and H again
    by Levenberg–Marquardt in the time that the published budget took.

    Args:
      system: for the number of coordinates.
      published: the recipe of the published budget.
      clean, noisy: the last row's network and batch, for data without noise and with
        it: the more it can learn, the more of the noise it learns.
    """
    n = jax.eval_shape(system.sample, jax.random.key(0)).q.shape[0]

    def hnn(config: Any, dtype: jnp.dtype) -> Dynamics:
        return models.dynamics(models.hnn(n, hidden=config.hidden, dtype=dtype))

    def mlp(config: Any, dtype: jnp.dtype) -> Dynamics:
        return models.neural_ode(n, hidden=config.hidden, dtype=dtype)

    def compact(config: Any, dtype: jnp.dtype) -> Dynamics:
        model = models.hnn(
            n,
            hidden=(noisy if config.noise else clean).hidden,
            kernel_init="glorot_normal",
            periodic=system.periodic,
            dtype=dtype,
        )
        return models.dynamics(model)

    def recipe(config: Any) -> Recipe:
        return published if not config.fast else shortened(published)

    def second_order(config: Any) -> Recipe:
        damped = Recipe(
            optimizer="levenberg_marquardt",
            batch_size=(noisy if config.noise else clean).batch_size,
            seconds=dynamics.USUAL_SECONDS,
        )
        return damped if not config.fast else shortened(damped)

    return {
        "mlp": Row(mlp, recipe),
        "hnn": Row(hnn, recipe),
        "hnn_levenberg_marquardt": Row(compact, second_order, "float64", "hnn"),
    }


def shortened(recipe: Recipe) -> Recipe:
    """A twentieth of the updates, or of the time."""
    if recipe.steps is None:
        assert recipe.seconds is not None
        return dataclasses.replace(recipe, seconds=recipe.seconds / 20)
    return dataclasses.replace(recipe, steps=max(recipe.steps // 20, 1))


def study(
    name: str,
    title: str,
    system: System,
    rows: dict[str, Row],
    published: dict[str, dict[str, float]],
    *,
    ts: np.ndarray,
    test_share: float = 1.0,
    judged: Judged,
    extent: float,
) -> Study:
    """The `Study` of one system.

    Args:
      name, title, rows, published: as in `Study`.
      system: what is learned.
      ts: times of the data.
      test_share: trajectories for the test, per one for training.
      judged: how rollouts are judged.
      extent: half the side of the square of q and p that fields are drawn on; of
        several coordinates it is that of the first, about the first test state.
    """

    def material(config: Any, seed: int) -> Material:
        count = config.trajectories
        test = max(int(count * test_share), 1)
        return simulated(system, seed, count, test, ts, config.noise)

    def measured(config: Any, motion: Dynamics, params: PyTree, found: Material):
        shorter = judged
        if config.fast:
            shorter = judged._replace(rollouts=min(judged.rollouts, 4))
        return measure(system, shorter, motion, params, found)

    def draw(
        config: Any, trained: Trained, found: Material, out: pathlib.Path
    ) -> dict[str, plots.Figure]:
        figures = rollout_figures(system, judged, trained, found)
        return figures | field_figures(system, extent, trained, found)

    return Study(name, title, rows, material, measured, COLUMNS, published, draw)


def field_grid(
    motion: Dynamics,
    params: PyTree,
    axes: tuple[np.ndarray, np.ndarray],
    base: Any = ((0.0,), (0.0,)),
    u: Array | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The rates of the first coordinate and of its momentum (or velocity) on a grid.

    Args:
      motion, params: whose field.
      axes: values of q and of p (or v), (k,) and (l,).
      base: the state of the other coordinates, (n,) each.
      u: the input, of a motion that has one.

    Returns:
      Two arrays (l, k).
    """
    q, p = np.meshgrid(*axes)
    dtype = jax.tree.leaves(params)[0].dtype if jax.tree.leaves(params) else float
    q0, p0 = (jnp.asarray(x, dtype) for x in base)

    def rate(q: Array, p: Array) -> tuple[Array, Array]:
        state = motion.state(q0.at[0].set(q), p0.at[0].set(p))
        first, second = motion.vector_field(0.0, state, arguments(params, u))
        return first[0], second[0]

    flat = (jnp.asarray(x.ravel(), dtype) for x in (q, p))
    dq, dp = (np.asarray(x).reshape(q.shape) for x in jax.jit(jax.vmap(rate))(*flat))
    return dq, dp


def field_figures(
    system: System, extent: float, trained: Trained, material: Material
) -> dict[str, plots.Figure]:
    """Fields, and heat maps of their errors; of several coordinates in a section."""
    (seen,), (clean,) = material.train, material.clean
    assert seen.p is not None
    assert clean.p is not None
    single = seen.q.shape[2] == 1
    base = (clean.q[0, 0], clean.p[0, 0])
    middle = (0.0, 0.0) if single else (base[0][0], base[1][0])
    side = np.linspace(-extent, extent, 61)
    axes = (middle[0] + side, middle[1] + side)
    true = (dynamics.truth(system), jax.tree.map(jnp.asarray, system.params))
    dots = (seen.q.ravel(), seen.p.ravel()) if single else None
    learned = {name: field_grid(*model, axes, base) for name, model in trained.items()}
    return compared_fields(
        axes, field_grid(*true, axes, base), learned, axis_names(system), seen=dots
    )


def compared_fields(
    axes: tuple[np.ndarray, np.ndarray],
    true: tuple[np.ndarray, np.ndarray],
    learned: dict[str, tuple[np.ndarray, np.ndarray]],
    names: tuple[str, str] = ("$q$", "$p$"),
    *,
    seen: tuple[np.ndarray, np.ndarray] | None = None,
    parts: tuple[str, str] = PARTS,
) -> dict[str, plots.Figure]:
    """The true field and the learned ones, and where they differ."""
    return {
        "fields": plots.fields(axes, true, learned, names=names, seen=seen),
        "errors": plots.error_maps(axes, true, learned, names=names, parts=parts),
    }


def axis_names(system: System) -> tuple[str, str]:
    """Labels of the first coordinate and its momentum."""
    name = system.coordinates[0] if system.coordinates else "q"
    unit = system.units[0] if system.units else "1"
    return f"${name}$ [{unit}]", "$p$ [1]"


def rollout_figures(
    system: System,
    judged: Judged,
    trained: Trained,
    material: Material,
) -> dict[str, plots.Figure]:
    """Motions from test starts and their energies; of bodies in the plane, paths."""
    shorter = judged._replace(rollouts=min(6, judged.rollouts))
    first = starts(shorter, material, float)
    ts = np.linspace(0.0, judged.duration, judged.times)

    def sampled(motion: Dynamics, params: PyTree) -> Sampled:
        dtype = jax.tree.leaves(params)[0].dtype
        begin = jax.tree.map(lambda x: x.astype(dtype), first)
        found = dynamics.paths(motion, params, begin, ts, longest=judged.longest)
        energy = dynamics.energies(system, found)
        return Sampled(ts, *(np.asarray(x) for x in (*found, energy)))

    true = sampled(dynamics.truth(system), like(system.params, first.q))
    learned = {name: sampled(*model) for name, model in trained.items()}
    figures = {
        "energy": plots.energy_errors(true, learned),
        "motion": plots.learned_motion(true, learned, names=axis_names(system)),
    }
    if true.q.shape[2] > 1 and system.points is not None:
        figures["paths"] = plots.planar_paths(true, learned)
    return figures
