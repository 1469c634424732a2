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
from functools import partial

import jax.numpy as jnp
import numpy as np

from jaxphys import data, plots
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import (
    Experiment,
    Keys,
    Row,
    Run,
    Samples,
    Subject,
    Trained,
)
from jaxphys.experiments.measures import finite
from jaxphys.experiments.motion import particle, rapidity
from jaxphys.experiments.motion.rows import damped, damped_row, row
from jaxphys.experiments.motion.samples import drawn
from jaxphys.learning import Recipe
from jaxphys.types import Array, PyTree, Trajectories

__all__ = ["EXPERIMENT", "Settings", "is_canonical", "rows", "sample"]


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


def sample(settings: Settings, keys: Keys, dtype: jnp.dtype) -> Samples:
    """Random states for training and for the test, each in a field of its own."""
    del dtype
    count = 512 if settings.fast else settings.states
    return drawn(partial(particle.random_fields, settings.law), keys, count, 4096)


def is_canonical(row: Row) -> bool:
    """Whether a row's states hold momenta: not velocities, nor these in their place."""
    return row.view is not None and row.view is not particle.in_velocities


def _accelerations(subject: Subject, params: PyTree, seen: list[Trajectories]) -> Array:
    canonical = is_canonical(subject.row)
    return measures.accelerations(subject.built, params, seen, canonical=canonical)


def _measured(trained: Trained) -> dict[str, float]:
    """The weighted mean of |error of q̈|, and the mean without weights."""
    found = _accelerations(trained.subject, trained.params, trained.samples.clean)
    moments, rates = data.moments(trained.samples.clean)
    # The rate of q is the velocity, whatever else the state holds.
    v, g = (np.asarray(x, float)[:, 0] for x in (rates.q, moments.u))
    gap = np.abs(np.asarray(found) - particle.acceleration(trained.settings.law, v, g))
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
        states = [particle.states(law, np.ones_like(v), v, g)]
        true[case] = np.asarray(particle.acceleration(law, v, g))[:, 0]
        for name, params in run.params.items():
            subject = run.subjects[name]
            seen = subject.sees(Samples(states, states, states)).clean
            learned[name][case] = np.asarray(_accelerations(subject, params, seen))
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
        "lnn_levenberg_marquardt": damped_row("lnn", rapidity.lnn, _DAMPED),
        "hnn_velocities_levenberg_marquardt": damped_row(
            "hnn_velocities",
            rapidity.hnn_velocities,
            _DAMPED,
            view=particle.in_velocities,
        ),
        "hnn_levenberg_marquardt": damped_row(
            "hnn", rapidity.hnn, _DAMPED, view=particle.in_momenta(settings.law)
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
