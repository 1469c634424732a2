"""Poisson's equation, solved by a network that is trained through the Laplacian.

8 × 8 nodes held at zero around, a network of 64-64-128-64-64 with tanh: the Jacobian of
a batch of 64 has 4096 rows of 24 896 columns. Setting: Schnell, Holl & Thuerey, ICLR
2022, section 3.4, whose η = 0.01 for the sum over the batch is 0.64 for its mean.
"""

import dataclasses

import jax.numpy as jnp
import optax

from jaxphys import optim, plots, problems
from jaxphys.experiments.control.rows import Steering, row, steering, usual_rows
from jaxphys.experiments.experiment import Run
from jaxphys.problems.poisson import solve

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Solve Poisson's equation by a network.

    Attributes:
      size: nodes a side.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    size: int = 8
    samples: int = 4096
    hidden: tuple[int, ...] = (64, 128, 64)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The Laplacian, and the network that inverts it."""
    problem = problems.poisson(settings.size, dtype=dtype)
    return Steering.perceptron(problem, settings, dtype)


def _layerwise(batch_size: int) -> optax.GradientTransformation:
    """HIG by the layers' factors, with momentum."""
    del batch_size
    return optax.chain(
        optim.scale_by_kronecker(power=-0.5),
        optax.scale_by_learning_rate(0.1),
        optax.trace(0.95, nesterov=True),
    )


ROWS = usual_rows(build, (64, 3e-4), (64, 0.64, 1e-5), 8, curvature=1.0) | {
    "hig_kronecker": row(build, "hig_kronecker", 64, _layerwise),
    # 256 samples ask more than the weights can give and have more outputs than a matrix
    # of them can hold; products tell it fast enough.
    "levenberg_marquardt": row(
        build,
        "levenberg_marquardt",
        256,
        lambda b: optim.levenberg_marquardt(
            method="lanczos", iterations=30, tolerance=0.1
        ),
        residual=True,
    ),
}


def _figures(run: Run) -> dict[str, plots.Figure]:
    """One fresh source, its potential, and what each method makes of it."""
    problem, model = run.built
    (source,), _ = problem.sample(run.keys.draw, 1)
    shape = (run.settings.size, run.settings.size)
    found = {
        name: jnp.reshape(model.apply(params, source), shape)
        for name, params in run.params.items()
    }
    square = source.reshape(shape)
    figure = plots.solved_fields(square, solve(square), found, looks=run.looks)
    return {"fields": figure}


EXPERIMENT = steering(
    "poisson",
    "solve Poisson's equation by a network, through the Laplacian",
    Settings,
    build,
    ROWS,
    figures=_figures,
    seconds=60.0,
)
