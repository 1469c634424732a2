"""Functions computed number by number are the same functions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, mechanics, systems
from jaxphys.scalars import scalarize

FEW = ["driven_oscillator", "double_pendulum", "charged_particle"]
MORE = [
    "quartic_chain",
    "toda_chain",
    "pendulum_chain",
    "cart_pole",
    "kepler",
    "three_body",
    "relativistic_particle",
    "free_rigid_body",
]
NAMES = [*FEW, *(pytest.param(name, marks=pytest.mark.long) for name in MORE)]


def close(a, b, dtype=None):
    dtype = dtype or jax.tree.leaves(a)[0].dtype
    tolerance = 1e3 * float(jnp.finfo(dtype).eps)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        scale = 1 + np.max(np.abs(np.asarray(y)))
        np.testing.assert_allclose(x, y, atol=tolerance * scale, rtol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_a_rollout_by_numbers_is_the_rollout(name, dtype):
    system = systems.get(name)
    field = mechanics.vector_field(system)
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 5))
    starts = jax.tree.map(lambda x: x.astype(dtype), starts)

    def path(y, rolled):
        step = integrators.rk4(field, rolled=rolled)
        return integrators.rollout(
            step, y, dt=system.dt, num_steps=3, substeps=2, args=system.params
        )

    plain = jax.jit(jax.vmap(lambda y: path(y, rolled=False)))(starts)
    numbers = scalarize(lambda y: path(y, rolled=True))
    close(jax.jit(jax.vmap(numbers))(starts), plain)


def test_the_rolled_step_is_the_step(dtype):
    def field(t, y, args):
        return {"x": jnp.sin(t) * y["v"], "v": -args * y["x"]}

    y = {"x": jnp.ones(2, dtype), "v": jnp.array([0.5, -0.5], dtype)}
    steps = [integrators.rk4(field, rolled=rolled) for rolled in (False, True)]
    plain, rolled = (jax.jit(step)(0.3, y, 0.1, 2.0) for step in steps)
    close(rolled, plain)


@pytest.mark.parametrize("name", ["double_pendulum", "free_rigid_body"])
def test_so_is_the_acceleration_of_a_lagrangian(name):
    system = systems.get(name)
    accelerate = mechanics.acceleration(system.lagrangian)
    q, v = system.sample_tangent(jax.random.key(1))
    expected = jax.jit(accelerate)(system.params, q, v)
    close(jax.jit(scalarize(accelerate))(system.params, q, v), expected)


def test_derivatives_are_those_of_the_function_itself():
    system = systems.pendulum()
    step = integrators.rk4(mechanics.vector_field(system), rolled=True)
    start = system.sample(jax.random.key(2))

    def end(params):
        y = integrators.repeat(step, start, dt=0.1, num_steps=3, args=params)
        return jnp.sum(y.p)

    params = jax.tree.map(jnp.asarray, system.params)
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        plain = jax.jit(derivative(end))(params)
        close(jax.jit(derivative(scalarize(end)))(params), plain)


def many_kinds(x, matrix):
    """Every way of moving entries about that the module takes apart itself."""
    a, b, c = x
    stacked = jnp.stack([x, x[::-1], jnp.flip(x)], axis=1)
    padded = jnp.pad(x, (2, 1), constant_values=7.0)
    interior = jax.lax.pad(x, jnp.zeros((), x.dtype), [(-1, 0, 1)])
    chosen = jnp.where(x > 0, x, jnp.exp(x))
    strided = jnp.concatenate([padded[::2], x.reshape(3, 1)[:, 0]])
    spread = jnp.eye(3, dtype=x.dtype) * x + jnp.arange(3)
    contracted = jnp.einsum("ij,jk,k->i", matrix, stacked, x)
    return {
        "product": matrix @ stacked @ matrix.T,
        "sums": (jnp.sum(stacked), jnp.max(matrix, axis=0), jnp.min(stacked, axis=1)),
        "moved": (padded, interior, strided, jnp.transpose(stacked)),
        "rest": (chosen, spread, contracted, jnp.clip(a * b / c, -1, 1), x**3),
        "scan": jax.lax.scan(lambda c, y: (c + y, c * y), jnp.zeros_like(a), x),
        "rows": jax.lax.scan(lambda c, row: (c @ matrix, c + row), x, stacked),
        "back": jax.lax.scan(lambda c, _: (c + 1, c * x), 0, None, 4, reverse=True),
        "until": jax.lax.while_loop(lambda c: c[0] < 9, lambda c: 2 * c, x),
        "solved": jnp.linalg.solve(matrix + 5 * jnp.eye(3, dtype=x.dtype), x),
        "cast": (x.astype(int) + 1, x[jnp.array([2, 0])], jnp.argmax(x)),
        "constant": jnp.ones((2, 2), x.dtype),
    }


def test_every_kind_of_array_operation(dtype):
    x = jnp.array([0.3, -1.2, 2.5], dtype)
    matrix = jax.random.normal(jax.random.key(0), (3, 3), dtype)
    expected = jax.jit(many_kinds)(x, matrix)
    close(jax.jit(scalarize(many_kinds))(x, matrix), expected, dtype)
    batch = jnp.stack([x, 2 * x])
    together = jax.jit(jax.vmap(scalarize(many_kinds), (0, None)))(batch, matrix)
    close(jax.tree.map(lambda y: y[0], together), expected, dtype)
    close(scalarize(many_kinds)(x, matrix), expected, dtype)  # outside of jit, too


def test_large_arrays_are_left_whole():
    weights = jnp.ones((3, 100))

    def network(x):
        return jnp.tanh(x @ weights) @ weights.T

    jaxpr = jax.make_jaxpr(scalarize(network))(jnp.ones(3))
    inner = str(jaxpr)
    assert inner.count("dot_general") == 2
    close(scalarize(network)(jnp.ones(3)), network(jnp.ones(3)))


def test_known_zeros_and_ones_cost_nothing():
    def turned(x):
        return jnp.diag(jnp.array([1.0, 0.0, 1.0])) @ x

    text = str(jax.make_jaxpr(scalarize(turned))(jnp.ones(3)))
    assert "mul" not in text
    assert "add" not in text
