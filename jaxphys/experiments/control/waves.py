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

from jaxphys import models, optim, plots, problems
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import Method, RunOptions, Trained
from jaxphys.types import Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Learn two waves, one of them through a physics that makes it tiny.

    Attributes:
      options: what every run understands.
      scale: λ, by which the physics multiplies the second wave.
      samples: size of the training set, and of the test set.
      hidden: units of each hidden layer.
    """

    options: RunOptions = RunOptions()
    scale: float = 0.01
    samples: int = 1024
    hidden: tuple[int, ...] = (7,)


_USUAL = control.usual((256, 3e-3), (256, 1.0, 1e-6), 256, curvature=1.0)
METHODS = _USUAL | {
    # Whole data, bent steps: a minimum is reached in some 300 of them.
    "levenberg_marquardt": Method(
        1024,
        lambda b: optim.levenberg_marquardt(max_bend=optim.USUAL_BEND),
        residual=True,
    ),
    # Batches leave some of the local minima that whole data stay in.
    "levenberg_marquardt_starts": Method(
        128,
        lambda b: optim.levenberg_marquardt(max_bend=optim.USUAL_BEND),
        residual=True,
        starts=64,
    ),
    # SPRING solves in the space of the outputs, of which 30 parameters reach 30.
    "spring": _USUAL["spring"]._replace(batch_size=32),
}


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.scaled_waves(config.scale, dtype=dtype)
    return problem, models.mlp((1, *config.hidden, 2), dtype=dtype)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    built = build(config)
    return control.run(
        "waves",
        built,
        METHODS,
        config,
        draw,
        milestones=(1e-3, 1e-5, 1e-6),
        monitor=control.control_error(
            built, lambda error: jnp.sum(error**2) / 2, config.options.seed
        ),
        measures=("control_error",),
    )


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """Both waves, what each method makes of them, and its error."""
    del best
    x = jnp.linspace(-1.0, 1.0, 401, dtype=config.options.dtype)
    wanted = jnp.stack([jnp.sin(6 * x), jnp.cos(9 * x)], axis=1)
    found = {
        name: jax.vmap(model.apply, (None, 0))(weights, x[:, None])
        for name, weights in params.items()
    }
    figure = plots.learned_functions(
        x, wanted, found, argument="$x$ [1]", names=(r"$\sin 6x$", r"$\cos 9x$")
    )
    return {"learned": figure}
