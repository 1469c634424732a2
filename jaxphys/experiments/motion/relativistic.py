"""A particle near the speed of light in a uniform field: three models of its motion.

L = (1 − v²)^(−1/2) − 1 + g q as published, or −(1 − v²)^(1/2) + g q, Einstein's;
q ~ U[−10, 10), g ~ 10 N(0, 1), v = 0.99999 tanh(2 N(0, 1)). A Lagrangian network needs
q and v alone; a Hamiltonian one needs the canonical momentum, and given v in its place
it must fail: no function of (q, v) has both rates as its derivatives. Judged is the
error of the acceleration, |error|, weighted by 1 + (1 − v²)^(−1/2) as the authors do.
Published figures: Cranmer et al., Lagrangian Neural Networks, 2020, section 4.2,
networks of 4 × 500 units; ours have 2 × 24 and see speeds below one as artanh v,
momenta as arsinh p.
"""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, mechanics, models, plots, systems
from jaxphys.experiments import dynamics, judging, lagrangian
from jaxphys.experiments.dynamics import Material, Row, Study, finite, shortened
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.learning import Recipe
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    Dynamics,
    Model,
    PhaseState,
    PyTree,
    System,
    TangentState,
)

LAWS = {
    "published": systems.relativistic_particle,
    "special_relativity": systems.special_relativity,
}

#: Sizes of positions and of fields, as in the authors' code.
LENGTH, FIELD = 10.0, 10.0


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn the motion of a relativistic particle.

    Attributes:
      options: what every run understands.
      law: `published`, or `special_relativity`.
      states: for training.
      hidden: units of each hidden layer.
      fast: a twentieth of the time, and fewer states.
    """

    options: RunOptions = RunOptions()
    law: str = "published"
    states: int = 4096
    hidden: tuple[int, ...] = (24, 24)
    fast: bool = False


def system_of(law: str) -> System:
    """The particle of a law; its field is given anew for each state."""
    check_known("law", law, LAWS)
    return LAWS[law](gravity=1.0)


def exact(law: str, v: Array, g: Array) -> Array:
    """The acceleration, in closed form."""
    slow = 1 - v**2
    if law == "published":
        return g * slow**2.5 / (1 + 2 * v**2)
    return g * slow**1.5


def _states(law: str, key: Array, count: int) -> data.Trajectories:
    """Random states with their fields; both v and p, each with its rate."""
    system = system_of(law)
    for_states, for_fields = jax.random.split(key)
    assert system.sample_tangent is not None
    assert system.lagrangian is not None
    q, v = jax.vmap(system.sample_tangent)(jax.random.split(for_states, count))
    q, v = (x.astype(float) for x in (q, v))
    g = FIELD * jax.random.normal(for_fields, (count, 1), float)
    momentum = mechanics.momentum(system.lagrangian)
    p = jax.vmap(momentum, (None, 0, 0))(system.params, q, v)
    rows = {"q": q, "p": p, "v": v, "dq": v, "dp": g, "dv": exact(law, v, g), "u": g}
    stacked: dict[str, Any] = {k: np.asarray(x)[:, None] for k, x in rows.items()}
    return data.Trajectories(np.zeros(1), **stacked)


def material(config: Config, seed: int) -> Material:
    """States for training and for the test."""
    count = 512 if config.fast else config.states
    keys = jax.random.split(jax.random.key(seed))
    train, test = (
        _states(config.law, key, n) for key, n in zip(keys, (count, 4096), strict=True)
    )
    return Material([train], [test], [test], seed)


def in_velocities(trajectories: data.Trajectories) -> data.Trajectories:
    """The same, with velocities where momenta should be: not canonical."""
    return trajectories._replace(
        p=trajectories.v, dp=trajectories.dv, meta={"canonical": False}
    )


def _network(config: Config, dtype: jnp.dtype, inputs: int, outputs: int = 1) -> Model:
    return models.mlp(
        (inputs, *config.hidden, outputs),
        activation="tanh",
        kernel_init="glorot_normal",
        dtype=dtype,
    )


def _seen(q: Array, speed: Array, g: Array) -> Array:
    return jnp.concatenate([q / LENGTH, speed, g / FIELD])


def _lnn(config: Config, dtype: jnp.dtype) -> Dynamics:
    """L = K(q, w; g) + ½ w² + V(q; g), with the rapidity w = artanh v.

    What depends on v is of size one, the work of a field over a distance a hundred
    times that; one network for both would have masses of that size, of either sign.
    Units are tanh: with softplus a mass may run off to where accelerations vanish.
    """
    kinetic, potential = _network(config, dtype, 3), _network(config, dtype, 2)

    def lagrangian(args: PyTree, q: Array, v: Array) -> Array:
        params, g = args
        rapidity = jnp.arctanh(v)
        inner = kinetic.apply(params["kinetic"], _seen(q, rapidity, g))[0]
        return inner + rapidity @ rapidity / 2 + _work(potential, params, q, g)

    return Dynamics(
        _both(kinetic, potential),
        mechanics.lagrangian_vector_field(lagrangian),
        TangentState,
        mechanics.energy(lagrangian),
        num_controls=1,
    )


def _both(kinetic: Model, potential: Model) -> Callable[[Array], PyTree]:
    """The first weights of an energy in two parts."""

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"kinetic": kinetic.init(first), "potential": potential.init(second)}

    return init


def _work(potential: Model, params: PyTree, q: Array, g: Array) -> Array:
    where = jnp.concatenate([q / LENGTH, g / FIELD])
    return LENGTH * FIELD * potential.apply(params["potential"], where)[0]


def _hnn(config: Config, dtype: jnp.dtype) -> Dynamics:
    """H = (1 + p²)^(1/2) T(p) + V(q; g): large where momenta are."""
    kinetic, potential = _network(config, dtype, 1), _network(config, dtype, 2)

    def hamiltonian(args: PyTree, q: Array, p: Array) -> Array:
        params, g = args
        fast = jnp.sqrt(1 + p[0] ** 2) * kinetic.apply(
            params["kinetic"], jnp.arcsinh(p)
        )
        return fast[0] + _work(potential, params, q, g)

    return _hamiltonian_dynamics(_both(kinetic, potential), hamiltonian)


def _hnn_velocities(config: Config, dtype: jnp.dtype) -> Dynamics:
    """H(q, v; g), as if v were the momentum of q."""
    net = _network(config, dtype, 3)

    def hamiltonian(args: PyTree, q: Array, v: Array) -> Array:
        params, g = args
        return LENGTH * net.apply(params, _seen(q, jnp.arctanh(v), g))[0]

    return _hamiltonian_dynamics(net.init, hamiltonian)


def _hamiltonian_dynamics(init: Callable, hamiltonian: Callable) -> Dynamics:
    field = mechanics.hamiltonian_vector_field(hamiltonian)
    return Dynamics(init, field, PhaseState, hamiltonian, num_controls=1)


def accelerations(motion: Dynamics, params: PyTree, found: data.Trajectories) -> Array:
    """q̈ as a model has it at the states of a data set, (N,).

    It is the rate of v, where the model is told by v; where it is told by momenta, the
    rate of dq/dt along its own motion.
    """
    canonical = found.meta.get("canonical", True)
    kind = motion.state
    dtype = jax.tree.leaves(params)[0].dtype
    assert found.u is not None
    states = (found.q, judging.second(found, kind), found.u)
    rows = (jnp.asarray(x[:, 0], dtype) for x in states)

    def one(q: Array, x: Array, g: Array) -> Array:
        def rate(y: PyTree) -> PyTree:
            return motion.vector_field(0.0, y, (params, g))

        y = kind(q, x)
        along = rate(y)
        if kind is TangentState or not canonical:
            return along[1][0]
        return jax.jvp(lambda y: rate(y)[0], (y,), (along,))[1][0]

    return jax.jit(jax.vmap(one))(*rows)


def measure(
    config: Config, motion: Dynamics, params: PyTree, found: Material
) -> dict[str, float]:
    """The weighted mean of |error of q̈|, and the mean without weights."""
    (test,) = found.clean
    assert test.v is not None
    assert test.dv is not None
    gap = np.abs(np.asarray(accelerations(motion, params, test)) - test.dv[:, 0, 0])
    weights = 1 + (1 - test.v[:, 0, 0] ** 2) ** -0.5
    return {
        "weighted_error": finite(np.sum(gap * weights) / np.sum(weights)),
        "mean_error": finite(np.mean(gap)),
    }


def draw(
    config: Config, trained: judging.Models, found: Material, out: pathlib.Path
) -> dict[str, plots.Figure]:
    """Accelerations over speed in fields of three strengths, and their errors."""
    law = config.law
    system = system_of(law)
    assert system.lagrangian is not None
    momentum = mechanics.momentum(system.lagrangian)
    v = np.tanh(np.linspace(-3.5, 3.5, 141))
    column = jnp.asarray(v)[:, None]
    p = jax.vmap(momentum, (None, 0, 0))(system.params, 0 * column, column)
    true: dict[str, np.ndarray] = {}
    learned: dict[str, dict[str, np.ndarray]] = {name: {} for name in trained}
    for strength in (-10.0, 3.0, 10.0):
        case = f"$g$ = {strength:g}"
        u = np.full((len(v), 1, 1), strength)
        states = data.Trajectories(
            np.zeros(1),
            np.ones_like(u),
            np.asarray(p)[:, None],
            v[:, None, None],
            u=u,
        )
        true[case] = np.asarray(exact(law, jnp.asarray(v), jnp.asarray(strength)))
        for name, (motion, params) in trained.items():
            seen = METHODS[name].view([states])[0]
            learned[name][case] = np.asarray(accelerations(motion, params, seen))
    names = ("speed $v$ [c]", r"$\ddot{q}$ [1]")
    return {"accelerations": plots.laws(v, true, learned, names=names)}


def _damped(config: Config) -> Recipe:
    return lagrangian.levenberg_marquardt((64, 256), config)


def _adam(config: Config) -> Recipe:
    recipe = Recipe(
        steps=20_000, batch_size=128, learning_rate=3e-3, schedule="one_cycle"
    )
    return shortened(recipe) if config.fast else recipe


METHODS = {
    "lnn": Row(_lnn, _adam),
    "lnn_levenberg_marquardt": Row(_lnn, _damped, "float64"),
    "hnn_velocities_levenberg_marquardt": Row(
        _hnn_velocities,
        _damped,
        "float64",
        view=lambda found: [in_velocities(each) for each in found],
    ),
    "hnn_levenberg_marquardt": Row(_hnn, _damped, "float64"),
}

STUDY = Study(
    "relativistic",
    "relativistic particle",
    METHODS,
    material,
    measure,
    {"weighted_error": "weighted L1", "mean_error": "mean L1"},
    {
        "lnn": {"weighted_error": 7.9e-4},
        "lnn_levenberg_marquardt": {"weighted_error": 7.9e-4},
        "hnn_velocities_levenberg_marquardt": {"weighted_error": 0.41},
        "hnn_levenberg_marquardt": {"weighted_error": 2.4e-4},
    },
    draw,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    check_known("law", config.law, LAWS)
    return dynamics.run(STUDY, config)
