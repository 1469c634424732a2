"""What the derivative of a long rollout keeps, with checkpoints and without.

The numbers are XLA's own, of the compiled gradient: the bytes of its temporaries.
"""

import math
import time
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import integrators, mechanics, systems
from jaxphys.types import PhaseState


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    lengths = (25, 100) if smoke else (625, 2500, 10_000, 40_000)
    batch, name = 64, "pendulum" if smoke else "double_pendulum"
    rows = [
        {"num_steps": n, "checkpoint": kept, **_gradient(name, n, kept, batch)}
        for n in lengths
        for kept in (False, True)
    ]
    growth = {}
    for kept in (False, True):
        sizes = [row["temporary_mb"] for row in rows if row["checkpoint"] == kept]
        growth["checkpoints" if kept else "all states"] = math.log(
            sizes[-1] / sizes[0]
        ) / math.log(lengths[-1] / lengths[0])
    config = {"system": name, "method": "rk4", "batch": batch}
    return config, {"rows": rows, "exponent": growth}


def _gradient(
    name: str, num_steps: int, checkpoint: bool, batch: int
) -> dict[str, float]:
    system = systems.get(name)
    step = integrators.rk4(mechanics.vector_field(system))
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), batch))
    starts = jax.tree.map(lambda x: 0.1 * x, starts)

    def end(params, y: PhaseState):
        last = integrators.repeat(
            step,
            y,
            dt=1e-4,
            num_steps=num_steps,
            args=params,
            checkpoint=checkpoint,
        )
        return jnp.sum(last.q)

    def total(params):
        return jnp.sum(jax.vmap(end, (None, 0))(params, starts))

    params = jax.tree.map(jnp.asarray, system.params)
    compiled = jax.jit(jax.grad(total)).lower(params).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    jax.block_until_ready(compiled(params))
    started = time.perf_counter()
    jax.block_until_ready(compiled(params))
    return {
        "temporary_mb": memory.temp_size_in_bytes / 2**20,
        "seconds": time.perf_counter() - started,
    }
