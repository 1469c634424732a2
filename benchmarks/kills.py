"""Kills at random moments: is what was saved whole, and does the rest come out alike?

Runs are command lines, each in a process of its own, and ended by SIGKILL: at a random
moment, or as soon as a file is being written. The processes are forked from one that
has imported the libraries and nothing more, which saves two seconds for each. After
each kill the results must be JSON, each state must have its checksum, and nothing that
was there before may be gone; the run then goes on. At its end its states are compared,
byte by byte, with those of a run that nobody disturbed. Some are ended by SIGTERM,
which must leave results that say so within five seconds.

`python -m benchmarks.kills --kills 20 --seed 1` prints what it finds.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import tempfile
import threading
import time
import unittest.mock
from typing import Any, NamedTuple

_SMALL = ("--no-progress", "--hidden", "8")
_MOTION = ("--optimizer", "adam", "--steps", "3000", "--batch-size", "16", *_SMALL)

#: What is run: a network trained through a simulator, and fits by both modes.
KINDS = {
    "control": (
        *("run", "oscillators", "--method", "adam", "levenberg_marquardt"),
        *("--steps", "300", "--seeds", "6", "--samples", "256", "--batch-size", "32"),
        *_SMALL,
    ),
    "derivatives": ("fit", "hnn", "--data", "swings.npz", *_MOTION),
    "trajectories": (
        *("fit", "separable", "--data", "swings.npz", "--mode", "trajectories"),
        *("--chunk", "2", "--integrator", "leapfrog", *_MOTION),
    ),
}

#: How often each is killed for the record.
KILLS = {"control": 80, "derivatives": 70, "trajectories": 50}

#: Rounds and seconds of the trainings that are compared with and without states: those
#: of a run that says nothing else.
OVERHEAD = (10, 15.0)

#: Processes begin as copies of one that has these.
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["jaxphys.experiments", "jaxphys.commands.fitting"])

#: One end in so many is by SIGTERM.
_TERMINATED = 8
_DIGEST = hashlib.sha256().digest_size


class Tally(NamedTuple):
    """What was found.

    Attributes:
      kills: ends by SIGKILL; `writing` of them while a file was being written.
      terminations: seconds from SIGTERM to the end of the process.
      finished: runs that came to their end in between.
      trouble: what was lost, torn or different, in words; empty where all is well.
    """

    kills: int
    writing: int
    terminations: list[float]
    finished: int
    trouble: list[str]


def run(
    *, smoke: bool, only: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Kill many; returns (config, results)."""
    kills = {"control": 2} if smoke else KILLS
    config = {"kills": kills, "seed": 0}
    results = {}
    if "overhead" in only:
        return {"niceness": os.nice(0)}, {"kinds": {}, "overhead": overhead(*OVERHEAD)}
    with tempfile.TemporaryDirectory() as scratch:
        for kind in only or kills:
            place = pathlib.Path(scratch) / kind
            chance = random.Random(f"{kind} {config['seed']}")
            tally = session(kind, kills[kind], chance, place)
            results[kind] = tally._asdict()
    return config, {"kinds": results}


def session(kind: str, kills: int, chance: random.Random, place: pathlib.Path) -> Tally:
    """Kill one kind of run so many times, each time going on with it."""
    place.mkdir(parents=True)
    if "swings.npz" in KINDS[kind]:
        measure(place / "swings.npz")
    reference, out = place / "undisturbed", place / "killed"
    length = _undisturbed(kind, reference)
    done, writing, finished, times, trouble = 0, 0, 0, [], []
    before: dict[str, Any] = {}
    while done < kills:
        untouched = _written(out)
        process = _start(kind, out)
        wait = chance.uniform(0.1, 0.6) * length
        at_write, gently = chance.random() < 0.5, chance.random() < 1 / _TERMINATED
        ended, wrote = _wait(process, out, wait, at_write=at_write)
        if ended:
            finished += 1
            trouble += _compared(out, reference, process)
            shutil.rmtree(out)
            before = {}
            continue
        done += 1
        if gently:
            times.append(_terminate(process, out, untouched, trouble))
        else:
            process.kill()
            process.join()
            writing += wrote
        now = _found(out, trouble)
        trouble += [
            f"kill {done}: {name} was at {was} and is at {now.get(name)}"
            for name, was in before.items()
            if now.get(name, -1) < was
        ]
        before = now
    process = _start(kind, out)
    _wait(process, out, 600.0, at_write=False)
    trouble += _compared(out, reference, process)
    return Tally(done - len(times), writing, times, finished + 1, trouble)


def overhead(rounds: int, seconds: float) -> dict[str, Any]:
    """What keeping states costs at default settings: a training with and without.

    Both are compiled once and take turns in this process.

    Returns:
      Updates a second of wall clock with states and without, a number for each round;
      the part of the time that went into writing, and how many states were written.
    """
    import jax
    import optax

    from jaxphys import losses, models, training
    from jaxphys.training.storage import Disk

    model, tx = models.mlp((4, 20, 20, 4)), optax.adam(1e-3)
    step = training.make_train_step(model.apply, losses.squared_error, tx)
    x = jax.random.normal(jax.random.key(1), (1024, 4))
    state = training.init_state(model.init(jax.random.key(0)), tx)
    trainer, saved, write = training.Trainer(step, 64), [], Disk.save

    def timed(self: Disk, *given: Any) -> None:
        begin = time.perf_counter()
        write(self, *given)
        saved.append(time.perf_counter() - begin)

    def trained(storage: training.Storage | None) -> tuple[float, float]:
        begin = time.perf_counter()
        fit = trainer.fit(
            state,
            (x, x),
            training.Budget(seconds=seconds),
            storage=storage,
            progress=False,
        )
        took = time.perf_counter() - begin
        return int(fit.state.step) / took, took

    trained(None)
    rates: dict[str, list[float]] = {"with": [], "without": []}
    total = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(rounds):
            rates["without"].append(trained(None)[0])
            with unittest.mock.patch.object(Disk, "save", timed):
                rate, took = trained(training.Storage(f"{scratch}/{number}"))
            rates["with"].append(rate)
            total += took
    return {
        "updates_a_second": rates,
        "share_of_writing": sum(saved) / total,
        "saves": len(saved),
    }


def measure(path: pathlib.Path) -> None:
    """A few swings of a pendulum, as somebody may have measured them."""
    import jax
    import numpy as np

    from jaxphys import data, systems
    from jaxphys.motion import simulated

    times = np.linspace(0.0, 4.0, 41)
    found = simulated(systems.pendulum(), jax.random.key(0), 6, times)
    data.save_trajectories(path, found)


def _start(kind: str, out: pathlib.Path) -> multiprocessing.process.BaseProcess:
    """Start the run, or go on with it where there is something to go on with."""
    arguments = [*KINDS[kind], "--out", str(out)]
    if _results(out) is not None:
        arguments = [*arguments[:2], "--resume", "--no-progress", "--out", str(out)]
    process = _FORKED.Process(target=_command, args=(arguments, out.parent))
    process.start()
    return process


def _command(arguments: list[str], folder: pathlib.Path) -> None:
    """What a process does: a command line in a folder, with its words in a file."""
    from tqdm import tqdm

    from jaxphys import cli

    # The lock of tqdm's own would outlive a process that is killed.
    tqdm.set_lock(threading.RLock())
    os.chdir(folder)
    with open(os.devnull, "w") as nowhere, open("said.txt", "w") as said:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(said.fileno(), 2)
    sys.exit(cli.main(arguments))


def _undisturbed(kind: str, out: pathlib.Path) -> float:
    """Run to the end; how long that takes."""
    begin = time.monotonic()
    process = _start(kind, out)
    process.join()
    if process.exitcode:
        said = (out.parent / "said.txt").read_text()
        raise RuntimeError(f"the undisturbed run failed: {said}")
    return time.monotonic() - begin


def _wait(
    process: multiprocessing.process.BaseProcess,
    out: pathlib.Path,
    seconds: float,
    *,
    at_write: bool,
) -> tuple[bool, bool]:
    """Until its time has come; whether it ended before, and whether it is writing."""
    process.join(seconds)
    patience = time.monotonic() + 3.0
    while process.is_alive() and at_write and time.monotonic() < patience:
        if any(out.rglob("*.part")):
            return False, True
    return not process.is_alive(), False


def _terminate(
    process: multiprocessing.process.BaseProcess,
    out: pathlib.Path,
    untouched: float | None,
    trouble: list[str],
) -> float:
    """End it by SIGTERM; how long that takes."""
    begin = time.monotonic()
    process.terminate()
    process.join()
    took = time.monotonic() - begin
    results = _results(out)
    status = json.loads(results.read_text())["status"] if results else "nothing"
    # A process that had not got to its results has nothing to say in them, and what
    # was done before the signal came is finished.
    silent = status == "running" and _written(out) != untouched
    if took > 5.0 or silent:
        trouble.append(f"SIGTERM took {took:.1f} s and left {status}")
    return took


def _written(out: pathlib.Path) -> float | None:
    """When the results were written last."""
    results = _results(out)
    return results.stat().st_mtime if results else None


def _results(out: pathlib.Path) -> pathlib.Path | None:
    """The results of a run or the report of a fit, if there are any yet."""
    found = (out / name for name in ("results.json", "report.json"))
    return next((path for path in found if path.exists()), None)


def _found(out: pathlib.Path, trouble: list[str]) -> dict[str, int]:
    """How far each training has come by its states; what is torn goes to `trouble`."""
    results = _results(out)
    if results is not None:
        try:
            json.loads(results.read_text())
        except ValueError:
            trouble.append(f"{results.name} is torn")
    newest: dict[str, int] = {}
    for path in out.rglob("*.state"):
        raw = path.read_bytes()
        if hashlib.sha256(raw[:-_DIGEST]).digest() != raw[-_DIGEST:]:
            trouble.append(f"{path.relative_to(out)} is torn")
        elif not path.parent.name.endswith(("-best", "-lowest")):
            name = path.parent.name
            newest[name] = max(newest.get(name, 0), int(path.stem))
    return newest


def _compared(
    out: pathlib.Path,
    reference: pathlib.Path,
    process: multiprocessing.process.BaseProcess,
) -> list[str]:
    """What differs between a run that is at its end and the one left alone."""
    process.join()
    if process.exitcode:
        said = (out.parent / "said.txt").read_text()
        return [f"a run that went on ended with {process.exitcode}: {said[-300:]}"]
    trouble: list[str] = []
    there, here = (_found(place, trouble) for place in (reference, out))
    if there != here:
        return [*trouble, f"updates are {here}, and undisturbed {there}"]
    for name, step in there.items():
        files = (x / "checkpoints" / name / f"{step}.state" for x in (reference, out))
        if len({_arrays(path) for path in files}) > 1:
            trouble.append(f"{name} has other weights than undisturbed")
    return trouble


def _arrays(path: pathlib.Path) -> bytes:
    """The arrays of a state, without the notes before them, which have clocks."""
    raw = path.read_bytes()
    begin = raw.index(b"\n") + 1
    length = int.from_bytes(raw[begin + 8 : begin + 16], "little")
    return raw[begin + 16 + length : -_DIGEST]


def main() -> int:
    """Kill as often as the command line says; 1 where anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills")
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    asked = parser.parse_args()
    lost = False
    with tempfile.TemporaryDirectory() as scratch:
        for kind in asked.kind:
            chance = random.Random(f"{kind} {asked.seed}")
            place = pathlib.Path(scratch) / kind
            tally = session(kind, asked.kills, chance, place)
            print(f"{kind}: {tally}", flush=True)
            lost |= bool(tally.trouble)
    return int(lost)


if __name__ == "__main__":
    sys.exit(main())
