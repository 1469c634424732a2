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
import pathlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, mechanics, models, plots, systems
from jaxphys.experiments import dynamics, judging, lagrangian
from jaxphys.experiments.dynamics import Material, Row, Study, finite, shortened
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.mechanics import TorqueParts
from jaxphys.models import Normalization
from jaxphys.types import Array, Dynamics, PyTree, TangentState

ARM = systems.two_link_arm()
PERIODIC = (True, True)

#: Times of a motion, in s.
TIMES = np.linspace(0.0, 2.0, 50)

#: Typical sizes of angles, velocities, accelerations and torques of these motions.
UNITS = Normalization(
    np.zeros(2), np.ones(2), np.full(2, 2.0), np.full(2, 2.0), np.full(2, 10.0)
)

PARTS = TorqueParts._fields


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the torques of an arm.

    Attributes:
      options: what every run understands.
      motions: for training, 50 times each.
      hidden: units of each hidden layer of the networks that Adam trains.
      compact: of those that Levenberg–Marquardt trains.
      fast: a twentieth of the updates or of the time, and fewer motions.
    """

    options: RunOptions = RunOptions()
    motions: int = 64
    hidden: tuple[int, ...] = (64, 64)
    compact: tuple[int, ...] = (24, 24)
    fast: bool = False


def _moved(coefficients: Array, t: Array) -> Array:
    """Angles at a time: a middle, and three sines a joint."""
    middle, size, rate, phase = coefficients
    return middle[:, 0] + jnp.sum(size * jnp.sin(rate * t + phase), axis=1)


def motions(key: Array, count: int) -> data.Trajectories:
    """Reference motions with velocities, accelerations, and the torques they take."""
    bounds = jnp.array([[-np.pi, np.pi], [0.2, 0.8], [1.0, 5.0], [-np.pi, np.pi]])

    def drawn(key: Array) -> Array:
        low, high = (bounds[:, i, None, None] for i in (0, 1))
        return jax.random.uniform(key, (4, 2, 3), float, low, high)

    def at(coefficients: Array, t: Array) -> tuple[Array, Array, Array]:
        angles = functools.partial(_moved, coefficients)
        q, v = jax.jvp(angles, (t,), (jnp.ones_like(t),))
        a = jax.jacfwd(jax.jacfwd(angles))(t)
        return q, v, a

    each = jax.vmap(jax.vmap(at, (None, 0)), (0, None))
    coefficients = jax.vmap(drawn)(jax.random.split(key, count))
    q, v, a = jax.jit(each)(coefficients, jnp.asarray(TIMES, float))
    assert ARM.lagrangian is not None
    inverse = mechanics.inverse_dynamics(ARM.lagrangian)
    batched = jax.vmap(jax.vmap(functools.partial(inverse, ARM.params)))
    rows = (np.asarray(x) for x in (q, v, a, jax.jit(batched)(q, v, a)))
    q, v, a, u = rows
    return data.Trajectories(TIMES, q, v=v, dv=a, u=u)


def material(config: Config, seed: int) -> Material:
    """Motions for training and for the test."""
    keys = jax.random.split(jax.random.key(seed))
    count, test = (8, 4) if config.fast else (config.motions, 32)
    train, other = motions(keys[0], count), motions(keys[1], test)
    return Material([train], [other], [other], seed)


def _pointwise(found: data.Trajectories) -> tuple[Array, Array, Array]:
    assert found.v is not None
    assert found.dv is not None
    q, v, a = (jnp.asarray(x.reshape(-1, 2)) for x in (found.q, found.v, found.dv))
    return q, v, a


def true_parts(q: Array, v: Array, a: Array) -> TorqueParts:
    """What the arm's torques are spent on, (N, 2) each."""
    assert ARM.lagrangian is not None
    parts = functools.partial(mechanics.torque_parts(ARM.lagrangian), ARM.params)
    return jax.jit(jax.vmap(parts))(q, v, a)


def parts_of(motion: Dynamics, params: PyTree, q: Array, v: Array, a: Array):
    """The same of a model with an inverse."""
    assert motion.inverse is not None
    parts = functools.partial(mechanics.split_torque(motion.inverse), params)
    dtype = jax.tree.leaves(params)[0].dtype
    return jax.jit(jax.vmap(parts))(*(x.astype(dtype) for x in (q, v, a)))


def torques_of(motion: Dynamics, params: PyTree, q: Array, v: Array, a: Array) -> Array:
    """The torques of a model, (N, 2)."""
    assert motion.inverse is not None
    dtype = jax.tree.leaves(params)[0].dtype
    batched = jax.vmap(functools.partial(motion.inverse, params))
    return jax.jit(batched)(*(x.astype(dtype) for x in (q, v, a)))


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """Mean squared errors of torques, of their parts, and of the forward model."""
    (test,) = found.clean
    points = _pointwise(test)
    assert test.u is not None
    gap = torques_of(motion, params, *points) - test.u.reshape(-1, 2)
    measured = {"torque_mse": finite(jnp.mean(gap**2))}
    wanted = true_parts(*points)
    learned = parts_of(motion, params, *points)
    for name, x, y in zip(PARTS, learned, wanted, strict=True):
        measured[f"{name}_mse"] = finite(jnp.mean((x - y) ** 2))
    return measured


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Torques along a test motion and their parts; masses over the second angle."""
    (test,) = found.clean
    assert test.v is not None
    assert test.dv is not None
    q, v, a = (jnp.asarray(x[0]) for x in (test.q, test.v, test.dv))

    def shown(total: Array, parts: TorqueParts) -> dict[str, np.ndarray]:
        named = zip(("inertial", "Coriolis", "gravity"), parts, strict=True)
        every = {r"torque $\tau$": total, **{f"{k} part": x for k, x in named}}
        return {name: np.asarray(x) for name, x in every.items()}

    parts = true_parts(q, v, a)
    true = shown(jnp.sum(jnp.stack(parts), axis=0), parts)
    learned = {
        name: shown(torques_of(*model, q, v, a), parts_of(*model, q, v, a))
        for name, model in trained.items()
    }
    figures = {"torques": plots.torques(TIMES, true, learned)}
    x = np.linspace(-np.pi, np.pi, 121)
    masses = {
        name: _masses(*model, x)
        for name, model in trained.items()
        if model[0].energy is not None
    }
    expected = _masses(dynamics.truth(ARM, TangentState), ARM.params, x)
    if masses:
        figures["masses"] = plots.mass_matrices(
            x, expected, masses, name="$q_2$ [rad]", unit="kg m²"
        )
    return figures


def _masses(motion: Dynamics, params: PyTree, x: np.ndarray) -> np.ndarray:
    mass = lagrangian.mass_at_rest(motion)
    dtype = jnp.result_type(*jax.tree.leaves(params))

    def at(angle: Array) -> Array:
        return mass(params, jnp.stack([jnp.zeros_like(angle), angle]))

    return np.asarray(jax.jit(jax.vmap(at))(jnp.asarray(x, dtype)))


def _options(hidden: tuple[int, ...], dtype: jnp.dtype) -> dict:
    return {
        "hidden": hidden,
        "periodic": PERIODIC,
        "normalization": UNITS,
        "kernel_init": "glorot_normal",
        "dtype": dtype,
    }


def _delan(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.delan(2, **_options(getattr(config, layers), dtype))
    return models.lagrangian_dynamics(model)


def _lnn(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    options = _options(getattr(config, layers), dtype)
    return models.lagrangian_dynamics(models.lnn(2, **options))


def _structured(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    """The Hamiltonian network's motion told by q and v, with the torques of it."""
    options = _options(getattr(config, layers), dtype)
    model = models.structured(2, activation="softplus", **options)
    told = models.in_velocities(models.dynamics(model), model)
    inverse = mechanics.inverse_dynamics(model.parts["lagrangian"])
    return told._replace(inverse=inverse)


def _mlp(layers: str, config: Config, dtype: jnp.dtype) -> Dynamics:
    """A network of (cos q, sin q, v, q̈) that is the torque, and knows no mechanics."""
    net = models.mlp(
        (8, *getattr(config, layers), 2),
        activation="softplus",
        kernel_init="glorot_normal",
        dtype=dtype,
    )

    def inverse(params: PyTree, q: Array, v: Array, a: Array) -> Array:
        seen = jnp.concatenate([jnp.cos(q), jnp.sin(q), v / 2.0, a / 10.0])
        return 10.0 * net.apply(params, seen)

    def field(t: Array, y: TangentState, params: PyTree) -> TangentState:
        raise ValueError("this network tells torques of accelerations alone.")

    return Dynamics(net.init, field, TangentState, inverse=inverse)


def _adam(config: Config) -> Recipe:
    recipe = Recipe(
        mode="torques",
        steps=40_000,
        batch_size=64,
        learning_rate=3e-3,
        schedule="cosine",
    )
    return shortened(recipe) if config.fast else recipe


def _damped(config: Config) -> Recipe:
    recipe = lagrangian.levenberg_marquardt((64, 256), config)
    return dataclasses.replace(recipe, mode="torques")


MAKERS: dict[str, Callable] = {
    "mlp": _mlp,
    "lnn": _lnn,
    "structured": _structured,
    "delan": _delan,
}

METHODS = {
    name: Row(functools.partial(make, "hidden"), _adam) for name, make in MAKERS.items()
} | {
    f"{name}_levenberg_marquardt": Row(
        functools.partial(make, "compact"), _damped, "float64", name
    )
    for name, make in MAKERS.items()
}

_PUBLISHED = {"mlp": 6.2e-4, "lnn": 2.8e-5, "structured": 5.4e-6, "delan": 2.2e-5}

STUDY = Study(
    "two_link_arm",
    "two-link arm",
    METHODS,
    material,
    measure,
    {
        "torque_mse": "torque MSE",
        "inertia_mse": "inertial",
        "coriolis_mse": "Coriolis",
        "gravity_mse": "gravity",
    },
    {name: {"torque_mse": value} for name, value in _PUBLISHED.items()},
    draw,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
