"""One nonlinear least-squares problem, by the solvers that people have.

Two coupled oscillators under a controller, the whole of 64 samples in each step: the
network, its first weights and the residuals r = y − y* are the same for all. Beside
`optim.levenberg_marquardt` stand optimistix' Levenberg–Marquardt, which factorizes the
dense Jacobian by QR, optax' L-BFGS with its line search, and Adam. Each has as long;
compilation is not counted.
"""

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxphys import models, optim, problems, training

#: Losses, the mean over samples of |r|², to which the time is given.
MILESTONES = (1e-2, 1e-4, 1e-6, 1e-8)


def run(*, smoke: bool, gpu: bool = False) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    seconds = 0.2 if smoke else 10.0
    samples, units = (8, 8) if smoke else (64, 20)
    config: dict[str, Any] = {"seconds": seconds, "samples": samples, "units": units}
    config |= {"gpu": gpu, "dtype": "float64"}
    problem = problems.oscillator_control(dtype=jnp.float64)
    model = models.mlp((4, units, units, 24), dtype=jnp.float64)
    params = model.init(jax.random.key(0))
    batch = problem.sample(jax.random.key(1), samples)
    outputs = problems.outputs(problem, model)

    def residuals(params: Any) -> jax.Array:
        inputs, targets = batch
        values = jax.vmap(outputs, (None, 0))(params, inputs)
        return (values - targets).reshape(-1) / samples**0.5

    def loss(params: Any) -> jax.Array:
        return jnp.sum(residuals(params) ** 2)

    makers = {
        "levenberg_marquardt": lambda: _ours(
            outputs, problem, params, batch, optim.levenberg_marquardt()
        ),
        "optimistix Levenberg–Marquardt": lambda: _optimistix(residuals, params),
        "optax L-BFGS": lambda: _quasi_newton(loss, params),
        "adam": lambda: _ours(outputs, problem, params, batch, optax.adam(1e-3)),
    }
    judge = jax.jit(loss)
    start = float(judge(params))
    found = {name: _followed(make(), judge, seconds) for name, make in makers.items()}
    return config, {"start": start, "methods": found}


def _followed(stepping: tuple, judge: Callable, seconds: float) -> dict[str, Any]:
    """Steps for so long; the loss is looked at now and then, outside of the clock."""
    step, state, weights = stepping
    begun = time.perf_counter()
    # Twice, as what comes out may be of another type than what went in, weakly say.
    jax.block_until_ready(step(step(state)))
    compiling, spent, count, following = time.perf_counter() - begun, 0.0, 0, 1
    reached: dict[str, float | None] = {f"{x:g}": None for x in MILESTONES}
    lowest = float("inf")
    while spent < seconds:
        begun = time.perf_counter()
        while count < following and spent + time.perf_counter() - begun < seconds:
            state = jax.block_until_ready(step(state))
            count += 1
        spent += time.perf_counter() - begun
        lowest = min(lowest, float(judge(weights(state))))
        for milestone in MILESTONES:
            if lowest <= milestone and reached[f"{milestone:g}"] is None:
                reached[f"{milestone:g}"] = spent
        following = max(count + 1, int(1.1 * count))
    return {
        "steps": count,
        "compile_seconds": compiling,
        "loss": lowest,
        "time_to": reached,
    }


def _ours(outputs, problem, params, batch, tx) -> tuple:
    """A train step; its objective is the same sum of squares."""
    step = training.make_train_step(outputs, problem.objective, tx)
    compiled = jax.jit(lambda state: step(state, batch)[0])
    return compiled, training.init_state(params, tx), lambda state: state.params


def _optimistix(residuals: Callable, params: Any) -> tuple:
    import optimistix

    solver = optimistix.LevenbergMarquardt(rtol=1e-14, atol=1e-14)
    tags: frozenset = frozenset()

    def function(params, args):
        return residuals(params), None

    shape = jax.eval_shape(residuals, params)
    first = solver.init(function, params, None, {}, shape, None, tags)

    import equinox

    arrays, fixed = equinox.partition(first, equinox.is_array)

    @jax.jit
    def step(state):
        params, arrays = state
        whole = equinox.combine(arrays, fixed)
        params, whole, _ = solver.step(function, params, None, {}, whole, tags)
        return params, equinox.filter(whole, equinox.is_array)

    return step, (params, arrays), lambda state: state[0]


def _quasi_newton(loss: Callable, params: Any) -> tuple:
    tx = optax.lbfgs()
    both = optax.value_and_grad_from_state(loss)

    @jax.jit
    def step(state):
        params, memory = state
        value, slope = both(params, state=memory)
        updates, memory = tx.update(
            slope, memory, params, value=value, grad=slope, value_fn=loss
        )
        return optax.apply_updates(params, updates), memory

    return step, (params, tx.init(params)), lambda state: state[0]
