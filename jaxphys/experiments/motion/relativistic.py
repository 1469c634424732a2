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
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxphys import data, mechanics, plots, systems
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import Experiment, Keys, Row, Run, Samples, Trained
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion import rapidity
from jaxphys.experiments.motion.rows import View, damped, damped_row, row
from jaxphys.learning import Recipe
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    PhaseState,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = [
    "EXPERIMENT",
    "LAWS",
    "Settings",
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
        g = rapidity.FIELD * jax.random.normal(for_fields, (count, 1), float)
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


def is_canonical(row: Row) -> bool:
    """Whether a row's states hold momenta: not velocities, nor these in their place."""
    return row.view is not None and row.view is not in_velocities


def _measured(trained: Trained) -> dict[str, float]:
    """The weighted mean of |error of q̈|, and the mean without weights."""
    clean, row = trained.samples.clean, trained.subject.row
    found = measures.accelerations(
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
            found = measures.accelerations(
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
    return {
        "lnn": row("lnn", "adam", rapidity.lnn, _ADAM),
        "lnn_levenberg_marquardt": damped_row(
            "lnn",
            rapidity.lnn,
            _DAMPED,
        ),
        "hnn_velocities_levenberg_marquardt": damped_row(
            "hnn_velocities",
            rapidity.hnn_velocities,
            _DAMPED,
            view=in_velocities,
        ),
        "hnn_levenberg_marquardt": damped_row(
            "hnn",
            rapidity.hnn,
            _DAMPED,
            view=in_momenta(settings.law),
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
