"""The experiments that learn a Hamiltonian, from five seeds, beside published figures.

Each row is trained as `jaxphys run` does it; kept are medians and quartiles of what the
table shows. The noise-free fields of the spring and the pendulum stand apart: how long
Levenberg–Marquardt takes to a relative error of 1e-6.
"""

import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from jaxphys import experiments, metrics
from jaxphys.experiments import Experiment, RunOptions, engine, measures, record
from jaxphys.names import check_known

NAMES = (
    "mass_spring",
    "pendulum",
    "two_body",
    "three_body",
    "seed_spring",
    "damped_spring",
    "pendulum_torque",
    "pendulum_chain",
)
SMOKE = ("mass_spring",)

#: Of experiments that have rows for Lagrangians as well, the others.
METHODS = {"pendulum_chain": ("naive", "second_order", "structured")}

SEEDS = 5

#: The relative error of a field that counts as exact.
EXACT = 1e-6


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    for name in only:
        check_known("experiment", name, (*NAMES, "exact"))
    names = only or (SMOKE if smoke else NAMES)
    seeds = 1 if smoke else SEEDS
    found = {
        name: measured(name, smoke, seeds, METHODS.get(name, ("all",)))
        for name in names
        if name != "exact"
    }
    exact = [
        _exact(experiments.get(name), seed, seconds=1.0 if smoke else 15.0)
        for name in ("mass_spring", "pendulum")
        if not only or "exact" in only
        for seed in range(seeds)
    ]
    config = {"seeds": seeds, "fast": smoke}
    return config, {"experiments": found, "exact": exact}


def measured(
    name: str,
    smoke: bool,
    seeds: int,
    methods: tuple[str, ...] = ("all",),
    **settings: Any,
) -> dict[str, Any]:
    """What the table of an experiment shows, row → column → quartiles over seeds."""
    with tempfile.TemporaryDirectory() as scratch:
        options = RunOptions(
            method=methods,
            seeds=seeds,
            out=pathlib.Path(scratch) / "run",
            progress=False,
        )
        done = experiments.run(name, options, fast=smoke, **settings)
    columns = experiments.get(name).columns
    return {
        row: _summary(entry, columns) for row, entry in done.results["methods"].items()
    }


def _summary(entry: dict[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    ends = record.finals(entry)
    summary: dict[str, Any] = {
        "seeds": len(ends),
        "compile_seconds": entry["compile_seconds"],
    }
    for key in ("step", "seconds", *columns):
        values = jnp.array([end[key] for end in ends])
        low, middle, high = (float(x) for x in metrics.quartiles(values))
        summary[key] = {"low": low, "median": middle, "high": high}
    return summary


def _exact(experiment: Experiment, seed: int, *, seconds: float) -> dict[str, Any]:
    """Training time of the compact network to an exact field, without noise."""
    settings, keys = experiment.settings(noise=0.0), experiment.keys(seed)
    options = RunOptions(seconds=seconds, seed=seed, progress=False)
    name = "hnn_levenberg_marquardt"
    subject, fit = engine.train_row(experiment, name, settings, options)
    clean = subject.sees(experiment.sample(settings, keys, subject.dtype)).clean
    (rate,) = (each.rate for each in clean)
    size = float(jnp.mean(rate.q**2 + rate.p**2)) / 2
    errors = [(h["seconds"], (h["test_loss"] / size) ** 0.5) for h in fit.history]
    reached = next((s for s, error in errors if error <= EXACT), None)
    error = measures.field_error(subject.built.dynamics, fit.state.params, clean)
    return {
        "system": experiment.name,
        "seed": seed,
        "seconds_to_exact": reached,
        "seconds": fit.seconds,
        "field_error": measures.finite(error.relative),
    }
