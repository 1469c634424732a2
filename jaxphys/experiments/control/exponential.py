"""Invert an exponential, whose gradients vanish where its values are small.

A network reads y* = exp x, x ~ U[−12, 0), and is to give u = x; the loss is ½ (exp u −
y*)². `control_error` is |u − x|. Problem, network (1-16-64-16-1, sigmoid) and batch:
Holl, Koltun & Thuerey, NeurIPS 2022, https://arxiv.org/abs/2109.15048, section 4.1, and
its code. There every batch is new and plain gradient descent trains; here there is a
training set and Adam. Settings of second-order methods are ours.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxphys import plots, problems
from jaxphys.experiments.control.rows import (
    Steering,
    control_error,
    steering,
    usual_rows,
)
from jaxphys.experiments.experiment import Run

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Invert an exponential by a network.

    Attributes:
      low: the lowest solution; published is −12.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      activation: of the hidden layers.
    """

    low: float = -12.0
    samples: int = 4000
    hidden: tuple[int, ...] = (16, 64, 16)
    activation: str = "sigmoid"


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The exponential, and the network that inverts it."""
    problem = problems.exponential(settings.low, dtype=dtype)
    return Steering.perceptron(problem, settings, dtype, activation=settings.activation)


ROWS = usual_rows(build, (100, 1e-3), (100, 1.0, 1e-6), 100, curvature=1.0)


def _figures(run: Run) -> dict[str, plots.Figure]:
    """What each method's network gives for every target, and its error."""
    solutions = jnp.linspace(run.settings.low, 0.0, 401, dtype=run.options.dtype)
    over_targets = jax.vmap(run.built.model.apply, (None, 0))
    targets = jnp.exp(solutions)[:, None]
    figure = plots.learned_functions(
        solutions,
        {"": solutions},
        {
            name: {"": over_targets(params, targets)[:, 0]}
            for name, params in run.params.items()
        },
        names=(r"logarithm of the target, $\ln y^*$ [1]", "control $u$ [1]"),
        looks=run.looks,
    )
    return {"learned": figure}


EXPERIMENT = steering(
    "exponential",
    "invert an exponential, whose gradients vanish",
    Settings,
    build,
    ROWS,
    figures=_figures,
    milestones=(1e-3, 1e-5, 1e-7),
    monitor=control_error(lambda error: jnp.sum(jnp.abs(error))),
    measured=("control_error",),
)
