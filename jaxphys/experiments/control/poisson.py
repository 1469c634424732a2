"""Poisson's equation, solved by a network that is trained through the Laplacian.

8 × 8 nodes held at zero around, a network of 64-64-128-64-64 with tanh: the Jacobian of
a batch of 64 has 4096 rows of 24 896 columns. Setting: Schnell, Holl & Thuerey, ICLR
2022, section 3.4, whose η = 0.01 for the sum over the batch is 0.64 for its mean.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jaxphys import models, optim, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import Method, RunOptions, Trained
from jaxphys.problems.poisson import solve
from jaxphys.types import Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Solve Poisson's equation by a network.

    Attributes:
      options: what every run understands.
      size: nodes a side.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    options: RunOptions = RunOptions()
    size: int = 8
    samples: int = 4096
    hidden: tuple[int, ...] = (64, 128, 64)


def _layerwise(batch_size: int) -> optax.GradientTransformation:
    """HIG by the layers' factors, with momentum."""
    del batch_size
    return optax.chain(
        optim.scale_by_kronecker(power=-0.5),
        optax.scale_by_learning_rate(0.1),
        optax.trace(0.95, nesterov=True),
    )


_USUAL = control.usual((64, 3e-4), (64, 0.64, 1e-5), 8, curvature=1.0)
METHODS = _USUAL | {
    "hig_kronecker": Method(64, _layerwise),
    # 256 samples ask more than the weights can give, products tell it fast enough.
    "levenberg_marquardt": Method(
        256,
        lambda b: optim.levenberg_marquardt(
            method="lanczos", iterations=30, tolerance=0.1
        ),
        residual=True,
    ),
}


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.poisson(config.size, dtype=dtype)
    sizes = (problem.num_inputs, *config.hidden, problem.num_controls)
    return problem, models.mlp(sizes, dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    return control.run("poisson", build(config), METHODS, config, draw, seconds=60.0)


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """One fresh source, its potential, and what each method makes of it."""
    del best
    problem, _ = build(config)
    key = jax.random.fold_in(jax.random.key(config.options.seed), 4)
    (source,), _ = problem.sample(key, 1)
    shape = (config.size, config.size)
    found = {
        name: jnp.reshape(model.apply(weights, source), shape)
        for name, weights in params.items()
    }
    square = source.reshape(shape)
    return {"fields": plots.solved_fields(square, solve(square), found)}
