"""The main comparison: every method for 15 s, HIG's first epochs, and LM's last digits.

Three parts. `methods`: what `jaxphys run oscillators` prints, over three seeds.
`hig_epochs`: HIG's loss after 1, 2 and 4 epochs at the published settings and order, on
five seeds. `precision`: how far the damped methods get, in both precisions, and in
float64 with bent steps on batches that grow.
"""

import dataclasses
import pathlib
import shutil
import tempfile
from typing import Any

from benchmarks import harness
from jaxphys import experiments, optim, training
from jaxphys.experiments import RunOptions, engine, record
from jaxphys.experiments.control import oscillators
from jaxphys.experiments.control.rows import row

#: Levenberg–Marquardt for the last digits: steps that bend with the residuals, no floor
#: under the damping, and batches that grow once small ones have done their part.
_LAST_DIGITS = row(
    oscillators.build,
    "levenberg_marquardt",
    256,
    lambda b: optim.levenberg_marquardt(
        damping=3e-4, min_damping=1e-16, max_bend=optim.USUAL_BEND
    ),
    batch_growth=(64,),
)

#: Method, precision and seed of each run to the last digits.
_PRECISE = (
    ("levenberg_marquardt", "float32", 0),
    ("levenberg_marquardt", "float64", 0),
    ("spring", "float32", 0),
    ("spring", "float64", 0),
    *(("last_digits", "float64", seed) for seed in range(3)),
)


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    seconds, seeds = (0.3, 2) if smoke else (15.0, 3)
    methods = ("adam", "spring") if smoke else ("all",)
    precision_seconds = (0.3, 0.5) if smoke else (20.0, 60.0)
    runs = _PRECISE[-1:] if smoke else _PRECISE
    config = {"seconds": seconds, "seeds": seeds, "precision": precision_seconds}
    results = {
        "methods": _methods(methods, seconds, seeds),
        "hig_epochs": _hig_epochs(range(1 if smoke else 5)),
        "precision": _precision(runs, *precision_seconds),
    }
    return config, results


def _methods(methods: tuple[str, ...], seconds: float, seeds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        options = RunOptions(
            method=methods,
            seconds=seconds,
            seeds=seeds,
            out=pathlib.Path(directory) / "run",
            progress=False,
        )
        done = experiments.run("oscillators", options)
        if seconds > 1:
            figures = {"comparison.png": "oscillators.png", "motion.png": "motion.png"}
            for name, kept in figures.items():
                shutil.copy(done.out / name, harness.RESULTS / kept)
    return done.results["methods"]


def _train(method: str, seed: int, **options) -> training.Fit:
    """One method on the published problem, as `jaxphys run` trains it."""
    experiment = experiments.get("oscillators")
    rows = experiment.rows | {"last_digits": _LAST_DIGITS}
    experiment = dataclasses.replace(experiment, rows=rows)
    asked = RunOptions(progress=False, seed=seed, **options)
    _, fit = engine.train_row(experiment, method, experiment.settings(), asked)
    return fit


def _hig_epochs(seeds) -> list[dict[str, Any]]:
    """Losses after 1, 2 and 4 epochs of 128 updates, in stored order."""
    rows = []
    for seed in seeds:
        fit = _train("hig", seed, steps=4 * 128, shuffle=False)
        looks = {h["epoch"]: h for h in fit.history}
        rows.append({"seed": seed} | {f"{n:g}": looks[n] for n in (0, 1, 2, 4)})
    return rows


def _precision(
    runs: tuple[tuple[str, str, int], ...], short: float, long: float
) -> list[dict[str, Any]]:
    """The damped methods, `short` seconds in float32 and `long` in float64."""
    rows = []
    for method, dtype, seed in runs:
        seconds = short if dtype == "float32" else long
        fit = _train(method, seed, seconds=seconds, dtype=dtype)
        damping = optim.step_info(fit.state.opt_state).damping
        rows.append(
            {
                "method": method,
                "dtype": dtype,
                "seed": seed,
                "short": [h for h in fit.history if h["seconds"] <= short][-1],
                "long": fit.history[-1],
                "best_test_loss": min(h["test_loss"] for h in fit.history),
                "seconds_to_1e-9": record.time_to(fit.history, 1e-9),
                "damping": None if damping is None else float(damping),
                "history": fit.history,
            }
        )
    return rows
