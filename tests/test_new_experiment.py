"""A new system and a new experiment, made as CONTRIBUTING.md says, in a few lines each.

Neither is known to the library: the system is passed on, the experiment run as it is.
"""

import dataclasses
import inspect
import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import experiments, mechanics, models
from jaxphys.experiments import Experiment, RunOptions, figures, record
from jaxphys.experiments.experiment import Samples
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion.rows import damped, row
from jaxphys.learning import Recipe
from jaxphys.motion import Simulator
from jaxphys.systems.record import from_momenta, ring

pytestmark = pytest.mark.x64

#: How many lines a system, or an experiment, may take.
MOST = 40


def quartic_oscillator(stiffness=1.0):
    """A particle of unit mass in a quartic well, H = p²/2 + k q⁴/4."""

    class Params(NamedTuple):
        stiffness: float

    def potential(params, q):
        return params.stiffness * jnp.sum(q**4) / 4

    def hamiltonian(params, q, p):
        return p @ p / 2 + potential(params, q)

    def lagrangian(params, q, v):
        return v @ v / 2 - potential(params, q)

    return from_momenta(
        "quartic_oscillator",
        Params(stiffness),
        (hamiltonian, lagrangian),
        lambda key: ring(key, 0.5, 1.5),
        (False,),
        coordinates=("q",),
        units=("1",),
        separable=True,
    )


def learned_oscillator(system):
    """Learn the energy of a system of one coordinate, by Adam and by LM."""

    @dataclasses.dataclass(frozen=True)
    class Settings:
        trajectories: int = 5

    judge, ts = Judge(system, 5.0, 51, 0.05, 3), np.linspace(0.0, 3.0, 10)
    simulator = Simulator(system)

    def sample(settings, keys, dtype):
        draws = (keys.train, keys.test)
        train, test = (simulator.simulated(k, settings.trajectories, ts) for k in draws)
        return Samples([train], [test], [test])

    def hnn(settings, dtype):
        return models.dynamics(models.hnn(1, hidden=(8,), dtype=dtype))

    def draw(run):
        found = figures.rollout_figures(judge, run)
        return found | figures.field_figures(judge, run, extent=1.0)

    return Experiment(
        name="quartic",
        summary="learn the energy of a quartic oscillator",
        title="quartic oscillator",
        settings=Settings,
        sample=sample,
        rows={
            "hnn": row("hnn", "adam", hnn, Recipe(steps=200, learning_rate=1e-2)),
            "best": row("hnn", "levenberg_marquardt", hnn, damped(50), time_of="hnn"),
        },
        columns={"field_error": "rel. field error", "valid_time": "valid time"},
        measures=judge.measure,
        figures=draw,
        published={"hnn": {"field_error": 0.01}},
    )


@pytest.fixture(scope="module")
def short_run(tmp_path_factory):
    """A few steps of every row."""
    out = tmp_path_factory.mktemp("runs") / "quartic"
    options = RunOptions(steps=8, out=out, dtype="float64", progress=False)
    experiment = learned_oscillator(quartic_oscillator())
    return experiment, experiments.run(experiment, options, trajectories=4)


@pytest.mark.parametrize("made", [quartic_oscillator, learned_oscillator])
def test_a_few_lines_are_enough(made):
    assert len(inspect.getsource(made).splitlines()) < MOST


def test_the_new_system_moves_as_its_two_energies_say():
    system = quartic_oscillator(2.0)
    y = system.sample(jax.random.key(0))
    acceleration = mechanics.acceleration(system.lagrangian)(system.params, *y)
    np.testing.assert_allclose(acceleration, -2 * y.q**3, rtol=1e-12)
    rate = mechanics.vector_field(system)(0.0, y, system.params)
    np.testing.assert_allclose(rate.p, acceleration, rtol=1e-12)


def test_settings_are_not_named_as_options_of_every_run_are():
    experiment = learned_oscillator(quartic_oscillator())
    named = dataclasses.make_dataclass("Named", [("steps", int, 3)], frozen=True)
    with pytest.raises(ValueError, match="named steps, as options of every run"):
        dataclasses.replace(experiment, settings=named)


@pytest.mark.long
def test_a_run_leaves_results_of_every_row(short_run):
    _, done = short_run
    results = json.loads((done.out / "results.json").read_text())
    assert results["experiment"] == "quartic"
    assert results["config"]["trajectories"] == 4
    assert list(results["methods"]) == ["hnn", "best"]
    for name, optimizer in (("hnn", "adam"), ("best", "levenberg_marquardt")):
        entry = results["methods"][name]
        assert (entry["model"], entry["optimizer"]) == ("hnn", optimizer)
        assert entry["final"]["step"] == 8
        first, last = entry["history"][0], entry["history"][-1]
        assert last["train_loss"] < first["train_loss"]
        assert np.isfinite(entry["final"]["field_error"])


@pytest.mark.long
def test_the_table_has_its_columns_beside_what_was_published(short_run):
    experiment, done = short_run
    methods = done.results["methods"]
    table = record.table(methods, experiment.columns, experiment.published)
    header, _, first, second = table.splitlines()
    for word in ("rel. field error", "published", "valid time"):
        assert word in header
    assert first.startswith("hnn")
    assert "0.01" in first
    assert second.startswith("best")


@pytest.mark.long
def test_figures_and_checkpoints_are_written(short_run):
    _, done = short_run
    for name in ("comparison", "energy", "motion", "fields", "errors"):
        assert (done.out / f"{name}.png").stat().st_size > 1000
    assert (done.out / "checkpoints" / "best-0").is_dir()
    assert done.looks["best"].label == "Levenberg–Marquardt"


def test_settings_that_it_does_not_have_are_refused(tmp_path):
    experiment = learned_oscillator(quartic_oscillator())
    options = RunOptions(steps=1, out=tmp_path / "run", progress=False)
    with pytest.raises(ValueError, match="trajectories"):
        experiments.run(experiment, options, trajectory=4)
    assert not (tmp_path / "run").exists()
