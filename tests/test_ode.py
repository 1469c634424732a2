"""Adaptive integration: to its tolerance, to an event, and told when it gave up."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

from jaxphys import integrators, mechanics, ode, systems
from jaxphys.types import PhaseState, TangentState, phase_state

X64 = jax.config.jax_enable_x64


def decay(t, y, args):
    return -y


def fall(t, y, gravity):
    return TangentState(y.v, -gravity * jnp.ones_like(y.v))


def height(t, y, gravity):
    return y.q[0]


TS = np.array([0.0, 0.5, 1.0])


# Accuracy


@pytest.mark.long
def test_adaptive_integration_agrees_with_the_fixed_step_and_differentiates():
    chain = systems.quartic_chain(2)
    field = mechanics.hamiltonian_vector_field(chain.hamiltonian)
    start = PhaseState(jnp.array([0.4, 1.0]), jnp.array([0.1, -0.3]))
    ts = np.linspace(0.0, 2.0, 5)
    solution = jax.jit(lambda y: ode.solve(field, y, ts, chain.params))(start)
    assert solution.ok
    options = {"dt": 0.5, "num_steps": 4, "args": chain.params, "substeps": 100}
    step = integrators.rk4(field)
    path = jax.jit(lambda y: integrators.rollout(step, y, **options))(start)
    np.testing.assert_allclose(solution.ys.q, path.q, atol=3e-5)

    def end(coupling, derivative):
        args = chain.params._replace(coupling=coupling)
        ys = ode.solve(field, start, ts, args, derivative=derivative).ys
        return ys.q[-1, 0]

    def slope(transform, derivative):
        return jax.jit(transform(lambda k: end(k, derivative)))(0.25)

    forward = float(slope(jax.jacfwd, "forward"))
    assert abs(forward) > 0.01
    assert slope(jax.grad, "reverse") == pytest.approx(forward, rel=1e-3)
    assert slope(jax.jacfwd, "any") == pytest.approx(forward, rel=1e-3)


def starts():
    double = systems.double_pendulum()
    q, v = jnp.array([1.2, -0.4]), jnp.array([0.5, 1.0])
    p = mechanics.momentum(double.lagrangian)(double.params, q, v)
    kepler = systems.kepler()
    return {
        "double_pendulum": (double, PhaseState(q, p)),
        "kepler": (kepler, kepler.sample(jax.random.key(0))),
    }


@pytest.mark.x64
@pytest.mark.parametrize(
    "name", [pytest.param("double_pendulum", marks=pytest.mark.long), "kepler"]
)
def test_every_solver_and_scipy_agree_to_the_tolerance(name):
    system, y0 = starts()[name]
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)
    ts = np.linspace(0.0, 3.0, 7)

    @jax.jit
    def flat_field(t, y):
        return jnp.concatenate(field(t, phase_state(y), system.params))

    scipys = solve_ivp(
        lambda t, y: np.asarray(flat_field(t, y)),
        (0.0, 3.0),
        np.concatenate(y0),
        method="DOP853",
        t_eval=ts,
        rtol=1e-12,
        atol=1e-12,
    ).y.T
    for solver, tolerance in (("dopri8", 1e-12), ("tsit5", 1e-9), ("dopri5", 1e-9)):
        solution = jax.jit(
            lambda y, solver=solver, tolerance=tolerance: ode.solve(
                field,
                y,
                ts,
                system.params,
                rtol=tolerance,
                atol=tolerance,
                solver=solver,
            )
        )(y0)
        assert solution.ok
        ours = np.concatenate(solution.ys, axis=1)
        error = np.max(np.abs(ours - scipys))
        assert error < 1e3 * tolerance
        # The default tolerance is 1e-9, and no solver is exact.
        assert error > 1e-15


@pytest.mark.long
@pytest.mark.x64
def test_a_stiff_equation_takes_few_steps_of_an_implicit_solver():
    """dy/dt = −10⁴ (y − cos t): an explicit solver must resolve the fast decay."""

    def stiff(t, y, args):
        return -1e4 * (y - jnp.cos(t))

    def run(solver):
        return jax.jit(
            lambda y: ode.solve(
                stiff, y, jnp.array([0.0, 2.0]), rtol=1e-6, atol=1e-6, solver=solver
            )
        )(jnp.ones(1))

    implicit, explicit = run("kvaerno5"), run("tsit5")
    assert implicit.ok
    assert 20 * implicit.num_steps < explicit.num_steps
    exact = (1e8 * np.cos(2) + 1e4 * np.sin(2)) / (1e8 + 1)
    np.testing.assert_allclose(implicit.ys[-1], exact, atol=1e-5)


@pytest.mark.x64
def test_the_runge_lenz_vector_of_an_orbit_is_constant():
    """p × L − μ q/|q|: of length μ e, toward the pericenter."""
    system = systems.kepler(mu=1.7)
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)

    @jax.jit
    def vectors(y):
        ts = jnp.linspace(0.0, 20.0, 21)
        options = {"rtol": 1e-12, "atol": 1e-12, "solver": "dopri8"}
        q, p = ode.solve(field, y, ts, system.params, **options).ys
        turn = q[:, 0] * p[:, 1] - q[:, 1] * p[:, 0]
        lenz = jnp.stack([p[:, 1] * turn, -p[:, 0] * turn], axis=1)
        return lenz - 1.7 * q / jnp.linalg.norm(q, axis=1, keepdims=True)

    y0 = system.sample(jax.random.key(2))
    lenz = np.asarray(vectors(y0))
    np.testing.assert_allclose(lenz, np.broadcast_to(lenz[0], lenz.shape), atol=1e-9)
    pericenter = np.linalg.norm(y0.q)
    np.testing.assert_allclose(
        lenz[0], 1.7 * (1 - pericenter) * y0.q / pericenter, rtol=1e-12
    )


def test_times_may_be_arrays_of_any_kind_inside_of_jit():
    for ts in ([0.0, 0.5, 1.0], TS, jnp.asarray(TS)):
        end = jax.jit(lambda y, ts=ts: ode.solve(decay, y, ts).ys[-1])(jnp.ones(1))
        assert end[0] == pytest.approx(np.exp(-1.0), rel=1e-5)


def test_the_vector_fields_are_those_of_rollout():
    """With explicit time and arguments, and states that are any pytree."""

    def field(t, y, args):
        return {"x": y["v"], "v": args * jnp.cos(t) - y["x"]}

    y0 = {"x": jnp.ones(()), "v": jnp.zeros(())}
    ts = np.linspace(0.5, 2.5, 5)
    adaptive = jax.jit(lambda y: ode.solve(field, y, ts, 0.7).ys)(y0)
    step = integrators.rk4(field)
    options = {"t0": 0.5, "dt": 0.5, "num_steps": 4, "args": 0.7, "substeps": 25}
    fixed = jax.jit(lambda y: integrators.rollout(step, y, **options))(y0)
    for name in ("x", "v"):
        np.testing.assert_allclose(
            adaptive[name], fixed[name], atol=1e-7 if X64 else 1e-4
        )


# Dense output and events


def test_dense_output_is_the_state_at_any_time():
    solution = jax.jit(lambda y: ode.solve(decay, y, TS, dense=True))(jnp.ones(1))
    times = np.array([0.0, 0.123, 0.777, 1.0])
    values = jax.vmap(solution.at)(jnp.asarray(times))[:, 0]
    np.testing.assert_allclose(values, np.exp(-times), atol=1e-7 if X64 else 1e-5)


def test_a_solution_without_dense_output_says_how_to_have_it():
    solution = ode.solve(decay, jnp.ones(1), TS)
    with pytest.raises(ValueError, match="dense=True"):
        solution.at(0.5)


def landing_time(drop, gravity, derivative="reverse"):
    start = TangentState(jnp.reshape(drop, (1,)), jnp.zeros(1))
    ts = jnp.array([0.0, 5.0])
    options = {"event": height, "derivative": derivative}
    return ode.solve(fall, start, ts, gravity, **options)


def test_a_fall_ends_on_the_ground_at_its_time():
    """t = √(2h/g), with v = −√(2 g h) there."""
    solution = jax.jit(landing_time)(3.0, 9.8)
    assert solution.ok
    assert ode.STATUS[int(solution.status)] == "stopped at the event"
    tolerance = 1e-8 if X64 else 1e-5
    assert solution.t_end == pytest.approx(np.sqrt(6 / 9.8), rel=tolerance)
    assert abs(solution.y_end.q[0]) < 10 * tolerance
    assert solution.y_end.v[0] == pytest.approx(-np.sqrt(6 * 9.8), rel=tolerance)
    np.testing.assert_array_equal(np.isfinite(solution.ys.q[:, 0]), [True, False])
    assert "stopped at the event (t = 0.782" in solution.message()


@pytest.mark.parametrize(
    "derivative",
    [
        pytest.param("reverse", marks=pytest.mark.long),
        "forward",
        pytest.param("any", marks=pytest.mark.long),
    ],
)
def test_the_time_of_an_event_differentiates(derivative):
    """∂t/∂h = 1/√(2 g h), ∂t/∂g = −√(h/2g³)."""
    transform = {"reverse": jax.grad, "forward": jax.jacfwd, "any": jax.jacrev}
    slope = transform[derivative](
        lambda h, g: landing_time(h, g, derivative).t_end, (0, 1)
    )
    by_height, by_gravity = jax.jit(slope)(3.0, 9.8)
    tolerance = 1e-7 if X64 else 1e-4
    assert by_height == pytest.approx(1 / np.sqrt(6 * 9.8), rel=tolerance)
    assert by_gravity == pytest.approx(-np.sqrt(3 / (2 * 9.8**3)), rel=tolerance)


def swing(t, y, args):
    return phase_state(jnp.concatenate([y.p, -y.q]))


@pytest.mark.parametrize(
    ("rising", "time"),
    [(None, np.pi / 2), (False, np.pi / 2), (True, 3 * np.pi / 2)],
    ids=["both", "down", "up"],
)
def test_an_event_counts_in_the_directions_asked_for(rising, time):
    """cos t falls through zero at π/2 and rises through it at 3π/2."""
    solution = jax.jit(
        lambda y: ode.solve(
            swing,
            y,
            jnp.array([0.0, 10.0]),
            event=lambda t, y, args: y.q[0],
            rising=rising,
        )
    )(PhaseState(jnp.ones(1), jnp.zeros(1)))
    assert solution.status == 1
    assert solution.t_end == pytest.approx(time, abs=1e-7 if X64 else 1e-4)


def test_a_bool_ends_after_the_first_step_on_which_it_is_true():
    solution = jax.jit(
        lambda y: ode.solve(
            decay, y, jnp.array([0.0, 10.0]), event=lambda t, y, args: y[0] < 0.5
        )
    )(jnp.ones(1))
    assert solution.ok
    assert solution.status == 1
    assert solution.y_end[0] < 0.5
    assert np.log(2) <= solution.t_end < 2
    assert solution.y_end[0] == pytest.approx(np.exp(-solution.t_end), rel=1e-4)


def test_an_event_that_never_comes_lets_the_integration_arrive():
    solution = ode.solve(decay, jnp.ones(1), TS, event=lambda t, y, args: y[0] + 1)
    assert solution.status == 0
    assert solution.t_end == 1
    assert solution.y_end[0] == pytest.approx(np.exp(-1.0), rel=1e-5)


# How it ended


def test_an_integration_that_gives_up_says_so_without_raising():
    explode = ode.solve(
        lambda t, y, args: y**2, jnp.ones(1), jnp.array([0.0, 2.0]), max_steps=50
    )
    assert not explode.ok
    assert ode.STATUS[int(explode.status)].startswith("took max_steps")
    assert "raise max_steps" in explode.message()
    assert explode.t_end < 1.0001
    with pytest.raises(ValueError, match="does not increase"):
        ode.solve(lambda t, y, args: y, jnp.ones(1), jnp.array([0.0, 0.0]))
    with pytest.raises(ValueError, match="known: tsit5"):
        ode.solve(lambda t, y, a: y, jnp.ones(1), jnp.arange(2.0), solver="tsit")


def test_an_integration_that_arrives_says_so():
    solution = ode.solve(decay, jnp.ones(1), TS)
    assert solution.ok
    assert solution.status == 0
    assert solution.message() == "the integration reached the last time (t = 1)"
    np.testing.assert_array_almost_equal_nulp(
        np.asarray(solution.ys[-1]), np.asarray(solution.y_end), 4
    )


def test_a_state_that_is_not_finite_is_told():
    """A vector field that is not a number from t = ½ on."""
    solution = ode.solve(
        lambda t, y, args: jnp.where(t < 0.5, -y, jnp.nan), jnp.ones(1), TS
    )
    assert not solution.ok
    assert solution.status >= 2


# Derivatives, precision, batches


def end_of_decay(k, derivative):
    options = {"derivative": derivative, "solver": "dopri5"}
    return ode.solve(lambda t, y, k: -k * y, jnp.ones(()), TS, k, **options).ys[-1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("derivative", "transform"),
    [("reverse", jax.grad), ("forward", jax.jacfwd), ("any", jax.grad)],
)
def test_every_mode_of_derivative_is_the_exact_one(derivative, transform):
    """y = exp(−k t): ∂y/∂k = −t y."""
    value = jax.jit(transform(lambda k: end_of_decay(k, derivative)))(0.7)
    assert value == pytest.approx(-np.exp(-0.7), rel=1e-7 if X64 else 1e-4)


@pytest.mark.long
@pytest.mark.x64
def test_any_derivative_may_be_the_second():
    """∂²y/∂k² = t² y."""
    value = jax.jit(jax.hessian(lambda k: end_of_decay(k, "any")))(0.7)
    assert value == pytest.approx(np.exp(-0.7), rel=1e-6)


@pytest.mark.parametrize(
    "solver",
    ["tsit5", "dopri8"]
    + [pytest.param(x, marks=pytest.mark.long) for x in ("dopri5", "kvaerno5")],
)
def test_single_precision_stays_single(solver, dtype):
    field = mechanics.hamiltonian_vector_field(systems.pendulum.hamiltonian)
    y0 = PhaseState(jnp.array([0.5], dtype), jnp.array([0.1], dtype))
    solution = jax.jit(
        lambda y: ode.solve(field, y, TS, systems.pendulum.params, solver=solver)
    )(y0)
    assert solution.ok
    for leaf in jax.tree.leaves((solution.ys, solution.y_end, solution.t_end)):
        assert leaf.dtype == dtype
    energy = systems.pendulum.hamiltonian
    before, after = (
        float(energy(systems.pendulum.params, *y)) for y in (y0, solution.y_end)
    )
    assert after == pytest.approx(before, rel=1e-7 if dtype == "float64" else 1e-4)


def test_vmap_is_a_loop_and_jit_changes_nothing():
    rates = jnp.array([0.3, 1.0, 2.0])

    def end(k):
        return ode.solve(lambda t, y, k: -k * y, jnp.ones(()), TS, k).ys

    together = jax.jit(jax.vmap(end))(rates)
    tolerance = 1e-8 if X64 else 1e-5
    for row, k in zip(together, rates, strict=True):
        np.testing.assert_allclose(row, jax.jit(end)(k), rtol=tolerance)
        np.testing.assert_allclose(row, np.exp(-k * TS), rtol=tolerance)
    np.testing.assert_allclose(together[0], end(rates[0]), rtol=tolerance)


# What cannot be meant


@pytest.mark.parametrize("solver", ode.FIXED_STEP)
def test_methods_of_a_fixed_step_are_sent_to_rollout(solver):
    assert hasattr(integrators, solver)
    with pytest.raises(ValueError, match=rf"integrators\.rollout.*{solver}\("):
        ode.solve(decay, jnp.ones(1), TS, solver=solver)


def test_every_maker_of_a_step_is_known_to_need_a_fixed_one():
    table = integrators.__doc__
    named = [line.split("`")[1::2] for line in table.splitlines() if "| `" in line]
    makers = {n for row in named for n in row if hasattr(integrators, n)}
    assert makers - {"splitting"} == set(ode.FIXED_STEP)


@pytest.mark.parametrize(
    ("y0", "ts", "options", "words"),
    [
        (1.0, [0.0, 1.0], {"solver": "dopri7"}, "Did you mean 'dopri"),
        (1.0, [0.0, 1.0], {"derivative": "backward"}, "unknown derivative"),
        (1.0, [0.0], {}, "at least two times"),
        (1.0, [[0.0, 1.0]], {}, "at least two times"),
        (1.0, [0.0, 2.0, 1.0], {}, "does not increase"),
        (1, [0.0, 1.0], {}, "state has dtype int"),
        (1.0, [0.0, 1.0], {"event": lambda t, y, a: jnp.ones(2)}, "one number or one"),
    ],
)
def test_what_cannot_be_meant_is_told(y0, ts, options, words):
    with pytest.raises(ValueError, match=words):
        ode.solve(decay, jnp.asarray(y0), jnp.array(ts), **options)
