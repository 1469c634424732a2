"""How much of the device each hot step reaches.

The operations and bytes of a step are those that XLA counts in the compiled program,
and of factorizations, which it does not see, the least there can be. What the device
can do is measured in the same run: products of float32 matrices in full precision, and
a copy of an array that is larger than any cache. No step takes less time than

    max(operations / peak, bytes / bandwidth),

and the share of its time that this is is what is reached. Where a Gram matrix is formed
and factorized in float64, the bound by float32 products is lower than it could be.
"""

import statistics
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness, hot

#: Side of the matrices and entries of the copy that show what the device can do.
PEAKS = {"smoke": (128, 2**16), "cpu": (2048, 2**26), "gpu": (16384, 2**29)}


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    size = harness.size_of(smoke, gpu)
    seconds = 0.02 if smoke else 1.0
    side, entries = PEAKS[size]
    a = jnp.ones((side, side), jnp.float32)
    product = _best(jax.jit(_exact), a)
    copied = _best(jax.jit(lambda x: x + 1), jnp.ones(entries, jnp.float32))
    peak, bandwidth = 2.0 * side**3 / product, 8.0 * entries / copied
    config = {"size": size, "seconds": seconds, "matmul": side, "copy": entries}
    rows = [
        _row(name, make(), seconds, peak, bandwidth)
        for name, make in hot.steps(size).items()
    ]
    return config, {"peak": peak, "bandwidth": bandwidth, "rows": rows}


def _exact(a: jax.Array) -> jax.Array:
    return jnp.matmul(a, a, precision="highest")


def _best(function: Any, x: jax.Array) -> float:
    """The least of several times: what the device can do, not what it usually does."""
    return min(harness.in_turns({"": lambda: function(x)}, 9)[""][1:])


def _row(name: str, step: hot.Hot, seconds: float, peak: float, bandwidth: float):
    program, times = hot.timed(step, seconds)
    counted = program.cost_analysis()
    operations = counted["flops"] + step.factorized
    moved = counted["bytes accessed"]
    took = statistics.median(times)
    least = max(operations / peak, moved / bandwidth)
    return {
        "name": name,
        "operations": operations,
        "bytes": moved,
        "seconds": harness.spread(times),
        "bound": "operations" if operations / peak >= moved / bandwidth else "bytes",
        "share": least / took,
    }
