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
from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxphys import models, plots, problems, training
from jaxphys.experiments.control.rows import Steering, steering, usual_rows
from jaxphys.experiments.experiment import Keys, Run
from jaxphys.problems.heat import cooled
from jaxphys.types import Array, Model, PyTree

__all__ = ["EXPERIMENT", "ROWS", "Settings", "build"]

#: Fields on which `control_error` judges.
_JUDGED = 64


@dataclasses.dataclass(frozen=True)
class Settings:
    """Find the heat that was there, of what is left of it.

    Attributes:
      size: nodes a side.
      amount: diffusivity times time, in squares of the spacing.
      samples: size of the training set, and of the test set.
      channels: of each hidden layer.
    """

    size: int = 64
    amount: float = 8.0
    samples: int = 256
    channels: tuple[int, ...] = (4, 4, 4)


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """Diffusion, and the network that inverts it and keeps the mean."""
    problem = problems.heat(settings.size, amount=settings.amount, dtype=dtype)
    network = models.convolution(settings.size, settings.channels, dtype=dtype)

    def apply(params: PyTree, inputs: Array) -> Array:
        change = network.apply(params, inputs)
        return inputs + change - jnp.mean(change)

    return Steering(problem, Model(network.init, apply))


# With their usual rates and dampings those left out do not halve the loss here.
ROWS = usual_rows(
    build,
    (16, 3e-3),
    (4, 0.1, 1e-5),
    1,
    model="convolution",
    curvature=1.0,
    left_out=("gauss_newton", "gauss_newton_true_step", "spring"),
)


def _fields(
    settings: Settings, key: Array, count: int, dtype: jnp.dtype
) -> tuple[Array, Array]:
    """Initial and final fields, flat."""
    return cooled(key, count, settings.size, amount=settings.amount, dtype=dtype)


def _monitor(settings: Settings, built: Steering, keys: Keys) -> Callable:
    """The published measure: Σ |x − x*| of fresh fields, whose x* is known."""
    weights = jax.eval_shape(built.model.init, keys.network)
    dtype = jnp.result_type(*jax.tree.leaves(weights))
    key = jax.random.fold_in(jax.random.key(keys.seed), 5)
    first, last = _fields(settings, key, _JUDGED, dtype)
    evaluate = training.make_evaluate(
        built.model.apply, lambda control, first: jnp.sum(jnp.abs(control - first))
    )
    return lambda params: evaluate(params, {"control_error": (last, first)})


def _figures(run: Run) -> dict[str, plots.Figure]:
    """One fresh field, what is left of it, and what each method makes of that."""
    settings, model = run.settings, run.built.model
    dtype = jnp.dtype(run.options.dtype)
    (first,), (last,) = _fields(settings, run.keys.draw, 1, dtype)
    shape = (settings.size, settings.size)
    figure = plots.solved_fields(
        last.reshape(shape),
        first.reshape(shape),
        {
            name: jnp.reshape(model.apply(params, last), shape)
            for name, params in run.params.items()
        },
        names=("final heat", "initial heat"),
        looks=run.looks,
    )
    return {"fields": figure}


EXPERIMENT = steering(
    "heat",
    "find the heat that was there, of what is left of it",
    Settings,
    build,
    ROWS,
    figures=_figures,
    seconds=60.0,
    milestones=(10, 1, 0.1),
    monitor=_monitor,
    measured=("control_error",),
)
