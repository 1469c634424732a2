"""Spectral steps by the layers' factors: exact where they should be, near elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import linalg, losses, models, optim, training
from jaxphys.experiments import RunOptions, engine, get


def layerwise(power=-0.5, **rest):
    return optim.scale_by_kronecker(power=power, **rest)


def direction(tx, outputs, params, batch, objective=losses.squared_error):
    """What a transformation makes of the first gradient, and that gradient."""
    seen = []

    def keep(updates, state, params=None, **extras):
        del params, extras
        jax.debug.callback(seen.append, updates, ordered=True)
        return updates, state

    spy = optax.GradientTransformationExtraArgs(lambda params: (), keep)
    chained = optax.chain(spy, tx, spy, optax.scale(-1.0))
    step = jax.jit(training.make_train_step(outputs, objective, chained))
    state, _ = step(training.init_state(params, chained), batch)
    jax.block_until_ready(state)
    jax.effects_barrier()
    gradient, changed = seen
    return changed, gradient


def tree_close(actual, desired, **tolerance):
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


def twice(params, x):
    """A weight that is used twice, a bias, and a scale that is no dense layer's."""
    h = jnp.tanh(x @ params["w"] + params["b"])
    return params["s"] * (h @ params["w"])


def twice_params(dtype=jnp.float64):
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "w": jax.random.normal(keys[0], (3, 3), dtype),
        "b": jax.random.normal(keys[1], (3,), dtype),
        "s": jax.random.normal(keys[2], (3,), dtype),
    }


def test_responses_add_up_to_the_reverse_pass(dtype):
    inputs = jax.random.normal(jax.random.key(1), (5, 3), dtype)
    batch = optim.linearise(twice, twice_params(dtype), inputs)
    weights = jax.random.normal(jax.random.key(2), (5, 3), dtype)
    wanted = batch.vjp(weights)
    blocks = dict(zip(("b", "s", "w"), batch.responses(weights), strict=True))
    assert blocks["s"] is None
    both = blocks["w"]
    found = jnp.einsum("bktn,bktm->nm", both.rows, both.columns)
    np.testing.assert_allclose(found, wanted["w"], rtol=1e-4, atol=1e-5)
    assert blocks["b"].rows is None
    np.testing.assert_allclose(
        blocks["b"].columns.sum((0, 1, 2)), wanted["b"], rtol=1e-4, atol=1e-5
    )


def test_exponent_one_is_the_gradient(dtype):
    model = models.mlp((3, 8, 2), dtype=dtype)
    inputs = jax.random.normal(jax.random.key(1), (16, 3), dtype)
    params = model.init(jax.random.key(0))
    batch = (inputs, jnp.zeros((16, 2), dtype))
    changed, gradient = direction(layerwise(1.0), model.apply, params, batch)
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(gradient))
    tree_close(changed, gradient, rtol=1e-4, atol=1e-4 * largest)
    assert {x.dtype for x in jax.tree.leaves(changed)} == {jnp.dtype(dtype)}


@pytest.mark.x64
@pytest.mark.parametrize("power", [-0.5, -1.0])
def test_one_linear_layer_has_the_exact_step_but_for_the_signs(power):
    """Behind a fixed matrix its N is b ⟨x xᵀ⟩ ⊗ M Mᵀ, the latter by random signs."""
    keys = jax.random.split(jax.random.key(3), 3)
    spread = jnp.diag(jnp.array([3.0, 1.0, 0.3]))
    fixed = jax.random.normal(keys[0], (2, 4))
    inputs = jax.random.normal(keys[1], (4096, 3)) @ spread
    weight = jax.random.normal(keys[2], (3, 2))

    def outputs(w, x):
        return (x @ w) @ fixed

    batch = (inputs, jnp.zeros((4096, 4)))
    tx = layerwise(power, average=0.0, damping=1e-8)
    changed, _ = direction(tx, outputs, weight, batch)
    lin = optim.linearise(outputs, weight, inputs)
    cotangent = 2 / 4096 * lin.values.reshape(-1)
    exact = linalg.spectral_direction(
        lin.jacobian(), cotangent, power=power, rcond=1e-8
    ).reshape(3, 2)
    error = jnp.linalg.norm(changed - exact) / jnp.linalg.norm(exact)
    assert error < 0.1
    # Of one sample with one output nothing is left to chance.
    one = (inputs[:1], jnp.zeros((1, 1)))
    tx = layerwise(power, average=0.0, damping=1e-3)
    changed, gradient = direction(tx, lambda w, x: (x @ w) @ fixed[:, :1], weight, one)
    largest = jnp.linalg.norm(inputs[0]) ** 2 * jnp.linalg.norm(fixed[:, 0]) ** 2
    wanted = gradient * largest ** ((power - 1) / 2)
    np.testing.assert_allclose(changed, wanted, rtol=1e-5)


def test_a_leaf_too_large_for_matrices_has_its_diagonal():
    x = jnp.array([0.5, 2.0, 3.0])
    batch = (x[None], jnp.zeros((1, 3)))
    tx = layerwise(average=0.0, largest_side=2, damping=1e-6)
    changed, gradient = direction(tx, lambda s, x: s * x, jnp.ones(3), batch)
    np.testing.assert_allclose(changed, gradient * (x**2) ** -0.75, rtol=1e-6)


@pytest.mark.x64
def test_every_kind_of_leaf_is_trained():
    tx = optax.chain(layerwise(), optax.scale(-0.3))
    params = twice_params() | {"k": jnp.ones((2, 2, 2))}
    inputs = jax.random.normal(jax.random.key(1), (64, 3))
    targets = jax.vmap(twice, (None, 0))(twice_params(), inputs) + 0.3

    def outputs(params, x):
        return twice(params, x) * jnp.mean(params["k"]) + jnp.sum(params["k"]) / 8

    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    state = training.init_state(params, tx)
    state, first = step(state, (inputs, targets))
    for _ in range(300):
        state, info = step(state, (inputs, targets))
    assert info.loss < 0.1 * first.loss


def test_powers_are_taken_often_at_first_and_then_now_and_then():
    model = models.mlp((3, 4, 1))
    tx = optax.chain(layerwise(refresh=4), optax.scale(-1e-3))
    step = jax.jit(training.make_train_step(model.apply, losses.squared_error, tx))
    state = training.init_state(model.init(jax.random.key(0)), tx)
    batch = (jnp.eye(3, dtype=jnp.float32), jnp.zeros((3, 1), jnp.float32))
    taken = []
    for number in range(48):
        before = state.opt_state[0].refresh_at
        state, _ = step(state, batch)
        if state.opt_state[0].refresh_at != before:
            taken.append(number)
    gaps = np.diff(taken)
    assert gaps[0] == 1
    assert gaps[-1] == 4
    assert np.all(np.diff(gaps) >= 0)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"average": 1.0}, "average is 1.0"),
        ({"damping": 0.0}, "damping is 0.0"),
        ({"refresh": 0}, "refresh is 0"),
        ({"largest_side": 0}, "largest_side is 0"),
    ],
)
def test_numbers_that_cannot_be_meant_are_told(settings, told):
    with pytest.raises(ValueError, match=told):
        layerwise(**settings)


def test_it_gets_further_than_adam_in_as_many_updates():
    options = RunOptions(steps=400, progress=False)
    experiment = get("poisson")
    settings = experiment.settings(size=4, samples=512, hidden=(32,))
    found = {}
    for name in ("adam", "hig_kronecker"):
        _, fit = engine.train_row(experiment, name, settings, options)
        found[name] = fit.history[-1]["test_loss"]
    assert found["hig_kronecker"] < 0.1 * found["adam"]
