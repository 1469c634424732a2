"""Figures of `ablations`: a panel a sweep, and the exponents in time and by rate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jaxphys import linalg, plots
from jaxphys.experiments import record
from jaxphys.experiments.control.choices import HALF, Setting
from jaxphys.experiments.control.sweeps import SWEEPS, rows
from jaxphys.experiments.experiment import Run
from jaxphys.plots import Look

__all__ = ["budget_of", "compared", "figures"]

#: The axis of learning rates, and the step of every exponent.
_RATES = r"$c=\eta\,\sigma_{\max}^{\kappa+1}/(b/2)$ [1]"
_SPECTRAL = r"$V\Lambda^\kappa U^\top g$, HIG at $\kappa=-1/2$"

#: Rows that the exponents are drawn beside.
_REFERENCES = ("adam", "levenberg_marquardt", "spring")


def budget_of(run: Run) -> str:
    """What each training had, in words."""
    if run.options.steps is not None:
        return f"{run.options.steps} updates"
    return f"{run.options.seconds:g} s of training"


def _title(run: Run) -> str:
    return f"{run.results['title']}: {budget_of(run)} for each rate"


def compared(run: Run) -> plots.Figure:
    """Loss against time of each exponent, beside Adam and the damped methods."""
    trained = run.results["methods"]
    looks = _by_power(list(trained), rows(run.settings, run.options))
    names = [name for name in trained if name in looks or name in _REFERENCES]
    shown = {name: trained[name] for name in names or trained}
    drawn = run.results | {"methods": shown, "title": _title(run)}
    return plots.comparison({run.out.name: drawn}, looks=run.looks | looks)


def figures(run: Run) -> dict[str, plots.Figure]:
    """A panel a sweep, and how each exponent's loss depends on its rate.

    A sweep of a single value is none; where there is no other there is no figure.
    """
    every = rows(run.settings, run.options)
    ends = {
        name: record.finals(entry) for name, entry in run.results["methods"].items()
    }
    losses = {name: [_reached(end) for end in of_row] for name, of_row in ends.items()}
    looks = _by_power(list(ends), every)
    panels = {sweep: _panel(sweep, every, losses) for sweep in SWEEPS}
    beside = {name: losses[name] for name in _REFERENCES if name in losses}
    panels["kappa"] = panels["kappa"]._replace(log=False, references=beside)
    num_outputs = every[f"kappa_{HALF:g}"].choice.batch_size
    num_outputs *= run.built.problem.num_outputs
    floor = linalg.gram_rcond("float64", num_outputs)
    panels["rcond"] = panels["rcond"]._replace(floor=floor)
    drawn = [panel for panel in panels.values() if _is_swept(panel)]
    if not drawn:
        return {}
    by_rate = {name: values for name in looks if (values := _by_rate(ends[name]))}
    if _is_swept(panels["kappa"]) and by_rate:
        drawn.insert(1, plots.Sweep(_RATES, by_rate, legend="by rate c"))
    looks["hig"] = plots.OPTIMIZERS["hig"]._replace(label=_SPECTRAL)
    return {"ablations": plots.ablations(drawn, title=_title(run), looks=looks)}


def _by_power(names: Sequence[str], every: Mapping[str, Setting]) -> dict[str, Look]:
    """The looks of the exponents among these rows."""
    swept = [name for name in names if "kappa" in every[name].at]
    colors = plots.power_colors(len(swept))
    return {
        name: Look(f"κ = {every[name].power:g}".replace("-", "−"), color)
        for name, color in zip(swept, colors, strict=True)
    }


def _panel(
    sweep: str, every: Mapping[str, Setting], losses: Mapping[str, list[float]]
) -> plots.Sweep:
    """What each kind of method reached at the values of a sweep."""
    by_kind: dict[str, dict[float, list[float]]] = {}
    for name, reached in losses.items():
        row = every[name]
        if sweep in row.at:
            by_kind.setdefault(row.choice.kind, {})[row.at[sweep]] = reached
    return plots.Sweep(SWEEPS[sweep].label, by_kind)


def _is_swept(panel: plots.Sweep) -> bool:
    """Whether there is more than one value of any kind."""
    return any(len(values) > 1 for values in panel.losses.values())


def _by_rate(ends: Sequence[Mapping[str, Any]]) -> dict[float, list[float]]:
    """Relative rate → what it reached, one number a seed."""
    found: dict[float, list[float]] = {}
    for end in ends:
        for one in end.get("rates", []):
            found.setdefault(one["rate"], []).append(_reached(one))
    return found


def _reached(end: Mapping[str, Any]) -> float:
    """The test loss of a training that did not diverge, else infinity."""
    return math.inf if end["status"] == "diverged" else end["test_loss"]
