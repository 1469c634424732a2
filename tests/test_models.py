"""Networks as pure functions, of our own, and of linen, nnx and equinox."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxphys import learning, models, problems
from jaxphys.models import adapters


def test_the_published_network_has_1444_parameters():
    params = models.mlp((4, 20, 20, 20, 24)).init(jax.random.key(0))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 1444


def test_glorot_weights_are_uniform_in_their_bound_and_biases_zero():
    params = models.mlp((30, 50, 2)).init(jax.random.key(0))
    bound = np.sqrt(6 / 80)
    kernel = np.asarray(params["Dense_0"]["kernel"])
    assert np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert np.all(np.asarray(params["Dense_0"]["bias"]) == 0)


def test_a_key_means_the_same_network_in_every_precision(dtype):
    key = jax.random.key(1)
    single = models.mlp((3, 5, 2)).init(key)
    ours = models.mlp((3, 5, 2), dtype=dtype).init(key)
    for a, b in zip(jax.tree.leaves(single), jax.tree.leaves(ours), strict=True):
        assert b.dtype == dtype
        assert np.array_equal(np.asarray(a, np.float64), np.asarray(b, np.float64))
    out = models.mlp((3, 5, 2), dtype=dtype).apply(ours, jnp.ones(3, dtype))
    assert out.dtype == dtype


def test_mlp_is_the_formula():
    model = models.mlp((3, 4, 2), activation="softplus", kernel_init="orthogonal")
    p = model.init(jax.random.key(2))
    x = jnp.array([0.1, -0.4, 0.7])
    hidden = jnp.logaddexp(x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"], 0)
    expected = hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
    np.testing.assert_allclose(model.apply(p, x), expected, rtol=1e-5)


def test_a_convolution_of_a_shifted_field_is_the_shifted_convolution(dtype):
    model = models.convolution(8, (3, 2), dtype=dtype)
    params = model.init(jax.random.key(3))
    field = jax.random.normal(jax.random.key(4), (8, 8), dtype)
    straight, shifted = (
        model.apply(params, jnp.roll(x, shift, (0, 1)).reshape(-1)).reshape(8, 8)
        for x, shift in ((field, (0, 0)), (field, (3, -2)))
    )
    assert straight.dtype == dtype
    np.testing.assert_allclose(
        shifted, jnp.roll(straight, (3, -2), (0, 1)), rtol=1e-4, atol=1e-6
    )


def test_a_convolution_that_cannot_be_is_told():
    with pytest.raises(ValueError, match=r"channels is .*whole numbers ≥ 1"):
        models.convolution(8, (0,))
    model = models.convolution(4, (2,))
    with pytest.raises(ValueError, match=r"shape \(4, 4\); expected \(16,\)"):
        model.apply(model.init(jax.random.key(0)), jnp.zeros((4, 4)))


def test_softplus_is_the_logarithm_of_a_sum_and_so_are_its_derivatives(dtype):
    x = jnp.array(
        [-jnp.inf, -200.0, -30.0, -1.0, 0.0, 2.0, 30.0, 200.0, jnp.inf], dtype
    )
    ours = models.networks.ACTIVATIONS["softplus"]
    np.testing.assert_allclose(ours(x), jnp.logaddexp(x, 0), rtol=1e-6)
    theirs, x = jax.nn.softplus, x[1:-1]
    for _ in range(3):
        ours, theirs = jax.grad(ours), jax.grad(theirs)
        slopes = jax.vmap(ours)(x)
        assert slopes.dtype == dtype
        np.testing.assert_allclose(slopes, jax.vmap(theirs)(x), rtol=1e-5, atol=1e-7)


def test_nnx_modules_are_pure_functions_of_their_parameters():
    model = models.from_nnx(lambda rngs: nnx.Linear(2, 3, rngs=rngs))
    params = model.init(jax.random.key(0))
    x = jnp.array([1.0, 2.0])
    expected = x @ params["kernel"] + params["bias"]
    np.testing.assert_allclose(model.apply(params, x), expected, rtol=1e-5)
    doubled = jax.tree.map(lambda leaf: 2 * leaf, params)
    np.testing.assert_allclose(model.apply(doubled, x), 2 * expected, rtol=1e-5)
    other = model.init(jax.random.key(1))
    assert not np.array_equal(other["kernel"], params["kernel"])


class Odd(eqx.Module):
    """Static fields, numbers, functions, whole numbers, and one layer in two places."""

    first: eqx.nn.Linear
    again: eqx.nn.Linear
    order: jax.Array
    bend: float
    activation: Callable
    name: str = eqx.field(static=True)

    def __init__(self, key):
        self.first = self.again = eqx.nn.Linear(3, 3, key=key)
        self.order = jnp.array([2, 0, 1])
        self.bend, self.activation, self.name = 0.5, jnp.tanh, "odd"

    def __call__(self, x):
        return self.again(self.activation(self.bend * self.first(x[self.order])))


def test_equinox_modules_are_pure_functions_of_their_parameters(dtype):
    model = models.from_equinox(Odd, dtype=dtype)
    params = model.init(jax.random.key(0))
    assert sorted(params) == [".first.bias", ".first.weight"]
    assert {leaf.dtype for leaf in params.values()} == {dtype}
    weight, bias = params[".first.weight"], params[".first.bias"]
    x = jnp.array([1.0, 2.0, 3.0], dtype)

    def expected(w):
        return w @ jnp.tanh(0.5 * (w @ x[jnp.array([2, 0, 1])] + bias)) + bias

    np.testing.assert_allclose(model.apply(params, x), expected(weight), rtol=1e-5)
    slope = jax.jacfwd(lambda w: model.apply({**params, ".first.weight": w}, x))(weight)
    np.testing.assert_allclose(slope, jax.jacfwd(expected)(weight), rtol=1e-4)
    other = model.init(jax.random.key(1))
    assert not np.array_equal(other[".first.weight"], weight)


def test_weights_of_equinox_are_drawn_under_jit_and_vmap():
    model = models.from_equinox(Odd)
    keys = jax.random.split(jax.random.key(0), 3)
    drawn = jax.jit(jax.vmap(model.init))(keys)
    alone = model.init(keys[1])
    for name, leaf in alone.items():
        np.testing.assert_allclose(drawn[name][1], leaf, rtol=1e-6)


def test_a_module_keeps_its_own_weights_and_comes_back_as_one():
    module = eqx.nn.MLP(2, 3, 8, 1, key=jax.random.key(3))
    x = jnp.array([0.3, -0.2])
    for network, wanted in (
        (module, module(x)),
        (nnx.Linear(2, 3, rngs=nnx.Rngs(0)), None),
        ((jnp.ones(3), lambda w, x: w * x.sum()), x.sum() * jnp.ones(3)),
    ):
        model = adapters.as_model(network)
        params = model.init(jax.random.key(7))
        wanted = network(x) if wanted is None else wanted
        np.testing.assert_allclose(model.apply(params, x), wanted, rtol=1e-5)
        if "module" in model.parts:
            again = model.parts["module"](params)
            assert type(again) is type(network)
            np.testing.assert_allclose(again(x), wanted, rtol=1e-5)


def test_a_module_is_taken_wherever_a_network_is():
    raw = {
        "equinox": eqx.nn.MLP(4, 1, 8, 1, key=jax.random.key(0)),
        "nnx": nnx.Linear(4, 1, rngs=nnx.Rngs(0)),
        "linen": linen.Dense(1),
    }
    q = jnp.ones(2, jnp.float32)
    for network in raw.values():
        model = models.hnn(2, own=network)
        assert model.apply(model.init(jax.random.key(0)), q, q).shape == ()
    problem = problems.oscillator_control(2, num_steps=3)
    for network in (linen.Dense(3), eqx.nn.MLP(4, 3, 8, 1, key=jax.random.key(0))):
        target = problems.steered(problem, network)
        params = target.init(jax.random.key(0))
        assert target.trained.outputs(params, jnp.ones(4)).shape == (4,)


def test_what_is_no_network_is_answered_with_the_adapters_names():
    problem = problems.oscillator_control(2, num_steps=3)
    for use in (
        lambda network: models.hnn(2, own=network),
        lambda network: problems.outputs(problem, network),
        models.dynamics,
        models.lagrangian_dynamics,
        lambda network: models.forced(network, 1),
        lambda network: learning.matching(network, learning.Recipe(steps=1)),
    ):
        with pytest.raises(TypeError, match=r"models\.from_equinox"):
            use(lambda key: eqx.nn.MLP(4, 1, 8, 1, key=key))
    with pytest.raises(TypeError, match=r"models\.from_linen\(module, example\)"):
        models.dynamics(linen.Dense(1))


def test_modules_with_other_state_are_refused():
    with pytest.raises(ValueError, match="batch_stats"):
        models.from_linen(
            linen.BatchNorm(use_running_average=False), jnp.ones((2, 3))
        ).init(jax.random.key(0))
    with pytest.raises(ValueError, match="beside its Params"):
        models.from_nnx(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
    with pytest.raises(ValueError, match="state beside its parameters"):
        models.from_equinox(eqx.nn.BatchNorm(3, "batch", mode="batch"))
    with pytest.raises(ValueError, match="no array of real numbers"):
        models.from_equinox(eqx.nn.Identity())
    with pytest.raises(TypeError, match="expected an equinox module"):
        models.from_equinox(lambda key: key)


def test_bad_networks_are_told():
    with pytest.raises(ValueError, match="Did you mean 'tanh'"):
        models.mlp((2, 3), activation="tan")
    with pytest.raises(ValueError, match="at least inputs and outputs"):
        models.mlp((2,))
    model = models.mlp((2, 3))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        model.apply(model.init(jax.random.key(0)), jnp.ones((5, 2)))
