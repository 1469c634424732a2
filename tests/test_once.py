"""What is traced once, and gives what it gave when it was traced again and again."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import integrators, losses, optim, training
from jaxphys._jaxpr.once import traced_once
from jaxphys.types import PhaseState


def counted(function):
    """The function, and a list that grows with each of its calls."""
    calls = []

    def counting(*args):
        calls.append(len(args))
        return function(*args)

    return counting, calls


def field(t, y, args):
    return {"x": y["v"], "v": -args * jnp.sin(y["x"]) + jnp.cos(t)}


def start():
    return {"x": jnp.array([0.3, 1.0]), "v": jnp.zeros(2)}


def classical(t, y, dt, args):
    """The method of Runge and Kutta, written out."""

    def moved(slope, by):
        return jax.tree.map(lambda a, b: a + by * b, y, slope)

    a = field(t, y, args)
    b = field(t + dt / 2, moved(a, dt / 2), args)
    c = field(t + dt / 2, moved(b, dt / 2), args)
    d = field(t + dt, moved(c, dt), args)
    return jax.tree.map(
        lambda y, a, b, c, d: y + dt / 6 * (a + 2 * b + 2 * c + d), y, a, b, c, d
    )


def test_a_step_traces_its_field_once_and_is_the_same_step():
    counting, calls = counted(field)
    step = jax.jit(integrators.rk4(counting))
    found = step(0.5, start(), 0.1, 2.0)
    assert len(calls) == 1
    expected = jax.jit(classical)(0.5, start(), 0.1, 2.0)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_rollout_traces_its_field_once():
    """Of a state that is too large for numbers, so that it is computed as traced."""
    matrix = jnp.asarray(np.random.default_rng(0).normal(size=(40, 40)) / 10)
    counting, calls = counted(lambda t, y, args: jnp.tanh(args @ y))
    step = integrators.rk4(counting)
    options = {"dt": 0.1, "num_steps": 3}

    @jax.jit
    @jax.vmap
    def ends(y):
        return integrators.repeat(step, y, args=matrix, **options)

    found = ends(jnp.ones((2, 40)))
    assert len(calls) == 1
    y = jnp.ones(40)
    for number in range(3):
        y = integrators.rk4(lambda t, y, args: jnp.tanh(args @ y))(
            0.1 * number, y, 0.1, matrix
        )
    np.testing.assert_allclose(found, jnp.stack([y, y]), rtol=1e-5)


@pytest.mark.parametrize("make", [integrators.yoshida4, integrators.yoshida6])
def test_a_composition_traces_its_energy_once_for_each_of_its_flows(make):
    counting, calls = counted(lambda args, q, p: (p @ p + args * q @ q) / 2)
    step = jax.jit(make(counting))
    step(0.0, PhaseState(jnp.ones(2), jnp.zeros(2)), 0.1, 3.0)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "tx",
    [optax.adam(1e-2), optim.hig(1.0), optim.levenberg_marquardt(max_bend=0.75)],
    ids=["adam", "hig", "levenberg_marquardt"],
)
def test_a_train_step_traces_its_network_once(tx):
    def outputs(params, x):
        return jnp.tanh(x @ params["w"] + params["b"])

    params = {"w": jnp.ones((3, 2)) / 2, "b": jnp.zeros(2)}
    batch = (jnp.eye(3), jnp.full((3, 2), 0.1))
    counting, calls = counted(outputs)
    ends = []
    for each in (counting, outputs):
        step = jax.jit(training.make_train_step(each, losses.squared_error, tx))
        ends.append(step(training.init_state(params, tx), batch)[0].params)
    assert len(calls) == 1
    for found, expected in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_field_that_decides_by_a_known_state_goes_on_doing_so():
    """Step by step, without jit: nothing is traced."""

    def wall(t, y, args):
        return jnp.zeros(()) if y > 1.0 else jnp.ones(())

    step = integrators.rk4(wall)
    y = jnp.array(0.85)
    for _ in range(4):
        y = step(0.0, y, 0.1, None)
    assert 1.0 < float(y) < 1.06


def test_what_is_of_other_types_is_traced_anew():
    counting, calls = counted(lambda x: 2 * x)
    double = traced_once(counting)

    @jax.jit
    def both(x):
        return double(x), double(x.astype(jnp.int32)), double(x[None]), double(-x)

    a, b, c, d = both(jnp.float32(1.5))
    assert (float(a), int(b), float(c[0]), float(d)) == (3.0, 2, 3.0, -3.0)
    assert b.dtype == jnp.int32
    assert len(calls) == 3


def test_products_are_as_precise_as_where_they_are():
    product = traced_once(jnp.dot)

    def both(a, b):
        first = product(a, b)
        with jax.default_matmul_precision("highest"):
            return first, product(a, b), product(a, b)

    jaxpr = jax.make_jaxpr(both)(jnp.ones((2, 2)), jnp.ones(2)).jaxpr
    asked = [eqn.params["precision"] for eqn in jaxpr.eqns if "precision" in eqn.params]
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert asked == [None, highest, highest]


def test_rules_of_its_own_are_kept():
    @jax.custom_vjp
    def clipped(x):
        return x**2

    clipped.defvjp(lambda x: (x**2, x), lambda x, w: (jnp.clip(2 * x * w, -1, 1),))

    def twice(function):
        return lambda x: function(x) + function(x + 10.0)

    found = jax.jit(jax.grad(lambda x: twice(traced_once(clipped))(x)))(0.25)
    assert float(found) == 1.5
