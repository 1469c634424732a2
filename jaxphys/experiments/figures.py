"""Figures of learned motions, which several experiments draw.

Rollouts beside the truth, their energies, fields and where they differ, mass matrices.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import plots
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import Run, Samples
from jaxphys.experiments.measures import Axes, Judge
from jaxphys.motion import Motion
from jaxphys.types import (
    Array,
    Dynamics,
    PhaseState,
    PyTree,
    State,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = [
    "Figures",
    "Shown",
    "axis_names",
    "compared_fields",
    "coordinate_names",
    "field_figures",
    "followed",
    "joints",
    "kind_of",
    "lagrangian_figures",
    "mass_figures",
    "motion_figures",
    "placed",
    "rollout_figures",
]

Figures = dict[str, plots.Figure]

#: A motion with energies, and a field on a grid.
Shown = tuple[Trajectories, Axes]

#: What the error maps are of; of motions without an energy, the rates themselves.
_PARTS = (r"\partial H/\partial p", r"-\partial H/\partial q")


def kind_of(run: Run) -> type[State]:
    """The kind of state that the trained motions have in common."""
    return run.subjects[next(iter(run.params))].built.dynamics.state


def coordinate_names(system: System) -> tuple[list[str], list[str]]:
    """Labels of all coordinates, and of their velocities."""
    names = system.coordinates or ("q",)
    units = system.units or ("1",) * len(names)
    seconds = ["1" if unit == "1" else f"{unit}/s" for unit in units]
    return (
        [f"${name}$ [{unit}]" for name, unit in zip(names, units, strict=True)],
        [rf"$\dot{{{n}}}$ [{u}]" for n, u in zip(names, seconds, strict=True)],
    )


def axis_names(system: System, kind: type[State] = PhaseState) -> tuple[str, str]:
    """Labels of the first coordinate and its momentum, or velocity."""
    (first, *_), (other, *_) = coordinate_names(system)
    return first, "$p$ [1]" if kind is PhaseState else other


def followed(
    judge: Judge, run: Run, first: State
) -> tuple[Trajectories, dict[str, Trajectories]]:
    """The system's motions from a batch of states, and each row's, with energies."""
    true = judge.truth(kind_of(run))
    constants = judge.constants(first[0].dtype)
    return judge.trajectories(true, constants, first), {
        row: judge.trajectories(run.subjects[row].built, params, first)
        for row, params in run.params.items()
    }


def rollout_figures(judge: Judge, run: Run) -> Figures:
    """Motions from test starts and their energies; of bodies in the plane, paths."""
    kind, system = kind_of(run), judge.system
    shorter = judge.shorter(rollouts=min(6, judge.rollouts))
    first = shorter.starts(run.samples, run.keys, float, kind)
    true, learned = followed(shorter, run, first)
    names = axis_names(system, kind)
    figures = {
        "energy": plots.energy_errors(true, learned, looks=run.looks),
        "motion": plots.learned_motion(true, learned, names=names, looks=run.looks),
    }
    if true.y.q.shape[2] > 1 and system.points is not None:
        figures["paths"] = plots.planar_paths(true, learned, looks=run.looks)
    return figures


def field_figures(judge: Judge, run: Run, extent: float) -> Figures:
    """Fields, and heat maps of their errors; of several coordinates in a section.

    Args:
      judge, run: what was trained, and whose field is the true one.
      extent: half the side of the square of q and p that is drawn; of several
        coordinates it is that of the first, about the first test state.
    """
    kind, system = kind_of(run), judge.system
    (seen,), (clean,) = run.samples.train, run.samples.clean
    single = seen.y.q.shape[2] == 1
    base = tuple(x[0, 0] for x in clean.y)
    middle = (0.0, 0.0) if single else (base[0][0], base[1][0])
    side = np.linspace(-extent, extent, 61)
    axes = (middle[0] + side, middle[1] + side)
    true = judge.truth(kind).dynamics, jax.tree.map(jnp.asarray, system.params)
    learned = {
        row: measures.field_grid(run.subjects[row].built.dynamics, params, axes, base)
        for row, params in run.params.items()
    }
    return compared_fields(
        run,
        axes,
        measures.field_grid(*true, axes, base),
        learned,
        axis_names(system, kind),
        seen=tuple(x.ravel() for x in seen.y) if single else None,
    )


def compared_fields(
    run: Run,
    axes: Axes,
    true: Axes,
    learned: dict[str, Axes],
    names: tuple[str, str] = ("$q$ [1]", "$p$ [1]"),
    *,
    seen: Any = None,
    parts: tuple[str, str] = _PARTS,
) -> Figures:
    """The true field and the learned ones, and where they differ."""
    looks = run.looks
    return {
        "fields": plots.fields(
            axes, true, learned, names=names, seen=seen, looks=looks
        ),
        "errors": plots.error_maps(
            axes, true, learned, names=names, parts=parts, looks=looks
        ),
    }


def motion_figures(
    run: Run,
    axes: Axes,
    shown: Callable[[Motion, PyTree, Samples], Shown],
    true: tuple[Motion, PyTree],
    names: tuple[str, str] = ("$q$ [1]", "$p$ [1]"),
    *,
    system: System | None = None,
    **options: Any,
) -> Figures:
    """Motions and their energies, fields and where they differ, beside the truth.

    Args:
      run: what was trained.
      axes: of the fields.
      shown: `shown(motion, params, samples)`, a motion with energies and a field on the
        axes, of the data as its row sees them.
      true: the system itself, and its constants.
      names: of both axes.
      system: whose bodies are followed in the plane besides.
      options: of `compared_fields`.
    """
    motions, fields = {}, {}
    for row, params in run.params.items():
        subject = run.subjects[row]
        seen = subject.sees(run.samples)
        motions[row], fields[row] = shown(subject.built, params, seen)
    expected, field = shown(*true, run.samples)
    drawn = compared_fields(run, axes, field, fields, names, **options)
    looks = run.looks
    drawn["motion"] = plots.learned_motion(expected, motions, names=names, looks=looks)
    drawn["energy"] = plots.energy_errors(expected, motions, looks=looks)
    if system is not None:
        at, *others = (placed(system, x) for x in (expected, *motions.values()))
        learned = dict(zip(motions, others, strict=True))
        drawn["paths"] = plots.planar_paths(at, learned, looks=looks)
    return drawn


def joints(system: System, motion: Trajectories, number: int = 0) -> np.ndarray:
    """The joints and bodies of one motion in the plane, (T, k, 2)."""
    place = required(system, "points")
    params = jax.tree.map(lambda x: jnp.asarray(x, motion.y.q.dtype), system.params)
    points = jax.jit(jax.vmap(functools.partial(place, params)))
    return np.asarray(points(jnp.asarray(motion.y.q[number])))


def placed(system: System, motion: Trajectories) -> Trajectories:
    """Motions by the places of what moves in the plane, (x₁, y₁, x₂, …)."""
    every = np.stack([joints(system, motion, i) for i in range(len(motion.y.q))])
    moves = np.ptp(every, axis=(0, 1)).any(axis=1)
    at = every[:, :, moves].reshape(*every.shape[:2], -1)
    return motion._replace(y=type(motion.y)(at, at))


def lagrangian_figures(judge: Judge, run: Run) -> Figures:
    """Motions, energies, errors over the phase plane, masses; and an animation."""
    system = judge.system
    shorter = judge.shorter(
        rollouts=min(judge.rollouts, 20), duration=min(judge.duration, 10.0), times=301
    )
    first = shorter.starts(run.samples, run.keys, float, TangentState)
    true, learned = followed(shorter, run, first)
    paths = {row: placed(system, each) for row, each in learned.items()}
    names, _ = coordinate_names(system)
    looks = run.looks
    best = list(run.params)[-1]
    animated = plots.animation(
        true.t,
        {
            "true": joints(system, true),
            f"learned, {looks[best].label}": joints(system, learned[best]),
        },
    )
    plots.save_animation(animated, run.out / "motion.gif")
    return {
        "coordinates": plots.coordinates_in_time(true, learned, names, looks=looks),
        "energy": plots.energy_errors(true, learned, looks=looks),
        "paths": plots.planar_paths(placed(system, true), paths, looks=looks),
        "errors": _acceleration_errors(judge, run, names),
    } | _masses(judge, run, names)


def _acceleration_errors(judge: Judge, run: Run, names: list[str]) -> plots.Figure:
    """Errors of both accelerations over the first two coordinates, at rest."""
    (clean,) = run.samples.clean
    q = clean.y.q
    low, high = q[:, 0].min(axis=0), q[:, 0].max(axis=0)
    axes = (np.linspace(low[0], high[0], 61), np.linspace(low[1], high[1], 61))
    base = np.zeros((2, q.shape[2]))
    true = judge.truth(TangentState).dynamics
    constants = judge.constants(jnp.zeros(()).dtype)
    learned = {
        row: measures.acceleration_grid(
            run.subjects[row].built.dynamics, params, axes, base
        )
        for row, params in run.params.items()
    }
    expected = measures.acceleration_grid(true, constants, axes, base)
    first, second = judge.system.coordinates[:2]
    parts = (rf"\ddot{{{first}}}", rf"\ddot{{{second}}}")
    return plots.error_maps(
        axes, expected, learned, names=names, parts=parts, looks=run.looks
    )


def _masses(judge: Judge, run: Run, names: list[str]) -> Figures:
    """Mass matrices along the last coordinate, the others at the middle."""
    (clean,) = run.samples.clean
    q = clean.y.q
    low, high = (float(f(q[:, 0, -1])) for f in (np.min, np.max))
    return mass_figures(
        run,
        judge.truth(TangentState).dynamics,
        judge.constants(jnp.zeros(()).dtype),
        np.linspace(low, high, 121),
        jnp.mean(jnp.asarray(q[:, 0]), axis=0),
        name=names[-1],
    )


def mass_figures(
    run: Run,
    true: Dynamics,
    constants: PyTree,
    x: np.ndarray,
    middle: Array,
    **options: Any,
) -> Figures:
    """Mass matrices along the last coordinate, of all rows that have an energy.

    Args:
      run: what was trained.
      true, constants: the system itself.
      x: values of the last coordinate, (k,).
      middle: the coordinates; the last is not read, (n,).
      options: of `plots.mass_matrices`: name and unit of the coordinate.
    """

    def along(motion: Dynamics, params: PyTree) -> np.ndarray:
        dtype = measures.dtype_of(params)
        mass = measures.mass_at_rest(required(motion, "energy"))

        def at(value: Array) -> Array:
            return mass(params, middle.at[-1].set(value).astype(dtype))

        return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(x)))

    learned = {}
    for row, params in run.params.items():
        motion = run.subjects[row].built.dynamics
        if motion.energy is not None:
            learned[row] = along(motion, params)
    if not learned:
        return {}
    expected = along(true, constants)
    figure = plots.mass_matrices(x, expected, learned, looks=run.looks, **options)
    return {"masses": figure}
