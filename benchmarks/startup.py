"""From the command to the first update on the screen, compilation included.

Runs `jaxphys run oscillators --method M` in a process of its own for each method, and
watches its progress bar for the first line that shows an update: once with nothing
compiled before, and once more with what the first run has left in the cache.
"""

import os
import subprocess
import sys
import tempfile
import time
from typing import Any

from jaxphys.experiments.control import oscillators


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    names = ["adam"] if smoke else list(oscillators.ROWS)
    first, again = {}, {}
    for name in names:
        with tempfile.TemporaryDirectory() as cache:
            first[name] = _first_update(name, cache)
            again[name] = _first_update(name, cache)
    return {}, {"seconds_to_first_update": first, "from_the_cache": again}


def _first_update(method: str, cache: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "jaxphys.cli", "run", "oscillators"]
        command += ["--method", method, "--steps", "3", "--out", f"{directory}/run"]
        command += ["--cache", cache]
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert process.stderr is not None
        seen = b""
        while b"update 1" not in seen:
            piece = os.read(process.stderr.fileno(), 4096)
            if not piece:
                raise RuntimeError(f"{method} ended without an update: {seen!r}")
            seen += piece
        took = time.perf_counter() - started
        process.stderr.read()
        process.wait()
    return took
