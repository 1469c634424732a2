"""A policy that acts at every step: it is Riccati's where the physics is linear."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxphys
from jaxphys import experiments, integrators, losses, models, optim, problems, training
from jaxphys.experiments import RunOptions
from jaxphys.experiments.control import van_der_pol
from jaxphys.types import Model

pytestmark = pytest.mark.x64

A = np.array([[1.0, 0.1], [0.15, 0.98]])
B = np.array([[0.0], [0.1]])


def pushed(t, y, dt, args):
    """A mass at the top of a hill, pushed."""
    del t, dt
    return jnp.asarray(A) @ y + jnp.asarray(B) @ args[1]


def drawn(key):
    return jax.random.normal(key, (2,))


def linear_policy(num_inputs=2):
    return Model(
        lambda key: jnp.zeros((1, num_inputs)), lambda gain, seen: -gain @ seen
    )


def riccati():
    """Cost matrix and gain of x′ = A x + B u with |x|² + 0.2 u², by iteration."""
    cost = np.eye(2)
    for _ in range(2000):
        gain = np.linalg.solve(0.2 + B.T @ cost @ B, B.T @ cost @ A)
        cost = (
            np.eye(2) + 0.2 * gain.T @ gain + (A - B @ gain).T @ cost @ (A - B @ gain)
        )
    return cost, gain


def fitted(problem, model, count, steps, tx=None, start=None):
    """Train from the model's first weights, on so many starts at once."""
    tx = tx or optim.levenberg_marquardt(damping=1e-2)
    step = training.make_train_step(
        problems.outputs(problem, model), problem.objective, tx
    )
    first = model.init(jax.random.key(0)) if start is None else start
    data = problem.sample(jax.random.key(1), count)
    state = training.init_state(first, tx)
    fit = training.fit(step, state, data, batch_size=count, steps=steps, progress=False)
    return fit.state.params, data


def test_a_linear_policy_finds_riccatis_gain():
    """With the cost-to-go at the end, the gain is the same at every horizon."""
    cost, gain = riccati()
    root = jnp.asarray(np.linalg.cholesky(cost).T)
    problem = problems.feedback(
        pushed,
        lambda t, y, u: jnp.concatenate([y, 0.2**0.5 * u]),
        drawn,
        dt=1.0,
        num_steps=12,
        final=lambda y: root @ y,
    )
    assert (problem.num_inputs, problem.num_outputs) == (2, 12 * 3 + 2)
    found, (starts, _) = fitted(problem, linear_policy(), 8, 12)
    np.testing.assert_allclose(found, gain, rtol=1e-6)
    rows = jax.vmap(problems.outputs(problem, linear_policy()), (None, 0))(
        found, starts
    )
    least = np.einsum("bi,ij,bj->b", starts, cost, starts)
    np.testing.assert_allclose(np.sum(rows**2, axis=1), least, rtol=1e-9)


def test_a_finite_horizon_has_the_gains_of_the_backward_recursion():
    """Without a final cost they differ from step to step; the policy sees the time."""
    horizon, cost, gains = 5, np.zeros((2, 2)), []
    for _ in range(horizon):
        gain = np.linalg.solve(0.2 + B.T @ cost @ B, B.T @ cost @ A)
        closed = A - B @ gain
        cost = np.eye(2) + 0.2 * gain.T @ gain + closed.T @ cost @ closed
        gains.append(gain)
    problem = problems.feedback(
        pushed,
        lambda t, y, u: jnp.concatenate([y, 0.2**0.5 * u]),
        drawn,
        dt=1.0,
        num_steps=horizon,
        observe=lambda t, y: jnp.append(y, t),
    )
    model = Model(
        lambda key: jnp.zeros((horizon, 1, 2)),
        lambda gains, seen: -gains[seen[-1].astype(int)] @ seen[:-1],
    )
    found, _ = fitted(problem, model, 4, 30)
    np.testing.assert_allclose(found, gains[::-1], atol=1e-6)


def test_thirty_controls_of_van_der_pols_oscillator():
    """Left alone it costs 41.50 from (2, 2), and 8.606 with its best 30 controls."""

    def stage(t, y, u):
        counted = jnp.round(t * 30) % 3 == 0
        rows = jnp.append(y, 0.1**0.5 * u)
        return jnp.where(counted, 0.1**0.5, 0.0) * rows

    problem = problems.feedback(
        integrators.rk4(van_der_pol._field),
        stage,
        lambda key: jnp.array([2.0, 2.0]),
        dt=1 / 30,
        num_steps=300,
        observe=lambda t, y: t[None],
    )
    model = Model(
        lambda key: jnp.zeros(30),
        lambda held, t: held[(jnp.round(t * 30) // 10).astype(int)],
    )
    found, (starts, _) = fitted(problem, model, 1, 25)
    outputs = problems.outputs(problem, model)
    costs = [float(jnp.sum(outputs(u, starts[0]) ** 2)) for u in (0 * found, found)]
    assert costs[0] == pytest.approx(41.50, abs=0.01)
    assert costs[1] <= 8.606


def test_the_motion_is_that_of_its_controls():
    """What `follow` shows is the rollout of the step, and what `simulate` rates."""
    step = integrators.rk4(van_der_pol._field)
    problem = problems.feedback(
        step,
        lambda t, y, u: jnp.concatenate([y, u, t[None]]),
        drawn,
        dt=0.2,
        num_steps=6,
        substeps=2,
        final=lambda y: 3 * y,
    )
    model = models.mlp((2, 4, 1), dtype="float64")
    params, start = model.init(jax.random.key(3)), jnp.array([1.0, -0.5])

    @jax.jit
    def both(params):
        path = problems.closed_loop(problem, model)(params, start)
        alone = integrators.rollout(
            step, start, dt=0.2, num_steps=6, substeps=2, controls=path.u
        )
        return path, alone, problems.outputs(problem, model)(params, start)

    path, alone, rows = both(params)
    np.testing.assert_allclose(path.y, alone, rtol=1e-12)
    np.testing.assert_allclose(path.t, 0.2 * np.arange(7), rtol=1e-12)
    stages = np.concatenate([path.y[:-1], path.u, path.t[:-1, None]], axis=1)
    np.testing.assert_allclose(rows[:-2].reshape(6, 4), stages, rtol=1e-12)
    np.testing.assert_allclose(rows[-2:], 3 * path.y[-1], rtol=1e-12)
    assert problem.num_outputs == rows.size


def huber(rows):
    return jnp.sqrt(1 + rows @ rows) - 1


def test_any_convex_penalty_takes_the_place_of_squares():
    problem = problems.feedback(
        pushed,
        lambda t, y, u: jnp.concatenate([y, 0.2**0.5 * u]),
        drawn,
        dt=1.0,
        num_steps=8,
        penalty=huber,
        final=lambda y: y,
    )
    values = jax.random.normal(jax.random.key(2), (problem.num_outputs,))
    rows = [*values[:-2].reshape(8, 3), values[-2:]]
    assert float(problem.objective(values, None)) == pytest.approx(
        float(sum(map(huber, rows)))
    )
    expected = jnp.diagonal(jax.hessian(lambda y: problem.objective(y, None))(values))
    found = losses.second_derivatives(problem.objective, values, None)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    params, (starts, _) = fitted(problem, linear_policy(), 16, 25)

    @jax.jit
    def slope(gain):
        def mean(gain):
            outputs = problems.outputs(problem, linear_policy())
            found = jax.vmap(outputs, (None, 0))(gain, starts)
            return jnp.mean(jax.vmap(problem.objective)(found, found))

        return jax.grad(mean)(gain)

    assert float(jnp.max(jnp.abs(slope(params)))) < 1e-4
    assert float(jnp.max(jnp.abs(slope(0 * params)))) > 0.1


@pytest.mark.parametrize(
    "objective", [losses.squared_error, losses.half_squared_error, losses.squared_size]
)
def test_second_derivatives_of_squares_take_one_pass(objective):
    """A thousand outputs have a Hessian of a million entries, of which none is made."""
    y = jnp.linspace(-1.0, 1.0, 1000)
    traced = jax.make_jaxpr(losses.second_derivatives, static_argnums=0)(
        objective, y, 0 * y
    )
    assert "1000,1000" not in str(traced)
    expected = 1.0 if objective is losses.half_squared_error else 2.0
    np.testing.assert_allclose(
        losses.second_derivatives(objective, y, 0 * y), expected, rtol=1e-12
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stage": lambda t, y, u: y @ y}, "return the roots"),
        ({"final": lambda y: y @ y}, "return the roots"),
        ({"observe": lambda t, y: t}, "expected one vector"),
        ({"step": lambda t, y, dt, args: jnp.append(y, t)}, "the same structure"),
        ({"dt": -0.1}, "above zero"),
        ({"num_controls": 0}, "num_controls"),
    ],
)
def test_what_does_not_fit_is_told(wrong, message):
    given = {
        "step": pushed,
        "stage": lambda t, y, u: y,
        "starts": drawn,
        "dt": 0.1,
        "num_steps": 3,
    }
    with pytest.raises(ValueError, match=message):
        problems.feedback(**(given | wrong))


def test_a_policy_of_another_size_is_told():
    problem = problems.feedback(pushed, lambda t, y, u: y, drawn, dt=0.1, num_steps=3)
    outputs = problems.outputs(problem, models.mlp((2, 3, 4)))
    with pytest.raises(ValueError, match=r"expected controls of shape \(1,\)"):
        outputs(models.mlp((2, 3, 4)).init(jax.random.key(0)), jnp.ones(2))
    with pytest.raises(ValueError, match="no motion"):
        problems.closed_loop(problems.exponential(), models.mlp((1, 3, 1)))


def test_compare_trains_a_policy_by_every_method_but_sip():
    problem = problems.feedback(
        pushed, lambda t, y, u: jnp.append(y, u), drawn, dt=1.0, num_steps=20
    )
    found = jaxphys.compare(
        problem,
        linear_policy(),
        32,
        methods=("adam", "hig", "levenberg_marquardt"),
        steps=6,
        batch_size=32,
        progress=False,
    )
    for entry in found.results["methods"].values():
        first, last = entry["history"][0], entry["history"][-1]
        assert last["test_loss"] < first["test_loss"]
    assert found.loss("levenberg_marquardt") < 0.5 * found.loss("adam")
    with pytest.raises(ValueError, match="sip"):
        jaxphys.compare(problem, linear_policy(), methods="sip", steps=1)


@pytest.mark.long
@pytest.mark.parametrize("name", ["van_der_pol", "swing_up"])
def test_the_experiments_run(name, tmp_path):
    options = RunOptions(
        steps=3, batch_size=8, out=tmp_path / "run", dtype="float64", progress=False
    )
    done = experiments.run(name, options, samples=16, control_steps=20, hidden=(6,))
    for entry in done.results["methods"].values():
        first, final = entry["history"][0], entry["final"]
        assert final["train_loss"] < first["train_loss"]
        assert all(np.isfinite(final[x]) for x in experiments.get(name).columns)
    assert (done.out / "motion.png").stat().st_size > 1000
