"""Peak memory of a half-inverse step on Poisson's equation, by the automatic route.

8 × 8 nodes and b = 64 make a Jacobian of 4096 × 24 896, 408 MB in float32; 64 × 64
nodes one of 262 144 rows. Each size runs in a process of its own, whose peak is the
step's, with all that Python, JAX and the compiler take.
"""

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np

BATCH = 64


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    sizes, steps = ((4,), 1) if smoke else ((8, 64), 3)
    methods = ("hig", "levenberg_marquardt")
    rows = []
    for size in sizes:
        for method in methods:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.poisson_memory",
                    method,
                    *map(str, (size, steps)),
                ],
                capture_output=True,
                text=True,
                check=True,
            )
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    return {"batch_size": BATCH, "steps": steps}, {"rows": rows}


def measure(method: str, size: int, steps: int) -> dict[str, Any]:
    """A few steps in this process; memory, times and losses."""
    import jax

    jax.config.update("jax_enable_x64", True)
    from benchmarks import harness
    from jaxphys import optim, problems, training
    from jaxphys.experiments.control import poisson
    from jaxphys.optim import routes

    make = {
        "hig": lambda: optim.hig(0.64, rcond=1e-5),
        "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
    }
    largest = {
        "hig": routes.LARGEST_EIGENVECTORS,
        "levenberg_marquardt": routes.LARGEST_CHOLESKY,
    }
    problem, model = poisson.build(poisson.Settings(size=size), np.dtype("float32"))
    outputs = problems.outputs(problem, model)
    batch = problem.sample(jax.random.key(1), BATCH)
    tx = make[method]()
    state = training.init_state(model.init(jax.random.key(0)), tx)
    num_params = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    rows = BATCH * problem.num_outputs
    before = harness.peak_memory_mb()
    step = jax.jit(training.make_train_step(outputs, problem.objective, tx))
    times, losses = [], []
    for _ in range(steps + 1):
        started = time.perf_counter()
        state, info = jax.block_until_ready(step(state, batch))
        times.append(time.perf_counter() - started)
        losses.append(float(info.loss))
    return {
        "method": method,
        "size": size,
        "route": routes.chosen_route(
            rows,
            num_params,
            iterations=100,
            memory_limit=None,
            largest_side=largest[method],
        ),
        "num_outputs": rows,
        "num_params": num_params,
        "peak_memory_mb": harness.peak_memory_mb(),
        "memory_before_training_mb": before,
        "dense_jacobian_mb": rows * num_params * 4 / 2**20,
        "first_call_seconds": times[0],
        "step_seconds": harness.spread(times[1:]),
        "losses": losses,
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
