"""Full disks, foreign files, no permission, little memory: one sentence each."""

import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest

from benchmarks import kills
from jaxphys import checkpoint, cli, files

SMALL = ["--samples", "128", "--batch-size", "32", "--no-progress", "--hidden", "8"]
RUN = ["run", "oscillators", "--method", "adam", *SMALL]


def sentence(capsys) -> str:
    """What the command printed to people: one line."""
    said = capsys.readouterr().err.strip()
    assert said.startswith("jaxphys: ")
    assert "\n" not in said
    assert "Traceback" not in said
    return said


def forbidden(tmp_path) -> pathlib.Path:
    """A place where nobody may write, root included."""
    if os.geteuid():
        tmp_path.chmod(0o500)
        return tmp_path / "run"
    if not pathlib.Path("/sys/kernel").is_dir():
        pytest.skip("this system has no place that root may not write to")
    return pathlib.Path("/sys/jaxphys")


@pytest.mark.x64
@pytest.mark.parametrize("command", ["run", "fit", "simulate"])
def test_a_place_without_permission_is_told(command, tmp_path, capsys):
    out = str(forbidden(tmp_path))
    table = tmp_path / "t.csv"
    if command == "fit":
        table.write_text("t,q,p\n" + "".join(f"{i},{i % 3},1\n" for i in range(30)))
    arguments = {
        "run": [*RUN, "--steps", "2"],
        "fit": ["fit", "hnn", "--data", str(table), "--chunk", "2"],
        "simulate": ["simulate", "pendulum"],
    }
    assert cli.main([*arguments[command], "--out", out]) == 1
    assert "there is no permission for" in sentence(capsys)


@pytest.mark.long
@pytest.mark.x64
def test_a_full_disk_is_told_and_what_was_saved_is_whole(tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    assert cli.main([*RUN, "--steps", "20", "--out", str(out)]) == 0
    before = json.loads((out / "results.json").read_text())
    capsys.readouterr()
    real = files.os.fsync
    states = out / "checkpoints"

    def full(handle):
        name = os.readlink(f"/proc/self/fd/{handle}")
        if str(states) in name and name.endswith(".part"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    arguments = ["run", "oscillators", "--resume", "--steps", "30", "--no-progress"]
    arguments += ["--out", str(out)]
    assert cli.main(arguments) == 1
    said = sentence(capsys)
    assert "no space is left to write" in said
    assert "30.state" in said
    monkeypatch.undo()
    after = json.loads((out / "results.json").read_text())
    assert after["status"] == "interrupted"
    assert after["methods"] == before["methods"]
    assert checkpoint.latest_step(states / "adam-0") == 20
    assert not list(out.rglob("*.part"))
    assert cli.main(arguments) == 0


FOREIGN = {
    "": "is not JSON",
    "{": "is not JSON",
    "\x00\x01": "is not JSON",
    "[]": "has no 'experiment' as runs do",
    '"text"': "has no 'experiment' as runs do",
    '{"name": "a package", "version": 3}': "has no 'experiment' as runs do",
    '{"experiment": "x", "title": "x", "config": {}}': "has no 'methods' as runs do",
    '{"experiment": "x", "title": "x", "config": {}, "methods": {"adam": 3}}': (
        "adam has no 'history'"
    ),
    '{"experiment": "x", "title": "x", "config": {}, "methods": {"adam": '
    '{"history": [{"step": 1}], "final": {"step": 1}}}}': "no step and seconds",
}


@pytest.mark.parametrize("contents", FOREIGN)
def test_foreign_results_are_told_to_plot_and_to_those_who_go_on(
    contents, tmp_path, capsys
):
    (tmp_path / "results.json").write_text(contents)
    for arguments in (
        ["plot", str(tmp_path)],
        ["run", "oscillators", "--resume", "--out", str(tmp_path)],
    ):
        assert cli.main(arguments) == 2
        assert FOREIGN[contents] in sentence(capsys)


def test_results_that_are_a_directory_are_told(tmp_path, capsys):
    (tmp_path / "results.json").mkdir()
    for arguments in (
        ["plot", str(tmp_path)],
        [*RUN, "--out", str(tmp_path)],
        ["run", "oscillators", "--resume", "--out", str(tmp_path)],
    ):
        assert cli.main(arguments) == 2
        assert "results.json is a directory" in sentence(capsys)


def command(*arguments):
    return [sys.executable, "-m", "jaxphys.cli", *map(str, arguments)]


def limited(what, size, arguments):
    """The same command under a limit of the system; a fork would meet JAX's threads."""
    source = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_{what}, ({size}, {size})); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [sys.executable, "-c", source, *arguments]


@pytest.mark.long
def test_a_file_may_be_no_larger_than_the_system_allows(tmp_path):
    """As under a quota: 4 KB hold the first results, and no state."""
    out = tmp_path / "run"

    done = subprocess.run(
        limited("FSIZE", 4_000, command(*RUN, "--steps", 50, "--out", out)),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("jaxphys: no space is left to write")
    assert len(done.stderr.strip().splitlines()) == 1
    assert json.loads((out / "results.json").read_text())["status"] == "interrupted"
    assert not list(out.rglob("*.part"))


@pytest.mark.long
def test_full_memory_says_what_to_lower(tmp_path):
    out = tmp_path / "run"

    many = ["--samples", 2**25, "--batch-size", 2**25, "--no-progress"]
    done = subprocess.run(
        limited(
            "AS",
            3 * 2**30,
            command("run", "oscillators", "--method", "adam", *many, "--out", out),
        ),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1
    assert "lower the batch size" in done.stderr
    assert "Traceback" not in done.stderr


LONG_RUNS = {
    "control": ["run", "oscillators", "--method", "adam", "--seconds", "60"],
    "derivatives": ["fit", "hnn", "--seconds", "60", "--patience", "100000"],
    "trajectories": [
        *("fit", "hnn", "--mode", "trajectories"),
        *("--seconds", "60", "--patience", "100000"),
    ],
    "simulate": ["simulate", "double_pendulum", "--duration", "1e6"],
    "identify": ["identify", "pendulum"],
    "beside": ["identify", "pendulum", "--learned", "friction"],
}

#: Of these, those that have no training states to go on from.
STATELESS = ("simulate", "identify", "beside")


@pytest.mark.long
@pytest.mark.parametrize("kind", LONG_RUNS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_within_five_seconds(kind, number, tmp_path):
    out, arguments = tmp_path / "out", [*LONG_RUNS[kind]]
    if arguments[0] in ("fit", "identify"):
        kills.measure(tmp_path / "swings.npz")
        arguments += ["--data", str(tmp_path / "swings.npz")]
    process = subprocess.Popen(
        command(*arguments, "--out", out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    saved = ("results.json", "report.json")
    deadline = time.monotonic() + 120

    def begun() -> bool:
        if kind in STATELESS:
            return any((out / name).exists() for name in saved)
        return any(out.rglob("*.state"))

    while not begun() and time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    begin = time.monotonic()
    process.send_signal(number)
    process.wait(timeout=60)
    took = time.monotonic() - begin
    _, told = process.communicate()
    assert process.returncode == 128 + number
    assert took < 5.0
    assert "Traceback" not in told
    results = next(out / name for name in saved if (out / name).exists())
    assert json.loads(results.read_text())["status"] == "interrupted"
    if kind not in STATELESS:
        assert any(out.rglob("*.state"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "count"), [("control", 6), ("derivatives", 8), ("trajectories", 8)]
)
def test_nothing_is_lost_in_many_kills(kind, count, tmp_path):
    """`python -m benchmarks run kills` makes hundreds, and records them."""
    tally = kills.session(kind, count, random.Random(3), tmp_path / kind)
    assert tally.trouble == []
    assert tally.kills + len(tally.terminations) == count


@pytest.mark.long
def test_a_ranking_that_is_killed_keeps_the_laws_before(tmp_path):
    kills.measure(tmp_path / "swings.npz")
    out, laws = tmp_path / "out", ("neural_ode", "hnn")
    options = ("--hidden", "4", "--seconds", "3", "--data", tmp_path / "swings.npz")
    process = subprocess.Popen(
        command("fit", *laws, *options, "--out", out), stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not (out / "ranking.json").exists() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    found = json.loads((out / "ranking.json").read_text())
    assert found["status"] == "running"
    assert [row["law"] for row in found["laws"]] == ["neural_ode"]
    assert checkpoint.load(out).params
