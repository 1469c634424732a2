"""Accelerations of a Lagrangian network, beside the published formula, in one run.

The network and the batch are the same for both; calls alternate. The gradient is that
of the mean squared error of the accelerations by the network's parameters.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness
from benchmarks.peers import published_lnn
from jaxphys import mechanics, models

SETTINGS = ((2, 256, 512), (2, 16, 4096), (10, 64, 256))


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    repeats = 2 if smoke else 61
    settings = ((2, 16, 64),) if smoke else SETTINGS
    config = {"layers": "two hidden, softplus", "repeats": repeats}
    rows = [_compare(*setting, repeats) for setting in settings]
    return config, {"rows": rows}


def _compare(n: int, hidden: int, batch: int, repeats: int) -> dict[str, Any]:
    network = models.mlp((2 * n, hidden, hidden, 1), activation="softplus")

    def lagrangian(params, q, v):
        return network.apply(params, jnp.concatenate([q, v]))[0] + v @ v / 2

    params = network.init(jax.random.key(0))
    q, v, target = jax.random.normal(jax.random.key(1), (3, batch, n), jnp.float32)
    makers = {
        "jaxphys": mechanics.acceleration(lagrangian),
        "published": published_lnn.acceleration(lagrangian),
    }
    forward = {k: jax.vmap(a, (None, 0, 0)) for k, a in makers.items()}

    def gradient(accelerate):
        def loss(params, q, v):
            return jnp.mean((accelerate(params, q, v) - target) ** 2)

        return jax.grad(loss)

    row: dict[str, Any] = {"n": n, "hidden": hidden, "batch": batch}
    backward = {k: gradient(a) for k, a in forward.items()}
    for kind, functions in (("forward", forward), ("gradient", backward)):
        times = _alternate(functions, (params, q, v), repeats)
        row[kind] = times
        ours, theirs = (times[k]["median"] for k in ("jaxphys", "published"))
        row[f"{kind}_ratio"] = theirs / ours
    values = [jax.jit(a)(params, q, v) for a in forward.values()]
    row["largest_difference"] = float(jnp.max(jnp.abs(values[0] - values[1])))
    return row


def _alternate(functions, arguments, repeats: int) -> dict[str, dict[str, float]]:
    calls: dict[str, Callable] = {
        k: functools.partial(jax.jit(f), *arguments) for k, f in functions.items()
    }
    return {
        k: {"compile_seconds": first, **harness.spread(times)}
        for k, (first, *times) in harness.in_turns(calls, repeats).items()
    }
