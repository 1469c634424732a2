"""A look at measurements: noise, angles, velocities, energy, each seen and told."""

import jax
import numpy as np
import pytest

from jaxphys import data
from jaxphys.types import PhaseState, TangentState, Trajectories

T = np.linspace(0.0, 30.0, 600)


def swing(friction=0.0, noise=0.0, scale=1.0, drive=0.0, seed=0):
    """A damped pendulum of small swings, by its solution: q and its derivative."""
    random = np.random.default_rng(seed)
    rate = np.sqrt(1 - friction**2 / 4)
    size = 0.3 * np.exp(-friction * T / 2)
    q = size * np.cos(rate * T) + drive * T * np.sin(T)
    v = -size * (friction / 2 * np.cos(rate * T) + rate * np.sin(rate * T))
    v = v + drive * (np.sin(T) + T * np.cos(T))
    q, v = (x + noise * random.normal(size=len(T)) for x in (q, v / scale))
    return Trajectories(T, TangentState(q[None, :, None], v[None, :, None]))


def warned(found):
    return " | ".join(what for what, _ in found.warnings)


def test_clean_measurements_have_no_warning():
    found = data.look([swing()], weights=100)
    assert not found.warnings
    assert found.facts["uneven"] is False
    assert found.facts["numbers"] == 1200
    assert any("derivatives of the positions" in line for line in found.lines)
    assert any("fit stays" in line for line in found.lines)


def test_inputs_that_are_zero_do_no_work():
    still = swing()._replace(u=np.zeros((1, len(T), 1)))
    found = data.look([still])
    assert any("fit stays" in line for line in found.lines)


def test_the_noise_of_each_column_is_found():
    clean = swing()
    q = data.add_noise(clean, 0.01, jax.random.key(0), ("q",))
    both = data.add_noise(q, 0.03, jax.random.key(0), ("v",))
    levels = data.look([both]).facts["noise"]
    assert levels["q"] == pytest.approx([0.01], rel=0.15)
    assert levels["v"] == pytest.approx([0.03], rel=0.15)


def test_times_too_far_apart_look_like_noise_and_are_told():
    whole = swing()
    rows = slice(0, 600, 60)  # two times a period
    y = TangentState(*(np.tile(x[:, rows], (1, 2, 1)) for x in whole.y))
    t = np.linspace(0.0, 60.0, y.q.shape[1])
    assert "times too far apart" in warned(data.look([Trajectories(t, y)]))
    assert "too far apart" not in warned(data.look([swing(noise=0.02)]))


@pytest.mark.parametrize("noise", [0.0, 0.01])
@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"friction": 0.05}, "best conservative fit falls by"),
        ({"scale": 1.2}, r"q changes by 1\.(2|199) .* times its velocity"),
        ({"scale": -1.0}, "q changes by -(1|0.99)"),
        ({"drive": 0.02}, "best conservative fit wanders by"),
    ],
)
def test_what_is_wrong_is_told_with_its_cure(case, words, noise):
    found = data.look([swing(noise=noise, **case)])
    with pytest.raises(ValueError, match=words):
        raise ValueError(warned(found))
    assert all(cure for _, cure in found.warnings)
    assert "warning: " in found.text


@pytest.mark.parametrize("seed", range(8))
def test_noise_alone_is_no_friction(seed):
    found = data.look([swing(noise=0.02, seed=seed)])
    assert "energy" not in warned(found)
    assert "velocity" not in warned(found)


def test_a_model_that_loses_energy_may_be_fitted_to_what_does():
    found = data.look([swing(friction=0.05)], conservative=False)
    assert not found.warnings
    assert any("falls by" in line for line in found.lines)


def test_gaps_and_few_numbers_are_told():
    whole = swing()
    rows = np.r_[:200, 220:600]
    y = TangentState(*(x[:, rows] for x in whole.y))
    found = data.look([Trajectories(T[rows], y)], weights=5000)
    assert "1 step is more than 5 times the usual" in warned(found)
    assert "1160 numbers and 5000 weights" in warned(found)


def turning(kind=TangentState, speed=0.9, count=400):
    t = np.linspace(0.0, 40.0, count)
    q = (speed * t + 0.5 * np.sin(t))[None, :, None]
    v = (speed + 0.5 * np.cos(t))[None, :, None]
    return Trajectories(t, kind(q, v))


def wrapped(each):
    q = (each.y.q + np.pi) % (2 * np.pi) - np.pi
    return each._replace(y=each.y._replace(q=q))


@pytest.mark.parametrize("kind", [TangentState, PhaseState])
def test_wrapped_angles_are_unwrapped_and_told(kind):
    whole = turning(kind)
    found = data.look([wrapped(whole)])
    np.testing.assert_allclose(found.trajectories[0].y.q, whole.y.q, atol=1e-12)
    assert found.periodic == (True,)
    assert any("by whole turns 6 times; unwrapped" in line for line in found.lines)
    kept = data.look([wrapped(whole)], periodic=(False,))
    np.testing.assert_array_equal(kept.trajectories[0].y.q, wrapped(whole).y.q)
    assert kept.periodic == (False,)


def test_velocities_say_how_often_an_angle_turned():
    """By three turns in each second step, which positions alone do not tell."""
    whole = turning(speed=30.0, count=400)
    found, jumps = data.unwrapped([wrapped(whole)], (True,))
    np.testing.assert_allclose(found[0].y.q, whole.y.q, atol=1e-9)
    assert jumps[0] > 100


def test_long_steps_are_no_turns():
    q = 3.0 * np.cos(np.arange(60) * 1.7)[None, :, None]
    v = np.zeros_like(q)
    seen = Trajectories(np.arange(60.0), TangentState(q, v))
    found, jumps = data.unwrapped([seen])
    assert jumps == [0]
    np.testing.assert_array_equal(found[0].y.q, q)


def test_invalid_arguments_are_errors():
    with pytest.raises(ValueError, match="periodic has 2 entries; the data have 1"):
        data.look([swing()], periodic=(True, False))
    with pytest.raises(ValueError, match="empty list"):
        data.look([])
    with pytest.raises(ValueError, match="at least 11 increasing"):
        data.noise_levels(np.arange(5.0), np.zeros((5, 1)))


def degrees(path):
    """A table of the angle alone, between -180 and 180 degrees."""
    seen = wrapped(turning())
    rows = np.stack([seen.t, np.rad2deg(seen.y.q[0, :, 0])], axis=1)
    np.savetxt(path, rows, delimiter=",", header="time,angle [deg]", comments="")
    return path


def test_a_file_of_wrapped_angles_is_read_unwrapped_and_says_so(tmp_path):
    """Before velocities are made of them, which no jump is then in."""
    whole, path = turning(), degrees(tmp_path / "swing.csv")
    with pytest.warns(UserWarning, match="q jumps|positions q alone") as said:
        (found,) = data.read_trajectories(path)
    assert "q jumps by whole turns 6 times and is unwrapped" in str(said[0].message)
    assert "periodic=False" in str(said[0].message)
    np.testing.assert_allclose(found.y.q, whole.y.q, atol=1e-9)
    np.testing.assert_allclose(found.y.v, whole.y.v, atol=0.01)
    assert found.meta["periodic"] == [True]
    assert found.meta["unwrapped"] == [6]
    seen = data.look([found])
    assert seen.periodic == (True,)
    assert any("by whole turns 6 times; unwrapped" in line for line in seen.lines)
    with pytest.warns(UserWarning, match="positions q alone"):
        (kept,) = data.read_trajectories(path, periodic=False)
    assert np.ptp(kept.y.q) < 2 * np.pi
    assert data.continuous("identify", [kept])[0].meta["periodic"] == [False]


def test_motions_made_by_hand_are_unwrapped_where_they_are_followed():
    whole = turning()
    with pytest.warns(UserWarning, match="6 times, which identify unwraps"):
        (found,) = data.continuous("identify", [wrapped(whole)])
    np.testing.assert_allclose(found.y.q, whole.y.q, atol=1e-9)
    assert data.continuous("identify", [found])[0].meta["unwrapped"] == [6]


def test_arrays_in_memory_are_unwrapped_motion_by_motion():
    whole = turning()
    both = np.concatenate([wrapped(whole).y.q, whole.y.q[:, ::-1] * 0.0])
    arrays = {"t": whole.t, "q": both, "v": np.concatenate([whole.y.v, 0 * whole.y.v])}
    with pytest.warns(UserWarning, match="unwrapped"):
        first, second = data.trajectories_from(arrays)
    np.testing.assert_allclose(first.y.q, whole.y.q, atol=1e-9)
    np.testing.assert_array_equal(second.y.q, 0.0)


def test_lengths_are_no_angles():
    """In metres a jump by 2π is one."""
    seen = wrapped(turning())
    arrays = {"t": seen.t, "x [m]": seen.y.q[0, :, 0], "v": seen.y.v[0, :, 0]}
    (found,) = data.trajectories_from(arrays)
    np.testing.assert_array_equal(found.y.q, seen.y.q)
    with pytest.raises(ValueError, match="periodic has 2 entries; the data have 1"):
        data.trajectories_from(arrays, periodic=(True, False))


def test_trajectories_print_on_one_line():
    seen = turning()._replace(u=np.zeros((1, 400, 2)), meta={"units": ["rad"]})
    assert repr([seen]) == (
        "[Trajectories(N=1, T=400, n=1: q and v; in rad; t from 0 to 40; inputs m=2)]"
    )


def test_energy_that_falls_beyond_the_work_of_inputs_is_told_with_its_cure():
    """ẍ = −x − 0.1 ẋ + u, of an input that the data have."""
    t = np.linspace(0.0, 30.0, 1500)
    decay, rate = np.exp(-0.05 * t), np.sqrt(1 - 0.05**2)
    q = decay * np.cos(rate * t)
    v = -decay * (0.05 * np.cos(rate * t) + rate * np.sin(rate * t))
    y = TangentState(q[None, :, None], v[None, :, None])
    found = data.look([Trajectories(t, y, u=np.zeros((1, 1500, 1)))])
    ((what, cure),) = found.warnings
    assert "beyond the work of the inputs u, the energy" in what
    assert "fit lnn or delan with --dissipation, or port_hamiltonian" in cure
    assert "fit dissipative" not in cure
