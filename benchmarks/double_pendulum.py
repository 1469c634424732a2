"""Thousands of double pendula at once: RK4 steps a second, beside diffrax.

The same step and number of steps for all; runs alternate. "from L" is what a user
writes, `vmap` of `repeat` of `rk4` of `lagrangian_vector_field`; "by hand" is what an
expert writes for the compiler, the accelerations of the textbook on one vector for each
number. The other rows keep arrays whole, or keep every state. diffrax takes constant
steps, of arrays, and of numbers by hand; ratios are to the faster one.
"""

import contextlib
import functools
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp

from benchmarks import harness
from jaxphys import integrators, mechanics, systems
from jaxphys._jaxpr import trig
from jaxphys.types import TangentState

DT = 0.01


def textbook(sin: Callable, cos: Callable) -> Callable:
    """The accelerations written out, of four numbers (θ₁, θ₂, ω₁, ω₂)."""

    def field(t, y, params):
        m1, m2, l1, l2, g = params
        t1, t2, w1, w2 = y
        c, s = cos(t1 - t2), sin(t1 - t2)
        a, b, e, d = (m1 + m2) * l1, m2 * l2 * c, m2 * l1 * c, m2 * l2
        first = -d * w2**2 * s - (m1 + m2) * g * sin(t1)
        second = m2 * l1 * w1**2 * s - m2 * g * sin(t2)
        det = a * d - b * e
        return w1, w2, (d * first - b * second) / det, (a * second - e * first) / det

    return field


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    batch, steps, rounds = (64, 20, 1) if smoke else (4096, 1000, 9)
    if gpu:
        batch, rounds = 262_144, 3
    config = {"trajectories": batch, "steps": steps, "dt": DT, "rounds": rounds}
    runs = _runs(batch, steps)
    rates = _measure(runs, batch * steps, rounds)
    base = max(rate["median"] for name, rate in rates.items() if "diffrax" in name)
    for rate in rates.values():
        rate["ratio_to_diffrax"] = rate["median"] / base
    results: dict[str, Any] = {"steps_per_second": rates}
    if not smoke and not gpu and hasattr(os, "sched_getaffinity"):
        results["one_core_steps_per_second"] = _on_one_core()
    return config, results


def _runs(batch: int, steps: int) -> dict[str, Callable]:
    system = systems.double_pendulum()
    assert system.lagrangian is not None
    assert system.sample_tangent is not None
    keys = jax.random.split(jax.random.key(0), batch)
    single = jnp.float32
    moving, phase = (
        jax.tree.map(lambda x: x.astype(single), jax.vmap(sample)(keys))
        for sample in (system.sample_tangent, system.sample)
    )
    lagrangian = mechanics.lagrangian_vector_field(system.lagrangian)
    hamiltonian = mechanics.vector_field(system)
    options = {"dt": DT, "num_steps": steps, "args": system.params}

    def end(field, keep=False, whole=False):
        step, go = integrators.rk4(field), integrators.repeat
        if keep:
            go = integrators.rollout
        return jax.vmap(lambda y: go(step, y, scalarize=not whole, **options))

    def by_hand(y):
        step = integrators.rk4(textbook(trig.sin, trig.cos))
        last = integrators.repeat(step, tuple(y), scalarize=False, **options)
        return jnp.stack(last)

    def by_diffrax(field):
        def last(y):
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                diffrax.Tsit5(),
                t0=0.0,
                t1=steps * DT,
                dt0=DT,
                y0=y,
                args=system.params,
                stepsize_controller=diffrax.ConstantStepSize(),
                saveat=diffrax.SaveAt(t1=True),
                max_steps=steps + 2,
                throw=False,
            )
            return solution.ys

        return last

    def call(function, start: Any):
        return functools.partial(jax.jit(function), start)

    numbers = jnp.concatenate([moving.q, moving.v], 1).T
    vectorized, usual = textbook(trig.sin, trig.cos), textbook(jnp.sin, jnp.cos)
    return {
        "from L": call(end(lagrangian), moving),
        "from L, all states": call(end(lagrangian, keep=True), moving),
        "from L, arrays whole": call(end(lagrangian, whole=True), moving),
        "from H": call(end(hamiltonian), phase),
        "from H, arrays whole": call(end(hamiltonian, whole=True), phase),
        "textbook, by hand": call(by_hand, numbers),
        "diffrax Tsit5, by hand": call(
            jax.vmap(by_diffrax(vectorized)), tuple(numbers)
        ),
        "diffrax Tsit5": call(jax.vmap(by_diffrax(_of_tangent_states(usual))), moving),
    }


def _of_tangent_states(field: Callable) -> Callable:
    def wrapped(t, y, params):
        w1, w2, a1, a2 = field(t, (*y.q, *y.v), params)
        return TangentState(jnp.stack([w1, w2]), jnp.stack([a1, a2]))

    return wrapped


def _measure(runs: dict, total: int, rounds: int) -> dict[str, dict[str, float]]:
    return {
        name: {
            "first_call_seconds": first,
            **{k: total / v for k, v in harness.spread(times).items()},
        }
        for name, (first, *times) in harness.in_turns(runs, rounds).items()
    }


def _on_one_core() -> float:
    """The first row again, in a process that may use one core."""
    command = [sys.executable, "-m", "benchmarks.double_pendulum"]
    done = subprocess.run(command, text=True, capture_output=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    with contextlib.suppress(AttributeError):
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
    jax.config.update("jax_enable_x64", True)
    call = _runs(4096, 1000)["from L"]
    _, *seconds = harness.in_turns({"": call}, 5)[""]
    print(4096 * 1000 / statistics.median(seconds))
