"""Resident memory while every optimizer trains, and of large fits and simulations.

Each part runs in a process of its own, whose resident size is read every fifth of a
second. Growth is the slope of a line through the second half of the readings.
"""

import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

import numpy as np

#: Seconds of training of each optimizer, and how many train at once.
SECONDS, AT_ONCE = 600.0, 4
#: Rows of the data of a fit, and trajectories of a simulation.
ROWS, TRAJECTORIES = 1_000_000, 100_000

OPTIMIZERS = (
    "adam",
    "sip",
    "hig",
    "gauss_newton",
    "levenberg_marquardt",
    "spring",
    "hig_kronecker",
    "gauss_newton_kronecker",
)


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    seconds = 2.0 if smoke else SECONDS
    names = ("adam", "hig_kronecker") if smoke else OPTIMIZERS
    rows, count = (2000, 50) if smoke else (ROWS, TRAJECTORIES)
    parts: list[tuple[str, Any, Any]] = [("train", name, seconds) for name in names]
    parts += [("fit", rows, 2), ("simulate", count, 0)]
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        found = list(pool.map(_alone, parts))
    config = {
        "seconds": seconds,
        "at_once": AT_ONCE,
        "niceness": os.nice(0),
        "rows": rows,
        "trajectories": count,
    }
    return config, {"rows": found}


def _alone(part: tuple[str, Any, Any]) -> dict[str, Any]:
    """One part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", *map(str, part)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{part} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def resident_mb() -> float:
    """The resident size of this process now, in MB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Sampler(threading.Thread):
    """Reads the resident size until it is stopped; `readings` are (seconds, MB)."""

    def __init__(self, every: float = 0.2):
        super().__init__(daemon=True)
        self.every, self.done = every, threading.Event()
        self.readings: list[tuple[float, float]] = []

    def run(self) -> None:
        begin = time.monotonic()
        while not self.done.wait(self.every):
            self.readings.append((time.monotonic() - begin, resident_mb()))


def growth(readings: list[tuple[float, float]]) -> float:
    """MB a minute, of a line through the second half of the readings.

    Example:
      >>> round(growth([(i, 100 + i / 30) for i in range(100)]), 6)
      2.0
    """
    t, size = np.array(readings[len(readings) // 2 :]).T
    return 60 * float(np.polyfit(t - t[0], size, 1)[0])


def _transformation(name: str) -> Any:
    import optax

    from jaxphys import optim

    def kronecker(power: float) -> Any:
        rate = optax.scale(-0.1)
        return optax.chain(optim.scale_by_kronecker(power=power), rate)

    return {
        "adam": lambda: optax.adam(1e-3),
        "sip": lambda: optax.adam(1e-3),
        "hig": lambda: optim.hig(1.0, rcond=1e-8, relative=True),
        "gauss_newton": lambda: optim.gauss_newton(1.0, rcond=1e-6, relative=True),
        "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
        "spring": lambda: optim.spring(),
        "hig_kronecker": lambda: kronecker(-0.5),
        "gauss_newton_kronecker": lambda: kronecker(-1.0),
    }[name]()


def train(name: str, seconds: float) -> dict[str, Any]:
    """Train a controller of coupled oscillators, and watch the memory meanwhile."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from jaxphys import models, optim, problems, training

    problem = problems.oscillator_control()
    model = models.mlp((problem.num_inputs, 20, 20, problem.num_controls))
    outputs, objective = problems.outputs(problem, model), problem.objective
    data = problem.sample(jax.random.key(1), 4096)
    if name == "sip":
        outputs, objective = model.apply, optim.sip(problem.simulate, objective)
        data = (data[0], data)
    tx = _transformation(name)
    step = training.make_train_step(outputs, objective, tx)
    state = training.init_state(model.init(jax.random.key(0)), tx)
    sampler = Sampler()
    looks = training.Looks(every=1000)
    trainer = training.Trainer(step, 64)

    def begin() -> None:
        # What compilation takes is no growth: the clock begins at the first update.
        trainer.fit(state, data, training.Budget(steps=1), progress=False)
        sampler.start()

    begin()
    before = resident_mb()
    fit = trainer.fit(
        state,
        data,
        training.Budget(seconds=seconds),
        key=jax.random.key(2),
        looks=looks,
        progress=False,
    )
    sampler.done.set()
    sampler.join()
    return {
        "updates": int(fit.state.step),
        "before_mb": before,
        "growth_mb_per_minute": growth(sampler.readings),
        "readings": len(sampler.readings),
    }


def command(kind: str, size: int) -> dict[str, Any]:
    """A command of the command line on much data, in a folder of its own."""
    from benchmarks import harness
    from jaxphys import cli

    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch)
        options = ["simulate", "pendulum", "--trajectories", str(size), "--no-animate"]
        data_mb = 0.0
        if kind == "fit":
            t = np.arange(size) * 0.01
            table = np.stack([t, np.cos(t), -np.sin(t)], axis=1)
            np.savez(out / "rows.npz", t=t, q=table[:, 1:2], p=table[:, 2:])
            data_mb = table.nbytes / 2**20
            options = ["fit", "hnn", "--data", str(out / "rows.npz"), "--steps", "2"]
            options += ["--hidden", "8", "--no-progress"]
        before = harness.peak_memory_mb()
        with open(os.devnull, "w") as nowhere:
            sys.stdout, told = nowhere, sys.stdout
            status = cli.main([*options, "--cache", "off", "--out", str(out / "out")])
            sys.stdout = told
        if status:
            raise RuntimeError(f"{options} ended with {status}")
        if kind == "simulate":
            data_mb = (out / "out" / "trajectory.npz").stat().st_size / 2**20
    return {"before_mb": before, "data_mb": data_mb}


def main() -> None:
    """One part, which prints a line of JSON."""
    from benchmarks import harness

    kind, what, much = sys.argv[1:]
    begin = time.perf_counter()
    if kind == "train":
        found, name = train(what, float(much)), what
    else:
        found, name = command(kind, int(what)), f"{kind}, {int(what):,}"
    found |= {"name": name, "peak_mb": harness.peak_memory_mb()}
    print(json.dumps(found | {"seconds": time.perf_counter() - begin}))


if __name__ == "__main__":
    main()
