"""The main comparison: every method for 15 s, HIG's first epochs, and LM's last digits.

Three parts. `methods`: what `jaxphys run oscillators` prints, over three seeds.
`hig_epochs`: HIG's loss after 1, 2 and 4 epochs at the published settings and order, on
five seeds. `precision`: how far the damped methods get, in both precisions.
"""

import dataclasses
import pathlib
import shutil
import tempfile
from typing import Any

import jax
import optax

from benchmarks import harness
from jaxphys import optim, problems, training
from jaxphys.experiments import oscillators, runner


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    seconds, seeds = (0.3, 2) if smoke else (15.0, 3)
    precision_seconds = (0.3, 0.5) if smoke else (20.0, 60.0)
    config = {"seconds": seconds, "seeds": seeds, "precision": precision_seconds}
    results = {
        "methods": _methods(seconds, seeds),
        "hig_epochs": _hig_epochs(range(1 if smoke else 5)),
        "precision": _precision(*precision_seconds),
    }
    return config, results


def _methods(seconds: float, seeds: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        options = runner.RunOptions(
            seconds=seconds,
            seeds=seeds,
            out=pathlib.Path(directory) / "run",
            progress=False,
        )
        config = dataclasses.replace(oscillators.Config(), options=options)
        trained = oscillators.run(config)
        if seconds > 1:
            figures = {"comparison.png": "oscillators.png", "motion.png": "motion.png"}
            for name, kept in figures.items():
                shutil.copy(trained.out / name, harness.RESULTS / kept)
    return trained.results["methods"]


def _setting(dtype: str, seed: int):
    options = runner.RunOptions(dtype=dtype)
    problem, model = oscillators.build(oscillators.Config(options=options))
    outputs = problems.outputs(problem, model)
    key = jax.random.key(seed)
    train, test = (problem.sample(jax.random.fold_in(key, i), 4096) for i in (1, 2))
    evaluate = training.make_evaluate(
        outputs, problem.objective, {"train_loss": train, "test_loss": test}
    )
    params = model.init(jax.random.fold_in(key, 0))
    return problem, outputs, params, train, evaluate, key


def _hig_epochs(seeds) -> list[dict[str, Any]]:
    tx = optim.hig(1.0, rcond=1e-10)
    rows = []
    for seed in seeds:
        problem, outputs, params, train, evaluate, _ = _setting("float32", seed)
        step = training.make_train_step(outputs, problem.objective, tx)
        fit = training.fit(
            step,
            training.init_state(params, tx),
            train,
            batch_size=32,
            epochs=4,
            evaluate=evaluate,
            progress=False,
        )
        looks = {h["epoch"]: h for h in fit.history}
        rows.append({"seed": seed} | {f"{n:g}": looks[n] for n in (0, 1, 2, 4)})
    return rows


def _precision(short: float, long: float) -> list[dict[str, Any]]:
    """The damped methods in both precisions: loss after `short` and `long` seconds."""
    rows = []
    for name, make in (
        ("levenberg_marquardt", optim.levenberg_marquardt),
        ("spring", optim.spring),
    ):
        for dtype in ("float32", "float64"):
            problem, outputs, params, train, evaluate, key = _setting(dtype, 0)
            tx = make()
            step = training.make_train_step(outputs, problem.objective, tx)
            fit = training.fit(
                step,
                training.init_state(params, tx),
                train,
                batch_size=32,
                seconds=long,
                key=jax.random.fold_in(key, 3),
                evaluate=evaluate,
                progress=False,
            )
            early = [h for h in fit.history if h["seconds"] <= short][-1]
            damping = optax.tree.get(fit.state.opt_state, "damping")
            rows.append(
                {
                    "method": name,
                    "dtype": dtype,
                    "short": early,
                    "long": fit.history[-1],
                    "best_test_loss": min(h["test_loss"] for h in fit.history),
                    "seconds_to_1e-9": runner.time_to(fit.history, 1e-9),
                    "damping": None if damping is None else float(damping),
                    "history": fit.history,
                }
            )
    return rows
