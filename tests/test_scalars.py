"""Functions computed number by number are the same functions."""

import functools

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
    step = integrators.rk4(mechanics.vector_field(system))
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 5))
    starts = jax.tree.map(lambda x: x.astype(dtype), starts)
    options = {"dt": system.dt, "num_steps": 3, "substeps": 2, "args": system.params}

    def paths(scalarize):
        return jax.vmap(
            lambda y: integrators.rollout(step, y, scalarize=scalarize, **options)
        )

    close(jax.jit(paths(True))(starts), jax.jit(paths(False))(starts))


def pushed(t, y, args):
    """A field of a tree of arrays, with constants, time and a control."""
    params, u = args
    rate = params["k"] * jnp.sin(y["x"]) @ params["matrix"] + u * jnp.cos(t)
    return {"x": y["v"], "v": -rate}


def pushed_end(params, controls, **options):
    y = {"x": jnp.array([0.3, -0.4]), "v": jnp.array([0.5, 0.1])}
    path, info = integrators.rollout(
        integrators.rk4(pushed),
        y,
        dt=0.1,
        num_steps=5,
        args=params,
        controls=controls,
        with_info=True,
        **options,
    )
    return path, info


@pytest.mark.parametrize(
    "checkpoint", [False, pytest.param(True, marks=pytest.mark.long)]
)
def test_so_are_its_derivatives_with_constants_and_controls(checkpoint):
    params = {"k": jnp.array(2.0), "matrix": jnp.array([[1.0, 0.2], [0.1, 3.0]])}
    controls = jnp.linspace(-1.0, 1.0, 10).reshape(5, 2)

    def cost(scalarize, params, controls):
        path, _ = pushed_end(
            params, controls, checkpoint=checkpoint, scalarize=scalarize
        )
        return sum(jnp.sum(x**3) for x in path.values())

    (path, info), (plain, plain_info) = (
        jax.jit(lambda flag=flag: pushed_end(params, controls, scalarize=flag))()
        for flag in (True, False)
    )
    close(path, plain)
    assert jax.tree.all(jax.tree.map(jnp.array_equal, info, plain_info))
    for derivative in (
        lambda f: jax.grad(f, (0, 1)),
        lambda f: jax.jacfwd(f, (0, 1)),
        lambda f: jax.jacfwd(jax.grad(f), 1),
        lambda f: jax.jacrev(jax.grad(f), 1),
        lambda f: lambda p, c: jax.vmap(jax.grad(f), (None, 0))(p, jnp.stack([c, -c])),
    ):
        numbers, plain = (
            jax.jit(derivative(functools.partial(cost, flag)))(params, controls)
            for flag in (True, False)
        )
        close(numbers, plain)


def carried_shapes(step, y, **options):
    """The shapes of what a batch's rollout carries from step to step."""
    starts = jax.tree.map(lambda x: jnp.stack([x] * 7), y)
    paths = jax.vmap(
        lambda y: integrators.repeat(step, y, dt=0.1, num_steps=3, **options)
    )
    traced = jax.make_jaxpr(paths)(starts)
    (loop,) = [e for e in traced.jaxpr.eqns if e.primitive.name == "scan"]
    return {var.aval.shape for var in loop.outvars}


def test_a_batch_of_small_states_is_carried_as_vectors():
    step = integrators.rk4(lambda t, y, args: jnp.array([y[1], -jnp.sin(y[0])]))
    assert carried_shapes(step, jnp.ones(2)) == {(7,)}
    assert (7, 2) in carried_shapes(step, jnp.ones(2), scalarize=False)


@jax.custom_jvp
def straight_through(x):
    return jnp.round(x)


straight_through.defjvps(lambda rate, _, x: rate)
WHOLE = {
    "large": lambda t, y, args: jnp.ones((2, 40)) @ (jnp.ones((40, 2)) @ y),
    "looks_up": lambda t, y, args: y[jnp.argsort(y)],
    "factorizes": lambda t, y, args: jnp.linalg.inv(jnp.eye(2) + y * y[:, None]) @ y,
    "has_a_rule": lambda t, y, args: straight_through(y),
}


@pytest.mark.parametrize("field", WHOLE.values(), ids=WHOLE)
def test_what_is_not_faster_by_numbers_is_left_whole(field):
    assert (7, 2) in carried_shapes(integrators.rk4(field), jnp.ones(2))
    close(
        integrators.repeat(integrators.rk4(field), jnp.ones(2), dt=0.1, num_steps=3),
        integrators.repeat(
            integrators.rk4(field), jnp.ones(2), dt=0.1, num_steps=3, scalarize=False
        ),
    )


def test_a_derivative_rule_is_kept_to_every_order():
    def end(y, function):
        return jnp.sum(scalarize(lambda x: function(x * x) * x)(y))

    y = jnp.array([0.3, 0.7])
    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        numbers = derivative(lambda y: end(y, straight_through))(y)
        plain = derivative(lambda y: jnp.sum(straight_through(y * y) * y))(y)
        close(numbers, plain)


@pytest.mark.parametrize("name", ["double_pendulum", "free_rigid_body"])
def test_so_is_the_acceleration_of_a_lagrangian(name):
    system = systems.get(name)
    accelerate = mechanics.acceleration(system.lagrangian)
    q, v = system.sample_tangent(jax.random.key(1))
    expected = jax.jit(accelerate)(system.params, q, v)
    close(jax.jit(scalarize(accelerate))(system.params, q, v), expected)


def test_derivatives_are_those_of_the_function_itself():
    system = systems.pendulum()
    step = integrators.rk4(mechanics.vector_field(system))
    start = system.sample(jax.random.key(2))

    def end(params):
        y = integrators.repeat(
            step, start, dt=0.1, num_steps=3, args=params, scalarize=False
        )
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


@pytest.mark.parametrize("length", [3, 6])
@pytest.mark.parametrize("reverse", [False, True])
def test_short_loops_and_long_ones(length, reverse):
    def run(x, rows):
        def body(carry, row):
            carry = jnp.sin(carry) * row["a"] + x
            return carry, {"end": carry.sum(), "whole": carry[::-1], "row": row["b"]}

        return jax.lax.scan(body, x * x, rows, length=length, reverse=reverse)

    rows = {
        "a": jnp.arange(2.0 * length).reshape(length, 2),
        "b": jnp.ones((length, 2, 40)),
    }
    x = jnp.array([0.3, -0.7])
    close(jax.jit(scalarize(run))(x, rows), jax.jit(run)(x, rows))
    small = {"a": rows["a"], "b": rows["a"]}
    close(jax.jit(scalarize(run))(x, small), jax.jit(run)(x, small))
    slopes = jax.jacrev(lambda x: scalarize(run)(x, small)[0])(x)
    close(slopes, jax.jacrev(lambda x: run(x, small)[0])(x))
