"""The vectorized sine and cosine, against NumPy's in higher precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys._jaxpr import trig

PAIRS = [(trig.sin, np.sin), (trig.cos, np.cos)]


@pytest.mark.parametrize(("ours", "numpys"), PAIRS, ids=["sin", "cos"])
def test_the_error_is_below_one_rounding_unit(ours, numpys, dtype):
    rng = np.random.default_rng(0)
    largest = 1e4 if dtype == np.float32 else 1e6
    for scale in (1.0, 10.0, 1e3, largest):
        x = rng.uniform(-scale, scale, 20_000).astype(dtype)
        error = np.abs(np.asarray(jax.jit(ours)(x)) - numpys(x.astype(np.longdouble)))
        assert error.max() < np.finfo(dtype).eps


@pytest.mark.parametrize(("ours", "numpys"), PAIRS, ids=["sin", "cos"])
def test_zeros_are_relatively_right(ours, numpys, dtype):
    x = (np.pi / 2 * np.arange(-40, 41)).astype(dtype)
    exact = numpys(x.astype(np.longdouble))
    error = np.abs(np.asarray(jax.jit(ours)(x)) - exact)
    assert np.all(error <= 8 * np.finfo(dtype).eps * np.abs(exact))


def test_dtypes_shapes_and_values_that_are_not_numbers(dtype):
    assert trig.sin(jnp.ones((2, 3), dtype)).dtype == dtype
    assert trig.cos(jnp.ones((2, 3), dtype)).shape == (2, 3)
    bad = jnp.array([jnp.inf, -jnp.inf, jnp.nan], dtype)
    assert bool(jnp.all(jnp.isnan(trig.sin(bad))))
    huge = jnp.array([1e9, 1e20, 3e38], dtype)
    assert bool(jnp.all(jnp.abs(trig.cos(huge)) <= 1.0001))
    assert trig.sin(jnp.ones((), jnp.bfloat16)).dtype == jnp.bfloat16


def test_derivatives_of_every_order_in_a_batch_and_alone():
    def wave(x):
        return trig.PRIMITIVES["sin"].bind(2 * x) + trig.PRIMITIVES["cos"].bind(3 * x)

    derivative = wave
    expected = [
        2 * np.cos(1.4) - 3 * np.sin(2.1),
        -4 * np.sin(1.4) - 9 * np.cos(2.1),
        -8 * np.cos(1.4) + 27 * np.sin(2.1),
    ]
    alone, batch = jnp.array(0.7), jnp.full(3, 0.7)
    for value in expected:
        derivative = jax.grad(derivative)
        assert float(derivative(alone)) == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(jax.vmap(derivative)(batch), value, rtol=1e-5)
    assert float(jax.jacfwd(jax.jacrev(wave))(alone)) == pytest.approx(
        expected[1], rel=1e-5
    )


def test_a_batch_alone_is_computed_by_ours():
    sine = trig.PRIMITIVES["sin"].bind
    assert "sin" in jax.jit(sine).lower(jnp.ones(())).as_text()
    batched = jax.jit(jax.vmap(sine)).trace(jnp.ones(3))
    on_cpu, on_gpu = (
        batched.lower(lowering_platforms=(platform,)).as_text()
        for platform in ("cpu", "cuda")
    )
    assert "stablehlo.sine" not in on_cpu
    assert "stablehlo.sine" in on_gpu
