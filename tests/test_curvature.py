"""Second derivatives along directions, against the whole Hessian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import models
from jaxphys.curvature import curvature

SIZES = jnp.array([0.5, -1.0, 2.0])


def network(x, y):
    model = models.mlp((6, 8, 8, 1), activation="softplus", dtype=x.dtype)
    params = model.init(jax.random.key(0))
    return model.apply(params, jnp.concatenate([x, jnp.cos(y)]))[0]


def wide_network(x, y):
    model = models.mlp((6, 40, 40, 1), activation="softplus", dtype=x.dtype)
    params = model.init(jax.random.key(0))
    return model.apply(params, jnp.concatenate([x * y, y]))[0]


def rational(x, y):
    return jnp.sum(x**3 / (1 + y**2)) + jnp.prod(x) * y[0] - jnp.linalg.norm(x * y)


def bilinear(x, y):
    matrix = jnp.outer(jnp.sin(x), x) + jnp.diag(jnp.exp(y))
    return y @ matrix @ y + jnp.dot(x, y) ** 2


def special(x, y):
    spread = jax.nn.softmax(x) @ jnp.tanh(y) + jax.nn.logsumexp(x * y)
    return spread + jnp.where(x[0] > 0, x[1] ** 2, x[1] * y[1]) + jnp.max(x) * y[2]


def solved(x, y):
    return x @ jnp.linalg.solve(jnp.diag(1 + y**2) + 0.1 * jnp.outer(x, x), y)


def looped(x, y):
    total, _ = jax.lax.scan(lambda c, z: (jnp.sin(c * z) + c, None), x[0], x * y)
    return total


def indexed(x, y):
    order = jnp.array([2, 0, 0])
    swapped = jnp.flip(x)[order] * jax.lax.stop_gradient(y) + jnp.roll(y, 1) ** 2
    return jnp.sum(jnp.cumsum(swapped)) + jnp.float32(2).astype(x.dtype) * x[1] * x[2]


def straight(x, y):
    return 2 * x[0] - y[1]


FUNCTIONS = [
    network,
    wide_network,
    rational,
    bilinear,
    special,
    solved,
    looped,
    indexed,
    straight,
]


def by_hessian(f, point, directions):
    blocks = jax.hessian(f, (0, 1))(*point)
    whole = jnp.concatenate([jnp.concatenate(row, axis=1) for row in blocks])
    u = jnp.concatenate(directions, axis=1)
    return jax.grad(f, (0, 1))(*point), u @ whole @ u.T


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("rows", [2, pytest.param(6, marks=pytest.mark.long)])
def test_it_is_the_hessian_between_directions(f, rows, dtype):
    point = (SIZES.astype(dtype), jnp.array([0.3, 0.7, -0.4], dtype))
    keys = jax.random.split(jax.random.key(1))
    directions = tuple(jax.random.normal(key, (rows, 3), dtype) for key in keys)
    gradient, matrix = jax.jit(lambda: curvature(f, point, directions))()
    expected, whole = jax.jit(lambda: by_hessian(f, point, directions))()
    tolerance = 1e-4 if dtype == jnp.float32 else 1e-12
    np.testing.assert_allclose(matrix, whole, rtol=tolerance, atol=10 * tolerance)
    for ours, theirs in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
    assert matrix.dtype == dtype


@pytest.mark.x64
def test_it_is_differentiable_by_what_the_function_closes_over():
    point, axes = (SIZES,), (jnp.eye(3),)

    def total(scale, how):
        def f(x):
            return jnp.sum(jnp.sin(scale * x)) * jnp.sum(x**2)

        matrix = how(f)
        return jnp.sum(jnp.cos(matrix))

    def swept(f):
        return curvature(f, point, axes).matrix

    def whole(f):
        return jax.hessian(f)(*point)

    for derivative in (jax.grad, jax.jacfwd, jax.hessian):
        ours = jax.jit(derivative(lambda s: total(s, swept)))(1.3)
        theirs = jax.jit(derivative(lambda s: total(s, whole)))(1.3)
        assert float(ours) == pytest.approx(float(theirs), rel=1e-10)


def test_a_batch_is_a_loop():
    point = jnp.stack([SIZES, 2 * SIZES])
    axes = (jnp.eye(3),)

    def matrix(x):
        return curvature(lambda x: jnp.sum(x**4) + jnp.prod(x), (x,), axes).matrix

    together = jax.jit(jax.vmap(matrix))(point)
    for ours, x in zip(together, point, strict=True):
        np.testing.assert_allclose(ours, jax.jit(matrix)(x), rtol=1e-6)
