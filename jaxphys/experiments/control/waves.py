"""Two waves to learn, one of them through a physics that makes it tiny.

The physics returns (u1, λ u2), the network is to give u = (sin 6x, cos 9x), and the
loss is ½ r1² + ½ (λ r2)²: at λ = 0.01 it hardly shows whether the second wave is
learned at all, so the table has `control_error` beside it, ½ |u − (sin 6x, cos 9x)|².
Problem, network (1-7-2, tanh) and λ: Schnell, Holl & Thuerey, ICLR 2022,
https://arxiv.org/abs/2203.10131, section 2, whose runs at λ = 0.01 end at 0.24 by Adam,
0.40 by Gauss–Newton and 2.8e-3 by HIG; a second wave left at zero is worth 0.24. Ours
are samples, batches and rates.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.rows import (
    Steering,
    control_error,
    row,
    steering,
    usual_rows,
)
from jaxphys.experiments.experiment import Run
from jaxphys.types import Array

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build", "half_square"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Learn two waves, one of them through a physics that makes it tiny.

    Attributes:
      scale: λ, by which the physics multiplies the second wave.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    scale: float = 0.01
    samples: int = 1024
    hidden: tuple[int, ...] = (7,)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The physics, and the network that gives both waves."""
    problem = problems.scaled_waves(settings.scale, dtype=dtype)
    return Steering.perceptron(problem, settings, dtype)


def half_square(error: Array) -> Array:
    """The published measure of an error in u."""
    return jnp.sum(error**2) / 2


def _bent(batch_size: int) -> optax.GradientTransformation:
    del batch_size
    return optim.levenberg_marquardt(max_bend=optim.USUAL_BEND)


ROWS = usual_rows(build, (256, 3e-3), (256, 1.0, 1e-6), 256, curvature=1.0) | {
    # Whole data, bent steps: a minimum is reached in some 300 of them.
    "levenberg_marquardt": row(
        build, "levenberg_marquardt", 1024, _bent, residual=True
    ),
    # Batches leave some of the local minima that whole data stay in.
    "levenberg_marquardt_starts": row(
        build, "levenberg_marquardt_starts", 128, _bent, residual=True, starts=64
    ),
    # SPRING solves in the space of the outputs, of which 30 parameters reach 30.
    "spring": row(build, "spring", 32, lambda b: optim.spring(), residual=True),
}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """Both waves, what each method makes of them, and its error."""
    x = jnp.linspace(-1.0, 1.0, 401, dtype=run.options.dtype)
    over_x = jax.vmap(run.built.model.apply, (None, 0))
    learned = {}
    for name, params in run.params.items():
        first, second = over_x(params, x[:, None]).T
        learned[name] = {r"$\sin 6x$": first, r"$\cos 9x$": second}
    figure = plots.learned_functions(
        x,
        {r"$\sin 6x$": jnp.sin(6 * x), r"$\cos 9x$": jnp.cos(9 * x)},
        learned,
        names=("$x$ [1]", "wave [1]"),
        looks=run.looks,
    )
    return {"learned": figure}


EXPERIMENT = steering(
    "waves",
    "learn two waves, one of them through a physics that makes it tiny",
    Settings,
    build,
    ROWS,
    figures=_figures,
    milestones=(1e-3, 1e-5, 1e-6),
    monitor=control_error(half_square),
    measured=("control_error",),
)
