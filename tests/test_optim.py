"""The second-order optimizers do what their formulas say, inside optax and out."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxphys import linalg, losses, models, optim, problems, training, trees
from jaxphys.optim.routes import chosen_route, gram_bytes, lanczos_bytes

BATCH, OUTPUTS = 8, 3


@pytest.fixture
def fitting(dtype):
    """A small network and a batch that it does not fit yet."""
    model = models.mlp((3, 10, 10, OUTPUTS), dtype=dtype)
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 3), dtype)
    targets = jnp.stack(
        [inputs[:, 0] ** 2, jnp.sin(inputs[:, 1]), inputs[:, 2]], axis=1
    )
    return model.apply, model.init(jax.random.key(0)), (inputs, targets)


def one_step(tx, fitting, objective=losses.squared_error):
    outputs, params, batch = fitting
    step = jax.jit(training.make_train_step(outputs, objective, tx))
    state, info = step(training.init_state(params, tx), batch)
    change = jax.tree.map(lambda new, old: new - old, state.params, params)
    return trees.ravel(change)[0], state, info


def jacobian_and_cotangent(fitting):
    outputs, params, (inputs, targets) = fitting

    @jax.jit
    def both(params):
        batch = optim.linearise(outputs, params, inputs)
        return batch.jacobian(), 2 / BATCH * (batch.values - targets)

    jacobian, cotangent = (np.asarray(x, np.float64) for x in both(params))
    return jacobian, cotangent.reshape(-1)


def tolerance(dtype):
    return 3e-3 if dtype == jnp.float32 else 1e-7


def relative_error(actual, desired):
    actual, desired = np.asarray(actual, np.float64), np.asarray(desired, np.float64)
    return np.linalg.norm(actual - desired) / (np.linalg.norm(desired) + 1e-12)


@pytest.mark.parametrize("method", ["auto", "svd", "qr", "lanczos"])
def test_hig_is_the_half_inverse_by_a_numpy_svd(method, fitting, dtype):
    if method == "lanczos" and not jax.config.jax_enable_x64:
        pytest.skip("products in single precision resolve no such singular values")
    jacobian, cotangent = jacobian_and_cotangent(fitting)
    left, values, right = np.linalg.svd(jacobian, full_matrices=False)
    keep = values > 1e-4 * values[0]
    half = np.where(keep, values, np.inf) ** -0.5
    expected = -right.T @ (half * (left.T @ cotangent))
    change, state, info = one_step(optim.hig(1.0, rcond=1e-4, method=method), fitting)
    assert relative_error(change, expected) < tolerance(dtype)
    assert info.rank == keep.sum()
    assert change.dtype == dtype
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(state.params))


def test_power_one_is_gradient_descent(fitting, dtype):
    spectral = optax.chain(
        optim.scale_by_spectral(power=1.0), optax.scale_by_learning_rate(0.1)
    )
    change, _, _ = one_step(spectral, fitting)
    plain, _, _ = one_step(optax.sgd(0.1), fitting)
    assert relative_error(change, plain) < tolerance(dtype)


def test_gauss_newton_at_half_the_batch_solves_linear_least_squares_at_once(dtype):
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 20), dtype)
    targets = jax.random.normal(jax.random.key(2), (BATCH, OUTPUTS), dtype)
    params = jnp.zeros((20, OUTPUTS), dtype)
    linear = (lambda w, x: x @ w, params, (inputs, targets))
    change, _, _ = one_step(optim.gauss_newton(BATCH / 2), linear)
    solution = np.linalg.lstsq(np.asarray(inputs), np.asarray(targets))[0]
    assert relative_error(change, solution.reshape(-1)) < tolerance(dtype)


def test_gauss_newton_with_fewer_parameters_than_outputs_is_least_squares(dtype):
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 2), dtype)
    targets = jax.random.normal(jax.random.key(2), (BATCH, OUTPUTS), dtype)
    params = jnp.zeros((2, OUTPUTS), dtype)
    linear = (lambda w, x: x @ w, params, (inputs, targets))
    solution = np.linalg.lstsq(np.asarray(inputs), np.asarray(targets))[0].reshape(-1)
    for tx in (
        optim.gauss_newton(BATCH / 2),
        optim.levenberg_marquardt(damping=1e-7, min_damping=1e-7),
    ):
        change, _, _ = one_step(tx, linear)
        assert relative_error(change, solution) < tolerance(dtype)


def test_a_duplicated_batch_scales_the_hig_step_by_two_to_minus_three_quarters(fitting):
    outputs, params, batch = fitting
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), batch)
    tx = optim.hig(1.0, rcond=1e-3)
    once, _, _ = one_step(tx, fitting)
    both, _, _ = one_step(tx, (outputs, params, twice))
    assert relative_error(both, 2**-0.75 * once) < 2e-3


@pytest.mark.parametrize("objective", [losses.squared_error, losses.half_squared_error])
@pytest.mark.parametrize("power", [1.0, 0.0, -0.5, -1.0])
def test_a_relative_rate_of_one_solves_the_largest_direction(power, objective, dtype):
    """And leaves 1 − (σ/σ_max)^(κ+1) of the others, at any normalization of a loss."""
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 20), dtype)
    targets = jax.random.normal(jax.random.key(2), (BATCH, 1), dtype)
    outputs, params = (lambda w, x: w @ x), jnp.zeros((1, 20), dtype)
    tx = optax.chain(
        optim.scale_by_spectral(power=power, relative=True),
        optax.scale_by_learning_rate(1.0),
    )
    step = training.make_train_step(outputs, objective, tx)
    state, _ = step(training.init_state(params, tx), (inputs, targets))
    left, values, _ = np.linalg.svd(np.asarray(inputs, np.float64))
    missing = np.asarray(targets - inputs @ state.params.T, np.float64)
    expected = 1 - (values / values[0]) ** (power + 1)
    before = left.T @ np.asarray(targets, np.float64)
    np.testing.assert_allclose(
        left.T @ missing, expected[:, None] * before, atol=10 * tolerance(dtype)
    )


def test_a_relative_hig_step_does_not_change_with_a_duplicated_batch(fitting):
    outputs, params, batch = fitting
    twice = jax.tree.map(lambda x: jnp.concatenate([x, x]), batch)
    tx = optim.hig(1.0, rcond=1e-3, relative=True)
    once, _, _ = one_step(tx, fitting)
    both, _, _ = one_step(tx, (outputs, params, twice))
    assert relative_error(both, once) < 2e-3


def test_a_relative_gauss_newton_step_of_one_is_the_true_one(fitting, dtype):
    true, _, _ = one_step(optim.gauss_newton(BATCH / 2, rcond=1e-3), fitting)
    tx = optim.gauss_newton(1.0, rcond=1e-3, relative=True)
    assert relative_error(one_step(tx, fitting)[0], true) < tolerance(dtype)


def test_a_relative_rate_needs_the_curvature_and_says_so(fitting):
    outputs, params, (inputs, _) = fitting
    tx = optim.hig(relative=True)
    with pytest.raises(ValueError, match="got no curvature_fn"):
        tx.update(
            params,
            tx.init(params),
            params,
            linearisation=optim.linearise(outputs, params, inputs),
            cotangent=jnp.ones((BATCH, OUTPUTS), inputs.dtype),
        )


def test_levenberg_marquardt_is_the_damped_step_written_out(fitting, dtype):
    jacobian, cotangent = jacobian_and_cotangent(fitting)
    residual = cotangent * BATCH / 2
    gram = jacobian @ jacobian.T
    shift = 1e-2 * np.trace(gram) / len(gram)
    expected = -jacobian.T @ np.linalg.solve(gram + shift * np.eye(len(gram)), residual)
    change, _, _ = one_step(optim.levenberg_marquardt(damping=1e-2), fitting)
    assert relative_error(change, expected) < tolerance(dtype)


def test_a_bent_step_adds_the_geodesic_acceleration(fitting, dtype):
    outputs, params, (inputs, _) = fitting
    jacobian, _ = jacobian_and_cotangent(fitting)
    gram = jacobian @ jacobian.T
    shift = 1e-2 * np.trace(gram) / len(gram) * np.eye(len(gram))
    tx = optim.levenberg_marquardt(damping=1e-2)
    straight, _, _ = one_step(tx, fitting)
    flat, unravel = trees.ravel(params)

    def along(t):
        return jax.vmap(outputs, (None, 0))(unravel(flat + t * straight), inputs)

    second = jax.jacfwd(jax.jacfwd(along))(jnp.zeros((), dtype)).reshape(-1)
    second = np.asarray(second, np.float64)
    turn = -0.5 * jacobian.T @ np.linalg.solve(gram + shift, second)
    bend = 2 * np.linalg.norm(turn) / np.linalg.norm(straight)
    tx = optim.levenberg_marquardt(damping=1e-2, max_bend=1.01 * bend)
    bent, state, _ = one_step(tx, fitting)
    assert relative_error(bent - straight, turn) < 10 * tolerance(dtype)
    np.testing.assert_allclose(state.opt_state.bend, bend, rtol=10 * tolerance(dtype))
    tx = optim.levenberg_marquardt(damping=1e-2, max_bend=0.99 * bend)
    none, state, info = one_step(tx, fitting)
    assert not info.accepted
    np.testing.assert_array_equal(none, 0)
    np.testing.assert_allclose(state.opt_state.damping, 4e-2, rtol=1e-5)


def test_bent_steps_agree_on_both_sides(dtype):
    """m = 24 outputs of P = 15 parameters, and of 30 idle ones more."""
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 2), dtype)
    targets = jnp.cos(inputs @ jnp.ones((2, OUTPUTS), dtype))
    model = models.mlp((2, 2, OUTPUTS), dtype=dtype)
    few = model.init(jax.random.key(3))
    many = (few, jnp.zeros(30, dtype))
    tx = optim.levenberg_marquardt(damping=1e-2, max_bend=10.0)
    change, state, _ = one_step(tx, (model.apply, few, (inputs, targets)))
    assert state.opt_state.bend > 1e-3

    def padded(params, x):
        return model.apply(params[0], x) + 0 * jnp.sum(params[1])

    # The relative damping counts outputs, so idle parameters change nothing.
    wide, _, _ = one_step(tx, (padded, many, (inputs, targets)))
    assert relative_error(wide[: change.size], change) < tolerance(dtype)
    np.testing.assert_array_equal(wide[change.size :], 0)


@pytest.mark.x64
def test_bent_steps_follow_a_curved_valley():
    """Rosenbrock's: bent steps reach its end in half as many updates, or fewer."""

    def outputs(params, x):
        return jnp.stack([100 * (params[1] - params[0] ** 2), 1 - params[0]]) + 0 * x

    data = (jnp.zeros((1, 1)), jnp.zeros((1, 2)))

    def updates(max_bend):
        tx = optim.levenberg_marquardt(damping=1e-3, max_bend=max_bend)
        step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
        state = training.init_state(jnp.array([-1.2, 1.0]), tx)
        for number in range(1, 500):
            state, info = step(state, data)
            if info.loss < 1e-12:
                return number
        raise AssertionError(f"loss {info.loss}")

    assert updates(0.75) <= updates(None) / 2


def test_outputs_without_forward_derivatives_have_straight_steps(fitting, dtype):
    @jax.custom_vjp
    def same(y):
        return y

    same.defvjp(lambda y: (y, None), lambda _, g: (g,))
    outputs, params, batch = fitting
    tx = optim.levenberg_marquardt(damping=1e-2, max_bend=0.75)
    ruled = (lambda params, x: same(outputs(params, x)), params, batch)
    change, state, _ = one_step(tx, ruled)
    straight, _, _ = one_step(optim.levenberg_marquardt(damping=1e-2), fitting)
    assert state.opt_state.bend == 0
    assert relative_error(change, straight) < tolerance(dtype)


def test_both_sides_of_levenberg_marquardt_agree(dtype):
    """m = 24 outputs, against networks of more and of fewer parameters."""
    inputs = jax.random.normal(jax.random.key(1), (BATCH, 2), dtype)
    targets = jnp.cos(inputs @ jnp.ones((2, OUTPUTS), dtype))
    model = models.mlp((2, 2, OUTPUTS), dtype=dtype)
    params = model.init(jax.random.key(3))
    small = (model.apply, params, (inputs, targets))
    change, _, _ = one_step(optim.levenberg_marquardt(damping=1e-2), small)
    jacobian, cotangent = jacobian_and_cotangent(small)
    assert jacobian.shape[0] > jacobian.shape[1]
    gram = jacobian @ jacobian.T
    shift = 1e-2 * np.trace(gram) / len(gram)
    weights = np.linalg.solve(gram + shift * np.eye(len(gram)), cotangent * BATCH / 2)
    assert relative_error(change, -jacobian.T @ weights) < tolerance(dtype)


def test_the_damping_falls_on_success_and_rises_on_rejection(fitting):
    _, _, batch = fitting
    tx = optim.levenberg_marquardt(damping=1e-2, decrease=3.0, increase=2.0)
    linear = (lambda w, x: x @ w, jnp.ones((3, OUTPUTS), batch[0].dtype), batch)
    _, state, info = one_step(tx, linear)
    assert info.accepted
    assert state.opt_state.damping == pytest.approx(1e-2 / 3, rel=1e-5)
    assert state.opt_state.gain_ratio == pytest.approx(1.0, rel=1e-3)

    # From arctan(3) the undamped step overshoots to arctan(−9.5): further from zero.
    tx = optim.levenberg_marquardt(damping=1e-6, increase=2.0)
    overshooting = (
        lambda w, x: jnp.arctan(w * x),
        jnp.full(1, 3.0, batch[0].dtype),
        (jnp.ones((1, 1), batch[0].dtype), jnp.zeros((1, 1), batch[0].dtype)),
    )
    change, state, info = one_step(tx, overshooting)
    assert not info.accepted
    assert info.finite
    assert state.opt_state.damping == pytest.approx(4e-6, rel=1e-5)
    assert np.all(np.asarray(change) == 0)


def test_levenberg_marquardt_never_raises_the_loss_of_its_batch(fitting):
    outputs, params, batch = fitting
    tx = optim.levenberg_marquardt()
    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    state = training.init_state(params, tx)
    seen = []
    for _ in range(30):
        state, info = step(state, batch)
        seen.append(float(info.loss))
    assert all(later <= earlier for earlier, later in itertools.pairwise(seen))
    assert seen[-1] < 1e-6 * seen[0]


def test_levenberg_marquardt_does_not_know_the_units_of_the_outputs(fitting, dtype):
    """λ is relative: a loss in other units takes the same step."""
    outputs, params, (inputs, targets) = fitting
    tx = optim.levenberg_marquardt(damping=1e-2)
    plain, _, _ = one_step(tx, fitting)
    scaled = (lambda p, x: 1000 * outputs(p, x), params, (inputs, 1000 * targets))
    assert relative_error(one_step(tx, scaled)[0], plain) < tolerance(dtype)
    halved, _, _ = one_step(
        tx, fitting, lambda y, target: losses.squared_error(y, target) / 2
    )
    assert relative_error(halved, plain) < tolerance(dtype)


def test_weighted_squares_are_whitened_by_their_curvature(fitting, dtype):
    outputs, params, (inputs, targets) = fitting
    weights = jnp.array([1.0, 0.1, 5.0], dtype)

    def weighted(y, target):
        return jnp.sum((weights * (y - target)) ** 2)

    tx = optim.levenberg_marquardt(damping=1e-2)
    direct, _, _ = one_step(tx, fitting, weighted)
    moved = (
        lambda p, x: weights * outputs(p, x),
        params,
        (inputs, weights * targets),
    )
    assert relative_error(direct, one_step(tx, moved)[0]) < tolerance(dtype)


def test_spring_without_memory_is_the_damped_step(fitting, dtype):
    tx = optim.spring(damping=1e-2, decay=0.0, max_step=1e3)
    change, _, _ = one_step(tx, fitting)
    damped, _, _ = one_step(optim.levenberg_marquardt(damping=1e-2), fitting)
    assert relative_error(change, damped) < tolerance(dtype)


def test_spring_cannot_run_away(fitting):
    """Random targets, no damping to speak of: steps stay within the bound."""
    outputs, params, (inputs, _) = fitting
    tx = optim.spring(damping=1e-12, decay=0.99, max_step=0.05)
    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    state = training.init_state(params, tx)
    for number in range(20):
        before = state.params
        key = jax.random.key(number)
        targets = 100 * jax.random.normal(key, (BATCH, OUTPUTS), inputs.dtype)
        state, info = step(state, (inputs, targets))
        moved = optax.tree.norm(optax.tree.sub(state.params, before))
        reach = 0.05 * max(1.0, float(optax.tree.norm(before)))
        assert info.finite
        assert float(moved) <= reach * 1.001


METHODS = {
    "hig": lambda: optim.hig(0.5),
    "hig_relative": lambda: optim.hig(0.5, relative=True),
    "gauss_newton": lambda: optim.gauss_newton(2.0, rcond=1e-3),
    "levenberg_marquardt": lambda: optim.levenberg_marquardt(),
    "spring": lambda: optim.spring(),
    "adam": lambda: optax.adam(1e-2),
}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_lowers_the_loss_by_the_same_train_step(name, fitting):
    outputs, params, batch = fitting
    tx = METHODS[name]()
    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    state = training.init_state(params, tx)
    first = None
    for _ in range(60):
        state, info = step(state, batch)
        first = info.loss if first is None else first
    assert info.loss < 0.3 * first


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_usable_in_a_chain_with_clipping_and_schedule(name, fitting):
    schedule = optax.linear_schedule(1.0, 0.5, 10)
    tx = optax.chain(
        METHODS[name](),
        optax.clip_by_global_norm(1e-2),
        optax.scale_by_schedule(schedule),
    )
    change, state, info = one_step(tx, fitting)
    assert np.linalg.norm(np.asarray(change)) <= 1.001e-2
    assert info.finite
    assert state.step == 1


def test_hig_takes_an_optax_schedule(fitting, dtype):
    plain, _, _ = one_step(optim.hig(0.25), fitting)
    scheduled, _, _ = one_step(optim.hig(optax.constant_schedule(0.25)), fitting)
    assert relative_error(scheduled, plain) < tolerance(dtype)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "adam"])
def test_rank_deficient_and_zero_jacobians_give_finite_steps(name, dtype):
    """Two copies of each sample, and a network that does not see its weights."""
    tx = METHODS[name]()
    model = models.mlp((3, 8, 2), dtype=dtype)
    params = model.init(jax.random.key(0))
    inputs = jnp.tile(jax.random.normal(jax.random.key(1), (3, 3), dtype), (2, 1))
    change, _, info = one_step(tx, (model.apply, params, (inputs, inputs[:, :2])))
    assert info.finite
    assert np.all(np.isfinite(np.asarray(change)))

    def blind(params, x):
        return 0 * model.apply(params, x) + x[:2]

    change, _, _ = one_step(tx, (blind, params, (inputs, inputs[:, 1:])))
    assert np.all(np.asarray(change) == 0)


@pytest.mark.long
@pytest.mark.parametrize("name", METHODS)
def test_vmap_over_seeds_is_a_loop(name, fitting):
    outputs, _, batch = fitting
    dtype = batch[0].dtype
    model = models.mlp((3, 10, 10, OUTPUTS), dtype=dtype)
    tx = METHODS[name]()
    step = training.make_train_step(outputs, losses.squared_error, tx)
    params = [model.init(jax.random.key(seed)) for seed in range(2)]
    states = [training.init_state(p, tx) for p in params]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    together, _ = jax.jit(jax.vmap(step, in_axes=(0, None)))(stacked, batch)
    for number, state in enumerate(states):
        alone, _ = jax.jit(step)(state, batch)
        row = jax.tree.map(lambda leaf, n=number: leaf[n], together.params)
        alone, row, start = (
            np.asarray(trees.ravel(p)[0]) for p in (alone.params, row, state.params)
        )
        assert relative_error(row - start, alone - start) < 10 * tolerance(dtype)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "adam"])
def test_a_missing_extra_is_told(name):
    tx = METHODS[name]()
    params = {"w": jnp.ones(3)}
    with pytest.raises(ValueError, match="make_train_step"):
        tx.update(params, tx.init(params), params)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: optim.hig(rcond=2.0), "0 ≤ rcond < 1"),
        (lambda: optim.hig(method="lu"), "known: auto, gram, newton, svd, qr"),
        (lambda: optim.levenberg_marquardt(damping=-1.0), "min_damping <= damping"),
        (lambda: optim.levenberg_marquardt(decrease=0.5), "must exceed 1"),
        (lambda: optim.levenberg_marquardt(max_bend=0.0), "max_bend is 0.0"),
        (lambda: optim.hig(method="grma"), "Did you mean 'gram'"),
        (lambda: optim.scale_by_spectral(power=0.3, method="newton"), "power is 0.3"),
        (lambda: optim.levenberg_marquardt(method="svd"), "known: auto, gram, qr"),
        (lambda: optim.levenberg_marquardt(tolerance=1.0), "tolerance is 1.0"),
        (lambda: optim.spring(iterations=0), "iterations is 0"),
        (lambda: optim.spring(decay=1.0), "decay"),
        (lambda: optim.spring(damping=0.0), "damping is 0.0"),
    ],
)
def test_settings_that_cannot_be_meant_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def quadratic_physics(control, inputs):
    """Linear in the control: two outputs from three controls."""
    matrix = jnp.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]], control.dtype)
    return matrix @ control + inputs


def test_the_true_sip_step_solves_linear_physics(dtype):
    inputs, targets = jnp.array([0.5, -1.0], dtype), jnp.array([2.0, 3.0], dtype)
    control = jnp.array([0.1, 0.2, 0.3], dtype)
    proxy = optim.sip(quadratic_physics, losses.squared_error, step_size=1.0)
    gradient = jax.grad(proxy)(control, (inputs, targets))
    wanted = control - gradient / 2  # the minimum of |u − u_new|² is u_new
    np.testing.assert_allclose(
        quadratic_physics(wanted, inputs), targets, atol=1e-4, rtol=1e-4
    )


def test_the_published_sip_step_is_two_over_b_of_the_true_one(dtype):
    inputs, targets = jnp.array([0.5, -1.0], dtype), jnp.array([2.0, 3.0], dtype)
    control = jnp.array([0.1, 0.2, 0.3], dtype)
    steps = [
        jax.grad(optim.sip(quadratic_physics, losses.squared_error, step_size=eta))(
            control, (inputs, targets)
        )
        for eta in (2 / 64, 1.0)
    ]
    np.testing.assert_allclose(steps[0], steps[1] / 32, rtol=1e-4)


def test_sip_does_not_differentiate_through_the_inverse(dtype):
    """The gradient is that of |u − u_new|² at fixed u_new, for nonlinear physics."""
    proxy = optim.sip(lambda u, x: jnp.sin(u), losses.squared_error)
    control = jnp.array([0.3], dtype)
    goal = (jnp.zeros(1, dtype), jnp.array([0.5], dtype))
    newton = (np.sin(0.3) - 0.5) / np.cos(0.3)
    np.testing.assert_allclose(jax.grad(proxy)(control, goal), [2 * newton], rtol=1e-4)


def test_sip_takes_an_inverse_of_the_users_own(dtype):
    """Of y = u³ exactly, where the first-order inverse is far off."""

    def invert(control, inputs, targets):
        return jnp.cbrt(targets)

    proxy = optim.sip(
        lambda u, x: u**3, losses.squared_error, step_size=0.5, invert=invert
    )
    control, goal = jnp.array([0.5], dtype), (jnp.zeros(1), jnp.array([27.0], dtype))
    gradient = jax.grad(proxy)(control, goal)
    np.testing.assert_allclose(gradient, 2 * 0.5 * (0.5 - 3.0) * np.ones(1), rtol=1e-5)


@pytest.mark.long
def test_a_searched_inverse_is_found_for_each_sample(dtype):
    problem = problems.oscillator_control(
        2, "quartic", num_steps=24, dt=0.25, gain=3.0, dtype=dtype
    )
    goals, _ = problem.sample(jax.random.key(0), 16)
    controls = 0.1 * jax.random.normal(jax.random.key(1), (16, 24), dtype)
    search = optim.local_inverse(problem.simulate, iterations=20)
    found = jax.jit(jax.vmap(search))(controls, goals, goals)
    ends = jax.vmap(problem.simulate)(found, goals)
    assert found.dtype == dtype
    assert jnp.max(jnp.abs(ends - goals)) < (1e-4 if dtype == jnp.float32 else 1e-9)


def test_of_all_solutions_the_search_takes_the_nearest_of_linear_physics(dtype):
    inputs, targets = jnp.array([0.5, -1.0], dtype), jnp.array([2.0, 3.0], dtype)
    control = jnp.array([0.1, 0.2, 0.3], dtype)
    found = optim.local_inverse(quadratic_physics)(control, inputs, targets)
    matrix = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, -1.0]])
    missing = targets - quadratic_physics(control, inputs)
    wanted = np.asarray(control) + np.linalg.pinv(matrix) @ np.asarray(missing)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_search_that_cannot_succeed_stays_finite():
    invert = optim.local_inverse(lambda u, x: jnp.tanh(u), iterations=30)
    found = invert(jnp.zeros(1), jnp.zeros(1), jnp.array([2.0]))
    assert jnp.tanh(found[0]) > 0.9
    assert jnp.isfinite(found[0])
    with pytest.raises(ValueError, match="iterations is 0"):
        optim.local_inverse(lambda u, x: u, iterations=0)


def test_routes_follow_shape_and_memory():
    choose = functools.partial(chosen_route, iterations=100)
    assert choose(128, 1444, memory_limit=None) == "gram"
    assert choose(128, 1444, memory_limit=None, wide=False) == "qr"
    assert choose(8192, 1313, memory_limit=None) == "lanczos"
    assert choose(4096, 24_896, memory_limit=None) == "lanczos"
    enough = lanczos_bytes(4096, 24_896, 100)
    assert choose(4096, 24_896, memory_limit=enough) == "lanczos"
    assert choose(512, 24_896, memory_limit=gram_bytes(512, 24_896)) == "gram"
    assert choose(2048, 24_896, memory_limit=None, largest_side=2048) == "gram"
    with pytest.raises(ValueError, match=rf"needs at least {enough}"):
        choose(4096, 24_896, memory_limit=enough - 1)


def test_a_memory_limit_is_heeded_and_told(fitting):
    little = optim.hig(1.0, rcond=1e-3, memory_limit=1000)
    with pytest.raises(ValueError, match="memory_limit is 1000 bytes"):
        one_step(little, fitting)
    for damped in (optim.levenberg_marquardt, optim.spring):
        with pytest.raises(ValueError, match=r"memory_limit is 1000 .* at least"):
            one_step(damped(memory_limit=1000), fitting)
    with pytest.raises(ValueError, match="iterations is 0"):
        optim.hig(iterations=0)


@pytest.mark.long
@pytest.mark.x64
def test_few_products_change_the_outputs_as_the_half_inverse_does():
    """m = 512 outputs: 60 products give their change to a part in a hundred."""
    model = models.mlp((3, 20, 20, 20, 2), dtype=jnp.float64)
    outputs, params = model.apply, model.init(jax.random.key(0))
    inputs = jax.random.normal(jax.random.key(1), (256, 3))
    targets = jnp.zeros((256, 2))
    batch = optim.linearise(outputs, params, inputs)
    cotangent = 2 / 256 * (batch.values - targets)
    extras = {"linearisation": batch, "cotangent": cotangent}
    changes = []
    for method in ("gram", "lanczos"):
        tx = optim.hig(1.0, rcond=1e-5, method=method, iterations=60)
        update, _ = tx.update(batch.vjp(cotangent), tx.init(params), params, **extras)
        changes.append(batch.jvp(update))
    assert relative_error(changes[1], changes[0]) < 1e-2


@pytest.mark.x64
@pytest.mark.parametrize("samples", [8, 60], ids=["m < P", "m > P"])
def test_newton_is_the_half_inverse_where_values_are_above_the_cut(samples):
    model = models.mlp((3, 5, OUTPUTS), dtype=jnp.float64)
    inputs = jax.random.normal(jax.random.key(1), (samples, 3))
    batch = (inputs, jnp.sin(inputs))
    linear = (model.apply, model.init(jax.random.key(0)), batch)
    eigen, newton = (
        one_step(optim.hig(1.0, rcond=1e-6, method=method), linear)
        for method in ("gram", "newton")
    )
    assert relative_error(newton[0], eigen[0]) < 1e-4
    assert newton[2].rank == eigen[2].rank


@pytest.mark.parametrize("damping", [1.0, 1e-3])
def test_products_alone_make_the_damped_step(damping, fitting, dtype):
    """Of as many products as outputs the space is whole; the trace is estimated."""
    if not jax.config.jax_enable_x64:
        pytest.skip("products in single precision solve to no such accuracy")
    jacobian, cotangent = jacobian_and_cotangent(fitting)
    gram = jacobian @ jacobian.T
    trace = linalg.hutchinson_trace(lambda w: gram @ w, len(gram), jnp.float64)
    shift = damping * trace / len(gram)
    weights = np.linalg.solve(gram + shift * np.eye(len(gram)), cotangent * BATCH / 2)
    tx = optim.levenberg_marquardt(damping=damping, method="lanczos", tolerance=1e-10)
    change, state, info = one_step(tx, fitting)
    assert info.accepted
    assert relative_error(change, -jacobian.T @ weights) < tolerance(dtype)
    assert state.opt_state.unsolved < 1e-9
    assert change.dtype == dtype


@pytest.mark.x64
def test_a_damped_step_of_few_products_still_lowers_the_loss(fitting):
    """Each step is the best in its space, and judged by what it promises itself."""
    outputs, params, batch = fitting
    tx = optim.levenberg_marquardt(method="lanczos", iterations=4)
    step = jax.jit(training.make_train_step(outputs, losses.squared_error, tx))
    state = training.init_state(params, tx)
    seen = []
    for _ in range(60):
        state, info = step(state, batch)
        seen.append(float(info.loss))
    assert all(later <= earlier for earlier, later in itertools.pairwise(seen))
    assert seen[-1] < 1e-2 * seen[0]


@pytest.mark.x64
def test_spring_by_products_is_spring(fitting, dtype):
    whole, few = (
        one_step(optim.spring(damping=1e-3, max_step=1e3, **route), fitting)
        for route in ({}, {"method": "lanczos", "tolerance": 1e-10})
    )
    # The estimated trace is another λ.
    assert relative_error(few[0], whole[0]) < 0.05
    assert few[0].dtype == dtype


@pytest.fixture
def dipole(dtype):
    """A network before the raw infidelity, which has no positive curvature."""
    problem = problems.quantum_dipole(4, num_steps=6, dtype=dtype)
    model = models.mlp((8, 10, 6), dtype=dtype)
    batch = problem.sample(jax.random.key(1), BATCH)
    outputs = problems.outputs(problem, model)
    return problem, outputs, model.init(jax.random.key(0)), batch


def test_hig_takes_the_derivative_of_an_objective_that_is_no_sum_of_squares(dipole):
    problem, outputs, params, (inputs, targets) = dipole

    @jax.jit
    def half_inverse(params):
        batch = optim.linearise(outputs, params, inputs)
        infidelity = jax.vmap(losses.infidelity)
        cotangent = jax.grad(lambda y: jnp.mean(infidelity(y, targets)))(batch.values)
        return linalg.spectral_direction(
            batch.jacobian(), cotangent.reshape(-1), power=-0.5, rcond=1e-3
        )

    expected = -half_inverse(params)
    change, _, info = one_step(
        optim.hig(1.0, rcond=1e-3), dipole[1:], problem.objective
    )
    assert relative_error(change, expected) < 3e-3
    assert info.concave is None


@pytest.mark.parametrize("make", [optim.levenberg_marquardt, optim.spring])
def test_an_objective_without_positive_curvature_is_seen(make, dipole):
    """The step stays finite; the residual's squares have a curvature."""
    problem, outputs, params, (inputs, targets) = dipole
    change, _, info = one_step(make(), dipole[1:], problem.objective)
    assert info.concave == 1
    assert info.finite
    assert np.all(np.isfinite(np.asarray(change)))

    def residual(params, both):
        return problem.residual(outputs(params, both[0]), both[1])

    squares = (residual, params, ((inputs, targets), targets))
    _, _, info = one_step(make(), squares, losses.squared_size)
    assert info.concave == 0


def test_the_last_stage_that_reports_a_field_is_heard_wherever_it_is():
    params = jnp.ones(3)
    tx = optax.chain(
        optim.levenberg_marquardt(damping=0.5),
        optax.inject_hyperparams(optim.spring)(damping=0.1, decay=0.5),
        optax.multi_transform(
            {"all": optim.levenberg_marquardt(damping=0.25)}, lambda params: "all"
        ),
        optim.hig(),
    )
    info = optim.step_info(tx.init(params))
    assert info.damping == 0.25
    assert info.rank == 0
    assert info.accepted
    assert info.concave == 0
    assert optim.step_info(optax.adam(0.1).init(params)) == optim.StepInfo()


def test_two_stages_that_report_train_in_one_chain(fitting):
    tx = optax.chain(
        optim.levenberg_marquardt(damping=1e-2), optim.levenberg_marquardt(damping=1.0)
    )
    _, _, info = one_step(tx, fitting)
    assert info.damping == pytest.approx(1 / 3, rel=1e-5)
