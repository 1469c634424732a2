"""Find the heat that was there, of what is left of it, by a network.

A network reads the final field y* of 64 × 64 nodes and gives what is to be added to it
for the initial one, less its mean, which diffusion keeps. What diffusion wiped out
hardly counts in the loss ½ Σ (y − y*)²: `control_error` is Σ |x − x*| of fresh fields,
the published measure. Problem and the mean: Holl, Koltun & Thuerey, NeurIPS 2022,
https://arxiv.org/abs/2109.15048, section 4.2, and its code, which reach 125 by Adam,
119 by gradient descent and 50 by SIP, with a U-net that sees 128 new fields in every
batch for over an hour on a GPU. Ours are a smaller network of periodic convolutions, a
training set, batches and rates. Leaving y* as it is scores some 280.
"""

import dataclasses

import jax
import jax.numpy as jnp

from jaxphys import models, plots, problems, training
from jaxphys.experiments import control, runner
from jaxphys.experiments.runner import RunOptions, Trained
from jaxphys.problems.heat import cooled
from jaxphys.types import Array, Model, Problem, PyTree


@dataclasses.dataclass(frozen=True)
class Config:
    """Find the heat that was there, of what is left of it.

    Attributes:
      options: what every run understands.
      size: nodes a side.
      amount: diffusivity times time, in squares of the spacing.
      samples: size of the training set, and of the test set.
      channels: of each hidden layer.
    """

    options: RunOptions = RunOptions()
    size: int = 64
    amount: float = 8.0
    samples: int = 256
    channels: tuple[int, ...] = (4, 4, 4)


METHODS = control.usual((16, 3e-3), (4, 0.1, 1e-5), 1, curvature=1.0)


def build(config: Config = Config()) -> tuple[Problem, Model]:
    """The problem and the network of a config."""
    dtype = runner.model_dtype(config.options)
    problem = problems.heat(config.size, amount=config.amount, dtype=dtype)
    network = models.convolution(config.size, config.channels, dtype=dtype)

    def apply(params: PyTree, inputs: Array) -> Array:
        change = network.apply(params, inputs)
        return inputs + change - jnp.mean(change)

    return problem, Model(network.init, apply)


def run(config: Config = Config()) -> Trained:
    """Train every chosen method, print the table, write results and figures."""
    built = build(config)
    key = jax.random.fold_in(jax.random.key(config.options.seed), 5)
    first, last = _fields(config, key, 64)

    def missed(control: Array, first: Array) -> Array:
        return jnp.sum(jnp.abs(control - first))

    sets = {"control_error": (last, first)}
    monitor = training.make_evaluate(built[1].apply, missed, sets)
    return control.run(
        "heat",
        built,
        METHODS,
        config,
        draw,
        seconds=60.0,
        milestones=(10, 1, 0.1),
        monitor=monitor,
        measures=("control_error",),
    )


def _fields(config: Config, key: Array, num_samples: int) -> tuple[Array, Array]:
    """Initial and final fields, flat."""
    dtype = runner.model_dtype(config.options)
    return cooled(key, num_samples, config.size, amount=config.amount, dtype=dtype)


def draw(
    config: Config, model: Model, params: dict[str, PyTree], best: str
) -> dict[str, plots.Figure]:
    """One fresh field, what is left of it, and what each method makes of that."""
    del best
    key = jax.random.fold_in(jax.random.key(config.options.seed), 4)
    (first,), (last,) = _fields(config, key, 1)
    shape = (config.size, config.size)
    found = {
        name: jnp.reshape(model.apply(weights, last), shape)
        for name, weights in params.items()
    }
    figure = plots.solved_fields(
        last.reshape(shape),
        first.reshape(shape),
        found,
        names=("final heat", "initial heat"),
    )
    return {"fields": figure}
