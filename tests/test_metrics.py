"""Errors of trajectories, of energies and of fields, and what they do not depend on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, mechanics, metrics, systems
from jaxphys.types import Dynamics, PhaseState

SPRING = systems.mass_spring()
PENDULUM = systems.pendulum()


def paths(dtype, seed=0):
    """Two trajectories of five times and two coordinates that differ everywhere."""
    shape = (2, 2, 5, 2)
    q, p = jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)
    return tuple(PhaseState(q[i], p[i]) for i in range(2))


def eps(dtype):
    return float(jnp.finfo(dtype).eps)


def test_the_relative_error_is_zero_where_both_agree_even_at_the_origin(dtype):
    first, second = paths(dtype)
    both = PhaseState(*(x.at[2].set(0) for x in first))
    np.testing.assert_array_equal(metrics.relative_error(both, both), np.zeros(5))
    errors = metrics.relative_error(first, second)
    assert errors.dtype == dtype
    assert np.all(errors > 0)


def test_the_relative_error_does_not_know_units_or_which_is_true(dtype):
    first, second = paths(dtype)
    errors = metrics.relative_error(first, second)
    scaled = [jax.tree.map(lambda x: 1e3 * x, y) for y in (first, second)]
    np.testing.assert_allclose(
        metrics.relative_error(*scaled), errors, rtol=20 * eps(dtype)
    )
    np.testing.assert_array_equal(metrics.relative_error(second, first), errors)


def test_the_relative_error_is_at_most_one_where_they_point_the_same_way():
    """‖ẑ − z‖ ≤ ‖ẑ + z‖ just where ẑ·z ≥ 0, and opposite states are infinitely far."""
    true = jnp.array([[1.0, 0.0]] * 4)
    found = jnp.array([[3.0, 0.0], [0.0, 1.0], [1e6, 1e6], [-1.0, 0.0]])
    errors = np.asarray(metrics.relative_error(found, true))
    assert errors[0] == 0.5
    assert errors[1] == 1
    assert 0.999 < errors[2] < 1
    assert errors[3] == np.inf


def test_the_squared_error_is_the_mean_over_times_and_components(dtype):
    first, second = paths(dtype)
    wanted = np.mean(np.square(np.hstack(first) - np.hstack(second)))
    found = metrics.squared_error(first, second)
    np.testing.assert_allclose(found, wanted, rtol=20 * eps(dtype))


@pytest.mark.parametrize("error", [metrics.relative_error, metrics.squared_error])
def test_trajectories_of_different_lengths_have_no_error(error):
    with pytest.raises(ValueError, match=r"\(5, 1\) and \(4, 1\).*the same times"):
        error(jnp.ones((5, 1)), jnp.ones((4, 1)))


def test_the_geometric_mean_of_an_exponential_is_its_middle():
    """log e^{2t} is linear, which the trapezoidal rule integrates on any grid."""
    t = jnp.array([0.0, 0.1, 0.15, 0.7, 1.0])
    found = metrics.geometric_mean(jnp.exp(2 * t), t)
    assert float(found) == pytest.approx(np.e, rel=1e-5)
    assert abs(float(metrics.geometric_mean(jnp.exp(2 * t))) - np.e) > 0.1


def test_the_geometric_mean_weighs_times_by_the_trapezoidal_rule():
    t = np.array([0.0, 1.0, 4.0, 4.5])
    errors = np.array([0.1, 0.3, 0.2, 0.9])
    found = metrics.geometric_mean(jnp.asarray(errors), jnp.asarray(t))
    wanted = np.exp(np.trapezoid(np.log(errors), t) / t[-1])
    assert float(found) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("timed", [True, False])
def test_the_geometric_mean_knows_no_unit_of_time_and_scales_with_errors(timed):
    t = jnp.array([0.0, 1.0, 4.0, 4.5])
    errors = jnp.array([0.1, 0.0, 0.2, 0.9])
    found = metrics.geometric_mean(errors, t if timed else None)
    slower = metrics.geometric_mean(errors, 60 * t + 7 if timed else None)
    assert float(slower) == pytest.approx(float(found), rel=1e-5)
    larger = metrics.geometric_mean(5 * errors, t if timed else None)
    assert float(larger) == pytest.approx(5 * float(found), rel=1e-5)


def test_the_geometric_mean_of_no_errors_at_all_is_zero():
    assert float(metrics.geometric_mean(jnp.zeros(4), jnp.arange(4.0))) == 0


@pytest.mark.parametrize(
    ("errors", "wanted"),
    [
        ([0.0, 0.05, 0.3, 0.01], 4.0),
        ([0.0, 0.05, np.nan, 0.01], 4.0),
        ([0.0, np.inf, 0.0, 0.0], 1.0),
        ([0.2, 0.0, 0.0, 0.0], 0.0),
        ([0.0, 0.1, 0.1, 0.1], 9.0),
    ],
)
def test_the_valid_time_ends_where_the_error_first_exceeds(errors, wanted):
    """It is counted from the first time; a tie does not exceed, NaN does."""
    t = jnp.array([10.0, 11.0, 14.0, 19.0])
    assert float(metrics.valid_time(t, jnp.array(errors))) == wanted


def test_a_larger_threshold_is_valid_longer():
    t, errors = jnp.arange(50.0), jnp.linspace(0.0, 1.0, 50)
    found = [float(metrics.valid_time(t, errors, x)) for x in (0.1, 0.5, 0.9, 2.0)]
    assert found == sorted(found)
    assert found[0] == 5
    assert found[-1] == 49


def test_the_energy_drift_by_hand():
    energy = jnp.array([2.0, 2.5, 1.0])
    drift = metrics.energy_drift(energy, jnp.array([[3.0, 5.0], [4.0, 3.5]]))
    assert float(drift.mean_square) == pytest.approx((0.25 + 1) / 3)
    assert float(drift.relative) == 0.5
    assert float(drift.of_range) == 0.5


def test_the_drift_of_range_does_not_know_where_energy_is_zero():
    energy, potential = jnp.array([2.0, 2.5, 1.0]), jnp.array([3.0, 5.0, 4.0])
    here, there = (metrics.energy_drift(energy + e, potential + e) for e in (0.0, 8.0))
    assert float(there.of_range) == float(here.of_range)
    assert float(there.mean_square) == float(here.mean_square)
    assert float(there.relative) == pytest.approx(float(here.relative) / 5)


def test_without_potentials_there_is_no_drift_of_range(dtype):
    drift = metrics.energy_drift(jnp.array([2.0, 2.5], dtype))
    assert np.isnan(drift.of_range)
    assert {x.dtype for x in drift} == {dtype}


def scaled(size):
    """The pendulum's motion, its rates too large by a factor."""
    field = mechanics.vector_field(PENDULUM)

    def faster(t, y, params):
        return jax.tree.map(lambda x: size * x, field(t, y, params))

    return Dynamics(lambda key: PENDULUM.params, faster, PhaseState, None)


def test_the_true_field_has_no_derivative_error_and_one_a_tenth_off_a_tenth(dtype):
    q, p = jax.random.normal(jax.random.key(0), (2, 30, 1), dtype)
    rates = PhaseState(p, -9.81 * jnp.sin(q))
    params = jax.tree.map(jnp.ones_like, PENDULUM.params)._replace(gravity=9.81)
    states = PhaseState(q, p)
    exact = metrics.derivative_error(scaled(1.0), params, states, rates)
    assert float(exact.relative) < 10 * eps(dtype)
    found = metrics.derivative_error(scaled(1.1), params, states, rates)
    assert float(found.relative) == pytest.approx(0.1, rel=1e-4)
    size = np.mean(np.sum(np.square(np.hstack(rates)), axis=1))
    assert float(found.mean_square) == pytest.approx(0.01 * size, rel=1e-4)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 8])
def test_quartiles_are_numpys(count, dtype):
    values = jax.random.normal(jax.random.key(count), (count, 3), dtype)
    found = jax.jit(metrics.quartiles)(values)
    wanted = np.quantile(np.asarray(values), [0.25, 0.5, 0.75], axis=0)
    np.testing.assert_allclose(np.stack(found), wanted, rtol=1e-5, atol=1e-6)
    assert found.low.shape == (3,)


def test_runs_that_failed_count_as_the_worst():
    few = metrics.quartiles(jnp.array([1.0, jnp.nan, 2.0, 3.0, 0.0]))
    assert [float(x) for x in few] == [1, 2, 3]
    many = metrics.quartiles(jnp.array([1.0, jnp.nan, jnp.nan, 3.0, jnp.nan]))
    assert [float(x) for x in many] == [3, np.inf, np.inf]
    # Halfway between a number and infinity is infinity, and that between two of them.
    between = metrics.quartiles(jnp.array([1.0, jnp.nan]))
    assert float(between.median) == np.inf


@pytest.mark.parametrize("system", [SPRING, PENDULUM, systems.double_pendulum()])
def test_a_hamiltonian_field_is_free_of_divergence(system):
    field = mechanics.vector_field(system)
    y = system.sample(jax.random.key(0))
    found, size = jax.jit(
        lambda y: (
            metrics.divergence(field)(0.0, y, system.params),
            jnp.linalg.norm(jnp.concatenate(field(0.0, y, system.params))),
        )
    )(y)
    assert size > 1e-3
    assert abs(found) < 100 * eps(y.q.dtype) * size


def test_linear_friction_shrinks_phase_space_at_its_own_rate(dtype):
    """div(∂H/∂p, −∂H/∂q − c p) = −c n."""

    def field(t, y, c):
        return PhaseState(y.p, -jnp.sin(y.q) - c * y.p)

    q, p = jnp.ones((2, 3), dtype)
    div = jax.jit(metrics.divergence(field))(0.0, PhaseState(q, p), 0.25)
    assert div.dtype == dtype
    assert float(div) == pytest.approx(-0.75, rel=10 * eps(dtype))


def defect(step, dt, dtype):
    y = PhaseState(jnp.array([0.8], dtype), jnp.array([0.3], dtype))
    params = jax.tree.map(lambda x: jnp.asarray(x, dtype), PENDULUM.params)
    at = jax.jit(lambda dt: metrics.symplectic_defect(step)(0.0, y, dt, params))
    return float(at(jnp.asarray(dt, dtype)))


@pytest.mark.parametrize("name", ["leapfrog", "symplectic_euler", "yoshida4"])
def test_symplectic_steps_have_no_defect_whatever_their_size(name, dtype):
    step = getattr(integrators, name)(PENDULUM.hamiltonian)
    assert all(defect(step, dt, dtype) < 30 * eps(dtype) for dt in (0.01, 0.3))


@pytest.mark.x64
def test_runge_kutta_is_symplectic_to_its_order_only():
    """Its local error is of order dt⁵, and so is what it does to areas, or dt⁶."""
    step = integrators.rk4(mechanics.vector_field(PENDULUM))
    sizes = np.array([0.2, 0.1, 0.05])
    found = np.array([defect(step, dt, jnp.float64) for dt in sizes])
    assert np.all(found > 1e-13)
    orders = np.diff(np.log(found)) / np.diff(np.log(sizes))
    assert np.all((orders > 4.5) & (orders < 6.5))


@pytest.mark.x64
def test_the_defect_of_euler_on_a_spring_is_known():
    """det J = 1 + ω² dt², and nothing else of JᵀΩJ differs in two dimensions."""
    step = integrators.euler(mechanics.vector_field(SPRING))
    y = PhaseState(jnp.array([0.8]), jnp.array([0.3]))
    found = metrics.symplectic_defect(step)(0.0, y, 0.1, SPRING.params)
    assert float(found) == pytest.approx(4 * 0.1**2, rel=1e-10)


def test_many_trajectories_come_by_vmap(dtype):
    pairs = [paths(dtype, seed) for seed in range(3)]
    first, second = (
        jax.tree.map(lambda *x: jnp.stack(x), *side)
        for side in zip(*pairs, strict=True)
    )
    t = jnp.linspace(0, 1, 5, dtype=dtype)

    def summary(found, true):
        errors = metrics.relative_error(found, true)
        energy = jnp.sum(found.p**2, axis=1)
        drift = metrics.energy_drift(energy, found.q)
        mean = metrics.geometric_mean(errors, t)
        return jnp.stack([mean, metrics.valid_time(t, errors, 1.0), *drift])

    together = jax.jit(jax.vmap(summary))(first, second)
    assert together.dtype == dtype
    alone = [summary(*pair) for pair in pairs]
    np.testing.assert_allclose(together, alone, rtol=50 * eps(dtype))
