"""What reads jaxprs is right for every function: what it does not know is JAX's."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from jaxphys import trees
from jaxphys._jaxpr import entries, primitives, scalars, walk
from jaxphys.curvature import curvature
from jaxphys.optim import linearise
from jaxphys.optim.factors import pull_back
from jaxphys.scalars import scalarize

lax = jax.lax
X = np.array([0.7, -1.2, 2.1, 0.4])
MATRIX = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, -0.2], [0.1, -0.2, 1.0]])

# Functions of four numbers, which return four.


def scanned(x):
    return lax.scan(lambda c, z: (jnp.sin(c * z) + c, c * z), x[0], x)[1]


def looped(x):
    return lax.fori_loop(0, 3, lambda i, c: jnp.sin(c) * x + i, x)


def counted(x):
    return x**2 * lax.while_loop(lambda n: n * n < 50, lambda n: n + 1, 0)


def branched(x):
    return lax.cond(x[0] > 0, lambda x: jnp.sin(x) * x, jnp.cos, x)


def switched(x):
    return lax.switch(jnp.argmax(x), [jnp.sin, jnp.cos, jnp.exp, jnp.abs], x)


@jax.custom_jvp
def straight_through(x):
    return jnp.round(x)


straight_through.defjvps(lambda rate, _, x: rate * jnp.cos(x))


@jax.custom_jvp
def mixing(x):
    return 2 * x


# Elementwise, with a rule that is not: the one of x · mean(x).
mixing.defjvps(lambda rate, _, x: rate * jnp.mean(x) + x * jnp.mean(rate))


@jax.custom_jvp
def both(x):
    return jnp.sin(x), jnp.cos(x)


@both.defjvp
def _both(values, rates):
    (sine, cosine), (rate,) = both(*values), rates
    return (sine, cosine), (cosine * rate, -sine * rate)


def two_results(x):
    sine, cosine = both(x)
    return sine + 3 * cosine


@jax.custom_vjp
def own_cotangents(x):
    return jnp.sin(x) * x


own_cotangents.defvjp(lambda x: (jnp.sin(x) * x, x), lambda x, d: (3 * x * d,))


def own_cotangents_within(x):
    return jax.checkpoint(lambda x: own_cotangents(x) + x)(x) * x


def fourier(x):
    return jnp.abs(jnp.fft.fft(x)) ** 2


def turned(x):
    return jnp.real(jnp.exp(1j * x) * (x + 2j * x[::-1]))


def convolved(x):
    kernel = jnp.array([1.0, -2.0, 0.5], x.dtype)
    z = lax.conv_general_dilated(x[None, None], kernel[None, None], (1,), "SAME")
    return z[0, 0] * x


def ordered(x):
    return jnp.sort(x) ** 2 * jnp.arange(4)


def ordered_together(x):
    first, second, where = lax.sort((x, x**2, jnp.arange(4)), num_keys=1)
    return first * second + where


def largest(x):
    values, where = lax.top_k(x, 2)
    return jnp.concatenate([values**2, values * where])


def picked(x):
    return x[jnp.array([2, 0, 0, 3])] * x


def picked_anywhere(x):
    part = lax.dynamic_slice(x**2, (jnp.argmin(x),), (2,))
    return jnp.concatenate([part, part * x[jnp.argmax(x)]])


def written(x):
    return x.at[jnp.argmin(x)].set(x[0] ** 2).at[0].multiply(x[1])


def accumulated(x):
    return jnp.cumsum(x**2) + jnp.cumprod(x) + lax.cummax(x) * x


def multiplied(x):
    return x * jnp.prod(x)


def where_largest(x):
    return x**2 * jnp.argmax(x)


def positive_matrix(x):
    return jnp.diag(2 + x[:3] ** 2) + 0.1 * jnp.outer(x[1:], x[1:])


def solved(x):
    return jnp.append(jnp.linalg.solve(positive_matrix(x), x[1:]), x[0])


def factored(x):
    return jnp.linalg.cholesky(positive_matrix(x)).ravel()[:4]


def factored_with_pivots(x):
    factors, pivots = jax.scipy.linalg.lu_factor(positive_matrix(x)[::-1])
    return factors.ravel()[:4] + pivots[0]


def determined(x):
    return x * jnp.linalg.det(positive_matrix(x))


def kept_or_not(x):
    return jax.checkpoint(lambda x: jnp.sin(x) * x)(x) * x


def compiled_within(x):
    return jax.jit(lambda x: jax.jit(jnp.exp)(jnp.sin(x)) * x)(x)


def of_integers(x):
    k = jnp.floor(3 * x).astype(int)
    return jnp.where(k % 2 == 0, x**2, x**3) * (k >> 1) + x**k


def chosen(x):
    return jnp.where(x > 0, jnp.sin(x), jnp.exp(x)) * x[::-1]


def in_batches(x):
    stack = jnp.stack([jnp.outer(x[:2], x[2:]), jnp.outer(x[2:], x[2:])])
    return jnp.einsum("bij,bj->bi", stack, x.reshape(2, 2)).ravel()


def clamped(x):
    return lax.clamp(x[::-1] ** 2, x**2, x[2] * jnp.ones(4)) + lax.clamp(0.5, x, 2.0)


def reordered(x):
    square = jnp.outer(x[:2], x[2:])
    return lax.reshape(square, (4,), dimensions=(1, 0)) * x


def activated(x):
    each = (jax.nn.gelu, jax.nn.relu, jax.nn.softplus, jax.nn.silu, jax.nn.elu)
    return sum(a(x) for a in each) + jax.nn.log_softmax(x)


def stopped(x):
    return lax.stop_gradient(x) * x + jnp.arctan2(x, 2.0)


cubed_p = core.Primitive("a_primitive_of_tomorrow")
cubed_p.def_impl(lambda x: x**3)
cubed_p.def_abstract_eval(lambda x: x)
ad.defjvp(cubed_p, lambda rate, x: 3 * x * x * rate)
batching.defvectorized(cubed_p)
mlir.register_lowering(cubed_p, mlir.lower_fun(lambda x: x**3, multiple_results=False))


def of_tomorrow(x):
    return cubed_p.bind(x) * x[::-1]


FUNCTIONS = [
    scanned,
    looped,
    counted,
    branched,
    switched,
    straight_through,
    mixing,
    two_results,
    own_cotangents,
    own_cotangents_within,
    fourier,
    turned,
    convolved,
    ordered,
    ordered_together,
    largest,
    picked,
    picked_anywhere,
    written,
    accumulated,
    multiplied,
    where_largest,
    solved,
    factored,
    factored_with_pivots,
    determined,
    kept_or_not,
    compiled_within,
    of_integers,
    chosen,
    in_batches,
    clamped,
    reordered,
    activated,
    stopped,
    of_tomorrow,
]
every_function = pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)

#: One of each way in which an equation is read; the others are for the long pass.
SHORT = (scanned, branched, own_cotangents, convolved, picked, solved, of_tomorrow)
of_each_kind = pytest.mark.parametrize(
    "f",
    [f if f in SHORT else pytest.param(f, marks=pytest.mark.long) for f in FUNCTIONS],
    ids=lambda f: f.__name__,
)


def close(actual, desired, tolerance=None):
    dtype = jnp.result_type(float)
    if tolerance is None:
        tolerance = 1e4 * float(jnp.finfo(dtype).eps)
    for x, y in zip(jax.tree.leaves(actual), jax.tree.leaves(desired), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert x.shape == y.shape
        atol = tolerance * (1 + np.max(np.abs(y[np.isfinite(y)]), initial=0))
        np.testing.assert_allclose(x, y, atol=atol, rtol=0)


@every_function
def test_number_by_number_it_is_the_function(f):
    x = jnp.asarray(X)
    rate = jnp.ones(4)
    pulled = jax.vjp(f, x)[1](rate)[0]

    @jax.jit
    def by_numbers(x):
        return scalarize(f)(x), jax.vjp(scalarize(f), x)[1](rate)[0]

    close(by_numbers(x), (f(x), pulled))
    together = jax.jit(jax.vmap(scalarize(f)))(jnp.stack([x, 1.1 * x]))
    close(together, jnp.stack([f(x), f(1.1 * x)]))


@of_each_kind
@pytest.mark.parametrize("rows", [2, pytest.param(6, marks=pytest.mark.long)])
def test_curvature_is_the_hessian(f, rows):
    weights = jnp.array([1.0, -0.5, 0.3, 2.0])

    def total(x):
        return jnp.sum(weights * f(x)) + f(x)[0] * x[1]

    x = jnp.asarray(X)
    directions = jax.random.normal(jax.random.key(0), (rows, 4))
    gradient, matrix = jax.jit(lambda: curvature(total, (x,), (directions,)))()
    slope, hessian = jax.jit(lambda: (jax.grad(total)(x), jax.hessian(total)(x)))()
    hessian = (hessian + hessian.T) / 2  # a rule may say anything
    close(gradient[0], slope)
    close(matrix, directions @ hessian @ directions.T)


def check_linearised(outputs, params, tolerance=None):
    """Every route to the Jacobian of a batch, beside JAX's own."""
    inputs = jax.random.normal(jax.random.key(1), (3, 2))
    flat, unravel = trees.ravel(params)

    def all_outputs(flat):
        return jax.vmap(outputs, (None, 0))(unravel(flat), inputs).reshape(-1)

    @jax.jit
    def ours(params):
        batch = linearise(outputs, params, inputs)
        ones = jnp.ones(batch.values.shape, batch.values.dtype)
        by_factors = trees.ravel(pull_back(batch.factors(), ones))[0]
        by_vjp = trees.ravel(batch.vjp(ones))[0]
        return batch.values.ravel(), batch.jacobian(), batch.gram(), by_factors, by_vjp

    values = jax.jit(all_outputs)(flat)
    jacobian = np.asarray(jax.jit(jax.jacrev(all_outputs))(flat))
    pulled = jacobian.sum(axis=0)
    expected = (values, jacobian, jacobian @ jacobian.T, pulled, pulled)
    close(ours(params), expected, tolerance)


@of_each_kind
def test_a_network_through_it_has_the_jacobian_that_jax_has(f):
    """It is used of a layer's output, of a vector of weights, and of a matrix."""
    keys = jax.random.split(jax.random.key(2), 3)
    params = {
        "w": jax.random.normal(keys[0], (2, 4)),
        "b": jnp.asarray(X),
        "out": jax.random.normal(keys[1], (4, 2)),
        "v": jnp.asarray(X),
        "m": jax.random.normal(keys[2], (2, 2)),
    }

    def outputs(p, x):
        hidden = jnp.tanh(f(0.3 * (x @ p["w"]) + p["b"]))
        of_weights = f(p["v"])[:2] * x + f(p["m"].ravel() + jnp.asarray(X))[2:]
        return hidden @ p["out"] + of_weights

    check_linearised(outputs, params)


def of_matrix(f):
    """A network of one matrix, (2, 2), and one row, (2,)."""
    matrix, row = jnp.array([[0.3, -0.7], [1.1, 0.4]]), jnp.array([0.2, -0.5])
    return (lambda p, x: f(p["w"], p["b"], x)), {"w": matrix, "b": row}


@jax.custom_jvp
def as_if_linear(w, x):
    return jnp.tanh(w @ x)


@as_if_linear.defjvp
def _as_if_linear(values, rates):
    return as_if_linear(*values), rates[0] @ values[1] + values[0] @ rates[1]


USES = {
    "twice in products": lambda w, b, x: jnp.tanh(x @ w + b) @ w,
    "in a product and by entry": lambda w, b, x: jnp.tanh(x @ w + b) + w[0] * w[1],
    "by its own square": lambda w, b, x: x @ (w @ w) + b,
    "transposed": lambda w, b, x: jnp.tanh(w.T @ x) @ w.T + w @ (b + x),
    "transposed twice": lambda w, b, x: w.T.T @ x + b,
    "a row in products": lambda w, b, x: x @ b[None].T * b + w @ x,
    "a row repeated to a matrix": lambda w, b, x: x @ jnp.broadcast_to(b, (2, 2)),
    "the same, transposed": lambda w, b, x: jnp.broadcast_to(b, (2, 2)).T @ x,
    "a row repeated and added": lambda w, b, x: jnp.sum(
        jnp.tanh(jnp.outer(x, x) @ w + b), axis=0
    ),
    "as complex numbers": lambda w, b, x: jnp.real(
        jnp.exp(1j * x) @ w.astype(complex) * (1 + 2j) + b
    ),
    "as whole numbers": lambda w, b, x: (
        jnp.round(9 * x).astype(int) @ (9 * w).astype(int) + w.astype(int) @ x + b
    ),
    "batched": lambda w, b, x: jnp.einsum("bi,bi->b", w, jnp.outer(x, x)) + b,
    "summed over both axes": lambda w, b, x: jnp.tensordot(w, jnp.outer(x, x)) + b,
    "with a rule of its own": lambda w, b, x: as_if_linear(w, x) + b,
    "cast to integers and back": lambda w, b, x: x @ w.astype(int).astype(w.dtype) + b,
    "under a loop": lambda w, b, x: (
        lax.fori_loop(0, 2, lambda _, x: jnp.tanh(x @ w), x) + b
    ),
    "kept or not": lambda w, b, x: jax.checkpoint(lambda x: jnp.tanh(x @ w) + b)(x),
    "of tomorrow": lambda w, b, x: cubed_p.bind(w) @ x + cubed_p.bind(x @ w + b),
    "returned": lambda w, b, x: b,
}


@pytest.mark.parametrize("use", list(USES))
def test_however_a_weight_is_used_its_jacobian_is_right(use):
    check_linearised(*of_matrix(USES[use]))


def test_products_may_be_of_less_precision_than_the_parameters():
    def half(w, b, x):
        w, b, x = (z.astype(jnp.float16) for z in (w, b, x))
        return (jnp.tanh(x @ w + b) @ w.T).astype(float)

    check_linearised(*of_matrix(half), tolerance=1e-2)


def test_a_rule_that_is_the_derivative_is_looked_through():
    @walk.exact_jvp
    def layer(w, x):
        return jnp.tanh(w @ x)

    @layer.defjvp
    def rule(values, rates):
        return jax.jvp(lambda w, x: jnp.tanh(w @ x), values, rates)

    for f in (layer, jax.jit(layer)):
        traced = jax.make_jaxpr(jax.vmap(f, (None, 0)))(MATRIX, MATRIX)
        called = walk.equations(traced.jaxpr, walk.PLAIN)
        assert any(map(walk.is_exact, called))
    (eqn,) = jax.make_jaxpr(as_if_linear)(MATRIX, MATRIX[0]).jaxpr.eqns
    assert not walk.is_exact(eqn)
    check_linearised(*of_matrix(lambda w, b, x: layer(w, x) + b))


def test_functions_that_have_values_alone_are_taken_apart_as_well():
    def until(x):
        return lax.while_loop(lambda c: jnp.sum(c**2) < 90, lambda c: 1.5 * c, x)

    close(jax.jit(scalarize(until))(jnp.asarray(X)), until(jnp.asarray(X)))


def test_what_a_function_closes_over_may_vary_outside():
    x = jnp.asarray(X)

    def by(scale, how):
        return how(lambda x: jnp.sin(scale[0] * x) * scale[1])(x)

    scales = jnp.array([[1.0, 2.0], [0.5, -1.0]])
    for transform in (
        lambda f: jax.vmap(f)(scales),
        lambda f: jax.jacrev(f)(scales[0]),
        lambda f: jax.jacfwd(f)(scales[0]),
        lambda f: jax.vmap(jax.jacrev(f))(scales),
    ):
        plain = jax.jit(lambda t=transform: t(lambda s: by(s, lambda f: f)))()
        close(jax.jit(lambda t=transform: t(lambda s: by(s, scalarize)))(), plain)
    one_by_one = jnp.stack([by(scale, scalarize) for scale in scales])
    close(jax.vmap(lambda s: by(s, scalarize))(scales), one_by_one)


def test_odd_arrays_are_left_as_they_are():
    key = jax.random.key(3)
    half = jnp.asarray(X, jnp.bfloat16)

    def odd(x, n):
        empty = jnp.concatenate([x[:0], x[:0]])
        carried = lax.scan(lambda c, y: (c, c[:0]), x[:0], x)
        small = (n * jnp.int8(60)).astype(jnp.int8)
        wide = lax.dot_general(
            small, small, (((0,), (0,)), ((), ())), preferred_element_type=jnp.int32
        )
        return {
            "random": jax.random.normal(key, (2,)) + jax.random.uniform(key) * x[:2],
            "empty": (empty, carried, jnp.sum(empty), jnp.max(empty, initial=-3.0)),
            "least": lax.reduce_max_p.bind(empty, axes=(0,), out_sharding=None),
            "none": lax.scan(lambda c, y: (c + y, c), x[0], empty),
            "wide": wide,
            "wrapped": (small * small, jnp.uint32(2**31) * jnp.uint32(n[0])),
            "half": half * half + half[0],
            "saturated": (1e20 * x).astype(jnp.int32),
        }

    x, n = jnp.asarray(X), jnp.array([2, 1, 1, 2], jnp.int8)
    for wrap in (lambda f: f, jax.jit):
        got, expected = wrap(scalarize(odd))(x, n), jax.jit(odd)(x, n)
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            loose = 1e-2 if a.dtype == jnp.bfloat16 else None
            close(a.astype(float), b.astype(float), loose)
            close(
                a.astype(float), b.astype(float), 1e-2 if a.dtype == "bfloat16" else 0
            )


def test_overflow_of_known_numbers_is_silent():
    large = scalarize(lambda x: (x * x, x + x, x @ x, jnp.sum(x)))
    for part in jax.tree.leaves(large(jnp.full(2, jnp.finfo(float).max))):
        assert jnp.all(jnp.isinf(part))


def test_the_zero_of_a_difference_has_its_sign():
    """atan2 jumps by 2π between the two zeros."""
    angle = scalarize(lambda y: jnp.arctan2(0.0 - y, -1.0))
    close(angle(jnp.zeros(())), jnp.pi)


def test_a_curvature_is_of_one_scalar():
    x, axes = jnp.asarray(X), jnp.eye(4)
    with pytest.raises(ValueError, match="expected one scalar"):
        curvature(lambda x: x, (x,), (axes,))


def test_in_between_a_function_may_be_of_another_precision():
    x, axes = jnp.asarray(X, jnp.float32), jnp.eye(4, dtype=jnp.float32)

    def wide(x):
        return jnp.sum(x.astype(float) ** 3)

    gradient, matrix = curvature(wide, (x,), (axes,))
    assert (gradient[0].dtype, matrix.dtype) == (x.dtype, x.dtype)
    close(matrix, jnp.diag(6 * x), 1e-6)


@pytest.mark.parametrize(
    "activation",
    [jax.nn.relu, jax.nn.softplus, jax.nn.silu, jax.nn.gelu, jax.nn.elu],
    ids=lambda f: f.__name__,
)
def test_the_rules_of_activations_take_no_pairs(activation):
    """Entry by entry: nothing has an axis for each of two directions."""

    def total(x):
        return jnp.sum(activation(x))

    sweep = functools.partial(curvature, total)
    jaxpr = jax.make_jaxpr(lambda x: sweep((x,), (jnp.ones((6, 50)),)))(jnp.ones(50))
    shapes = {v.aval.shape for eqn in jaxpr.jaxpr.eqns for v in eqn.outvars}
    assert (6, 6, 50) not in shapes


def test_the_table_names_what_the_readers_handle():
    moves = primitives.of(primitives.Kind.MOVE)
    folds = primitives.of(primitives.Kind.FOLD)
    assert moves == entries.MOVES.keys()
    assert folds == scalars._FOLDS.keys()


def test_what_is_linear_in_the_table_has_no_second_derivative():
    x = jnp.asarray(X)
    examples = {
        "add": lambda x: x + x,
        "sub": lambda x: x - 1,
        "neg": lambda x: -x,
        "cumsum": jnp.cumsum,
        "reduce_sum": jnp.sum,
        "rev": jnp.flip,
        "pad": lambda x: jnp.pad(x, 1),
        "gather": lambda x: x[jnp.array([1, 1])],
        "dynamic_slice": lambda x: lax.dynamic_slice(x, (jnp.argmax(x),), (2,)),
        "dynamic_update_slice": lambda x: lax.dynamic_update_slice(
            x, 2 * x[:2], (jnp.argmax(x),)
        ),
        "scatter-add": lambda x: x.at[jnp.array([1, 1])].add(x[:2]),
        "select_n": lambda x: jnp.where(x > 0, x, 2.0),
        "concatenate": lambda x: jnp.concatenate([x, x]),
    }
    linear = primitives.of(primitives.Kind.LINEAR)
    for name, f in examples.items():
        names = {e.primitive.name for e in walk.equations(jax.make_jaxpr(f)(x).jaxpr)}
        assert name in names
        assert name in linear
    hessians = jax.jit(lambda x: {k: jax.hessian(f)(x) for k, f in examples.items()})
    for name, hessian in hessians(x).items():
        assert not np.any(hessian), name
