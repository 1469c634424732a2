"""A robot arm of two links: torques of motions, and what they are spent on.

τ = M(q) q̈ + c(q, v) + g(q). Reference motions are sums of three sines a joint, 64 of
them for training, 50 times each; what is matched is the torque of (q, v, q̈). A DeLaN
and a Hamiltonian network with a mass matrix know the parts of a torque apart, a
Lagrangian network without structure as well; a plain network of (q, v, q̈) knows the
sum. The motions of the published figures are not public; theirs are of Lutter & Peters,
Combining Physics and Deep Learning to learn Continuous-Time Dynamics Models, 2023.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, mechanics, models, plots, systems
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion.rows import damped, row, with_layers
from jaxphys.learning import Recipe
from jaxphys.mechanics import TorqueParts
from jaxphys.models import Normalization
from jaxphys.types import Array, Dynamics, PyTree, TangentState, Trajectories, required

__all__ = [
    "ARM",
    "EXPERIMENT",
    "PARTS",
    "TIMES",
    "Settings",
    "points",
    "sample",
    "true_parts",
]

ARM = systems.two_link_arm()
_LAGRANGIAN = required(ARM, "lagrangian")

#: Times of a motion, in s.
TIMES = np.linspace(0.0, 2.0, 50)

#: Typical sizes of angles, velocities, accelerations and torques of these motions.
_UNITS = Normalization(
    np.zeros(2), np.ones(2), np.full(2, 2.0), np.full(2, 2.0), np.full(2, 10.0)
)

PARTS = TorqueParts._fields


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


def _angles(coefficients: Array, t: Array) -> Array:
    """Angles at a time: a middle, and three sines a joint."""
    middle, size, rate, phase = coefficients
    return middle[:, 0] + jnp.sum(size * jnp.sin(rate * t + phase), axis=1)


def _drawn(key: Array) -> Array:
    """Random middles, sizes, rates and phases of one motion, (4, 2, 3)."""
    bounds = jnp.array([[-np.pi, np.pi], [0.2, 0.8], [1.0, 5.0], [-np.pi, np.pi]])
    low, high = (bounds[:, i, None, None] for i in (0, 1))
    return jax.random.uniform(key, (4, 2, 3), float, low, high)


def _reference_motions(key: Array, count: int) -> Trajectories:
    """Reference motions with velocities, accelerations, and the torques they take."""

    def at(coefficients: Array, t: Array) -> tuple[Array, Array, Array]:
        angles = functools.partial(_angles, coefficients)
        q, v = jax.jvp(angles, (t,), (jnp.ones_like(t),))
        a = jax.jacfwd(jax.jacfwd(angles))(t)
        return q, v, a

    inverse = functools.partial(mechanics.inverse_dynamics(_LAGRANGIAN), ARM.params)
    each = jax.vmap(jax.vmap(at, (None, 0)), (0, None))
    coefficients = jax.vmap(_drawn)(jax.random.split(key, count))
    q, v, a = jax.jit(each)(coefficients, jnp.asarray(TIMES, float))
    u = jax.jit(jax.vmap(jax.vmap(inverse)))(q, v, a)
    q, v, a, u = (np.asarray(x) for x in (q, v, a, u))
    return Trajectories(TIMES, TangentState(q, v), TangentState(v, a), u)


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Motions for training and for the test."""
    del dtype
    count, tests = (8, 4) if settings.fast else (settings.motions, 32)
    train = _reference_motions(keys.train, count)
    test = _reference_motions(keys.test, tests)
    return Samples([train], [test], [test])


def points(found: list[Trajectories]) -> tuple[Array, Array, Array, Array]:
    """q, v, q̈ and the torque at all times of all motions, (N, 2) each."""
    moments, rates = data.moments(found)
    q, v, a, u = jax.tree.leaves((moments.y, rates.v, moments.u))
    return q, v, a, u


def true_parts(q: Array, v: Array, a: Array) -> TorqueParts:
    """What the arm's torques are spent on, (N, 2) each."""
    parts = functools.partial(mechanics.torque_parts(_LAGRANGIAN), ARM.params)
    return jax.jit(jax.vmap(parts))(q, v, a)


def _parts_of(motion: Dynamics, params: PyTree, *at: Array) -> TorqueParts:
    """The same of a model with an inverse."""
    split = mechanics.split_torque(required(motion, "inverse"))
    dtype = measures.dtype_of(params)
    batched = jax.vmap(functools.partial(split, params))
    return jax.jit(batched)(*(x.astype(dtype) for x in at))


def _torques_of(motion: Dynamics, params: PyTree, *at: Array) -> Array:
    """The torques of a model, (N, 2)."""
    dtype = measures.dtype_of(params)
    batched = jax.vmap(functools.partial(required(motion, "inverse"), params))
    return jax.jit(batched)(*(x.astype(dtype) for x in at))


def _measured(trained: Trained) -> dict[str, float]:
    """Mean squared errors of torques and of their parts."""
    motion, params = trained.subject.built.dynamics, trained.params
    *at, torques = points(trained.samples.clean)
    gap = _torques_of(motion, params, *at) - torques
    errors = {"torque_mse": finite(jnp.mean(gap**2))}
    both = zip(_parts_of(motion, params, *at), true_parts(*at), strict=True)
    for name, (x, y) in zip(PARTS, both, strict=True):
        errors[f"{name}_mse"] = finite(jnp.mean((x - y) ** 2))
    return errors


def _draw(run: Run) -> dict[str, plots.Figure]:
    """Torques along a test motion and their parts; masses over the second angle."""
    *at, torques = (x[: len(TIMES)] for x in points(run.samples.clean))

    def shown(total: Array, parts: TorqueParts) -> dict[str, np.ndarray]:
        named = zip(("inertial", "Coriolis", "gravity"), parts, strict=True)
        every = {r"torque $\tau$": total, **{f"{k} part": x for k, x in named}}
        return {name: np.asarray(x) for name, x in every.items()}

    x = np.linspace(-np.pi, np.pi, 121)
    learned, masses = {}, {}
    for name, params in run.params.items():
        motion = run.subjects[name].built.dynamics
        total = _torques_of(motion, params, *at)
        learned[name] = shown(total, _parts_of(motion, params, *at))
        if motion.energy is not None:
            masses[name] = _masses(motion.energy, params, x)
    true = shown(torques, true_parts(*at))
    figures = {"torques": plots.torques(TIMES, true, learned, looks=run.looks)}
    if masses:
        expected = _masses(mechanics.energy(_LAGRANGIAN), ARM.params, x)
        figures["masses"] = plots.mass_matrices(
            x, expected, masses, name="$q_2$ [rad]", unit="kg m²", looks=run.looks
        )
    return figures


def _masses(energy: Callable, params: PyTree, x: np.ndarray) -> np.ndarray:
    mass = measures.mass_at_rest(energy)

    def at(angle: Array) -> Array:
        return mass(params, jnp.stack([jnp.zeros_like(angle), angle]))

    dtype = measures.dtype_of(params)
    return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(x, dtype)))


def _options(hidden: tuple[int, ...], dtype: jnp.dtype) -> dict[str, Any]:
    return {
        "hidden": hidden,
        "periodic": (True, True),
        "normalization": _UNITS,
        "kernel_init": "glorot_normal",
        "dtype": dtype,
    }


def _mlp(settings: Settings, hidden: tuple[int, ...], dtype: jnp.dtype) -> Dynamics:
    """A network of (cos q, sin q, v, q̈) that is the torque, and knows no mechanics."""
    del settings
    net = models.mlp(
        (8, *hidden, 2),
        activation="softplus",
        kernel_init="glorot_normal",
        dtype=dtype,
    )

    def inverse(params: PyTree, q: Array, v: Array, a: Array) -> Array:
        seen = jnp.concatenate([jnp.cos(q), jnp.sin(q), v / 2.0, a / 10.0])
        return 10.0 * net.apply(params, seen)

    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        raise ValueError(
            "this network gives the torque of an acceleration, and no acceleration of "
            "a state; take lnn, structured or delan to follow a motion."
        )

    return Dynamics(net.init, field, TangentState, inverse=inverse)


def _lnn(settings: Settings, hidden: tuple[int, ...], dtype: jnp.dtype) -> Dynamics:
    del settings
    return models.lagrangian_dynamics(models.lnn(2, **_options(hidden, dtype)))


def _structured(
    settings: Settings, hidden: tuple[int, ...], dtype: jnp.dtype
) -> Dynamics:
    """The Hamiltonian network's motion in q and v, with the torques of it."""
    del settings
    model = models.structured(2, activation="softplus", **_options(hidden, dtype))
    motion = models.in_velocities(models.dynamics(model), model)
    inverse = mechanics.inverse_dynamics(required(model, "lagrangian"))
    return motion._replace(inverse=inverse)


def _delan(settings: Settings, hidden: tuple[int, ...], dtype: jnp.dtype) -> Dynamics:
    del settings
    return models.lagrangian_dynamics(models.delan(2, **_options(hidden, dtype)))


_ADAM = Recipe(
    mode="torques",
    steps=40_000,
    batch_size=64,
    learning_rate=3e-3,
    schedule="cosine",
)
_DAMPED = damped(64, 256, mode="torques")

_MAKERS: dict[str, Callable] = {
    "mlp": _mlp,
    "lnn": _lnn,
    "structured": _structured,
    "delan": _delan,
}

_ROWS = {
    name: row(name, "adam", with_layers(make, "hidden"), _ADAM)
    for name, make in _MAKERS.items()
} | {
    f"{name}_levenberg_marquardt": row(
        name,
        "levenberg_marquardt",
        with_layers(make, "compact"),
        _DAMPED,
        dtype="float64",
        time_of=name,
    )
    for name, make in _MAKERS.items()
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
