"""Trajectories: what users bring, their derivatives, and the samples made of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxphys import data, mechanics, systems
from jaxphys.data import Trajectories
from jaxphys.types import PhaseState, TangentState


def uneven(total, seed=0, end=3.0):
    """Times whose steps differ by a factor of up to three."""
    steps = np.random.default_rng(seed).uniform(0.5, 1.5, total)
    return end * (np.cumsum(steps) - steps[0]) / (np.sum(steps) - steps[0])


def fall(count=2, times=5, **fields):
    """Stones that start at heights of their own, with velocities."""
    t = np.linspace(0.0, 1.0, times)[:, None]
    q = np.arange(float(count))[:, None, None] - 4.9 * t**2
    return Trajectories(t[:, 0], q, v=np.broadcast_to(-9.8 * t, q.shape), **fields)


def write(tmp_path, text, name="file.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# Files


def test_derivatives_are_kept_in_files(tmp_path):
    rate = np.ones((2, 5, 1))
    kept = fall(dq=rate, dp=2 * rate, dv=3 * rate)
    found = data.load_trajectories(data.save_trajectories(tmp_path / "f.npz", kept))
    for name in ("dq", "dp", "dv"):
        np.testing.assert_array_equal(getattr(found, name), getattr(kept, name))
    bare = data.load_trajectories(data.save_trajectories(tmp_path / "g.npz", fall()))
    assert (bare.dq, bare.dp, bare.dv) == (None, None, None)


def test_a_derivative_has_the_shape_of_q():
    with pytest.raises(ValueError, match=r"dp has shape \(2, 5\); expected \(2, 5, 1"):
        data.check_trajectories(fall(dp=np.ones((2, 5))))


@pytest.mark.parametrize(
    ("head", "mark"),
    [
        ("t,q1,q2,v1,v2", ","),
        ("Time; Q_1; Q_2; V_1; V_2", ";"),
        ("T\tq1\tq2\tv1\tv2", "\t"),
        ("\tt\tq1\tq2\tv1\tv2", "\t"),
        (",t,q1,q2,v1,v2,", ","),
        ("t q1 q2 v1 v2", "  "),
        ("# t,q1,q2,v1,v2", ","),
        ('\ufeff"t","q1","q2","v1","v2"', ","),
        ("# of the cart\n\nt,v2,q1,v1,q2", ","),
    ],
)
def test_tables_are_read_however_they_are_divided(head, mark, tmp_path):
    names = "t,v2,q1,v1,q2" if "v2,q1" in head else "t,q1,q2,v1,v2"
    cells = {"t": "0.5", "q1": "1", "q2": "-2e0", "v1": "3", "v2": "4"}
    later = cells | {"t": "1"}
    rows = [mark.join(x[name] for name in names.split(",")) for x in (cells, later)]
    # Some programs number the rows, in a column without a name.
    rows = [mark * (head[0] == mark) + x + mark * (head[-1] == mark) for x in rows]
    (found,) = data.read_trajectories(write(tmp_path, "\n".join([head, *rows, ""])))
    np.testing.assert_array_equal(found.t, [0.5, 1.0])
    np.testing.assert_array_equal(found.q, [[[1.0, -2.0], [1.0, -2.0]]])
    np.testing.assert_array_equal(found.v, [[[3.0, 4.0], [3.0, 4.0]]])
    assert found.p is None
    assert found.meta == {}


def test_the_column_trajectory_tells_motions_apart(tmp_path):
    text = (
        "t,trajectory,q,p,energy,dq,dp\n"
        "0,slow,1,2,9,3,4\n"
        "5,fast,6,7,8,9,10\n"
        "# a remark\n"
        "1,slow,1.5,2,9,3,4\n"
    )
    slow, fast = data.read_trajectories(write(tmp_path, text))
    np.testing.assert_array_equal(slow.t, [0, 1])
    np.testing.assert_array_equal(slow.q, [[[1], [1.5]]])
    np.testing.assert_array_equal(slow.energy, [[9, 9]])
    np.testing.assert_array_equal(fast.t, [5])
    assert (fast.q, fast.p, fast.energy) == (6, 7, 8)
    assert (fast.dq, fast.dp) == (9, 10)
    assert [x.meta for x in (slow, fast)] == [
        {"trajectory": "slow"},
        {"trajectory": "fast"},
    ]


@pytest.mark.parametrize("names", ["u1,U_2", "u_2,u1", "u"])
def test_tables_have_inputs_of_any_number(names, tmp_path):
    count = names.count(",") + 1
    rows = [f"{t},1,2,{','.join('34'[:count])}" for t in (0, 1)]
    text = "\n".join([f"t,q,v,{names}", *rows, ""])
    (found,) = data.read_trajectories(write(tmp_path, text))
    row = {"u1,U_2": [3, 4], "u_2,u1": [4, 3], "u": [3]}[names]
    np.testing.assert_array_equal(found.u, [[row, row]])


@pytest.mark.parametrize(("mass", "p"), [(2.0, [6, 8]), ([2.0, 10.0], [6, 40])])
def test_mass_makes_momenta_of_velocities(mass, p, tmp_path):
    path = write(tmp_path, "t,q1,q2,v1,v2,dv1,dv2\n0,1,2,3,4,3,4\n")
    (found,) = data.read_trajectories(path, mass=mass)
    np.testing.assert_array_equal(found.p[0, 0], p)
    np.testing.assert_array_equal(found.dp[0, 0], p)


def test_momenta_of_the_file_come_before_those_of_mass(tmp_path):
    (found,) = data.read_trajectories(write(tmp_path, "t,q,p,v\n0,1,2,3\n"), mass=9.0)
    assert found.p == 2


GOOD = "t,q,v\n0,1,2\n1,1,2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t,x,v\n0,1,2\n", r"no column q\. The columns are t, x, v; understood .*'x'"),
        ("tmie,q,v\n0,1,2\n", r"no column t\..* Is 'tmie' meant as 't'"),
        ("t,q\n0,1\n", "q needs momenta p beside it, or velocities v"),
        ("t,q1,q2,v1\n0,1,2,3\n", "the columns of v are v1; expected v1 … v2"),
        ("t,q0,q1,v0,v1\n0,1,2,3,4\n", "columns of q are q0, q1; expected q1 … q2"),
        ("t,q,q,v\n0,1,2,3\n", "two columns are q"),
        ("t,q,v,u1,u3\n0,1,2,3,4\n", "columns of u are u1, u3; expected u, or u1, u2"),
        ("0,1,2\n1,1,2\n", "no column names"),
        ("t,q,v\n", "no rows of numbers"),
        ("", "no rows of numbers"),
        (
            GOOD + "#\n2,,2\n3,x,2\n",
            r"column q has no finite number in 2 lines, 5, 6: ",
        ),
        (GOOD + "2,1,nan\n", r"column v has no finite number in 1 lines, 4: .*'nan'"),
        (GOOD + "2,1\n", r"1 lines do not have 3 cells .* lines 4: line 4 has 2"),
        (GOOD + "0,5,1,2\n", "Decimals are written with a point"),
        ("t;q;v\n0,5;1;2\n", r"line 2 it is '0,5'\. Write decimals with a point"),
        (
            GOOD + "\n0.5,1,2\n",
            r"increase at line 5: 0.5 comes after 1; sort .* column",
        ),
        (GOOD + "1,1,2\n", "increase at line 4: 1 comes after 1"),
        (
            "trajectory,t,q,v\na,0,1,2\nb,3,1,2\na,0,1,2\n",
            "of trajectory a do not increase at line 4",
        ),
        ("trajectory,t,q,v\na,0,1,2\n,1,1,2\n", "trajectory is empty in 1 lines, 3"),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_line(text, words, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ValueError, match=words) as raised:
        data.read_trajectories(path)
    assert str(path) in str(raised.value)


def test_only_the_first_five_bad_lines_are_listed(tmp_path):
    path = write(tmp_path, "t,q,v\n" + "0,bad,0\n" * 9)
    with pytest.raises(ValueError, match=r"in 9 lines, 2, 3, 4, 5, 6 …: in line 2"):
        data.read_trajectories(path)


def test_columns_that_are_not_understood_are_left_out_with_a_warning(tmp_path):
    path = write(tmp_path, "t,q,v,heat\n0,1,2,warm\n")
    with pytest.warns(UserWarning, match="left out the columns heat") as raised:
        (found,) = data.read_trajectories(path)
    assert raised[0].filename == __file__
    assert found.q == 1


@pytest.mark.parametrize(
    ("text", "mass", "words"),
    [
        ("t,q,p\n0,1,2\n", 1.0, "the file has momenta and no velocities; leave mass"),
        (GOOD, -1.0, "mass is -1.0; expected a number > 0"),
        (GOOD, [1.0, 2.0, 3.0], "or 1 of them, one a coordinate"),
    ],
)
def test_a_mass_that_cannot_be_meant_is_an_error(text, mass, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        data.read_trajectories(write(tmp_path, text), mass=mass)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"of an unknown kind; expected \.npz, or a"):
        data.read_trajectories(write(tmp_path, GOOD, "file.xlsx"))
    path = tmp_path / "latin.csv"
    path.write_bytes("t,q,v,höhe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="no text in UTF-8; save it as such"):
        data.read_trajectories(path)
    with pytest.raises(FileNotFoundError):
        data.read_trajectories(tmp_path / "none.csv")


def test_an_npz_is_cut_where_motions_end(tmp_path):
    kept = fall(3, meta={"units": ["m"]})
    kept.q[1, 3:] = np.nan
    path = data.save_trajectories(tmp_path / "f.npz", kept)
    found = data.read_trajectories(path)
    assert [x.q.shape for x in found] == [(1, 5, 1), (1, 3, 1), (1, 5, 1)]
    assert [len(x.t) for x in found] == [5, 3, 5]
    np.testing.assert_array_equal(found[1].v, kept.v[1:2, :3])
    assert found[1].meta == {"units": ["m"]}


def test_an_npz_may_have_times_for_each_trajectory(tmp_path):
    t = np.array([[0, 1, 2], [5, 7, 9]])
    q = np.arange(12).reshape(2, 3, 2)
    u = np.arange(6).reshape(2, 3, 1)
    np.savez(tmp_path / "f.npz", t=t, q=q, v=2 * q, u=u)
    found = data.read_trajectories(tmp_path / "f.npz", mass=3.0)
    for number, each in enumerate(found):
        np.testing.assert_array_equal(each.t, t[number])
        np.testing.assert_array_equal(each.q[0], q[number])
        np.testing.assert_array_equal(each.p[0], 6 * q[number])
        np.testing.assert_array_equal(each.u[0], u[number])
        assert each.p.dtype == np.float64


def test_one_trajectory_needs_no_axis_for_it(tmp_path):
    np.savez(tmp_path / "f.npz", t=np.arange(3.0), q=np.ones((3, 2)), p=np.ones((3, 2)))
    (found,) = data.read_trajectories(tmp_path / "f.npz")
    assert found.q.shape == (1, 3, 2)


def with_gap(x):
    x = np.array(x, float)
    x[1, [1, 3]] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (
            {"q": with_gap(np.ones((2, 5, 1)))},
            r"trajectory 1 .* 2 rows, 1, 3 \(counted",
        ),
        ({"q": np.full((2, 5, 1), np.nan)}, "trajectory 0 has no finite row"),
        ({"u": with_gap(np.ones((2, 5, 2)))}, "trajectory 1 is not finite in 2 rows"),
        ({"t": np.ones((2, 4))}, r"t has shape \(2, 4\) and q \(2, 5, 1\)"),
        (
            {"t": np.tile(np.arange(5.0), (2, 1)), "v": np.ones((2, 4, 1))},
            "v has shape",
        ),
        ({"v": None}, "positions alone; expected q with momenta p"),
        ({"t": np.zeros(5)}, "increasing times"),
        ({"t": np.zeros((2, 5))}, "increasing times"),
    ],
)
def test_what_is_wrong_in_an_npz_is_said(arrays, words, tmp_path):
    usual = {"t": np.arange(5.0), "q": np.ones((2, 5, 1)), "v": np.ones((2, 5, 1))}
    kept = {k: x for k, x in (usual | arrays).items() if x is not None}
    np.savez(tmp_path / "f.npz", **kept)
    with pytest.raises(ValueError, match=words) as raised:
        data.read_trajectories(tmp_path / "f.npz")
    assert "f.npz" in str(raised.value)


def test_a_misnamed_array_is_pointed_at(tmp_path):
    np.savez(tmp_path / "f.npz", time=np.arange(5.0), q=np.ones((2, 5, 1)))
    with pytest.raises(ValueError, match=r"no t; it holds time, q.*Is 'time' meant"):
        data.read_trajectories(tmp_path / "f.npz")


# Angles


def swing(amplitude):
    t = np.linspace(0.0, 20.0, 200)
    return Trajectories(t, amplitude * np.sin(t)[None, :, None])


def test_degrees_draw_a_warning():
    degrees = [swing(1.0), swing(60.0)]
    with pytest.warns(UserWarning, match=r"coordinate 0 .* spans 120.*numpy\.deg2rad"):
        data.check_angles(degrees, (True,))
    data.check_angles(degrees, (False,))
    data.check_angles([swing(np.deg2rad(60.0)), swing(40.0)], (True,))


def test_radians_of_many_turns_draw_none():
    t = np.linspace(0.0, 200.0, 2000)
    turning = Trajectories(t, np.stack([t, t])[:, :, None])
    turning.q[1, 3:] = np.nan
    data.check_angles([turning], (True,))


def test_angles_need_one_bool_a_coordinate():
    with pytest.raises(ValueError, match="periodic has 2 entries; expected 1"):
        data.check_angles([swing(1.0)], (True, False))


# Derivatives


@pytest.mark.parametrize(
    ("window", "order", "degree"),
    [(None, None, 2), (5, None, 2), (3, 2, 2), (7, None, 3), (7, 1, 1), (11, 5, 5)],
)
def test_a_polynomial_of_the_degree_is_differentiated_exactly(window, order, degree):
    t = uneven(23)
    powers = np.random.default_rng(1).normal(size=(2, 3, degree + 1))
    polynomials = [[np.polynomial.Polynomial(c) for c in row] for row in powers]
    x = np.stack([np.stack([f(t) for f in row], -1) for row in polynomials])
    rate = np.stack([np.stack([f.deriv()(t) for f in row], -1) for row in polynomials])
    found = data.derivatives(t, x, window=window, order=order)
    np.testing.assert_allclose(found, rate, rtol=1e-9, atol=1e-8)
    if window is not None:
        value = data.smoothed(t, x, window, order)
        np.testing.assert_allclose(value, x, rtol=1e-9, atol=1e-9)


def test_a_polynomial_above_the_degree_is_not():
    t = uneven(23)
    found = data.derivatives(t, (t**4)[:, None], window=9)
    assert np.max(np.abs(found[:, 0] - 4 * t**3)) > 1e-3


def test_the_three_point_formula_is_of_order_two_on_uneven_times():
    errors = []
    for total in (40, 80, 160, 320):
        grid = np.linspace(0.0, 1.0, total)
        t = 3 * (grid + 0.1 * np.sin(5 * grid))
        found = data.derivatives(t, np.sin(2 * t)[:, None])[:, 0]
        errors.append(np.max(np.abs(found - 2 * np.cos(2 * t))))
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.15)


def test_each_time_is_fitted_by_its_nearest_window():
    t, x = uneven(15), np.random.default_rng(0).normal(size=(15, 1))
    found = data.derivatives(t, x, window=7, order=3)[:, 0]
    values = data.smoothed(t, x, 7, 3)[:, 0]
    for i in range(15):
        start = min(max(i - 3, 0), 8)
        near = slice(start, start + 7)
        fit = np.polynomial.Polynomial.fit(t[near], x[near, 0], 3)
        np.testing.assert_allclose(found[i], fit.deriv()(t[i]), rtol=1e-7)
        np.testing.assert_allclose(values[i], fit(t[i]), rtol=1e-7)


def test_blocks_of_times_make_no_difference(monkeypatch):
    t, x = uneven(40), np.random.default_rng(0).normal(size=(3, 40, 2))
    whole = data.derivatives(t, x, window=9)
    monkeypatch.setattr("jaxphys.data.smoothing._BLOCK", 400)
    np.testing.assert_allclose(data.derivatives(t, x, window=9), whole, rtol=1e-12)


def test_accelerations_are_exact_for_polynomials_of_degree_nine():
    t = np.array([0.0, 0.5, 0.9, 1.6, 2.0, 2.3])
    for window in (2, 3, 5):
        degree = 2 * window - 1
        q, v = (t**degree)[:, None], (degree * t ** (degree - 1))[:, None]
        found = data.accelerations(t, q, v, window=window)[:, 0]
        wanted = degree * (degree - 1) * t ** (degree - 2)
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * wanted.max())


def test_accelerations_are_of_eighth_order():
    errors = []
    for dt in (0.2, 0.1):
        t = dt * np.arange(-2, 3)
        wave = np.sin(3 * t + 0.5)[None, :, None]
        found = data.accelerations(t, wave, 3 * np.cos(3 * t + 0.5)[None, :, None])
        errors.append(abs(found + 9 * wave)[0, 2, 0])
    assert 7.5 < np.log2(errors[0] / errors[1]) < 8.5


def test_accelerations_that_cannot_be_meant_are_errors():
    t, x = np.arange(3.0), np.ones((3, 2))
    with pytest.raises(ValueError, match="window is 5; expected 2 to 3"):
        data.accelerations(t, x, x)
    with pytest.raises(ValueError, match="expected both alike"):
        data.accelerations(t, x, x[:, :1], window=2)


def test_derivatives_keep_their_dtype(dtype):
    t, x = uneven(20).astype(dtype), np.ones((2, 20, 1), dtype)
    assert data.derivatives(t, x).dtype == dtype
    assert data.derivatives(t, x, window=7).dtype == dtype
    assert data.smoothed(t, x, 7).dtype == dtype
    assert data.derivatives(t, x.astype(int)).dtype == np.float64


def noisy_sine(seed, total=500, sigma=0.02):
    t = np.linspace(0.0, 10.0, total)
    noise = np.random.default_rng(seed).normal(size=(total, 1))
    return t, np.sin(2 * t)[:, None] + sigma * noise, 2 * np.cos(2 * t)[:, None]


def rms(x):
    return float(np.sqrt(np.mean(np.square(x))))


@pytest.mark.parametrize("seed", range(4))
def test_the_suggested_window_is_nearly_the_best(seed):
    t, x, rate = noisy_sine(seed)
    errors = {w: rms(data.derivatives(t, x, window=w) - rate) for w in range(5, 200, 4)}
    window = data.suggest_window(t, x)
    assert window % 2 == 1
    error = rms(data.derivatives(t, x, window=window) - rate)
    assert error < 2 * min(errors.values())
    assert error < rms(data.derivatives(t, x) - rate) / 5


def test_smoothing_takes_noise_away():
    t, x, _ = noisy_sine(0)
    left = data.smoothed(t, x, data.suggest_window(t, x)) - np.sin(2 * t)[:, None]
    assert rms(left) < 0.02 / 2


@pytest.mark.parametrize("total", [20, 100, 500])
@pytest.mark.parametrize("sigma", [0.0, 1e-9])
def test_clean_data_want_no_window(total, sigma):
    t, x, _ = noisy_sine(0, total, sigma)
    assert data.suggest_window(t, x) is None
    assert data.suggest_window(t.astype("f4"), x.astype("f4")) is None


def test_what_is_conserved_is_not_taken_for_noise():
    t, x, _ = noisy_sine(0)
    still = np.full_like(x, 0.3)
    assert data.suggest_window(t, np.concatenate([still, t[:, None]], -1)) is None
    alone = data.suggest_window(t, x)
    assert data.suggest_window(t, np.concatenate([x, still], -1)) == alone


def test_units_do_not_change_the_window():
    t, x, _ = noisy_sine(0)
    alone = data.suggest_window(t, x)
    assert data.suggest_window(1e3 * t, 1e-3 * x) == alone
    slow = np.sin(0.2 * t)[:, None] + noisy_sine(1)[1] - np.sin(2 * t)[:, None]
    assert data.suggest_window(t, slow) != alone
    both, scaled = (np.concatenate([x, size * slow], -1) for size in (1.0, 1e6))
    assert data.suggest_window(t, scaled) == data.suggest_window(t, both)


def test_ten_times_are_too_few_to_tell_noise():
    assert data.suggest_window(uneven(10), np.ones((10, 1))) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": 4}, "window is 4; expected an odd number"),
        ({"window": 1}, "window is 1; expected an odd number of times ≥ 3"),
        ({"window": 11}, "window is 11, and there are 10 times; lower it to 9"),
        ({"window": 5, "order": 5}, "order is 5; expected a whole number from 1 to 4"),
        ({"window": 5, "order": 0}, "order is 0"),
        ({"order": 2}, "order is 2 without a window"),
        ({"x": np.ones(10)}, r"x of shape \(10,\); expected \(\.\.\., 10, n\)"),
        ({"t": np.zeros(10)}, "increasing times"),
        ({"t": np.arange(2.0), "x": np.ones((2, 1))}, "at least 3 increasing times"),
        ({"x": np.where(np.arange(10) > 8, np.nan, 1.0)[:, None]}, "times number 9;"),
    ],
)
def test_derivatives_that_cannot_be_meant_are_errors(change, words):
    options = {"t": np.arange(10.0), "x": np.ones((10, 1))} | change
    with pytest.raises(ValueError, match=words):
        data.derivatives(options.pop("t"), options.pop("x"), **options)


def test_derivatives_that_are_missing_are_filled_in():
    given = np.full((2, 5, 1), 7.0)
    found = data.with_derivatives(fall(dv=given))
    np.testing.assert_allclose(found.dq, found.v, atol=1e-12)
    assert found.dp is None
    assert found.dv is given
    found = data.with_derivatives(fall(), window=5)
    np.testing.assert_allclose(found.dv, -9.8, rtol=1e-12)


def test_auto_takes_the_suggested_window():
    t, x, rate = noisy_sine(0)
    seen = Trajectories(t, x[None])
    found = data.with_derivatives(seen, window="auto").dq
    expected = data.derivatives(t, x[None], window=data.suggest_window(t, x))
    np.testing.assert_array_equal(found, expected)
    clean = Trajectories(t, rate[None])
    np.testing.assert_array_equal(
        data.with_derivatives(clean, window="auto").dq, data.derivatives(t, rate[None])
    )
    with pytest.raises(ValueError, match="window is 'best'; expected a number"):
        data.with_derivatives(seen, window="best")


# Samples


def numbered(count=2, times=5, start=0.0):
    """Trajectories whose every number says where it is from."""
    t = start + np.arange(float(times))
    q = 100.0 * np.arange(count)[:, None, None] + t[:, None] + np.array([0.0, 0.5])
    fields = {
        name: q + 1e3 * k for k, name in enumerate(("p", "v", "dq", "dp", "dv"), 1)
    }
    return Trajectories(t, q, **fields)


def test_moments_are_all_times_of_all_trajectories():
    lot = [numbered(), numbered(1, 3, start=50.0)]
    moments, rates = data.moments(lot, PhaseState)
    assert moments.u is None
    assert moments.t.shape == (13,)
    np.testing.assert_array_equal(moments.t, moments.y.q[:, 0] % 100)
    np.testing.assert_array_equal(moments.y.p, moments.y.q + 1e3)
    np.testing.assert_array_equal(rates.q, moments.y.q + 3e3)
    np.testing.assert_array_equal(rates.p, moments.y.q + 4e3)
    assert isinstance(moments.y, PhaseState)
    assert isinstance(rates, PhaseState)
    assert data.num_samples((moments, rates)) == 13


def test_moments_of_velocities_move_by_them():
    moments, rates = data.moments([numbered()], TangentState)
    np.testing.assert_array_equal(moments.y.v, moments.y.q + 2e3)
    np.testing.assert_array_equal(rates.q, moments.y.v)
    np.testing.assert_array_equal(rates.v, moments.y.q + 5e3)


@pytest.mark.parametrize(
    ("state", "fields", "words"),
    [
        (PhaseState, {"p": None}, "needs p, .* trajectory 1 .* mass=, or take Tangent"),
        (
            TangentState,
            {"v": None},
            "needs v, .*add the velocities, or take PhaseState",
        ),
        (PhaseState, {"dp": None}, "needs dp, .* with_derivatives"),
        (PhaseState, {"dq": None}, "needs dq, .* with_derivatives"),
        (TangentState, {"dv": None}, "needs dv, .* with_derivatives"),
        (PhaseState, {"q": np.full((2, 5, 2), np.nan)}, "q of .*jaxphys.data.separate"),
        (tuple, {}, "expected PhaseState or TangentState"),
    ],
)
def test_moments_say_what_they_lack(state, fields, words):
    with pytest.raises(ValueError, match=words):
        data.moments([numbered(), numbered()._replace(**fields)], state)


def test_lists_are_of_motions_of_one_system():
    with pytest.raises(ValueError, match=r"moments got one Trajectories.*in brackets"):
        data.moments(numbered(), PhaseState)
    with pytest.raises(ValueError, match="moments got an empty list"):
        data.moments([], PhaseState)
    with pytest.raises(ValueError, match="of 1 and 2 coordinates"):
        data.moments([numbered(), fall()], PhaseState)


@pytest.mark.parametrize(("stride", "starts"), [(1, [0, 1, 2]), (2, [0, 2]), (9, [0])])
def test_chunks_are_pieces_of_consecutive_times(stride, starts):
    lot = [numbered(), numbered(1, 2, start=50.0)]
    chunks, states = data.chunks(lot, 2, PhaseState, stride=stride)
    expected = np.array([[s + k for k in range(3)] for s in starts], float)
    np.testing.assert_array_equal(chunks.t, np.tile(expected, (2, 1)))
    number = 100.0 * np.repeat([0, 1], len(starts))[:, None]
    q = np.concatenate([chunks.y.q[:, None], states.q], axis=1)
    np.testing.assert_array_equal(q[..., 0], chunks.t + number)
    np.testing.assert_array_equal(q[..., 1], chunks.t + number + 0.5)
    np.testing.assert_array_equal(states.p, states.q + 1e3)
    assert isinstance(chunks.y, PhaseState)
    assert states.q.shape == (2 * len(starts), 2, 2)


def test_chunks_follow_the_motion(dtype):
    ts = np.linspace(0.0, 2.0, 9)
    seen = data.simulated(systems.mass_spring(), jax.random.key(0), 2, ts, dtype=dtype)
    chunks, states = data.chunks([seen], 8, TangentState)
    np.testing.assert_array_equal(chunks.y.v, seen.v[:, 0])
    np.testing.assert_array_equal(states.v, seen.v[:, 1:])
    assert {x.dtype for x in jax.tree.leaves((chunks, states))} == {dtype}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"length": 5}, "longest trajectory has 5 times; .* needs 6. Lower .* to 4"),
        ({"length": 0}, "length is 0"),
        ({"length": 2, "stride": 0}, "stride is 0"),
        ({"length": 2, "state": dict}, "expected PhaseState or TangentState"),
    ],
)
def test_chunks_that_cannot_be_meant_are_errors(options, words):
    with pytest.raises(ValueError, match=words):
        data.chunks([numbered()], **({"state": PhaseState} | options))


def test_even_times_are_even_to_rounding(dtype):
    even = Trajectories(
        np.linspace(0.0, 20.0, 2001, dtype=dtype), *[np.zeros((1, 2001, 1), dtype)] * 2
    )
    chunks, _ = data.chunks([even], 2000, PhaseState, even=True)
    assert chunks.t.shape == (1, 2001)
    t = even.t.copy()
    t[7] += 1e-4
    with pytest.raises(ValueError, match="trajectory 1 has uneven times"):
        data.chunks([even, even._replace(t=t)], 5, PhaseState, even=True)
    data.chunks([even._replace(t=t)], 5, PhaseState)


@pytest.mark.parametrize(
    ("fraction", "held"), [(0.2, 1), (0.3, 2), (0.6, 3), (0.01, 1), (0.99, 4)]
)
def test_whole_trajectories_are_held_out(fraction, held):
    later = numbered(3)._replace(energy=np.ones((3, 5)))
    lot = [numbered(2), later._replace(q=later.q + 200, p=later.p + 200)]
    train, held_out = data.split(lot, fraction)
    parts = (train, held_out)
    kept = [[int(q[0, 0]) // 100 for x in part for q in x.q] for part in parts]
    assert kept == [list(range(5 - held)), list(range(5 - held, 5))]
    for each in (*train, *held_out):
        np.testing.assert_array_equal(each.p, each.q + 1e3)
        assert each.energy is None or each.energy.shape == each.q.shape[:2]


def test_a_key_chooses_the_trajectories():
    lot = [numbered(1)._replace(q=numbered(1).q + 100 * k) for k in range(20)]

    def held(key):
        train, out = data.split(lot, 0.25, key=key)
        names = [[int(x.q[0, 0, 0]) // 100 for x in part] for part in (train, out)]
        assert sorted(names[0] + names[1]) == list(range(20))
        assert len(names[1]) == 5
        return names[1]

    first, second = (held(jax.random.key(seed)) for seed in (0, 1))
    assert held(None) == [15, 16, 17, 18, 19]
    assert first != second
    assert first == held(jax.random.key(0))


@pytest.mark.parametrize(("fraction", "held"), [(0.1, 2), (0.3, 3), (0.95, 8)])
def test_the_end_of_each_trajectory_is_held_out(fraction, held):
    lot = [numbered(2, 10)._replace(energy=np.ones((2, 10))), numbered(1, 4)]
    train, held_out = data.split(lot, fraction, by="time")
    assert len(train) == len(held_out) == 2
    assert [len(train[0].t), len(held_out[0].t)] == [10 - held, held]
    assert [len(train[1].t), len(held_out[1].t)] == [2, 2]
    assert held_out[0].energy.shape == (2, held)
    joined = np.concatenate([train[0].dv, held_out[0].dv], axis=1)
    np.testing.assert_array_equal(joined, lot[0].dv)
    np.testing.assert_array_equal(np.append(train[0].t, held_out[0].t), lot[0].t)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fraction": 0.0}, "fraction is 0.0"),
        ({"fraction": 1.0}, "fraction is 1.0"),
        ({}, 'one trajectory, .* by="time"'),
        ({"by": "tmie"}, "Did you mean 'time'"),
        ({"by": "time", "count": 3}, "trajectory 0 .* has 3 times; .* takes 4"),
        ({"by": "time", "key": jax.random.key(0)}, "leave it out"),
    ],
)
def test_splits_that_cannot_be_meant_are_errors(options, words):
    options = {"fraction": 0.2, "count": 5} | options
    with pytest.raises(ValueError, match=words):
        data.split([numbered(1, options.pop("count"))], **options)


def test_noise_is_on_the_states_only(dtype):
    arrays = numbered(50, 40)._asdict() | {"energy": np.ones((50, 40)), "meta": {}}
    clean = Trajectories(
        **{k: x if k in ("meta", "u") else x.astype(dtype) for k, x in arrays.items()}
    )
    noisy = data.add_noise(clean, np.array([0.1, 10.0]), jax.random.key(0))
    for name in ("q", "p"):
        noise = np.asarray(getattr(noisy, name), float) - getattr(clean, name)
        np.testing.assert_allclose(noise.std(axis=(0, 1)), [0.1, 10.0], rtol=0.05)
        assert np.all(np.abs(noise.mean(axis=(0, 1))) < [0.01, 1.0])
        assert getattr(noisy, name).dtype == dtype
    assert np.corrcoef((noisy.q - clean.q).flat, (noisy.p - clean.p).flat)[0, 1] < 0.1
    for name in ("t", "v", "energy", "dq", "dp", "dv"):
        assert getattr(noisy, name) is getattr(clean, name)


def test_noise_on_one_field_is_the_same_beside_others():
    clean, key = numbered(), jax.random.key(3)
    both, one = (data.add_noise(clean, 0.5, key, f) for f in (("q", "v"), ("v",)))
    np.testing.assert_array_equal(both.v, one.v)
    assert one.q is clean.q


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sigma": -1.0}, "sigma is -1.0; expected a number ≥ 0"),
        ({"sigma": np.ones(3)}, "or 1 of them"),
        ({}, "have no p; they have q, v: name the ones"),
        ({"fields": ("energy",)}, "unknown field 'energy'"),
    ],
)
def test_noise_that_cannot_be_meant_is_an_error(options, words):
    with pytest.raises(ValueError, match=words):
        data.add_noise(fall(), **({"sigma": 0.1, "key": jax.random.key(0)} | options))


# Simulation


@pytest.mark.parametrize("name", ["double_pendulum", "mass_spring"])
def test_simulated_motions_obey_their_equations(name, dtype):
    system, ts = systems.get(name), np.linspace(0.0, 1.0, 201)
    seen = data.simulated(system, jax.random.key(0), 3, ts, dtype=dtype)
    n = len(system.periodic)
    for field in ("q", "p", "v", "dq", "dp"):
        assert getattr(seen, field).shape == (3, 201, n)
    assert {x.dtype for x in seen if hasattr(x, "dtype")} == {dtype}
    starts = jax.vmap(system.sample)(jax.random.split(jax.random.key(0), 3))
    np.testing.assert_allclose(seen.q[:, 0], starts.q, rtol=1e-6)
    np.testing.assert_allclose(seen.p[:, 0], starts.p, rtol=1e-6)
    states = PhaseState(seen.q[1, 50], seen.p[1, 50])
    rate = mechanics.vector_field(system)(0.0, states, system.params)
    np.testing.assert_allclose(seen.dp[1, 50], rate.p, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(seen.v[1, 50], rate.q, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(seen.dq, seen.v)
    drift = np.max(data.energy_error(seen))
    assert drift < (1e-3 if dtype == np.float32 else 1e-6)
    slope = data.derivatives(seen.t, seen.p)
    size = np.max(np.abs(seen.dp))
    np.testing.assert_allclose(slope, seen.dp, atol=0.02 * size)
    assert seen.meta == {
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
                data.simulated(systems.mass_spring(), key, 2, ts, rtol=x, atol=x)
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
        data.simulated(x, key, 1, ts).q
        for x in (system, system._replace(params=changed._replace(mass=1.0)))
    )
    assert np.max(np.abs(one - other)) > 1e-2


def test_dissipation_takes_energy_away():
    damped = systems.mass_spring()._replace(
        dissipation=lambda params, q, v: 0.1 * jnp.sum(v**2)
    )
    seen = data.simulated(damped, jax.random.key(0), 3, np.linspace(0.0, 5.0, 20))
    assert np.all(np.diff(seen.energy, axis=1) < 0)


def test_what_cannot_be_followed_is_nan_from_there_on():
    cliff = systems.mass_spring()._replace(
        hamiltonian=lambda params, q, p: p @ p / 2 - jnp.sum(q**4),
        sample=lambda key: PhaseState(jnp.ones(1), jnp.ones(1)),
    )
    seen = data.simulated(cliff, jax.random.key(0), 2, np.linspace(0.0, 2.0, 21))
    ended = np.isnan(seen.q[0, :, 0])
    assert not ended[0]
    assert ended[-1]
    assert np.all(np.diff(ended.astype(int)) >= 0)
    assert np.array_equal(np.isnan(seen.dp[0, :, 0]), ended)
    cut = data.separate(seen)
    assert [len(x.t) for x in cut] == [np.sum(~ended)] * 2
    data.moments(cut, PhaseState)
    with pytest.raises(ValueError, match=r"jaxphys\.data\.separate"):
        data.moments([seen], PhaseState)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_trajectories": 0}, "num_trajectories is 0"),
        ({"ts": np.zeros(3)}, "at least two times"),
        ({"ts": np.ones(1)}, r"ts has shape \(1,\)"),
        ({"dtype": "int32"}, "dtype is int32; expected float32 or float64"),
    ],
)
def test_simulations_that_cannot_be_meant_are_errors(options, words):
    usual = {"num_trajectories": 1, "ts": np.arange(3.0)}
    with pytest.raises(ValueError, match=words):
        data.simulated(systems.mass_spring(), jax.random.key(0), **(usual | options))


def test_simulated_motions_have_momenta():
    bare = systems.mass_spring()._replace(hamiltonian=None)
    with pytest.raises(ValueError, match="has no Hamiltonian"):
        data.simulated(bare, jax.random.key(0), 1, np.arange(3.0))


def test_double_precision_is_not_dropped_in_silence():
    jax.config.update("jax_enable_x64", False)
    ts, key = np.arange(3.0), jax.random.key(0)
    with pytest.raises(ValueError, match="dtype is float64, which JAX has off"):
        data.simulated(systems.mass_spring(), key, 1, ts, dtype="float64")
    assert data.simulated(systems.mass_spring(), key, 1, ts).q.dtype == np.float32
