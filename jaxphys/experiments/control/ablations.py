"""Why half-inverse gradients: one choice after another changed, the rest left alone.

The step V Λ^κ Uᵀ g runs from gradient descent, κ = 1, over HIG, κ = −1/2, to
Gauss–Newton, κ = −1. In function space it is δe = −η K^((κ+1)/2) g, so that of the
spread of singular values the power κ + 1 is left, and a rate that suits one exponent
suits no other. Each therefore has the same rates to choose from, in units of the step
that solves the direction of largest singular value, η = c (b/2) / σ_max^(κ+1), and all
have the same training time. At κ = −1 a rate c = 1 is the true step b/2 of
Gauss–Newton, and the published one is c = 2/b, down to which the rates go. What else is
changed, at κ = −1/2: rcond, batch size and width; and what damped methods have in its
place.

Exponents: Schnell, Holl & Thuerey, ICLR 2022, https://arxiv.org/abs/2203.10131.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp

from jaxphys import linalg, plots
from jaxphys.experiments import record
from jaxphys.experiments.control.choices import (
    HALF,
    PROBLEMS,
    SWEEPS,
    Choice,
    Setting,
    Settings,
    chosen,
    rows,
)
from jaxphys.experiments.control.rows import Steering, steering
from jaxphys.experiments.engine import train_once
from jaxphys.experiments.experiment import (
    Experiment,
    Keys,
    Run,
    RunOptions,
    Samples,
    Subject,
)
from jaxphys.names import check_known
from jaxphys.optim.spectral import SpectralState
from jaxphys.plots import Look, Sweep
from jaxphys.training import Budget, Fit, Storage
from jaxphys.types import PyTree

__all__ = ["EXPERIMENT", "best_of", "build", "compared", "figures", "rate_unit"]

#: The axis of learning rates, and the step of every exponent.
_RATES = r"$c=\eta\,\sigma_{\max}^{\kappa+1}/(b/2)$ [1]"
_SPECTRAL = r"$V\Lambda^\kappa U^\top g$, HIG at $\kappa=-1/2$"

#: Rows that the exponents are drawn beside.
_REFERENCES = ("adam", "levenberg_marquardt", "spring")


def _prepare(
    experiment: Experiment, settings: Settings, options: RunOptions
) -> tuple[Experiment, Settings, RunOptions]:
    """Rows by the batch size of the options, sweeps and samples written out."""
    every = rows(settings, options)
    options = dataclasses.replace(options, method=chosen(options.method, every))
    if settings.samples is None:
        module, _ = PROBLEMS[settings.problem]
        settings = dataclasses.replace(settings, samples=module.Settings().samples)
    return dataclasses.replace(experiment, rows=every), settings, options


def rate_unit(choice: Choice, largest: float) -> float:
    """η for c = 1, where the largest singular value is σ_max."""
    return choice.batch_size / 2 / largest ** (choice.numbers["power"] + 1)


def _largest(opt_state: PyTree) -> float:
    """σ_max of the last batch's Jacobian, which the spectral step remembers."""

    def spectral(node: Any) -> bool:
        return isinstance(node, SpectralState)

    nodes = jax.tree.leaves(opt_state, is_leaf=spectral)
    return float(next(node.largest for node in nodes if spectral(node)))


def _train(
    subject: Subject,
    samples: Samples,
    keys: Keys,
    options: RunOptions,
    budget: Budget,
    storage: Storage | None,
    shown: str,
) -> tuple[Fit, dict[str, Any]]:
    """Train a setting by each of its rates, and keep the best by its train loss."""
    row = cast(Setting, subject.row)
    given = (subject, samples, keys)
    if not row.rates:
        start = row.choice.start()
        return train_once(*given, options, budget, storage, shown, start)
    unit, compiling = 1.0, 0.0
    if row.power is not None:
        if subject.learner not in row.largest:
            # An update of rate zero shows σ_max, by the loop that trains.
            silent = dataclasses.replace(options, progress=False)
            start = row.choice.start(learning_rate=0.0)
            still, _ = train_once(*given, silent, Budget(steps=1), None, shown, start)
            compiling = still.compile_seconds
            row.largest[subject.learner] = _largest(still.state.opt_state)
        unit = rate_unit(row.choice, row.largest[subject.learner])
    fits: list[Fit] = []
    ends: list[dict[str, Any]] = []
    for rate in row.rates:
        fit, _ = train_once(
            *given,
            options,
            budget,
            storage and _for_rate(storage, rate),
            f"{shown}, rate {rate:g}",
            row.choice.start(learning_rate=rate * unit),
        )
        if fit.status == "interrupted":
            return fit, {"rates": ends} if ends else {}
        fits.append(fit)
        compiling += fit.compile_seconds
        relative = {} if row.power is None else {"rate": rate}
        last = {
            key: fit.history[-1][key] for key in ("step", "train_loss", "test_loss")
        }
        end = {"learning_rate": rate * unit, "status": fit.status}
        ends.append(relative | end | last)
    best = best_of(ends)
    kept = {key: x for key, x in ends[best].items() if key in ("rate", "learning_rate")}
    return fits[best]._replace(compile_seconds=compiling), kept | {"rates": ends}


def _for_rate(storage: Storage, rate: float) -> Storage:
    """The same place, beside those of the other rates."""
    return storage._replace(directory=f"{storage.directory}-rate-{rate:g}")


def best_of(ends: Sequence[Mapping[str, Any]]) -> int:
    """Which of them ended lowest, of those that did not diverge if there are any."""

    def rank(number: int) -> tuple[bool, float]:
        return ends[number]["status"] != "finished", ends[number]["train_loss"]

    return min(range(len(ends)), key=rank)


def _budget(run: Run) -> str:
    """What each training had, in words."""
    if run.options.steps is not None:
        return f"{run.options.steps} updates"
    return f"{run.options.seconds:g} s of training"


def _finish(run: Run) -> None:
    print(f"each rate: {_budget(run)}; the lowest train loss is shown")


def _title(run: Run) -> str:
    return f"{run.results['title']}: {_budget(run)} for each rate"


def _by_power(names: Sequence[str], every: Mapping[str, Setting]) -> dict[str, Look]:
    """The looks of the exponents among these rows."""
    swept = [name for name in names if "kappa" in every[name].at]
    colors = plots.power_colors(len(swept))
    return {
        name: Look(f"κ = {every[name].power:g}".replace("-", "−"), color)
        for name, color in zip(swept, colors, strict=True)
    }


def compared(run: Run) -> plots.Figure:
    """Loss against time of each exponent, beside Adam and the damped methods."""
    trained = run.results["methods"]
    looks = _by_power(list(trained), rows(run.settings, run.options))
    names = [name for name in trained if name in looks or name in _REFERENCES]
    shown = {name: trained[name] for name in names or trained}
    drawn = run.results | {"methods": shown, "title": _title(run)}
    return plots.comparison({run.out.name: drawn}, looks=run.looks | looks)


def _reached(end: Mapping[str, Any]) -> float:
    """The test loss of a training that did not diverge, else infinity."""
    return math.inf if end["status"] == "diverged" else end["test_loss"]


def figures(run: Run) -> dict[str, plots.Figure]:
    """A panel a sweep, and how each exponent's loss depends on its rate.

    A sweep of a single value is none; where there is no other there is no figure.
    """
    every = rows(run.settings, run.options)
    trained = {
        name: record.finals(entry) for name, entry in run.results["methods"].items()
    }
    losses = {name: [_reached(end) for end in ends] for name, ends in trained.items()}
    num_outputs = every[f"kappa_{HALF:g}"].choice.batch_size
    num_outputs *= run.built.problem.num_outputs
    looks = _by_power(list(trained), every)
    sweeps: list[Sweep] = []
    for sweep, label in SWEEPS.items():
        by_kind: dict[str, dict[float, list[float]]] = {}
        for name in trained:
            row = every[name]
            if sweep in row.at:
                by_kind.setdefault(row.choice.kind, {})[row.at[sweep]] = losses[name]
        if not any(len(values) > 1 for values in by_kind.values()):
            continue
        floor = linalg.gram_rcond("float64", num_outputs) if sweep == "rcond" else None
        made = Sweep(label, by_kind, log=sweep != "kappa", floor=floor)
        if sweep != "kappa":
            sweeps.append(made)
            continue
        beside = {name: losses[name] for name in _REFERENCES if name in trained}
        by_rate = {name: _by_rate(trained[name]) for name in looks}
        by_rate = {name: values for name, values in by_rate.items() if values}
        sweeps.append(made._replace(references=beside))
        if by_rate:
            sweeps.append(Sweep(_RATES, by_rate, legend="by rate c"))
    if not sweeps:
        return {}
    looks["hig"] = plots.OPTIMIZERS["hig"]._replace(label=_SPECTRAL)
    return {"ablations": plots.ablations(sweeps, title=_title(run), looks=looks)}


def _by_rate(ends: Sequence[Mapping[str, Any]]) -> dict[float, list[float]]:
    """Relative rate → what it reached, one number a seed."""
    found: dict[float, list[float]] = {}
    for end in ends:
        for one in end.get("rates", []):
            found.setdefault(one["rate"], []).append(_reached(one))
    return found


def build(settings: Settings, dtype: jnp.dtype) -> Steering:
    """The problem with its own network."""
    module, _ = PROBLEMS[check_known("problem", settings.problem, PROBLEMS)]
    return module.build(module.Settings(), dtype)


EXPERIMENT = steering(
    "ablations",
    "change the exponent of HIG, and all else that one may choose",
    Settings,
    build,
    rows,
    prepare=_prepare,
    train=_train,
    finish=_finish,
    compared=compared,
    figures=figures,
    columns={
        "rate": "rate c",
        "learning_rate": "rate η",
        "train_loss": "train loss",
        "test_loss": "test loss",
    },
    milestones=(),
    seconds=5.0,
)
