"""Networks as pure functions, from our own, linen's and nnx's modules."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxphys import models


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
    with pytest.raises(ValueError, match="expected all ≥ 1"):
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


def test_modules_with_other_state_are_refused():
    with pytest.raises(ValueError, match="batch_stats"):
        models.from_linen(
            linen.BatchNorm(use_running_average=False), jnp.ones((2, 3))
        ).init(jax.random.key(0))
    with pytest.raises(ValueError, match="beside its Params"):
        models.from_nnx(lambda rngs: nnx.BatchNorm(3, rngs=rngs))


def test_bad_networks_are_told():
    with pytest.raises(ValueError, match="Did you mean 'tanh'"):
        models.mlp((2, 3), activation="tan")
    with pytest.raises(ValueError, match="at least inputs and outputs"):
        models.mlp((2,))
    model = models.mlp((2, 3))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        model.apply(model.init(jax.random.key(0)), jnp.ones((5, 2)))
