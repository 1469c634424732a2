"""Each system is the one of the textbooks, and its record says what holds of it."""

import functools
import pathlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from every_system import EVERY

from jaxphys import integrators, mechanics, systems
from jaxphys.systems.lattices import toda_lax
from jaxphys.systems.rigid import angular_velocity, body_axes
from jaxphys.types import PhaseState, TangentState, phase_state

X64 = jax.config.jax_enable_x64
NAMES = systems.names()
PAGE = pathlib.Path(__file__).parent.parent / "docs" / "systems.md"


def assert_close(actual, desired, double=1e-10, single=2e-4):
    """Agreement relative to 1 + the largest entry."""
    actual, desired = np.asarray(actual), np.asarray(desired)
    assert actual.shape == desired.shape
    worst = np.max(np.abs(actual - desired))
    assert worst <= (double if X64 else single) * (1 + np.max(np.abs(desired))), worst


@functools.cache
def defaults(name):
    """A thousand starts of a default system, as NumPy arrays."""
    return jax.tree.map(np.asarray, drawn(systems.get(name), 1000))


def drawn(system, num):
    """The same random states by momenta and by velocities, (num, n) each."""
    keys = jax.random.split(jax.random.key(0), num)

    @jax.jit
    @jax.vmap
    def both(key):
        return system.sample(key), system.sample_tangent(key)

    return both(keys)


def moved(system, y0, time, num_steps=8, substeps=100, params=None):
    """The motion of a system by RK4, at num_steps + 1 times."""
    step = integrators.rk4(mechanics.vector_field(system))
    options = {"dt": time / num_steps, "num_steps": num_steps, "substeps": substeps}
    params = system.params if params is None else params
    y0 = jax.tree.map(lambda x: jnp.asarray(x, float), y0)
    run = jax.jit(lambda y: integrators.rollout(step, y, args=params, **options))
    return np.linspace(0, time, num_steps + 1), run(y0)


def energies(system, path):
    """Of states in q and p, (num,)."""
    return jax.jit(jax.vmap(system.hamiltonian, (None, 0, 0)))(system.params, *path)


def accelerations(system, params=None, num=5):
    params = system.params if params is None else params
    _, (q, v) = drawn(system, num)
    accelerate = mechanics.acceleration(system.lagrangian)
    a = jax.jit(jax.vmap(lambda q, v: accelerate(params, q, v)))(q, v)
    return np.asarray(q).T, np.asarray(v).T, np.asarray(a).T


# Every system


@pytest.mark.parametrize("name", EVERY)
def test_a_record_says_what_its_system_is(name):
    """Sizes fit; both samples are one state; the energy differentiates by constants."""
    system = systems.get(name)
    assert system.name == name
    n = len(system.periodic)
    assert len(system.coordinates) == len(system.units) == n
    assert all(
        unit == "rad"
        for unit, turns in zip(system.units, system.periodic, strict=True)
        if turns
    )
    assert system.duration > system.dt > 0

    momentum = mechanics.momentum(system.lagrangian)
    params = jax.tree.map(lambda x: jnp.asarray(x, float), system.params)

    @jax.jit
    @jax.vmap
    def facts(key):
        (q, p), (same, v) = system.sample(key), system.sample_tangent(key)
        energies = (
            system.hamiltonian(params, q, p),
            mechanics.energy(system.lagrangian)(params, same, v),
        )
        slopes = jax.grad(system.hamiltonian)(params, q, p)
        mixed = jax.jacfwd(jax.grad(system.hamiltonian, 1), 2)(params, q, p)
        points = () if system.points is None else system.points(params, q)
        return (
            (q, p),
            (same, v),
            momentum(params, q, v),
            energies,
            slopes,
            mixed,
            points,
        )

    keys = jax.random.split(jax.random.key(0), 5)
    (q, p), (same, v), expected, energies, slopes, mixed, points = facts(keys)
    assert q.shape == p.shape == v.shape == (5, n)
    np.testing.assert_array_equal(q, same)
    np.testing.assert_allclose(p, expected, rtol=1e-9 if X64 else 1e-2, atol=1e-6)
    assert_close(*energies, 1e-10, 1e-3)
    for leaf in jax.tree.leaves(slopes):
        assert np.all(np.isfinite(leaf))
    for leaf in points if isinstance(points, tuple) else (points,):
        assert leaf.ndim == 3
        assert leaf.shape[-1] == 2
        assert np.all(np.isfinite(leaf))
    # Explicit symplectic methods want an H that separates and nothing beside it.
    conservative = system.force is None and system.dissipation is None
    separates = np.max(np.abs(mixed)) < 1e-10
    assert system.separable == (separates and conservative)


@pytest.mark.parametrize("name", EVERY)
def test_single_precision_stays_single(name, dtype):
    system = systems.get(name)
    n = len(system.periodic)
    q, p = (jax.ShapeDtypeStruct((n,), dtype) for _ in range(2))
    params = system.params

    def everything(q, p):
        t = jnp.zeros((), dtype)
        energies = system.hamiltonian(params, q, p), system.lagrangian(params, q, p)
        slopes = mechanics.vector_field(system)(t, PhaseState(q, p), params)
        field = mechanics.lagrangian_vector_field(
            system.lagrangian, force=system.force, dissipation=system.dissipation
        )
        points = () if system.points is None else system.points(params, q)
        return energies, slopes, field(t, TangentState(q, p), params), points

    for leaf in jax.tree.leaves(jax.eval_shape(everything, q, p)):
        assert leaf.dtype == dtype


@pytest.mark.long
@pytest.mark.x64
@pytest.mark.parametrize("name", EVERY)
def test_the_time_step_of_a_record_is_accurate_for_its_duration(name):
    """RK4 at its dt keeps the energy to 1e-3, of starts of its own."""
    system = systems.get(name)
    step = integrators.rk4(mechanics.hamiltonian_vector_field(system.hamiltonian))
    num_steps = round(system.duration / system.dt)
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 4))
    if name == "free_rigid_body":  # of which some come to where Euler's are singular
        starts = PhaseState(*(jnp.array([x]) for x in ([0.3, 1.5, 0.1], [2, 0.2, 0.1])))

    @jax.jit
    @jax.vmap
    def energies(y):
        end = integrators.repeat(
            step, y, dt=system.dt, num_steps=num_steps, args=system.params
        )
        return [system.hamiltonian(system.params, *x) for x in (y, end)]

    before, after = energies(starts)
    assert np.max(np.abs(after - before) / (1 + np.abs(before))) < 1e-3


# Where the motion starts: (quantity of PhaseState and TangentState, low, high)


def size(y, z):
    return np.linalg.norm(np.concatenate(y, axis=1), axis=1)


def column(which, *columns):
    """Columns of q, p or v."""

    def values(y, z):
        table = {"q": y.q, "p": y.p, "v": z.v}[which]
        return table[:, list(columns)] if columns else table

    return values


def ellipse(y, z):
    """e of an orbit of semi-major axis 1 that starts at its pericenter."""
    return 1 - np.linalg.norm(y.q, axis=1)


def radius(y, z):
    return np.linalg.norm(y.q[:, :2], axis=1)


def longest_wave(y, z):
    shape = np.sin(np.pi * np.arange(1, 33) / 33)
    return y.q @ shape / (shape @ shape)


UNIFORM = [
    ("mass_spring", size, 0.1, 1.0),
    ("driven_oscillator", size, 0.1, 1.0),
    ("pendulum", size, 1.3, 2.3),
    ("duffing", column("q"), -1.5, 1.5),
    ("duffing", column("p"), -1.5, 1.5),
    ("linear_chain", column("q"), 0, 1),
    ("linear_chain", column("p"), 0, 1),
    ("quartic_chain", column("q"), 0, 1),
    ("quartic_chain", column("p"), 0, 1),
    ("fput_chain", longest_wave, 0.5, 1.5),
    ("double_pendulum", column("q"), 0, 2 * np.pi),
    ("double_pendulum", column("v"), -10, 10),
    ("elastic_pendulum", lambda y, z: y.q[:, 0] / (1 + 9.81 / 40), 0.8, 1.2),
    ("elastic_pendulum", column("q", 1), -np.pi / 2, np.pi / 2),
    ("elastic_pendulum", column("v"), -0.5, 0.5),
    ("cart_pole", column("q", 0), -1, 1),
    ("cart_pole", column("q", 1), -np.pi, np.pi),
    ("cart_pole", column("v"), -1, 1),
    ("two_link_arm", column("q"), -np.pi, np.pi),
    ("two_link_arm", column("v"), -2, 2),
    ("central_force", column("q", 0), 0.8, 1.2),
    ("central_force", column("q", 1), 0, 2 * np.pi),
    ("central_force", column("v", 0), -0.3, 0.3),
    ("central_force", lambda y, z: z.v[:, 1] * z.q[:, 0] ** 1.5, 0.8, 1.2),
    ("kepler", ellipse, 0, 0.6),
    ("kepler", lambda y, z: np.arctan2(y.q[:, 1], y.q[:, 0]), -np.pi, np.pi),
    ("two_body", radius, 0.5, 1.5),
    ("three_body", radius, 0.9, 1.2),
    ("henon_heiles", column("q"), -0.25, 0.25),
    ("henon_heiles", lambda y, z: np.arctan2(y.p[:, 1], y.p[:, 0]), -np.pi, np.pi),
    ("charged_particle", column("q"), -1, 1),
    ("charged_particle", column("v"), -1, 1),
    ("relativistic_particle", column("q"), -10, 10),
    ("special_relativity", column("q"), -10, 10),
    ("free_rigid_body", column("q", 0, 2), 0, 2 * np.pi),
    ("free_rigid_body", column("q", 1), np.pi / 3, 2 * np.pi / 3),
]


@pytest.mark.parametrize(("name", "quantity", "low", "high"), UNIFORM)
def test_uniform_starts_fill_the_ranges_that_are_told(name, quantity, low, high):
    y, z = defaults(name)
    values = quantity(y, z)
    rounding = 1e-5 * (high - low)
    assert values.min() >= low - rounding
    assert values.max() <= high + rounding
    assert values.min() < low + 0.05 * (high - low)
    assert values.max() > high - 0.05 * (high - low)
    assert values.mean() == pytest.approx((low + high) / 2, abs=0.06 * (high - low))


def nodding(y, z):
    return np.asarray(jax.vmap(angular_velocity)(z.q, z.v))[:, :2]


def rapidity(y, z):
    return np.arctanh(np.asarray(z.v, float) / 0.99999)


NORMAL = [
    ("toda_chain", column("q"), 0.5),
    ("toda_chain", column("p"), 0.5 * np.sqrt(7 / 8)),
    ("pendulum_chain", column("q"), 1.0),
    ("pendulum_chain", column("v"), 1.0),
    ("n_body", column("q"), np.sqrt(4 / 5)),
    ("n_body", column("v"), 0.5 * np.sqrt(4 / 5)),
    ("free_rigid_body", nodding, 0.1),
    ("wave", column("q", 0), np.sqrt(1 + 1 / 4 + 1 / 9 + 1 / 16)),
    (
        "two_body",
        lambda y, z: np.linalg.norm(z.v[:, :2], axis=1) * 2 * np.sqrt(radius(y, z)) - 1,
        0.05,
    ),
]


@pytest.mark.parametrize(("name", "quantity", "deviation"), NORMAL)
def test_normal_starts_have_the_deviations_that_are_told(name, quantity, deviation):
    y, z = defaults(name)
    values = quantity(y, z)
    assert values.std() == pytest.approx(deviation, rel=0.08)
    assert abs(values.mean()) < 0.15 * deviation


@pytest.mark.parametrize("name", ["relativistic_particle", "special_relativity"])
def test_fast_particles_start_below_the_speed_of_light(name):
    y, z = defaults(name)
    assert np.max(np.abs(z.v)) < 1
    assert np.max(np.abs(z.v)) > 0.999
    slow = np.abs(z.v) < 0.9  # where float32 resolves 1 − v
    assert rapidity(y, TangentState(z.q, z.v[slow])).std() == pytest.approx(
        2 * np.sqrt(0.1657), rel=0.1
    )


def test_starts_obey_what_is_told_of_them():
    def energy(name):
        system = systems.get(name)
        return energies(system, defaults(name)[0])

    zeros = np.zeros(1000)
    y, _ = defaults("kepler")
    assert_close(energy("kepler"), zeros - 0.5)
    assert_close(np.sum(y.q * y.p, axis=1), zeros, 1e-12, 1e-5)
    assert_close(energy("henon_heiles"), zeros + 1 / 8, 1e-12, 1e-5)
    for name in ("wave", "fput_chain"):
        assert not np.any(defaults(name)[0].p)
    assert_close(defaults("wave")[0].q.sum(axis=1), zeros, 1e-10, 1e-4)
    assert_close(defaults("toda_chain")[0].p.sum(axis=1), zeros, 1e-12, 1e-5)
    masses = jnp.array([1.0, 2.0, 5.0])
    _, z = drawn(systems.n_body(3, masses=masses), 200)
    share = np.asarray(masses)[:, None]
    for x in (z.q, z.v):
        center = np.sum(share * x.reshape(200, 3, 2), axis=1)
        assert_close(center, np.zeros((200, 2)), 1e-12, 1e-5)


def test_three_bodies_start_within_a_fifth_of_a_turning_triangle():
    _, (q, v) = defaults("three_body")
    q, v = q.reshape(-1, 3, 2), v.reshape(-1, 3, 2)
    sides = np.linalg.norm(q - np.roll(q, 1, axis=1), axis=2)
    assert_close(sides, np.sqrt(3) * np.linalg.norm(q, axis=2), 1e-12, 1e-5)
    # v² = 1/(√3 r), along the circle.
    r = np.linalg.norm(q[:, :1], axis=2, keepdims=True)
    along = np.stack([-q[..., 1], q[..., 0]], axis=-1) / r * (3**-0.25 / np.sqrt(r))
    factors = (v / along)[np.abs(along) > 0.1]
    assert factors.min() > 0.8 - 1e-4
    assert factors.max() < 1.2 + 1e-4
    assert factors.std() == pytest.approx(0.4 / np.sqrt(12), rel=0.1)


# Oscillators


def pulled(q, pull):
    """−q, and a pull of each bond on the masses at its ends, toward each other."""
    return -q + np.pad(pull, (0, 1)) - np.pad(pull, (1, 0))


def linear_force(q, coupling):
    """The explicit force of the linear chain: −q + k times the free-ended Laplacian."""
    return pulled(q, coupling * np.diff(q))


def quartic_force(q, alpha):
    return pulled(q, 4 * alpha * np.diff(q) ** 3)


CHAINS = [("linear_chain", linear_force), ("quartic_chain", quartic_force)]


@pytest.mark.parametrize("num", [1, 2, 5])
@pytest.mark.parametrize(("name", "force"), CHAINS)
def test_the_derived_field_of_a_chain_is_its_explicit_force(name, force, num, dtype):
    chain = systems.get(name, num_oscillators=num)
    state = chain.sample(jax.random.key(0))
    state = PhaseState(*(x.astype(dtype) for x in state))
    field = mechanics.hamiltonian_vector_field(chain.hamiltonian)
    rate = jax.jit(field)(0.0, state, chain.params)
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
    energy = energies(chain, path)
    drift = np.max(np.abs(np.asarray(energy / energy[0]) - 1))
    assert drift < (1e-8 if X64 else 1e-5)


def test_a_lagrangian_is_the_legendre_transform_of_its_hamiltonian():
    chain = systems.linear_chain(3)
    q, v = chain.sample(jax.random.key(2))
    energy = v @ jax.grad(chain.lagrangian, 2)(chain.params, q, v)
    energy = energy - chain.lagrangian(chain.params, q, v)
    assert energy == pytest.approx(
        float(chain.hamiltonian(chain.params, q, v)), rel=1e-5
    )


def test_a_mass_on_a_spring_swings_as_a_cosine():
    """q = cos ωt, p = −m ω sin ωt, ω² = k/m."""
    system = systems.mass_spring(mass=0.8, stiffness=3.0)
    t, path = moved(system, PhaseState(np.ones(1), np.zeros(1)), 5.0)
    omega = np.sqrt(3.0 / 0.8)
    assert_close(path.q[:, 0], np.cos(omega * t), 1e-8, 1e-4)
    assert_close(path.p[:, 0], -0.8 * omega * np.sin(omega * t), 1e-8, 1e-4)


def test_a_driven_oscillator_settles_at_the_amplitude_of_the_book():
    """A/m over √((ω₀² − ω²)² + (c ω/m)²)."""
    system = systems.driven_oscillator(1.3, 2.0, 0.9, 0.7, 1.6)
    m, k, c, amplitude, omega = system.params
    start = PhaseState(np.ones(1), np.zeros(1))
    _, path = moved(system, start, 60.0, num_steps=60, substeps=20)
    swing = np.sqrt(path.q[:, 0] ** 2 + (path.p[:, 0] / m / omega) ** 2)
    expected = amplitude / m / np.hypot(k / m - omega**2, c * omega / m)
    assert_close(swing[-10:], np.full(10, expected), 1e-6, 1e-4)
    assert abs(swing[1] - expected) > 0.01


def test_duffing_rests_at_the_bottoms_of_its_wells():
    """α q + β q³ = 0 at ±√(−α/β), about which it swings at √(−2α)."""
    system = systems.duffing(linear=-1.5, cubic=0.7)
    bottom = np.sqrt(1.5 / 0.7)

    def force(q):
        return -jax.grad(system.hamiltonian, 1)(system.params, q[None], jnp.zeros(1))[0]

    for q in (-bottom, 0.0, bottom):
        assert abs(force(jnp.asarray(q))) < (1e-12 if X64 else 1e-5)
    assert_close(jax.grad(force)(jnp.asarray(bottom)), -3.0, 1e-12, 1e-5)
    assert_close(jax.grad(force)(jnp.asarray(0.0)), 1.5, 1e-12, 1e-5)


# Lattices


@pytest.mark.parametrize("mode", [1, 3, 8])
def test_waves_on_a_grid_have_their_dispersion(mode):
    """cos(kx − ωt) with ω = (2c/dx) sin(k dx/2)."""
    system = systems.wave(16, speed=1.3, length=2.0)
    c, dx = system.params
    x, k = dx * np.arange(16), 2 * np.pi * mode / 2.0
    omega = 2 * c / dx * np.sin(k * dx / 2)
    y0 = PhaseState(np.cos(k * x), dx * omega * np.sin(k * x))
    t, path = moved(system, y0, 1.0)
    expected = np.cos(k * x - omega * t[:, None])
    if mode == 8:  # the highest is a standing wave: sin kx is zero on the grid
        expected = np.cos(k * x) * np.cos(omega * t[:, None])
    assert_close(path.q, expected, 1e-6, 1e-3)


def test_the_bonds_of_fermi_pull_as_told():
    """q̈_i = F(d_{i+1}) − F(d_i), F = d + α d² + β d³, its ends held."""
    system = systems.fput_chain(4, alpha=0.25, beta=0.6)
    q = np.array([0.3, -0.2, 0.5, 0.1])
    d = np.diff(np.concatenate([[0], q, [0]]))
    expected = np.diff(d + 0.25 * d**2 + 0.6 * d**3)
    accelerate = mechanics.acceleration(system.lagrangian)
    found = jax.jit(accelerate)(system.params, jnp.asarray(q), jnp.zeros(4))
    assert_close(found, expected)


@pytest.mark.parametrize("num", [2, 3, 6])
def test_the_eigenvalues_of_lax_are_constants_of_toda(num):
    system = systems.toda_chain(num, strength=0.8)
    _, path = moved(system, system.sample(jax.random.key(0)), 6.0)
    spectrum = jax.vmap(lambda q, p: jnp.linalg.eigvalsh(toda_lax(system.params, q, p)))
    values = jax.jit(spectrum)(*path)
    assert_close(values, np.broadcast_to(values[0], values.shape), 1e-7, 1e-3)
    assert np.ptp(values[0]) > 0.1
    assert np.max(np.abs(path.q[-1] - path.q[0])) > 0.1
    total = np.sum(np.asarray(values) ** 2, axis=1)
    energy = energies(system, path)
    if num > 2:  # tr L² = H/2, where no two bonds join the same masses
        assert_close(total, energy / 2, 1e-10, 1e-4)


# Pendula


def cartesian(system, masses, bodies, gravity, springs=lambda q: 0):
    """Σ m |ẋ|²/2 − g m y of the bodies that `points` draws, less L: a constant."""
    _, (q, v) = drawn(system, 6)

    @jax.jit
    @jax.vmap
    def gap(q, v):
        places, speeds = jax.jvp(lambda q: system.points(system.params, q), (q,), (v,))
        places, speeds = places[bodies], speeds[bodies]
        masses_ = jnp.asarray(masses)
        kinetic = masses_ @ jnp.sum(speeds**2, axis=1) / 2
        potential = gravity * masses_ @ places[:, 1] + springs(q)
        return kinetic - potential - system.lagrangian(system.params, q, v)

    gaps = np.asarray(gap(q, v))
    assert_close(gaps, np.broadcast_to(gaps[0], gaps.shape), 1e-11, 1e-4)
    return gaps[0]


def test_the_lagrangians_of_pendula_are_those_of_their_bodies():
    end, all_of_them = slice(1, None), slice(None)
    system = systems.pendulum(0.7, 1.3, 9.8)
    # The energy of a pendulum that hangs still is zero.
    assert cartesian(system, [0.7], end, 9.8) == pytest.approx(0.7 * 9.8 * 1.3)
    system = systems.double_pendulum(1.1, 0.6, 0.8, 1.4, 9.8)
    assert abs(cartesian(system, [1.1, 0.6], end, 9.8)) < 1e-4
    system = systems.pendulum_chain(4, key=jax.random.key(0), gravity=9.81)
    assert abs(cartesian(system, system.params.masses, end, 9.81)) < 1e-3
    system = systems.elastic_pendulum(0.9, 30.0, 1.1, 9.81)
    cartesian(system, [0.9], end, 9.81, lambda q: 15 * (q[0] - 1.1) ** 2)
    system = systems.cart_pole(1.2, 0.3, 0.6, 9.8)
    assert abs(cartesian(system, [1.2, 0.3], all_of_them, 9.8)) < 1e-4


def test_a_chain_of_pendula_is_the_double_pendulum():
    ours = systems.pendulum_chain(2, gravity=9.8)
    other = systems.double_pendulum()
    q, v = other.sample_tangent(jax.random.key(0))
    for name in ("lagrangian", "hamiltonian"):
        actual, desired = (
            jax.jit(getattr(s, name))(s.params, q, v) for s in (ours, other)
        )
        assert_close(actual, desired, 1e-12, 1e-5)


def test_the_constants_of_a_chain_of_pendula_are_drawn_as_told():
    params = systems.pendulum_chain(400, key=jax.random.key(1)).params
    for values in (np.asarray(params.masses), np.asarray(params.lengths)):
        assert 0.6 <= values.min() < 0.62
        assert 1.38 < values.max() < 1.4
    assert not np.array_equal(params.masses, params.lengths)


def test_small_swings_of_a_pendulum_have_the_period_of_galileo():
    system = systems.pendulum(0.7, 1.3, 9.8)
    y0 = PhaseState(np.full(1, 1e-4), np.zeros(1))
    t, path = moved(system, y0, 3.0)
    expected = 1e-4 * np.cos(np.sqrt(9.8 / 1.3) * t)
    np.testing.assert_allclose(path.q[:, 0], expected, atol=1e-8 if X64 else 1e-6)


def test_the_double_pendulum_accelerates_as_in_the_textbook():
    system = systems.double_pendulum(1.1, 0.6, 0.8, 1.4, 9.8)
    m1, m2, l1, l2, g = system.params
    (t1, t2), (w1, w2), a = accelerations(system)
    between = t1 - t2
    below = 2 * m1 + m2 - m2 * np.cos(2 * between)
    first = (
        -g * (2 * m1 + m2) * np.sin(t1)
        - m2 * g * np.sin(t1 - 2 * t2)
        - 2 * np.sin(between) * m2 * (w2**2 * l2 + w1**2 * l1 * np.cos(between))
    )
    second = (
        2
        * np.sin(between)
        * (
            w1**2 * l1 * (m1 + m2)
            + g * (m1 + m2) * np.cos(t1)
            + w2**2 * l2 * m2 * np.cos(between)
        )
    )
    assert_close(a, np.stack([first / (l1 * below), second / (l2 * below)]))


def test_the_elastic_pendulum_accelerates_as_in_the_textbook():
    system = systems.elastic_pendulum(0.9, 30.0, 1.1, 9.81)
    m, k, length, g = system.params
    (r, angle), (speed, rate), a = accelerations(system)
    radial = r * rate**2 + g * np.cos(angle) - k / m * (r - length)
    turning = -(g * np.sin(angle) + 2 * speed * rate) / r
    assert_close(a, np.stack([radial, turning]))


def test_the_cart_and_its_pole_accelerate_as_in_the_textbook():
    """With a force u on the cart."""
    system = systems.cart_pole(1.2, 0.3, 0.6, 9.8)
    pushed = system._replace(
        lagrangian=mechanics.controlled_lagrangian(
            system.lagrangian, lambda u: jnp.stack([u, 0 * u])
        )
    )
    u = 1.7
    M, m, length, g = system.params
    (_, angle), (_, rate), a = accelerations(pushed, (system.params, jnp.asarray(u)))
    sin, cos = np.sin(angle), np.cos(angle)
    cart = (u + m * length * rate**2 * sin - m * g * sin * cos) / (M + m * sin**2)
    assert_close(a, np.stack([cart, (g * sin - cart * cos) / length]))


def test_the_arm_is_that_of_the_published_torques():
    """τ = M q̈ + c + g, with the constants of the DeLaN experiments."""
    system = systems.two_link_arm()
    torque = np.array([0.7, -0.4])
    pushed = system._replace(
        lagrangian=mechanics.controlled_lagrangian(system.lagrangian, lambda u: u)
    )
    q, v, a = accelerations(pushed, (system.params, jnp.asarray(torque)))
    cos, sin = np.cos(q[1]), np.sin(q[1])
    mixed = 0.5176146 + 0.5 * cos
    inertia = np.array([[1.3727292 + cos, mixed], [mixed, np.full(5, 0.5176146)]])
    turning = 0.5 * sin * np.stack([-(2 * v[0] * v[1] + v[1] ** 2), v[0] ** 2])
    wrist = 1.5 * np.cos(q[0] + q[1])
    weight = np.stack([2.625 * np.cos(q[0]) + wrist, wrist])
    actual = np.einsum("ijs,js->is", inertia, a) + turning + weight
    assert_close(actual, np.broadcast_to(torque[:, None], (2, 5)))


# Gravity and fields


@pytest.mark.parametrize("exponent", [-1.0, 1.0, 2.0, 3.5])
def test_a_central_force_accelerates_as_in_the_textbook(exponent):
    """r̈ = r θ̇² − k rⁿ⁻¹/m, θ̈ = −2 ṙ θ̇/r."""
    system = systems.central_force(0.8, 1.7, exponent)
    (r, _), (speed, rate), a = accelerations(system)
    radial = r * rate**2 - 1.7 * r ** (exponent - 1) / 0.8
    assert_close(a, np.stack([radial, -2 * speed * rate / r]))


def test_gravity_is_one_in_polar_and_in_cartesian_coordinates():
    polar, plane = systems.central_force(), systems.kepler()
    y = polar.sample_tangent(jax.random.key(0))

    def place(q):
        return q[0] * jnp.stack([jnp.cos(q[1]), jnp.sin(q[1])])

    x, v = jax.jvp(place, (y.q,), (y.v,))
    _, path = moved(plane, PhaseState(x, v), 6.0)
    p = mechanics.momentum(polar.lagrangian)(polar.params, *y)
    _, turned = moved(polar, PhaseState(y.q, p), 6.0)
    assert_close(path.q, jax.vmap(place)(turned.q), 1e-7, 1e-3)


def test_a_circle_is_an_orbit_of_kepler():
    """At ω = √(μ/r³)."""
    mu, r = 2.3, 0.8
    system = systems.kepler(mu)
    omega = np.sqrt(mu / r**3)
    y0 = PhaseState(np.array([r, 0.0]), np.array([0.0, r * omega]))
    t, path = moved(system, y0, 3.0)
    expected = r * np.stack([np.cos(omega * t), np.sin(omega * t)], axis=1)
    assert_close(path.q, expected, 1e-7, 1e-3)


def test_an_orbit_of_kepler_has_the_period_of_its_axis():
    """T = 2π √(a³/μ), a = 1, for every eccentricity."""
    system = systems.kepler(2.3)
    y0 = system.sample(jax.random.key(0))
    _, path = moved(system, y0, 2 * np.pi / np.sqrt(2.3), num_steps=2, substeps=1000)
    assert_close(path.q[2], y0.q, 1e-8, 1e-3)
    assert np.linalg.norm(path.q[1]) == pytest.approx(
        2 - np.linalg.norm(y0.q), rel=1e-3
    )


def test_two_bodies_circle_as_one_does():
    """Unit masses a distance 2r apart turn at ω² = G/4r³."""
    system = systems.two_body(gravity=1.4)
    r = 0.9
    omega = np.sqrt(1.4 / (4 * r**3))
    q, p = np.array([r, 0, -r, 0]), np.array([0, r * omega, 0, -r * omega])
    t, path = moved(system, PhaseState(q, p), 4.0)
    circle = r * np.stack([np.cos(omega * t), np.sin(omega * t)], axis=1)
    assert_close(path.q, np.concatenate([circle, -circle], axis=1), 1e-8, 1e-3)


@pytest.mark.parametrize("name", ["two_body", "three_body", "n_body"])
def test_momentum_angular_momentum_and_energy_of_bodies_are_conserved(name):
    options = {"num_bodies": 3, "masses": jnp.array([0.5, 1.0, 0.2])}
    system = systems.get(name, **(options if name == "n_body" else {}))
    y0 = system.sample(jax.random.key(4))
    y0 = PhaseState(y0.q, y0.p + 0.1 * jnp.cos(jnp.arange(y0.p.shape[0])))
    _, path = moved(system, y0, 2.0, substeps=500)
    q, p = (np.asarray(x).reshape(9, -1, 2) for x in path)
    total = p.sum(axis=1)
    assert_close(total, np.broadcast_to(total[0], total.shape), 1e-12, 1e-4)
    turning = np.sum(q[..., 0] * p[..., 1] - q[..., 1] * p[..., 0], axis=1)
    assert_close(turning, np.full(9, turning[0]), 1e-9, 1e-4)
    energy = energies(system, path)
    assert_close(energy, np.full(9, energy[0]), 1e-8, 1e-4)
    assert np.max(np.abs(q[-1] - q[0])) > 0.1
    assert np.max(np.abs(turning[0])) > 1e-3


def test_three_bodies_are_a_case_of_n():
    ours = systems.n_body(3, masses=jnp.ones(3), softening=0.0)
    other = systems.three_body()
    y = other.sample(jax.random.key(0))
    assert_close(ours.hamiltonian(ours.params, *y), other.hamiltonian(other.params, *y))
    m, g, soft = np.array([1.0, 2.0, 4.0]), 0.7, 0.3
    ours = systems.n_body(3, masses=jnp.asarray(m), gravity=g, softening=soft)
    q, p = (np.asarray(x, float).reshape(3, 2) for x in y)
    energy = np.sum(p**2 / (2 * m[:, None]))
    for i, j in ((0, 1), (0, 2), (1, 2)):
        energy -= g * m[i] * m[j] / np.sqrt(np.sum((q[i] - q[j]) ** 2) + soft**2)
    assert_close(ours.hamiltonian(ours.params, *y), energy, 1e-12, 1e-5)


def test_henon_and_heiles_have_their_cubic_force():
    system = systems.henon_heiles(0.8)
    x, y = 0.3, -0.4
    accelerate = jax.jit(mechanics.acceleration(system.lagrangian))
    a = accelerate(system.params, jnp.array([x, y]), jnp.zeros(2))
    expected = [-x - 0.8 * 2 * x * y, -y - 0.8 * (x**2 - y**2)]
    assert_close(a, np.array(expected), 1e-12, 1e-5)


def test_a_charge_turns_in_a_magnetic_field():
    """At ω = eB/m, clockwise for a positive charge in a field toward the reader."""
    system = systems.charged_particle(0.8, 1.5, 2.0)
    omega, speed = 1.5 * 2.0 / 0.8, 0.6
    q, v = jnp.array([0.3, -0.2]), jnp.array([speed, 0.0])
    p = mechanics.momentum(system.lagrangian)(system.params, q, v)
    t, path = moved(system, PhaseState(q, p), 2.0)
    turned = np.stack([np.sin(omega * t), np.cos(omega * t) - 1], axis=1)
    assert_close(path.q, np.asarray(q) + speed / omega * turned, 1e-8, 1e-3)


def test_a_charge_drifts_across_its_fields():
    """After each turn, by E/B times its period along −y; x comes back."""
    system = systems.charged_particle(0.8, 1.5, 2.0, electric=0.3)
    period = 2 * np.pi * 0.8 / (1.5 * 2.0)
    q, v = jnp.array([0.3, -0.2]), jnp.array([0.5, 0.1])
    p = mechanics.momentum(system.lagrangian)(system.params, q, v)
    _, path = moved(system, PhaseState(q, p), 4 * period, num_steps=4)
    drift = np.stack([np.zeros(5), -0.3 / 2.0 * period * np.arange(5)], axis=1)
    assert_close(path.q, np.asarray(q) + drift, 1e-6, 1e-3)


# Relativity


def test_the_published_particle_accelerates_as_published():
    """g (1 − v²)^(5/2)/(1 + 2v²), with p = v (1 − v²)^(−3/2)."""
    system = systems.relativistic_particle(3.0)
    v = jnp.linspace(-0.95, 0.95, 9)[:, None]
    q = jnp.zeros_like(v)
    accelerate = mechanics.acceleration(system.lagrangian)
    a = jax.jit(jax.vmap(lambda q, v: accelerate(system.params, q, v)))(q, v)
    v = np.asarray(v)
    assert_close(a, 3 * (1 - v**2) ** 2.5 / (1 + 2 * v**2))
    momentum = mechanics.momentum(system.lagrangian)
    p = jax.vmap(lambda q, v: momentum(system.params, q, v))(q, jnp.asarray(v))
    assert_close(p, v * (1 - v**2) ** -1.5)


def test_the_published_energy_is_smooth_through_rest():
    """H = p²/2 − p⁴/2 + … of p = v + 3v³/2 + …: both branches meet."""
    system = systems.relativistic_particle(0.0)
    edge = float(jnp.finfo(float).eps) ** 0.25
    p = jnp.array([-0.5, 0.0, 0.5, 0.99, 1.01, 30.0])[:, None] * edge

    def energy(p):
        return system.hamiltonian(system.params, jnp.zeros(1), p)

    speeds = jax.jit(jax.vmap(jax.grad(energy)))(p)
    np.testing.assert_allclose(
        speeds, p - 1.5 * p**3, rtol=1e-6 if X64 else 5e-3, atol=1e-12
    )
    assert np.all(np.isfinite(jax.jit(jax.vmap(jax.hessian(energy)))(p)))


def test_a_constant_force_makes_a_hyperbola():
    """(1 + g (q − q₀))² = 1 + (g t)² from rest, p = g t."""
    system = systems.special_relativity(1.5)
    t, path = moved(system, PhaseState(np.full(1, 0.3), np.zeros(1)), 6.0)
    assert_close(path.p[:, 0], 1.5 * t, 1e-10, 1e-4)
    assert_close(
        path.q[:, 0], 0.3 + (np.sqrt(1 + (1.5 * t) ** 2) - 1) / 1.5, 1e-8, 1e-4
    )


# The rigid body


def test_a_free_body_turns_by_the_equations_of_euler():
    """I ω̇ = (I ω) × ω, and the angular momentum stands still in space."""
    system = systems.free_rigid_body(1.0, 2.0, 3.5)
    inertia = jnp.array([1.0, 2.0, 3.5])
    accelerate = mechanics.acceleration(system.lagrangian)

    @jax.jit
    @jax.vmap
    def rates(q, v):
        a = accelerate(system.params, q, v)
        omega, spin = jax.jvp(angular_velocity, (q, v), (v, a))
        _, drift = jax.jvp(
            lambda q, v: body_axes(q) @ (inertia * angular_velocity(q, v)),
            (q, v),
            (v, a),
        )
        return inertia * spin, jnp.cross(inertia * omega, omega), drift

    _, (q, v) = drawn(system, 6)
    torque, expected, drift = rates(q, v)
    assert np.max(np.abs(expected)) > 0.1
    assert_close(torque, expected, 1e-10, 1e-4)
    assert_close(drift, np.zeros((6, 3)), 1e-11, 1e-4)


def test_the_axes_of_a_body_turn_at_its_angular_velocity():
    """Rᵀ R = 1, det R = 1, and Ṙ = R [ω]×."""
    _, (q, v) = drawn(systems.free_rigid_body(), 5)

    @jax.jit
    @jax.vmap
    def turning(q, v):
        R, rate = jax.jvp(body_axes, (q,), (v,))
        omega = angular_velocity(q, v)
        cross = jax.vmap(lambda e: jnp.cross(omega, e), out_axes=1)(jnp.eye(3))
        return R, rate, R @ cross

    R, rate, expected = turning(q, v)
    assert_close(np.swapaxes(R, 1, 2) @ R, np.broadcast_to(np.eye(3), (5, 3, 3)))
    assert_close(np.linalg.det(R), np.ones(5))
    assert_close(rate, expected)


def test_turning_about_the_middle_axis_is_unstable():
    """A small ω₁ grows as exp(λt), λ² = ω₂² (I₂ − I₁)(I₃ − I₂)/I₁I₃, with ω₃ = −λω₁."""
    system = systems.free_rigid_body(1.0, 2.0, 3.0)
    rate, small = np.sqrt(1 / 3), 1e-3
    q = jnp.array([0.1, np.pi / 2, 0.0])

    @jax.jit
    def start(q):
        jacobian = jax.jacfwd(angular_velocity, 1)(q, jnp.zeros(3))
        v = jnp.linalg.solve(jacobian, jnp.array([small, 1.0, -rate * small]))
        return PhaseState(q, mechanics.momentum(system.lagrangian)(system.params, q, v))

    @jax.jit
    @jax.vmap
    def turning(q, p):
        velocity = mechanics.velocity(system.hamiltonian)
        return angular_velocity(q, velocity(system.params, q, p))

    t, path = moved(system, start(q), 4.0)
    omega = turning(*path)
    np.testing.assert_allclose(omega[:, 0], small * np.exp(rate * t), rtol=0.01)


# Names and what cannot be meant


def test_a_family_is_its_default_system():
    assert systems.double_pendulum.params == systems.double_pendulum().params
    assert systems.double_pendulum.periodic == (True, True)
    assert systems.double_pendulum(mass2=3.0).params.mass2 == 3.0
    assert systems.get("linear_chain", num_oscillators=4).periodic == (False,) * 4
    with pytest.raises(AttributeError, match="double_pendulum has no attribute 'mass'"):
        systems.double_pendulum.mass
    for name in NAMES:
        assert getattr(systems, name)().name == name
        assert getattr(systems, name).__doc__


def test_the_docs_list_every_system():
    """The names in the first column of the table headed `system`."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| system |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows += re.findall(r"`(\w+)`", line.split("|")[1])
    assert sorted(rows) == sorted(NAMES)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: systems.get("linear_chian"), "Did you mean 'linear_chain'"),
        (lambda: systems.central_force(exponent=0), "exponent is 0"),
        (lambda: systems.linear_chain(0), "num_oscillators is 0"),
        (lambda: systems.quartic_chain(0), "num_oscillators is 0"),
        (lambda: systems.linear_chain(2.5), "whole number"),
        (lambda: systems.fput_chain(0), "num_particles is 0"),
        (lambda: systems.toda_chain(1), "num_particles is 1"),
        (lambda: systems.wave(2), "num_nodes is 2"),
        (lambda: systems.pendulum_chain(0), "num_pendula is 0"),
        (lambda: systems.n_body(1), "num_bodies is 1"),
        (
            lambda: systems.n_body(3, masses=jnp.ones(2)),
            r"\(2,\); expected one per body",
        ),
        (lambda: systems.n_body(3, masses=jnp.ones((3, 2))), "expected one per body"),
        (lambda: systems.n_body(3, masses=1.0), "expected one per body"),
    ],
)
def test_systems_that_cannot_be_meant_are_told(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_flat_state_of_a_system_is_told():
    field = mechanics.vector_field(systems.pendulum())
    with pytest.raises(ValueError, match="phase_state"):
        field(0.0, jnp.ones(2), systems.pendulum.params)
    field(0.0, phase_state(jnp.ones(2)), systems.pendulum.params)
