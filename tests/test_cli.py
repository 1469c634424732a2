"""The command line and the engine behind it: what a person types, sees and finds."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest
from PIL import Image

from jaxphys import cli, commands, experiments, systems
from jaxphys.commands import RunOptions, caching, fitting
from jaxphys.experiments import record
from jaxphys.experiments.control import oscillators
from jaxphys.experiments.control.rows import row, steering

needs_x64 = pytest.mark.x64

SMALL = ["--samples", "128", "--batch-size", "32", "--no-progress", "--hidden", "8"]


def command(*arguments):
    return [sys.executable, "-m", "jaxphys.cli", *map(str, arguments)]


@pytest.fixture(scope="module")
def stored_run(tmp_path_factory):
    """One small run of three methods, which several tests look at."""
    out = tmp_path_factory.mktemp("runs") / "small"
    methods = ["--method", "adam", "sip", "levenberg_marquardt"]
    status = cli.main(
        ["run", "oscillators", *methods, "--steps", "20", "--out", str(out), *SMALL]
    )
    assert status == 0
    return out


def results_of(out: pathlib.Path) -> dict:
    return json.loads((out / "results.json").read_text())


@needs_x64
def test_a_run_leaves_results_figures_and_checkpoints(stored_run):
    results = results_of(stored_run)
    assert set(results) >= {"experiment", "config", "versions", "device", "methods"}
    assert list(results["methods"]) == ["adam", "sip", "levenberg_marquardt"]
    for entry in results["methods"].values():
        assert entry["compile_seconds"] > 0
        assert {"step", "epoch", "seconds", "train_loss", "test_loss"} <= set(
            entry["history"][0]
        )
        assert entry["final"]["step"] == 20
        assert entry["final"]["status"] == "finished"
        assert set(entry["final"]["time_to"]) == {"0.0001", "1e-06", "1e-08"}
    for name in ("comparison.png", "motion.png"):
        with Image.open(stored_run / name) as image:
            assert image.size[0] > 1000
            assert len(np.unique(np.asarray(image.convert("L")))) > 50
    assert (stored_run / "checkpoints" / "adam-0").is_dir()
    assert not list(stored_run.rglob("*.part"))


@needs_x64
def test_the_table_names_every_method_and_its_times(stored_run):
    experiment = experiments.get("oscillators")
    methods = results_of(stored_run)["methods"]
    table = record.table(methods, experiment.columns, {}, experiment.milestones)
    for word in ("levenberg_marquardt", "updates", "compile s", "s to 1e-08", "–"):
        assert word in table


@needs_x64
def test_another_run_is_not_overwritten_and_resuming_goes_on(stored_run, capsys):
    before = (stored_run / "results.json").read_bytes()
    arguments = ["run", "oscillators", "--method", "adam", "--out", str(stored_run)]
    assert cli.main([*arguments, "--steps", "30", *SMALL]) == 2
    assert "holds another run" in capsys.readouterr().err
    assert (stored_run / "results.json").read_bytes() == before
    assert (
        cli.main([*arguments, "--steps", "30", "--resume", "--seed", "7", *SMALL]) == 2
    )
    assert "seed 0 → 7" in capsys.readouterr().err
    assert (stored_run / "results.json").read_bytes() == before
    assert cli.main([*arguments, "--steps", "30", "--resume", *SMALL]) == 0
    methods = results_of(stored_run)["methods"]
    assert methods["adam"]["final"]["step"] == 30
    assert methods["sip"]["final"]["step"] == 20


@needs_x64
def test_plot_draws_one_stored_run_or_several(stored_run, tmp_path, capsys):
    target = tmp_path / "both.png"
    assert (
        cli.main(["plot", str(stored_run), str(stored_run), "--out", str(target)]) == 0
    )
    assert target.exists()
    # Runs of earlier versions name no models and optimizers.
    older = results_of(stored_run)
    for entry in older["methods"].values():
        del entry["model"], entry["optimizer"]
    (tmp_path / "older").mkdir()
    (tmp_path / "older" / "results.json").write_text(json.dumps(older))
    drawn = commands.plot([tmp_path / "older"])
    assert drawn == tmp_path / "older" / "comparison.png"
    assert drawn.exists()
    assert cli.main(["plot", str(tmp_path)]) == 2
    assert "holds no results.json" in capsys.readouterr().err


@pytest.mark.long
@needs_x64
def test_several_seeds_are_repeats_of_one_method(tmp_path):
    out = tmp_path / "seeds"
    arguments = [
        "run",
        "oscillators",
        "--method",
        "spring",
        "--steps",
        "8",
        "--seeds",
        "3",
    ]
    assert cli.main([*arguments, "--out", str(out), *SMALL]) == 0
    entry = results_of(out)["methods"]["spring"]
    assert [r["seed"] for r in (entry, *entry["repeats"])] == [0, 1, 2]
    finals = {r["final"]["test_loss"] for r in (entry, *entry["repeats"])}
    assert len(finals) == 3
    assert entry["repeats"][0]["compile_seconds"] < entry["compile_seconds"] / 2


@needs_x64
@pytest.mark.parametrize(
    "options",
    [
        ["--oscillators", "3", "--coupling", "quartic"],
        pytest.param(["--dtype", "float64", "--no-shuffle"], marks=pytest.mark.long),
        pytest.param(
            ["--oscillators", "1", "--control-steps", "6", "--dt", "1.0"],
            marks=pytest.mark.long,
        ),
    ],
    ids=["quartic", "float64", "one"],
)
def test_the_physics_and_precision_are_the_users(options, tmp_path):
    arguments = ["run", "oscillators", "--method", "hig", "--steps", "4", *options]
    assert cli.main([*arguments, "--out", str(tmp_path / "run"), *SMALL]) == 0
    final = results_of(tmp_path / "run")["methods"]["hig"]["final"]
    assert final["train_loss"] < 2.0


def test_list_says_what_can_be_run(capsys):
    assert cli.main(["list"]) == 0
    printed = capsys.readouterr().out
    assert "oscillators" in printed
    assert "levenberg_marquardt" in printed
    assert cli.main([]) == 0
    assert "usage" in capsys.readouterr().out


HELPED = {
    "run": experiments.names(),
    "simulate": systems.names(),
    "identify": systems.names(),
    "fit": [*fitting.MODELS, "auto"],
}


@pytest.mark.parametrize(
    ("command", "name"), [(x, name) for x, names in HELPED.items() for name in names]
)
def test_everything_that_has_a_name_shows_its_options(command, name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([command, name, "--help"])
    assert end.value.code == 0
    assert "--out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("run", "--seconds"),
        ("fit", "--dissipation"),
        ("identify", "--friction"),
        ("predict", "--state"),
        ("export", "--out"),
        ("simulate", "--integrator"),
        ("check", "--help"),
    ],
)
def test_every_command_shows_its_options_without_a_name(command, option, capsys):
    assert cli.main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert f"usage: jaxphys {command} " in printed
    assert option in printed
    assert "which comes first: " in printed


def test_a_missing_file_is_told_with_the_nearest_name(tmp_path, capsys):
    (tmp_path / "swing.csv").write_text("t,q,v\n0,0,1\n1,1,1\n")
    assert cli.main(["fit", "hnn", "--data", str(tmp_path / "swng.csv")]) == 2
    said = capsys.readouterr().err
    assert f"Did you mean {tmp_path / 'swing.csv'}?" in said
    assert "written before" not in said
    state = ["--state", "1", "0", "--duration", "1"]
    assert cli.main(["predict", str(tmp_path / "nope"), *state]) == 2
    assert "nope: no such file or directory; check its name." in capsys.readouterr().err
    assert cli.main(["fit", "hnn", "--data", str(tmp_path / "swing.csv")]) == 2
    said = capsys.readouterr().err
    assert f"{tmp_path / 'swing.csv'} has a motion of 2 times; expected 3" in said


@needs_x64
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu", "x"], "Did you mean 'run'"),
        (["run"], "known: oscillators"),
        (["run", "ocillators"], "Did you mean 'oscillators'"),
        (["run", "oscillators", "--method", "adma"], "Did you mean 'adam'"),
        (["run", "oscillators", "--coupling", "cubic"], "known: linear, quartic"),
        (["run", "oscillators", "--oscillators", "0"], "num_oscillators is 0"),
        (["run", "oscillators", "--dt", "-1"], "dt is -1.0"),
        (["run", "oscillators", "--dt", "5"], "oscillations up to 2.39"),
        (["run", "nonlinear_oscillators", "--dt", "5"], "oscillations up to 2.83"),
        (["run", "nonlinear_oscillators", "--dt", "0"], "dt is 0.0"),
        (["run", "quantum_dipole", "--dt", "-0.05"], "dt is -0.05"),
        (["run", "quantum_dipole", "--controls", "100"], "take 64, 96, 128"),
        (["run", "waves", "--scale", "0"], "scale is 0.0"),
        (["run", "rotated_sine", "--conditioning", "-1"], "conditioning is -1.0"),
        (["run", "exponential", "--low", "1"], "low is 1.0"),
        (["run", "heat", "--size", "2"], "size is 2"),
        (["run", "oscillators", "--seconds", "0"], "seconds is 0.0"),
        (["run", "oscillators", "--steps", "3", "--seconds", "3"], "exactly one"),
        (["run", "oscillators", "--steps", "0"], "steps is 0"),
        (["run", "oscillators", "--batch-size", "5000"], "larger than the data"),
        (["run", "oscillators", "--batch-size", "33"], "does not divide"),
        (["run", "oscillators", "--dtype", "float16"], "expected float32 or float64"),
        (["run", "oscillators", "--seeds", "0"], "seeds is 0"),
        (["run", "oscillators", "--resume"], "resume found no"),
        (["plot"], "at least one directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_told_before_anything_is_made(
    arguments, words, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_experiment_is_told_in_python_too():
    with pytest.raises(ValueError, match="Did you mean 'oscillators'"):
        experiments.get("oscilators")


@needs_x64
def test_a_method_that_diverges_does_not_end_the_others(tmp_path, capsys):
    rows = {
        "wild": row(oscillators.build, "wild", 32, lambda b: optax.sgd(1e6)),
        "adam": row(oscillators.build, "adam", 32, lambda b: optax.adam(1e-3)),
    }
    experiment = steering(
        "wild", "diverge", oscillators.Settings, oscillators.build, rows
    )
    options = RunOptions(steps=100, out=tmp_path / "run", progress=False)
    trained = commands.run(experiment, options, samples=128, hidden=(8,))
    finals = {name: e["final"] for name, e in trained.results["methods"].items()}
    assert finals["wild"]["status"] == "diverged"
    assert "update" in finals["wild"]["message"]
    assert finals["adam"]["status"] == "finished"
    assert finals["adam"]["step"] == 100
    told, _, table = capsys.readouterr().out.partition("test loss")
    assert "diverged" in told
    assert "diverged" in table
    leaves = jax.tree.leaves(trained.params["wild"])
    assert all(np.all(np.isfinite(leaf)) for leaf in leaves)


def run_until(process: subprocess.Popen, condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended early"
        time.sleep(0.1)
    assert condition()


@pytest.mark.long
def test_ctrl_c_leaves_results_of_what_was_done(tmp_path):
    out = tmp_path / "run"
    run = command(
        "run", "oscillators", "--method", "adam", "hig", "--seconds", 8, "--out", out
    )
    bars = tmp_path / "bars"
    with bars.open("wb") as stderr:
        process = subprocess.Popen(run, stdout=subprocess.PIPE, stderr=stderr)
    run_until(process, lambda: b"update" in bars.read_bytes().partition(b"HIG")[2], 120)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in printed
    methods = results_of(out)["methods"]
    assert methods["adam"]["final"]["status"] == "finished"
    assert methods["hig"]["final"]["status"] == "interrupted"
    assert results_of(out)["status"] == "interrupted"


@pytest.mark.long
def test_a_killed_run_resumes_where_its_checkpoint_was(tmp_path):
    out = tmp_path / "run"
    arguments = ("run", "oscillators", "--method", "hig", "--seconds", 60, "--out", out)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL)
    checkpoints = out / "checkpoints" / "hig-0"

    def finished() -> list[int]:
        """Steps of whole checkpoints; one that is being written has a longer name."""
        return [int(path.stem) for path in checkpoints.glob("*.state")]

    run_until(process, finished, 120)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert results_of(out)["methods"] == {}
    reached = max(finished())
    assert reached > 100
    more = ("--steps", reached + 200, "--out", out, "--resume")
    done = subprocess.run(
        command("run", "oscillators", *more),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    entry = results_of(out)["methods"]["hig"]
    assert entry["history"][0]["step"] == 0
    assert entry["final"]["step"] == reached + 200
    steps = [h["step"] for h in entry["history"]]
    assert steps == sorted(set(steps))


@pytest.mark.long
def test_what_was_compiled_is_kept_and_found_again(tmp_path):
    cache = tmp_path / "cache"
    # One that takes long enough to compile to be worth a file on any machine.
    method = "levenberg_marquardt"
    run = command("run", "oscillators", "--method", method, "--steps", 2)
    for name in ("first", "second"):
        options = ["--out", tmp_path / name, "--cache", cache]
        subprocess.run([*run, *map(str, options)], check=True, capture_output=True)
        if name == "first":
            kept = {path.name for path in cache.iterdir() if "-atime" not in path.name}
            assert kept
    assert {p.name for p in cache.iterdir() if "-atime" not in p.name} == kept
    losses = [
        [
            h["train_loss"]
            for h in results_of(tmp_path / name)["methods"][method]["history"]
        ]
        for name in ("first", "second")
    ]
    assert losses[0] == losses[1]


def test_what_was_not_used_for_longest_leaves_the_cache_first(tmp_path):
    for age, name in enumerate(("new", "middle", "old")):
        path = tmp_path / f"{name}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "other").write_bytes(bytes(1000))
    caching._trim(tmp_path, 250)
    assert {path.name for path in tmp_path.iterdir()} == {
        "new-cache",
        "middle-cache",
        "other",
    }
