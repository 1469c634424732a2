"""Facts of the spectral family J^κ g = V Λ^κ Uᵀ g."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import linalg, trees
from jaxphys.linalg import spectral_direction

ROUTES = ["svd", "qr", "gram", "auto"]
STATIC = ("power", "rcond", "method")
compiled_direction = jax.jit(spectral_direction, static_argnames=STATIC)
compiled_spectral = jax.jit(linalg.spectral, static_argnames=STATIC)
SHAPES = [(6, 40), (40, 6), (9, 9)]
TOLERANCE = {"float32": 2e-4, "float64": 1e-9}


def random_problem(shape, dtype, condition=1e2, seed=0):
    """A Jacobian with singular values spread evenly over a condition number."""
    generator = np.random.default_rng(seed)
    left, _, right = np.linalg.svd(generator.normal(size=shape), full_matrices=False)
    values = np.geomspace(1, 1 / condition, min(shape))
    jacobian = (left * values) @ right
    return jnp.asarray(jacobian, dtype), jnp.asarray(
        generator.normal(size=shape[0]), dtype
    )


def by_numpy(jacobian, cotangent, power, rcond=0.0):
    left, values, right = np.linalg.svd(
        np.asarray(jacobian, np.float64), full_matrices=False
    )
    keep = values > rcond * values.max()
    weights = np.where(keep, np.where(keep, values, 1) ** power, 0)
    return right.T @ (weights * (left.T @ np.asarray(cotangent, np.float64)))


def assert_close(actual, desired, dtype, factor=1.0):
    scale = np.linalg.norm(desired)
    error = np.linalg.norm(np.asarray(actual, np.float64) - desired)
    assert error <= factor * TOLERANCE[str(dtype)] * scale


@pytest.mark.parametrize("method", ROUTES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_route_is_the_svd_written_out_in_numpy(shape, method, dtype):
    powers = [1.0, 0.5, 0.0, -0.5, -1.0]

    @jax.jit
    def directions(jacobian, cotangent):
        return [
            spectral_direction(jacobian, cotangent, power=power, method=method)
            for power in powers
        ]

    jacobian, cotangent = random_problem(shape, dtype)
    single_gram = method == "gram" and not jax.config.jax_enable_x64
    factor = 1e3 if single_gram else 1.0
    found = directions(jacobian, cotangent)
    for power, direction in zip(powers, found, strict=True):
        assert_close(direction, by_numpy(jacobian, cotangent, power), dtype, factor)
        assert direction.dtype == dtype


def test_power_one_is_the_gradient(dtype):
    jacobian, cotangent = random_problem((8, 30), dtype)

    def loss(x):
        return cotangent @ (jacobian @ x)

    gradient = jax.grad(loss)(jnp.zeros(30, dtype))
    for method in ROUTES:
        direction = compiled_direction(jacobian, cotangent, power=1.0, method=method)
        assert_close(direction, np.asarray(gradient), dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_power_minus_one_is_least_squares(shape, dtype):
    jacobian, cotangent = random_problem(shape, dtype)
    solution = np.linalg.lstsq(np.asarray(jacobian), np.asarray(cotangent))[0]
    direction = compiled_direction(jacobian, cotangent, power=-1.0)
    assert_close(direction, solution, dtype)


def test_it_is_the_transpose_after_a_power_of_the_gram_matrix(dtype):
    jacobian, cotangent = random_problem((7, 25), dtype)
    wide = np.asarray(jacobian, np.float64)
    values, vectors = np.linalg.eigh(wide @ wide.T)
    powered = (vectors * values ** (-3 / 4)) @ vectors.T @ np.asarray(cotangent)
    direction = spectral_direction(jacobian, cotangent, power=-0.5)
    assert_close(direction, wide.T @ powered, dtype)


@pytest.mark.parametrize("power", [1.0, 0.0, -0.5, -1.0])
def test_a_duplicated_batch_scales_the_step_by_two_to_half_kappa_minus_one(
    power, dtype
):
    """Under the mean loss both halves carry g/2, and J is stacked on itself."""
    jacobian, cotangent = random_problem((6, 30), dtype)
    once = compiled_direction(jacobian, cotangent, power=power, rcond=1e-3)
    twice = compiled_direction(
        jnp.concatenate([jacobian, jacobian]),
        jnp.concatenate([cotangent, cotangent]) / 2,
        power=power,
        rcond=1e-3,
    )
    assert_close(twice, 2 ** ((power - 1) / 2) * np.asarray(once), dtype, 10)


@pytest.mark.parametrize("method", ROUTES)
def test_rcond_discards_small_singular_values_and_does_not_clamp_them(method, dtype):
    jacobian, cotangent = random_problem((5, 20), dtype, condition=1e2)
    result = compiled_spectral(
        jacobian, cotangent, power=-1.0, rcond=0.05, method=method
    )
    assert_close(result.direction, by_numpy(jacobian, cotangent, -1.0, 0.05), dtype, 5)
    assert result.rank == 3  # of 1, 0.32, 0.1, 0.03, 0.01
    assert result.largest == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("method", ROUTES)
@pytest.mark.parametrize("power", [0.0, -0.5, -1.0])
def test_a_zero_jacobian_gives_a_zero_step(method, power, dtype):
    result = compiled_spectral(
        jnp.zeros((4, 9), dtype), jnp.ones(4, dtype), power=power, method=method
    )
    assert np.all(np.asarray(result.direction) == 0)
    assert result.rank == 0


@pytest.mark.parametrize("method", ROUTES)
def test_a_rank_deficient_jacobian_gives_the_step_of_its_range(method, dtype):
    jacobian, cotangent = random_problem((4, 20), dtype, condition=10)
    stacked = jnp.concatenate([jacobian, jacobian[:2]])
    cotangents = jnp.concatenate([cotangent, cotangent[:2]])
    rcond = 1e-2 if not jax.config.jax_enable_x64 else 1e-4
    result = compiled_spectral(
        stacked, cotangents, power=-0.5, rcond=rcond, method=method
    )
    assert result.rank == 4
    assert_close(
        result.direction, by_numpy(stacked, cotangents, -0.5, rcond), dtype, 100
    )


@pytest.mark.parametrize("method", ROUTES)
def test_jit_and_vmap_change_nothing(method, dtype):
    pairs = [random_problem((5, 12), dtype, seed=seed) for seed in range(3)]
    jacobians, cotangents = (jnp.stack(x) for x in zip(*pairs, strict=True))

    def direction(jacobian, cotangent):
        return spectral_direction(jacobian, cotangent, power=-0.5, method=method)

    together = jax.jit(jax.vmap(direction))(jacobians, cotangents)
    for row, pair in zip(together, pairs, strict=True):
        assert_close(row, np.asarray(direction(*pair)), dtype)


def test_auto_takes_the_gram_matrix_only_where_it_resolves_what_j_resolves():
    if jax.config.jax_enable_x64:
        assert linalg.auto_method(jnp.float32, 128, 1e-10) == "gram"
        assert linalg.auto_method(jnp.float64, 128, 1e-10) == "qr"
        assert linalg.auto_method(jnp.float64, 128, 1e-5) == "gram"
    else:
        assert linalg.auto_method(jnp.float32, 128, 1e-10) == "qr"


def test_auto_is_right_where_a_single_precision_gram_matrix_is_not():
    """Condition number 1e5: a float32 Gram matrix loses its small eigenvalues."""
    jacobian, cotangent = random_problem((24, 200), jnp.float32, condition=1e5)
    reference = by_numpy(jacobian, cotangent, -0.5)
    direction = spectral_direction(jacobian, cotangent, power=-0.5, rcond=1e-7)
    error = np.linalg.norm(np.asarray(direction) - reference) / np.linalg.norm(
        reference
    )
    assert error < 2e-2
    gram = jacobian @ jacobian.T
    single = linalg.gram_power(gram, cotangent, -0.5, 0.0).direction @ jacobian
    wrong = np.linalg.norm(np.asarray(single) - reference) / np.linalg.norm(reference)
    assert wrong > 5 * error


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((jnp.ones((2, 3, 4)), jnp.ones(2)), {}, r"\(2, 3, 4\).*jax\.vmap"),
        ((jnp.ones((2, 3)), jnp.ones(3)), {}, r"expected \(m, P\) and \(m,\)"),
        ((jnp.ones((2, 3), int), jnp.ones(2)), {}, "real floating"),
        (
            (jnp.ones((2, 3)), jnp.ones(2)),
            {"method": "lu"},
            "known: auto, svd, qr, gram",
        ),
        ((jnp.ones((2, 3)), jnp.ones(2)), {"rcond": 1.5}, "0 ≤ rcond < 1"),
    ],
)
def test_bad_input_is_told(arguments, options, words):
    with pytest.raises(ValueError, match=words):
        spectral_direction(*arguments, power=-0.5, **options)


def test_ravel_refuses_mixed_dtypes():
    with pytest.raises(ValueError, match="one real floating dtype"):
        trees.ravel({"a": jnp.ones(2), "b": jnp.ones(2, jnp.float16)})


def test_damped_solve_is_a_ridge_solve(dtype):
    jacobian, rhs = random_problem((6, 20), dtype)
    gram = jacobian @ jacobian.T
    expected = np.linalg.solve(np.asarray(gram) + 0.1 * np.eye(6), np.asarray(rhs))
    assert_close(linalg.damped_solver(gram, 0.1)(rhs), expected, dtype)
    root = jnp.linalg.qr(jacobian.T, mode="r")
    by_root = linalg.damped_root_solver(root, jnp.asarray(0.1))(rhs)
    assert_close(by_root, expected, dtype)


@pytest.mark.parametrize("rows", [1, 511, 1030])
def test_the_product_of_a_matrix_with_itself_is_whole(rows):
    a = jax.random.normal(jax.random.key(0), (rows, 40), jnp.float32)
    np.testing.assert_allclose(linalg.self_product(a), a @ a.T, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("shape", [(7, 3), (2400, 5), (3611, 300)])
def test_the_product_of_a_tall_matrix_misses_no_row(shape):
    a = jax.random.normal(jax.random.key(0), shape, jnp.float32)
    np.testing.assert_allclose(linalg.tall_product(a), a.T @ a, rtol=1e-4, atol=1e-2)
    assert linalg.tall_product(a).dtype == a.dtype


def matrix_of_ten_decades(size):
    left, _ = jnp.linalg.qr(jax.random.normal(jax.random.key(0), (size, size)))
    values = 10.0 ** -jnp.linspace(0, 10, size)
    cotangent = left @ (values**0.5 * jax.random.normal(jax.random.key(1), (size,)))
    return (left * values) @ left.T, cotangent


@pytest.mark.x64
def test_lanczos_makes_a_matrix_tridiagonal_in_an_orthonormal_basis():
    matrix, start = matrix_of_ten_decades(80)
    found = jax.jit(lambda g: linalg.lanczos(lambda w: matrix @ w, g, 30))(start)
    basis = np.asarray(found.basis)
    np.testing.assert_allclose(basis @ basis.T, np.eye(30), atol=1e-13)
    inner = np.asarray(found.off[:-1])
    wanted = np.diag(found.diagonal) + np.diag(inner, 1) + np.diag(inner, -1)
    np.testing.assert_allclose(basis @ matrix @ basis.T, wanted, atol=1e-13)


@pytest.mark.x64
def test_a_krylov_space_that_ends_early_is_exact():
    values = jnp.repeat(jnp.array([1.0, 2.0, 5.0]), 4)
    start = jnp.arange(1.0, 13.0)
    for iterations in (3, 4, 12):
        found = jax.jit(
            lambda g, n=iterations: linalg.lanczos_power(
                lambda w: values * w, g, -0.5, 1e-6, n
            )
        )(start)
        np.testing.assert_allclose(found.direction, values**-0.75 * start, rtol=1e-9)
    zero = linalg.lanczos_power(lambda w: values * w, 0 * start, -0.5, 1e-6, 5)
    np.testing.assert_array_equal(zero.direction, 0)


@pytest.mark.x64
def test_a_power_by_lanczos_is_first_right_where_outputs_change_most():
    matrix, g = matrix_of_ten_decades(200)
    exact = linalg.gram_power(matrix, g, -0.5, 1e-5).direction
    errors = []
    for iterations in (20, 50, 100):
        found = jax.jit(
            lambda g, n=iterations: linalg.lanczos_power(
                lambda w: matrix @ w, g, -0.5, 1e-5, n
            )
        )(g)
        gap = matrix @ (found.direction - exact)
        errors.append(jnp.linalg.norm(gap) / jnp.linalg.norm(matrix @ exact))
    assert errors[0] < 0.1
    assert errors[1] < 5e-3
    assert errors[2] < 1e-4


@pytest.mark.x64
@pytest.mark.parametrize("decades", [2, 6, 10])
def test_newtons_inverse_root_is_wrong_by_rounding_times_the_condition(decades):
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))
    values = 1e3 * 10.0 ** -np.linspace(0, decades, 60)
    found = linalg.inverse_fourth_root(jnp.asarray((left * values) @ left.T))
    wanted = (left * values**-0.25) @ left.T
    error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
    assert error < 10 * np.finfo(float).eps * 10.0**decades


@pytest.mark.x64
@pytest.mark.parametrize("rcond", [1e-2, 1e-5])
@pytest.mark.parametrize("power", [0.0, -0.5, -1.0])
def test_newton_truncates_softly_and_by_its_formula(power, rcond):
    """Twelve decades of eigenvalues and some that are zero, scaled by any factor."""
    left, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))
    values = 1e-2 * np.append(10.0 ** -np.linspace(0, 6, 50), np.zeros(10))
    g = np.random.default_rng(1).normal(size=60)
    gram = jnp.asarray((left * values**2) @ left.T)
    found = linalg.newton_power(gram, jnp.asarray(g), power, rcond)
    cut = rcond * values[0]
    weights = values**2 * (values**2 + cut**2) ** ((power - 3) / 2)
    wanted = weights * (left.T @ g)
    # As the outputs change: K times it.
    change, expected = values * (left.T @ found.direction), values * wanted
    error = np.linalg.norm(change - expected) / np.linalg.norm(expected)
    assert error < 1e-6
    assert found.largest == pytest.approx(values[0], rel=1e-3)
    assert found.rank == round(np.sum(values**2 / (values**2 + cut**2)))


@pytest.mark.x64
def test_newton_and_eigenvectors_agree_as_far_as_values_are_above_the_cut():
    """Relatively by 7/4 (c/σ)² for the half-inverse, and by rounding / rcond²."""
    jacobian, cotangent = random_problem((40, 200), jnp.float64, condition=1e3)
    gram = jacobian @ jacobian.T
    for rcond in (1e-4, 1e-5, 1e-6):
        exact, soft = (
            power_of(gram, cotangent, -0.5, rcond).direction
            for power_of in (linalg.gram_power, linalg.newton_power)
        )
        error = jnp.linalg.norm(soft - exact) / jnp.linalg.norm(exact)
        rounding = 10 * np.finfo(float).eps / rcond**2
        assert error < 7 / 4 * (1e3 * rcond) ** 2 + rounding


def test_newton_gives_a_zero_matrix_a_zero_step(dtype):
    found = linalg.newton_power(jnp.zeros((4, 4), dtype), jnp.ones(4, dtype), -0.5, 0.0)
    np.testing.assert_array_equal(found.direction, 0)
    assert found.rank == 0
    assert found.direction.dtype == dtype
    with pytest.raises(ValueError, match=r"power is -0.3"):
        linalg.newton_power(jnp.eye(4), jnp.ones(4), -0.3, 0.0)


@pytest.mark.x64
@pytest.mark.parametrize("damping", [1e-1, 1e-3, 1e-6])
def test_a_solve_by_products_leaves_what_it_says(damping):
    matrix, rhs = matrix_of_ten_decades(200)
    found = jax.jit(
        lambda b: linalg.lanczos_solve(lambda w: matrix @ w, b, damping, 200, 1e-8)
    )(rhs)
    left = rhs - matrix @ found.solution - damping * found.solution
    size = jnp.linalg.norm(rhs)
    assert jnp.linalg.norm(left) / size == pytest.approx(
        float(found.residual), rel=1e-3
    )
    assert found.residual <= 1e-8
    root = (1 + 1 / damping) ** 0.5
    assert found.iterations <= 0.5 * root * np.log(2 * root / 1e-8) + 1


@pytest.mark.x64
def test_a_solve_that_may_not_go_on_is_the_best_of_its_space():
    """Galerkin's condition: what is left is orthogonal to the Krylov space."""
    matrix, rhs = matrix_of_ten_decades(100)
    solve = jax.jit(
        lambda b: linalg.lanczos_solve(lambda w: matrix @ w, b, 1e-9, 12, 1e-8)
    )
    found = solve(rhs)
    space = linalg.lanczos(lambda w: matrix @ w, rhs, 12).basis
    left = rhs - matrix @ found.solution - 1e-9 * found.solution
    assert found.iterations == 12
    assert found.residual > 1e-8
    np.testing.assert_allclose(space @ left, 0, atol=1e-10 * jnp.linalg.norm(rhs))
    zero = solve(0 * rhs)
    np.testing.assert_array_equal(zero.solution, 0)
    assert zero.iterations == 0


def test_a_trace_by_random_signs_is_near(dtype):
    jacobian, _ = random_problem((100, 100), dtype)
    matrix = jacobian @ jacobian.T
    found = linalg.hutchinson_trace(lambda w: matrix @ w, 100, dtype)
    assert found.dtype == dtype
    assert found == pytest.approx(float(jnp.trace(matrix)), rel=0.3)
