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

from jaxphys import models, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.types import Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Invert an exponential by a network.

    Attributes:
      options: what every run understands.
      low: the lowest solution; published is −12.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      activation: of the hidden layers.
    """

    options: RunOptions = RunOptions()
    low: float = -12.0
    samples: int = 4000
    hidden: tuple[int, ...] = (16, 64, 16)
    activation: str = "sigmoid"


METHODS = control.usual((100, 1e-3), (100, 1.0, 1e-6), 100, curvature=1.0)


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.exponential(config.low, dtype=dtype)
    sizes = (1, *config.hidden, 1)
    return problem, models.mlp(sizes, activation=config.activation, dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    built = build(config)
    return control.run(
        "exponential",
        built,
        METHODS,
        config,
        draw,
        milestones=(1e-3, 1e-5, 1e-7),
        monitor=control.control_error(
            built, lambda error: jnp.sum(jnp.abs(error)), config.options.seed
        ),
        measures=("control_error",),
    )


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """What each method's network gives for every target, and its error."""
    del best
    solutions = jnp.linspace(config.low, 0.0, 401, dtype=config.options.dtype)
    found = {
        name: jax.vmap(model.apply, (None, 0))(weights, jnp.exp(solutions)[:, None])
        for name, weights in params.items()
    }
    figure = plots.learned_functions(
        solutions,
        solutions[:, None],
        found,
        argument=r"logarithm of the target, $\ln y^*$ [1]",
        names=("control $u$ [1]",),
    )
    return {"learned": figure}
