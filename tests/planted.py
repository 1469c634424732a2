"""Simulators with a fault each, of different kinds, and what a check must say of it.

Each is a function, an example, the finding, and texts that the finding must have: the
primitive or the trap, the input, or the line. `HERE` stands for the line of the source
that ends with the comment `# fault`.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

lax = jax.lax
HERE = "# fault"


class Plant(NamedTuple):
    function: Any
    example: Any
    finding: str
    says: tuple[str, ...]
    also: tuple[str, ...] = ()


def pair_energies(q):
    """Forces of Lennard-Jones over all pairs, the diagonal masked too late."""
    squared = jnp.sum((q[:, None] - q[None]) ** 2, axis=-1)
    distance = jnp.sqrt(squared)
    energy = distance**-12 - distance**-6  # fault
    return jnp.sum(jnp.where(jnp.eye(len(q), dtype=bool), 0.0, energy))


def friction(v):
    return -v / jnp.linalg.norm(v)  # fault


def distance_to_goal(q):
    return jnp.linalg.norm(q - 1.0) + jnp.sum(q**2)  # fault


def flow_through_a_valve(p, area):
    return area * jnp.sqrt(p[0] - p[1]) + jnp.sum(p)  # fault


def angle_between(a, b):
    return jnp.arccos(jnp.clip(a @ b, -1.0, 1.0)) + jnp.sum(a)  # fault


def screened(r):
    return jnp.sum(jnp.where(r > 0, jnp.exp(-r) / r, 0.0))  # fault


def adiabatic(volume):
    def step(volume, _):
        volume = volume - 0.3
        pressure = volume**-1.4  # fault
        return volume, pressure

    return lax.scan(step, volume, None, length=8)[1]


def falling_from_rest(push):
    """Drag from a start at rest: no gradient by the start is asked for."""

    def step(v, _):
        drag = jnp.sqrt(jnp.sum(v**2))  # fault
        return v + 0.1 * (push - drag * v), None

    return lax.scan(step, jnp.zeros(2), None, length=5)[0]


def overflowing(x):
    return lax.scan(lambda x, _: (3 * x**2, None), x, None, length=20)[0]  # fault


@jax.custom_vjp
def _drag(v):
    return v * jnp.abs(v)


_drag.defvjp(lambda v: (_drag(v), v), lambda v, rate: (rate * jnp.abs(v),))


def wrong_rule(v):
    return jnp.sin(v) - _drag(v)  # fault


def wrong_transpose(b, k):
    matrix = jnp.array([[2.0, 1.0], [0.0, 3.0]]) * k

    def solve(apply, b):
        del apply
        return jnp.linalg.solve(lax.stop_gradient(matrix), b)

    return lax.custom_linear_solve(lambda x: matrix @ x, b, solve, solve)  # fault


def hidden_way(k, x):
    return lax.stop_gradient(k) * x + k * x**2  # fault


def spread(x):
    return jnp.mean(x**2) - jnp.mean(x) ** 2


def growing(x):
    return lax.scan(lambda x, _: (1.2 * x, x), x, None, length=100)[1]  # fault


def overdamped(x):
    return lax.fori_loop(0, 100, lambda i, x: 0.8 * x, x) + 1.0  # fault


def logistic_map(x):
    return lax.scan(  # fault
        lambda x, _: (3.9 * x * (1 - x), x), x, None, length=60
    )[0]


def unused(params, q):
    return params["k"] * q - jnp.sin(q)


def unused_entry(force, q):
    return jnp.sin(q) + force[0] - force[2] ** 2


def on_a_grid(q, height):
    return height * jnp.floor(20 * q) / 20 + q**2  # fault


def by_whole_numbers(q, level):
    return q * jnp.round(level)  # fault


def table_of_gains(scores, x):
    return x * jnp.array([1.0, 2.0, 5.0])[jnp.argmax(scores)]  # fault


def bouncing(height):
    """A ball whose contact is told by a comparison, in steps of time."""

    def step(state, _):
        q, v = state
        v = v - 0.1
        v = jnp.where(q < 0, jnp.abs(v), v)  # fault
        return (q + 0.1 * v, v), None

    return lax.scan(step, (height, 0.0 * height), None, length=60)[0][0]


def looped_until(x):
    return lax.while_loop(lambda x: x < 10.0, lambda x: 1.5 * x, x)  # fault


def branching(x):
    if x > 0:  # fault
        return x
    return x**2


def out_of_jax(x):
    return jnp.sum(np.sin(x))  # fault


def of_positive_entries(x):
    return jnp.sum(x[x > 0])  # fault


def at_a_kink(x):
    return jnp.sum(jax.nn.relu(x)) + jnp.sum(x**2)


def counting(x):
    return jnp.sum(x > 0)


one = functools.partial(jnp.full, (2,))
PLANTED = {
    "where over an infinity, in an energy": Plant(
        jax.grad(pair_energies),
        jnp.array([[0.0, 0.0], [1.0, 0.2]]),
        "value_not_finite",
        ("integer_pow", HERE, "where() does not take"),
    ),
    "norm of zero in a value": Plant(
        friction, jnp.zeros(2), "value_not_finite", ("div", HERE)
    ),
    "norm of zero in a derivative": Plant(
        distance_to_goal,
        jnp.ones(3),
        "gradient_not_finite",
        ("sqrt", "norm of a zero", HERE),
    ),
    "square root at zero": Plant(
        flow_through_a_valve,
        (jnp.ones(2), 1.0),
        "gradient_not_finite",
        ("sqrt", "square root at or below zero", HERE, "by p"),
    ),
    "arccos at its edge": Plant(
        angle_between,
        (jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0])),
        "gradient_not_finite",
        ("acos", "edge", HERE),
    ),
    "an inactive branch": Plant(
        screened,
        jnp.array([0.0, 1.0]),
        "gradient_not_finite",
        ("div", "where() does not take", HERE),
    ),
    "a power of a negative number, in a loop": Plant(
        adiabatic,
        jnp.array(1.0),
        "value_not_finite",
        ("pow", "step 3 ", HERE),
    ),
    "norm of zero that forward mode alone sees": Plant(
        falling_from_rest,
        jnp.array([0.3, 0.4]),
        "gradient_not_finite",
        ("forward derivative", "sqrt", "step 0 ", "norm of a zero", HERE),
    ),
    "an overflow": Plant(
        overflowing,
        one(1.0),
        "horizon",
        ("exploding", "the first 9 of 20 steps", HERE),
        also=("value_not_finite",),
    ),
    "a wrong rule": Plant(
        wrong_rule, jnp.array(0.7), "finite_differences", ("finite differences", HERE)
    ),
    "a wrong transpose": Plant(
        wrong_transpose,
        (jnp.array([1.0, 2.0]), 2.0),
        "jvp_vjp",
        ("differ", HERE),
        also=("finite_differences",),
    ),
    "a stopped gradient": Plant(
        hidden_way, (1.5, 0.7), "finite_differences", ("derivative", HERE)
    ),
    "cancellation": Plant(spread, 1e5 + jnp.arange(5.0), "float32", ("in float32",)),
    "an unstable loop": Plant(growing, one(1.0), "horizon", ("exploding", HERE)),
    "a loop that forgets": Plant(overdamped, one(1.0), "horizon", ("vanishing", HERE)),
    "a chaotic loop": Plant(
        logistic_map, jnp.array(0.3), "horizon", ("chaotic", HERE), also=("float32",)
    ),
    "a parameter without use": Plant(
        unused,
        ({"k": 2.0, "mass": 1.0}, jnp.array([0.3, 0.4])),
        "idle_input",
        ("params['mass']", "nothing"),
    ),
    "an entry without use": Plant(
        unused_entry, (jnp.ones(3), 0.5), "idle_input", ("force, entries 1 does",)
    ),
    "floor": Plant(on_a_grid, (jnp.array([0.33, 0.71]), 1.0), "jump", ("jumps", HERE)),
    "round": Plant(
        by_whole_numbers, (0.7, 3.2), "blind_input", ("by level", "round", HERE)
    ),
    "argmax": Plant(
        table_of_gains,
        (jnp.array([0.1, 0.2, 0.15]), 1.5),
        "blind_input",
        ("by scores", "argmax", HERE),
    ),
    "contact": Plant(bouncing, jnp.array(1.0), "jump", ("contact", HERE)),
    "a loop of unknown length": Plant(
        looped_until, jnp.array(1.0), "no_gradient", ("reverse", HERE)
    ),
    "a branch of Python": Plant(
        branching, jnp.array(1.0), "not_traceable", ("cannot trace", HERE)
    ),
    "NumPy in place of JAX": Plant(
        out_of_jax, one(1.0), "not_traceable", ("cannot trace", HERE)
    ),
    "a mask as an index": Plant(
        of_positive_entries, one(1.0), "not_traceable", ("cannot trace", HERE)
    ),
    "a kink": Plant(at_a_kink, jnp.array([0.0, 1.0]), "kink", ("kink",)),
    "whole numbers come out": Plant(
        counting, one(1.0), "no_gradient", ("no real number",)
    ),
}
