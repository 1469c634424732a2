"""One half-inverse step on the quantum dipole, ours and by a dense SVD, in one run.

The published setting: 384 fields from 28-20-20-20-384, b = 16, so 448 outputs. Steps
of all take turns. Beside them stand the parts of ours, each compiled alone.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness
from benchmarks.peers import dense_hig
from jaxphys import linalg, optim, problems, training, trees
from jaxphys.experiments.control import quantum_dipole
from jaxphys.optim.factors import pull_back

BATCH, RATE, RCOND = 16, 0.5, 1e-5


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    rounds, steps = (2, 12) if smoke else (15, 384)
    setting = quantum_dipole.Settings(time_steps=steps, controls=steps)
    problem, model = quantum_dipole.build(setting, jnp.dtype("float32"))
    outputs = problems.outputs(problem, model)
    params = model.init(jax.random.key(0))
    batch = problem.sample(jax.random.key(1), BATCH)
    tx = optim.hig(RATE, rcond=RCOND)
    ours = jax.jit(training.make_train_step(outputs, problem.objective, tx))
    state = training.init_state(params, tx)
    calls = {"jaxphys": lambda: ours(state, batch)[0].params}
    for name, together in (("dense, batch", True), ("dense, sample", False)):
        peer = dense_hig.step(
            outputs,
            problem.objective,
            learning_rate=RATE,
            rcond=RCOND,
            together=together,
        )
        calls[name] = functools.partial(jax.jit(peer), params, batch)
    flat = {name: trees.ravel(call())[0] for name, call in calls.items()}
    begin = trees.ravel(params)[0]
    step = jnp.linalg.norm(flat["jaxphys"] - begin)
    differences = {
        name: float(jnp.linalg.norm(flat[name] - flat["jaxphys"]) / step)
        for name in calls
        if name != "jaxphys"
    }
    times = harness.in_turns(calls, rounds)
    blocks = {name: [[t] for t in seconds[1:]] for name, seconds in times.items()}
    results = {
        "num_params": begin.size,
        "seconds": {name: harness.flat(block) for name, block in blocks.items()},
        "ratios": {
            name: harness.ratio(blocks[name], blocks["jaxphys"]) for name in differences
        },
        "differences": differences,
        "parts_ms": _parts(outputs, problem, params, batch, rounds),
    }
    settings = {"batch_size": BATCH, "learning_rate": RATE, "rcond": RCOND}
    return settings | {"rounds": rounds, "time_steps": steps}, results


def _parts(outputs, problem, params, batch, rounds: int) -> dict[str, float]:
    """Median milliseconds of the parts of one step, each compiled alone."""
    x, y = batch
    wide = linalg.double(jnp.float32)
    tx = optim.hig(RATE, rcond=RCOND)
    step = training.make_train_step(outputs, problem.objective, tx)
    cotangent = jnp.ones(x.size, jnp.float32)

    def linearised(params):
        return optim.linearise(outputs, params, x)

    def blocks(params):
        return [b for b in linearised(params).factors().blocks if b]

    def gram_of(params):
        return linearised(params).gram(wide)

    def pulled(params):
        return pull_back(linearised(params).factors(), cotangent)

    def power(gram):
        return linalg.gram_power(gram, cotangent, -0.5, RCOND).direction

    parts = {
        "forward": (lambda p: linearised(p).values, params),
        "forward and one reverse pass": (lambda p: linearised(p).vjp(x), params),
        "forward and factors": (blocks, params),
        "forward, factors and Gram matrix": (
            lambda p: linearised(p).gram(wide),
            params,
        ),
        "forward, factors and map back": (pulled, params),
        "eigenvectors of the Gram matrix": (power, jax.jit(gram_of)(params)),
        "whole step": (lambda s: step(s, (x, y))[0], training.init_state(params, tx)),
    }
    calls = {name: functools.partial(jax.jit(f), a) for name, (f, a) in parts.items()}
    times = harness.in_turns(calls, 2 * rounds)
    return {name: 1e3 * harness.spread(t[1:])["median"] for name, t in times.items()}
