"""Sensitivities along a loop are the Jacobian, whatever the loop does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, models
from jaxphys._jaxpr import plans, sensitivities
from jaxphys.optim import linearise

pytestmark = pytest.mark.x64

WEIGHTS = {
    "first": jnp.array([[0.5, -0.3, 0.2], [0.1, 0.4, -0.6]]),
    "last": jnp.array([0.7, -0.2, 0.3]),
}
START = jnp.array([0.4, -0.8])


def policy(weights, y):
    return jnp.tanh(y @ weights["first"]) @ weights["last"]


def field(t, y, weights):
    return jnp.stack([y[1], policy(weights, y) - jnp.sin(y[0]) + 0.1 * t])


def rollout(weights, start, **options):
    step = integrators.rk4(field, rolled=options.pop("rolled", False))
    return integrators.rollout(
        step, start, dt=0.1, num_steps=7, args=weights, **options
    )


def scanned(body, carry, xs, **options):
    return jax.lax.scan(body, carry, xs, **options)


def begins_with_a_network(weights, start):
    """The start of the loop depends on the weights, and so does the end's reading."""
    path = rollout(weights, start * policy(weights, start))
    return path @ weights["first"][:, 0] * weights["last"][1]


def controls_along(weights, start):
    """Parameters that are what the loop runs over."""
    held = jnp.outer(weights["last"], weights["first"][0]).reshape(-1)
    step = integrators.rk4(lambda t, y, both: both[1] - y)
    return integrators.rollout(step, start[0], dt=0.1, num_steps=9, controls=held)


def plain_controls(weights, start):
    step = integrators.rk4(lambda t, y, both: both[1] - y**3)
    u = weights["last"]
    return integrators.rollout(step, start[0], dt=0.1, num_steps=3, controls=u)


def weights_that_decay(weights, start):
    """Parameters in the carry, a whole number beside them, run backwards."""

    def body(carry, x):
        y, w, count = carry
        y = jnp.tanh(y * w[:2] + x * count)
        return (y, 0.9 * w, count + (y[0] > 0)), (y[0] * w[2], count)

    last, (seen, counts) = scanned(
        body, (start, weights["last"], 1), jnp.arange(5.0), reverse=True
    )
    return jnp.concatenate([seen, last[0], counts.astype(float)])


def loop_of_paths(weights, start):
    """A loop that keeps the paths of another one within it."""

    def body(y, x):
        path = rollout(weights, y * x)
        return path[-1], path[:, 0]

    return scanned(body, start, jnp.array([1.0, 0.5]))[1].reshape(-1)


@jax.custom_vjp
def cubed(x):
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x**2 * g,))


def reverse_rule(weights, start):
    def body(y, x):
        y = 0.5 * cubed(y) + x * policy(weights, y)
        return y, y

    return scanned(body, start, jnp.arange(4.0))[1].reshape(-1)


def iterated(weights, start):
    """A `while` has forward derivatives alone."""

    def body(y, x):
        def halve(z):
            return 0.5 * z * policy(weights, z)

        y = jax.lax.while_loop(lambda z: jnp.sum(z**2) > 1e-2, halve, y + x)
        return y, y

    return scanned(body, start, jnp.arange(4.0))[1].reshape(-1)


def two_precisions(weights, start):
    """A policy in single precision beside a state in double."""
    single = jax.tree.map(lambda x: x.astype("float32"), weights)

    def body(y, x):
        y = 0.9 * y + x * policy(single, y.astype("float32")).astype("float64")
        return y, y

    return scanned(body, start, jnp.arange(4.0))[1].reshape(-1)


def does_not_depend(weights, start):
    path = integrators.rollout(
        integrators.rk4(lambda t, y, args: -y), start, dt=0.1, num_steps=4
    )
    return jnp.concatenate([path.reshape(-1), rollout(weights, start)[-1]])


KINDS = {
    "path": rollout,
    "stages in a loop": lambda w, y: rollout(w, y, rolled=True),
    "substeps": lambda w, y: rollout(w, y, substeps=3),
    "checkpoints": lambda w, y: rollout(w, y, checkpoint=True),
    "network first": begins_with_a_network,
    "controls": controls_along,
    "plain controls": plain_controls,
    "decaying weights": weights_that_decay,
    "paths in a loop": loop_of_paths,
    "two precisions": two_precisions,
    "while": iterated,
    "half of it fixed": does_not_depend,
}


def along(outputs, weights, start):
    """The Jacobian by sensitivities, and how it is planned."""

    def flat(*inputs):
        leaves, y = inputs[:-1], inputs[-1]
        return outputs(jax.tree.unflatten(tree, leaves), y).reshape(-1)

    leaves, tree = jax.tree.flatten(weights)
    moving = [True] * len(leaves) + [False]
    plan = plans.plan(jax.make_jaxpr(flat)(*leaves, start), moving)
    assert plan is not None
    (values,), (rows,) = sensitivities.jacobian(plan, [*leaves, start], moving)
    return values, rows, plan


def dense(outputs, weights, start, mode=jax.jacfwd):
    jacobian = mode(lambda w: outputs(w, start).reshape(-1))(weights)
    leaves = jax.tree.leaves(jacobian)
    return jnp.concatenate([x.reshape(x.shape[0], -1) for x in leaves], axis=1)


@pytest.mark.long
def test_sensitivities_are_the_jacobian_whatever_the_loop_does():
    @jax.jit
    def both(weights, start):
        found = {}
        for name, outputs in KINDS.items():
            values, rows, _ = along(outputs, weights, start)
            expected = outputs(weights, start).reshape(-1)
            found[name] = values, rows, expected, dense(outputs, weights, start)
        return found

    for name, (values, rows, value, expected) in both(WEIGHTS, START).items():
        np.testing.assert_allclose(values, value, rtol=1e-12, err_msg=name)
        rtol, atol = (1e-4, 1e-6) if name == "two precisions" else (1e-10, 1e-13)
        np.testing.assert_allclose(rows, expected, rtol, atol, err_msg=name)
        assert np.any(expected != 0), name


def test_a_rule_for_reverse_passes_alone_is_no_obstacle():
    _, rows, _ = along(reverse_rule, WEIGHTS, START)
    expected = dense(reverse_rule, WEIGHTS, START, jax.jacrev)
    np.testing.assert_allclose(rows, expected, rtol=1e-10)


def test_where_a_part_has_derivatives_of_neither_kind_there_is_no_plan():
    def neither(leaf, start):
        def both(y, x):
            y = jax.lax.while_loop(lambda z: z > 1, lambda z: z / 2, y * leaf)
            return cubed(y), None

        def body(y, x):
            return scanned(both, y, jnp.arange(2.0))[0], y

        return scanned(body, start, jnp.arange(3.0))[1]

    traced = jax.make_jaxpr(neither)(1.0, 2.0)
    assert plans.plan(traced, [True, False]) is None

    def wave(leaf, start):
        def body(psi, x):
            psi = psi * jnp.exp(1j * leaf * x)
            return psi, psi.real

        return scanned(body, start + 0j, jnp.arange(3.0))[1]

    assert plans.plan(jax.make_jaxpr(wave)(1.0, 2.0), [True, False]) is None
    traced = jax.make_jaxpr(lambda a, b: a * b)(1.0, 2.0)
    assert plans.plan(traced, [True, False]) is None


def test_the_way_of_the_fewest_operations_is_taken():
    """A path of many states goes along; a single number of its end comes back."""

    path = linearise(lambda w, y: rollout(w, y).reshape(-1), WEIGHTS, START[None])
    assert set(path.ways().values()) == {"along"}
    wide = {"first": jnp.ones((2, 40)), "last": jnp.ones(40)}
    end = linearise(lambda w, y: rollout(w, y)[-1, :1], wide, START[None])
    assert set(end.ways().values()) == {"reverse"}
    layer = linearise(lambda w, y: jnp.tanh(y @ w["first"]), WEIGHTS, START[None])
    assert layer.ways()["['first']"] == "layer"


@pytest.mark.long
def test_a_batch_is_linearised_along_its_rollouts():
    """With weights before, in, and after the loop; Gram matrix and normal matrix."""
    net = models.mlp((2, 6, 1), activation="tanh", dtype="float64")
    weights = {"net": net.init(jax.random.key(0)), "scale": jnp.ones(2)}

    def outputs(weights, start):
        def pushed(t, y, held):
            return jnp.stack([y[1], net.apply(held["net"], y)[0] - y[0] ** 3])

        step, first = integrators.rk4(pushed), weights["scale"] * start
        return integrators.rollout(
            step, first, dt=0.05, num_steps=12, args=weights
        ).reshape(-1)

    starts = jax.random.normal(jax.random.key(1), (3, 2))

    @jax.jit
    def found(weights):
        batch = linearise(outputs, weights, starts)
        assert "along" in batch.ways().values()
        rows = jax.vmap(lambda y: dense(outputs, weights, y))(starts)
        return batch.jacobian(), rows, batch.gram(), batch.normal()

    jacobian, expected, gram, normal = found(weights)
    expected = np.asarray(expected.reshape(-1, expected.shape[-1]))
    np.testing.assert_allclose(jacobian, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(gram, expected @ expected.T, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(normal, expected.T @ expected, rtol=1e-9, atol=1e-11)
