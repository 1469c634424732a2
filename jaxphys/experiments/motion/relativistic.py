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
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxphys import data, mechanics, models, plots, systems, trees
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import Experiment, Keys, Row, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion.rows import View, damped, row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    Dynamics,
    Model,
    PhaseState,
    PyTree,
    State,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = [
    "EXPERIMENT",
    "LAWS",
    "Settings",
    "accelerations",
    "hamiltonian_dynamics",
    "in_momenta",
    "in_velocities",
    "is_canonical",
    "rows",
    "sample",
    "system_of",
]

LAWS = {
    "published": systems.relativistic_particle,
    "special_relativity": systems.special_relativity,
}

#: Sizes of positions and of fields, as in the authors' code.
LENGTH, FIELD = 10.0, 10.0


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn the motion of a relativistic particle.

    Attributes:
      law: `published`, or `special_relativity`.
      states: for training.
      hidden: units of each hidden layer.
      fast: a twentieth of the time, and fewer states.
    """

    law: str = "published"
    states: int = 4096
    hidden: tuple[int, ...] = (24, 24)
    fast: bool = False


def system_of(law: str) -> System:
    """The particle of a law; its field is given anew for each state."""
    check_known("law", law, LAWS)
    return LAWS[law](gravity=1.0)


def _exact(law: str, v: Any, g: Any) -> Any:
    """The acceleration, in closed form."""
    slow = 1 - v**2
    if law == "published":
        return g * slow**2.5 / (1 + 2 * v**2)
    return g * slow**1.5


def _states(law: str, q: ArrayLike, v: ArrayLike, g: ArrayLike) -> Trajectories:
    """Single states in q and v under fields g, (N, 1) each, with their exact rates."""
    rows = (q, v, _exact(law, v, g), g)
    at, speed, a, u = (np.asarray(x)[:, None] for x in rows)
    y, rate = TangentState(at, speed), TangentState(speed, a)
    return Trajectories(np.zeros(1), y, rate, u)


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Random states for training and for the test, each in a field of its own."""
    del dtype
    draw = required(system_of(settings.law), "sample_tangent")

    def states(key: Array, count: int) -> Trajectories:
        for_states, for_fields = jax.random.split(key)
        first = jax.vmap(draw)(jax.random.split(for_states, count))
        q, v = (x.astype(float) for x in first)
        g = FIELD * jax.random.normal(for_fields, (count, 1), float)
        return _states(settings.law, q, v, g)

    train = states(keys.train, 512 if settings.fast else settings.states)
    test = states(keys.test, 4096)
    return Samples([train], [test], [test])


def in_momenta(law: str) -> View:
    """The view in canonical momenta: p = ∂L/∂v, whose rate is the field."""
    system = system_of(law)
    momentum = mechanics.momentum(required(system, "lagrangian"))
    batched = jax.vmap(jax.vmap(momentum, (None, 0, 0)), (None, 0, 0))

    def one(seen: Trajectories) -> Trajectories:
        p = np.asarray(batched(system.params, *seen.y))
        rate = PhaseState(seen.y[1], seen.u)
        return seen._replace(y=PhaseState(seen.y.q, p), rate=rate)

    def view(found: list[Trajectories]) -> list[Trajectories]:
        return [one(each) for each in found]

    return view


def in_velocities(found: list[Trajectories]) -> list[Trajectories]:
    """The view with velocities where momenta should be: not canonical."""
    return [
        each._replace(y=PhaseState(*each.y), rate=each.rate and PhaseState(*each.rate))
        for each in found
    ]


def _network(settings: Settings, dtype: jnp.dtype, inputs: int) -> Model:
    return models.mlp(
        (inputs, *settings.hidden, 1),
        activation="tanh",
        kernel_init="glorot_normal",
        dtype=dtype,
    )


def _seen(q: Array, speed: Array, g: Array) -> Array:
    return jnp.concatenate([q / LENGTH, speed, g / FIELD])


def _lnn(settings: Settings, dtype: jnp.dtype) -> Dynamics:
    """L = K(q, w; g) + ½ w² + V(q; g), with the rapidity w = artanh v.

    What depends on v is of size one, the work of a field over a distance a hundred
    times that; one network for both would have masses of that size, of either sign.
    Units are tanh: with softplus a mass may run off to where accelerations vanish.
    """
    kinetic, potential = (_network(settings, dtype, n) for n in (3, 2))

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


def _hnn(settings: Settings, dtype: jnp.dtype) -> Dynamics:
    """H = (1 + p²)^(1/2) T(p) + V(q; g): large where momenta are."""
    kinetic, potential = (_network(settings, dtype, n) for n in (1, 2))

    def hamiltonian(args: PyTree, q: Array, p: Array) -> Array:
        params, g = args
        fast = jnp.sqrt(1 + p[0] ** 2) * kinetic.apply(
            params["kinetic"], jnp.arcsinh(p)
        )
        return fast[0] + _work(potential, params, q, g)

    return hamiltonian_dynamics(_both(kinetic, potential), hamiltonian)


def _hnn_velocities(settings: Settings, dtype: jnp.dtype) -> Dynamics:
    """H(q, v; g), as if v were the momentum of q."""
    net = _network(settings, dtype, 3)

    def hamiltonian(args: PyTree, q: Array, v: Array) -> Array:
        params, g = args
        return LENGTH * net.apply(params, _seen(q, jnp.arctanh(v), g))[0]

    return hamiltonian_dynamics(net.init, hamiltonian)


def hamiltonian_dynamics(init: Callable, hamiltonian: Callable) -> Dynamics:
    """The motion of H((params, g), q, p) in a field g."""
    field = mechanics.hamiltonian_vector_field(hamiltonian)
    return Dynamics(init, field, PhaseState, hamiltonian, num_controls=1)


def accelerations(
    motion: Motion, params: PyTree, found: list[Trajectories], *, canonical: bool
) -> Array:
    """q̈ as a model has it at the states of a data set, (N,).

    Args:
      motion, params: the model.
      found: single states in q and v, or in q and p.
      canonical: whether the second half of a state is a canonical momentum; the
        acceleration is then the rate of dq/dt along the model's own motion. Otherwise
        it is a velocity, and the acceleration its rate.
    """
    field = motion.dynamics.vector_field
    moments, _ = data.moments(found)
    states, fields = trees.cast((moments.y, moments.u), measures.dtype_of(params))

    def one(y: State, g: Array) -> Array:
        def rate(y: State) -> State:
            return field(0.0, y, (params, g))

        along = rate(y)
        if not canonical:
            return along[1][0]
        return jax.jvp(lambda y: rate(y)[0], (y,), (along,))[1][0]

    return jax.jit(jax.vmap(one))(states, fields)


def is_canonical(row: Row) -> bool:
    """Whether a row's states hold momenta: not velocities, nor these in their place."""
    return row.view is not None and row.view is not in_velocities


def _measured(trained: Trained) -> dict[str, float]:
    """The weighted mean of |error of q̈|, and the mean without weights."""
    clean, row = trained.samples.clean, trained.subject.row
    found = accelerations(
        trained.subject.built, trained.params, clean, canonical=is_canonical(row)
    )
    moments, rates = data.moments(clean)
    # The rate of q is the velocity, whatever else the state holds.
    v, g = (np.asarray(x, float)[:, 0] for x in (rates.q, moments.u))
    gap = np.abs(np.asarray(found) - _exact(trained.settings.law, v, g))
    weights = 1 + (1 - v**2) ** -0.5
    return {
        "weighted_error": finite(np.sum(gap * weights) / np.sum(weights)),
        "mean_error": finite(np.mean(gap)),
    }


def _draw(run: Run) -> dict[str, plots.Figure]:
    """Accelerations over speed in fields of three strengths, and their errors."""
    law = run.settings.law
    v = np.tanh(np.linspace(-3.5, 3.5, 141))[:, None]
    true: dict[str, np.ndarray] = {}
    learned: dict[str, dict[str, np.ndarray]] = {name: {} for name in run.params}
    for strength in (-10.0, 3.0, 10.0):
        case, g = f"$g$ = {strength:g}", np.full_like(v, strength)
        states = [_states(law, np.ones_like(v), v, g)]
        true[case] = np.asarray(_exact(law, v, g))[:, 0]
        for name, params in run.params.items():
            subject = run.subjects[name]
            seen = subject.sees(Samples(states, states, states)).clean
            found = accelerations(
                subject.built, params, seen, canonical=is_canonical(subject.row)
            )
            learned[name][case] = np.asarray(found)
    names = ("speed $v$ [c]", r"$\ddot{q}$ [1]")
    figure = plots.learned_functions(
        v[:, 0], true, learned, names=names, looks=run.looks
    )
    return {"accelerations": figure}


_ADAM = Recipe(steps=20_000, batch_size=128, learning_rate=3e-3, schedule="one_cycle")
_DAMPED = damped(64, 256)


def rows(settings: Settings) -> dict[str, Row]:
    """L in q and v; H in q and v, which must fail; H in q and p of the law."""
    optimizer, dtype = "levenberg_marquardt", "float64"
    return {
        "lnn": row("lnn", "adam", _lnn, _ADAM),
        "lnn_levenberg_marquardt": row("lnn", optimizer, _lnn, _DAMPED, dtype=dtype),
        "hnn_velocities_levenberg_marquardt": row(
            "hnn_velocities",
            optimizer,
            _hnn_velocities,
            _DAMPED,
            dtype=dtype,
            view=in_velocities,
        ),
        "hnn_levenberg_marquardt": row(
            "hnn", optimizer, _hnn, _DAMPED, dtype=dtype, view=in_momenta(settings.law)
        ),
    }


EXPERIMENT = Experiment(
    name="relativistic",
    summary="learn a relativistic particle's motion, by L and by H",
    title="relativistic particle",
    settings=Settings,
    sample=sample,
    rows=rows,
    columns={"weighted_error": "weighted L1", "mean_error": "mean L1"},
    measures=_measured,
    figures=_draw,
    published={
        "lnn": {"weighted_error": 7.9e-4},
        "lnn_levenberg_marquardt": {"weighted_error": 7.9e-4},
        "hnn_velocities_levenberg_marquardt": {"weighted_error": 0.41},
        "hnn_levenberg_marquardt": {"weighted_error": 2.4e-4},
    },
)
