"""A controller of a million parameters: steps of HIG and LM beside a step of Adam.

Network 4-700-700-700-24, b = 32. Each method runs in a process of its own, whose peak
memory is the method's; the steps are timed one by one, to see their spread. HIG and LM
run a second time with two BLAS threads, to see what those cost.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

METHODS = ("adam", "hig", "levenberg_marquardt")


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    width, steps = (32, 5) if smoke else (700, 300)
    config = {"sizes": [4, width, width, width, 24], "batch_size": 32, "steps": steps}
    results = {}
    for threads in ("1", "2"):
        for method in METHODS:
            if threads == "2" and (smoke or method == "adam"):
                continue
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.million",
                    method,
                    *map(str, (width, steps)),
                ],
                env=os.environ | {"OPENBLAS_NUM_THREADS": threads},
                capture_output=True,
                text=True,
                check=True,
            )
            name = method if threads == "1" else f"{method}, 2 BLAS threads"
            results[name] = json.loads(done.stdout.splitlines()[-1])
    adam = results["adam"]["step_seconds"]["median"]
    for row in results.values():
        row["ratio_to_adam"] = row["step_seconds"]["median"] / adam
    return config, results


def measure(method: str, width: int, steps: int) -> dict[str, Any]:
    """Train for some steps in this process; times, memory and losses."""
    import jax

    jax.config.update("jax_enable_x64", True)
    import optax

    from benchmarks import harness
    from jaxphys import models, optim, problems, training

    make = {
        "adam": lambda: optax.adam(1e-3),
        "hig": lambda: optim.hig(1.0, rcond=1e-10),
        "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
    }
    problem = problems.oscillator_control()
    model = models.mlp((4, width, width, width, 24))
    outputs = problems.outputs(problem, model)
    x, y = problem.sample(jax.random.key(1), 4096)
    tx = make[method]()
    step = jax.jit(training.make_train_step(outputs, problem.objective, tx))
    state = training.init_state(model.init(jax.random.key(0)), tx)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    before = harness.peak_memory_mb()
    times, losses = [], []
    for number in range(steps + 1):
        rows = slice(32 * (number % 128), 32 * (number % 128) + 32)
        started = time.perf_counter()
        state, info = jax.block_until_ready(step(state, (x[rows], y[rows])))
        times.append(time.perf_counter() - started)
        losses.append(float(info.loss))
    return {
        "num_params": num_params,
        "compile_seconds": times[0],
        "step_seconds": harness.spread(times[1:]) | {"max": max(times[1:])},
        "peak_memory_mb": harness.peak_memory_mb(),
        "memory_before_training_mb": before,
        "dense_jacobian_mb": 128 * num_params * 4 / 2**20,
        "first_loss": losses[0],
        "last_loss": losses[-1],
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
