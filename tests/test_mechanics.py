"""From an energy to its dynamics: the identities of mechanics, and what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_system import EVERY

from jaxphys import integrators, mechanics, systems
from jaxphys.types import PhaseState, System, TangentState, phase_state, tangent_state

X64 = jax.config.jax_enable_x64
SMALL = {
    "wave": {"num_nodes": 6},
    "fput_chain": {"num_particles": 5, "beta": 0.3},
    "toda_chain": {"num_particles": 4},
    "n_body": {"num_bodies": 3},
}
RELATIVISTIC = ("relativistic_particle", "special_relativity")


def small(name):
    return systems.get(name, **SMALL.get(name, {}))


def tangents(system, num=4):
    """States in velocities, (num, n) each; the fast particles not quite at c."""
    sample = jax.jit(jax.vmap(system.sample_tangent))
    q, v = sample(jax.random.split(jax.random.key(0), num))
    return TangentState(q, 0.9 * v if system.name in RELATIVISTIC else v)


def assert_close(actual, desired, double=1e-10, single=2e-4):
    """Agreement relative to 1 + the largest entry, at the precision of `actual`."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape
    tolerance = double if actual.dtype == np.float64 else single
    worst = np.max(np.abs(actual - desired))
    assert worst <= tolerance * (1 + np.max(np.abs(desired))), worst


def published_acceleration(lagrangian, params, q, v):
    """Eq. 6 of Lagrangian Neural Networks, as its authors compute it."""
    mass = jax.hessian(lagrangian, 2)(params, q, v)
    mixed = jax.jacobian(jax.jacobian(lagrangian, 2), 1)(params, q, v)
    push = jax.grad(lagrangian, 1)(params, q, v) - mixed @ v
    return jnp.linalg.pinv(mass) @ push


def random_lagrangian(n, seed=0):
    """v²/2 and a convex network of (q, v): a positive definite mass matrix."""
    generator = np.random.default_rng(seed)
    weights = jnp.asarray(generator.normal(size=(7, 2 * n)) / np.sqrt(n))
    bias, out = (jnp.asarray(x) for x in generator.uniform(size=(2, 7)))

    def lagrangian(scale, q, v):
        hidden = jax.nn.softplus(weights @ jnp.concatenate([q, v]) + bias)
        return scale * (v @ v / 2 + out @ hidden)

    q, v = (jnp.asarray(x) for x in generator.normal(size=(2, n)))
    return lagrangian, q, v


# Flow in phase space


def divergence(field, params):
    def at(q, p):
        flat = jnp.concatenate([q, p])
        slope = jax.jacfwd(
            lambda x: jnp.concatenate(field(0.0, phase_state(x), params))
        )(flat)
        return jnp.trace(slope), jnp.max(jnp.abs(slope))

    return jax.jit(jax.vmap(at))


@pytest.mark.parametrize(
    "name",
    ["duffing", "double_pendulum", "charged_particle", "kepler", "free_rigid_body"],
)
def test_the_flow_of_a_hamiltonian_keeps_volume(name):
    """Liouville: the divergence of (∂H/∂p, −∂H/∂q) is zero."""
    system = small(name)
    q, v = tangents(system)
    momenta = jax.vmap(mechanics.momentum(system.lagrangian), (None, 0, 0))
    p = jax.jit(momenta)(system.params, q, v)
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)
    trace, size = divergence(field, system.params)(q, p)
    assert np.all(np.abs(trace) <= (1e-12 if X64 else 1e-5) * size)


def test_dissipation_shrinks_volume_at_the_trace_of_the_inverse_mass():
    system = systems.double_pendulum()
    q, p = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 4))
    field = mechanics.hamiltonian_vector_field(
        system.hamiltonian, dissipation=lambda params, q, v: 0.3 * v @ v / 2
    )
    trace, _ = divergence(field, system.params)(q, p)
    mass = mechanics.mass_matrix(system.lagrangian)
    expected = [-0.3 * np.trace(np.linalg.inv(mass(system.params, x, x))) for x in q]
    assert np.all(np.asarray(expected) < 0)
    assert_close(trace, np.array(expected))


# Poisson brackets


def first(c, q, p):
    return jnp.sin(q[0] * p[1]) + c * q[2] ** 2 * p[0]


def second(c, q, p):
    return q @ q * p[2] + jnp.cos(c * p[1]) * q[0]


def third(c, q, p):
    return jnp.exp(-(p @ p) / 5) * q[1] + q[0] * p[0]


Q, P = np.array([0.3, -0.7, 1.1]), np.array([0.4, 0.9, -0.2])


def test_a_poisson_bracket_is_antisymmetric_and_obeys_jacobi():
    bracket = mechanics.poisson_bracket
    pair = jax.jit(bracket(first, second))(0.8, Q, P)
    assert abs(pair) > 0.1
    assert_close(jax.jit(bracket(second, first))(0.8, Q, P), -pair)

    @jax.jit
    def terms(q, p):
        return [
            bracket(a, bracket(b, c))(0.8, q, p)
            for a, b, c in (
                (first, second, third),
                (second, third, first),
                (third, first, second),
            )
        ]

    nested = np.array(terms(jnp.asarray(Q), jnp.asarray(P)))
    assert np.min(np.abs(nested)) > 1e-3
    assert_close(np.sum(nested), np.zeros((), nested.dtype), 1e-13, 1e-5)


def test_positions_and_momenta_are_conjugate():
    positions = [lambda c, q, p, i=i: q[i] for i in range(3)]
    momenta = [lambda c, q, p, i=i: p[i] for i in range(3)]

    def table(left, right):
        return [
            [float(mechanics.poisson_bracket(f, g)(None, Q, P)) for g in right]
            for f in left
        ]

    np.testing.assert_array_equal(table(positions, momenta), np.eye(3))
    np.testing.assert_array_equal(table(positions, positions), np.zeros((3, 3)))
    np.testing.assert_array_equal(table(momenta, momenta), np.zeros((3, 3)))


def test_the_angular_momenta_are_the_algebra_of_rotations():
    def component(i):
        return lambda c, q, p: jnp.cross(q, p)[i]

    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        bracket = mechanics.poisson_bracket(component(i), component(j))
        assert_close(bracket(None, Q, P), np.cross(Q, P)[k], 1e-14, 1e-6)


@pytest.mark.parametrize("name", ["double_pendulum", "henon_heiles", "kepler"])
def test_the_bracket_with_the_energy_is_the_rate_along_the_flow(name):
    system = small(name)
    q, p = system.sample(jax.random.key(1))

    def watched(params, q, p):
        return q[0] * p[1] ** 2 + jnp.sin(q[1] + p[0])

    field = mechanics.hamiltonian_vector_field(system.hamiltonian)

    @jax.jit
    def both(q, p):
        bracket = mechanics.poisson_bracket(watched, system.hamiltonian)
        along = tuple(field(0.0, PhaseState(q, p), system.params))
        _, rate = jax.jvp(lambda q, p: watched(None, q, p), (q, p), along)
        return bracket(system.params, q, p), rate

    bracket, rate = both(q, p)
    assert abs(rate) > 1e-3
    assert_close(bracket, rate)


# Lagrangians


GAUGED = [
    "pendulum",
    "double_pendulum",
    "elastic_pendulum",
    "kepler",
    "charged_particle",
    "free_rigid_body",
    "fput_chain",
]


def gauge(q):
    return jnp.sum(jnp.sin(1.3 * q)) + q[0] * q[-1] ** 2


@pytest.mark.parametrize("name", GAUGED)
def test_scale_and_total_derivatives_of_a_lagrangian_are_not_seen(name):
    """α L + c dF(q)/dt has the accelerations of L."""
    system = small(name)

    def changed(params, q, v):
        return 2.7 * system.lagrangian(params, q, v) + 0.8 * jax.grad(gauge)(q) @ v

    def of(lagrangian):
        accelerate = mechanics.acceleration(lagrangian)
        return jax.jit(jax.vmap(lambda q, v: accelerate(system.params, q, v)))

    states = tangents(system)
    assert_close(of(changed)(*states), of(system.lagrangian)(*states), 1e-10, 1e-3)


def test_a_total_derivative_that_depends_on_time_is_not_seen_either():
    system = systems.double_pendulum()

    def timed(q, t):
        return jnp.sin(t) * gauge(q) + t**2 * q[0]

    def changed(params, q, v, t):
        slope, rate = jax.grad(timed, (0, 1))(q, t)
        return system.lagrangian(params, q, v) + slope @ v + rate

    q, v = system.sample_tangent(jax.random.key(0))
    accelerate = jax.jit(mechanics.acceleration(changed, time_dependent=True))
    plain = jax.jit(mechanics.acceleration(system.lagrangian))
    expected = plain(system.params, q, v)
    assert_close(accelerate(system.params, q, v, 0.7), expected, 1e-10, 1e-3)


@pytest.mark.parametrize("name", EVERY)
def test_the_acceleration_of_a_system_is_the_published_formula(name):
    system = small(name)
    accelerate = mechanics.acceleration(system.lagrangian)

    @jax.jit
    @jax.vmap
    def both(q, v):
        args = system.params, q, v
        return accelerate(*args), published_acceleration(system.lagrangian, *args)

    ours, published = both(*tangents(system))
    assert np.max(np.abs(published)) > 1e-3
    assert_close(ours, published, 1e-9, 1e-3)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_the_acceleration_of_a_network_is_the_published_formula(n):
    lagrangian, q, v = random_lagrangian(n)

    @jax.jit
    def every(scale, q, v):
        return (
            published_acceleration(lagrangian, scale, q, v),
            mechanics.acceleration(lagrangian)(scale, q, v),
            mechanics.acceleration(lagrangian, positive=True)(scale, q, v),
        )

    published, ours, by_cholesky = every(1.4, q, v)
    assert_close(ours, published)
    assert_close(by_cholesky, published)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_regularization_adds_to_the_mass_matrix(n):
    lagrangian, q, v = random_lagrangian(n)

    @jax.jit
    def every(q, v):
        return (
            mechanics.equations_of_motion(lagrangian)(1.0, q, v),
            mechanics.mass_matrix(lagrangian)(1.0, q, v),
            mechanics.acceleration(lagrangian, regularization=0.5)(1.0, q, v),
        )

    (mass, push), matrix, mended = every(q, v)
    assert_close(matrix, mass)
    assert_close(mended, np.linalg.solve(mass + 0.5 * np.eye(n), push))


def test_a_singular_mass_matrix_is_foretold_and_mended():
    def flat(params, q, v):
        return (v[0] + v[1]) ** 2 / 2 - q[0]

    q = v = jnp.ones(2)
    assert mechanics.mass_condition(flat)(None, q, v) < 1e-6
    assert not np.all(np.isfinite(mechanics.acceleration(flat)(None, q, v)))
    mended = mechanics.acceleration(flat, regularization=1.0)(None, q, v)
    assert_close(mended, np.array([-2 / 3, 1 / 3]), 1e-12, 1e-6)


def test_the_condition_of_a_mass_matrix_is_the_ratio_of_its_eigenvalues():
    def condition(lagrangian):
        return mechanics.mass_condition(lagrangian)(None, jnp.ones(2), jnp.ones(2))

    assert condition(lambda c, q, v: v[0] ** 2 - 2 * v[1] ** 2) == pytest.approx(0.5)
    assert condition(lambda c, q, v: q @ q + 0 * v @ v) == 0


# Hamilton's equations are Lagrange's


@pytest.mark.parametrize("name", EVERY)
def test_both_energies_of_a_system_give_one_motion(name):
    """v = ∂H/∂p at p = ∂L/∂v, both energies agree, and dp/dt is −∂H/∂q."""
    system = small(name)
    params = system.params
    momentum = mechanics.momentum(system.lagrangian)
    accelerate = mechanics.acceleration(system.lagrangian)
    field = mechanics.hamiltonian_vector_field(system.hamiltonian)

    @jax.jit
    @jax.vmap
    def both(q, v):
        a = accelerate(params, q, v)
        p, force = jax.jvp(lambda q, v: momentum(params, q, v), (q, v), (v, a))
        rate = field(0.0, PhaseState(q, p), params)
        energies = (
            mechanics.energy(system.lagrangian)(params, q, v),
            system.hamiltonian(params, q, p),
        )
        return (rate.q, v), (rate.p, force), energies

    for hamiltonian, lagrangian in both(*tangents(system)):
        assert_close(hamiltonian, lagrangian, 1e-9, 1e-3)


TRANSFORMED = [
    "double_pendulum",
    "charged_particle",
    "special_relativity",
    pytest.param("pendulum", marks=pytest.mark.long),
    pytest.param("free_rigid_body", marks=pytest.mark.long),
    pytest.param("three_body", marks=pytest.mark.long),
    pytest.param("relativistic_particle", marks=pytest.mark.long),
]


@pytest.mark.parametrize("name", TRANSFORMED)
def test_each_energy_is_the_legendre_transform_of_the_other(name):
    system = small(name)
    params = system.params

    @jax.jit
    @jax.vmap
    def both(q, v):
        p = mechanics.momentum(system.lagrangian)(params, q, v)
        solved, info = mechanics.conjugate(system.lagrangian)(params, q, p)
        return (
            info.converged,
            (solved, v),
            (
                mechanics.legendre(system.lagrangian)(params, q, p),
                system.hamiltonian(params, q, p),
            ),
            (
                mechanics.legendre(system.hamiltonian)(params, q, v),
                system.lagrangian(params, q, v),
            ),
        )

    converged, *pairs = both(*tangents(system))
    assert np.all(converged)
    for actual, desired in pairs:
        assert_close(actual, desired, 1e-9, 1e-3)


def test_the_legendre_transform_holds_near_the_speed_of_light(dtype):
    system = systems.special_relativity(gravity=0.0)
    params, q = system.params, jnp.zeros(1, dtype)
    energy = jax.jit(mechanics.legendre(system.lagrangian))
    lagrangian = jax.jit(mechanics.legendre(system.hamiltonian))
    fast, hard = jnp.array([0.99], dtype), jnp.array([30.0], dtype)
    assert_close(lagrangian(params, q, fast), -np.sqrt(1 - 0.99**2), 1e-12, 1e-5)
    assert_close(energy(params, q, hard), np.sqrt(901), 1e-12, 1e-5)
    assert energy(params, q, hard).dtype == dtype


def test_the_legendre_transform_is_its_own_inverse():
    def lagrangian(k, q, v):
        return jnp.sum(jnp.cosh(v)) + q[0] * v[1] - k * q @ q

    q, v = jnp.array([0.3, -0.4]), jnp.array([0.6, -1.1])
    twice = jax.jit(mechanics.legendre(mechanics.legendre(lagrangian)))
    assert_close(twice(0.5, q, v), lagrangian(0.5, q, v), 1e-12, 1e-5)


def test_the_legendre_transform_of_a_quadratic_differentiates_by_its_constants():
    """H = p²/2m: ∂H/∂m = −p²/2m², ∂²H/∂m² = p²/m³, ∂²H/∂m∂p = −p/m²."""
    energy = mechanics.legendre(lambda m, q, v: m * v @ v / 2)

    def of(m, p):
        return energy(m, jnp.zeros(1), jnp.reshape(p, (1,)))

    m, p = 1.7, 0.9
    assert_close(jax.jit(jax.grad(of))(m, p), -(p**2) / (2 * m**2), 1e-12, 1e-5)
    ((mm, mp), (_, pp)) = jax.jit(jax.hessian(of, (0, 1)))(m, p)
    assert_close(mm, p**2 / m**3, 1e-12, 1e-5)
    assert_close(mp, -p / m**2, 1e-12, 1e-5)
    assert_close(pp, 1 / m, 1e-12, 1e-5)


def test_the_legendre_transform_has_derivatives_to_the_third_order():
    """H = √(1 + p²) of L = −√(1 − v²), and its three derivatives by p."""
    energy = mechanics.legendre(lambda c, q, v: -jnp.sum(jnp.sqrt(1 - v**2)))

    def of(p):
        return energy(None, jnp.zeros(1), jnp.reshape(p, (1,)))

    p = 1.2
    slope = jax.grad(of)
    bend = jax.jacfwd(slope)
    turn = jax.grad(bend)
    s = 1 + p**2
    actual = jnp.stack([jax.jit(f)(p) for f in (of, slope, bend, turn)])
    desired = [s**0.5, p * s**-0.5, s**-1.5, -3 * p * s**-2.5]
    assert_close(actual, np.array(desired), 1e-10, 1e-4)


@pytest.mark.parametrize(
    ("lagrangian", "momentum"),
    [
        (lambda c, q, v: jnp.sum(v), 2.0),
        (lambda c, q, v: jnp.sum(jnp.sqrt(1 + v**2)), 2.0),
    ],
    ids=["linear in v", "bounded momentum"],
)
def test_a_momentum_that_no_velocity_has_is_told(lagrangian, momentum):
    q, p = jnp.zeros(1), jnp.array([momentum])
    _, info = jax.jit(mechanics.conjugate(lagrangian))(None, q, p)
    assert not info.converged
    assert np.isnan(jax.jit(mechanics.legendre(lagrangian))(None, q, p))


def test_a_momentum_within_its_bounds_has_its_velocity():
    bounded = mechanics.conjugate(lambda c, q, v: jnp.sum(jnp.sqrt(1 + v**2)))
    v, info = jax.jit(bounded)(None, jnp.zeros(1), jnp.array([0.9]))
    assert info.converged
    assert_close(v, np.array([0.9 / np.sqrt(1 - 0.81)]), 1e-12, 1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_natural_energies_are_t_plus_v_and_t_minus_v(n):
    spread = jnp.asarray(np.random.default_rng(n).normal(size=(n, n)))

    def mass(scale, q):
        return scale * (spread @ spread.T + jnp.eye(n) * (1 + q @ q))

    H, L = mechanics.natural(mass, lambda scale, q: scale * jnp.cos(q[0]))
    q, w = jax.random.normal(jax.random.key(0), (2, n))
    matrix, potential = np.asarray(mass(1.5, q), float), 1.5 * np.cos(q[0])
    x = np.asarray(w, float)
    every = jax.jit(lambda *y: (L(*y), H(*y), mechanics.mass_matrix(L)(*y)))
    lagrangian, hamiltonian, second = every(1.5, q, w)
    assert_close(lagrangian, x @ matrix @ x / 2 - potential)
    assert_close(hamiltonian, x @ np.linalg.solve(matrix, x) / 2 + potential)
    assert_close(second, matrix)


# Energies that depend on time, forces, friction, controls


def growing(t):
    return 1 + 0.3 * t + 0.1 * jnp.sin(t)


def timed_hamiltonian(k, q, p, t):
    return p @ p / (2 * growing(t)) + k * q @ q / 2


def timed_lagrangian(k, q, v, t):
    return growing(t) * v @ v / 2 - k * q @ q / 2


def test_a_mass_that_grows_slows_its_particle():
    """d(m v)/dt = −k q: q̈ = −(k q + ṁ v)/m, and dp/dt = −k q."""
    k, t, q, v = 2.0, 0.8, 0.5, -0.7
    m, rate = 1 + 0.3 * t + 0.1 * np.sin(t), 0.3 + 0.1 * np.cos(t)
    q_, v_ = jnp.array([q]), jnp.array([v])
    field = mechanics.lagrangian_vector_field(timed_lagrangian, time_dependent=True)
    slope = jax.jit(field)(t, TangentState(q_, v_), k)
    assert_close(slope.v, np.array([-(k * q + rate * v) / m]), 1e-12, 1e-6)
    p = mechanics.momentum(timed_lagrangian)(k, q_, v_, t)
    assert_close(p, np.array([m * v]), 1e-12, 1e-6)
    field = mechanics.hamiltonian_vector_field(timed_hamiltonian, time_dependent=True)
    slope = jax.jit(field)(t, PhaseState(q_, p), k)
    assert_close(slope.q, v_, 1e-12, 1e-6)
    assert_close(slope.p, np.array([-k * q]), 1e-12, 1e-6)


def test_both_flows_of_a_timed_energy_are_one_motion():
    start = jnp.array([0.5, -0.7])
    options = {"t0": 0.4, "dt": 0.02, "num_steps": 150, "args": 2.0}
    fields = (
        (mechanics.hamiltonian_vector_field, timed_hamiltonian, phase_state),
        (mechanics.lagrangian_vector_field, timed_lagrangian, tangent_state),
    )
    ends = []
    for make, energy, state in fields:
        y0 = state(start)
        if state is phase_state:
            p = mechanics.momentum(timed_lagrangian)(2.0, y0.q, y0.p, 0.4)
            y0 = PhaseState(y0.q, p)
        step = integrators.rk4(make(energy, time_dependent=True))
        ends.append(jax.jit(lambda y, s=step: integrators.repeat(s, y, **options))(y0))
    assert_close(ends[0].q, ends[1].q, 1e-7, 1e-4)
    t = 0.4 + 150 * 0.02
    assert_close(ends[0].p, ends[1].v * growing(t), 1e-7, 1e-4)


def test_forces_and_friction_enter_both_equations_of_motion():
    """m v̇ = −k q − c v + F(t), with F also of the position and the constants."""
    m, k, c, t = 1.5, 2.0, 0.4, 0.9
    q, v = jnp.array([0.5, -0.2]), jnp.array([0.3, 0.8])

    def force(t, y, params):
        return params[1] * jnp.cos(t) * y.q[::-1]

    options = {"force": force, "dissipation": lambda params, q, v: c * v @ v / 2}
    expected = -k * q - c * v + k * np.cos(t) * q[::-1]
    field = mechanics.hamiltonian_vector_field(
        lambda params, q, p: p @ p / (2 * params[0]) + params[1] * q @ q / 2, **options
    )
    slope = field(t, PhaseState(q, m * v), (m, k))
    assert_close(slope.q, v, 1e-12, 1e-6)
    assert_close(slope.p, expected, 1e-12, 1e-6)

    def lagrangian(params, q, v):
        return params[0] * v @ v / 2 - params[1] * q @ q / 2

    field = mechanics.lagrangian_vector_field(lagrangian, **options)
    slope = field(t, TangentState(q, v), (m, k))
    assert_close(slope.v, expected / m, 1e-12, 1e-6)
    accelerate = mechanics.acceleration(lagrangian, **options)
    assert_close(accelerate((m, k), q, v, t), expected / m, 1e-12, 1e-6)
    at_zero = (-k * q - c * v + k * q[::-1]) / m
    assert_close(accelerate((m, k), q, v), at_zero, 1e-12, 1e-6)


def test_friction_takes_energy_at_twice_rayleighs_function():
    system = systems.double_pendulum()
    field = mechanics.hamiltonian_vector_field(
        system.hamiltonian, dissipation=lambda params, q, v: 0.3 * v @ v / 2
    )

    @jax.jit
    def power(q, p):
        along = tuple(field(0.0, PhaseState(q, p), system.params))
        return jax.jvp(
            lambda q, p: system.hamiltonian(system.params, q, p), (q, p), along
        )[1]

    q, v = system.sample_tangent(jax.random.key(3))
    p = mechanics.momentum(system.lagrangian)(system.params, q, v)
    assert_close(power(q, p), -0.3 * np.sum(np.asarray(v) ** 2), 1e-10, 1e-4)


def test_a_system_brings_its_friction_and_its_force():
    system = systems.driven_oscillator()
    field = mechanics.vector_field(system)
    m, k, c, amplitude, frequency = system.params
    q, p, t = 0.4, -0.6, 0.9
    slope = field(t, PhaseState(jnp.array([q]), jnp.array([p])), system.params)
    assert_close(slope.q, np.array([p / m]), 1e-12, 1e-6)
    push = -k * q - c * p / m + amplitude * np.cos(frequency * t)
    assert_close(slope.p, np.array([push]), 1e-12, 1e-6)
    slope = mechanics.vector_field(system._replace(hamiltonian=None))(
        t, TangentState(jnp.array([q]), jnp.array([p / m])), system.params
    )
    assert_close(slope.v, np.array([push / m]), 1e-12, 1e-6)


def test_controls_push_the_same_way_in_both_forms():
    """A double pendulum under torques held over each step, by H and by L."""
    system = systems.double_pendulum()
    params = system.params
    start = TangentState(jnp.array([0.4, -0.3]), jnp.array([0.1, 0.2]))
    torques = jax.random.normal(jax.random.key(0), (20, 1))

    def force(u):
        return jnp.stack([u[0], -2 * u[0]])

    options = {"dt": 0.05, "num_steps": 20, "args": params, "substeps": 10}

    @jax.jit
    def both(torques):
        momentum = mechanics.momentum(system.lagrangian)
        field = mechanics.hamiltonian_vector_field(
            mechanics.controlled(system.hamiltonian, force)
        )
        y0 = PhaseState(start.q, momentum(params, *start))
        rollout = integrators.rollout
        by_h = rollout(integrators.rk4(field), y0, controls=torques, **options)
        field = mechanics.lagrangian_vector_field(
            mechanics.controlled_lagrangian(system.lagrangian, force)
        )
        by_l = rollout(integrators.rk4(field), start, controls=torques, **options)
        return by_h.q, by_l.q

    by_h, by_l = both(torques)
    assert_close(by_h, by_l, 1e-7, 1e-3)
    free, _ = both(0 * torques)
    assert np.max(np.abs(free - by_h)) > 0.1


# Constraints


def falling(params, q, v):
    """Point masses (x₁, y₁, x₂, y₂, …) under gravity g; params are (masses, g)."""
    masses, gravity = params
    speeds = jnp.sum(v.reshape(-1, 2) ** 2, axis=1)
    return jnp.asarray(masses) @ (speeds / 2 - gravity * q[1::2])


def rods(params, q):
    """Bodies on rods of unit length, each on the one before; 0 where they hold."""
    del params
    joints = jnp.concatenate([jnp.zeros((1, 2), q.dtype), q.reshape(-1, 2)])
    return (jnp.sum(jnp.diff(joints, axis=0) ** 2, axis=1) - 1) / 2


def hung(angles, rates):
    """Positions and velocities of bodies at the ends of unit rods at these angles."""

    def bodies(angles):
        ends = jnp.stack([jnp.sin(angles), -jnp.cos(angles)], axis=1)
        return jnp.cumsum(ends, axis=0).ravel()

    return TangentState(*jax.jvp(bodies, (angles,), (rates,)))


@pytest.mark.parametrize(
    ("name", "masses"),
    [("pendulum", (0.5,)), ("double_pendulum", (1.0, 1.0)), ("pendulum_chain", (1.0,))],
)
def test_constraints_move_as_angles_do(name, masses):
    """Rods by multipliers in x and y are the pendula of `systems` in angles."""
    system = systems.get(name, **({"num_pendula": 1} if "chain" in name else {}))
    n = len(masses)
    params = (masses, float(system.params.gravity))
    angles, rates = jnp.array([0.9, -0.4])[:n], jnp.array([0.5, 1.0])[:n]
    options = {"dt": 0.05, "num_steps": 20, "substeps": 10}

    @jax.jit
    def both(angles, rates):
        field = mechanics.lagrangian_vector_field(system.lagrangian)
        start = TangentState(angles, rates)
        step = integrators.rk4(field)
        free = integrators.rollout(step, start, args=system.params, **options)
        step = integrators.rk4(mechanics.constrained(falling, rods).vector_field)
        held = integrators.rollout(step, hung(angles, rates), args=params, **options)
        return jax.vmap(hung)(*free), held

    for actual, desired in zip(*both(angles, rates), strict=True):
        assert_close(actual, desired, 1e-6, 1e-3)


def test_the_multiplier_of_a_rod_is_its_tension():
    """T = m (g cos θ + l ω²), along the rod; the constraint in units of length."""
    mass, gravity, length, angle, rate = 0.7, 9.8, 1.3, 0.6, 2.0
    swing = mechanics.constrained(
        falling, lambda params, q: (jnp.sqrt(q @ q) - length)[None]
    )
    out = np.array([np.sin(angle), -np.cos(angle)])
    along = np.array([np.cos(angle), np.sin(angle)])
    q, v = jnp.asarray(length * out), jnp.asarray(length * rate * along)
    a, multiplier = jax.jit(swing.acceleration)(((mass,), gravity), q, v)
    tension = mass * (gravity * np.cos(angle) + length * rate**2)
    assert_close(multiplier, np.array([-tension]), 1e-10, 1e-5)
    expected = -gravity * np.sin(angle) * along - length * rate**2 * out
    assert_close(a, expected, 1e-10, 1e-5)


def drift(stabilization=0.0, project=False, num_steps=5000):
    """The largest |φ| over a tenth of the run, first and last, and the end's G v."""
    swing = mechanics.constrained(falling, rods, stabilization=stabilization)
    step = integrators.rk4(swing.vector_field)
    if project:
        step = integrators.projected(step, swing.project)
    params = ((1.0,), 9.8)

    @jax.jit
    def run():
        start = hung(jnp.array([1.2]), jnp.array([0.0]))
        path = integrators.rollout(
            step, start, dt=0.02, num_steps=num_steps, args=params
        )
        gaps = jnp.abs(jax.vmap(rods, (None, 0))(params, path.q))[:, 0]
        return gaps, jnp.abs(jnp.sum(path.q * path.v, axis=1))

    gaps, speeds = (np.asarray(x) for x in run())
    tenth = num_steps // 10
    return gaps[:tenth].max(), gaps[-tenth:].max(), speeds.max()


def test_projection_holds_a_constraint_that_drifts_without_it():
    early, late, _ = drift()
    assert late > 5 * early
    assert late > (1e-6 if X64 else 1e-4)
    early, late, speed = drift(project=True)
    rounding = 1e-12 if X64 else 1e-5
    assert max(early, late, speed) < rounding


@pytest.mark.x64
def test_stabilization_bounds_the_drift_of_a_constraint():
    """Baumgarte's terms hold the last tenth of a long run where they hold the first."""
    early, late, _ = drift(stabilization=10.0)
    assert late < 2 * early
    assert late < 1e-2 * drift()[1]


def test_redundant_constraints_are_not_finite():
    twice = mechanics.constrained(
        falling, lambda params, q: jnp.stack([q @ q - 1, q @ q - 1])
    )
    start = hung(jnp.array([0.3]), jnp.array([0.1]))
    assert not np.all(np.isfinite(twice.acceleration(((1.0,), 9.8), *start)[0]))


# Precision, batches, compilation


def test_single_precision_stays_single(dtype):
    double = systems.double_pendulum
    lagrangian, hamiltonian = double.lagrangian, double.hamiltonian
    swing = mechanics.constrained(falling, rods, stabilization=1.0)
    weights = ((1.0,), 9.8)

    def timed(params, q, v, t):
        return lagrangian(params, q, v) * (1 + t)

    functions = {
        "acceleration": mechanics.acceleration(lagrangian),
        "regularized": mechanics.acceleration(lagrangian, regularization=1e-3),
        "timed": lambda *state: mechanics.acceleration(timed, time_dependent=True)(
            *state, 0.7
        ),
        "momentum": mechanics.momentum(lagrangian),
        "velocity": mechanics.velocity(hamiltonian),
        "energy": mechanics.energy(lagrangian),
        "mass": mechanics.mass_matrix(lagrangian),
        "condition": mechanics.mass_condition(lagrangian),
        "legendre": mechanics.legendre(lagrangian),
        "bracket": mechanics.poisson_bracket(hamiltonian, hamiltonian),
        "constrained": lambda params, *state: swing.acceleration(weights, *state),
        "projected": lambda params, *state: swing.project(
            TangentState(*state), weights
        ),
    }
    q = v = jax.ShapeDtypeStruct((2,), dtype)
    for name, function in functions.items():
        value = jax.eval_shape(lambda q, v, f=function: f(double.params, q, v), q, v)
        for leaf in jax.tree.leaves(value):
            assert leaf.dtype == dtype, name


def test_vmap_is_a_loop_and_jit_changes_nothing():
    system = systems.double_pendulum
    accelerate = mechanics.acceleration(system.lagrangian)
    transform = mechanics.legendre(system.lagrangian)

    def both(q, v):
        return accelerate(system.params, q, v), transform(system.params, q, v)

    q, v = tangents(system(), 3)
    together = jax.jit(jax.vmap(both))(q, v)
    compiled = jax.jit(both)
    for i in range(3):
        for batch, alone in zip(together, compiled(q[i], v[i]), strict=True):
            assert_close(batch[i], alone, 1e-12, 1e-4)
    for eager, alone in zip(both(q[0], v[0]), compiled(q[0], v[0]), strict=True):
        assert_close(eager, alone, 1e-12, 1e-4)


# What cannot be meant


ONE = jnp.ones(2)
WHOLE = jnp.ones(2, int)
PAIRS = [
    ((jnp.ones((3, 2)), jnp.ones((3, 2))), r"use jax\.vmap"),
    ((ONE, jnp.ones(3)), r"q of shape \(2,\) and . of shape \(3,\)"),
    ((WHOLE, WHOLE), "real floating"),
]


def free(params, q, v):
    return v @ v / 2


FUNCTIONS = {
    "acceleration": mechanics.acceleration(free),
    "momentum": mechanics.momentum(free),
    "velocity": mechanics.velocity(free),
    "energy": mechanics.energy(free),
    "mass_matrix": mechanics.mass_matrix(free),
    "mass_condition": mechanics.mass_condition(free),
    "equations_of_motion": mechanics.equations_of_motion(free),
    "poisson_bracket": mechanics.poisson_bracket(free, free),
    "hamiltonian_vector_field": lambda params, q, p: mechanics.hamiltonian_vector_field(
        free
    )(0.0, PhaseState(q, p), params),
    "lagrangian_vector_field": lambda params, q, v: mechanics.lagrangian_vector_field(
        free
    )(0.0, TangentState(q, v), params),
}


@pytest.mark.parametrize(("pair", "words"), PAIRS, ids=["batch", "lengths", "integers"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_states_that_do_not_fit_are_told(name, pair, words):
    with pytest.raises(ValueError, match=words):
        FUNCTIONS[name](None, *pair)


def test_lists_are_no_states_and_an_acceleration_is_as_long_as_its_state():
    whole = mechanics.natural(lambda params, q: jnp.eye(2), lambda params, q: q @ q)
    given = mechanics.constrained(free, lambda params, q: q[:1])
    torque = mechanics.inverse_dynamics(free)
    functions = {
        **FUNCTIONS,
        "hamiltonian": whole[0],
        "lagrangian": whole[1],
        "legendre": mechanics.legendre(free),
        "conjugate": mechanics.conjugate(free),
        "constrained": given.acceleration,
        "project": lambda params, q, v: given.project(TangentState(q, v), params),
        "torque": lambda params, q, v: torque(params, q, v, ONE),
        "parts": lambda *at: mechanics.split_torque(torque)(*at, ONE),
        "controlled": lambda params, q, p: mechanics.controlled(free, lambda u: u)(
            (params, ONE), q, p
        ),
        "lattice": mechanics.lattice_acceleration(free),
    }
    for call in functions.values():
        with pytest.raises(TypeError, match=r"as a list; expected an array of shape"):
            call(None, [1.0, 2.0], [0.0, 0.0])
        with pytest.raises(TypeError, match=r"as a (list|float); expected an array"):
            call(None, ONE, 1.0)
    with pytest.raises(TypeError, match="a as a list"):
        torque(None, ONE, ONE, [0.0, 0.0])
    with pytest.raises(ValueError, match=r"a of shape \(3,\)"):
        mechanics.torque_parts(free)(None, ONE, ONE, jnp.ones(3))


@pytest.mark.parametrize("make", [mechanics.legendre, mechanics.conjugate])
def test_a_transform_of_a_batch_is_told(make):
    with pytest.raises(ValueError, match=r"use jax\.vmap"):
        make(free)(None, jnp.ones((3, 2)), jnp.ones((3, 2)))


def uneven(params, q, p):
    return q * p


@pytest.mark.parametrize(
    "call",
    [
        lambda: mechanics.acceleration(uneven)(None, ONE, ONE),
        lambda: mechanics.momentum(uneven)(None, ONE, ONE),
        lambda: mechanics.velocity(uneven)(None, ONE, ONE),
        lambda: mechanics.energy(uneven)(None, ONE, ONE),
        lambda: mechanics.mass_matrix(uneven)(None, ONE, ONE),
        lambda: mechanics.legendre(uneven)(None, ONE, ONE),
        lambda: mechanics.poisson_bracket(uneven, free)(None, ONE, ONE),
        lambda: mechanics.hamiltonian_vector_field(uneven)(
            0.0, PhaseState(ONE, ONE), None
        ),
        lambda: mechanics.acceleration(free, dissipation=uneven)(None, ONE, ONE),
    ],
)
def test_an_energy_that_is_no_scalar_is_told(call):
    with pytest.raises(ValueError, match="expected a scalar"):
        call()


def test_a_flat_array_is_told_how_to_become_a_state():
    flat = jnp.ones(4)
    with pytest.raises(ValueError, match="phase_state"):
        mechanics.hamiltonian_vector_field(free)(0.0, flat, None)
    with pytest.raises(ValueError, match="tangent_state"):
        mechanics.lagrangian_vector_field(free)(0.0, flat, None)
    with pytest.raises(ValueError, match="tangent_state"):
        mechanics.constrained(falling, rods).vector_field(0.0, flat, ((1.0,), 9.8))
    with pytest.raises(ValueError, match="PhaseState"):
        mechanics.hamiltonian_vector_field(free)(0.0, TangentState(ONE, ONE), None)


@pytest.mark.parametrize("make", [phase_state, tangent_state])
@pytest.mark.parametrize("shape", [(3,), (2, 4), ()])
def test_flat_states_of_odd_shape_are_told(make, shape):
    with pytest.raises(ValueError, match=r"even length.*use jax\.vmap"):
        make(jnp.ones(shape))


def test_a_flat_state_is_positions_and_then_the_rest():
    q, p = phase_state(jnp.arange(4.0))
    np.testing.assert_array_equal(q, [0, 1])
    np.testing.assert_array_equal(p, [2, 3])
    np.testing.assert_array_equal(tangent_state(jnp.arange(4.0)).v, [2, 3])


def test_a_constraint_that_is_no_vector_is_told():
    swing = mechanics.constrained(falling, lambda params, q: q @ q - 1)
    with pytest.raises(ValueError, match=r"one value\s+per constraint, shape \(k,\)"):
        swing.acceleration(((1.0,), 9.8), ONE, ONE)


def test_a_system_without_energies_has_no_motion():
    empty = System("empty", None, None, None, lambda key: None, (False,))
    with pytest.raises(ValueError, match="neither a Hamiltonian nor a Lagrangian"):
        mechanics.vector_field(empty)
