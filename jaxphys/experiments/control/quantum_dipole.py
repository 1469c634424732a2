"""A particle in a box, steered to a superposition of levels 2 and 3 by a field.

14 points, 384 Crank–Nicolson steps of 0.05, a field for each; a network of
28-20-20-20-384 with tanh reads the wanted state. The loss is the infidelity; methods
that need squares take those of its residual. Setting: Schnell, Holl & Thuerey, ICLR
2022, section 3.3.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxphys import plots, problems
from jaxphys.experiments.control.rows import Steering, steering, usual_rows
from jaxphys.experiments.experiment import Run
from jaxphys.problems.quantum_dipole import (
    motion,
    populations,
    positions,
    superposition,
)

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Steer a particle in a box from its ground state to a superposition.

    Attributes:
      points: interior points of the box.
      time_steps: of Crank and Nicolson.
      controls: number of fields, each held for as many steps.
      dt: the time step.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    points: int = 14
    time_steps: int = 384
    controls: int = 384
    dt: float = 0.05
    samples: int = 1024
    hidden: tuple[int, ...] = (20, 20, 20)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The particle, and the network that steers it."""
    problem = problems.quantum_dipole(
        settings.points,
        num_steps=settings.time_steps,
        num_controls=settings.controls,
        dt=settings.dt,
        dtype=dtype,
    )
    return Steering.perceptron(problem, settings, dtype)


# Those left out stay at the fidelity of no field at all.
ROWS = usual_rows(
    build,
    (256, 5e-4),
    (16, 0.5, 1e-5),
    16,
    left_out=("sip", "gauss_newton_true_step"),
)


def _figures(run: Run) -> dict[str, plots.Figure]:
    """One fresh target, and how the best network's field leads to it."""
    settings, (problem, model) = run.settings, run.built
    (goal,), _ = problem.sample(run.keys.draw, 1)
    fields = model.apply(run.params[run.best], goal)
    first = jnp.asarray(superposition([1.0], settings.points), goal.dtype)
    held = settings.time_steps // settings.controls
    path = motion(fields, first, dt=settings.dt, held=held)
    wanted = jax.lax.complex(goal[: settings.points], goal[settings.points :])
    times = settings.dt * jnp.arange(settings.time_steps + 1)
    figure = plots.controlled_state(
        times,
        positions(settings.points),
        jnp.abs(path) ** 2,
        populations(path),
        populations(wanted),
        fields,
    )
    return {"motion": figure}


EXPERIMENT = steering(
    "quantum_dipole",
    "steer a particle in a box to a superposition, by a field",
    Settings,
    build,
    ROWS,
    figures=_figures,
    seconds=120.0,
    milestones=(1e-1, 1e-2, 1e-3, 1e-4),
)
