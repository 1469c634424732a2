"""A root is found to rounding, says so, and carries its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys.roots import find_root

X64 = jax.config.jax_enable_x64


def cube_root(a, **options):
    return find_root(lambda x: x**3 - a, jnp.ones(1, jnp.result_type(a)), **options)


def test_newtons_root_is_at_rounding(dtype):
    root, info = jax.jit(cube_root)(jnp.asarray(5.0, dtype))
    assert info.converged
    assert root.dtype == dtype
    assert info.residual <= 20 * 5 * jnp.finfo(dtype).eps
    assert 1 < info.num_iterations < 10
    np.testing.assert_allclose(root[0], 5 ** (1 / 3), rtol=4 * jnp.finfo(dtype).eps)


def test_a_fixed_point_is_at_rounding(dtype):
    """Kepler's equation E = M + e sin E contracts by e."""

    def eccentric(mean):
        return find_root(
            lambda x: x - mean - 0.3 * jnp.sin(x), mean[None], method="fixed_point"
        )

    root, info = jax.jit(eccentric)(jnp.asarray(1.1, dtype))
    assert info.converged
    assert root.dtype == dtype
    error = root[0] - 0.3 * np.sin(root[0]) - 1.1
    assert abs(error) < 8 * jnp.finfo(dtype).eps
    slope = jax.jit(jax.grad(lambda m: eccentric(m)[0][0]))(jnp.asarray(1.1, dtype))
    exact = 1 / (1 - 0.3 * np.cos(float(root[0])))
    np.testing.assert_allclose(
        slope, exact, rtol=1e-12 if X64 and "64" in str(dtype) else 1e-5
    )


def test_a_root_has_derivatives_to_the_third_order():
    """∛a and its three derivatives, forward and backward, mixed."""

    def root(a):
        return cube_root(a)[0][0]

    a = 2.5
    slope = jax.grad(root)
    forward = jax.jacfwd(root)
    bend = jax.jacfwd(slope)
    other_bend = jax.grad(forward)
    turn = jax.grad(bend)
    actual = [jax.jit(f)(a) for f in (root, slope, forward, bend, other_bend, turn)]
    first, second, third = 1 / 3, -2 / 9, 10 / 27
    expected = [
        a ** (1 / 3),
        first * a ** (-2 / 3),
        first * a ** (-2 / 3),
        second * a ** (-5 / 3),
        second * a ** (-5 / 3),
        third * a ** (-8 / 3),
    ]
    np.testing.assert_allclose(actual, expected, rtol=1e-12 if X64 else 1e-4)


def test_a_system_of_equations_differentiates_by_what_it_closes_over():
    """x + y = s, x y = p: the roots of z² − s z + p."""

    def larger(s, p):
        def residual(z):
            return jnp.stack([z[0] + z[1] - s, z[0] * z[1] - p])

        return find_root(residual, jnp.array([3.0, 0.5]))[0][0]

    def formula(s, p):
        return (s + jnp.sqrt(s**2 - 4 * p)) / 2

    point = (4.0, 2.0)
    tolerance = {"rtol": 1e-10} if X64 else {"rtol": 1e-4, "atol": 1e-5}
    for transform in (lambda f: f, jax.grad, jax.hessian):
        np.testing.assert_allclose(
            jax.jit(transform(larger))(*point), transform(formula)(*point), **tolerance
        )


def test_vmap_finds_each_root_as_a_loop_does():
    values = jnp.array([0.5, 2.0, 100.0])
    together, info = jax.jit(jax.vmap(cube_root))(values)
    assert np.all(info.converged)
    alone = jnp.stack([cube_root(a)[0] for a in values])
    np.testing.assert_allclose(together, alone, rtol=1e-6)
    np.testing.assert_allclose(together[:, 0], np.cbrt(values), rtol=1e-6)


def test_a_search_that_fails_says_so():
    _, info = jax.jit(lambda: find_root(lambda x: x**2 + 1, jnp.array([0.3])))()
    assert not info.converged
    _, info = find_root(lambda x: jnp.ones_like(x), jnp.array([0.3]))
    assert not info.converged
    _, info = find_root(lambda x: x**3 - 5, jnp.ones(1), max_iterations=2)
    assert not info.converged
    assert info.num_iterations == 2
    _, info = find_root(lambda x: 3 * x - 1, jnp.ones(1), method="fixed_point")
    assert not info.converged


def test_halved_steps_reach_roots_that_whole_ones_overshoot():
    """Newton's method for arctan diverges from 2; it descends with halved steps."""
    far = jnp.array([2.0])
    assert not find_root(jnp.arctan, far)[1].converged
    root, info = find_root(jnp.arctan, far, backtrack=True)
    assert info.converged
    assert abs(root[0]) < 1e-6


def test_halved_steps_stay_where_the_function_is_defined():
    root, info = find_root(lambda x: jnp.log(x) + 3, jnp.array([9.0]), backtrack=True)
    assert info.converged
    np.testing.assert_allclose(root, np.exp(-3.0), rtol=1e-5)


def test_a_looser_tolerance_takes_fewer_iterations():
    loose = cube_root(jnp.asarray(50.0), tolerance=0.1)[1]
    tight = cube_root(jnp.asarray(50.0))[1]
    assert loose.converged
    assert loose.num_iterations < tight.num_iterations


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "newtn"}, "Did you mean 'newton'"),
        ({"tolerance": 0.0}, "tolerance is 0.0"),
        ({"tolerance": -1.0}, "expected a finite number above zero"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"max_iterations": 0}, "max_iterations is 0"),
        ({"max_iterations": 2.5}, "whole number"),
    ],
)
def test_options_that_cannot_be_meant_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        cube_root(jnp.asarray(2.0), **options)
