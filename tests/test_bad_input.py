"""What makes no sense is refused by an error that names the argument: a whole table."""

import warnings

import bad_input
import jax
import jax.numpy as jnp
import pytest

from jaxphys import integrators, losses, metrics, models, ode, problems, systems

pytestmark = pytest.mark.x64

#: Rooms whose functions refuse before anything is computed.
QUICK = ("of_checks", "of_systems", "of_mechanics", "of_models", "of_optim", "of_data")


def judged(room):
    """The outcomes of a room: case → "" where it is refused as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [(case, bad_input.outcome(case)) for case in bad_input.cases(room)]


@pytest.mark.parametrize(
    "room",
    [
        room if room.__name__ in QUICK else pytest.param(room, marks=pytest.mark.long)
        for room in bad_input.ROOMS
    ],
    ids=lambda room: room.__name__,
)
def test_wrong_values_are_refused_by_name(room):
    wrong = [f"{case}: {what}" for case, what in judged(room) if what]
    assert not wrong, "\n".join(wrong)


def test_the_table_is_large():
    assert sum(1 for room in bad_input.ROOMS for _ in bad_input.cases(room)) > 4000


@pytest.mark.parametrize("room", bad_input.ROOMS, ids=lambda room: room.__name__)
def test_what_is_listed_is_in_the_table(room):
    names = {name for name, _ in room()}
    assert names
    for name, row in room():
        assert row.kinds or name.startswith("systems."), name


# Kinds, each by what it was found with.


def test_shapes_that_would_be_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 1\) and targets of shape \(3,\)"):
        losses.squared_error(jnp.ones((3, 1)), jnp.ones(3))
    with pytest.raises(ValueError, match="errors of shape"):
        metrics.valid_time(jnp.arange(4.0), jnp.ones(3))
    problem = problems.oscillator_control()
    for size in (3, 6, 25):
        network = models.mlp((4, size))
        steer = problems.outputs(problem, network)
        with pytest.raises(ValueError, match=rf"shape \({size},\).*expected \(24,\)"):
            jax.eval_shape(steer, network.init(jax.random.key(0)), jnp.ones(4))


def test_a_start_that_is_no_state_is_refused():
    step = integrators.rk4(lambda t, y, args: -y)
    for start, says in (
        (jnp.array([jnp.nan]), "y0 has a NaN"),
        (jnp.zeros(0), "y0 is empty"),
        ([1.0, 0.0], "y0 is a list"),
    ):
        with pytest.raises((TypeError, ValueError), match=says):
            integrators.rollout(step, start, dt=0.1, num_steps=2)
    options = {"dt": 0.1, "num_steps": 2, "with_info": True}
    _, info = integrators.rollout(step, jnp.array([jnp.nan]), **options)
    assert info.failed_at == 0


def test_a_hamiltonian_is_no_vector_field():
    step = integrators.rk4(lambda params, q, p: jnp.sum(jnp.asarray(q) ** 2))
    with pytest.raises(ValueError, match="becomes a vector field by"):
        integrators.rollout(step, jnp.ones(2), dt=0.1, num_steps=2)


def test_numbers_of_a_system_and_of_an_integration():
    for wrong in (-1, "2", float("nan"), None):
        with pytest.raises((TypeError, ValueError), match="mass is"):
            systems.pendulum(mass=wrong)
    with pytest.raises(ValueError, match="rtol is -1"):
        ode.solve(lambda t, y, a: -y, jnp.ones(1), jnp.array([0.0, 1.0]), rtol=-1)

    # Constants may be traced, as derivatives by them are.
    def energy(mass):
        system = systems.pendulum(mass=mass)
        return system.hamiltonian(system.params, jnp.ones(1), jnp.ones(1))

    assert jnp.isfinite(jax.grad(energy)(0.5))


def test_an_activation_may_be_a_function():
    by_name, by_function = (
        models.mlp((2, 3, 1), activation=given) for given in ("tanh", jnp.tanh)
    )
    params = by_name.init(jax.random.key(0))
    assert by_name.apply(params, jnp.ones(2)) == by_function.apply(params, jnp.ones(2))
