"""What every measurement shares: clocks, memory, and the record that is kept.

A record is one line of JSON in `benchmarks/results/NAME.jsonl`: when, at which
revision, with which versions, on what device, with which settings, and what came out.
Records are only ever appended.
"""

import datetime
import json
import pathlib
import re
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.experiments.record import device, versions

RESULTS = pathlib.Path(__file__).parent / "results"

#: Steps of one party before it is the other's turn, and how many of them are left out.
#: Both JAX and PyTorch keep threads of their own: those of PyTorch (OpenMP) spin on for
#: a while after a call, those of XLA fall asleep, and each leaves the caches to the
#: next. Where single calls alternated on two shared cores, a step of ours took a
#: quarter longer than in blocks beside PyTorch on one thread, and three times as long
#: beside it on all; its own took a tenth longer. None of this is what training sees.
BLOCK, SETTLE = 20, 3


class Party(NamedTuple):
    """Who is measured: a call, the steps it takes, and calls a turn, some left out."""

    call: Callable[[], Any]
    steps: int = 1
    calls: int = BLOCK
    settle: int = SETTLE


def size_of(smoke: bool, gpu: bool) -> str:
    """The name of a size, of what a benchmark is called with."""
    return "smoke" if smoke else "gpu" if gpu else "cpu"


def own_results() -> pathlib.Path:
    """Where this device's records go: those of processors together, of others apart."""
    first = jax.devices()[0]
    if first.platform == "cpu":
        return RESULTS
    return RESULTS / re.sub(r"[^A-Za-z0-9]+", "-", first.device_kind).strip("-").lower()


def revision() -> str:
    """The commit that is measured, with a + where the tree differs from it."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--", "../jaxphys", "*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(RESULTS.parent), *arguments]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    return done.stdout.strip()


def record(
    name: str,
    config: dict[str, Any],
    results: dict[str, Any],
    *,
    dtype: str = "float32",
    results_dir: pathlib.Path = RESULTS,
) -> dict[str, Any]:
    """Append a measurement to its file, and return it.

    `dtype` is that of the parameters; results that differ from it carry their own.
    """
    line = {
        "benchmark": name,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "versions": versions(),
        "device": device(),
        "dtype": dtype,
        "config": config,
        "peak_memory_mb": peak_memory_mb(),
        "results": results,
    }
    results_dir.mkdir(parents=True, exist_ok=True)
    with (results_dir / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    return line


def merged(name: str, results_dir: pathlib.Path = RESULTS) -> dict[str, Any] | None:
    """The newest record, with those parts of its results that only older ones have.

    A part is an entry of a dict in the results, or a list that is not empty.
    """
    path = results_dir / f"{name}.jsonl"
    if not path.exists():
        return None
    records = [json.loads(line) for line in path.read_text().splitlines()]
    whole: dict[str, Any] = {}
    for found in records:
        for key, value in found["results"].items():
            if isinstance(value, dict):
                whole[key] = whole.get(key, {}) | value
            elif value or key not in whole:
                whole[key] = value
    return records[-1] | {"results": whole}


def latest(name: str, results_dir: pathlib.Path = RESULTS) -> dict[str, Any] | None:
    """The newest record of a benchmark, if there is one."""
    path = results_dir / f"{name}.jsonl"
    if not path.exists():
        return None
    return json.loads(path.read_text().splitlines()[-1])


def peak_memory_mb() -> float:
    """The largest resident size of this process so far, in MB.

    Linux's VmHWM begins anew with a program, where ru_maxrss keeps its parent's.
    """
    status = pathlib.Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(function: Callable, *args, repeats: int) -> dict[str, float]:
    """Compile time and the spread of a jitted function's run time.

    Returns:
      compile_seconds (the first call), and median, p10, p90 of `repeats` further calls.
    """
    compiled = jax.jit(function)
    first, *times = in_turns({"": lambda: compiled(*args)}, repeats)[""]
    return {"compile_seconds": first, **spread(times)}


def in_turns(calls: Mapping[str, Callable], rounds: int) -> dict[str, list[float]]:
    """Seconds of the first call of each, and of `rounds` more.

    They take turns, so that all see the same machine.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(1 + rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            jax.block_until_ready(call())
            times[name].append(time.perf_counter() - started)
    return times


def in_blocks(parties: dict[str, Party], turns: int) -> dict[str, list[list[float]]]:
    """Seconds of the steps of each, turn by turn; all see the same machine."""
    for party in parties.values():
        party.call()
    times: dict[str, list[list[float]]] = {name: [] for name in parties}
    for _ in range(turns):
        for name, party in parties.items():
            block = []
            for number in range(party.calls):
                started = time.perf_counter()
                party.call()
                took = time.perf_counter() - started
                if number >= party.settle:
                    block.append(took / party.steps)
            times[name].append(block)
    return times


def repeated(step: Callable, state: Any, *rest: Any) -> Callable[[], None]:
    """A call of `step(state, *rest) -> (state, …)`, compiled, its state given away."""
    compiled = jax.jit(step, donate_argnums=0)
    state = jax.tree.map(jnp.copy, state)

    def call() -> None:
        nonlocal state
        state, *_ = jax.block_until_ready(compiled(state, *rest))

    return call


def matmul(size: int) -> Party:
    """One large product, the peak of the machine; it needs no block to settle in."""
    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.float32)
    dot = jax.jit(jnp.dot)
    return Party(lambda: jax.block_until_ready(dot(a, b)), calls=3, settle=1)


def spread(times: list[float]) -> dict[str, float]:
    """Median, 10 % and 90 % quantiles."""
    ordered = sorted(times)
    return {
        "median": statistics.median(ordered),
        "p10": ordered[int(0.1 * (len(ordered) - 1))],
        "p90": ordered[int(0.9 * (len(ordered) - 1))],
    }


def flat(blocks: list[list[float]]) -> dict[str, float]:
    """The `spread` over all turns."""
    return spread([took for block in blocks for took in block])


def ratio(theirs: list[list[float]], ours: list[list[float]]) -> dict[str, float]:
    """The `spread` over turns of their median over ours."""
    pairs = zip(theirs, ours, strict=True)
    return spread([statistics.median(t) / statistics.median(o) for t, o in pairs])
