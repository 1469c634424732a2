"""A chain of pendula, chaotic, learned from pieces of five points.

Angles and velocities are measured, momenta are not; H = ½ pᵀ M⁻¹(q) p + V(q) is learned
with its mass matrix by matching trajectories through RK4. 800 pieces 0.03 apart;
predictions are followed for T = 3 and judged in Cartesian coordinates by the geometric
mean of the relative error. Levenberg–Marquardt matches accelerations, which the pieces
give almost exactly wherever they resolve the motion. Published figures: Finzi, Wang &
Wilson, Simplifying Hamiltonian and Lagrangian Neural Networks via Explicit Constraints,
2020; their HNN of 3 × 200 units trains for 8000 updates of Adam, as does ours of
2 × 64.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, optim, systems
from jaxphys.experiments import figures, measures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import Axes
from jaxphys.experiments.motion.rows import (
    Make,
    damped,
    damped_row,
    embedded,
    network,
    row,
)
from jaxphys.learning import Recipe
from jaxphys.motion import Motion, of_system
from jaxphys.types import (
    Array,
    PyTree,
    State,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = ["EXPERIMENT", "Settings", "sample"]

_DT = 0.03
_TIMES = 101

#: Points of a piece.
_POINTS = 5

#: By how much two estimates of an acceleration may differ, of its root mean square.
_RESOLVED = 3e-3


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the energy of a chain of pendula from short pieces of motion.

    Attributes:
      links: number of pendula.
      pieces: of five points, for training; a trajectory gives one.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of those that Levenberg–Marquardt trains.
      test: trajectories of the test.
      fast: a twentieth of the updates, and fewer pieces.
    """

    links: int = 3
    pieces: int = 800
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (32, 32)
    test: int = 100
    fast: bool = False


def _chain(links: int) -> System:
    """Masses and lengths .6 to 1.4 as published, the same in every run."""
    return systems.pendulum_chain(links, key=jax.random.key(0))


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Five points of each of many trajectories; whole ones for the test."""
    del dtype
    system = _chain(settings.links)
    count, test = (40, 8) if settings.fast else (settings.pieces, settings.test)
    motion = Motion(of_system(system, TangentState))
    ts = np.arange(_TIMES) * _DT

    def followed(key: Array, count: int) -> TangentState:
        first = jax.vmap(required(system, "sample_tangent"))(
            jax.random.split(key, count)
        )
        first = jax.tree.map(lambda x: x.astype(float), first)
        path = motion.path(system.params, first, ts, longest=_DT / 20)
        return jax.tree.map(np.asarray, path)

    whole, long = followed(keys.train, count), followed(keys.test, test)
    starts = np.random.default_rng(keys.seed).integers(0, _TIMES - _POINTS, count)
    rows = starts[:, None] + np.arange(_POINTS)
    pick = np.arange(count)[:, None]
    pieces = jax.tree.map(lambda x: x[pick, rows], whole)
    short = jax.tree.map(lambda x: x[:, :_POINTS], long)
    return Samples(
        [Trajectories(ts[:_POINTS], pieces)],
        [Trajectories(ts, long)],
        [Trajectories(ts[:_POINTS], short)],
    )


def _accelerated(found: list[Trajectories]) -> list[Trajectories]:
    """Pieces as single states with their accelerations; longer motions as they are.

    The first and last points are left out, and those where the accelerations of five
    points and of three differ by more than `_RESOLVED` of their root mean square: there
    0.03 is too long for the motion.
    """
    return [_resolved(x) if len(x.t) == _POINTS else x for x in found]


def _resolved(pieces: Trajectories) -> Trajectories:
    t, (q, v) = pieces.t, pieces.y
    a, coarse = (data.accelerations(t, q, v, window=w) for w in (_POINTS, 3))
    gap = np.max(np.abs(a - coarse), axis=-1)
    kept = gap <= _RESOLVED * np.sqrt(np.mean(a**2))
    kept[:, [0, -1]] = False
    q, v, a = (x[kept][:, None] for x in (q, v, a))
    return Trajectories(t[:1], TangentState(q, v), TangentState(v, a))


def _masses_at(system: System, q: Array) -> Array:
    """The places of all masses, (2 links,)."""
    return required(system, "points")(system.params, q)[1:].ravel()


def _cartesian(system: System, y: State) -> Array:
    """Positions and velocities of all masses, (4 links,)."""
    return jnp.concatenate(jax.jvp(partial(_masses_at, system), (y[0],), (y[1],)))


def _measured(trained: Trained) -> dict[str, float]:
    """Geometric means over T = 3, and their geometric mean over trajectories."""
    system = _chain(trained.settings.links)
    (true,) = trained.samples.test
    found = measures.predicted(trained.subject.built, trained.params, true, _DT / 3)
    cartesian = jax.vmap(partial(_cartesian, system))

    @jax.jit
    def error(found: State, true: State) -> Array:
        return metrics.relative_error(cartesian(found), cartesian(true))

    wanted = jax.tree.map(lambda x: jnp.asarray(x, found.q.dtype), true.y)
    errors = jax.vmap(error)(found, wanted)
    errors = jnp.where(jnp.isfinite(errors), errors, 1e3)
    times = jnp.asarray(true.t, errors.dtype)
    geometric = jax.vmap(lambda e: metrics.geometric_mean(e, times))(errors)
    valid = jax.vmap(lambda e: metrics.valid_time(times, e))(errors)
    return {
        "rollout_error": float(jnp.exp(jnp.mean(jnp.log(geometric)))),
        "valid_time": float(jnp.median(valid)),
    }


def _draw(run: Run) -> figures.Figures:
    """Paths and energies of motions, and fields in a section.

    In the section the first pendulum has any angle and velocity, the rest hang still.
    """
    system = _chain(run.settings.links)
    true = Motion(of_system(system, TangentState))
    constants = jax.tree.map(jnp.asarray, system.params)
    axes = (np.linspace(-np.pi, np.pi, 61), np.linspace(-4.0, 4.0, 61))
    still = np.zeros((2, run.settings.links))

    def shown(
        motion: Motion, params: PyTree, samples: Samples
    ) -> tuple[Trajectories, Axes]:
        (long,) = samples.test
        y = (
            long.y
            if motion is true
            else measures.predicted(motion, params, long, _DT / 3)
        )
        y = jax.tree.map(lambda x: jnp.asarray(x[:20], float), y)
        energy = np.asarray(true.energy(constants, y))
        found = Trajectories(long.t, jax.tree.map(np.asarray, y), energy=energy)
        return found, measures.field_grid(motion.dynamics, params, axes, still)

    return figures.motion_figures(
        run,
        axes,
        shown,
        (true, constants),
        names=(r"$\theta_1$ [rad]", r"$\dot{\theta}_1$ [1]"),
        system=system,
        parts=(r"d\theta_1/dt", r"d\dot{\theta}_1/dt"),
    )


def _shape(settings: Settings) -> dict[str, Any]:
    """The arguments of a network for so many links."""
    return {
        "num_coordinates": settings.links,
        "periodic": (True,) * settings.links,
        "kernel_init": "glorot_normal",
    }


def _naive(settings: Settings) -> dict[str, Any]:
    return {**_shape(settings), "state": TangentState}


_ADAM = Recipe(
    mode="trajectories",
    chunk=4,
    batch_size=200,
    steps=8000,
    learning_rate=1e-2,
    schedule="cosine",
)
#: A Lagrangian network does not bear the rate of the others; one without a mass matrix
#: that is positive by construction ends no better than it began.
_GENTLE = dataclasses.replace(_ADAM, learning_rate=2e-3)
_DAMPED = damped(64, 256, 1024, seconds=120.0, max_bend=optim.USUAL_BEND)

_NAMES = ("naive", "second_order", "structured", "delan")
_DAMPED_NAMES = ("structured", "delan")


def _made(name: str, layers: str) -> Make:
    """The network of a row, in angles and velocities."""
    if name == "naive":
        return network("neural_ode", _naive, layers)
    return network(name, _shape, layers, velocities=name == "structured")


_ROWS = {
    name: row(
        name,
        "adam",
        _made(name, "hidden"),
        _GENTLE if name == "delan" else _ADAM,
        observe=embedded,
    )
    for name in _NAMES
} | {
    f"{name}_levenberg_marquardt": damped_row(
        name,
        _made(name, "compact"),
        _DAMPED,
        view=_accelerated,
    )
    for name in _DAMPED_NAMES
}

#: Links → what was published: of networks for the vector field and for H, and of ones
#: for H in Cartesian coordinates with explicit constraints.
_PUBLISHED = {
    2: (6.5e-2, 1.9e-3, 1.2e-4),
    3: (0.27, 4.7e-2, 3.4e-4),
    5: (0.44, 0.34, 1.1e-3),
}


def _title(settings: Settings) -> str:
    """Above tables and figures."""
    return f"chain of {settings.links} pendula"


def _published(settings: Settings) -> dict[str, dict[str, float]]:
    """The figures of so many links; by Levenberg–Marquardt those of networks with
    explicit constraints."""
    if settings.links not in _PUBLISHED:
        return {}
    field, energy, constrained = _PUBLISHED[settings.links]
    errors = {"naive": field, "structured": energy}
    errors |= {f"{name}_levenberg_marquardt": constrained for name in _DAMPED_NAMES}
    return {name: {"rollout_error": x} for name, x in errors.items()}


EXPERIMENT = Experiment(
    name="pendulum_chain",
    summary="learn the energy of a chain of pendula from pieces of motion",
    title=_title,
    settings=Settings,
    sample=sample,
    rows=_ROWS,
    columns={"rollout_error": "rel. rollout error", "valid_time": "valid time"},
    measures=_measured,
    figures=_draw,
    published=_published,
)
