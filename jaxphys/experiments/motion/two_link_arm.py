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

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, mechanics, models, plots, systems
from jaxphys.experiments import figures, measures
from jaxphys.experiments.experiment import Experiment, Keys, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion.rows import Make, damped, damped_row, network, row
from jaxphys.learning import Recipe
from jaxphys.models import Normalization
from jaxphys.motion import of_system
from jaxphys.types import Array, Dynamics, PyTree, TangentState, Trajectories, required

__all__ = [
    "ARM",
    "EXPERIMENT",
    "TIMES",
    "TRUE",
    "Settings",
    "points",
    "sample",
    "spent",
]

ARM = systems.two_link_arm()
TRUE = of_system(ARM, TangentState)

#: Times of a motion, in s.
TIMES = np.linspace(0.0, 2.0, 50)

#: Typical sizes of angles, velocities, accelerations and torques of these motions.
_UNITS = Normalization(
    np.zeros(2), np.ones(2), np.full(2, 2.0), np.full(2, 2.0), np.full(2, 10.0)
)

#: Of torques and of what they are spent on, in figures.
_LABELS = (r"torque $\tau$", "inertial part", "Coriolis part", "gravity part")


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

    inverse = functools.partial(required(TRUE, "inverse"), ARM.params)
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


def spent(motion: Dynamics, params: PyTree, *at: Array) -> dict[str, Array]:
    """Torques of (q, v, q̈), and what they are spent on, (N, 2) each, by name."""
    inverse = required(motion, "inverse")
    split = mechanics.split_torque(inverse)

    @jax.jit
    @jax.vmap
    def each(*at: Array) -> dict[str, Array]:
        parts = split(params, *at)._asdict()
        return {"torque": inverse(params, *at), **parts}

    return each(*(x.astype(measures.dtype_of(params)) for x in at))


def _measured(trained: Trained) -> dict[str, float]:
    """Mean squared errors of torques and of their parts."""
    *at, torques = points(trained.samples.clean)
    found = spent(trained.subject.built.dynamics, trained.params, *at)
    true = spent(TRUE, ARM.params, *at) | {"torque": torques}
    return {
        f"{name}_mse": finite(jnp.mean((found[name] - true[name]) ** 2))
        for name in true
    }


def _draw(run: Run) -> figures.Figures:
    """Torques along a test motion and their parts; masses over the second angle."""
    *at, _ = (x[: len(TIMES)] for x in points(run.samples.clean))

    def shown(motion: Dynamics, params: PyTree) -> dict[str, np.ndarray]:
        named = zip(_LABELS, spent(motion, params, *at).values(), strict=True)
        return {label: np.asarray(x) for label, x in named}

    learned = {
        name: shown(run.subjects[name].built.dynamics, params)
        for name, params in run.params.items()
    }
    true = shown(TRUE, ARM.params)
    masses = figures.mass_figures(
        run,
        TRUE,
        ARM.params,
        np.linspace(-np.pi, np.pi, 121),
        jnp.zeros(2),
        name="$q_2$ [rad]",
        unit="kg m²",
    )
    torques = plots.torques(TIMES, true, learned, looks=run.looks)
    return {"torques": torques} | masses


def _plain(layers: str) -> Make:
    """A network of (cos q, sin q, v, q̈) that is the torque, and knows no mechanics."""

    def make(settings: Settings, dtype: jnp.dtype) -> Dynamics:
        net = models.mlp(
            (8, *getattr(settings, layers), 2),
            activation="softplus",
            kernel_init="glorot_normal",
            dtype=dtype,
        )

        def inverse(params: PyTree, q: Array, v: Array, a: Array) -> Array:
            seen = jnp.concatenate([jnp.cos(q), jnp.sin(q), v / 2.0, a / 10.0])
            return 10.0 * net.apply(params, seen)

        return Dynamics(net.init, _unknown, TangentState, inverse=inverse)

    return make


def _unknown(t: Array, y: TangentState, params: PyTree) -> TangentState:
    raise ValueError(
        "this network gives the torque of an acceleration, and no acceleration of a "
        "state; take lnn, structured or delan to follow a motion."
    )


_SHAPE = {
    "num_coordinates": 2,
    "periodic": (True, True),
    "normalization": _UNITS,
    "kernel_init": "glorot_normal",
}
_ADAM = Recipe(
    mode="torques",
    steps=40_000,
    batch_size=64,
    learning_rate=3e-3,
    schedule="cosine",
)
_DAMPED = damped(64, 256, mode="torques")


def _made(name: str, layers: str) -> Make:
    """The network of a row."""
    if name == "mlp":
        return _plain(layers)
    if name == "structured":
        smooth = {**_SHAPE, "activation": "softplus"}
        return network(name, smooth, layers, velocities=True)
    return network(name, _SHAPE, layers)


_NAMES = ("mlp", "lnn", "structured", "delan")

_ROWS = {name: row(name, "adam", _made(name, "hidden"), _ADAM) for name in _NAMES} | {
    f"{name}_levenberg_marquardt": damped_row(
        name,
        _made(name, "compact"),
        _DAMPED,
        time_of=name,
    )
    for name in _NAMES
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
