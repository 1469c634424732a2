"""Figures of constants that are found from motions."""

from collections.abc import Mapping

import jax
import numpy as np

from jaxphys import plots
from jaxphys.experiments.control.constants import Constant
from jaxphys.experiments.experiment import Run
from jaxphys.types import Array

__all__ = ["figures"]


def figures(run: Run, unknown: Mapping[str, Constant]) -> dict[str, plots.Figure]:
    """The errors of the constants in time, and the motion that was fitted best.

    Args:
      run: with `constants` in its results; its settings have `duration`, `times` and
        `noise`.
      unknown: the constants.
    """
    methods = run.results["methods"]
    first = next(iter(run.results["constants"].values()))["constants"]
    knowable = {name: first[name]["standard_error"] for name in unknown}
    shown = knowable if run.settings.noise and max(knowable.values()) < 1 else None
    errors = plots.constant_errors(
        {name: entry["history"] for name, entry in methods.items()},
        {name: constant.symbol for name, constant in unknown.items()},
        shown,
        looks=run.looks,
    )
    best = min(run.params, key=lambda name: methods[name]["final"]["train_loss"])
    return {"constants": errors, "motion": _motion(run, best)}


def _motion(run: Run, name: str) -> plots.Figure:
    """The first two motions: measured, by the first guess, and as a row fitted them."""
    settings, (problem, model) = run.settings, run.built
    inputs, targets = (x[:2] for x in run.samples.train)
    simulate = jax.jit(jax.vmap(problem.simulate, (None, 0)))

    def angles(flat: Array) -> np.ndarray:
        return np.asarray(flat).reshape(len(inputs), settings.times + 1, -1)

    return plots.identified_motion(
        np.linspace(0, settings.duration, settings.times + 1),
        angles(targets),
        angles(simulate(model.init(run.keys.network), inputs)),
        angles(simulate(run.params[name], inputs)),
        inputs,
        noise=settings.noise,
        method=run.looks[name].label,
    )
