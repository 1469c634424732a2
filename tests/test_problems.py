"""The oscillator control problem, against its published simulator."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, mechanics, problems, systems
from jaxphys.problems.oscillator_control import motion
from jaxphys.types import PhaseState


def seed_simulator(states, controls, dt=0.5):
    """The published simulator, written out in NumPy float64: d(x, v)/dt = A y + B u."""
    num = states.shape[1] // 2
    matrix = np.zeros((2 * num, 2 * num))
    matrix[:num, num:] = np.eye(num)
    matrix[num:, :num] = -np.eye(num)
    for i in range(num - 1):
        matrix[num + i : num + i + 2, i : i + 2] += [[-0.2, 0.2], [0.2, -0.2]]
    push = np.eye(2 * num)[-1]

    def slope(y, u):
        return y @ matrix.T + u[:, None] * push

    y = states
    for u in controls.T:
        k1 = slope(y, u)
        k2 = slope(y + dt / 2 * k1, u)
        k3 = slope(y + dt / 2 * k2, u)
        y = y + dt / 6 * (k1 + 2 * k2 + 2 * k3 + slope(y + dt * k3, u))
    return y


@pytest.mark.parametrize("num", [1, 2, 4])
def test_the_simulator_is_the_published_one(num, dtype):
    problem = problems.oscillator_control(num, dtype=dtype)
    states, targets = problem.sample(jax.random.key(0), 6)
    controls = jax.random.normal(jax.random.key(1), (6, 24), dtype)
    ends = jax.jit(jax.vmap(problem.simulate))(controls, states)
    expected = seed_simulator(np.asarray(states, float), np.asarray(controls, float))
    np.testing.assert_allclose(ends, expected, atol=2e-5)
    assert ends.dtype == dtype
    assert np.all(np.asarray(states) == np.asarray(targets))
    assert np.all((np.asarray(states) >= 0) & (np.asarray(states) < 1))


def test_the_same_key_is_the_same_data_in_both_precisions():
    if not jax.config.jax_enable_x64:
        pytest.skip("one precision only")
    single, double = (
        problems.oscillator_control(dtype=kind).sample(jax.random.key(0), 5)[0]
        for kind in (jnp.float32, jnp.float64)
    )
    assert np.all(np.asarray(single, np.float64) == np.asarray(double))


@pytest.mark.parametrize("coupling", ["linear", "quartic"])
def test_motion_passes_through_the_simulated_end(coupling):
    problem = problems.oscillator_control(3, coupling, num_steps=10, dt=0.2)
    chain = systems.get(f"{coupling}_chain", num_oscillators=3)
    (state,), _ = problem.sample(jax.random.key(0), 1)
    control = jnp.sin(jnp.arange(10.0)).astype(state.dtype)
    times, path = motion(chain, control, state, dt=0.2, points=8)
    assert times.shape == (81,)
    assert path.q.shape == (81, 3)
    end = jnp.concatenate([path.q[-1], path.p[-1]])
    np.testing.assert_allclose(end, problem.simulate(control, state), rtol=1e-6)
    jumps = np.abs(np.diff(np.asarray(path.q), axis=0))
    assert jumps.max() < 0.1  # no jump where one step's interpolation meets the next


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_oscillators": 0}, "num_oscillators is 0"),
        ({"dt": 0.0}, "dt is 0.0"),
        ({"dt": -0.5}, "above zero"),
        ({"dt": 3.0}, "oscillations up to 2.39"),
        ({"num_steps": 0}, "num_steps is 0"),
        ({"coupling": "quartc"}, "Did you mean 'quartic'"),
    ],
)
def test_problems_that_cannot_be_meant_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        problems.oscillator_control(**options)


def test_the_stability_limit_is_where_rk4_begins_to_blow_up():
    chain = systems.linear_chain(2)
    step = integrators.rk4(mechanics.hamiltonian_vector_field(chain.hamiltonian))
    start = PhaseState(jnp.array([1.0, -1.0]), jnp.zeros(2))
    limit = np.sqrt(8 / 1.4)
    sizes = [
        float(
            jnp.abs(
                integrators.repeat(
                    step, start, dt=dt, num_steps=400, args=chain.params
                ).q[0]
            )
        )
        for dt in (0.98 * limit, 1.02 * limit)
    ]
    assert sizes[0] < 1 < 1e3 < sizes[1]
