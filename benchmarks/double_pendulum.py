"""Thousands of double pendula at once: RK4 steps a second, beside diffrax.

The same vector field, step and number of steps for all; runs alternate. The rows say
where the time goes: the sine of XLA against ours, arrays of two numbers against
numbers, keeping every state against the last one, one core against two.
"""

import contextlib
import functools
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp

from benchmarks import harness
from jaxphys import integrators, mechanics, systems, trig
from jaxphys.scalars import scalarize
from jaxphys.types import PhaseState, TangentState

DT = 0.01


class Sines(NamedTuple):
    """Which sine and cosine a field is written with."""

    sin: Callable
    cos: Callable


OURS, XLAS = Sines(trig.sin, trig.cos), Sines(jnp.sin, jnp.cos)


def textbook(sines: Sines) -> Callable:
    """The accelerations written out, as a textbook has them."""
    sin, cos = sines

    def field(t, y, params):
        m1, m2, l1, l2, g = params
        (t1, t2), (w1, w2) = y
        c, s = cos(t1 - t2), sin(t1 - t2)
        a, b, e, d = (m1 + m2) * l1, m2 * l2 * c, m2 * l1 * c, m2 * l2
        first = -d * w2**2 * s - (m1 + m2) * g * sin(t1)
        second = m2 * l1 * w1**2 * s - m2 * g * sin(t2)
        det = a * d - b * e
        bend = [(d * first - b * second) / det, (a * second - e * first) / det]
        return TangentState(y.v, jnp.stack(bend))

    return field


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    batch, steps, rounds = (64, 20, 1) if smoke else (4096, 1000, 9)
    config = {"trajectories": batch, "steps": steps, "dt": DT, "rounds": rounds}
    runs = _runs(batch, steps)
    rates = _measure(runs, batch * steps, rounds)
    base = rates["diffrax Tsit5, constant step"]["median"]
    for rate in rates.values():
        rate["ratio_to_diffrax"] = rate["median"] / base
    results: dict[str, Any] = {"steps_per_second": rates}
    if not smoke and hasattr(os, "sched_getaffinity"):
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

    def plain(field):
        step = integrators.rk4(field)
        return lambda y: integrators.repeat(step, y, **options)

    def numbers(field, rolled=False, keep=False):
        step = integrators.rk4(field, rolled=rolled)
        go = integrators.rollout if keep else integrators.repeat
        return scalarize(lambda y: go(step, y, **options))

    def by_diffrax(field):
        def end(y):
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

        return end

    def call(function, start: TangentState | PhaseState):
        return functools.partial(jax.jit(jax.vmap(function)), start)

    return {
        "from L, by numbers": call(numbers(lagrangian), moving),
        "from L, by numbers, rolled": call(numbers(lagrangian, True), moving),
        "from L, by numbers, rolled, all states": call(
            numbers(lagrangian, True, True), moving
        ),
        "from L": call(plain(lagrangian), moving),
        "from H, by numbers, rolled": call(numbers(hamiltonian, True), phase),
        "from H": call(plain(hamiltonian), phase),
        "textbook, by numbers": call(numbers(textbook(OURS)), moving),
        "textbook": call(plain(textbook(OURS)), moving),
        "textbook, XLA's sine, by numbers": call(numbers(textbook(XLAS)), moving),
        "textbook, XLA's sine": call(plain(textbook(XLAS)), moving),
        "diffrax Tsit5, constant step": call(by_diffrax(textbook(OURS)), moving),
        "diffrax Tsit5, XLA's sine": call(by_diffrax(textbook(XLAS)), moving),
    }


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
    call = _runs(4096, 1000)["from L, by numbers"]
    _, *seconds = harness.in_turns({"": call}, 5)[""]
    print(4096 * 1000 / statistics.median(seconds))
