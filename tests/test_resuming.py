"""Stopping and going on: nothing is lost, or differs, or is compiled twice."""

import dataclasses
import json
import signal
import subprocess
import sys
import time

import jax
import jax.monitoring
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import (
    cli,
    commands,
    experiments,
    learning,
    losses,
    models,
    problems,
    stopping,
    systems,
    training,
)
from jaxphys.experiments import RunOptions, engine, record
from jaxphys.learning import OPTIMIZERS, Learner, Recipe
from jaxphys.motion import simulated
from jaxphys.training import Budget, Storage

KEYS = jax.random.split(jax.random.key(3))


def same(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.asarray(x).tobytes() == np.asarray(y).tobytes() for x, y in pairs)


def without_clocks(history):
    return [{k: v for k, v in look.items() if k != "seconds"} for look in history]


def swings():
    ts = np.linspace(0.0, 1.0, 9)
    return [simulated(systems.pendulum(), jax.random.key(0), 4, ts)]


def learner_of(kind, optimizer):
    """A learner of something small, and what it learns from."""
    rule = {"optimizer": optimizer, "learning_rate": 1e-2, "look_every": 3, "steps": 9}
    if kind == "control":
        problem = problems.oscillator_control(1, num_steps=4)
        target = problems.steered(problem, models.mlp((2, 6, 4)))
        sets = {"train_loss": problem.sample(jax.random.key(0), 32)}
        return Learner(target, Recipe(batch_size=16, **rule)), sets
    recipe = Recipe(mode=kind, chunk=2, batch_size=8, integrator="leapfrog", **rule)
    if kind == "trajectories":
        motion = models.dynamics(models.separable(1, hidden=(4,), dtype="float64"))
    else:
        motion = models.dynamics(models.hnn(1, hidden=(4,), dtype="float64"))
    return Learner(learning.matching(motion, recipe), recipe), {"train_loss": swings()}


QUICK = ("derivatives", "adam")
MATRIX = [
    pytest.param(
        kind,
        optimizer,
        marks=() if (kind, optimizer) == QUICK else pytest.mark.long,
        id=f"{kind}-{optimizer}",
    )
    for kind in ("derivatives", "trajectories", "control")
    for optimizer in OPTIMIZERS
]


@pytest.mark.x64
@pytest.mark.parametrize(("kind", "optimizer"), MATRIX)
def test_what_goes_on_from_disk_is_to_the_bit_what_was_never_stopped(
    kind, optimizer, tmp_path
):
    learner, sets = learner_of(kind, optimizer)

    def fit(learner, steps, **storage):
        stored = Storage(tmp_path / "run", **storage) if storage else None
        options = {"budget": Budget(steps=steps), "progress": False}
        return learner.fit(sets, *KEYS, storage=stored, **options)

    whole = fit(learner, 9)
    fit(learner, 4, seconds=100.0)
    fit(learner, 6, resume=True)
    # Compiled anew, as another process would.
    jax.clear_caches()
    rest = fit(learner_of(kind, optimizer)[0], 9, resume=True)
    assert same(whole.state, rest.state)
    looks = {look["step"]: look for look in without_clocks(rest.history)}
    for look in without_clocks(whole.history):
        assert looks[look["step"]] == look


class Compilations:
    """How many programs were compiled."""

    def __init__(self):
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self)

    def __call__(self, event, duration, **details):
        self.count += event == "/jax/core/compile/backend_compile_duration"


COMPILED = Compilations()
MODEL = models.mlp((2, 8, 1))


def dataset():
    inputs = jax.random.normal(jax.random.key(0), (64, 2), jnp.float32)
    return inputs, jnp.sin(inputs[:, :1])


def trainer_and_start(tx):
    step = training.make_train_step(MODEL.apply, losses.squared_error, tx)
    start = training.init_state(MODEL.init(jax.random.key(1)), tx)
    return training.Trainer(step, 16), start


class Counting:
    """Counts what is compiled between two looks: within the clock of training."""

    def __init__(self):
        self.evaluate = training.make_evaluate(MODEL.apply, losses.squared_error)
        self.inside, self.mark = 0, None

    def __call__(self, params):
        if self.mark is not None:
            self.inside += COMPILED.count - self.mark
        found = self.evaluate(params, {"train_loss": dataset()})
        jax.block_until_ready(found)
        self.mark = COMPILED.count
        return found


@pytest.mark.parametrize(
    "make",
    [
        lambda: optax.adam(1e-3),
        lambda: optax.sgd(1e-3, momentum=0.9),
        lambda: optax.inject_hyperparams(optax.adam)(learning_rate=1e-3),
    ],
    ids=["adam", "momentum", "injected"],
)
def test_nothing_is_compiled_while_the_clock_runs_resumed_or_not(make, tmp_path):
    for resume, steps in ((False, 40), (True, 80), (True, 120)):
        trainer, start = trainer_and_start(make())
        counting = Counting()
        result = trainer.fit(
            start,
            dataset(),
            Budget(steps=steps),
            key=jax.random.key(2),
            looks=training.Looks(counting),
            storage=Storage(tmp_path / "run", resume),
            progress=False,
        )
        assert result.state.step == steps
        assert len(result.history) >= 6
        assert counting.inside == 0


@pytest.mark.long
def test_a_training_in_three_pieces_makes_as_many_updates_as_one(tmp_path):
    def updates(pieces):
        for piece in range(pieces):
            trainer, start = trainer_and_start(optax.adam(1e-3))
            result = trainer.fit(
                start,
                dataset(),
                Budget(seconds=6.0 * (piece + 1) / pieces),
                storage=Storage(tmp_path / f"in {pieces}", piece > 0),
                progress=False,
            )
        return int(result.state.step)

    assert updates(3) > 0.8 * updates(1)


def test_a_training_that_goes_on_by_less_or_with_other_sizes_is_refused(tmp_path):
    trainer, start = trainer_and_start(optax.adam(1e-3))

    def go_on(data, key=None, of="", steps=20, using=trainer):
        storage = Storage(tmp_path / "run", resume=True, of=of)
        budget = Budget(steps=steps)
        return using.fit(start, data, budget, key=key, storage=storage, progress=False)

    data = dataset()
    go_on(data, of="sine")
    with pytest.raises(ValueError, match="for 5 updates: 20 are made already"):
        go_on(data, of="sine", steps=5)
    with pytest.raises(ValueError, match="what is trained was 'sine' and is 'cosine'"):
        go_on(data, of="cosine")
    with pytest.raises(ValueError, match="number of samples was 64 and is 32"):
        go_on(jax.tree.map(lambda x: x[:32], data), of="sine")
    with pytest.raises(ValueError, match="key of the order"):
        go_on(data, of="sine", key=jax.random.key(0))
    half = training.Trainer(trainer._loop, 8)
    with pytest.raises(ValueError, match="batch_size was 16 and is 8"):
        go_on(data, of="sine", using=half)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_chunk_at_hand_saves_and_says_so(number, tmp_path):
    trainer, start = trainer_and_start(optax.adam(1e-3))
    usual = training.make_evaluate(MODEL.apply, losses.squared_error)
    looks = 0

    def evaluate(params):
        nonlocal looks
        looks += 1
        if looks == 4:
            signal.raise_signal(number)
        return usual(params, {"train_loss": dataset()})

    before = signal.getsignal(number)
    options = {"storage": Storage(tmp_path / "run"), "progress": False}
    looking = training.Looks(evaluate)
    budget = Budget(steps=50)
    result = trainer.fit(start, dataset(), budget, looks=looking, **options)
    assert signal.getsignal(number) is before
    assert result.status == "interrupted"
    assert [look["step"] for look in result.history] == [0, 1, 2, 4]
    assert result.state.step == 4
    options["storage"] = Storage(tmp_path / "run", resume=True)
    rest = trainer.fit(start, dataset(), budget, looks=looking, **options)
    whole = trainer.fit(start, dataset(), budget, progress=False)
    assert same(rest.state, whole.state)


def test_signals_wait_in_a_region_and_a_second_one_does_not():
    with stopping.deferred() as stop:
        assert not stop.asked
        signal.raise_signal(signal.SIGTERM)
        with stopping.deferred() as inner:
            assert inner is stop
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


STUBBORN = """
import os, pathlib, signal, sys, time
from jaxphys import files, stopping
said = pathlib.Path(sys.argv[1])
def say(): said.write_text("said")
def stubborn():
    # As a compilation: what a signal raises does not come through.
    while True:
        try:
            print("waiting", flush=True)
            time.sleep(30)
        except KeyboardInterrupt:
            pass
with stopping.process(grace=float(sys.argv[2])), stopping.last_words(say):
    with files.replacing(said.with_name("figure.png")) as file:
        file.write(b"half")
        stubborn()
"""


@pytest.mark.parametrize(("signals", "grace"), [(1, 0.2), (2, 60)])
def test_a_command_ends_in_time_or_at_the_second_signal(signals, grace, tmp_path):
    said = tmp_path / "said"
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN, str(said), str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout.readline() == b"waiting\n"
    for _ in range(signals):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert said.read_text() == "said"
    # What it was writing is whole or not there, and leaves no part.
    assert list(tmp_path.iterdir()) == [said]
    process.stdout.close()


DROPPED = """
import signal, time, weakref
from jaxphys import stopping
class Thing: pass
def gone(reference):
    signal.raise_signal(signal.SIGINT)
    for _ in range(1000): pass
with stopping.process(grace=60):
    thing = Thing()
    reference = weakref.ref(thing, gone)
    try:
        del thing
        for _ in range(100): time.sleep(0.05)
    except KeyboardInterrupt:
        print("raised", flush=True)
"""


def test_an_interrupt_inside_of_a_callback_is_raised_all_the_same():
    done = subprocess.run(
        [sys.executable, "-c", DROPPED], capture_output=True, text=True, check=False
    )
    assert done.stdout == "raised\n"
    assert done.stderr == ""
    assert done.returncode == 128 + signal.SIGINT


def test_an_interrupted_run_says_what_there_is_and_not_more(tmp_path, capsys):
    def interrupted(*args):
        fit, more = engine.train_once(*args)
        message = f"interrupted at update {fit.history[-1]['step']}"
        return fit._replace(status="interrupted", message=message), more

    def never(*args):
        raise KeyboardInterrupt

    def run(name, train, draw=None):
        known = experiments.get("oscillators")
        changed = dataclasses.replace(known, train=train, compared=draw)
        options = RunOptions(
            method=("adam",), steps=2, batch_size=8, out=tmp_path / name, progress=False
        )
        settings = known.settings(samples=16, hidden=(4,))
        return engine.run(changed, settings, options)

    assert run("drawn", interrupted).interrupted
    printed = capsys.readouterr().out
    assert "Adam: interrupted at update 2\n" in printed
    assert "interrupted: what was trained is saved, and --resume goes on" in printed
    assert printed.endswith("table and figures are of what was done\n")
    assert (tmp_path / "drawn/comparison.png").exists()
    with pytest.raises(KeyboardInterrupt):
        run("cut", interrupted, draw=never)
    printed = capsys.readouterr().out
    assert "what was trained is saved" in printed
    assert "figures" not in printed
    run("early", never)
    assert "interrupted: nothing was trained, and" in capsys.readouterr().out
    assert not list(tmp_path.glob("[ce]*/*.png"))


def test_a_command_names_no_figure_that_is_not_there(tmp_path, capsys, monkeypatch):
    def early(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "_train_one", early)
    out = tmp_path / "early"
    arguments = [
        "--method",
        "adam",
        "--steps",
        "2",
        "--samples",
        "256",
        "--no-progress",
    ]
    assert cli.main(["run", "oscillators", *arguments, "--out", str(out)]) == 130
    printed = capsys.readouterr().out
    assert "nothing was trained" in printed
    assert printed.endswith(
        f"To go on: jaxphys run oscillators --resume --out {out}.\n"
    )
    assert "figures" not in printed


def test_what_a_killed_write_left_is_cleared_by_the_next_start(tmp_path):
    part = tmp_path / "comparison.png.8c7498c7.part"
    part.touch()
    record.check_empty(tmp_path)
    assert not part.exists()


SMALL = ["--samples", "128", "--batch-size", "32", "--no-progress", "--hidden", "8"]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "small"
    arguments = ["run", "oscillators", "--method", "adam", "--steps", "20", "--seed"]
    assert cli.main([*arguments, "5", "--out", str(out), *SMALL]) == 0
    return out


def results_of(out):
    return json.loads((out / "results.json").read_text())


@pytest.mark.x64
def test_resuming_needs_no_setting_repeated(small_run, tmp_path, monkeypatch, capsys):
    before = results_of(small_run)
    assert before["status"] == "finished"
    resume = ["run", "oscillators", "--resume", "--out", str(small_run)]
    assert cli.main([*resume, "--steps", "30"]) == 0
    after = results_of(small_run)
    assert after["methods"]["adam"]["final"]["step"] == 30
    assert after["config"] == before["config"] | {"steps": 30}
    # Typed again, and the same.
    assert cli.main([*resume, "--hidden", "8", "--seed", "5"]) == 0
    assert results_of(small_run)["methods"]["adam"]["final"]["step"] == 30
    # By seconds from now on, of which none is over yet.
    assert cli.main([*resume, "--seconds", "0.01"]) == 0
    assert results_of(small_run)["config"]["steps"] is None
    capsys.readouterr()
    for words, *typed in (
        ("hidden [8] → [9]", "--hidden", "9"),
        ("samples 128 → 64", "--samples", "64"),
        ("seed 5 → 0", "--seed", "0"),
        ("30 updates are made already, and steps is 10", "--steps", "10"),
        ("seconds was 0.01 and is 0.001", "--seconds", "0.001"),
    ):
        assert cli.main([*resume, *typed]) == 2
        assert words in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert cli.main([*resume[:-1], "mistyped"]) == 2
    assert "mistyped holds no results.json" in capsys.readouterr().err
    assert cli.main(["run", "poisson", *resume[2:]]) == 2
    assert "holds a run of oscillators" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.x64
def test_a_method_that_is_added_belongs_to_the_run(small_run):
    settings, options = experiments.stored(experiments.get("oscillators"), small_run)
    assert (settings.hidden, options.seed, options.resume) == ((8,), 5, True)
    options = commands.RunOptions(
        **vars(options) | {"method": ("sip",), "steps": 40, "progress": False}
    )
    done = commands.run("oscillators", options)
    assert set(done.results["methods"]) == {"adam", "sip"}
    assert done.results["config"]["method"] == ["adam", "sip"]


@pytest.mark.long
@pytest.mark.x64
def test_a_fit_goes_on_by_itself_and_only_with_its_own_data(tmp_path, capsys):
    from jaxphys import data

    path, other = tmp_path / "swings.npz", tmp_path / "other.npz"
    data.save_trajectories(path, swings()[0])
    moved = swings()[0]
    moved = moved._replace(t=moved.t, y=moved.y._replace(q=moved.y.q + 1e-6))
    data.save_trajectories(other, moved)
    out = tmp_path / "fit"
    first = ["fit", "hnn", "--data", str(path), "--hidden", "4", "--steps", "4"]
    assert cli.main([*first, "--no-progress", "--out", str(out)]) == 0
    resume = ["fit", "hnn", "--resume", "--out", str(out), "--no-progress"]
    assert cli.main([*resume, "--steps", "6"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report["status"] == "finished"
    assert report["training"]["updates"] == 6
    assert report["options"]["hidden"] == [4]
    capsys.readouterr()
    for words, *typed in (
        ("other.npz: it is not the file that the fit began with", "--data", str(other)),
        ("hidden (4,) → (5,)", "--hidden", "5"),
        ("steps was 6 and is 5", "--steps", "5"),
    ):
        assert cli.main([*resume, *typed]) == 2
        assert words in capsys.readouterr().err
    resume[1] = "separable"
    assert cli.main(resume) == 2
    assert "holds a fit of hnn, not of separable" in capsys.readouterr().err
    resume[3:5] = ["--out", str(tmp_path / "mistyped")]
    assert cli.main(resume) == 2
    assert "holds no report.json" in capsys.readouterr().err
    assert not (tmp_path / "mistyped").exists()
