"""An epoch of half-inverse gradients, ours and as published in TensorFlow, in one run.

Epochs of the two alternate, so that both see the same machine; the ratio is of medians.
Beside it stand the parts of our step, each compiled alone: what the time is spent on.
"""

import statistics
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness
from jaxphys import linalg, models, optim, problems, training
from jaxphys.optim.factors import pull_back


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    epochs, rounds, samples = (1, 1, 128) if smoke else (1, 9, 4096)
    config = {"batch_size": 32, "samples": samples, "epochs": epochs * rounds}
    ours = _our_epoch(samples)
    ours()
    from benchmarks.peers import hig_tensorflow

    theirs = hig_tensorflow.Trainer(num_samples=samples)
    times = harness.in_turns({"jaxphys": ours, "tensorflow": theirs.epoch}, rounds)
    (_, *our_times), (_, *their_times) = times.values()
    pairs = zip(our_times, their_times, strict=True)
    results = {
        "jaxphys_seconds": harness.spread(our_times),
        "tensorflow_seconds": harness.spread(their_times),
        "ratio_of_medians": statistics.median(their_times)
        / statistics.median(our_times),
        "ratio_pairwise": harness.spread([b / a for a, b in pairs]),
        "tensorflow_loss": theirs.loss(),
        "parts_ms": _parts(repeats=5 if smoke else 400),
    }
    return config, results


def _setting(samples: int):
    problem = problems.oscillator_control()
    model = models.mlp((4, 20, 20, 20, 24))
    outputs = problems.outputs(problem, model)
    data = problem.sample(jax.random.key(1), samples)
    return problem, model, outputs, data


def _our_epoch(samples: int):
    problem, model, outputs, data = _setting(samples)
    tx = optim.hig(1.0, rcond=1e-10)
    step = training.make_train_step(outputs, problem.objective, tx)
    loop = training.make_loop(step, 32)
    state = training.init_state(model.init(jax.random.key(0)), tx)
    count = jnp.asarray(samples // 32, jnp.int32)

    def epoch() -> None:
        nonlocal state
        done = loop(state, data, None, count, training.no_skips())
        state = jax.block_until_ready(done)[0]

    return epoch


def _parts(repeats: int) -> dict[str, float]:
    """Median milliseconds of the parts of one step, each compiled alone."""
    problem, model, outputs, (x, y) = _setting(32)
    params = model.init(jax.random.key(0))
    tx = optim.hig(1.0, rcond=1e-10)
    step = training.make_train_step(outputs, problem.objective, tx)
    state = training.init_state(params, tx)
    for _ in range(20):
        state, _ = jax.jit(step)(state, (x, y))
    params = state.params
    wide = linalg.double(jnp.float32)
    gram = optim.linearise(outputs, params, x).gram(wide)
    cotangent = jnp.ones(gram.shape[0], jnp.float32)

    def factors(params):
        batch = optim.linearise(outputs, params, x)
        return batch.values, [b.columns for b in batch.factors().blocks if b]

    def gram_of(params):
        return optim.linearise(outputs, params, x).gram(wide)

    def pulled(params):
        return pull_back(optim.linearise(outputs, params, x).factors(), cotangent)

    def power(gram):
        return linalg.gram_power(gram, cotangent, -0.5, 1e-10).direction

    parts = {
        "forward": (lambda p: optim.linearise(outputs, p, x).values, params),
        "forward and factors": (factors, params),
        "forward, factors and Gram matrix": (gram_of, params),
        "forward, factors and map back": (pulled, params),
        "eigenvectors of the Gram matrix": (power, gram),
        "whole step": (lambda s: step(s, (x, y))[0], state),
    }
    return {
        name: 1e3 * harness.seconds(function, argument, repeats=repeats)["median"]
        for name, (function, argument) in parts.items()
    }
