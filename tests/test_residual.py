"""A network that solves an equation: where it does, no row of its residual is left."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxphys
from jaxphys import experiments, models, optim, problems, training
from jaxphys.experiments import RunOptions
from jaxphys.experiments.control import burgers, logistic
from jaxphys.problems import Condition, derivatives

pytestmark = pytest.mark.x64


def heat(u, x):
    """u_t = u_xx/10 at x = (t, place)."""
    _, u_t = derivatives(u, x, 0, order=1)
    *_, u_xx = derivatives(u, x, 1)
    return u_t - 0.1 * u_xx


def warm(x):
    """A solution of it that vanishes at 0 and 1."""
    return jnp.exp(-0.1 * jnp.pi**2 * x[0]) * jnp.sin(jnp.pi * x[1])


def heated():
    edges = jnp.array([[0.3, 0.0], [0.3, 1.0], [0.9, 0.0], [0.9, 1.0]])
    start = Condition(
        lambda u, x: u(x) - jnp.sin(jnp.pi * x[1]),
        lambda key: jax.random.uniform(key, (2,)) * jnp.array([0.0, 1.0]),
        weight=4.0,
    )
    conditions = [start, Condition(lambda u, x: u(x), edges)]
    return problems.residual(
        heat, lambda key: jax.random.uniform(key, (2,)), conditions=conditions
    )


def rows_of(problem, u, count=6):
    points, _ = problem.sample(jax.random.key(0), count)
    return jax.jit(jax.vmap(lambda x: problem.simulate(u, x)))(points)


def test_the_solution_has_no_residual_and_others_have_one_row_a_condition():
    problem = heated()
    assert problem.num_inputs == 2
    assert problem.num_outputs == 3
    np.testing.assert_allclose(rows_of(problem, warm), 0, atol=1e-14)
    # Of u = 1: no derivative; 2 (1 − sin πx), with the root of the weight; and 1.
    points, _ = problem.sample(jax.random.key(0), 6)
    rows = rows_of(problem, lambda x: jnp.ones(1))
    np.testing.assert_allclose(rows[:, 0], 0, atol=1e-15)
    expected = 2 * (1 - np.sin(np.pi * points[1][:, 1]))
    np.testing.assert_allclose(rows[:, 1], expected, atol=1e-14)
    np.testing.assert_allclose(rows[:, 2], 1, atol=1e-15)


def test_derivatives_are_those_of_finite_differences_of_a_network():
    model = models.mlp((2, 7, 1), dtype="float64")
    params = model.init(jax.random.key(0))
    x, h = jnp.array([0.3, -0.4]), 1e-3

    def u(x):
        return model.apply(params, x)[0]

    found = jax.jit(lambda x: derivatives(u, x, 1, order=3))(x)
    along = jnp.array([0.0, h])
    far = [u(x + n * along) for n in (-2, -1, 0, 1, 2)]
    np.testing.assert_allclose(found[0], far[2], rtol=1e-14)
    np.testing.assert_allclose(found[1], (far[3] - far[1]) / (2 * h), rtol=1e-5)
    second = (far[3] - 2 * far[2] + far[1]) / h**2
    np.testing.assert_allclose(found[2], second, rtol=1e-4)
    third = (far[4] - 2 * far[3] + 2 * far[1] - far[0]) / (2 * h**3)
    np.testing.assert_allclose(found[3], third, rtol=1e-4)
    with pytest.raises(ValueError, match="axis"):
        derivatives(u, x)


def test_an_ansatz_holds_for_any_weights_and_fields_may_be_several():
    """A circle, x′ = −y and y′ = x, from (1, 0)."""

    def turning(u, t):
        return jax.jacfwd(u)(t) - jnp.array([[0.0, -1.0], [1.0, 0.0]]) @ u(t)

    problem = problems.residual(
        turning,
        lambda key: jax.random.uniform(key),
        ansatz=lambda net, t: jnp.array([1.0, 0.0]) + t * net(jnp.stack([t, t**2])),
        num_fields=2,
        num_inputs=2,
    )
    model = models.mlp((2, 5, 2), dtype="float64")
    u = problems.solution(problem, model)
    params = model.init(jax.random.key(0))
    np.testing.assert_array_equal(u(params, jnp.array(0.0)), [1.0, 0.0])
    assert problem.num_outputs == 2

    def circle(t):  # as a network of the ansatz; its argument is (t, t²)
        whole = jnp.stack([jnp.cos(t[0]), jnp.sin(t[0])])
        return (whole - jnp.array([1.0, 0.0])) / t[0]

    np.testing.assert_allclose(rows_of(problem, circle), 0, atol=1e-12)


def test_points_of_an_array_are_all_used_equally_often():
    nodes = jnp.linspace(0.0, 1.0, 5)
    problem = problems.residual(lambda u, t: u(t), nodes)
    (points,), _ = problem.sample(jax.random.key(1), 10)
    np.testing.assert_array_equal(np.sort(points), np.repeat(nodes, 2))


def test_a_gram_matrix_by_layers_is_that_of_the_whole_jacobian():
    problem, model = heated(), models.mlp((2, 6, 6, 1), dtype="float64")
    points, _ = problem.sample(jax.random.key(0), 5)
    outputs = problems.outputs(problem, model)

    @jax.jit
    def both(params):
        batch = optim.linearise(outputs, params, points)
        return batch.gram(route="layers"), batch.gram(route="dense")

    params = model.init(jax.random.key(0))
    by_layers, dense = both(params)
    np.testing.assert_allclose(by_layers, dense, rtol=1e-10, atol=1e-10)
    ways = optim.linearise(outputs, params, points).ways()
    assert "layer" in set(ways.values())


def test_what_does_not_fit_is_said():
    with pytest.raises(ValueError, match="weight of condition 0"):
        problems.residual(
            heat, jnp.zeros((3, 2)), conditions=[Condition(heat, jnp.zeros((3, 2)), 0)]
        )
    with pytest.raises(ValueError, match="one shape"):
        problems.residual(
            heat, jnp.zeros((3, 2)), conditions=[Condition(heat, jnp.zeros((3, 1)))]
        )
    with pytest.raises(ValueError, match="num_inputs"):
        problems.residual(
            heat,
            jnp.zeros((3, 2)),
            ansatz=lambda net, x: net(jnp.append(x, 1.0)),
            num_inputs=2,
        )
    with pytest.raises(ValueError, match="points of the region"):
        problems.residual(heat, jnp.zeros((3, 2, 2)))


@pytest.mark.long
def test_heat_is_solved_with_its_conditions_as_rows():
    found = jaxphys.compare(
        heated(),
        models.mlp((2, 12, 1), dtype="float64"),
        128,
        methods=("levenberg_marquardt",),
        steps=150,
        batch_size=128,
        progress=False,
    )
    x = jax.random.uniform(jax.random.key(5), (200, 2))
    u = problems.solution(heated(), models.mlp((2, 12, 1), dtype="float64"))
    values = jax.vmap(u, (None, 0))(found.params["levenberg_marquardt"], x)
    assert np.max(np.abs(values - jax.vmap(warm)(x))) < 2e-2


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))]
)
def test_the_logistic_equation_is_solved_to_a_millionth(seed):
    settings = logistic.Settings()
    problem, model = logistic.build(settings, jnp.dtype("float64"))
    (points,), _ = problem.sample(jax.random.key(10 + seed), 512)
    tx = logistic.ROWS["levenberg_marquardt"].recipe(settings).optimizer(512)
    outputs = problems.outputs(problem, model)
    step = training.make_train_step(outputs, problem.objective, tx)
    batch = ((points,), (points,))

    @jax.jit
    def trained(params):
        state = training.init_state(params, tx)
        return jax.lax.fori_loop(0, 1500, lambda _, s: step(s, batch)[0], state)

    state = trained(model.init(jax.random.key(seed)))
    t = jnp.linspace(0.0, 10.0, 501)
    u = jax.vmap(problems.solution(problem, model), (None, 0))(state.params, t)
    missed = np.abs(u - 1 / (1 + 99 * jnp.exp(-t)))
    assert missed.max() < 1e-6


def test_the_exact_solution_of_burgers_solves_it():
    """At two resolutions, at the edges, and by finite differences at the front."""
    nu, h = 0.01, 1e-4
    t, x = np.meshgrid(np.linspace(0.1, 1, 7), np.linspace(0.01, 0.9, 9))

    def u(t, x, nodes=200):
        return burgers.true_solution(nu, t, x, nodes)

    np.testing.assert_allclose(u(t, x), u(t, x, 120), atol=1e-13)
    np.testing.assert_allclose(u(t, 0 * x), 0, atol=1e-13)
    np.testing.assert_allclose(u(t, 0 * x + 1), 0, atol=1e-13)
    np.testing.assert_allclose(u(0 * t, x), -np.sin(np.pi * x), atol=1e-13)
    u_t = (u(t + h, x) - u(t - h, x)) / (2 * h)
    u_x = (u(t, x + h) - u(t, x - h)) / (2 * h)
    u_xx = (u(t, x + h) - 2 * u(t, x) + u(t, x - h)) / h**2
    assert np.abs(u_x).max() > 10
    np.testing.assert_allclose(u_t + u(t, x) * u_x, nu * u_xx, atol=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("name", ["logistic", "burgers"])
def test_the_experiments_run(name, tmp_path):
    options = RunOptions(
        steps=4, batch_size=32, out=tmp_path / "run", dtype="float64", progress=False
    )
    done = experiments.run(name, options, samples=512, hidden=(6,))
    for entry in done.results["methods"].values():
        assert np.isfinite(entry["final"]["max_error"])
    assert (done.out / "solution.png").stat().st_size > 1000
