"""Learned Lagrangians: what holds for any weights, and that they are learned."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import integrators, learning, linalg, mechanics, models, systems, trees
from jaxphys.learning import Recipe, learn
from jaxphys.types import Model, PhaseState, TangentState, Trajectories

SMALL = {"hidden": (8, 8)}
KINDS = ["lnn", "delan"]


def made(kind, dtype=jnp.float64, n=2, **options):
    make = {"lnn": models.lnn, "delan": models.delan}[kind]
    model = make(n, periodic=(True,) * n, dtype=dtype, **SMALL, **options)
    return model, model.init(jax.random.key(4))


def point(dtype=jnp.float64, n=2):
    return tuple(
        jax.random.normal(jax.random.key(1), (3, n), jnp.float32).astype(dtype)
    )


# What holds for any weights


@pytest.mark.x64
@pytest.mark.parametrize("kind", KINDS)
def test_scale_and_total_derivatives_of_a_learned_lagrangian_are_not_seen(kind):
    model, params = made(kind)
    q, v, _ = point()

    def changed(params, q, v):
        rate = jnp.cos(q) * v  # d/dt of Σ sin q
        return -3.0 * model.apply(params, q, v) + 0.7 * jnp.sum(rate)

    plain, other = (
        jax.jit(mechanics.acceleration(f))(params, q, v) for f in (model.apply, changed)
    )
    np.testing.assert_allclose(plain, other, rtol=1e-9)


@pytest.mark.long
@pytest.mark.x64
@pytest.mark.parametrize("kind", KINDS)
def test_the_energy_of_a_learned_lagrangian_is_kept_along_its_motion(kind):
    model, params = made(kind)
    motion = models.lagrangian_dynamics(model)
    q, v, _ = point()
    y = TangentState(q, v)

    @jax.jit
    def run(params, y):
        rate = motion.vector_field(0.0, y, params)
        energy = functools.partial(motion.energy, params)
        _, change = jax.jvp(energy, tuple(y), tuple(rate))
        slope = jax.grad(energy, 1)(*y)
        step = integrators.rk4(motion.vector_field)
        path = integrators.rollout(step, y, dt=1e-3, num_steps=200, args=params)
        energies = jax.vmap(motion.energy, (None, 0, 0))(params, *path)
        return change, slope, rate.v, energies

    change, slope, a, energies = run(params, y)
    assert abs(change) < 1e-10 * (1 + np.linalg.norm(slope) * np.linalg.norm(a))
    np.testing.assert_allclose(energies, energies[0], rtol=1e-7)


def test_the_mass_of_a_deep_lagrangian_network_is_positive(dtype):
    model = models.delan(3, dtype=dtype, **SMALL)
    masses = jax.jit(jax.vmap(model.parts["mass"], (None, 0)))
    points = 3 * jax.random.normal(jax.random.key(9), (5, 3), dtype)
    for seed, size in itertools.product(range(3), (1.0, 30.0)):
        params = model.init(jax.random.key(seed))
        params = jax.tree.map(lambda x, size=size: size * (x + 0.1), params)
        for mass in np.asarray(masses(params, points)):
            np.testing.assert_array_equal(mass, mass.T)
            assert mass.dtype == dtype
            lowest = np.linalg.eigvalsh(mass)[0]
            assert lowest > (0 if size == 1.0 else -1e-5 * np.trace(mass))


@pytest.mark.parametrize("kind", [*KINDS, "friction"])
def test_forces_and_accelerations_are_inverse_to_each_other(kind, dtype):
    model, _ = made("delan" if kind == "friction" else kind, dtype)
    motion = models.forced(
        model, 2, 2, dissipation=kind == "friction", dtype=dtype, **SMALL
    )
    params = motion.init(jax.random.key(0))
    q, v, u = point(dtype)
    a = jax.jit(motion.vector_field)(0.0, TangentState(q, v), (params, u)).v
    torque = jax.jit(motion.inverse)(params, q, v, a)
    scale = float(jnp.max(jnp.abs(a))) + 1
    tolerance = 1e-9 if dtype == jnp.float64 else 1e-3
    np.testing.assert_allclose(torque, u, atol=tolerance * scale)
    assert torque.dtype == dtype


@pytest.mark.x64
def test_both_forms_of_one_learned_energy_move_alike():
    """H by Legendre's transform of L, and by M⁻¹, agree; and so do their motions."""
    model, params = made("delan")
    q, v, _ = point()
    other = model.parts["hamiltonian"]
    gradient = mechanics.momentum(model.apply)

    @jax.jit
    def both(params, q, v):
        p = gradient(params, q, v)
        energies = (
            mechanics.legendre(model.apply)(params, q, p),
            other(params, q, p),
        )
        field = mechanics.hamiltonian_vector_field(other)
        rate = field(0.0, PhaseState(q, p), params)
        a = mechanics.acceleration(model.apply, positive=True)(params, q, v)
        _, change = jax.jvp(lambda q, v: gradient(params, q, v), (q, v), (v, a))
        return energies, rate, change

    energies, rate, change = both(params, q, v)
    np.testing.assert_allclose(*energies, rtol=1e-10)
    np.testing.assert_allclose(rate.q, v, rtol=1e-10)
    np.testing.assert_allclose(rate.p, change, rtol=1e-8, atol=1e-10)


def test_angles_have_their_period():
    q, v = jnp.array([3.0, -1.0]), jnp.array([0.5, 0.3])
    model = models.lnn(2, periodic=(True, False), **SMALL)
    params = model.init(jax.random.key(0))
    turned = model.apply(params, q + jnp.array([2 * jnp.pi, 0.0]), v)
    np.testing.assert_allclose(turned, model.apply(params, q, v), rtol=1e-4)


def test_fresh_weights_have_the_published_spread():
    model = models.lnn(2, hidden=(400, 400, 400))
    params = model.init(jax.random.key(0))
    root = 400**0.5
    expected = [2.2 / root, 0.58 / root, 2 * 0.58 / root, 400 / root]
    for i, sigma in enumerate(expected):
        layer = params[f"Dense_{i}"]
        assert np.std(layer["kernel"]) == pytest.approx(sigma, rel=0.1)
        assert not np.any(layer["bias"])


@pytest.mark.parametrize("make", [models.lnn, models.delan])
def test_relu_is_refused(make):
    with pytest.raises(ValueError, match="cannot learn a Lagrangian"):
        make(1, activation="relu")


# Parts of a torque


@pytest.mark.x64
def test_the_torques_of_an_arm_are_those_of_the_textbook():
    arm = systems.two_link_arm()
    q, v, a = point()
    parts = jax.jit(mechanics.torque_parts(arm.lagrangian))(arm.params, q, v, a)
    c, s = jnp.cos(q[1]), jnp.sin(q[1])
    mass = jnp.array(
        [[1.3727292 + c, 0.5176146 + c / 2], [0.5176146 + c / 2, 0.5176146]]
    )
    coriolis = [-s * v[0] * v[1] - s / 2 * v[1] ** 2, s / 2 * v[0] ** 2]
    low = 1.5 * jnp.cos(q[0] + q[1])
    gravity = [2.625 * jnp.cos(q[0]) + low, low]
    for found, expected in zip(parts, (mass @ a, coriolis, gravity), strict=True):
        np.testing.assert_allclose(found, jnp.stack(expected), rtol=1e-9)
    whole = jax.jit(mechanics.inverse_dynamics(arm.lagrangian))(arm.params, q, v, a)
    np.testing.assert_allclose(sum(parts), whole, rtol=1e-12)


# Friction and inputs


def test_friction_never_adds_energy_to_a_learned_motion(dtype):
    model, _ = made("delan", dtype)
    motion = models.forced(model, 2, dissipation=True, dtype=dtype, **SMALL)

    @jax.jit
    def power(params, q, v):
        rate = motion.vector_field(0.0, TangentState(q, v), params)
        energy = functools.partial(motion.energy, params)
        return jax.jvp(energy, (q, v), tuple(rate))[1]

    for seed in range(3):
        params = motion.init(jax.random.key(seed))
        for key in jax.random.split(jax.random.key(seed), 4):
            q, v = jax.random.normal(key, (2, 2), dtype)
            assert power(params, q, v) < 1e-5


@pytest.mark.x64
def test_an_input_does_work():
    model, _ = made("delan")
    motion = models.forced(model, 2, 1, inputs="learned", dtype=jnp.float64, **SMALL)
    params = motion.init(jax.random.key(0))
    q, v, _ = point()
    y = TangentState(q, v)
    field = jax.jit(motion.vector_field)
    pushed, free = (field(0.0, y, (params, jnp.array([u]))).v for u in (2.0, 0.0))
    force = model.parts["mass"](params["lagrangian"], q) @ (pushed - free)
    ways = (pushed - free) / 2
    again = field(0.0, y, (params, jnp.array([1.0]))).v
    np.testing.assert_allclose(again, free + ways, rtol=1e-9)
    assert jnp.linalg.norm(force) > 1e-6
    assert motion.inverse is None


def test_inputs_that_cannot_act_are_told():
    model = models.lnn(2, **SMALL)
    with pytest.raises(ValueError, match="num_controls is 1, but inputs act directly"):
        models.forced(model, 2, 1)
    motion = models.forced(model, 2, 2)
    y = TangentState(jnp.ones(2), jnp.ones(2))
    with pytest.raises(ValueError, match=r"input u has shape \(3,\); expected \(2,\)"):
        motion.vector_field(0.0, y, (motion.init(jax.random.key(0)), jnp.ones(3)))


# Lattices


@pytest.mark.parametrize("n", [3, 4, 9])
def test_a_ring_is_solved_as_its_matrix_is(n, dtype):
    random = np.random.default_rng(n)
    diagonal, off, rhs = random.normal(size=(3, n)).astype(dtype)
    diagonal = diagonal + 4
    matrix = np.diag(diagonal)
    for i in range(n):
        j = (i + 1) % n
        matrix[i, j] += off[i]
        matrix[j, i] += off[i]
    found = jax.jit(linalg.cyclic_solve)(*map(jnp.asarray, (diagonal, off, rhs)))
    tolerance = 1e-12 if dtype == jnp.float64 else 1e-5
    np.testing.assert_allclose(found, np.linalg.solve(matrix, rhs), atol=tolerance)
    assert found.dtype == dtype


def lattice(dtype, **options):
    model = models.lattice(0.5, dtype=dtype, **SMALL, **options)
    return model, model.init(jax.random.key(2))


@pytest.mark.x64
@pytest.mark.parametrize("n", [3, 8])
def test_a_lattice_moves_as_its_whole_lagrangian_does(n):
    model, params = lattice(jnp.float64)
    q, v = 0.5 * jax.random.normal(jax.random.key(1), (2, n))
    fast = mechanics.lattice_acceleration(model.parts["density"])
    whole = mechanics.acceleration(model.apply)
    expected = jax.jit(whole)(params, q, v)
    np.testing.assert_allclose(jax.jit(fast)(params, q, v), expected, rtol=1e-8)

    def loss(f):
        return jax.jit(jax.grad(lambda p: jnp.sum(f(p, q, v) ** 2)))(params)

    motion = models.lagrangian_dynamics(model)
    rate = jax.jit(motion.vector_field)(0.0, TangentState(q, v), params)
    np.testing.assert_array_equal(rate.v, jax.jit(fast)(params, q, v))
    flat = [trees.ravel(loss(f))[0] for f in (fast, whole)]
    np.testing.assert_allclose(*flat, rtol=1e-5, atol=1e-7 * jnp.max(jnp.abs(flat[0])))


@pytest.mark.x64
def test_a_lattice_of_strings_is_the_wave_equation():
    wave = systems.wave(16)
    dx = wave.params.spacing

    def string(params, q, v):
        slope = (q[1] - q[0]) / params.spacing
        return dx * (v @ v / 2 - params.speed**2 * slope**2) / 2

    q, v = jax.random.normal(jax.random.key(0), (2, 16))
    found = jax.jit(mechanics.lattice_acceleration(string))(wave.params, q, v)
    expected = jax.jit(mechanics.acceleration(wave.lagrangian))(wave.params, q, v)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_nodes_of_a_lattice_are_alike_and_their_cost_is_linear():
    model, params = lattice(jnp.float32)
    fast = mechanics.lattice_acceleration(model.parts["density"])
    q, v = 0.5 * jax.random.normal(jax.random.key(1), (2, 6), jnp.float32)
    found = jax.jit(fast)(params, q, v)
    moved = jax.jit(fast)(params, jnp.roll(q, 2), jnp.roll(v, 2))
    np.testing.assert_allclose(moved, jnp.roll(found, 2), rtol=2e-3, atol=2e-4)
    largest = []
    for n in (50, 100):
        x = jnp.zeros(n, jnp.float32)
        compiled = jax.jit(fast).lower(params, x, x).compile()
        largest.append(compiled.memory_analysis().temp_size_in_bytes)
    assert largest[1] < 2.5 * largest[0]


def test_a_lattice_that_cannot_be_is_told():
    with pytest.raises(ValueError, match="spacing is 0"):
        models.lattice(0.0)
    model, params = lattice(jnp.float32)
    fast = mechanics.lattice_acceleration(model.parts["density"])
    with pytest.raises(ValueError, match="got 2 nodes; expected at least 3"):
        fast(params, jnp.ones(2), jnp.ones(2))


# Learning


def accelerated(system, count, seed=0, size=1.0):
    """States at single times, with accelerations, and the torques of a robot."""
    n = len(system.periodic)
    q, v, a = size * np.random.default_rng(seed).normal(size=(3, count, 1, n))

    def everywhere(function, *arrays):
        one = functools.partial(function, system.params)
        return np.asarray(jax.jit(jax.vmap(jax.vmap(one)))(*map(jnp.asarray, arrays)))

    dv = everywhere(mechanics.acceleration(system.lagrangian), q, v)
    free = Trajectories(np.zeros(1), TangentState(q, v), TangentState(v, dv))
    u = everywhere(mechanics.inverse_dynamics(system.lagrangian), q, v, a)
    return free, free._replace(rate=TangentState(v, a), u=u)


@pytest.mark.x64
def test_a_network_that_sees_the_true_terms_finds_their_coefficients():
    """The double pendulum is linear in five terms; their common factor is free."""
    pendulum = systems.double_pendulum()

    def terms(x):
        (c1, s1, c2, s2), (v1, v2) = x[:4], x[4:]
        return jnp.stack([v1**2, v2**2, v1 * v2 * (c1 * c2 + s1 * s2), c1, c2])

    own = Model(
        lambda key: {"w": 0.1 + jax.random.uniform(key, (5,), jnp.float64)},
        lambda params, x: (params["w"] @ terms(x))[None],
    )
    model = models.lnn(
        2, periodic=(True, True), own=own, regularization=0.0, dtype=jnp.float64
    )
    free, _ = accelerated(pendulum, 200)
    recipe = Recipe(optimizer="levenberg_marquardt", batch_size=50, steps=80)
    motion = models.lagrangian_dynamics(model)
    fit = learn(motion, recipe, [free], key=jax.random.key(0), progress=False)
    assert fit.history[-1]["train_loss"] < 1e-16 * fit.history[0]["train_loss"]
    w = np.asarray(fit.state.params["w"])
    ratios = w / w[0]
    np.testing.assert_allclose(ratios, [1, 0.5, 1, 2 * 9.8, 9.8], rtol=1e-6)


@pytest.mark.x64
@pytest.mark.parametrize("kind", KINDS)
def test_accelerations_are_learned(kind):
    pendulum = systems.pendulum(1.0, 1.0, 1.0)
    free, _ = accelerated(pendulum, 100)
    model, _ = made(kind, n=1)
    recipe = Recipe(optimizer="levenberg_marquardt", batch_size=50, steps=150)
    motion = models.lagrangian_dynamics(model)
    fit = learn(motion, recipe, [free], key=jax.random.key(0), progress=False)
    assert fit.history[-1]["train_loss"] < 1e-6 * fit.history[0]["train_loss"]


@pytest.mark.x64
def test_torques_are_learned_and_tell_masses():
    """Torques fix the scale that accelerations leave free."""
    arm = systems.pendulum(2.0, 1.0, 1.0)
    _, driven = accelerated(arm, 100)
    model, _ = made("delan", n=1)
    motion = models.forced(model, 1, 1)
    recipe = Recipe(
        mode="torques", optimizer="levenberg_marquardt", batch_size=50, steps=150
    )
    fit = learn(motion, recipe, [driven], key=jax.random.key(0), progress=False)
    assert fit.history[-1]["train_loss"] < 1e-6 * fit.history[0]["train_loss"]
    mass = model.parts["mass"](fit.state.params["lagrangian"], jnp.array([0.3]))
    np.testing.assert_allclose(mass, 2.0, rtol=1e-3)


def test_torques_that_are_matched_must_be_there():
    free, driven = accelerated(systems.pendulum(), 4)
    recipe = Recipe(mode="torques", steps=1)
    options = {"key": jax.random.key(0), "progress": False}
    motion = models.lagrangian_dynamics(models.lnn(1, **SMALL))
    with pytest.raises(ValueError, match="have no inputs u"):
        learn(motion, recipe, [free], **options)
    with pytest.raises(ValueError, match="has no inverse"):
        learn(models.second_order(1, **SMALL), recipe, [driven], **options)


def test_one_cycle_goes_up_and_then_down_to_nothing():
    recipe = Recipe(schedule="one_cycle", steps=100, learning_rate=0.1).check()
    tx = learning.transformation(recipe)
    state = tx.init(jnp.zeros(1))
    sizes = []
    update_once = jax.jit(tx.update)
    for _ in range(100):
        update, state = update_once(jnp.ones(1), state)
        sizes.append(abs(float(update[0])))
    assert np.argmax(sizes) == pytest.approx(30, abs=2)
    assert max(sizes) == pytest.approx(0.1, rel=0.01)
    assert sizes[-1] < 1e-3 * max(sizes)
    with pytest.raises(ValueError, match="one_cycle needs a number of steps"):
        Recipe(schedule="one_cycle", seconds=1.0).check()
