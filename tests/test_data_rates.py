"""Rates of clean motions, and what inputs do between two times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import data, integrators, learning, mechanics, problems, systems
from jaxphys.types import Dynamics, PhaseState, TangentState, Trajectories

ARM = systems.two_link_arm()
TORQUE = mechanics.inverse_dynamics(ARM.lagrangian)
OVER = (None, 0, 0, 0)
TORQUES = jax.jit(jax.vmap(jax.vmap(TORQUE, OVER), OVER))


def pendulum(t, y, args):
    _, u = args
    return TangentState(y.v, -jnp.sin(y.q) - 0.1 * y.v + u)


def driven(dt, kind, steps=200, noise=0.0):
    """A pendulum under two sines, held from time to time or smooth, and exact u(t)."""

    def torque(t):
        return np.sin(2 * t) + np.sin(5 * t + 1) / 2

    fine = 16
    step = integrators.rk4(pendulum)
    at = dt * np.arange(steps)
    small = dt / fine * (np.arange(steps * fine) + 0.5)
    u = torque(at)
    pushed = torque(small) if kind == "linear" else np.repeat(u, fine)
    first = TangentState(jnp.ones(1), jnp.zeros(1))
    options = {
        "dt": dt / fine,
        "num_steps": steps * fine,
        "controls": jnp.asarray(pushed),
    }
    path = integrators.rollout(step, first, **options)
    random = np.random.default_rng(0)
    q, v = (np.asarray(x)[None, : steps * fine : fine] for x in path)
    noisy = (x + noise * random.normal(size=x.shape) for x in (q, v))
    return Trajectories(at, TangentState(*noisy), u=u[None, :, None])


@pytest.mark.parametrize("noise", [0.0, 1e-7, 0.003])
@pytest.mark.parametrize("kind", ["held", "linear"])
def test_the_motion_shows_what_its_input_does_between_two_times(kind, noise):
    seen = driven(0.05, kind, noise=noise, steps=400)
    assert data.intersample_of([seen]) == kind
    look = data.look([seen])
    assert look.facts["intersample"] == kind
    (said,) = [line for line in look.lines if "1 input" in line]
    assert {"held": "as held", "linear": "linear to"}[kind] in said


def test_where_little_is_known_inputs_are_held():
    smooth = driven(0.05, "linear")
    alone = smooth._replace(u=None)
    few = smooth._replace(
        t=smooth.t[:4],
        y=TangentState(*(x[:, :4] for x in smooth.y)),
        u=smooth.u[:, :4],
    )
    for seen in (alone, few):
        assert data.intersample_of([seen]) == "held"


def test_corners_are_seen_and_smooth_motions_have_none():
    smooth = driven(0.05, "linear")
    assert not data.has_corners([smooth])
    assert data.has_corners([driven(0.05, "held")])
    assert data.has_corners([smooth, driven(0.05, "held")])
    assert data.has_corners([driven(0.05, "linear", noise=1e-4)])
    assert data.has_corners([smooth._replace(y=PhaseState(*smooth.y))])


def test_collocation_is_of_third_order_under_held_inputs():
    """What is left of the law at Gauss's points falls as the step cubed."""
    errors = []
    for dt in (0.2, 0.1, 0.05):
        (found,) = data.with_rates([driven(dt, "held", steps=int(20 / dt))])
        assert len(found.t) == 2 * (int(20 / dt) - 1)
        left = found.rate.v + np.sin(found.y.q) + 0.1 * found.y.v - found.u
        errors.append(np.max(np.abs(left)))
    assert errors[-1] < 2e-6
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 2.7)


def test_the_mean_of_two_points_is_the_change_of_velocity():
    random = np.random.default_rng(0)
    t = np.cumsum(random.uniform(0.5, 1.5, 9))
    q, v, u = random.normal(size=(3, 2, 9, 2))
    found = data.collocated(Trajectories(t, TangentState(q, v), u=u))
    mean = (found.rate.v[:, ::2] + found.rate.v[:, 1::2]) / 2
    slope = np.diff(v, axis=1) / np.diff(t)[:, None]
    np.testing.assert_allclose(mean, slope, rtol=1e-10)
    np.testing.assert_array_equal(found.u[:, ::2], u[:, :-1])
    np.testing.assert_array_equal(found.u[:, 1::2], u[:, :-1])
    assert np.all(np.diff(found.t) > 0)
    with pytest.raises(ValueError, match="expected two or more of a TangentState"):
        data.collocated(Trajectories(t, PhaseState(q, v)))


def test_cubics_are_not_resolved_where_positions_are_noisy():
    seen = driven(0.01, "held", steps=400)
    assert data.are_resolved([seen])
    noise = 1e-4 * np.random.default_rng(0).normal(size=seen.y.q.shape)
    rough = seen._replace(y=TangentState(seen.y.q + noise, seen.y.v))
    assert not data.are_resolved([rough])
    (found,) = data.with_rates([rough])
    (expected,) = [data.averaged_inputs(data.smoothed_trajectories(rough, None), None)]
    np.testing.assert_array_equal(found.rate.v, expected.rate.v)
    np.testing.assert_array_equal(found.u, expected.u)


def test_smooth_torques_of_an_arm_are_those_of_its_accelerations():
    """Five positions and velocities at steps of .04 s give a torque to seven digits."""
    t = np.linspace(0.0, 2.0, 50)
    rate = np.array([5.0, 3.0])
    q, v, a = (
        (rate**k * f(rate * t[:, None]))[None]
        for k, f in enumerate((np.sin, np.cos, lambda x: -np.sin(x)))
    )
    u = np.asarray(TORQUES(ARM.params, q, v, a))
    seen = Trajectories(t, TangentState(q, v), u=u)
    kind = data.intersample_of([seen])
    assert kind == "linear"
    (found,) = data.with_rates([seen], intersample=kind)
    np.testing.assert_array_equal(found.u, u)
    torque = TORQUES(ARM.params, *found.y, found.rate.v)
    middle = slice(2, -2)
    off = np.abs(torque - u)
    assert np.max(off[:, middle]) < 1e-6 * np.max(np.abs(u))
    assert np.max(off) < 1e-4 * np.max(np.abs(u))


@pytest.mark.parametrize("window", [0, 7])
def test_rates_that_are_given_stay_and_inputs_with_them(window):
    seen = driven(0.05, "held")
    rate = TangentState(seen.y.v, np.ones_like(seen.y.v))
    (found,) = data.with_rates([seen._replace(rate=rate)], window)
    np.testing.assert_array_equal(found.rate.v, rate.v)
    np.testing.assert_array_equal(found.u, seen.u)


def test_inputs_of_noisy_data_are_smoothed_as_the_velocities_are():
    """Of v̇ = u, whatever u does between two times."""
    t = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 40))
    u = np.random.default_rng(1).normal(size=(1, 40, 1))
    for kind in data.INTERSAMPLE:
        pushed = data.held_inputs(Trajectories(t, TangentState(u, u), u=u), kind).u
        steps = np.diff(t)[:, None] * pushed[:, :-1]
        v = np.concatenate([np.zeros((1, 1, 1)), np.cumsum(steps, axis=1)], axis=1)
        seen = Trajectories(t, TangentState(v, v), u=u)
        (found,) = data.with_rates([seen], 7, intersample=kind)
        np.testing.assert_allclose(found.u, found.rate.v, rtol=1e-9)


def test_free_motions_have_accelerations_by_five_times():
    seen = driven(0.05, "linear")
    wave = TangentState(*(f(seen.t)[None, :, None] for f in (np.sin, np.cos)))
    free = seen._replace(u=None, y=wave)
    (found,) = data.with_rates([free])
    np.testing.assert_allclose(found.rate.v, -free.y.q, atol=1e-7)
    np.testing.assert_array_equal(found.rate.q, free.y.v)
    few = free._replace(t=free.t[:3], y=TangentState(*(x[:, :3] for x in wave)))
    short = data.with_rates([free, few])
    np.testing.assert_array_equal(
        short[0].rate.v, data.smoothed_trajectories(free, None).rate.v
    )


def test_unknown_names_are_errors():
    seen = driven(0.05, "held", steps=20)
    with pytest.raises(ValueError, match="unknown intersample 'foh'; known: held"):
        data.with_rates([seen], intersample="foh")
    with pytest.raises(ValueError, match="unknown intersample 'foh'; known: held"):
        data.held_inputs(seen, "foh")
    with pytest.raises(ValueError, match="unknown intersample 'foh'; known: auto"):
        learning.which_law([seen], intersample="foh")


def test_the_mean_over_an_interval_is_matched_far_better_than_its_points():
    """The law itself leaves a thirtieth of what it leaves at single points."""
    seen = driven(0.1, "held")

    def inverse(params, q, v, a):
        return a + jnp.sin(q) + 0.1 * v

    law = Dynamics(
        lambda key: {},
        lambda t, y, args: pendulum(t, y, args),
        TangentState,
        num_controls=1,
        inverse=inverse,
    )
    (found,) = data.with_rates([seen])
    assert found.meta["points"] == 2
    for mode, outputs in (
        ("torques", problems.torque_matching(law)),
        ("derivatives", problems.derivative_matching(law)),
    ):
        inputs, targets = learning.samples(law, mode, [found])
        assert targets.shape == (len(seen.t) - 1, 1)
        means = jax.vmap(outputs, (None, 0))({}, inputs)
        single, wanted = learning.samples(law, mode, [found._replace(meta={})])
        points = jax.vmap(outputs, (None, 0))({}, single)
        off = float(jnp.max(jnp.abs(points - wanted)))
        assert float(jnp.max(jnp.abs(means - targets))) < 0.05 * off < 2e-6


def test_points_of_one_interval_are_held_out_together():
    (found,) = data.with_rates([driven(0.05, "held", steps=20)])
    for fraction in (0.1, 0.2, 0.33, 0.5):
        (train,), (held_out,) = data.split([found], fraction, by="time")
        assert len(train.t) % 2 == len(held_out.t) % 2 == 0
        assert len(train.t) + len(held_out.t) == len(found.t)


@pytest.mark.parametrize("kind", ["held", "linear"])
def test_velocities_that_were_derived_are_not_taken_for_measured_ones(kind):
    seen = driven(0.05, kind)
    columns = {"t": seen.t, "q": seen.y.q[0, :, 0], "u": seen.u[0, :, 0]}
    with pytest.warns(UserWarning, match="velocities are their derivatives"):
        (alone,) = data.trajectories_from(columns)
    assert data.has_corners([alone])
    (found,) = data.with_rates([alone], intersample=kind)
    assert len(found.t) == len(seen.t)
    left = found.rate.v + np.sin(found.y.q) + 0.1 * found.y.v - found.u
    assert np.sqrt(np.mean(left[:, 2:-2] ** 2)) < 0.02
