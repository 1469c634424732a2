"""What each integrator promises: its order, and what it conserves or undoes."""

import functools

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, mechanics, systems
from jaxphys.integrators import symplectic
from jaxphys.types import PhaseState, TangentState, phase_state

X64 = jax.config.jax_enable_x64

# Ruth's method of order 3, as a splitting of one's own.
RUTH3 = [(7 / 24, 2 / 3), (3 / 4, -2 / 3), (-1 / 24, 1.0)]


def of_field(make, **options):
    return lambda system: make(
        mechanics.hamiltonian_vector_field(system.hamiltonian), **options
    )


def of_energy(make):
    return lambda system: make(system.hamiltonian)


# name: (a step from a system, its order)
METHODS = {
    "euler": (of_field(integrators.euler), 1),
    "symplectic_euler": (of_energy(integrators.symplectic_euler), 1),
    "leapfrog": (of_energy(integrators.leapfrog), 2),
    "midpoint": (of_field(integrators.implicit_midpoint), 2),
    "midpoint_fixed": (
        of_field(integrators.implicit_midpoint, method="fixed_point"),
        2,
    ),
    "variational": (lambda system: integrators.variational(system.lagrangian), 2),
    "ruth3": (of_energy(integrators.splitting(RUTH3)), 3),
    "rk4": (of_field(integrators.rk4), 4),
    "yoshida4": (of_energy(integrators.yoshida4), 4),
    "gauss4": (of_field(integrators.gauss4), 4),
    "yoshida6": (of_energy(integrators.yoshida6), 6),
}
IMPLICIT = ("midpoint", "midpoint_fixed", "gauss4", "variational")
SYMPLECTIC = tuple(name for name in METHODS if name not in ("euler", "rk4"))
SYMMETRIC = tuple(
    name for name in SYMPLECTIC if name not in ("symplectic_euler", "ruth3")
)


def step_of(name, system):
    return METHODS[name][0](system)


def cast(y, dtype):
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), y)


# Order


PENDULUM = systems.pendulum()
SWING = PhaseState(np.array([1.0]), np.array([0.5]))


def ends(step, counts, dtype=None, time=2.0, t0=0.3, y0=SWING, args=PENDULUM.params):
    """The state after `time` in each of these numbers of steps, (len(counts), 2n).

    All are one computation, in which those that have arrived wait for the others.
    """
    dtype = dtype or jnp.result_type(float)

    @jax.jit
    @jax.vmap
    def run(dt):
        def wait(t, y, dt, args):
            moving = t < t0 + time - dt / 2
            after = step(t, y, dt, args)
            return jax.tree.map(lambda a, b: jnp.where(moving, a, b), after, y)

        options = {"t0": t0, "dt": dt, "num_steps": int(max(counts)), "args": args}
        return jnp.concatenate(integrators.repeat(wait, cast(y0, dtype), **options))

    return np.asarray(run(jnp.asarray(time / np.array(counts), dtype)), np.float64)


@functools.cache
def swing_exactly():
    return ends(step_of("rk4", PENDULUM), [4000 if X64 else 100])[0]


def slope_of_error(counts, errors):
    return -np.polyfit(np.log(counts), np.log(errors), 1)[0]


@pytest.mark.x64
@pytest.mark.parametrize("name", METHODS)
def test_the_order_is_the_slope_of_the_error(name):
    make, order = METHODS[name]
    counts = [64, 128, 256] if order < 3 else [32, 64, 128]
    errors = np.linalg.norm(ends(make(PENDULUM), counts) - swing_exactly(), axis=1)
    assert slope_of_error(counts, errors) == pytest.approx(order, abs=0.15)


LOW = [name for name in METHODS if METHODS[name][1] <= 2]


@pytest.mark.parametrize("name", LOW)
def test_low_orders_show_in_single_precision(name):
    make, order = METHODS[name]
    counts = [64, 128, 256] if order == 1 else [16, 32, 64]
    gaps = ends(make(PENDULUM), counts, "float32") - swing_exactly()
    slope = slope_of_error(counts, np.linalg.norm(gaps, axis=1))
    assert slope == pytest.approx(order, abs=0.25)


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
    [
        (integrators.euler, 1),
        (integrators.rk4, 4),
        (integrators.implicit_midpoint, 2),
        (integrators.gauss4, 4),
    ],
    ids=["euler", "rk4", "implicit_midpoint", "gauss4"],
)
def test_the_order_of_an_integrator_is_the_slope_of_its_error(make, order):
    """Of states that are any pytree."""
    counts = np.array([16, 32, 64, 128])
    errors = [error_at_one(make, n) for n in counts]
    assert slope_of_error(counts, errors) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize(
    ("weights", "powers"),
    [(symplectic._YOSHIDA4, (3,)), (symplectic._YOSHIDA6, (3, 5))],
    ids=["order 4", "order 6"],
)
def test_the_weights_of_yoshida_solve_his_equations(weights, powers):
    w = np.array(weights)
    np.testing.assert_array_equal(w, w[::-1])
    assert np.sum(w) == pytest.approx(1, abs=1e-15)
    for power in powers:
        assert np.sum(w**power) == pytest.approx(0, abs=1e-14)
    if 5 in powers:
        # What is left of order 6: Σ w_j³ (Σ_{i<j} w_i + w_j/2)² = 0.
        middle = np.cumsum(w) - w / 2
        assert np.sum(w**3 * middle**2) == pytest.approx(0, abs=1e-14)


@pytest.mark.x64
def test_rk4_sees_explicit_time():
    """dy/dt = 4 t³ is integrated exactly by an order-4 quadrature."""
    step = integrators.rk4(lambda t, y, args: 4 * t**3)
    end = integrators.repeat(step, 0.0, t0=1.0, dt=0.5, num_steps=4)
    assert end == pytest.approx(3**4 - 1, rel=1e-12)


@pytest.mark.x64
@pytest.mark.parametrize("substeps", [1, 3])
@pytest.mark.parametrize(
    ("make", "degree"),
    [
        (integrators.implicit_midpoint, 1),
        (integrators.rk4, 3),
        (integrators.gauss4, 3),
    ],
    ids=["implicit_midpoint", "rk4", "gauss4"],
)
def test_time_runs_through_steps_and_substeps(make, degree, substeps):
    """A quadrature of order k integrates polynomials of degree k − 1 exactly."""
    step = make(lambda t, y, args: (degree + 1) * t**degree)
    options = {"t0": 1.0, "dt": 0.5, "num_steps": 4, "substeps": substeps}
    path = jax.jit(lambda y: integrators.rollout(step, y, **options))(1.0)
    times = 1 + 0.5 * np.arange(5)
    np.testing.assert_allclose(path, times ** (degree + 1), rtol=1e-12)


def growing(k, q, p, t):
    """A mass that changes."""
    return p @ p / (2 + k * jnp.sin(2 * t)) + jnp.sum(q**2 + q**4 / 4) / 2


def shaken(k, q, p, t):
    """A spring that changes."""
    return p @ p / 2 + (1 + k * jnp.cos(3 * t)) * jnp.sum(q**2 + q**4 / 4) / 2


@functools.cache
def moved_exactly(energy):
    field = mechanics.hamiltonian_vector_field(energy, time_dependent=True)
    return ends(integrators.rk4(field), [4000], args=0.5)


@pytest.mark.x64
@pytest.mark.parametrize("energy", [shaken, growing])
@pytest.mark.parametrize(
    ("make", "order"),
    [
        (integrators.symplectic_euler, 1),
        (integrators.leapfrog, 2),
        (integrators.splitting(RUTH3), 3),
        (integrators.yoshida4, 4),
        (integrators.yoshida6, 6),
    ],
    ids=["symplectic_euler", "leapfrog", "ruth3", "yoshida4", "yoshida6"],
)
def test_splittings_keep_their_order_where_energies_move(make, order, energy):
    counts = [32, 64, 128]
    step = make(energy, time_dependent=True)
    gaps = ends(step, counts, args=0.5) - moved_exactly(energy)
    slope = slope_of_error(counts, np.linalg.norm(gaps, axis=1))
    assert slope == pytest.approx(order, abs=0.2)


@pytest.mark.x64
def test_the_variational_integrator_sees_time_at_the_middle():
    """m(t) v²/2 − q²/2, of order two, and its step is that of the midpoint rule."""

    def lagrangian(c, q, v, t):
        return (1 + 0.3 * t) * v @ v / 2 - jnp.cos(c * t) * q @ q / 2

    def hamiltonian(c, q, p, t):
        return p @ p / (2 * (1 + 0.3 * t)) + jnp.cos(c * t) * q @ q / 2

    field = mechanics.hamiltonian_vector_field(hamiltonian, time_dependent=True)
    options = {"t0": 0.4, "dt": 0.2, "num_steps": 10, "args": 1.1}
    ours, midpoint = (
        jax.jit(functools.partial(integrators.rollout, step, **options))(
            cast(SWING, float)
        )
        for step in (
            integrators.variational(lagrangian, time_dependent=True),
            integrators.implicit_midpoint(field),
        )
    )
    np.testing.assert_allclose(ours.q, midpoint.q, rtol=1e-12)
    np.testing.assert_allclose(ours.p, midpoint.p, rtol=1e-12)


# Reversibility and symplecticity


@pytest.mark.parametrize("name", METHODS)
def test_symmetric_methods_lead_back_and_others_do_not(name):
    """n steps, then time or momentum turned around, and n steps again."""
    step = step_of(name, PENDULUM)

    @jax.jit
    def run(y, dt):
        return integrators.repeat(step, y, dt=dt, num_steps=40, args=PENDULUM.params)

    def gap(y):
        return np.max(np.abs(np.concatenate(y) - np.concatenate(start)))

    start = cast(SWING, float)
    there = run(start, 0.1)
    back = run(there, -0.1)
    flipped = run(PhaseState(there.q, -there.p), 0.1)
    gaps = gap(back), gap(PhaseState(flipped.q, -flipped.p))
    if name in SYMMETRIC:
        assert max(gaps) < (1e-12 if X64 else 3e-5)
    else:
        assert min(gaps) > 1e-4


def symplectic_defect(step, system, y, dt=0.1):
    """The largest entry of |Jᵀ Ω J − Ω| for the Jacobian J of one step."""

    @jax.jit
    def jacobian(flat):
        def after(flat):
            return jnp.concatenate(step(0.0, phase_state(flat), dt, system.params))

        return jax.jacfwd(after)(flat)

    J = np.asarray(jacobian(jnp.concatenate(y)), np.float64)
    zero, one = np.zeros((2, len(y.q), len(y.q))), np.eye(len(y.q))
    omega = np.block([[zero[0], one], [-one, zero[1]]])
    return np.max(np.abs(J.T @ omega @ J - omega))


@pytest.mark.parametrize("name", SYMPLECTIC)
def test_a_symplectic_step_keeps_the_symplectic_form(name):
    system = systems.henon_heiles()
    y = system.sample(jax.random.key(0))
    defect = symplectic_defect(step_of(name, system), system, y)
    assert defect < (1e-14 if X64 else 5e-6)


@pytest.mark.parametrize("name", IMPLICIT)
def test_implicit_steps_are_symplectic_for_energies_that_do_not_separate(name):
    system = systems.double_pendulum()
    q, v = jnp.array([0.4, -0.9]), jnp.array([0.8, 1.1])
    y = PhaseState(q, mechanics.momentum(system.lagrangian)(system.params, q, v))
    defect = symplectic_defect(step_of(name, system), system, y, dt=0.05)
    assert defect < (5e-14 if X64 else 1e-4)


@pytest.mark.parametrize("name", ["euler", "rk4"])
def test_runge_kutta_is_not_symplectic(name):
    defect = symplectic_defect(step_of(name, PENDULUM), PENDULUM, cast(SWING, float))
    assert defect > 1e-7


@pytest.mark.x64
def test_leapfrog_of_an_energy_that_does_not_separate_is_not_symplectic():
    system = systems.double_pendulum()
    q, p = jnp.array([0.4, -0.9]), jnp.array([0.8, 1.1])
    step = integrators.leapfrog(system.hamiltonian)
    assert symplectic_defect(step, system, PhaseState(q, p)) > 1e-4


# Conservation


KEPLER = systems.kepler()
E = 0.5
PERICENTER = PhaseState(
    np.array([1 - E, 0.0]), np.array([0.0, np.sqrt((1 + E) / (1 - E))])
)


def energy_errors(name, per_orbit, orbits=1000, saved=10):
    """|H − H₀| at `saved` times an orbit of eccentricity ½, (orbits, saved)."""
    step = step_of(name, KEPLER)

    @jax.jit
    def run(y):
        path = integrators.rollout(
            step,
            y,
            dt=2 * np.pi / saved,
            num_steps=orbits * saved,
            substeps=per_orbit // saved,
            args=KEPLER.params,
        )
        energy = jax.vmap(KEPLER.hamiltonian, (None, 0, 0))(KEPLER.params, *path)
        return jnp.abs(energy[1:] - energy[0]).reshape(orbits, saved)

    return np.asarray(run(cast(PERICENTER, float)))


@pytest.mark.x64
@pytest.mark.parametrize(
    ("name", "per_orbit", "orbits"),
    [
        ("symplectic_euler", 200, 1000),
        ("leapfrog", 100, 1000),
        ("yoshida4", 200, 1000),
        ("variational", 100, 300),
        ("gauss4", 50, 300),
    ],
)
def test_the_energy_of_a_kepler_orbit_stays_bounded(name, per_orbit, orbits):
    errors = energy_errors(name, per_orbit, orbits)
    tenth = orbits // 10
    assert errors[-tenth:].max() < 1.1 * errors[:tenth].max()
    assert errors[:tenth].max() > 1e-6


@pytest.mark.x64
def test_the_energy_of_a_kepler_orbit_drifts_with_rk4():
    """Linearly: ten times the orbits, ten times the error."""
    errors = energy_errors("rk4", 200).max(axis=1)
    assert errors[999] == pytest.approx(10 * errors[99], rel=0.1)
    assert errors[999] > 50 * errors[9]


def test_the_energy_of_a_kepler_orbit_drifts_at_once_with_euler():
    errors = energy_errors("euler", 200, orbits=20).max(axis=1)
    assert errors[-1] > 1.5 * errors[0] > 0.1


@pytest.mark.parametrize(
    "name", ["leapfrog", "yoshida4", "yoshida6", "midpoint", "variational", "rk4"]
)
def test_angular_momentum_is_kept_to_rounding(name):
    """By all but Runge and Kutta, whatever the error of the orbit."""
    step = step_of(name, KEPLER)

    @jax.jit
    def run(y):
        path = integrators.rollout(step, y, dt=0.2, num_steps=500, args=KEPLER.params)
        return path.q[:, 0] * path.p[:, 1] - path.q[:, 1] * path.p[:, 0]

    momentum = np.asarray(run(cast(PERICENTER, float)))
    drift = np.max(np.abs(momentum - momentum[0]))
    if name == "rk4":
        assert drift > 1e-3
    else:
        assert drift < (1e-12 if X64 else 1e-4)


@pytest.mark.parametrize(
    "system", [PENDULUM, KEPLER, systems.fput_chain(4)], ids=lambda system: system.name
)
def test_the_variational_integrator_is_the_implicit_midpoint_rule(system):
    """Where the mass matrix is constant."""

    def path(name):
        options = {"dt": 0.05, "num_steps": 50, "args": system.params}
        step = step_of(name, system)
        run = jax.jit(lambda y: integrators.rollout(step, y, **options))
        return run(system.sample(jax.random.key(0)))

    ours, midpoint = path("variational"), path("midpoint")
    tolerance = 1e-11 if X64 else 5e-4
    np.testing.assert_allclose(ours.q, midpoint.q, atol=tolerance)
    np.testing.assert_allclose(ours.p, midpoint.p, atol=tolerance)


# Derivatives


def last_of(step, num_steps, **options):
    """(g, q, p) → a scalar of the state at the end of a swing."""

    def scalar(theta):
        params = PENDULUM.params._replace(gravity=theta[0])
        end = integrators.repeat(
            step,
            phase_state(theta[1:]),
            dt=0.1,
            num_steps=num_steps,
            args=params,
            **options,
        )
        return jnp.sin(end.q[0]) + end.q[0] * end.p[0]

    return scalar


THETA = np.array([6.0, 1.0, 0.5])


@pytest.mark.x64
@pytest.mark.parametrize(
    "name",
    [
        name
        if name in ("leapfrog", "rk4")
        else pytest.param(name, marks=pytest.mark.long)
        for name in METHODS
    ],
)
def test_derivatives_are_finite_differences_to_the_second_order(name):
    """By a constant and by the start, forward, backward, and both twice."""
    scalar = last_of(step_of(name, PENDULUM), 4)
    slope = jax.grad(scalar)

    @jax.jit
    def twice(theta):
        forward = jax.jacfwd(scalar)(theta)
        return forward, jax.jacfwd(slope)(theta), jax.jacrev(slope)(theta)

    h = 1e-4
    shifts = h * np.concatenate(
        [np.zeros((1, 3)), *(c * np.eye(3) for c in (1, -1, 2, -2))]
    )
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(scalar)))(THETA + shifts)
    gradient, (up, down, far_up, far_down) = slopes[0], values[1:].reshape(4, 3)
    # Central differences of order 4, and those of the gradient for the Hessian.
    differences = (8 * (up - down) - far_up + far_down) / (12 * h)
    np.testing.assert_allclose(gradient, differences, rtol=1e-8, atol=1e-9)
    forward, hessian, backward = twice(THETA)
    np.testing.assert_allclose(forward, gradient, rtol=1e-11, atol=1e-12)
    differences = (slopes[1:4] - slopes[4:7]) / (2 * h)
    np.testing.assert_allclose(hessian, differences, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(backward, hessian, rtol=1e-10, atol=1e-11)


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


@pytest.mark.parametrize("num_steps", [1, 2, 7, 10])
def test_checkpoints_change_neither_values_nor_gradients(num_steps):
    """With sub-steps and controls, whether or not the number of steps is a square."""

    def field(t, y, args):
        scale, push = args
        return PhaseState(y.p, push - scale * jnp.sin(y.q) * jnp.cos(t))

    step = integrators.rk4(field)
    controls = jnp.sin(jnp.arange(float(num_steps)))[:, None]

    def loss(scale, controls, checkpoint):
        options = {
            "dt": 0.2,
            "num_steps": num_steps,
            "args": scale,
            "controls": controls,
            "substeps": 2,
            "checkpoint": checkpoint,
        }
        path = integrators.rollout(step, cast(SWING, float), **options)
        return jnp.sum(path.q**2) + path.q[-1, 0] * path.p[-1, 0], path

    @functools.partial(jax.jit, static_argnums=2)
    def every(*args):
        slope = jax.value_and_grad(loss, (0, 1), has_aux=True)
        if num_steps != 7:
            return slope(*args)
        return slope(*args), jax.jacfwd(jax.grad(loss, has_aux=True))(*args)

    plain, kept = (every(1.3, controls, flag) for flag in (False, True))
    leaves = jax.tree.leaves(plain), jax.tree.leaves(kept)
    assert len(leaves[0]) >= 5
    for a, b in zip(*leaves, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-12 if X64 else 1e-4, atol=1e-6)


def test_checkpoints_change_no_implicit_step_and_no_flag():
    step = integrators.implicit_midpoint(
        mechanics.hamiltonian_vector_field(PENDULUM.hamiltonian)
    )

    def run(flag):
        options = {"dt": 0.1, "num_steps": 7, "args": PENDULUM.params}
        return jax.jit(
            lambda y: integrators.rollout(
                step, y, checkpoint=flag, with_info=True, **options
            )
        )(cast(SWING, float))

    for a, b in zip(
        jax.tree.leaves(run(False)), jax.tree.leaves(run(True)), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-6)


# Rollouts


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


@pytest.mark.parametrize("name", METHODS)
def test_every_step_is_the_same_batched_compiled_and_alone(name, dtype):
    """And single precision stays single."""
    step = step_of(name, PENDULUM)
    starts = PhaseState(
        jnp.array([[0.4], [1.0], [-2.0]], dtype), jnp.array([[0.1], [-0.3], [1]], dtype)
    )

    zero, dt = jnp.zeros((), dtype), jnp.asarray(0.1, dtype)

    def once(y):
        return step(zero, y, dt, PENDULUM.params)

    together = jax.jit(jax.vmap(once))(starts)
    compiled = jax.jit(once)
    tolerance = 1e-13 if dtype == "float64" else 2e-6
    for i in range(3):
        start = jax.tree.map(lambda x, i=i: x[i], starts)
        alone = compiled(start)
        for batch, single in zip(together, alone, strict=True):
            assert single.dtype == batch.dtype == dtype
            np.testing.assert_allclose(batch[i], single, rtol=tolerance, atol=tolerance)
    if name not in ("rk4", "leapfrog", "midpoint"):
        return  # of the others the parts are the same, and slow one by one
    for eager, single in zip(once(start), alone, strict=True):
        assert eager.dtype == dtype
        np.testing.assert_allclose(eager, single, rtol=tolerance, atol=tolerance)


def test_substeps_are_steps_that_are_not_kept():
    step = step_of("leapfrog", PENDULUM)

    @jax.jit
    def both(y):
        rollout = functools.partial(integrators.rollout, step, args=PENDULUM.params)
        coarse = rollout(y, dt=0.2, num_steps=5, substeps=4)
        return coarse.q, rollout(y, dt=0.05, num_steps=20).q[::4]

    coarse, fine = both(cast(SWING, float))
    np.testing.assert_allclose(coarse, fine, rtol=1e-5)


# What goes wrong on the way


def test_a_blow_up_is_told_with_its_place():
    """dy/dt = y² ends at t = 1/y₀."""
    step = integrators.rk4(lambda t, y, args: y**2)
    path, info = jax.jit(
        lambda y: integrators.rollout(step, y, dt=0.1, num_steps=40, with_info=True)
    )(jnp.ones(1))
    assert not info.finite
    assert info.converged
    bad = np.flatnonzero(~np.isfinite(np.asarray(path)[:, 0]))
    assert info.failed_at == bad[0] > 9
    last, same = jax.jit(
        lambda y: integrators.repeat(step, y, dt=0.1, num_steps=40, with_info=True)
    )(jnp.ones(1))
    assert not np.isfinite(last[0])
    assert same.failed_at == info.failed_at


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_told_where_nothing_went_wrong(name):
    _, info = jax.jit(
        lambda y: integrators.repeat(
            step_of(name, PENDULUM),
            y,
            dt=0.1,
            num_steps=3,
            args=PENDULUM.params,
            with_info=True,
        )
    )(cast(SWING, float))
    assert info.finite
    assert info.converged
    assert info.failed_at == -1


def test_a_collision_is_told_with_its_place():
    """Two bodies head on, in free flight: they meet in the middle of the third step."""
    system = systems.n_body(2, softening=0.0)
    params = system.params._replace(gravity=1e-20)
    q = jnp.array([1.25, 0.0, -1.25, 0.0])
    p = jnp.array([-0.5, 0.0, 0.5, 0.0])
    step = integrators.leapfrog(system.hamiltonian)
    options = {"dt": 0.5, "num_steps": 6, "args": params, "with_info": True}
    path, info = jax.jit(lambda y: integrators.rollout(step, y, **options))(
        PhaseState(q, p)
    )
    assert not info.finite
    assert info.failed_at == 3
    assert np.all(np.isfinite(path.q[:3]))
    params = system.params._replace(gravity=1e-20, softening=0.1)
    options["args"] = params
    assert integrators.rollout(step, PhaseState(q, p), **options)[1].finite


def test_a_start_that_is_not_finite_is_the_first_failure():
    step = integrators.euler(lambda t, y, args: y)
    _, info = integrators.repeat(
        step, jnp.array([jnp.nan]), dt=0.1, num_steps=2, with_info=True
    )
    assert not info.finite
    assert info.failed_at == 0


@pytest.mark.parametrize(
    ("method", "dt", "converged"),
    [("fixed_point", 1.5, False), ("fixed_point", 0.5, True), ("newton", 1.5, True)],
)
def test_fixed_points_are_found_below_a_time_step_only(method, dt, converged):
    """ω = 2: x − f(x) contracts by ω dt/2."""
    system = systems.mass_spring()
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)
    step = integrators.implicit_midpoint(field, method=method)
    start = PhaseState(jnp.ones(1), jnp.zeros(1))
    for apply in (integrators.rollout, integrators.repeat):
        _, info = jax.jit(
            lambda y, apply=apply: apply(
                step,
                y,
                dt=2 * dt,
                num_steps=3,
                substeps=2,
                args=system.params,
                with_info=True,
            )
        )(start)
        assert bool(info.converged) == converged
        assert info.failed_at == (-1 if converged else 1)


def test_a_projected_implicit_step_keeps_its_flag():
    """Onto the circle, a harmonic oscillator's level set of energy."""

    def rescaled(y, args):
        size = jnp.sqrt(y.q @ y.q + y.p @ y.p)
        return PhaseState(y.q / size, y.p / size)

    system = systems.mass_spring()
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)
    start = PhaseState(jnp.ones(1), jnp.zeros(1))
    for dt, converged in ((0.5, True), (1.5, False)):
        step = integrators.implicit_midpoint(field, method="fixed_point")
        step = integrators.projected(step, rescaled)
        assert isinstance(step, integrators.ImplicitStep)
        y, info = jax.jit(step.with_info)(0.0, start, dt, system.params)
        assert bool(info.converged) == converged
        if converged:
            assert float(y.q @ y.q + y.p @ y.p) == pytest.approx(1, abs=1e-6)
    _, info = integrators.repeat(
        step, start, dt=1.5, num_steps=2, args=system.params, with_info=True
    )
    assert not info.converged


def test_a_projected_explicit_step_obeys_its_constraint():
    field = mechanics.hamiltonian_vector_field(systems.mass_spring.hamiltonian)
    step = integrators.projected(
        integrators.euler(field), lambda y, args: PhaseState(y.q, jnp.abs(y.p))
    )
    start = PhaseState(jnp.ones(1), jnp.zeros(1))
    path = integrators.rollout(
        step, start, dt=0.1, num_steps=9, args=systems.mass_spring.params
    )
    assert np.all(path.p >= 0)
    assert path.p[1] == pytest.approx(0.2)


# What cannot be meant


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dt": 0.0, "num_steps": 3}, "dt is 0.0"),
        ({"dt": float("nan"), "num_steps": 3}, "finite"),
        ({"dt": float("inf"), "num_steps": 3}, "dt is inf"),
        ({"dt": 0.1, "num_steps": 0}, "num_steps is 0"),
        ({"dt": 0.1, "num_steps": 2.5}, "whole number"),
        ({"dt": 0.1, "num_steps": 3, "substeps": 0}, "substeps is 0"),
        (
            {"dt": 0.1, "num_steps": 3, "controls": jnp.ones(4)},
            "expected one value per step",
        ),
    ],
)
def test_time_grids_that_cannot_be_meant_are_told(options, words):
    for apply in (integrators.rollout, integrators.repeat):
        with pytest.raises(ValueError, match=words):
            apply(integrators.rk4(lambda t, y, args: y), 1.0, **options)


def test_states_of_whole_numbers_are_told():
    step = integrators.rk4(lambda t, y, args: y)
    with pytest.raises(ValueError, match=r"dtype int.*expected a floating"):
        integrators.rollout(step, jnp.ones(2, int), dt=0.1, num_steps=2)


@pytest.mark.parametrize(
    ("coefficients", "words"),
    [
        ([(0.5, 1.0), (0.4, 0.0)], "drifts sum to 0.9"),
        ([(0.5, 0.7), (0.5, 0.0)], "kicks sum to 0.7"),
    ],
)
def test_coefficients_of_an_inconsistent_splitting_are_told(coefficients, words):
    with pytest.raises(ValueError, match=words):
        integrators.splitting(coefficients)


@pytest.mark.parametrize("name", ["leapfrog", "variational"])
def test_steps_of_phase_space_tell_what_they_take(name):
    step = step_of(name, PENDULUM)
    with pytest.raises(ValueError, match="phase_state"):
        step(0.0, jnp.ones(2), 0.1, PENDULUM.params)
    with pytest.raises(ValueError, match="PhaseState"):
        step(0.0, TangentState(jnp.ones(1), jnp.ones(1)), 0.1, PENDULUM.params)
    with pytest.raises(ValueError, match=r"use jax\.vmap"):
        step(0.0, PhaseState(jnp.ones((2, 1)), jnp.ones((2, 1))), 0.1, PENDULUM.params)


def test_methods_of_an_implicit_step_are_told():
    with pytest.raises(ValueError, match="Did you mean 'newton'"):
        integrators.gauss4(lambda t, y, args: -y, method="newtn")


def gradient_memory(num_steps, checkpoint):
    """Bytes of temporaries in the compiled gradient of a rollout's end."""
    step = integrators.rk4(mechanics.vector_field(PENDULUM))
    start = PhaseState(jnp.ones(1), jnp.zeros(1))

    def end(gravity):
        args = PENDULUM.params._replace(gravity=gravity)
        last = integrators.repeat(
            step, start, dt=1e-3, num_steps=num_steps, args=args, checkpoint=checkpoint
        )
        return last.q[0]

    compiled = jax.jit(jax.grad(end)).lower(6.0).compile()
    return compiled.memory_analysis().temp_size_in_bytes


def test_with_checkpoints_memory_grows_as_the_root_of_the_number_of_steps():
    many, few = 10_000, 400
    assert gradient_memory(many, False) > 20 * gradient_memory(few, False)
    assert gradient_memory(many, True) < 6 * gradient_memory(few, True)
    assert gradient_memory(many, True) < gradient_memory(many, False) / 30


def test_a_singular_mass_matrix_shows_in_the_info():
    def flat(params, q, v):
        return (v[0] + v[1]) ** 2 / 2 - q @ q

    step = integrators.rk4(mechanics.lagrangian_vector_field(flat))
    start = TangentState(jnp.ones(2), jnp.zeros(2))
    _, info = integrators.rollout(step, start, dt=0.1, num_steps=3, with_info=True)
    assert not info.finite
    assert info.failed_at == 1
    mended = mechanics.lagrangian_vector_field(flat, regularization=1e-3)
    _, info = integrators.rollout(
        integrators.rk4(mended), start, dt=0.01, num_steps=3, with_info=True
    )
    assert info.finite


class Constants:
    """What is no pytree is one leaf."""

    rate = 2.0


OF_ANY_KIND = {
    "a number that decides how often": (
        lambda t, y, args: -sum(y**k for k in range(1, args["n"])),
        {"n": 3},
        lambda y: -y - y**2,
    ),
    "a flag": (lambda t, y, args: -y if args else y, True, lambda y: -y),
    "a name": (
        lambda t, y, args: -y if args[0] == "decay" else y,
        ("decay", 1.0),
        lambda y: -y,
    ),
    "a function": (lambda t, y, args: args["f"](y), {"f": jnp.sin}, jnp.sin),
    "an object": (lambda t, y, args: -args.rate * y, Constants(), lambda y: -2.0 * y),
}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("kind", OF_ANY_KIND)
def test_args_may_be_anything_that_a_field_reads(kind, checkpoint):
    field, args, plain = OF_ANY_KIND[kind]
    y = jnp.array([0.3, -0.2])

    def end(field, y, args):
        path = integrators.rollout(
            integrators.rk4(field),
            y,
            dt=0.1,
            num_steps=3,
            args=args,
            checkpoint=checkpoint,
        )
        return jnp.sum(path**2)

    ours = jax.value_and_grad(end, 1)(field, y, args)
    expected = jax.value_and_grad(end, 1)(lambda t, y, args: plain(y), y, None)
    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-12), ours, expected
    )


def test_a_module_of_equinox_is_learned_through_a_rollout():
    net = equinox.nn.MLP(2, 2, 8, 1, jnp.tanh, key=jax.random.key(0))
    weights, rest = equinox.partition(net, equinox.is_array)
    y = jnp.ones(2, net.layers[0].weight.dtype)

    def end(args, scalarize):
        step = integrators.rk4(lambda t, y, net: net(y))
        options = {"dt": 0.1, "num_steps": 3, "scalarize": scalarize}
        return jnp.sum(integrators.repeat(step, y, args=args, **options))

    slopes = equinox.filter_grad(lambda net: end(net, True))(net)
    expected = jax.grad(lambda w: end(equinox.combine(w, rest), False))(weights)
    for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


def test_a_step_knows_its_length_and_a_state_may_hold_a_key():
    def step(t, state, dt, args):
        key, x = state
        key, own = jax.random.split(key)
        return key, x + float(dt) ** 0.5 * jax.random.normal(own, x.shape, x.dtype)

    start = jax.random.key(0), jnp.zeros(2)
    paths = integrators.rollout(step, start, dt=0.25, num_steps=400)[1]
    assert float(jnp.std(jnp.diff(paths, axis=0))) == pytest.approx(0.5, rel=0.1)
