"""Files as laboratories have them: names, units, trials, gaps, and other containers."""

import pathlib

import numpy as np
import pytest

from jaxphys import data
from jaxphys.types import PhaseState, TangentState

T = np.array([0.0, 0.1, 0.3, 0.4])
Q, V, U = 0.5 + T, 2 * T, 3 - T


def table(names, mark=",", columns=(T, Q, V, U), top="", bottom=""):
    """Text with a line of names, and one for each time."""
    rows = zip(*columns[: len(names.split(","))], strict=True)
    lines = [
        names.replace(",", mark),
        *(mark.join(f"{x:.6g}" for x in r) for r in rows),
    ]
    return top + "\n".join(lines) + "\n" + bottom


def read(tmp_path, text, name="lab.csv", **options):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return data.read_trajectories(path, **options)


USUAL = {
    "greek": ("time,theta,omega,torque", ","),
    "units": ("time [s],theta [rad],omega (rad/s),torque (N m)", ","),
    "units without brackets": ("t/s,theta/rad,omega/rad/s,tau", ","),
    "units in names": ("time_s,theta_rad,omega_rad_s,tau_nm", ";"),
    "letters": ("t,θ,ω,τ", "\t"),
    "dots": ("t,theta,theta_dot,u", ","),
    "prefix": ("t,phi,dphi,u", ","),
    "lengths": ("Timestamp,Position,Velocity,Force", ","),
    "axes": ("t,x,vx,fx", ","),
    "capitals": ("TIME,POS,VEL,INPUT", ";"),
    "measured": ("time,pos_meas,vel_meas,tau_meas", ","),
    "blanks": ("time,theta,omega,tau", "  "),
}


@pytest.mark.parametrize(("names", "mark"), USUAL.values(), ids=USUAL)
def test_usual_names_are_understood(names, mark, tmp_path):
    (found,) = read(tmp_path, table(names, mark), "lab.txt")
    assert isinstance(found.y, TangentState)
    for got, wanted in zip((found.t, *found.y, found.u), (T, Q, V, U), strict=True):
        np.testing.assert_allclose(got.reshape(-1), wanted)
    assert " is q" in found.meta["columns"]


COMMENTS = {
    "percent": "% theta omega\n",
    "savetxt": "# time theta omega\n",
    "remarks": "# made on Monday\n# t, theta, omega\n",
    "preamble": "Pendulum; run 3\n\ntime theta omega\n",
    "line of units": "time theta omega\n[s] [rad] [rad/s]\n",
    "blanks before units": "time [s] theta [rad] omega [rad/s]\n",
}


@pytest.mark.parametrize("head", COMMENTS.values(), ids=COMMENTS)
def test_names_are_found_above_the_numbers(head, tmp_path):
    rows = "\n".join(f"  {t:.3e}   {q} {v} " for t, q, v in zip(T, Q, V, strict=True))
    (found,) = read(tmp_path, head + rows + "\n", "lab.dat")
    np.testing.assert_allclose(found.y.q[0, :, 0], Q)
    np.testing.assert_allclose(found.y.v[0, :, 0], V)


def test_a_header_that_names_the_states_alone_is_completed(tmp_path):
    rows = [
        f"{k} {t} {q} {v} 7\n" for k in (0, 1) for t, q, v in zip(T, Q, V, strict=True)
    ]
    first, second = read(
        tmp_path, "%o w\n" + "".join(rows), "lab.txt", columns={"5": "-"}
    )
    assert [x.meta["trajectory"] for x in (first, second)] == ["0", "1"]
    np.testing.assert_allclose(second.y.v[0, :, 0], V)


def test_degrees_and_milliseconds_become_radians_and_seconds(tmp_path):
    columns = (1000 * T, np.rad2deg(Q), np.rad2deg(V))
    names = "time [ms],theta [deg],omega [deg/s]"
    (found,) = read(tmp_path, table(names, columns=columns))
    np.testing.assert_allclose(found.t, T)
    np.testing.assert_allclose(found.y.q[0, :, 0], Q, rtol=1e-5)
    np.testing.assert_allclose(found.y.v[0, :, 0], V, rtol=1e-5)
    assert found.meta["units"] == ["rad"]
    assert found.meta["coordinates"] == [r"\theta"]
    assert found.meta["periodic"] == [True]
    assert "theta [deg] is q in rad, times 0.0174533" in found.meta["columns"]


def test_decimal_commas_are_read(tmp_path):
    text = table("t,q,v", ";").replace(".", ",")
    (found,) = read(tmp_path, text)
    np.testing.assert_allclose(found.y.q[0, :, 0], Q)


def test_velocities_go_with_their_positions(tmp_path):
    text = "t,x,theta,omega,vel\n0,1,2,20,10\n1,1,2,20,10\n"
    (found,) = read(tmp_path, text)
    np.testing.assert_array_equal(found.y.q[0, 0], [1, 2])
    np.testing.assert_array_equal(found.y.v[0, 0], [10, 20])
    assert found.meta["periodic"] == [False, True]
    text = "t,y,x,vx,vy\n0,2,1,10,20\n1,2,1,10,20\n"
    (found,) = read(tmp_path, text)
    np.testing.assert_array_equal(found.y.q[0, 0], [1, 2])
    np.testing.assert_array_equal(found.y.v[0, 0], [10, 20])


def test_what_is_asked_for_comes_first(tmp_path):
    text = table("t,x,rate,u")
    asked = {"rate": "v", "u": "-"}
    (found,) = read(tmp_path, text, columns=asked)
    np.testing.assert_allclose(found.y.v[0, :, 0], V)
    assert found.u is None
    (found,) = read(
        tmp_path,
        table("a,b,c", columns=(Q, V, T)),
        columns={"a": "q", "b": "p", "c": "t"},
    )
    assert isinstance(found.y, PhaseState)
    np.testing.assert_allclose(found.t, T)
    (found,) = read(
        tmp_path, table("0,1,2")[6:], columns={"1": "t", "2": "q", "3": "v"}
    )
    np.testing.assert_allclose(found.y.v[0, :, 0], V)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rates": "v"}, "asks for rates, and there is no column of that name"),
        ({"x": "w"}, "columns has x:w; expected a role: t, q, p, v"),
        ({"x": "q1", "rate": "q1"}, "two columns are q1"),
        ({"x": "q1", "y": "q2"}, r"1 columns are v \(v\) and 2 are q \(x, y\)"),
    ],
)
def test_invalid_roles_are_errors(asked, words, tmp_path):
    text = "t,x,y,rate,v\n0,1,2,3,4\n1,1,2,3,4\n"
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text, columns=asked)


def test_time_that_starts_again_is_another_trial(tmp_path):
    text = table("t,q,v") + table("t,q,v", columns=(T[:3], Q[:3], V[:3]))[6:]
    first, second = read(tmp_path, text)
    assert [len(x.t) for x in (first, second)] == [4, 3]
    text = "trial,t,q,v\n" + "".join(f"{k},{t},{t},1\n" for k in "ba" for t in (0, 2))
    assert [x.meta["trajectory"] for x in read(tmp_path, text)] == ["b", "a"]


def test_missing_numbers_divide_a_trajectory(tmp_path):
    rows = [f"{t},{t},1" for t in range(9)]
    rows[3], rows[4], rows[6] = "3,,1", "4,NaN,1", "6,1,--"
    with pytest.warns(UserWarning, match="missing in 3 lines, 5, 6, 8; traj"):
        found = read(tmp_path, "t,q,v\n" + "\n".join(rows) + "\n")
    assert [list(x.t) for x in found] == [[0, 1, 2], [7, 8]]


def test_positions_alone_are_differentiated(tmp_path):
    t = np.linspace(0, 2, 41)
    with pytest.warns(UserWarning, match="velocities are their derivatives, not smo"):
        (found,) = read(tmp_path, table("t,theta", columns=(t, np.sin(t))))
    np.testing.assert_allclose(found.y.v[0, :, 0], np.cos(t), atol=2e-3)
    assert found.meta["derived"] == ["v"]


def test_dates_are_seconds_from_the_first(tmp_path):
    text = "time,q,v\n2024-05-01T10:00:00.5,0,1\n2024-05-01T10:00:01,1,1\n"
    (found,) = read(tmp_path, text)
    np.testing.assert_allclose(found.t, [0, 0.5])


def test_arrays_in_memory_and_in_other_files(tmp_path):
    scipy = pytest.importorskip("scipy.io")
    arrays = {"time": T, "theta": Q, "omega": V, "tau": U}
    matrix = np.stack([T, Q, V], axis=1)
    scipy.savemat(tmp_path / "plain.mat", arrays)
    scipy.savemat(tmp_path / "struct.mat", {"log": arrays})
    np.savez(tmp_path / "lab.npz", **arrays)
    np.save(tmp_path / "lab.npy", matrix)
    numbered = {"1": "t", "2": "q", "3": "v"}
    for found in (
        data.trajectories_from(arrays),
        data.trajectories_from(matrix, columns=numbered),
        data.read_trajectories(tmp_path / "plain.mat"),
        data.read_trajectories(tmp_path / "struct.mat"),
        data.read_trajectories(tmp_path / "lab.npz"),
        data.read_trajectories(tmp_path / "lab.npy", columns=numbered),
    ):
        np.testing.assert_allclose(found[0].y.v[0, :, 0], V)
    two = {"t": T, "theta": np.stack([Q, V], 1), "omega": np.stack([V, Q], 1)}
    (found,) = data.trajectories_from(two)
    np.testing.assert_allclose(found.y.v[0], two["omega"])
    three = {"time": T, "pos": np.ones((5, 4, 2)), "vel": np.zeros((5, 4, 2))}
    assert [x.y.q.shape for x in data.trajectories_from(three)] == [(1, 4, 2)] * 5
    records = np.rec.fromarrays([T, Q, V], names="t,x,vel")
    np.testing.assert_allclose(data.trajectories_from(records)[0].y.q[0, :, 0], Q)


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ([1, 2], TypeError, "got list; expected a DataFrame, a dict of arrays"),
        (np.zeros(3), ValueError, r"shape \(3,\); expected \(rows, columns\)"),
        ({"t": T, "q": Q[:2], "v": V}, ValueError, r"q has shape \(2,\); expected"),
        (np.zeros((4, 3)), ValueError, "no column names.*1, 2, 3.*--columns 1:t"),
        ({"h": T, "g": T}, ValueError, "no column t and no column q"),
    ],
)
def test_other_sources_are_errors(source, error, words):
    with pytest.raises(error, match=words):
        data.trajectories_from(source)


def test_what_a_package_would_read_is_said(tmp_path):
    (tmp_path / "lab.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match="pandas"):
        data.read_trajectories(tmp_path / "lab.parquet")
    (tmp_path / "lab.mat").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"not a \.mat file"):
        data.read_trajectories(tmp_path / "lab.mat")
    (tmp_path / "lab.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"not an \.npy file"):
        data.read_trajectories(pathlib.Path(tmp_path / "lab.npy"))


ODD = {
    "a page of the web": ("<html><body>404</body></html>\n", "no rows of numbers"),
    "rows that are longer": ("t,q,v\n0,1,1,9\n", "1 line does not have 3 cells"),
    "thousands": ('t,q,v\n0,"1,000",2\n', "1 line does not have 3 cells"),
    "a last line of text": ("t,q,v\n0,1,2\n1,1,2\nend\n", "line 4 has 1"),
    "names again": ("t,q,v\n0,1,2\nt,q,v\n0,1,2\n", "line 3 it is 't'"),
    "percent": ("t,q,v\n0,10%,2\n", "line 2 it is '10%'"),
    "times that stand": ("t,q,v\n1,1,2\n1,1,2\n", "do not increase at line 3"),
    "times in disorder": ("t,q,v\n0,1,2\n2,1,2\n1,1,2\n", "sort the lines by time"),
    "no positions": ("t,v\n0,1\n1,2\n", "no column q.*--columns NAME:q"),
    "no times": ("trial,theta,omega\n0,1,2\n0,1,2\n", "no column t"),
    "one velocity of two": (
        "t,theta1,theta2,omega1\n0,1,2,3\n",
        r"1 columns are v \(omega1\) and 2 are q \(theta1, theta2\)",
    ),
    "no numbers in a column": ("t,q,v\n0,,1\n1,,1\n", "no two lines with numbers"),
}


@pytest.mark.parametrize(("text", "words"), ODD.values(), ids=ODD)
def test_odd_files_are_told(text, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        read(tmp_path, text)


def test_inputs_alone_are_read(tmp_path):
    path = tmp_path / "push.csv"
    path.write_text("time,tau1,tau2\n0,1,2\n1,3,4\n")
    t, u = data.read_inputs(path)
    np.testing.assert_array_equal(t, [0, 1])
    np.testing.assert_array_equal(u, [[1, 2], [3, 4]])
    path.write_text("time,tau\n0,1\n0,3\n")
    with pytest.raises(ValueError, match="increasing times t"):
        data.read_inputs(path)
    path.write_text("time,heat\n0,1\n1,3\n")
    with pytest.raises(ValueError, match=r"no column u.*--columns heat:u"):
        data.read_inputs(path)
