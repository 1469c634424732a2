"""Learned energies obey mechanics whatever their weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxphys import integrators, mechanics, metrics, models, ode, systems, trees
from jaxphys.data import Chunk
from jaxphys.models.coordinates import coordinates
from jaxphys.problems.matching import follow
from jaxphys.types import PhaseState, TangentState, required

PERIODIC = (True, False)
UNITS = models.Normalization(
    *(np.array(x) for x in ([0.0, 0.5], [1, 2], [3, 0.5], [2, 1], [1, 4]))
)
SMALL = {"hidden": (12, 12), "periodic": PERIODIC, "normalization": UNITS}

HAMILTONIANS = {
    "hnn": models.hnn,
    "separable": models.separable,
    "structured": models.structured,
}


def wild(params, size=1.5):
    """Weights far from those at the start: facts that hold for any must hold here."""
    flat, unravel = trees.ravel(params)
    noise = size * jax.random.normal(jax.random.key(9), flat.shape, flat.dtype)
    return unravel(flat + noise)


def state(dtype=jnp.float32, seed=0):
    q, p = jax.random.normal(jax.random.key(seed), (2, 2), jnp.float32).astype(dtype)
    return PhaseState(q, p)


def made(name, dtype):
    model = HAMILTONIANS[name](2, dtype=dtype, **SMALL)
    return model, wild(model.init(jax.random.key(1)))


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_the_field_is_free_of_divergence_and_keeps_its_energy(name, dtype):
    model, params = made(name, dtype)
    field = mechanics.hamiltonian_vector_field(model.apply)
    y = state(dtype)
    rate = jax.jit(field)(0.0, y, params)
    assert rate.q.dtype == dtype
    size = float(jnp.linalg.norm(jnp.concatenate(rate)))
    assert size > 1e-2
    div, change = jax.jit(
        lambda: (
            metrics.divergence(field)(0.0, y, params),
            jax.jvp(lambda q, p: model.apply(params, q, p), y, rate)[1],
        )
    )()
    assert abs(div) < 100 * jnp.finfo(dtype).eps * size
    assert abs(change) < 100 * jnp.finfo(dtype).eps * size**2


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_an_angle_has_its_period(name, dtype):
    model, params = made(name, dtype)
    q, p = state(dtype)
    turned = q + jnp.array([2 * jnp.pi, 0], dtype)
    here, there = (jax.jit(model.apply)(params, x, p) for x in (q, turned))
    tolerance = 200 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(here, there, rtol=tolerance, atol=tolerance)
    other = model.apply(params, q + jnp.array([0, 2 * jnp.pi], dtype), p)
    assert abs(other - here) > 1e-3


def test_equal_bodies_in_pairs_keep_the_symmetries_of_space():
    model = models.pairwise(3, hidden=(8,), dtype=jnp.float32)
    params = wild(model.init(jax.random.key(1)), 0.5)
    q, p = jax.random.normal(jax.random.key(2), (2, 3, 2))
    cos, sin = np.cos(0.7), np.sin(0.7)
    turn = jnp.array([[cos, -sin], [sin, cos]])
    energy = jax.jit(lambda q, p: model.apply(params, q.ravel(), p.ravel()))
    expected = pytest.approx(float(energy(q, p)), rel=1e-4)
    assert float(energy(q + 3.0, p)) == expected
    assert float(energy(q @ turn, p)) == expected
    order = np.array([2, 0, 1])
    assert float(energy(q[order], p[order])) == expected
    assert float(energy(1.1 * q, p)) != expected
    rate = jax.grad(energy)(q, p)
    np.testing.assert_allclose(jnp.sum(rate, axis=0), 0, atol=1e-4)
    with pytest.raises(ValueError, match="3 bodies in 2 dimensions"):
        model.apply(params, jnp.zeros(4), jnp.zeros(4))
    with pytest.raises(ValueError, match="at least 2"):
        models.pairwise(1)


@pytest.mark.parametrize("size", [0.0, 1.0, 20.0])
def test_the_mass_is_positive_definite_whatever_the_weights(size, dtype):
    model = models.structured(3, hidden=(12,), dtype=dtype)
    params = wild(model.init(jax.random.key(0)), size)
    q = jnp.array([0.3, -1.0, 2.0], dtype)
    inverse = jax.jit(model.parts["inverse_mass"])(params, q)
    np.testing.assert_array_equal(inverse, inverse.T)
    sizes = np.linalg.eigvalsh(np.asarray(inverse, float))
    rounding = 10 * float(jnp.finfo(dtype).eps) * sizes.max()
    assert sizes.min() > 0.9e-4 - rounding
    bent = jax.jit(jax.hessian(model.apply, 2))(params, q, jnp.ones(3, dtype))
    np.testing.assert_allclose(bent, inverse, rtol=1e-5, atol=1e-5 * sizes.max())
    mass = model.parts["mass"](params, q)
    assert mass.dtype == dtype
    slack = 30 * rounding / sizes.min()
    np.testing.assert_allclose(mass @ inverse, np.eye(3), atol=slack)


def test_momentum_and_velocity_of_a_structured_energy_are_inverse(dtype):
    model, params = made("structured", dtype)
    q, p = state(dtype)
    momentum, lagrangian = model.parts["momentum"], model.parts["lagrangian"]

    @jax.jit
    def there_and_back(params, q, p):
        v = mechanics.velocity(model.apply)(params, q, p)
        legendre = p @ v - model.apply(params, q, p) - lagrangian(params, q, v)
        return v, momentum(params, q, v), legendre

    v, back, legendre = there_and_back(params, q, p)
    # The condition of these masses is 1e5, of which rounding takes its share.
    tolerance = 1e3 * float(jnp.finfo(dtype).eps) * float(jnp.max(jnp.abs(v)))
    np.testing.assert_allclose(back, p, atol=tolerance, rtol=0)
    assert abs(legendre) < tolerance * float(jnp.max(jnp.abs(v)))


def test_separable_energies_do_not_mix():
    model, params = made("separable", "float32")
    q, p = state()
    mixed = jax.jit(jax.jacfwd(jax.grad(model.apply, 1), 2))(params, q, p)
    np.testing.assert_array_equal(mixed, 0)
    kinetic, potential = (model.parts[name] for name in ("kinetic", "potential"))
    whole = kinetic(params, p) + potential(params, q)
    np.testing.assert_allclose(model.apply(params, q, p), whole, rtol=1e-5)


def test_a_part_that_a_model_does_not_have_is_told():
    model = models.hnn(2, hidden=(4,))
    with pytest.raises(ValueError, match=r"no mass matrix; take .*delan"):
        required(model, "mass")
    with pytest.raises(ValueError, match=r"no momentum .* take .*structured"):
        models.in_velocities(models.dynamics(model), model)


def test_equal_models_have_equal_hashes():
    model = models.structured(1, hidden=(4,))
    assert hash(model) == hash(model._replace())
    assert model == model._replace() != models.structured(1, hidden=(4,))


@pytest.mark.x64
def test_leapfrog_keeps_a_learned_energy_over_ten_thousand_steps():
    model = models.separable(1, hidden=(16, 16), dtype=jnp.float64)
    params = model.init(jax.random.key(2))

    # A learned well: the network alone may have none for the motion to stay in.
    def energy(params, q, p):
        return model.apply(params, q, p) + (q @ q + p @ p) / 2

    y0 = PhaseState(jnp.array([0.7]), jnp.array([0.2]))

    def drift(step):
        @jax.jit
        def energies():
            options = {"dt": 0.1, "num_steps": 10_000, "args": params}
            path = integrators.rollout(step, y0, **options)
            return jax.vmap(energy, (None, 0, 0))(params, *path)

        along = np.asarray(energies())
        change = np.abs(along - along[0])
        return change[:1000].max(), change.max()

    early, late = drift(integrators.leapfrog(energy))
    assert late < 1.05 * early < 1e-2
    rising, risen = drift(integrators.euler(mechanics.hamiltonian_vector_field(energy)))
    assert not risen < 1.05 * rising


@pytest.mark.parametrize("energy", ["structured", "plain"])
def test_friction_never_adds_energy(energy, dtype):
    motion = models.port_hamiltonian(
        2, 0, energy=energy, dissipation=True, dtype=dtype, **SMALL
    )
    params = wild(motion.init(jax.random.key(3)))

    def power(q, p):
        y = PhaseState(q, p)
        rate = motion.vector_field(0.0, y, params)
        return jax.jvp(lambda q, p: motion.energy(params, q, p), y, rate)[1]

    points = jax.random.normal(jax.random.key(4), (2, 200, 2), dtype)
    found = jax.jit(jax.vmap(power))(*points)
    largest = float(jnp.max(jnp.abs(found)))
    assert float(jnp.max(found)) < 100 * jnp.finfo(dtype).eps * largest
    assert float(jnp.min(found)) < -1e-3


def test_an_input_acts_linearly_on_the_momenta_alone():
    motion = models.port_hamiltonian(2, 3, **SMALL)
    params = wild(motion.init(jax.random.key(5)))
    field = jax.jit(lambda u: motion.vector_field(0.0, state(), (params, u)))
    none, once, twice = (field(s * jnp.arange(1.0, 4.0)) for s in (0, 1, 2))
    np.testing.assert_array_equal(none.q, once.q)
    np.testing.assert_allclose(twice.p - none.p, 2 * (once.p - none.p), rtol=1e-4)
    assert np.all(np.abs(once.p - none.p) > 1e-4)


def test_the_helmholtz_split_turns_by_one_part_and_spreads_by_the_other():
    motion = models.dissipative(2, **SMALL)
    params = wild(motion.init(jax.random.key(7)))
    y = state()
    still = jax.tree.map(jnp.zeros_like, params.dissipated)
    div = jax.jit(metrics.divergence(motion.vector_field))
    alone = params._replace(dissipated=still)
    assert abs(div(0.0, y, alone)) < 1e-4
    assert abs(div(0.0, y, params)) > 1e-2

    # What D adds is a gradient: its Jacobian is symmetric.
    def added(flat):
        y = PhaseState(flat[:2], flat[2:])
        both = (motion.vector_field(0.0, y, w) for w in (params, alone))
        return jnp.concatenate(next(both)) - jnp.concatenate(next(both))

    jacobian = jax.jit(jax.jacfwd(added))(jnp.concatenate(y))
    np.testing.assert_allclose(jacobian, jacobian.T, rtol=1e-3, atol=1e-3)


@pytest.mark.x64
def test_a_motion_told_by_velocities_is_the_same_motion():
    model = models.structured(2, dtype=jnp.float64, **SMALL)
    motion = models.port_hamiltonian(
        2, 1, energy=model, dissipation=True, dtype=jnp.float64, **SMALL
    )
    params = motion.init(jax.random.key(8))
    told = models.in_velocities(motion, model)
    y, u = state(jnp.float64), jnp.array([0.4])

    @jax.jit
    def both(params, y):
        step = {"dt": 2e-3, "num_steps": 20, "args": (params, u)}
        path = integrators.rollout(integrators.rk4(motion.vector_field), y, **step)
        velocities = jax.vmap(mechanics.velocity(model.apply), (None, 0, 0))
        v = velocities(params["energy"], *path)
        start = TangentState(y.q, v[0])
        other = integrators.rollout(integrators.rk4(told.vector_field), start, **step)
        energies = told.energy(params, *start), motion.energy(params, *y)
        return path, v, start, other, energies

    path, v, start, other, energies = both(params, y)
    np.testing.assert_allclose(other.q, path.q, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(other.v, v, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(*energies, rtol=1e-10)
    # Followed, it is integrated in q and p: the very same steps.
    chunk = Chunk(jnp.arange(21) * 2e-3, start, jnp.tile(u, (20, 1)))
    followed = jax.jit(follow(told))(params, chunk)
    np.testing.assert_allclose(followed.q, path.q[1:], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(followed.v, v[1:], rtol=1e-12, atol=1e-14)


@pytest.mark.x64
def test_no_force_acts_along_a_free_motion_told_by_velocities():
    """inverse(q, v, q̈) is zero, and M δ for an acceleration that is off by δ."""
    model = models.structured(2, dtype=jnp.float64, **SMALL)
    told = models.in_velocities(models.dynamics(model), model)
    params, y = told.init(jax.random.key(8)), TangentState(*state(jnp.float64))
    a = told.vector_field(0.0, y, params).v
    np.testing.assert_allclose(told.inverse(params, *y, a), 0.0, atol=1e-12)
    extra = jnp.array([0.3, -0.2])
    wanted = jnp.linalg.solve(model.parts["inverse_mass"](params, y.q), extra)
    force = told.inverse(params, *y, a + extra)
    np.testing.assert_allclose(force, wanted, rtol=1e-10)
    damped = models.port_hamiltonian(2, 0, energy=model, dissipation=True, **SMALL)
    assert models.in_velocities(damped, model).inverse is None


def test_the_second_order_baseline_knows_what_a_velocity_is():
    motion = models.second_order(2, 1, **SMALL)
    params = motion.init(jax.random.key(0))
    y = TangentState(*state())
    rate = jax.jit(motion.vector_field)(0.0, y, (params, jnp.ones(1)))
    np.testing.assert_array_equal(rate.q, y.v)
    assert rate.v.shape == (2,)


def test_normalization_changes_units_and_not_the_physics():
    """A network in other units is a network of x/s times E: its field is the same."""
    plain = models.hnn(2, hidden=(12,))
    scaled = models.hnn(2, hidden=(12,), normalization=UNITS)
    params = plain.init(jax.random.key(0))
    q, p = state()
    units = [jnp.asarray(x, jnp.float32) for x in UNITS]

    def by_hand(params, q, p):
        inner = plain.apply(params, (q - units[0]) / units[1], p / units[2])
        return UNITS.energy() * inner

    slopes = (jax.jit(jax.grad(f, (1, 2))) for f in (scaled.apply, by_hand))
    for ours, desired in zip(*(slope(params, q, p) for slope in slopes), strict=True):
        np.testing.assert_allclose(ours, desired, rtol=1e-5)


def test_normalized_rates_of_an_oscillator_have_size_one():
    """E makes the network's own derivatives of size one, in whatever units."""
    t = np.linspace(0, 20, 400)[:, None]
    q, p = 5 + 3e-3 * np.sin(7 * t), 3e-3 * 2e4 * 7 * np.cos(7 * t)
    dq, dp = p / 2e4, -2e4 * 49 * (q - 5)
    units = models.normalization(q, p, dq, dp)
    wanted_q = dp / (units.energy() / units.q_scale)
    wanted_p = dq / (units.energy() / units.p_scale)
    for wanted in (wanted_q, wanted_p):
        assert np.sqrt(np.mean(wanted**2)) == pytest.approx(1, rel=0.05)


class Own(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(1)(jnp.sin(linen.Dense(8)(x)))


class OwnNNX(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(5, 8, rngs=rngs)
        self.last = nnx.Linear(8, 1, rngs=rngs)

    def __call__(self, x):
        return self.last(jnp.tanh(self.first(x)))


@pytest.mark.parametrize("library", ["linen", "nnx"])
def test_a_users_own_network_is_an_energy(library):
    own = (
        models.from_linen(Own(), jnp.zeros(5))
        if library == "linen"
        else models.from_nnx(OwnNNX)
    )
    model = models.hnn(2, periodic=PERIODIC, own=own)
    params = model.init(jax.random.key(0))
    field = jax.jit(mechanics.hamiltonian_vector_field(model.apply))
    rate = field(0.0, state(), params)
    assert np.all(np.isfinite(np.concatenate(rate)))
    with pytest.raises(
        ValueError, match=r"cannot take its input of shape \(4,\)|gave shape"
    ):
        models.hnn(2, own=models.from_nnx(OwnNNX)).init(jax.random.key(0))


def test_learned_energies_go_where_analytic_ones_do():
    """A system with the energy replaced simulates, and ode.solve takes its field."""
    system = systems.pendulum()
    model = models.structured(1, hidden=(8,), periodic=system.periodic)
    params = model.init(jax.random.key(0))
    learned = system._replace(hamiltonian=model.apply, lagrangian=None, params=params)
    field = mechanics.vector_field(learned)
    y0 = system.sample(jax.random.key(1))
    y0 = jax.tree.map(lambda x: x.astype(jnp.float32), y0)
    ts = jnp.linspace(0.0, 1.0, 5, dtype=jnp.float32)

    @jax.jit
    def every(params, y0):
        solution = ode.solve(field, y0, ts, params)
        options = {"dt": 0.25, "num_steps": 4, "args": params, "substeps": 10}
        path = integrators.rollout(integrators.rk4(field), y0, **options)
        v = mechanics.velocity(model.apply)(params, *y0)
        energies = (
            mechanics.legendre(model.apply)(params, y0.q, v),
            y0.p @ v - model.apply(params, *y0),
        )
        return solution.ys.q, path.q, energies

    adaptive, fixed, energies = every(params, y0)
    np.testing.assert_allclose(adaptive, fixed, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(*energies, rtol=1e-3)


@pytest.mark.parametrize("make", HAMILTONIANS.values(), ids=HAMILTONIANS)
def test_relu_is_refused_and_says_why(make):
    with pytest.raises(ValueError, match="derivative is a step"):
        make(1, activation="relu")


def test_bad_sizes_say_what_was_expected():
    with pytest.raises(ValueError, match=r"num_coordinates is 0"):
        models.hnn(0)
    with pytest.raises(ValueError, match="periodic has 1 entries"):
        models.hnn(2, periodic=(True,))
    with pytest.raises(ValueError, match=r"normalization.q_shift has shape \(2,\)"):
        models.hnn(3, normalization=UNITS)
    model = models.hnn(2, hidden=(4,))
    params = model.init(jax.random.key(0))
    with pytest.raises(ValueError, match="made for 2 coordinates"):
        model.apply(params, jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        model.apply(params, jnp.zeros((5, 2)), jnp.zeros((5, 2)))
    with pytest.raises(ValueError, match="structured"):
        models.port_hamiltonian(1, energy="structred")
    with pytest.raises(ValueError, match="num_controls"):
        models.port_hamiltonian(1, -1)
    motion = models.port_hamiltonian(1, 2, hidden=(4,))
    params = motion.init(jax.random.key(0))
    one = PhaseState(jnp.zeros(1), jnp.zeros(1))
    with pytest.raises(ValueError, match=r"u has shape \(1,\); expected \(2,\)"):
        motion.vector_field(0.0, one, (params, jnp.zeros(1)))


def test_features_of_an_angle_are_its_cosine_and_sine():
    space = coordinates(2, PERIODIC, UNITS)
    q = jnp.array([0.3, 2.5], jnp.float32)
    expected = [np.cos(0.3), np.sin(0.3), (2.5 - 0.5) / 2]
    np.testing.assert_allclose(space.position(q), expected, rtol=1e-6)
