"""The steps in which the time goes, one by one, and how long each takes.

Nothing but jaxphys is needed here, so that the same file times another revision of it:

    $ PYTHONPATH=OTHER python benchmarks/hot.py --size cpu --seconds 1

prints a JSON of name → median seconds of a step.
"""

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys import integrators, losses, mechanics, models, optim, systems, training


class Hot(NamedTuple):
    """A step `step(state, *rest) -> state`, and what the compiler cannot count of it.

    Attributes:
      factorized: operations of LAPACK's part, at least: m³/3 of a Cholesky factor, and
        10/3 m³ of eigenvectors, the way to a tridiagonal matrix and back.
    """

    step: Callable
    state: Any
    rest: tuple
    factorized: float = 0.0


class Size(NamedTuple):
    """Double pendula; samples and units of a Lagrangian network and of a regression."""

    pendula: int
    lagrangian: tuple[int, int]
    regression: tuple[int, int]


SIZES = {
    "smoke": Size(16, (4, 8), (4, 8)),
    "cpu": Size(4096, (256, 64), (128, 128)),
    "gpu": Size(262_144, (4096, 128), (256, 512)),
}


def steps(size: str) -> dict[str, Callable[[], Hot]]:
    """Name → a function that makes the step, in order of worth."""
    chosen = SIZES[size]
    by = {
        "adam": (optax.adam(1e-6), 0.0),
        "levenberg_marquardt": (optim.levenberg_marquardt(method="gram"), 1 / 3),
        "hig": (optim.hig(1e-6, rcond=1e-5, method="gram"), 10 / 3),
        "spring": (optim.spring(1e-6, method="gram"), 1 / 3),
    }
    later = functools.partial
    made: dict[str, Callable[[], Hot]] = {
        "RK4, double pendula": later(_pendula, chosen.pendula),
        "accelerations, Lagrangian network": later(_accelerations, *chosen.lagrangian),
    }
    for name in ("adam", "levenberg_marquardt"):
        made[f"{name}, Lagrangian network"] = later(
            _lagrangian, *chosen.lagrangian, *by[name]
        )
    for name in by:
        made[f"{name}, regression"] = later(_regression, *chosen.regression, *by[name])
    return made


def _pendula(batch: int) -> Hot:
    """One RK4 step of many double pendula, from L, as `repeat` compiles it."""
    system = systems.double_pendulum()
    assert system.lagrangian is not None
    assert system.sample_tangent is not None
    keys = jax.random.split(jax.random.key(0), batch)
    start = jax.vmap(system.sample_tangent)(keys)
    start = jax.tree.map(lambda x: x.astype(jnp.float32), start)
    advance = integrators.rk4(mechanics.lagrangian_vector_field(system.lagrangian))

    def one(y):
        return integrators.repeat(advance, y, dt=0.001, num_steps=1, args=system.params)

    return Hot(jax.vmap(one), start, ())


def _network(units: int) -> tuple[Any, Any]:
    model = models.lnn(2, hidden=(units, units))
    return model, model.init(jax.random.key(0))


def _states(batch: int) -> Any:
    return jax.random.normal(jax.random.key(1), (2, batch, 2), jnp.float32)


def _accelerations(batch: int, units: int) -> Hot:
    model, params = _network(units)
    accelerate = jax.vmap(mechanics.acceleration(model.apply), (None, 0, 0))
    q, v = _states(batch)
    return Hot(lambda v: accelerate(params, q, v), v, ())


def _trained(outputs, objective, params, batch, tx, factor: float, rows: int) -> Hot:
    step = training.make_train_step(outputs, objective, tx)
    side = min(rows, sum(leaf.size for leaf in jax.tree.leaves(params)))
    state = training.init_state(params, tx)
    return Hot(
        lambda state, *batch: step(state, batch)[0], state, batch, factor * side**3
    )


def _lagrangian(batch: int, units: int, tx: Any, factor: float) -> Hot:
    model, params = _network(units)
    accelerate = mechanics.acceleration(model.apply)

    def outputs(params, state):
        return accelerate(params, *state)

    q, v = _states(batch)
    pair = (q, v), jnp.sin(q)
    objective = losses.mean_squared_error
    return _trained(outputs, objective, params, pair, tx, factor, 2 * batch)


def _regression(batch: int, units: int, tx: Any, factor: float) -> Hot:
    model = models.mlp((4, units, units, 4))
    params = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (batch, 4), jnp.float32)
    pair = x, jnp.sin(x)
    objective = losses.squared_error
    return _trained(model.apply, objective, params, pair, tx, factor, 4 * batch)


def timed(hot: Hot, seconds: float) -> tuple[Any, list[float]]:
    """The compiled program, and the seconds of its calls after the first two."""
    program = jax.jit(hot.step, donate_argnums=0).lower(hot.state, *hot.rest).compile()
    state = jax.tree.map(jnp.copy, hot.state)
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        state = jax.block_until_ready(program(state, *hot.rest))
        times.append(time.perf_counter() - started)
    return program, times[2:]


def main() -> None:
    """Time the steps; their medians as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=list(SIZES), default="cpu")
    parser.add_argument("--seconds", type=float, default=1.0)
    arguments = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    found = {}
    for name, make in steps(arguments.size).items():
        _, times = timed(make(), arguments.seconds)
        found[name] = statistics.median(times)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
