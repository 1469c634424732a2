"""Policies that act at every step: the time of an update, and what it buys.

An update by Levenberg–Marquardt beside one by Adam, for a policy on van der Pol's
oscillator, with the weights linearised along the rollout and as it was before, a pass
for each weight or output. Then van der Pol and the swing-up from unseen starts, every
method with the same time on the clock, its compilation included.
"""

import contextlib
import functools
import os
import time
from collections.abc import Iterator
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import optax

from benchmarks import harness
from jaxphys import optim, plots, problems, training
from jaxphys.experiments import Experiment, RunOptions, engine
from jaxphys.experiments.control import swing_up, van_der_pol
from jaxphys.experiments.experiment import Trained
from jaxphys.names import check_known
from jaxphys.optim.columns import PlainLeaves
from jaxphys.training import Budget, Trainer

#: Starts an update, for the times of updates.
BATCH = 64


class Race(NamedTuple):
    """What is trained from every seed by each method.

    Attributes:
      experiment: whose problem, network, batches and measures these are.
      seconds: on the clock, from the first trace to the last update.
      dtype: of weights and states.
      rates: of Adam; its row has one of them.
    """

    experiment: Experiment
    seconds: float
    dtype: str
    rates: tuple[float, ...]


RACES = {
    "van_der_pol": Race(van_der_pol.EXPERIMENT, 20.0, "float64", (3e-3, 1e-2)),
    "swing_up": Race(swing_up.EXPERIMENT, 60.0, "float32", (1e-3, 3e-3)),
}


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    for name in only:
        check_known("part", name, ("updates", *RACES))
    horizons = (10,) if smoke else (100, 1000)
    seeds = 1 if smoke else 3
    before = os.getloadavg()[0]
    results: dict[str, Any] = {}
    if not only or "updates" in only:
        rounds = 2 if smoke else 7
        results["updates"] = {str(n): _updates(n, rounds) for n in horizons}
        results["swing_up_updates"] = _swing_up_updates(rounds)
    for name, race in RACES.items():
        if only and name not in only:
            continue
        found = _raced(race._replace(seconds=0.5) if smoke else race, seeds)
        if not smoke:
            _draw(name, race, found)
        for entries in found.values():
            for entry in entries:
                del entry["params"]
        results[name] = found
    load = {"before": before, "after": os.getloadavg()[0]}
    seconds = {name: race.seconds for name, race in RACES.items()}
    return {"batch": BATCH, "seconds": seconds, "load": load}, results


@contextlib.contextmanager
def _by_passes() -> Iterator[None]:
    """Columns of weights in loops by a pass for each weight or output, as before."""
    with mock.patch.object(PlainLeaves, "_plan", return_value=None):
        yield


def _updates(horizon: int, rounds: int) -> dict[str, Any]:
    """Compile and run time of an update, for van der Pol's policy."""
    settings = van_der_pol.Settings(control_steps=horizon)
    built = van_der_pol.build(settings, jnp.dtype("float32"))
    return _timed(built, BATCH, rounds, earlier=True)


def _swing_up_updates(rounds: int) -> dict[str, Any]:
    """The same of the swing-up, in batches of 16."""
    built = swing_up.build(swing_up.Settings(), jnp.dtype("float32"))
    return _timed(built, 16, rounds, earlier=False)


def _timed(built: Any, batch: int, rounds: int, *, earlier: bool) -> dict[str, Any]:
    problem, model = built
    outputs = problems.outputs(problem, model)
    data = problem.sample(jax.random.key(0), batch)
    params = model.init(jax.random.key(1))
    calls, compile_seconds = {}, {}
    methods: dict[str, Any] = {
        "adam": (optax.adam(1e-3), contextlib.nullcontext),
        "levenberg_marquardt": (
            optim.levenberg_marquardt(),
            contextlib.nullcontext,
        ),
        "before": (optim.levenberg_marquardt(), _by_passes),
    }
    for name, (tx, context) in methods.items():
        if name == "before" and not earlier:
            continue
        step = training.make_train_step(outputs, problem.objective, tx)
        state = training.init_state(params, tx)
        began = time.perf_counter()
        with context():
            compiled = jax.jit(step).lower(state, data).compile()
        compile_seconds[name] = time.perf_counter() - began
        calls[name] = functools.partial(compiled, state, data)
    slow = {name: calls.pop(name) for name in ("before",) if name in calls}
    times = harness.in_turns(calls, rounds)
    # What takes many seconds is not asked as often.
    times |= harness.in_turns(slow, 1) if slow else {}
    found = {name: harness.spread(each[1:]) for name, each in times.items()}
    return {
        name: found[name] | {"compile_seconds": compile_seconds[name]} for name in found
    } | {"outputs": problem.num_outputs, "num_params": _size(params), "batch": batch}


def _size(params: Any) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def _raced(race: Race, seeds: int) -> dict[str, list[dict[str, Any]]]:
    """Method → what each seed ends with."""
    settings = race.experiment.settings()
    options = RunOptions(dtype=race.dtype, seconds=race.seconds)
    rows = ("adam", "levenberg_marquardt")
    subjects = engine.subjects_of(race.experiment, settings, options, rows)
    entrants: dict[str, tuple[str, optax.GradientTransformation]] = {
        f"adam, {rate:g}": ("adam", optax.adam(rate)) for rate in race.rates
    }
    damped = optim.levenberg_marquardt()
    entrants["levenberg_marquardt"] = ("levenberg_marquardt", damped)
    return {
        name: [_one(race, subjects[row], tx, seed) for seed in range(seeds)]
        for name, (row, tx) in entrants.items()
    }


def _one(race: Race, subject: Any, tx: Any, seed: int) -> dict[str, Any]:
    """One training, all that it takes on one clock; then what it is worth."""
    experiment, settings = race.experiment, race.experiment.settings()
    keys = experiment.keys(seed)
    samples = experiment.sample(settings, keys, subject.dtype)
    trained = subject.learner.target.trained
    params = subject.learner.target.init(keys.network)
    # A trainer of its own for each seed: what it compiles, it compiles in its time.
    jax.clear_caches()
    began = time.perf_counter()
    step = training.make_train_step(trained.outputs, trained.objective, tx)
    trainer = Trainer(step, subject.learner.recipe.batch_size, skips=20)
    common: dict[str, Any] = {"key": keys.order, "progress": False}
    state = training.init_state(params, tx)
    first = trainer.fit(state, samples.train, Budget(steps=1), **common)
    compiled = time.perf_counter() - began
    left = max(race.seconds - compiled, 0.1)
    fit = trainer.fit(first.state, samples.train, Budget(seconds=left), **common)
    wall = time.perf_counter() - began
    evaluate = training.make_evaluate(*subject.learner.target.judged)
    sets = {"train_loss": samples.train, "test_loss": samples.test}
    losses = {k: float(v) for k, v in evaluate(fit.state.params, sets).items()}
    found = experiment.measures(
        Trained(settings, subject, fit.state.params, samples, keys)
    )
    numbers = {"wall": wall, "compile": compiled, "updates": int(fit.state.step)}
    return numbers | losses | found | {"params": fit.state.params}


def _draw(name: str, race: Race, results: dict[str, list[dict[str, Any]]]) -> None:
    """Motions from unseen starts by the method and seed of the lowest loss."""
    entries = [entry for each in results.values() for entry in each]
    best = min(entries, key=lambda entry: entry["test_loss"])
    module = {"van_der_pol": van_der_pol, "swing_up": swing_up}[name]
    settings = race.experiment.settings()
    built = module.build(settings, jnp.dtype(race.dtype))
    keys = race.experiment.keys(0)
    figure = module.drawn(built, best["params"], keys)
    plots.save(figure, harness.RESULTS / f"{name}_motion.png")
