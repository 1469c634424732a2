"""Training by each of several learning rates, of which the best is kept.

Rates of the spectral step are relative: c = 1 is the step that solves the direction of
largest singular value, η = (b/2) / σ_max^(κ+1).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, cast

import jax

from jaxphys.experiments.control.choices import Choice, Setting
from jaxphys.experiments.engine import train_once
from jaxphys.experiments.experiment import Keys, RunOptions, Samples, Subject
from jaxphys.optim.spectral import SpectralState
from jaxphys.training import Budget, Fit, Storage
from jaxphys.types import PyTree

__all__ = ["best_of", "rate_unit", "train_by_rates"]


def train_by_rates(
    subject: Subject,
    samples: Samples,
    keys: Keys,
    options: RunOptions,
    budget: Budget,
    storage: Storage | None,
    shown: str,
) -> tuple[Fit, dict[str, Any]]:
    """Train a setting by each of its rates, and keep the best by its train loss."""
    row, given = cast(Setting, subject.row), (subject, samples, keys)
    if not row.rates:
        start = row.choice.start()
        return train_once(*given, options, budget, storage, shown, start)
    unit, compiling = _unit(*given, options, shown)
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
        end: dict[str, Any] = {} if row.power is None else {"rate": rate}
        end |= {"learning_rate": rate * unit, "status": fit.status}
        last = fit.history[-1]
        ends.append(end | {x: last[x] for x in ("step", "train_loss", "test_loss")})
    best = best_of(ends)
    kept = {key: x for key, x in ends[best].items() if key in ("rate", "learning_rate")}
    return fits[best]._replace(compile_seconds=compiling), kept | {"rates": ends}


def _for_rate(storage: Storage, rate: float) -> Storage:
    """The same place, beside those of the other rates."""
    return storage._replace(directory=f"{storage.directory}-rate-{rate:g}")


def _unit(
    subject: Subject, samples: Samples, keys: Keys, options: RunOptions, shown: str
) -> tuple[float, float]:
    """What a rate of one is, and for how long was compiled to find it."""
    row, compiling = cast(Setting, subject.row), 0.0
    if row.power is None:
        return 1.0, compiling
    if subject.learner not in row.largest:
        # An update of rate zero shows σ_max, by the loop that trains.
        silent = dataclasses.replace(options, progress=False)
        start = row.choice.start(learning_rate=0.0)
        once = Budget(steps=1)
        still, _ = train_once(subject, samples, keys, silent, once, None, shown, start)
        compiling = still.compile_seconds
        row.largest[subject.learner] = _largest(still.state.opt_state)
    return rate_unit(row.choice, row.largest[subject.learner]), compiling


def _largest(opt_state: PyTree) -> float:
    """σ_max of the last batch's Jacobian, which the spectral step remembers."""

    def spectral(node: Any) -> bool:
        return isinstance(node, SpectralState)

    nodes = jax.tree.leaves(opt_state, is_leaf=spectral)
    return float(next(node.largest for node in nodes if spectral(node)))


def rate_unit(choice: Choice, largest: float) -> float:
    """η for c = 1, where the largest singular value is σ_max."""
    return choice.batch_size / 2 / largest ** (choice.numbers["power"] + 1)


def best_of(ends: Sequence[Mapping[str, Any]]) -> int:
    """Which of them ended lowest, of those that did not diverge if there are any."""

    def rank(number: int) -> tuple[bool, float]:
        return ends[number]["status"] != "finished", ends[number]["train_loss"]

    return min(range(len(ends)), key=rank)
