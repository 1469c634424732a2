"""Benchmarks one after another, each in a process of its own with a limit.

A part that is killed at its limit, or fails, costs the others nothing: each writes its
result when it has it.
"""

import subprocess
import sys
import time
from typing import NamedTuple

__all__ = ["GPU", "GPU_SECONDS", "Part", "run"]


class Part(NamedTuple):
    """A benchmark, and the seconds it may take."""

    name: str
    limit: float


#: What one GPU is asked for, in order of worth, and the seconds of all of it.
GPU = (
    Part("roofline", 90.0),
    Part("engine", 90.0),
    Part("growth", 100.0),
    Part("double_pendulum", 75.0),
)
GPU_SECONDS = 350.0


def run(parts: tuple[Part, ...], size: str, total: float) -> dict[str, str]:
    """Run the parts; name → "done in 12 s", "stopped after 90 s", "failed (1)" …."""
    begun, found = time.perf_counter(), {}
    for part in parts:
        left = total - (time.perf_counter() - begun)
        if left <= 0:
            found[part.name] = "not begun: no time was left"
            continue
        started, limit = time.perf_counter(), min(part.limit, left)
        command = [sys.executable, "-m", "benchmarks", "run", part.name]
        # The child of a part that is killed must not go on.
        process = subprocess.Popen([*command, "--size", size, "--alone"])
        try:
            status = process.wait(limit)
            took = time.perf_counter() - started
            found[part.name] = f"{took:.0f} s"
            if status:
                found[part.name] = f"failed ({status}) after {took:.0f} s"
        except subprocess.TimeoutExpired:
            found[part.name] = f"stopped after {limit:.0f} s"
        finally:
            process.kill()
            process.wait()
    return found
