"""Problems that people have brought, each with its right value.

A force that is singular where a mask hides it; a gradient through a stiff contact in
single precision; the optimal controls of one start; a field fitted to a whole rollout,
and an equation solved by a network, each from several first weights. What is expected
is told beside what is found.
"""

import pathlib
import tempfile
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import (
    data,
    experiments,
    integrators,
    learning,
    losses,
    mechanics,
    models,
    optim,
    systems,
    training,
)
from jaxphys.experiments import record
from jaxphys.types import PhaseState, TangentState


def run(*, smoke: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Measure; returns (config, results)."""
    jax.config.update("jax_enable_x64", True)
    rows = []
    for case in CASES:
        started = time.perf_counter()
        found = case(smoke)
        rows.append({**found, "seconds": time.perf_counter() - started})
    return {"dtype": "float64"}, {"rows": rows}


def _row(case: str, what: str, expected: str, found: Any, good: Any) -> dict:
    return {
        "case": case,
        "what": what,
        "expected": expected,
        "found": [float(x) for x in found],
        "good": bool(good),
    }


def _lennard_jones(smoke: bool) -> dict[str, Any]:
    """Σ|F|² of two particles and its derivative by σ, masked before the square root."""
    del smoke

    def energy(sigma, q, p):
        x = q.reshape(2, 3)
        own = jnp.eye(2, dtype=bool)
        squares = jnp.sum((x[:, None] - x[None]) ** 2, -1)
        d = jnp.sqrt(jnp.where(own, 1.0, squares))
        pair = 4 * ((sigma / d) ** 12 - (sigma / d) ** 6)
        return p @ p / 2 + jnp.sum(jnp.where(own, 0.0, pair)) / 2

    field = mechanics.hamiltonian_vector_field(energy)
    place = jnp.array([1.0, 2.0, 3.0, 2.0, 3.0, 5.0])

    def squares(sigma):
        return jnp.sum(field(0.0, PhaseState(place, 0 * place), sigma).p ** 2)

    found = np.array(jax.value_and_grad(squares)(2.0))
    expected = np.array([2.797767, -7.630273])
    good = bool(np.all(np.abs(found - expected) < 1e-6))
    what = "Σ|F|² and its derivative by σ, at σ = 2"
    return _row("Lennard-Jones", what, "2.797767, −7.630273", list(found), good)


def _cart_pole(smoke: bool) -> dict[str, Any]:
    """The gradient by all controls, in float32 against float64."""
    pole = systems.cart_pole
    driven = mechanics.controlled_lagrangian(
        pole.lagrangian, lambda u: jnp.stack([u, 0 * u])
    )
    step = integrators.rk4(mechanics.lagrangian_vector_field(driven))
    count = 20 if smoke else 200

    def cost(u, start):
        path = integrators.rollout(
            step,
            TangentState(start, jnp.zeros_like(start)),
            dt=0.02,
            num_steps=count,
            args=pole.params,
            controls=u,
        )
        upright = 10 * (1 - jnp.cos(path.q[:, 1]))
        slow = jnp.sum(path.v**2, 1) / 10
        return 0.02 * jnp.sum(path.q[:, 0] ** 2 + upright + slow)

    gradient, errors = jax.jit(jax.grad(cost)), []
    u = 3 * np.sin(0.1 * np.arange(count))
    for angle in (np.pi, 0.3):
        single, double = (
            np.asarray(
                gradient(jnp.asarray(u, dtype), jnp.asarray([0.0, angle], dtype)), float
            )
            for dtype in ("float32", "float64")
        )
        errors.append(np.linalg.norm(single - double) / np.linalg.norm(double))
    what = f"error of a float32 gradient by {count} controls, from below and above"
    return _row("cart-pole", what, "< 1e-3", errors, max(errors) < 1e-3)


def _van_der_pol(smoke: bool) -> dict[str, Any]:
    """Thirty controls from one start, by Levenberg–Marquardt on the cost's roots."""

    def field(t, y, args):
        (u,) = args[1:]
        return jnp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0] + u])

    step = integrators.rk4(field)

    def roots(u, start):
        held = jnp.repeat(u, 10)
        path = integrators.rollout(
            step, start, dt=1 / 30, num_steps=300, controls=held
        )[:-1:3]
        seen = jnp.concatenate([path[:, 0], path[:, 1], 0.1**0.5 * held[::3]])
        return 0.1**0.5 * seen

    start = jnp.array([[2.0, 2.0]])
    tx = optim.levenberg_marquardt()
    train = training.make_train_step(roots, losses.squared_size, tx)
    fit = training.fit(
        train,
        training.init_state(jnp.zeros(30), tx),
        (start, start),
        batch_size=1,
        steps=5 if smoke else 60,
        progress=False,
    )
    costs = [
        jnp.sum(roots(u, start[0]) ** 2) for u in (jnp.zeros(30), fit.state.params)
    ]
    good = bool(costs[1] <= 8.606)
    what = "cost without control, and with the best of 30 controls"
    return _row("Van der Pol", what, "41.50, ≤ 8.606", costs, good)


def _whole_rollout(smoke: bool) -> dict[str, Any]:
    """u′ = (u³)ᵀA by a 2-16-2 network, from 30 points, over chunks that grow."""
    matrix = jnp.array([[-0.1, 2.0], [-2.0, -0.1]])
    true = np.asarray(
        integrators.rollout(
            integrators.rk4(lambda t, u, args: u**3 @ matrix),
            jnp.array([2.0, 0.0]),
            dt=10 / 29,
            num_steps=29,
            substeps=200,
        )
    )
    table = {"t": np.linspace(0, 10, 30), "q": true[:, 0], "p": true[:, 1]}
    seen = data.trajectories_from(table)
    motion = models.neural_ode(1, hidden=(16,), dtype="float64")
    recipe = learning.Recipe(
        mode="trajectories",
        optimizer="levenberg_marquardt",
        chunk=2 if smoke else 29,
        growth=() if smoke else (1, 2, 4, 8, 16),
        substeps=8,
        steps=6 if smoke else 600,
    )
    errors = [
        learning.learn(
            motion, recipe, seen, key=jax.random.key(seed), progress=False
        ).history[-1]["train_loss"]
        for seed in range(1 if smoke else 5)
    ]
    what = "mean squared error of one rollout, seeds 0 to 4"
    return _row(
        "a whole rollout", what, "every seed < 1e-6", errors, max(errors) < 1e-6
    )


def _logistic(smoke: bool) -> dict[str, Any]:
    """x′ = x (1 − x) from its residual by a 1-32-1 network, against the solution."""
    with tempfile.TemporaryDirectory() as scratch:
        options = experiments.RunOptions(
            method=("levenberg_marquardt",),
            seconds=0.2 if smoke else 5.0,
            seeds=1 if smoke else 5,
            dtype="float64",
            out=pathlib.Path(scratch) / "run",
            progress=False,
        )
        entry = experiments.run("logistic", options).results["methods"]
    ends = record.finals(entry["levenberg_marquardt"])
    errors = [end["max_error"] for end in ends]
    what = "largest error for t ≤ 10, seeds 0 to 4"
    return _row(
        "logistic equation", what, "every seed ≤ 1e-6", errors, max(errors) <= 1e-6
    )


#: What is measured, in this order.
CASES = (_lennard_jones, _cart_pole, _van_der_pol, _whole_rollout, _logistic)
