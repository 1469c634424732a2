"""Mechanics, integrators and the oscillator problem, against what is known exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, mechanics, ode, problems, systems
from jaxphys.problems.oscillator_control import motion
from jaxphys.types import PhaseState


def linear_force(q, coupling):
    """The explicit force of the linear chain: −q + k times the free-ended Laplacian."""
    n = len(q)
    laplacian = np.zeros((n, n))
    for i in range(n - 1):
        laplacian[i : i + 2, i : i + 2] += [[-1, 1], [1, -1]]
    return -q + coupling * laplacian @ q


def quartic_force(q, alpha):
    force = -q.copy()
    for i in range(len(q) - 1):
        pull = 4 * alpha * (q[i] - q[i + 1]) ** 3
        force[i] -= pull
        force[i + 1] += pull
    return force


CHAINS = [("linear_chain", linear_force), ("quartic_chain", quartic_force)]


@pytest.mark.parametrize("num", [1, 2, 5])
@pytest.mark.parametrize(("name", "force"), CHAINS)
def test_the_derived_field_of_a_chain_is_its_explicit_force(name, force, num, dtype):
    chain = systems.get(name, num_oscillators=num)
    state = chain.sample(jax.random.key(0))
    state = PhaseState(*(x.astype(dtype) for x in state))
    rate = mechanics.hamiltonian_vector_field(chain.hamiltonian)(
        0.0, state, chain.params
    )
    np.testing.assert_allclose(rate.q, state.p, rtol=1e-6)
    expected = force(np.asarray(state.q, np.float64), chain.params.coupling)
    np.testing.assert_allclose(rate.p, expected, rtol=1e-5, atol=1e-6)
    assert rate.p.dtype == dtype


def test_the_two_chains_of_the_seed_are_those_of_the_book():
    """Linear: v̇ = −x + 0.2 (x₂ − x₁, x₁ − x₂); quartic at α = ¼: −x + (x₂ − x₁)³."""
    q = np.array([0.3, 0.9])
    np.testing.assert_allclose(linear_force(q, 0.2), [-0.3 + 0.12, -0.9 - 0.12])
    np.testing.assert_allclose(quartic_force(q, 0.25), [-0.3 + 0.216, -0.9 - 0.216])


@pytest.mark.parametrize(("name", "force"), CHAINS)
def test_the_energy_of_a_free_chain_is_conserved(name, force):
    del force
    chain = systems.get(name, num_oscillators=3)
    step = integrators.rk4(mechanics.hamiltonian_vector_field(chain.hamiltonian))
    start = chain.sample(jax.random.key(1))
    path = integrators.rollout(step, start, dt=0.02, num_steps=500, args=chain.params)
    energy = jax.vmap(chain.hamiltonian, (None, 0, 0))(chain.params, path.q, path.p)
    drift = np.max(np.abs(np.asarray(energy / energy[0]) - 1))
    assert drift < (1e-8 if jax.config.jax_enable_x64 else 1e-5)


def test_a_lagrangian_is_the_legendre_transform_of_its_hamiltonian():
    chain = systems.linear_chain(3)
    q, v = chain.sample(jax.random.key(2))
    energy = v @ jax.grad(chain.lagrangian, 2)(chain.params, q, v)
    energy = energy - chain.lagrangian(chain.params, q, v)
    assert energy == pytest.approx(
        float(chain.hamiltonian(chain.params, q, v)), rel=1e-5
    )


def test_one_may_differentiate_by_the_coupling():
    def stretch(coupling):
        chain = systems.linear_chain(2)
        step = integrators.rk4(mechanics.hamiltonian_vector_field(chain.hamiltonian))
        start = PhaseState(jnp.array([1.0, 0.0]), jnp.zeros(2))
        params = chain.params._replace(coupling=coupling)
        end = integrators.repeat(step, start, dt=0.1, num_steps=20, args=params)
        return end.q[0] - end.q[1]

    # The relative coordinate of two masses swings at ω = √(1 + 2k).
    k, t = 0.2, 2.0
    omega = np.sqrt(1 + 2 * k)
    assert stretch(k) == pytest.approx(np.cos(omega * t), abs=1e-4)
    slope = -np.sin(omega * t) * t / omega
    assert jax.grad(stretch)(k) == pytest.approx(slope, abs=1e-3)


def oscillator(t, y, args):
    return {"x": y["v"], "v": -y["x"]}


def error_at_one(make, num_steps):
    start = {"x": jnp.asarray(1.0), "v": jnp.asarray(0.0)}
    end = integrators.repeat(
        make(oscillator), start, dt=1 / num_steps, num_steps=num_steps
    )
    return abs(float(end["x"]) - np.cos(1.0))


@pytest.mark.x64
@pytest.mark.parametrize(
    ("make", "order"),
    [(integrators.euler, 1), (integrators.rk4, 4)],
    ids=["euler", "rk4"],
)
def test_the_order_of_an_integrator_is_the_slope_of_its_error(make, order):
    counts = np.array([16, 32, 64, 128])
    errors = [error_at_one(make, n) for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(order, abs=0.1)


@pytest.mark.x64
def test_rk4_sees_explicit_time():
    """dy/dt = 4 t³ is integrated exactly by an order-4 quadrature."""
    step = integrators.rk4(lambda t, y, args: 4 * t**3)
    end = integrators.repeat(step, 0.0, t0=1.0, dt=0.5, num_steps=4)
    assert end == pytest.approx(3**4 - 1, rel=1e-12)


def test_rollout_holds_controls_over_a_step_and_starts_with_the_start(dtype):
    """RK4 is exact under a constant force: v grows by u dt, x by v dt + u dt²/2."""

    def field(t, y, args):
        scale, control = args
        return PhaseState(y.p, scale * control)

    controls = jnp.array([[1.0], [-2.0], [0.5]], dtype)
    start = PhaseState(jnp.zeros(1, dtype), jnp.ones(1, dtype))
    path = integrators.rollout(
        integrators.rk4(field), start, dt=0.5, num_steps=3, args=2.0, controls=controls
    )
    np.testing.assert_allclose(path.p[:, 0], [1.0, 2.0, 0.0, 0.5], atol=1e-6)
    np.testing.assert_allclose(path.q[:, 0], [0.0, 0.75, 1.25, 1.375], atol=1e-6)
    assert path.q.dtype == dtype
    fine = integrators.rollout(
        integrators.rk4(field),
        start,
        dt=0.5,
        num_steps=3,
        args=2.0,
        controls=controls,
        substeps=4,
    )
    np.testing.assert_allclose(fine.q, path.q, atol=1e-5)


def test_repeat_is_the_end_of_rollout_and_vmap_is_a_loop():
    step = integrators.rk4(lambda t, y, k: -k * y)
    starts = jnp.linspace(0.5, 2.0, 4)

    def last(y):
        return integrators.repeat(step, y, dt=0.1, num_steps=7, args=1.5)

    together = jax.jit(jax.vmap(last))(starts)
    for row, start in zip(together, starts, strict=True):
        path = integrators.rollout(step, start, dt=0.1, num_steps=7, args=1.5)
        assert path.shape == (8,)
        assert path[0] == start
        np.testing.assert_allclose(row, path[-1], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt": 0.0, "num_steps": 3}, "dt is 0.0"),
        ({"dt": float("nan"), "num_steps": 3}, "finite"),
        ({"dt": 0.1, "num_steps": 0}, "num_steps is 0"),
        ({"dt": 0.1, "num_steps": 3, "substeps": 0}, "substeps is 0"),
        ({"dt": 0.1, "num_steps": 3, "controls": jnp.ones(4)}, r"expected one value a"),
    ],
)
def test_time_grids_that_cannot_be_meant_are_told(options, words):
    with pytest.raises(ValueError, match=words):
        integrators.rollout(integrators.rk4(lambda t, y, args: y), 1.0, **options)


def test_energies_and_states_that_do_not_fit_are_told():
    field = mechanics.hamiltonian_vector_field(lambda params, q, p: q * p)
    one = jnp.ones(2)
    with pytest.raises(ValueError, match="expected a scalar"):
        field(0.0, PhaseState(one, one), None)
    with pytest.raises(ValueError, match=r"use jax\.vmap"):
        field(0.0, PhaseState(jnp.ones((3, 2)), jnp.ones((3, 2))), None)
    with pytest.raises(ValueError, match=r"\(2,\) and p of shape \(3,\)"):
        field(0.0, PhaseState(one, jnp.ones(3)), None)
    with pytest.raises(ValueError, match="real floating"):
        field(0.0, PhaseState(jnp.ones(2, int), jnp.ones(2, int)), None)
    with pytest.raises(ValueError, match="Did you mean 'linear_chain'"):
        systems.get("linear_chian")


def test_adaptive_integration_agrees_with_the_fixed_step_and_differentiates():
    chain = systems.quartic_chain(2)
    field = mechanics.hamiltonian_vector_field(chain.hamiltonian)
    start = PhaseState(jnp.array([0.4, 1.0]), jnp.array([0.1, -0.3]))
    ts = jnp.linspace(0.0, 2.0, 5)
    solution = ode.solve(field, start, ts, chain.params)
    assert solution.ok
    path = integrators.rollout(
        integrators.rk4(field),
        start,
        dt=0.5,
        num_steps=4,
        args=chain.params,
        substeps=100,
    )
    np.testing.assert_allclose(solution.ys.q, path.q, atol=3e-5)

    def end(derivative):
        def position(coupling):
            args = chain.params._replace(coupling=coupling)
            ys = ode.solve(field, start, ts, args, derivative=derivative).ys
            return ys.q[-1, 0]

        return position

    reverse = jax.grad(end("reverse"))(0.25)
    forward = jax.jacfwd(end("forward"))(0.25)
    assert reverse == pytest.approx(float(forward), rel=1e-3)
    assert jax.jacfwd(end("any"))(0.25) == pytest.approx(float(forward), rel=1e-3)


def test_an_integration_that_gives_up_says_so_without_raising():
    explode = ode.solve(
        lambda t, y, args: y**2, jnp.ones(1), jnp.array([0.0, 2.0]), max_steps=50
    )
    assert not explode.ok
    with pytest.raises(ValueError, match="does not increase"):
        ode.solve(lambda t, y, args: y, jnp.ones(1), jnp.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="known: tsit5"):
        ode.solve(lambda t, y, a: y, jnp.ones(1), jnp.arange(2.0), solver="tsit")


def seed_simulator(states, controls, dt=0.5):
    """The published simulator, written out in NumPy float64: d(x, v)/dt = A y + B u."""
    num = states.shape[1] // 2
    matrix = np.zeros((2 * num, 2 * num))
    matrix[:num, num:] = np.eye(num)
    for i in range(num):
        matrix[num:, i] = linear_force(np.eye(num)[i], 0.2)
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
        ({"dt": 3.0}, "stable up to 2.39"),
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
