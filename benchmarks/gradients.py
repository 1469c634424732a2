"""Gradients of rollouts: the time of reverse mode over that of the value.

A thousand fixed steps of RK4, by `rollout` (the cost is a sum over all states) and by
`repeat` (it is of the last). Value and gradient take turns.
"""

import statistics
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import harness
from jaxphys import integrators, mechanics, models, systems
from jaxphys.types import Array, PyTree, TangentState

#: Steps of each rollout, and turns of the measurement.
STEPS, TURNS = 1000, 15


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    steps, turns = (20, 1) if smoke else (STEPS, TURNS)
    cases = CASES[:1] if smoke else CASES
    rows = [
        {"case": name, "by": by, **_timed(make(steps, by), turns)}
        for name, make in cases
        for by in ("rollout", "repeat")
    ]
    return {"steps": steps, "turns": turns, "method": "rk4"}, {"rows": rows}


def _timed(case: tuple[Callable, PyTree], turns: int) -> dict[str, float]:
    """Seconds of value and gradient, of compiling each, and the ratio."""
    cost, x = case
    value, gradient = jax.jit(cost), jax.jit(jax.value_and_grad(cost))
    calls = {"value": lambda: value(x), "gradient": lambda: gradient(x)}
    times = harness.in_turns(calls, turns)
    (first, *own), (compiled, *both) = times["value"], times["gradient"]
    ratios = [b / a for a, b in zip(own, both, strict=True)]
    return {
        "value_seconds": statistics.median(own),
        "gradient_seconds": statistics.median(both),
        "ratio": statistics.median(ratios),
        "value_compile_seconds": first,
        "gradient_compile_seconds": compiled,
    }


def _cost(by: str, step: Callable, steps: int, dt: float, **more: Any) -> Callable:
    """`cost(y, args) -> scalar` of a motion from y: of all states, or of the last."""

    def cost(y: PyTree, args: PyTree) -> Array:
        follow = integrators.rollout if by == "rollout" else integrators.repeat
        found = follow(step, y, dt=dt, num_steps=steps, args=args, **more)
        return jnp.stack([jnp.mean(x**2) for x in jax.tree.leaves(found)]).sum()

    return cost


def _moving(name: str, batch: int, dt: float) -> Callable:
    """A system from `batch` starts, and its derivative by the starts."""

    def make(steps: int, by: str) -> tuple[Callable, PyTree]:
        system = systems.get(name)
        step = integrators.rk4(mechanics.vector_field(system))
        one = _cost(by, step, steps, dt)
        starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), batch))
        total = lambda y: jnp.mean(jax.vmap(one, (0, None))(y, system.params))  # noqa: E731
        return total, starts

    return make


def _pushed(batch: int) -> Callable:
    """Carts with their poles, and the derivative by a force for each step."""
    pole = systems.cart_pole
    driven = mechanics.controlled_lagrangian(
        pole.lagrangian, lambda u: jnp.stack([u, 0 * u])
    )
    step = integrators.rk4(mechanics.lagrangian_vector_field(driven))

    def make(steps: int, by: str) -> tuple[Callable, PyTree]:
        angles = jnp.linspace(2.0, 3.0, batch)

        def cost(u: Array, angle: Array) -> Array:
            start = TangentState(jnp.stack([0 * angle, angle]), jnp.zeros(2))
            return _cost(by, step, steps, 0.005, controls=u)(start, pole.params)

        total = lambda u: jnp.mean(jax.vmap(cost)(u, angles))  # noqa: E731
        return total, jnp.zeros((batch, steps))

    return make


def _learned(batch: int) -> Callable:
    """A Lagrangian network of two coordinates, and its derivative by the weights."""

    def make(steps: int, by: str) -> tuple[Callable, PyTree]:
        model = models.lnn(2, hidden=(32, 32))
        step = integrators.rk4(mechanics.lagrangian_vector_field(model.apply))
        one = _cost(by, step, steps, 0.002)
        q, v = 0.3 * jax.random.normal(jax.random.key(1), (2, batch, 2))
        starts = TangentState(q, v)
        total = lambda p: jnp.mean(jax.vmap(one, (0, None))(starts, p))  # noqa: E731
        return total, model.init(jax.random.key(0))

    return make


CASES = (
    ("three bodies", _moving("three_body", 1, 0.002)),
    ("three bodies, 256 starts", _moving("three_body", 256, 0.002)),
    ("double pendulum", _moving("double_pendulum", 1, 0.002)),
    ("double pendulum, 256 starts", _moving("double_pendulum", 256, 0.002)),
    ("cart-pole, by its forces", _pushed(1)),
    ("cart-pole, by its forces, 256 starts", _pushed(256)),
    ("Lagrangian network, by its weights", _learned(1)),
    ("Lagrangian network, by its weights, 64 starts", _learned(64)),
)
