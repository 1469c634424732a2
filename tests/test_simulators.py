"""Simulators to train through, against what is known of them exactly."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from jaxphys import losses, problems
from jaxphys.problems.heat import concentrate, diffuse
from jaxphys.problems.poisson import laplacian, smooth_fields, solve
from jaxphys.problems.quantum_dipole import (
    crank_nicolson,
    eigenstates,
    end,
    motion,
    populations,
    positions,
    superposition,
)

#: Facts to double precision.
double = pytest.mark.x64


def hamiltonian(n, field):
    """T + u x of the box as a matrix."""
    spacing = 2 / (n + 1)
    kinetic = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    return kinetic / spacing**2 + field * np.diag(positions(n))


@double
def test_eigenstates_of_the_box_are_those_of_its_matrix():
    energies, states = eigenstates(14)
    np.testing.assert_allclose(
        hamiltonian(14, 0.0) @ states.T, states.T * energies, atol=1e-10
    )
    np.testing.assert_allclose(states @ states.T, np.eye(14), atol=1e-13)


@double
def test_a_step_is_the_cayley_form_of_its_hamiltonian():
    psi = jax.random.normal(jax.random.key(0), (9,), complex)
    energy = 0.5j * 0.05 * hamiltonian(9, 3.0)
    wanted = np.linalg.solve(np.eye(9) + energy, (np.eye(9) - energy) @ psi)
    got = crank_nicolson(psi, 3.0, 0.05)
    np.testing.assert_allclose(got, wanted, atol=1e-13)


@double
def test_derivatives_of_a_motion_are_those_of_dense_steps():
    """Both ways, by the field of every step and by the first state."""
    n, dt = 5, 0.05
    control = 3 * jax.random.normal(jax.random.key(0), (7,))
    first = jnp.asarray(superposition([0.6, 0.8], n))

    def stacked(end):
        return jnp.concatenate([end.real, end.imag])

    def ours(control, first):
        return stacked(end(control, first, dt=dt))

    def dense(control, first):
        psi = first[:n] + 1j * first[n:]
        for field in control:
            free = jnp.asarray(hamiltonian(n, 0.0)) + field * jnp.diag(positions(n))
            energy = 0.5j * dt * free
            psi = jnp.linalg.solve(jnp.eye(n) + energy, psi - energy @ psi)
        return stacked(psi)

    wanted = jax.jit(jax.jacrev(dense, (0, 1)))(control, first)
    for mode in (jax.jacfwd, jax.jacrev):
        found = jax.jit(mode(ours, (0, 1)))(control, first)
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-12)
    last, whole = jax.jit(
        lambda *args: (stacked(motion(*args, dt=dt)[-1]), ours(*args))
    )(control, first)
    np.testing.assert_allclose(last, whole, atol=1e-14)


@double
def test_any_control_keeps_the_norm():
    run = jax.jit(functools.partial(motion, dt=0.05))
    for size in (1.0, 30.0, 1000.0):
        control = size * jax.random.normal(jax.random.key(1), (384,))
        first = jnp.asarray(superposition([0.6, 0.8]))
        path = run(control, first)
        norms = jnp.sum(jnp.abs(path) ** 2, axis=1)
        assert jnp.max(jnp.abs(norms - 1)) < 1e-10


@double
def test_steps_are_of_second_order_against_the_exact_propagator():
    n, field, time = 8, 2.0, 0.2
    first = superposition([0.8, 0.6j], n)
    start = first[:n] + 1j * first[n:]
    wanted = scipy.linalg.expm(-1j * time * hamiltonian(n, field)) @ start
    errors = []
    for steps in (100, 200, 400):
        run = jax.jit(functools.partial(motion, dt=time / steps))
        path = run(jnp.full(steps, field), jnp.asarray(first))
        errors.append(np.linalg.norm(path[-1] - wanted))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2, atol=0.02)


@double
def test_without_a_field_populations_stay():
    first = jnp.asarray(superposition([0.0, 0.6, 0.8]))
    path = motion(jnp.zeros(50), first, dt=0.05)
    np.testing.assert_allclose(
        populations(path, 4),
        np.tile([0, 0.36, 0.64, 0], (51, 1)),
        atol=1e-12,
    )


@double
def test_unitarity_takes_one_rank_a_sample_from_the_jacobian():
    problem = problems.quantum_dipole(8, num_steps=60, dtype=jnp.float64)
    (inputs,), _ = problem.sample(jax.random.key(0), 1)
    control = jax.random.normal(jax.random.key(1), (60,))
    jacobian = jax.jit(jax.jacrev(problem.simulate))(control, inputs)
    state = jax.jit(problem.simulate)(control, inputs)
    np.testing.assert_allclose(state @ jacobian, 0, atol=1e-12)
    assert np.linalg.matrix_rank(jacobian) == 15


@double
def test_infidelity_is_the_square_of_its_residual():
    problem = problems.quantum_dipole(8, num_steps=20, dtype=jnp.float64)
    (goal,), _ = problem.sample(jax.random.key(0), 1)
    control = 5 * jax.random.normal(jax.random.key(2), (20,))

    def by(objective):
        return lambda u: objective(problem.simulate(u, goal), goal)

    def squares(y, goal):
        return jnp.sum(losses.infidelity_residual(y, goal) ** 2)

    both = [
        jax.jit(jax.value_and_grad(by(f)))(control)
        for f in (losses.infidelity, squares)
    ]
    np.testing.assert_allclose(*(value for value, _ in both), atol=1e-13)
    np.testing.assert_allclose(*(gradient for _, gradient in both), atol=1e-12)
    # A phase does not count.
    turned = jnp.concatenate([-goal[8:], goal[:8]])
    assert abs(losses.infidelity(turned, goal)) < 1e-14


def test_targets_of_the_dipole_are_normalized_mixtures_of_two_states(dtype):
    problem = problems.quantum_dipole(dtype=dtype)
    inputs, targets = problem.sample(jax.random.key(0), 200)
    assert inputs.dtype == targets.dtype == dtype
    found = populations(jax.lax.complex(targets[:, :14], targets[:, 14:]))
    np.testing.assert_allclose(found[:, 1:3].sum(axis=1), 1, atol=1e-6)
    assert 0.4 < found[:, 1].mean() < 0.6


def test_fewer_controls_are_held():
    problem = problems.quantum_dipole(num_steps=12, num_controls=4)
    every = problems.quantum_dipole(num_steps=12)
    (inputs,), _ = problem.sample(jax.random.key(0), 1)
    control = jnp.arange(4.0, dtype=jnp.float32)
    np.testing.assert_allclose(
        jax.jit(problem.simulate)(control, inputs),
        jax.jit(every.simulate)(jnp.repeat(control, 3), inputs),
        atol=1e-6,
    )


@pytest.mark.parametrize("size", [2, 8, 64])
def test_sines_solve_poissons_equation(size, dtype):
    x = jax.random.normal(jax.random.key(0), (size, size), dtype)
    found = solve(laplacian(x))
    assert found.dtype == dtype
    tolerance = 1e-12 if dtype == jnp.float64 else 1e-5
    assert jnp.max(jnp.abs(found - x)) < tolerance * size**2


@double
def test_the_laplacian_is_that_of_two_second_differences():
    n = 5
    second = np.eye(n, k=1) + np.eye(n, k=-1) - 2 * np.eye(n)
    matrix = np.kron(second, np.eye(n)) + np.kron(np.eye(n), second)
    x = jax.random.normal(jax.random.key(0), (n, n))
    np.testing.assert_allclose(laplacian(x).ravel(), matrix @ x.ravel(), atol=1e-13)


def test_smooth_fields_have_unit_mean_square():
    fields = smooth_fields(jax.random.key(0), 2000, 8, jnp.float32)
    assert 0.95 < jnp.mean(fields**2) < 1.05


@double
def test_a_wave_of_heat_shrinks_as_it_should():
    n, amount = 16, 3.0
    x = np.arange(n)
    wave = jnp.asarray(np.cos(2 * np.pi * (2 * x[:, None] + 3 * x) / n))
    factor = np.exp(-amount * (2 * np.pi / n) ** 2 * (4 + 9))
    np.testing.assert_allclose(diffuse(wave, amount), factor * wave, atol=1e-14)
    twice = diffuse(diffuse(wave, 1.0), 2.0)
    np.testing.assert_allclose(twice, factor * wave, atol=1e-14)


@double
def test_concentrating_is_the_damped_least_squares_inverse():
    n, amount, floor = 6, 2.0, 1e-2
    matrix = jax.jacfwd(lambda x: diffuse(x.reshape(n, n), amount).ravel())(
        jnp.zeros(n * n)
    )
    y = jax.random.normal(jax.random.key(0), (n, n))
    normal = matrix.T @ matrix + floor**2 * np.eye(n * n)
    wanted = np.linalg.solve(normal, matrix.T @ y.ravel())
    found = concentrate(y, amount, floor)
    np.testing.assert_allclose(found.ravel(), wanted, atol=1e-9)


SMALL = [
    problems.poisson(6),
    problems.heat(16),
    problems.scaled_waves(),
    problems.rotated_sine(),
    problems.exponential(),
]


@pytest.mark.parametrize("problem", SMALL, ids=lambda problem: problem.name)
def test_inverses_reach_the_targets(problem):
    inputs, targets = problem.sample(jax.random.key(0), 20)
    shape = (20, problem.num_controls)
    control = 0.1 * jax.random.normal(jax.random.key(1), shape, jnp.float32)
    simulate = jax.jit(jax.vmap(problem.simulate))
    found = jax.jit(jax.vmap(problem.invert))(control, inputs, targets)
    ends = simulate(found, inputs)
    missed, before = (
        jnp.mean(jax.vmap(problem.objective)(y, targets))
        for y in (ends, simulate(control, inputs))
    )
    assert missed < 1e-5 * before
    assert found.dtype == ends.dtype == jnp.float32


def test_the_inverse_of_a_rotated_sine_is_the_nearest():
    problem = problems.rotated_sine(2.0, 30.0)
    control, target = jnp.array([1.3, -0.4]), jnp.array([0.2, 0.7])
    found = problem.invert(control, target, target)
    turn = np.deg2rad(30.0)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    around = np.arange(-3, 4) * 2 * np.pi
    rising = np.arcsin(0.2)
    firsts = np.concatenate([rising + around, np.pi - rising + around])
    all_of_them = np.stack([firsts / 5, np.full(14, 0.7 / 20)], axis=1) @ rotation
    distances = np.linalg.norm(all_of_them - np.asarray(control), axis=1)
    nearest = np.linalg.norm(np.asarray(found - control))
    np.testing.assert_allclose(nearest, distances.min(), rtol=1e-5)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match=r"num_controls is 100.*take 64, 96, 128"):
        problems.quantum_dipole(num_controls=100)
    with pytest.raises(ValueError, match=r"Divide them by 1\.41421"):
        superposition([1.0, 1.0])
    with pytest.raises(ValueError, match="at most 14 numbers"):
        superposition(np.ones(15))
    with pytest.raises(
        ValueError, match=r"control has shape \(3,\); expected \(384,\)"
    ):
        problems.quantum_dipole().simulate(jnp.zeros(3), jnp.zeros(28))
    for build, word in (
        (lambda: problems.quantum_dipole(2), "num_points is 2"),
        (lambda: problems.quantum_dipole(dt=-1.0), "above zero"),
        (lambda: problems.poisson(1), "size is 1"),
        (lambda: problems.heat(2), "size is 2"),
        (lambda: problems.heat(amount=0.0), "amount"),
        (lambda: problems.heat(floor=np.inf), "floor"),
        (lambda: problems.scaled_waves(0.0), "scale"),
        (lambda: problems.scaled_waves(np.nan), "scale"),
        (lambda: problems.rotated_sine(angle=np.inf), "angle"),
        (lambda: problems.rotated_sine(0.0), "conditioning"),
        (lambda: problems.exponential(1.0), "low is"),
    ):
        with pytest.raises(ValueError, match=word):
            build()
