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

from jaxphys import plots, problems
from jaxphys.experiments.control.rows import (
    Steering,
    control_error,
    steering,
    usual_rows,
)
from jaxphys.experiments.experiment import Run
from jaxphys.types import Array, PyTree, required

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Invert a badly scaled, turned sine by a network.

    Attributes:
      conditioning: ξ; published are 1 to 64.
      angle: φ, in degrees.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
      activation: of the hidden layers.
    """

    conditioning: float = 32.0
    angle: float = 45.0
    samples: int = 4000
    hidden: tuple[int, ...] = (32, 64, 32)
    activation: str = "relu"


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The sine, and the network that inverts it."""
    problem = problems.rotated_sine(settings.conditioning, settings.angle, dtype=dtype)
    return Steering.perceptron(problem, settings, dtype, activation=settings.activation)


# The true step, which has no damping, ends worse here than it began.
ROWS = usual_rows(
    build,
    (100, 1e-3),
    (100, 1.0, 1e-6),
    100,
    curvature=1.0,
    left_out=("gauss_newton_true_step",),
)


def _figures(run: Run) -> dict[str, plots.Figure]:
    """How far each method's controls are from a solution, over all targets."""
    problem, model = run.built
    invert = required(problem, "invert")
    nodes = jnp.linspace(-1.0, 1.0, 101, dtype=run.options.dtype)
    targets = jnp.stack(jnp.meshgrid(nodes, nodes, indexing="ij"), axis=-1)

    def distance(params: PyTree, target: Array) -> Array:
        control = model.apply(params, target)
        return jnp.linalg.norm(control - invert(control, target, target))

    over_square = jax.vmap(jax.vmap(distance, (None, 0)), (None, 0))
    figure = plots.errors_over_targets(
        nodes,
        {name: over_square(params, targets) for name, params in run.params.items()},
        size=r"distance of $u$ to a solution [1]",
        looks=run.looks,
    )
    return {"errors": figure}


EXPERIMENT = steering(
    "rotated_sine",
    "invert a badly scaled, turned sine by a network",
    Settings,
    build,
    ROWS,
    figures=_figures,
    milestones=(1e-1, 1e-3, 1e-5),
    monitor=control_error(jnp.linalg.norm),
    measured=("control_error",),
)
