"""Objectives of any shape: which outputs they couple, and what steps make of it."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import linalg, losses, optim, training
from jaxphys._jaxpr.coupling import groups

BATCH, CLASSES = 6, 3
SINGLE = [[i] for i in range(6)]


@jax.custom_jvp
def mixing(x):
    return 2 * x


# Elementwise, with a rule that is not.
mixing.defjvps(lambda rate, _, x: rate * jnp.mean(x) + x * jnp.mean(rate))

COUPLED = {
    "squares": (lambda y: jnp.mean((y - 1) ** 2), SINGLE),
    "huber": (lambda y: losses.huber(y, jnp.zeros(6)), SINGLE),
    "softplus": (lambda y: jnp.sum(jax.nn.softplus(y)), SINGLE),
    "linear": (lambda y: jnp.sum(y) + 1, SINGLE),
    "two softmaxes": (
        lambda y: losses.softmax_cross_entropy(y, jnp.array([0, 2])),
        [[0, 1, 2], [3, 4, 5]],
    ),
    "across": (
        lambda y: jnp.sum(jax.nn.logsumexp(y.reshape(2, 3), axis=0)),
        [[0, 3], [1, 4], [2, 5]],
    ),
    "means and variances": (
        lambda y: losses.gaussian_likelihood(y, jnp.zeros(3)),
        [[0, 3], [1, 4], [2, 5]],
    ),
    "indices": (
        lambda y: jnp.sum(y[jnp.array([0, 2])] * y[jnp.array([5, 3])]),
        [[0, 5], [1], [2, 3], [4]],
    ),
    "scattered": (
        lambda y: jnp.sum(jnp.zeros(6).at[jnp.array([5, 3])].add(y[:2]) ** 2 * y),
        [[0, 5], [1, 3], [2], [4]],
    ),
    "a norm": (
        lambda y: jnp.linalg.norm(y[:3]) + y[4] ** 4,
        [[0, 1, 2], [3], [4], [5]],
    ),
    "a rule": (lambda y: jnp.sum(mixing(y[:3]) ** 2), [[0, 1, 2], [3], [4], [5]]),
    "a product": (lambda y: y[:2] @ jnp.ones((2, 2)) @ y[:2], [[0, 1], *SINGLE[2:]]),
    "a loop": (
        lambda y: jax.lax.fori_loop(0, 6, lambda i, s: s + y[i] ** 2, 0.0),
        [[0, 1, 2, 3, 4, 5]],
    ),
}


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_outputs_are_read_off_the_gradient(name):
    f, expected = COUPLED[name]
    assert groups(f, jax.ShapeDtypeStruct((6,), "float32")) == expected


def test_blocks_are_the_second_derivatives():
    """Of groups of one size, of several sizes, and of none."""
    y = jnp.array([0.3, -0.7, 1.1, 0.2, -0.4, 0.9])
    names = ["squares", "across", "scattered", "a norm", "means and variances"]

    @jax.jit
    def both(y):
        found, whole = [], []
        for name in names:
            f = COUPLED[name][0]
            blocks = losses.hessian(lambda y, t, f=f: f(y), y, None)
            batch = linalg.Blocks(blocks.entries[None], blocks.groups)
            found.append(batch.apply(jnp.eye(6)[None])[0])
            whole.append(jax.hessian(f)(y))
        return found, whole

    for found, whole in zip(*both(y), strict=True):
        np.testing.assert_allclose(found, whole, atol=1e-5)


@pytest.fixture
def softmax(dtype):
    """Softmax regression: linear logits of three classes, from two inputs."""
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (BATCH, 2), dtype)
    weights = 0.1 * jax.random.normal(keys[1], (2, CLASSES), dtype)
    labels = jax.random.randint(keys[2], (BATCH,), 0, CLASSES)
    return (lambda w, x: x @ w), weights, (x, labels)


def newton_matrix(weights, x):
    """The Hessian of softmax regression, Σ x xᵀ ⊗ (diag p − p pᵀ)/b."""
    p = jax.nn.softmax(x @ weights, axis=-1)
    inner = jax.vmap(jnp.diag)(p) - p[:, :, None] * p[:, None, :]
    matrix = jnp.einsum("bi,bj,bkl->ikjl", x, x, inner) / len(x)
    return matrix.reshape(weights.size, weights.size)


def test_gauss_newton_of_softmax_regression_is_its_hessian(softmax, dtype):
    """J̃ᵀ J̃ is the matrix of the textbooks, from either side, and nothing is cut."""
    outputs, weights, (x, labels) = softmax
    loss = losses.softmax_cross_entropy

    @jax.jit
    def matrices(w):
        batch = optim.linearise(outputs, w, x)
        slope = jax.vmap(jax.grad(loss))(batch.values, labels) / BATCH
        curvature = jax.vmap(lambda y, t: losses.hessian(loss, y, t))
        blocks = jax.tree.map(lambda h: h / BATCH, curvature(batch.values, labels))
        wide = linalg.double(dtype)
        roots = optim.weighted.roots_of(blocks, slope, wide)
        weighted = optim.weighted.Weighted(batch, roots.root)
        rows = weighted.dense()
        return weighted.normal(wide), weighted.gram(wide), rows, roots.cut

    normal, gram, rows, cut = matrices(weights)
    tolerance = {"float32": 1e-5, "float64": 1e-12}[str(dtype)]
    np.testing.assert_allclose(normal, newton_matrix(weights, x), atol=tolerance)
    np.testing.assert_allclose(gram, rows @ rows.T, atol=tolerance)
    assert cut < 1e-6


def step_of(tx, softmax):
    outputs, weights, batch = softmax
    step = training.make_train_step(outputs, losses.softmax_cross_entropy, tx)
    state, info = jax.jit(step)(training.init_state(weights, tx), batch)
    return state.params - weights, info


@pytest.mark.x64
def test_every_route_takes_the_damped_newton_step_of_softmax_regression(softmax):
    """Its P = 6 parameters are fewer than the 18 outputs; by products K̃ is taken."""
    _, weights, (x, labels) = softmax
    if weights.dtype == jnp.float32:
        pytest.skip("the numbers of float64")
    matrix = newton_matrix(weights, x)
    shift = 3.0 * jnp.trace(matrix) / (BATCH * CLASSES)
    chances = jax.nn.softmax(x @ weights) - jax.nn.one_hot(labels, CLASSES)
    gradient = (x.T @ chances / BATCH).ravel()
    expected = -jnp.linalg.solve(matrix + shift * jnp.eye(6), gradient)
    for method in ("gram", "qr"):
        tx = optim.levenberg_marquardt(damping=3.0, method=method)
        change, info = step_of(tx, softmax)
        np.testing.assert_allclose(change.ravel(), expected, rtol=1e-8)
        assert info.accepted
        assert info.concave < 1e-12
    # With no damping it is Newton's step in all directions but the softmax's own.
    tx = optim.gauss_newton(1.0, rcond=1e-6, relative=True)
    change, _ = step_of(tx, softmax)
    np.testing.assert_allclose(
        change.ravel(), -jnp.linalg.pinv(matrix) @ gradient, rtol=1e-6
    )


@pytest.mark.x64
@pytest.mark.parametrize("fewer", [True, False])
def test_one_step_solves_weighted_least_squares_that_couple_outputs(fewer):
    """½ rᵀ A r with A a full matrix, of fewer and of more parameters than outputs."""
    keys = jax.random.split(jax.random.key(1), 4)
    root = jax.random.normal(keys[0], (CLASSES, CLASSES))
    weight = root @ root.T + 0.1 * jnp.eye(CLASSES)
    count = BATCH if fewer else 2
    maps = jax.random.normal(keys[1], (count, CLASSES, 8))
    goals = jax.random.normal(keys[2], (count, CLASSES))
    start = jax.random.normal(keys[3], (8,))

    def objective(y, target):
        return (y - target) @ weight @ (y - target) / 2

    def loss(w):
        return jnp.mean(jax.vmap(lambda m, t: objective(m @ w, t))(maps, goals))

    methods = [
        optim.levenberg_marquardt(damping=1e-12),
        optim.gauss_newton(1.0, rcond=1e-9, relative=True),
    ]
    if not fewer:
        # It takes K̃ always, which has no inverse where parameters are fewer.
        methods.append(optim.spring(damping=1e-12, max_step=1e3))
    for tx in methods:
        step = training.make_train_step(lambda w, m: m @ w, objective, tx)
        state, _ = jax.jit(step)(training.init_state(start, tx), (maps, goals))
        assert jnp.linalg.norm(jax.grad(loss)(state.params)) < 1e-8


def test_an_indefinite_block_is_cut_to_its_positive_part(dtype):
    """((1, 2), (2, 1)) has the eigenvalues 3 along (1, 1) and −1 along (1, −1)."""
    block = jnp.array([[[[1, 2], [2, 1]]]], dtype)
    curvature = linalg.Blocks(block, ((0, 1),))
    positive = 1.5 * jnp.ones((2, 2))
    tolerance = {"float32": 1e-5, "float64": 1e-12}[str(dtype)]

    def squares(slope):
        roots = linalg.positive_roots(curvature, jnp.array([slope], dtype), 1.0)
        return roots.root.entries[0, 0] @ roots.root.entries[0, 0], roots.cut

    # A slope that the positive part knows what to do with.
    found, cut = squares([1.0, 1.0])
    np.testing.assert_allclose(found, positive, atol=tolerance)
    assert cut < tolerance
    # One with as much along the direction that is lost, which is held.
    found, cut = squares([1.0, 0.0])
    held = 1.5 * jnp.array([[1, -1], [-1, 1]])
    np.testing.assert_allclose(found, positive + held, atol=tolerance)
    np.testing.assert_allclose(cut, 0.5, atol=tolerance)


def test_the_share_of_the_slope_without_curvature_is_said():
    """|u| beside a square of the same slope; and of Huber's loss the outliers alone."""
    start, batch = jnp.array([1.0, -4.0]), (jnp.ones((3, 1)), jnp.zeros((3, 2)))

    def share(objective):
        tx = optim.levenberg_marquardt()
        step = training.make_train_step(lambda w, x: w * x, objective, tx)
        return jax.jit(step)(training.init_state(start, tx), batch)[1].concave

    assert share(lambda y, t: y[0] ** 2 / 2 + jnp.abs(y[1])) == pytest.approx(0.5)
    assert share(losses.huber) == pytest.approx(0.5)
    assert share(lambda y, t: losses.huber(y, t, 5.0)) == 0
    # An output that the objective ignores has neither.
    assert share(lambda y, t: y[0] ** 2) == 0


def test_a_curvature_that_is_one_number_leaves_gauss_newton_as_it_was():
    start = jnp.array([[0.5, -1.0], [0.2, 0.3]])
    batch = (jnp.array([[1.0, 2.0], [0.5, -1.0]]), jnp.ones((2, 2)))
    found = []
    for weighted in (True, False):
        tx = optim.gauss_newton(0.3, weighted=weighted)
        step = training.make_train_step(
            lambda w, x: jnp.tanh(x @ w), losses.squared_error, tx
        )
        found.append(jax.jit(step)(training.init_state(start, tx), batch)[0].params)
    np.testing.assert_allclose(*found, rtol=1e-5)


@pytest.mark.x64
def test_weighted_layerwise_factors_see_the_curvature():
    """One sample and one output: N = c x xᵀ, and what is divided by c is as before."""
    start, batch = jnp.ones((2, 1)), (jnp.array([[1.0, 2.0]]), jnp.zeros((1, 1)))
    found = []
    for weighted, scale in ((True, 1.0), (True, 4.0), (False, 1.0)):
        tx = optax.chain(
            optim.scale_by_kronecker(power=-1.0, weighted=weighted),
            optax.scale(-1 / scale),
        )
        step = training.make_train_step(
            lambda w, x: x @ w, lambda y, t, c=scale: c * jnp.sum(y**2), tx
        )
        found.append(jax.jit(step)(training.init_state(start, tx), batch)[0].params)
    np.testing.assert_allclose(found[0], found[2])
    np.testing.assert_allclose(found[1], found[2])


@pytest.mark.parametrize(
    ("objective", "shapes"),
    [
        (losses.softmax_cross_entropy, [(3,), (4,)]),
        (losses.kl_divergence, [(4, 3), (4, 3)]),
        (losses.gaussian_likelihood, [(3,), (3,)]),
    ],
)
def test_shapes_that_do_not_fit_are_named(objective, shapes):
    with pytest.raises(ValueError, match="expected"):
        objective(*map(jnp.zeros, shapes))


def test_a_curvature_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="expected the diagonal"):
        optim.weighted.roots_of(jnp.ones(3), jnp.ones((3, 2)), jnp.dtype("float32"))
