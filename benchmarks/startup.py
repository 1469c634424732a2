"""From the command to the first update on the screen, compilation included.

Runs `jaxphys run oscillators --method M` in a process of its own for each method, and
watches its progress bar for the first line that shows an update.
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
    results = {name: _first_update(name) for name in names}
    return {}, {"seconds_to_first_update": results}


def _first_update(method: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "jaxphys.cli", "run", "oscillators"]
        command += ["--method", method, "--steps", "3", "--out", f"{directory}/run"]
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
