"""Motions of systems and of models: followed, simulated to a tolerance, drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import data, integrators, mechanics, models, motion, systems
from jaxphys.types import PhaseState, TangentState

SPRING = systems.mass_spring()


def starts(dtype="float64"):
    q, p = np.array([[0.5], [-0.3]]), np.array([[0.2], [0.8]])
    return PhaseState(*(jnp.asarray(x, dtype) for x in (q, p)))


def test_a_motion_is_the_rollout_of_its_field_state_by_state(dtype):
    made = motion.Motion(motion.of_system(SPRING))
    params = jax.tree.map(lambda x: jnp.asarray(x, dtype), SPRING.params)
    ts = np.linspace(0.0, 1.0, 6)
    path = made.path(params, starts(dtype), ts, longest=0.05)
    step = integrators.rk4(mechanics.vector_field(SPRING))
    for i in range(2):
        y = jax.tree.map(lambda x, i=i: x[i], starts(dtype))
        options = {"dt": 0.2, "num_steps": 5, "substeps": 4, "args": params}
        alone = integrators.rollout(step, y, **options)
        np.testing.assert_allclose(path.q[i], alone.q, rtol=1e-6, atol=1e-7)
    assert path.q.dtype == dtype


def test_a_system_moves_alike_by_momenta_and_by_velocities():
    system = systems.pendulum()
    ts = np.linspace(0.0, 2.0, 11)
    by_p, by_v = (
        motion.Motion(motion.of_system(system, kind))
        for kind in (PhaseState, TangentState)
    )
    first = starts(float)
    v = jax.vmap(mechanics.velocity(system.hamiltonian), (None, 0, 0))
    paths = (
        by_p.path(system.params, first, ts),
        by_v.path(system.params, TangentState(first.q, v(system.params, *first)), ts),
    )
    np.testing.assert_allclose(paths[0].q, paths[1].q, atol=1e-5)
    energies = (
        by_p.energy(system.params, paths[0]),
        by_v.energy(system.params, paths[1]),
    )
    assert energies[0].shape == (2, 11)
    np.testing.assert_allclose(*energies, atol=1e-5)


def test_a_motion_compiles_once_for_a_shape():
    traced = []

    def field(t, y, params):
        traced.append(t)
        return PhaseState(y.p, -y.q)

    made = motion.Motion(motion.of_system(SPRING)._replace(vector_field=field))
    ts = np.linspace(0.0, 1.0, 6)
    for factor in (1.0, 2.0):
        begin = jax.tree.map(lambda x, factor=factor: factor * x, starts())
        made.path(SPRING.params, begin, ts)
        traced.append("end")
    assert traced[-1] == traced[-2] == "end"


FIXED = motion.FIXED_STEP


@pytest.mark.parametrize("name", FIXED)
def test_every_integrator_of_the_table_follows_a_spring(name):
    """An eighth of a turn of q = cos 2t, p = −sin 2t."""
    own = motion.of_system(SPRING)
    lagrangian = motion.INTEGRATORS[name].of == "lagrangian"
    if lagrangian:
        own = own._replace(lagrangian=SPRING.lagrangian)
    step = motion.make_stepper(own, name)(own.vector_field)
    begin, dt = PhaseState(jnp.ones(1), jnp.zeros(1)), np.pi / 800
    path = jax.jit(
        lambda y: integrators.repeat(step, y, dt=dt, num_steps=100, args=SPRING.params)
    )(begin)
    rough = name in ("euler", "symplectic_euler")
    np.testing.assert_allclose(path.q, np.cos(np.pi / 4), atol=1e-2 if rough else 1e-5)


def test_a_damped_system_is_not_left_to_a_symplectic_integrator():
    damped = SPRING._replace(dissipation=lambda params, q, v: 0.1 * jnp.sum(v**2))
    with pytest.raises(ValueError, match=r"leapfrog integrates a Hamiltonian.*rk4"):
        motion.make_stepper(motion.of_system(damped), "leapfrog")
    with pytest.raises(ValueError, match="unknown integrator 'tsit5'"):
        motion.make_stepper(motion.of_system(SPRING), "tsit5")


def test_a_motion_without_an_energy_says_so():
    made = motion.Motion(models.neural_ode(1, hidden=(4,)))
    params = made.dynamics.init(jax.random.key(0))
    with pytest.raises(ValueError, match="no energy"):
        made.energy(params, starts("float32"))


def test_drawn_states_have_the_exact_acceleration(dtype):
    system = systems.double_pendulum()
    found = motion.drawn(system, jax.random.key(0), 4, dtype=dtype)
    a = jax.vmap(mechanics.acceleration(system.lagrangian), (None, 0, 0))
    q, v = (jnp.asarray(x[:, 0]) for x in found.y)
    np.testing.assert_allclose(
        found.rate.v[:, 0], a(system.params, q, v), rtol=1e-4, atol=1e-4
    )
    assert {x.dtype for x in (*found.y, *found.rate)} == {dtype}
    bare = system._replace(lagrangian=None)
    with pytest.raises(ValueError, match="has no Lagrangian"):
        motion.drawn(bare, jax.random.key(0), 4)


@pytest.mark.parametrize("name", ["double_pendulum", "mass_spring"])
def test_simulated_motions_obey_their_equations(name, dtype):
    system, ts = systems.get(name), np.linspace(0.0, 1.0, 201)
    found = motion.simulated(system, jax.random.key(0), 3, ts, dtype=dtype)
    assert isinstance(found.y, PhaseState)
    n = len(system.periodic)
    assert {x.shape for x in (*found.y, *found.rate)} == {(3, 201, n)}
    assert {x.dtype for x in jax.tree.leaves(found[:5])} == {dtype}
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 3))
    np.testing.assert_allclose(found.y.q[:, 0], starts.q, rtol=1e-6)
    np.testing.assert_allclose(found.y.p[:, 0], starts.p, rtol=1e-6)
    state = jax.tree.map(lambda x: x[1, 50], found.y)
    rate = mechanics.vector_field(system)(0.0, state, system.params)
    np.testing.assert_allclose(found.rate.p[1, 50], rate.p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.rate.q[1, 50], rate.q, rtol=1e-4, atol=1e-5)
    drift = np.max(data.energy_error(found))
    assert drift < (1e-3 if dtype == np.float32 else 1e-6)
    slope = data.derivatives(found.t, found.y.p)
    size = np.max(np.abs(found.rate.p))
    np.testing.assert_allclose(slope, found.rate.p, atol=0.02 * size)
    assert found.meta == {
        "system": system.name,
        "periodic": list(system.periodic),
        "coordinates": list(system.coordinates),
        "units": list(system.units),
    }


def test_tolerances_bound_the_drift():
    ts, key = np.linspace(0.0, 3.0, 5), jax.random.key(0)
    loose, tight = (
        np.max(
            data.energy_error(
                motion.simulated(systems.mass_spring(), key, 2, ts, rtol=x, atol=x)
            )
        )
        for x in (1e-2, 1e-5)
    )
    assert tight < loose / 10


def test_constants_are_not_those_of_an_earlier_system():
    ts, key = np.linspace(0.0, 1.0, 5), jax.random.key(0)
    system = systems.mass_spring()
    changed = jax.tree.map(lambda x: 2.0 * x, system.params)
    one, other = (
        motion.simulated(x, key, 1, ts).y.q
        for x in (system, system._replace(params=changed._replace(mass=1.0)))
    )
    assert np.max(np.abs(one - other)) > 1e-2


def test_dissipation_takes_energy_away():
    damped = systems.mass_spring()._replace(
        dissipation=lambda params, q, v: 0.1 * jnp.sum(v**2)
    )
    found = motion.simulated(damped, jax.random.key(0), 3, np.linspace(0.0, 5.0, 20))
    assert np.all(np.diff(found.energy, axis=1) < 0)


def test_what_cannot_be_followed_is_nan_from_there_on():
    cliff = systems.mass_spring()._replace(
        hamiltonian=lambda params, q, p: p @ p / 2 - jnp.sum(q**4),
        sample=lambda key: PhaseState(jnp.ones(1), jnp.ones(1)),
    )
    found = motion.simulated(cliff, jax.random.key(0), 2, np.linspace(0.0, 2.0, 21))
    ended = np.isnan(found.y.q[0, :, 0])
    assert not ended[0]
    assert ended[-1]
    assert np.all(np.diff(ended.astype(int)) >= 0)
    assert np.array_equal(np.isnan(found.rate.p[0, :, 0]), ended)
    cut = data.separate(found)
    assert [len(x.t) for x in cut] == [np.sum(~ended)] * 2
    data.moments(cut)
    with pytest.raises(ValueError, match=r"jaxphys\.data\.separate"):
        data.moments([found])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_trajectories": 0}, "num_trajectories is 0"),
        ({"ts": np.zeros(3)}, "at least two times"),
        ({"ts": np.ones(1)}, r"ts has shape \(1,\)"),
        ({"dtype": "int32"}, "dtype is int32; expected float32 or float64"),
    ],
)
def test_invalid_simulations_are_errors(options, words):
    usual = {"num_trajectories": 1, "ts": np.arange(3.0)}
    with pytest.raises(ValueError, match=words):
        motion.simulated(systems.mass_spring(), jax.random.key(0), **(usual | options))


def test_simulated_motions_have_momenta():
    bare = systems.mass_spring()._replace(hamiltonian=None)
    with pytest.raises(ValueError, match="has no Hamiltonian"):
        motion.simulated(bare, jax.random.key(0), 1, np.arange(3.0))


def test_double_precision_is_not_dropped_in_silence():
    jax.config.update("jax_enable_x64", False)
    ts, key = np.arange(3.0), jax.random.key(0)
    with pytest.raises(ValueError, match="dtype is float64, which is off in JAX"):
        motion.simulated(systems.mass_spring(), key, 1, ts, dtype="float64")
    assert motion.simulated(systems.mass_spring(), key, 1, ts).y.q.dtype == np.float32
