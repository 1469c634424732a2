"""Trajectories: what fits together, and the samples that are made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import data, motion, systems
from jaxphys.types import PhaseState, TangentState, Trajectories

KINDS = [PhaseState, TangentState]


def numbered(kind=PhaseState, count=2, times=5, start=0.0):
    """Trajectories whose every number says where it is from."""
    t = start + np.arange(float(times))
    q = 100.0 * np.arange(count)[:, None, None] + t[:, None] + np.array([0.0, 0.5])
    rate = kind(q + 2e3, q + 3e3)
    return Trajectories(t, kind(q, q + 1e3), rate)


def change(trajectories, function):
    """Every array that has an axis of trajectories by the function of it."""
    parts = ("y", "rate", "u", "energy")
    changed = jax.tree.map(function, {k: getattr(trajectories, k) for k in parts})
    return trajectories._replace(**changed)


# The record


@pytest.mark.parametrize("kind", KINDS)
def test_trajectories_that_fit_are_given_back_as_numpy_arrays(kind):
    whole = numbered(kind)._replace(u=np.ones((2, 5, 3)), energy=np.ones((2, 5)))
    on_device = change(whole, jnp.asarray)
    found = data.check_trajectories(on_device._replace(t=jnp.asarray(whole.t)))
    assert {type(x) for x in jax.tree.leaves(found[:5])} == {np.ndarray}
    jax.tree.map(np.testing.assert_array_equal, found[:5], whole[:5])


Q = np.ones((2, 5, 2))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"y": Q}, r"y is of type ndarray; expected PhaseState\(q, p\) or Tangent"),
        ({"y": PhaseState(Q, None)}, "p is None; expected an array .* both positions"),
        ({"rate": TangentState(Q, Q)}, "rate is of type Tang.*; expected PhaseState"),
        ({"rate": PhaseState(Q, None)}, "dp is None; .* is rate=None"),
        ({"rate": PhaseState(Q, Q[0])}, r"dp has shape \(5, 2\); expected \(2, 5, 2"),
        ({"y": PhaseState(Q, Q[:1])}, r"p has shape \(1, 5, 2\); expected \(2, 5, 2"),
        ({"y": PhaseState(Q[0], Q[0])}, r"q has shape \(5, 2\); expected \(N, 5, n"),
        ({"y": PhaseState(Q.astype(int), Q)}, "q has dtype int64; expected real num"),
        ({"t": np.arange(5)}, "t has dtype int64; expected real numbers"),
        ({"t": np.zeros(5)}, "expected increasing times"),
        (
            {"t": np.arange(4.0)},
            r"q has shape .*; expected \(N, 4, n\), as there are 4",
        ),
        ({"u": np.ones((2, 5))}, r"u has shape \(2, 5\); expected \(2, 5, 1\)"),
        ({"u": np.ones((2, 4, 3))}, r"u has shape \(2, 4, 3\); expected \(2, 5, 3\)"),
        ({"energy": np.ones(5)}, r"energy has shape \(5,\); expected \(2, 5\)"),
    ],
)
def test_trajectories_that_do_not_fit_are_errors(fields, words):
    with pytest.raises(ValueError, match=words):
        data.check_trajectories(numbered()._replace(**fields))


@pytest.mark.parametrize("kind", KINDS)
def test_a_cast_is_of_every_array(kind, dtype):
    whole = numbered(kind)._replace(u=np.ones((2, 5, 3)), meta={"kept": 1})
    (found,) = data.cast([whole], dtype)
    assert {x.dtype for x in jax.tree.leaves(found[:5])} == {dtype}
    assert type(found.y) is type(found.rate) is kind
    assert found.meta == {"kept": 1}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["y", "rate", "u"])
def test_motions_end_before_what_is_not_finite(kind, part):
    lost = np.full((2, 5), np.nan)
    whole = numbered(kind)._replace(u=np.ones((2, 5, 3)), energy=lost)
    jax.tree.leaves(getattr(whole, part))[-1][1, 3:] = np.nan
    first, second = data.separate(whole)
    expected = change(whole, lambda x: x[:1])
    jax.tree.map(np.testing.assert_array_equal, first[:5], expected[:5])
    expected = change(whole, lambda x: x[1:, :3])
    jax.tree.map(np.testing.assert_array_equal, second[1:5], expected[1:5])
    np.testing.assert_array_equal(second.t, whole.t[:3])


def test_an_energy_near_zero_is_measured_by_the_motion():
    q, p = np.zeros((1, 3, 1)), np.full((1, 3, 1), 2.0)
    energy = np.array([[1e-9, 0.2, -0.2]])
    known = Trajectories(
        np.arange(3.0), PhaseState(q, p), PhaseState(p, q), energy=energy
    )
    np.testing.assert_allclose(data.energy_error(known), [[0, 0.1, 0.1]], atol=1e-8)
    for bare in (
        known._replace(rate=None),
        known._replace(y=TangentState(q, p), rate=TangentState(p, q)),
    ):
        np.testing.assert_array_equal(data.energy_scale(bare), [[1e-9]])
    for function in (data.energy_scale, data.energy_error):
        with pytest.raises(ValueError, match="no energy; expected an array"):
            function(known._replace(energy=None))


# Angles


def swing(amplitude):
    t = np.linspace(0.0, 20.0, 200)
    q = amplitude * np.sin(t)[None, :, None]
    return Trajectories(t, PhaseState(q, np.zeros_like(q)))


def test_degrees_draw_a_warning():
    degrees = [swing(1.0), swing(60.0)]
    with pytest.warns(UserWarning, match=r"coordinate 0 .* spans 120.*numpy\.deg2rad"):
        data.check_angles(degrees, (True,))
    data.check_angles(degrees, (False,))
    data.check_angles([swing(np.deg2rad(60.0)), swing(40.0)], (True,))


def test_radians_of_many_turns_draw_none():
    t = np.linspace(0.0, 200.0, 2000)
    q = np.stack([t, t])[:, :, None]
    q[1, 3:] = np.nan
    data.check_angles([Trajectories(t, TangentState(q, np.ones_like(q)))], (True,))


def test_angles_need_one_bool_a_coordinate():
    with pytest.raises(ValueError, match="periodic has 2 entries; expected 1"):
        data.check_angles([swing(1.0)], (True, False))


# Samples


@pytest.mark.parametrize("kind", KINDS)
def test_moments_are_all_times_of_all_trajectories(kind):
    lot = [numbered(kind), numbered(kind, 1, 3, start=50.0)]
    moments, rates = data.moments(lot)
    assert moments.u is None
    assert moments.t.shape == (13,)
    np.testing.assert_array_equal(moments.t, moments.y.q[:, 0] % 100)
    np.testing.assert_array_equal(moments.y[1], moments.y.q + 1e3)
    np.testing.assert_array_equal(rates.q, moments.y.q + 2e3)
    np.testing.assert_array_equal(rates[1], moments.y.q + 3e3)
    assert type(moments.y) is type(rates) is kind
    assert data.num_samples((moments, rates)) == 13


def test_inputs_come_along():
    lot = [numbered(), numbered(PhaseState, 1, 3, start=50.0)]
    pushed = [x._replace(u=x.y.q[..., :1]) for x in lot]
    moments, _ = data.moments(pushed)
    np.testing.assert_array_equal(moments.u, moments.y.q[:, :1])
    chunks, states = data.chunks(pushed, 2)
    np.testing.assert_array_equal(chunks.u[:, 0], chunks.y.q[:, :1])
    np.testing.assert_array_equal(chunks.u[:, 1:], states.q[:, :-1, :1])
    for make in (data.moments, lambda x: data.chunks(x, 2)):
        with pytest.raises(ValueError, match="expected the same size in all traj"):
            make([lot[0], pushed[1]])


NAN = np.full((2, 5, 2), np.nan)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"rate": None}, "needs rates, which trajectory 1 .* with_derivatives"),
        ({"y": PhaseState(NAN, NAN)}, "and q of .*jaxphys.data.separate"),
        ({"y": PhaseState(Q, NAN)}, "and p of trajectory 1 of"),
        ({"rate": PhaseState(Q, NAN)}, "and dp of trajectory 1 of"),
    ],
)
def test_moments_say_what_they_lack(fields, words):
    with pytest.raises(ValueError, match=words):
        data.moments([numbered(), numbered()._replace(**fields)])


def test_lists_are_of_motions_of_one_system():
    with pytest.raises(ValueError, match=r"moments got one Trajectories.*in brackets"):
        data.moments(numbered())
    with pytest.raises(ValueError, match="moments got an empty list"):
        data.moments([])
    with pytest.raises(ValueError, match="of 1 and 2 coordinates"):
        data.moments([numbered(), change(numbered(), lambda x: x[..., :1])])
    with pytest.raises(ValueError, match="of PhaseState and TangentState; expect"):
        data.moments([numbered(), numbered(TangentState)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("stride", "starts"), [(1, [0, 1, 2]), (2, [0, 2]), (9, [0])])
def test_chunks_are_pieces_of_consecutive_times(kind, stride, starts):
    lot = [numbered(kind), numbered(kind, 1, 2, start=50.0)]
    chunks, states = data.chunks(lot, 2, stride=stride)
    expected = np.array([[s + k for k in range(3)] for s in starts], float)
    np.testing.assert_array_equal(chunks.t, np.tile(expected, (2, 1)))
    number = 100.0 * np.repeat([0, 1], len(starts))[:, None]
    q = np.concatenate([chunks.y.q[:, None], states.q], axis=1)
    np.testing.assert_array_equal(q[..., 0], chunks.t + number)
    np.testing.assert_array_equal(q[..., 1], chunks.t + number + 0.5)
    np.testing.assert_array_equal(states[1], states.q + 1e3)
    assert type(chunks.y) is type(states) is kind
    assert states.q.shape == (2 * len(starts), 2, 2)


def test_chunks_follow_the_motion(dtype):
    ts = np.linspace(0.0, 2.0, 9)
    found = motion.simulated(
        systems.mass_spring(), jax.random.key(0), 2, ts, dtype=dtype
    )
    chunks, states = data.chunks([found], 8)
    np.testing.assert_array_equal(chunks.y.p, found.y.p[:, 0])
    np.testing.assert_array_equal(states.p, found.y.p[:, 1:])
    assert {x.dtype for x in jax.tree.leaves((chunks, states))} == {dtype}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 5}, "longest trajectory has 5 times; .* needs 6. Lower .* to 4"),
        ({"length": 0}, "length is 0"),
        ({"length": 2, "stride": 0}, "stride is 0"),
    ],
)
def test_invalid_chunks_are_errors(options, words):
    with pytest.raises(ValueError, match=words):
        data.chunks([numbered()], **options)


def test_even_times_are_even_to_rounding(dtype):
    y = PhaseState(*np.zeros((2, 1, 2001, 1), dtype))
    even = Trajectories(np.linspace(0.0, 20.0, 2001, dtype=dtype), y)
    chunks, _ = data.chunks([even], 2000, even=True)
    assert chunks.t.shape == (1, 2001)
    t = even.t.copy()
    t[7] += 1e-4
    with pytest.raises(ValueError, match="trajectory 1 has uneven times"):
        data.chunks([even, even._replace(t=t)], 5, even=True)
    data.chunks([even._replace(t=t)], 5)


@pytest.mark.parametrize(
    ("fraction", "held"), [(0.2, 1), (0.3, 2), (0.6, 3), (0.01, 1), (0.99, 4)]
)
def test_whole_trajectories_are_held_out(fraction, held):
    later = change(numbered(count=3), lambda x: x + 200)
    lot = [numbered(count=2), later._replace(energy=np.ones((3, 5)))]
    train, held_out = data.split(lot, fraction)
    parts = (train, held_out)
    kept = [[int(q[0, 0]) // 100 for x in part for q in x.y.q] for part in parts]
    assert kept == [list(range(5 - held)), list(range(5 - held, 5))]
    for each in (*train, *held_out):
        np.testing.assert_array_equal(each.y.p, each.y.q + 1e3)
        np.testing.assert_array_equal(each.rate.p, each.y.q + 3e3)
        assert each.energy is None or each.energy.shape == each.y.q.shape[:2]


def test_a_key_chooses_the_trajectories():
    lot = [change(numbered(count=1), lambda x, k=k: x + 100 * k) for k in range(20)]

    def held(key):
        train, out = data.split(lot, 0.25, key=key)
        names = [[int(x.y.q[0, 0, 0]) // 100 for x in part] for part in (train, out)]
        assert sorted(names[0] + names[1]) == list(range(20))
        assert len(names[1]) == 5
        return names[1]

    first, second = (held(jax.random.key(seed)) for seed in (0, 1))
    assert held(None) == [15, 16, 17, 18, 19]
    assert first != second
    assert first == held(jax.random.key(0))


@pytest.mark.parametrize(("fraction", "held"), [(0.1, 2), (0.3, 3), (0.95, 8)])
def test_the_end_of_each_trajectory_is_held_out(fraction, held):
    first = numbered(TangentState, 2, 10)._replace(energy=np.ones((2, 10)))
    lot = [first, numbered(TangentState, 1, 4)]
    train, held_out = data.split(lot, fraction, by="time")
    assert len(train) == len(held_out) == 2
    assert [len(train[0].t), len(held_out[0].t)] == [10 - held, held]
    assert [len(train[1].t), len(held_out[1].t)] == [2, 2]
    assert held_out[0].energy.shape == (2, held)
    joined = np.concatenate([train[0].rate.v, held_out[0].rate.v], axis=1)
    np.testing.assert_array_equal(joined, lot[0].rate.v)
    np.testing.assert_array_equal(np.append(train[0].t, held_out[0].t), lot[0].t)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"fraction": 1.0}, "fraction is 1.0"),
        ({}, 'one trajectory, .* by="time"'),
        ({"by": "tmie"}, "Did you mean 'time'"),
        ({"by": "time", "count": 3}, "trajectory 0 .* has 3 times; .* takes 4"),
        ({"by": "time", "key": jax.random.key(0)}, "leave out the key"),
    ],
)
def test_invalid_splits_are_errors(options, words):
    options = {"fraction": 0.2, "count": 5} | options
    with pytest.raises(ValueError, match=words):
        data.split([numbered(PhaseState, 1, options.pop("count"))], **options)


@pytest.mark.parametrize("kind", KINDS)
def test_noise_is_on_the_states_only(kind, dtype):
    clean = numbered(kind, 50, 40)._replace(energy=np.ones((50, 40)))
    (clean,) = data.cast([clean], dtype)
    noisy = data.add_noise(clean, np.array([0.1, 10.0]), jax.random.key(0))
    first, second = (
        np.asarray(x, float) - y for x, y in zip(noisy.y, clean.y, strict=True)
    )
    for noise in (first, second):
        np.testing.assert_allclose(noise.std(axis=(0, 1)), [0.1, 10.0], rtol=0.05)
        assert np.all(np.abs(noise.mean(axis=(0, 1))) < [0.01, 1.0])
    assert {x.dtype for x in noisy.y} == {dtype}
    assert np.corrcoef(first.flat, second.flat)[0, 1] < 0.1
    for name in ("t", "rate", "energy"):
        assert getattr(noisy, name) is getattr(clean, name)


@pytest.mark.parametrize(
    ("kind", "name", "number"),
    [
        (PhaseState, "q", 0),
        (PhaseState, "p", 1),
        (TangentState, "q", 0),
        (TangentState, "v", 2),
    ],
)
def test_a_field_has_its_own_noise_with_or_without_the_other(kind, name, number):
    clean, key = numbered(kind), jax.random.key(3)
    both, one = (data.add_noise(clean, 0.5, key, f) for f in (None, (name,)))
    draw = jax.random.normal(jax.random.fold_in(key, number), clean.y.q.shape)
    expected = getattr(clean.y, name) + 0.5 * np.asarray(draw)
    np.testing.assert_array_equal(getattr(both.y, name), expected)
    np.testing.assert_array_equal(getattr(one.y, name), expected)
    (other,) = set(kind._fields) - {name}
    assert getattr(one.y, other) is getattr(clean.y, other)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": -1.0}, "sigma is -1.0; expected a number ≥ 0"),
        ({"sigma": np.ones(3)}, "or 2 of them"),
        ({"fields": ("p",)}, "unknown field 'p'; known: q, v"),
        ({"fields": ("energy",)}, "unknown field 'energy'"),
    ],
)
def test_invalid_noise_is_an_error(options, words):
    usual = {"sigma": 0.1, "key": jax.random.key(0)}
    with pytest.raises(ValueError, match=words):
        data.add_noise(numbered(TangentState), **(usual | options))
