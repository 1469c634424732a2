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
import pathlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, models, optim, plots, systems
from jaxphys.experiments import dynamics, judging, lagrangian
from jaxphys.experiments.dynamics import Material, Row, Study
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.plots import Sampled
from jaxphys.types import Array, Dynamics, PyTree, System, TangentState

DT = 0.03
TIMES = 101

#: Points of a piece.
POINTS = 5

#: By how much two estimates of an acceleration may differ, of its root mean square.
RESOLVED = 3e-3


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the energy of a chain of pendula from short pieces of motion.

    Attributes:
      options: what every run understands.
      links: number of pendula.
      pieces: of five points, for training; a trajectory gives one.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of those that Levenberg–Marquardt trains.
      test: trajectories of the test.
      fast: a twentieth of the updates, and fewer pieces.
    """

    options: RunOptions = RunOptions()
    links: int = 3
    pieces: int = 800
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (32, 32)
    test: int = 100
    fast: bool = False


def chain(links: int) -> System:
    """Masses and lengths .6 to 1.4 as published, the same in every run."""
    return systems.pendulum_chain(links, key=jax.random.key(0))


def _motions(system: System, key: Array, count: int) -> data.Trajectories:
    assert system.sample_tangent is not None
    first = jax.vmap(system.sample_tangent)(jax.random.split(key, count))
    first = jax.tree.map(lambda x: x.astype(float), first)
    ts = np.arange(TIMES) * DT
    path = dynamics.paths(
        dynamics.truth(system, TangentState), system.params, first, ts, longest=DT / 20
    )
    q, v = (np.asarray(x) for x in path)
    return data.Trajectories(ts, q, v=v)


def material(config: Config, seed: int) -> Material:
    """Five points of each of many trajectories; whole ones for the test."""
    system = chain(config.links)
    count, test = (40, 8) if config.fast else (config.pieces, config.test)
    keys = jax.random.split(jax.random.key(seed))
    whole = _motions(system, keys[0], count)
    assert whole.v is not None
    starts = np.random.default_rng(seed).integers(0, TIMES - POINTS, count)
    rows = starts[:, None] + np.arange(POINTS)
    pick = np.arange(count)[:, None]
    pieces = data.Trajectories(
        whole.t[:POINTS], whole.q[pick, rows], v=whole.v[pick, rows]
    )
    long = _motions(system, keys[1], test)
    assert long.v is not None
    short = data.Trajectories(long.t[:POINTS], long.q[:, :POINTS], v=long.v[:, :POINTS])
    return Material([pieces], [long], [short], seed)


def accelerated(found: list[data.Trajectories]) -> list[data.Trajectories]:
    """Pieces as single states with their accelerations; longer motions as they are.

    The first and last points are left out, and those where the accelerations of five
    points and of three differ by more than `RESOLVED` of their root mean square: there
    0.03 is too long for the motion.
    """
    return [_resolved(x) if len(x.t) == POINTS else x for x in found]


def _resolved(pieces: data.Trajectories) -> data.Trajectories:
    t, q, v = pieces.t, pieces.q, pieces.v
    assert v is not None
    a, coarse = (data.accelerations(t, q, v, window=w) for w in (POINTS, 3))
    gap = np.max(np.abs(a - coarse), axis=-1)
    kept = gap <= RESOLVED * np.sqrt(np.mean(a**2))
    kept[:, [0, -1]] = False
    q, v, a = (x[kept][:, None] for x in (q, v, a))
    return data.Trajectories(t[:1], q, v=v, dq=v, dv=a)


def seen(y: TangentState) -> Array:
    """What is matched of a state: (cos q, sin q, v)."""
    return jnp.concatenate([jnp.cos(y.q), jnp.sin(y.q), y.v])


def cartesian(system: System, q: Array, v: Array) -> Array:
    """Positions and velocities of all masses, (4 links,)."""
    points = system.points
    assert points is not None

    def place(q: Array) -> Array:
        return points(system.params, q)[1:].ravel()

    return jnp.concatenate(jax.jvp(place, (q,), (v,)))


def predicted(
    motion: Dynamics, params: PyTree, found: data.Trajectories
) -> TangentState:
    """The model's motion from the first states, (N, T, n)."""
    dtype = jax.tree.leaves(params)[0].dtype
    assert found.v is not None
    first = TangentState(*(jnp.asarray(x[:, 0], dtype) for x in (found.q, found.v)))
    return dynamics.paths(motion, params, first, found.t, longest=DT / 3)


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """Geometric means over T = 3, and their geometric mean over trajectories."""
    system = chain(config.links)
    (true,) = found.test
    q, v = predicted(motion, params, true)

    @jax.jit
    def error(q: Array, v: Array, true_q: Array, true_v: Array) -> Array:
        each = jax.vmap(lambda q, v: cartesian(system, q, v))
        return metrics.relative_error(each(q, v), each(true_q, true_v))

    errors = jax.vmap(error)(q, v, *(jnp.asarray(x, q.dtype) for x in true[1:4:2]))
    errors = jnp.where(jnp.isfinite(errors), errors, 1e3)
    times = jnp.asarray(true.t, errors.dtype)
    geometric = jax.vmap(lambda e: metrics.geometric_mean(e, times))(errors)
    valid = jax.vmap(lambda e: metrics.valid_time(times, e))(errors)
    return {
        "rollout_error": float(jnp.exp(jnp.mean(jnp.log(geometric)))),
        "valid_time": float(jnp.median(valid)),
    }


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Paths and energies of motions, and fields in a section.

    In the section the first pendulum has any angle and velocity, the rest hang still.
    """
    system = chain(config.links)
    true = dynamics.truth(system, TangentState)
    constants = jax.tree.map(jnp.asarray, system.params)
    (long,) = found.test
    assert long.v is not None
    assert true.energy is not None

    @jax.jit
    @jax.vmap
    @jax.vmap
    def places(q: Array) -> Array:
        assert system.points is not None
        return system.points(system.params, q)[1:].ravel()

    energies = jax.jit(jax.vmap(jax.vmap(partial(true.energy, constants))))

    def sampled(q, v) -> tuple[Sampled, Sampled]:
        """By angles and velocities, and by the places of the masses."""
        q, v = (jnp.asarray(x[:20], float) for x in (q, v))
        energy, at = np.asarray(energies(q, v)), np.asarray(places(q))
        angles = Sampled(long.t, np.asarray(q), np.asarray(v), energy)
        return angles, Sampled(long.t, at, at, energy)

    motions = {
        name: sampled(*predicted(*model, long)) for name, model in trained.items()
    }
    expected = sampled(long.q, long.v)
    angles, paths = ({k: x[i] for k, x in motions.items()} for i in (0, 1))
    names = (r"$\theta_1$ [rad]", r"$\dot{\theta}_1$ [1]")
    axes = (np.linspace(-np.pi, np.pi, 61), np.linspace(-4.0, 4.0, 61))
    still = np.zeros((2, config.links))

    def field(motion: Dynamics, params: PyTree):
        return judging.field_grid(motion, params, axes, still)

    figures = judging.compared_fields(
        axes,
        field(true, constants),
        {name: field(*model) for name, model in trained.items()},
        names,
        parts=(r"d\theta_1/dt", r"d\dot{\theta}_1/dt"),
    )
    return figures | {
        "motion": plots.learned_motion(expected[0], angles, names=names),
        "paths": plots.planar_paths(expected[1], paths),
        "energy": plots.energy_errors(expected[0], angles),
    }


def _options(layers: str, config: Config, dtype: jnp.dtype) -> dict[str, Any]:
    return {
        "num_coordinates": config.links,
        "hidden": getattr(config, layers),
        "periodic": (True,) * config.links,
        "kernel_init": "glorot_normal",
        "dtype": dtype,
    }


def _structured(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.structured(**_options(layers, config, dtype))
    motion = models.dynamics(model)
    return models.in_velocities(motion, model)


def _delan(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.delan(**_options(layers, config, dtype))
    return models.lagrangian_dynamics(model)


def _lnn(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    return models.lagrangian_dynamics(models.lnn(**_options(layers, config, dtype)))


def _naive(config: Config, dtype: jnp.dtype) -> Dynamics:
    options = _options("hidden", config, dtype)
    return models.neural_ode(state=TangentState, **options)


def _second_order(config: Config, dtype: jnp.dtype) -> Dynamics:
    return models.second_order(**_options("hidden", config, dtype))


def _adam(config: Config) -> Recipe:
    recipe = Recipe(
        mode="trajectories",
        chunk=4,
        batch_size=200,
        steps=8000,
        learning_rate=1e-2,
        schedule="cosine",
    )
    return dynamics.shortened(recipe) if config.fast else recipe


def _gentle(config: Config) -> Recipe:
    """Lagrangian networks do not bear the rate of the others."""
    return dataclasses.replace(_adam(config), learning_rate=2e-3)


def _damped(config: Config) -> Recipe:
    return lagrangian.levenberg_marquardt(
        (64, 256, 1024), config, 120.0, optim.USUAL_BEND
    )


_TOLD: dict[str, Callable] = {
    "lnn": _lnn,
    "structured": _structured,
    "delan": _delan,
}

METHODS = {
    "naive": Row(_naive, _adam, observe=seen),
    "second_order": Row(_second_order, _adam, observe=seen),
    "structured": Row(partial(_structured, "hidden"), _adam, observe=seen),
    "lnn": Row(partial(_lnn, "hidden"), _gentle, observe=seen),
    "delan": Row(partial(_delan, "hidden"), _gentle, observe=seen),
} | {
    f"{name}_levenberg_marquardt": Row(
        partial(make, "compact"), _damped, "float64", view=accelerated
    )
    for name, make in _TOLD.items()
}

#: Links → what was published: of networks for the vector field and for H, and of ones
#: for H in Cartesian coordinates with explicit constraints.
PUBLISHED = {
    2: (6.5e-2, 1.9e-3, 1.2e-4),
    3: (0.27, 4.7e-2, 3.4e-4),
    5: (0.44, 0.34, 1.1e-3),
}


def study(links: int) -> Study:
    """The `Study` of one number of links; by Levenberg–Marquardt the published figures
    are those of networks with explicit constraints."""
    published: dict[str, dict[str, float]] = {}
    if links in PUBLISHED:
        field, energy, constrained = PUBLISHED[links]
        errors = {"naive": field, "structured": energy}
        errors |= {f"{name}_levenberg_marquardt": constrained for name in _TOLD}
        published = {name: {"rollout_error": x} for name, x in errors.items()}
    return Study(
        "pendulum_chain",
        f"chain of {links} pendula",
        METHODS,
        material,
        measure,
        {"rollout_error": "rel. rollout error", "valid_time": "valid time"},
        published,
        draw,
    )


STUDY = study(Config.links)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(study(config.links), config)
