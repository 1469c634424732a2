"""A sweep of Adam over batch sizes and learning rates: sweep.json, and its figure."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, learning, plots, trees
from jaxphys.experiments import record
from jaxphys.experiments.engine import shortened
from jaxphys.experiments.experiment import Run
from jaxphys.experiments.measures import acceleration_error
from jaxphys.experiments.motion.rows import Make
from jaxphys.learning import Recipe

__all__ = ["BATCHES", "RATES", "SWEPT", "write_sweep"]

#: What the sweep tries, and from how many first weights.
RATES, BATCHES, SWEPT = (1e-4, 1e-3, 1e-2), (4, 16, 64), 3


def _sweep(run: Run, make: Make, recipes: Callable[[int], Recipe]) -> dict[str, Any]:
    """Errors of all batch sizes and learning rates, from several first weights each.

    Those of one batch size train side by side, all rates and seeds at once.
    """
    settings, dtype = run.settings, trees.real_dtype(run.options.dtype)
    train, clean = (
        data.cast(part, dtype) for part in (run.samples.train, run.samples.clean)
    )
    motion, seed = make(settings, dtype), run.options.seed
    keys = jax.random.split(jax.random.key(seed), SWEPT)
    rates = jnp.repeat(jnp.asarray(RATES, dtype), SWEPT)
    errors, losses = [], []
    for batch in BATCHES:
        recipe = recipes(batch)
        many = learning.learn_many(
            motion,
            shortened(recipe) if settings.fast else recipe,
            train,
            rates=rates,
            keys=jnp.tile(keys, len(RATES)),
        )
        each = [
            acceleration_error(
                motion, jax.tree.map(lambda x, i=i: x[i], many.params), clean
            )
            for i in range(len(rates))
        ]
        errors.append(np.reshape(each, (len(RATES), SWEPT)).tolist())
        losses.append(np.asarray(many.losses, float).tolist())
    return {
        "rates": list(RATES),
        "batches": list(BATCHES),
        "acceleration_error": errors,
        "losses": losses,
    }


def write_sweep(run: Run, make: Make, recipes: Callable[[int], Recipe]) -> None:
    """Train with all batch sizes and rates; sweep.json and sweep.png in the run's out.

    Args:
      run: an experiment of accelerations; its settings have `fast`.
      make: `make(settings, dtype)`, the motion that is trained.
      recipes: a batch size's recipe.
    """
    swept = _sweep(run, make, recipes)
    record.write_json(run.out / "sweep.json", swept)
    middle = np.median(np.asarray(swept["acceleration_error"]), axis=2)
    figure = plots.sweep(RATES, BATCHES, middle, what="rel. MSE of accelerations [1]")
    plots.save(figure, run.out / "sweep.png")
