"""A particle in a box, steered to a superposition of levels 2 and 3 by a field.

14 points, 384 Crank–Nicolson steps of 0.05, a field for each; a network of
28-20-20-20-384 with tanh reads the wanted state. The loss is the infidelity; methods
that need squares take those of its residual. Setting: Schnell, Holl & Thuerey, ICLR
2022, section 3.3.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxphys import models, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.problems.quantum_dipole import (
    motion,
    populations,
    positions,
    superposition,
)
from jaxphys.types import Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Steer a particle in a box from its ground state to a superposition.

    Attributes:
      options: what every run understands.
      points: interior points of the box.
      time_steps: of Crank and Nicolson.
      controls: number of fields, each held for as many steps.
      dt: the time step.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    options: RunOptions = RunOptions()
    points: int = 14
    time_steps: int = 384
    controls: int = 384
    dt: float = 0.05
    samples: int = 1024
    hidden: tuple[int, ...] = (20, 20, 20)


METHODS = control.usual((256, 5e-4), (16, 0.5, 1e-5), 16)


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.quantum_dipole(
        config.points,
        num_steps=config.time_steps,
        num_controls=config.controls,
        dt=config.dt,
        dtype=dtype,
    )
    sizes = (problem.num_inputs, *config.hidden, problem.num_controls)
    return problem, models.mlp(sizes, dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    return control.run(
        "quantum_dipole",
        build(config),
        METHODS,
        config,
        draw,
        seconds=120.0,
        milestones=(1e-1, 1e-2, 1e-3, 1e-4),
    )


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """One fresh target, and how the best network's field leads to it."""
    problem, _ = build(config)
    key = jax.random.fold_in(jax.random.key(config.options.seed), 4)
    (goal,), _ = problem.sample(key, 1)
    fields = model.apply(params[best], goal)
    first = jnp.asarray(superposition([1.0], config.points), goal.dtype)
    held = config.time_steps // config.controls
    path = motion(fields, first, dt=config.dt, held=held)
    wanted = jax.lax.complex(goal[: config.points], goal[config.points :])
    times = config.dt * jnp.arange(config.time_steps + 1)
    figure = plots.controlled_state(
        times,
        positions(config.points),
        jnp.abs(path) ** 2,
        populations(path),
        populations(wanted),
        fields,
    )
    return {"motion": figure}
