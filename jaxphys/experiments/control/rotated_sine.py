"""Invert a sine whose two outputs differ in scale by ξ², turned by an angle φ.

A network reads y* in the square [−1, 1)² and gives u with (sin(s û1/ξ), s ξ û2) = y*,
û = R_φ u. `control_error` is the distance to the nearest solution. Problem, network
(2-32-64-32-2, ReLU), batch and rate: Holl, Koltun & Thuerey, NeurIPS 2022,
https://arxiv.org/abs/2109.15048, section 4.1, and its code. There every batch is new,
SIP inverts by Newton's method and measures |u − u_new|; here there is a training set,
SIP inverts exactly and measures |u − u_new|². Second-order methods have settings of
ours.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxphys import models, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.types import Array, Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Invert a badly scaled, turned sine by a network.

    Attributes:
      options: what every run understands.
      conditioning: ξ; published are 1 to 64.
      angle: φ, in degrees.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      activation: of the hidden layers.
    """

    options: RunOptions = RunOptions()
    conditioning: float = 32.0
    angle: float = 45.0
    samples: int = 4000
    hidden: tuple[int, ...] = (32, 64, 32)
    activation: str = "relu"


METHODS = control.usual((100, 1e-3), (100, 1.0, 1e-6), 100, curvature=1.0)


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.rotated_sine(config.conditioning, config.angle, dtype=dtype)
    sizes = (2, *config.hidden, 2)
    return problem, models.mlp(sizes, activation=config.activation, dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    built = build(config)
    return control.run(
        "rotated_sine",
        built,
        METHODS,
        config,
        draw,
        milestones=(1e-1, 1e-3, 1e-5),
        monitor=control.control_error(built, jnp.linalg.norm, config.options.seed),
        measures=("control_error",),
    )


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """How far each method's controls are from a solution, over all targets."""
    del best
    problem, _ = build(config)
    invert = problem.invert
    assert invert is not None
    nodes = jnp.linspace(-1.0, 1.0, 101, dtype=config.options.dtype)
    targets = jnp.stack(jnp.meshgrid(nodes, nodes, indexing="ij"), axis=-1)

    def distance(params: PyTree, target: Array) -> Array:
        control = model.apply(params, target)
        return jnp.linalg.norm(control - invert(control, target, target))

    over_square = jax.vmap(jax.vmap(distance, (None, 0)), (None, 0))
    errors = {name: over_square(weights, targets) for name, weights in params.items()}
    figure = plots.errors_over_targets(
        nodes, errors, size=r"distance of $u$ to a solution [1]"
    )
    return {"errors": figure}
