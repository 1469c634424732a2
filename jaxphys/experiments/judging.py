"""How learned motions are judged: rollouts from unseen states, fields, and figures.

A motion is told by (q, p) or by (q, v); whichever it is, its states, rates and energies
are compared with those of the system itself.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, plots
from jaxphys.data.samples import State
from jaxphys.experiments import dynamics
from jaxphys.experiments.dynamics import Material, finite
from jaxphys.plots import Sampled
from jaxphys.problems.matching import arguments
from jaxphys.systems.record import like
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, System

#: What the error maps are of; of motions without an energy, the rates themselves.
PARTS = (r"\partial H/\partial p", r"-\partial H/\partial q")

#: The key of one seed that draws the starts of rollouts; data has the ones before.
STARTS = 4

#: Row → what it is and its weights.
Models = dict[str, tuple[Dynamics, PyTree]]


class Judged(NamedTuple):
    """How rollouts are judged.

    Attributes:
      duration, times: how long a rollout is, and its number of times.
      longest: the longest time step of RK4.
      rollouts: how many.
      sample: `sample(key) -> state` of their starts; None for those of the test
        trajectories.
    """

    duration: float
    times: int
    longest: float
    rollouts: int
    sample: Callable[[Array], PyTree] | None = None


def kind_of(models: Models) -> State:
    """The kind of state of some models, which they have in common."""
    motion, _ = next(iter(models.values()))
    return motion.state


def second(trajectories: data.Trajectories, kind: State) -> np.ndarray:
    """Momenta or velocities, whichever this kind of state has."""
    found = trajectories.p if kind is PhaseState else trajectories.v
    assert found is not None
    return found


def starts(
    judged: Judged, material: Material, dtype, kind: State = PhaseState
) -> PyTree:
    """Where rollouts start, without noise, in some precision."""
    (clean,) = material.clean
    if judged.sample is None:
        rows = (clean.q, second(clean, kind))
        states = kind(*(jnp.asarray(x[: judged.rollouts, 0]) for x in rows))
    else:
        key = jax.random.fold_in(jax.random.key(material.seed), STARTS)
        keys = jax.random.split(key, judged.rollouts)
        states = jax.vmap(judged.sample)(keys)
    return kind(*(jnp.asarray(x, dtype) for x in states))


class Rollouts(NamedTuple):
    """Motions of a model and of the system from the same states, (N, T, n) each."""

    ts: np.ndarray
    found: PyTree
    true: PyTree


def rollouts(
    system: System, judged: Judged, motion: Dynamics, params: PyTree, first: PyTree
) -> Rollouts:
    """A model's motions, and the true ones."""
    ts = np.linspace(0.0, judged.duration, judged.times)
    follow = functools.partial(dynamics.paths, longest=judged.longest)
    found = follow(motion, params, first, ts)
    own = dynamics.truth(system, motion.state)
    return Rollouts(ts, found, follow(own, like(system.params, first.q), first, ts))


def measure(
    system: System,
    judged: Judged,
    motion: Dynamics,
    params: PyTree,
    material: Material,
) -> dict[str, float]:
    """What the table says of a model; means over test starts, of errors medians too."""
    dtype = jax.tree.leaves(params)[0].dtype
    first = starts(judged, material, dtype, motion.state)
    found = rollouts(system, judged, motion, params, first)
    drifts = jax.vmap(metrics.energy_drift)(dynamics.energies(system, found.found))
    noisy, clean = (
        field_error(motion, params, x) for x in (material.test, material.clean)
    )
    return {
        "energy_mse": finite(jnp.mean(drifts.mean_square)),
        "energy_mse_median": finite(jnp.median(drifts.mean_square)),
        "energy_drift": finite(metrics.quartiles(drifts.relative).median),
        "test_mse": finite(noisy.mean_square / (2 * first.q.shape[1])),
        "field_error": finite(clean.relative),
    } | rollout_errors(found)


def rollout_errors(each: Rollouts) -> dict[str, float]:
    """Medians over rollouts of the relative error, and of how long it is small."""
    errors = jax.vmap(metrics.relative_error)(each.found, each.true)
    times = jnp.asarray(each.ts, errors.dtype)
    geometric = jax.vmap(lambda e: metrics.geometric_mean(e, times))(errors)
    valid = jax.vmap(lambda e: metrics.valid_time(times, e))(errors)
    return {
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

    def state(q: Array, p: Array, base: tuple[Array, Array]) -> PyTree:
        return motion.state(base[0].at[0].set(q), base[1].at[0].set(p))

    def rates(rate: PyTree) -> tuple[Array, Array]:
        return rate[0][0], rate[1][0]

    return _on_grid(motion, params, axes, base, u, state, rates)


def acceleration_grid(
    motion: Dynamics,
    params: PyTree,
    axes: tuple[np.ndarray, np.ndarray],
    base: Any = ((0.0, 0.0), (0.0, 0.0)),
) -> tuple[np.ndarray, np.ndarray]:
    """The accelerations of the first two coordinates on a grid of these; see above."""

    def state(first: Array, other: Array, base: tuple[Array, Array]) -> PyTree:
        q = base[0].at[0].set(first).at[1].set(other)
        return motion.state(q, base[1])

    def rates(rate: PyTree) -> tuple[Array, Array]:
        return rate[1][0], rate[1][1]

    return _on_grid(motion, params, axes, base, None, state, rates)


def _on_grid(motion, params, axes, base, u, state, rates):
    x, y = np.meshgrid(*axes)
    dtype = jax.tree.leaves(params)[0].dtype if jax.tree.leaves(params) else float
    fixed = tuple(jnp.asarray(each, dtype) for each in base)

    def rate(x: Array, y: Array) -> tuple[Array, Array]:
        at = state(x, y, fixed)
        return rates(motion.vector_field(0.0, at, arguments(params, u)))

    flat = (jnp.asarray(each.ravel(), dtype) for each in (x, y))
    found = jax.jit(jax.vmap(rate))(*flat)
    first, other = (np.asarray(each).reshape(x.shape) for each in found)
    return first, other


def field_figures(
    system: System, extent: float, trained: Models, material: Material
) -> dict[str, plots.Figure]:
    """Fields, and heat maps of their errors; of several coordinates in a section."""
    kind = kind_of(trained)
    (seen,), (clean,) = material.train, material.clean
    single = seen.q.shape[2] == 1
    base = (clean.q[0, 0], second(clean, kind)[0, 0])
    middle = (0.0, 0.0) if single else (base[0][0], base[1][0])
    side = np.linspace(-extent, extent, 61)
    axes = (middle[0] + side, middle[1] + side)
    true = (dynamics.truth(system, kind), jax.tree.map(jnp.asarray, system.params))
    dots = (seen.q.ravel(), second(seen, kind).ravel()) if single else None
    learned = {name: field_grid(*model, axes, base) for name, model in trained.items()}
    expected = field_grid(*true, axes, base)
    return compared_fields(axes, expected, learned, axis_names(system, kind), seen=dots)


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


def axis_names(system: System, kind: State = PhaseState) -> tuple[str, str]:
    """Labels of the first coordinate and its momentum, or velocity."""
    (first, *_), (other, *_) = coordinate_names(system)
    return first, "$p$ [1]" if kind is PhaseState else other


def coordinate_names(system: System) -> tuple[list[str], list[str]]:
    """Labels of all coordinates, and of their velocities."""
    names = system.coordinates or ("q",)
    units = system.units or ("1",) * len(names)
    seconds = ["1" if unit == "1" else f"{unit}/s" for unit in units]
    return (
        [f"${name}$ [{unit}]" for name, unit in zip(names, units, strict=True)],
        [rf"$\dot{{{n}}}$ [{u}]" for n, u in zip(names, seconds, strict=True)],
    )


def sampled_rollouts(
    system: System, judged: Judged, trained: Models, first: PyTree
) -> tuple[Sampled, dict[str, Sampled]]:
    """The system's motions from a batch of states, and each model's, with energies."""
    kind = kind_of(trained)
    ts = np.linspace(0.0, judged.duration, judged.times)

    def sampled(motion: Dynamics, params: PyTree) -> Sampled:
        dtype = jax.tree.leaves(params)[0].dtype
        begin = jax.tree.map(lambda x: x.astype(dtype), first)
        found = dynamics.paths(motion, params, begin, ts, longest=judged.longest)
        energy = dynamics.energies(system, found)
        return Sampled(ts, *(np.asarray(x) for x in (*found, energy)))

    true = sampled(dynamics.truth(system, kind), like(system.params, first.q))
    return true, {name: sampled(*model) for name, model in trained.items()}


def joints(system: System, motion: Sampled, number: int = 0) -> np.ndarray:
    """The joints and bodies of one motion in the plane, (T, k, 2)."""
    assert system.points is not None
    params = like(system.params, jnp.zeros((), motion.q.dtype))
    points = jax.jit(jax.vmap(functools.partial(system.points, params)))
    return np.asarray(points(jnp.asarray(motion.q[number])))


def placed(system: System, motion: Sampled) -> Sampled:
    """Motions by the places of what moves in the plane, (x₁, y₁, x₂, …)."""
    every = np.stack([joints(system, motion, i) for i in range(len(motion.q))])
    moves = np.ptp(every, axis=(0, 1)).any(axis=1)
    at = every[:, :, moves].reshape(*every.shape[:2], -1)
    return motion._replace(q=at, p=at)


def rollout_figures(
    system: System,
    judged: Judged,
    trained: Models,
    material: Material,
) -> dict[str, plots.Figure]:
    """Motions from test starts and their energies; of bodies in the plane, paths."""
    kind = kind_of(trained)
    shorter = judged._replace(rollouts=min(6, judged.rollouts))
    first = starts(shorter, material, float, kind)
    true, learned = sampled_rollouts(system, judged, trained, first)
    figures = {
        "energy": plots.energy_errors(true, learned),
        "motion": plots.learned_motion(true, learned, names=axis_names(system, kind)),
    }
    if true.q.shape[2] > 1 and system.points is not None:
        figures["paths"] = plots.planar_paths(true, learned)
    return figures
