"""How much of the device each hot step reaches.

The operations and bytes of a step are those that XLA counts in the compiled program,
and of factorizations, which it does not see, the least there can be. What the device
can do is measured in the same run: products of float32 matrices in full precision, and
reading and writing an array again and again, of the size that is fastest, as what XLA
counts as moved may stay in a cache. No step takes less time than

    max(operations / peak, bytes / bandwidth),

and its part of the time is the share that is reached: a low bound of it, as arrays of
other sizes move slower, and as what is formed and factorized in float64 is held
against products of float32.
"""

import statistics
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness, hot

#: Side of the matrices that show what the device can do.
SIDES = {"smoke": 128, "cpu": 2048, "gpu": 16384}
#: Entries of the arrays that do, from the smallest cache to memory.
ENTRIES = {
    "smoke": (2**12,),
    "cpu": (2**12, 2**14, 2**16, 2**18, 2**20, 2**24),
    "gpu": (2**18, 2**20, 2**22, 2**24, 2**26, 2**28),
}
#: How often an array is read and written in one call.
TURNS = 100


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    size = harness.size_of(smoke, gpu)
    seconds = 0.02 if smoke else 1.0
    side = SIDES[size]
    product = _best(jax.jit(_exact), jnp.ones((side, side), jnp.float32))
    peak, bandwidth = 2.0 * side**3 / product, max(map(_bandwidth, ENTRIES[size]))
    config = {"size": size, "seconds": seconds, "matmul": side}
    rows = [
        _row(name, make(), seconds, peak, bandwidth)
        for name, make in hot.steps(size).items()
    ]
    return config, {"peak": peak, "bandwidth": bandwidth, "rows": rows}


def _exact(a: jax.Array) -> jax.Array:
    return jnp.matmul(a, a, precision="highest")


@jax.jit
def _again_and_again(x: jax.Array) -> jax.Array:
    return jax.lax.fori_loop(0, TURNS, lambda _, x: x + 1, x)


def _bandwidth(entries: int) -> float:
    """Bytes a second, each entry read once and written once a turn."""
    took = _best(_again_and_again, jnp.ones(entries, jnp.float32))
    return 8.0 * entries * TURNS / took


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
