"""Trajectories in files: the layout that is kept, and what users bring."""

import io
import zipfile

import jax
import numpy as np
import pytest

from jaxphys import data
from jaxphys.types import PhaseState, TangentState, Trajectories


def still(kind, *, rate=True, **fields):
    """Two trajectories in which each array has its own number."""
    q = np.ones((2, 5, 1))
    rates = kind(3 * q, 4 * q) if rate else None
    return Trajectories(np.arange(5.0), kind(q, 2 * q), rates, **fields)


def write(tmp_path, text, name="file.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", [PhaseState, TangentState])
@pytest.mark.parametrize("rate", [True, False])
def test_a_file_gives_back_what_was_saved(kind, rate, tmp_path, dtype):
    more = {"u": np.zeros((2, 5, 3)), "energy": np.ones((2, 5))}
    (kept,) = data.cast([still(kind, rate=rate, **more, meta={"units": ["m"]})], dtype)
    path = data.save_trajectories(tmp_path / "f.npz", kept)
    for found in (data.load_trajectories(path), data.load_trajectories(path, kind)):
        assert found.meta == kept.meta
        assert type(found.y) is kind
        assert (found.rate is None) is not rate
        jax.tree.map(np.testing.assert_array_equal, found[:5], kept[:5])
        assert {x.dtype for x in jax.tree.leaves(found[:5])} == {dtype}
    assert [p.name for p in tmp_path.iterdir()] == ["f.npz"]


def test_the_arrays_of_a_file_have_their_names(tmp_path):
    def names(trajectories):
        with np.load(data.save_trajectories(tmp_path / "f.npz", trajectories)) as file:
            return {name: x.flat[0] for name, x in file.items() if name not in "t,meta"}

    assert names(still(PhaseState)) == {"q": 1, "p": 2, "v": 3, "dq": 3, "dp": 4}
    assert names(still(TangentState)) == {"q": 1, "v": 2, "dq": 3, "dv": 4}
    assert names(still(PhaseState, rate=False)) == {"q": 1, "p": 2}
    assert names(still(TangentState, rate=False)) == {"q": 1, "v": 2}


ROWS = {"q": 1, "p": 2, "v": 3, "dq": 4, "dp": 5, "dv": 6}


@pytest.mark.parametrize(
    ("names", "state", "y", "rate"),
    [
        ("q p", None, PhaseState(1, 2), None),
        ("q v", None, TangentState(1, 3), None),
        ("q p v", None, PhaseState(1, 2), None),
        ("q p v", PhaseState, PhaseState(1, 2), None),
        ("q p v", TangentState, TangentState(1, 3), None),
        ("q p dq dp", None, PhaseState(1, 2), PhaseState(4, 5)),
        ("q p v dp", None, PhaseState(1, 2), PhaseState(3, 5)),
        ("q p v dq", None, PhaseState(1, 2), None),
        ("q p dp", None, PhaseState(1, 2), None),
        ("q v dv", None, TangentState(1, 3), TangentState(3, 6)),
        ("q v dq dv", None, TangentState(1, 3), TangentState(4, 6)),
        ("q p v dq dp dv", TangentState, TangentState(1, 3), TangentState(4, 6)),
        ("q p v dq dp dv", None, PhaseState(1, 2), PhaseState(4, 5)),
        ("q p v dv", TangentState, TangentState(1, 3), TangentState(3, 6)),
        ("q p v dv", PhaseState, PhaseState(1, 2), None),
    ],
)
def test_files_are_read_in_q_and_p_or_in_q_and_v(names, state, y, rate, tmp_path):
    arrays = {name: np.full((1, 2, 1), float(ROWS[name])) for name in names.split()}
    np.savez(tmp_path / "f.npz", t=np.arange(2.0), **arrays)
    head = ",".join(["t", *arrays])
    rows = [",".join([t, *(str(ROWS[name]) for name in arrays)]) for t in "01"]
    write(tmp_path, "\n".join([head, *rows]), "f.csv")
    for found in (
        data.load_trajectories(tmp_path / "f.npz", state),
        *data.read_trajectories(tmp_path / "f.npz", state=state),
        *data.read_trajectories(tmp_path / "f.csv", state=state),
    ):
        assert type(found.y) is type(y)
        assert jax.tree.map(lambda x: x[0, 0, 0], found.y) == y
        assert jax.tree.map(lambda x: x[0, 0, 0], found.rate) == rate


@pytest.mark.parametrize(
    ("names", "state", "words"),
    [
        ("q v", PhaseState, r"velocities and no momenta; give mass=.*=TangentState"),
        ("q p", TangentState, "momenta and no velocities; add .* state=PhaseState"),
        ("q p", tuple, "state is <class 'tuple'>; expected PhaseState, Tang"),
    ],
)
def test_a_state_that_a_file_does_not_have_is_an_error(names, state, words, tmp_path):
    path = tmp_path / "f.npz"
    np.savez(path, t=np.arange(2.0), **{x: np.ones((1, 2, 1)) for x in names.split()})
    for read in (
        lambda: data.load_trajectories(path, state),
        lambda: data.read_trajectories(path, state=state),
    ):
        with pytest.raises(ValueError, match=words) as raised:
            read()
        assert str(path) in str(raised.value)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"q": None}, "has no q"),
        ({"t": np.arange(3.0)[::-1]}, "increasing"),
        ({"q": np.zeros((1, 4, 2))}, "3 times"),
        ({"p": np.zeros((1, 3, 1))}, "p has shape"),
        ({"energy": np.arange(3.0)}, "energy has shape"),
        ({"u": np.zeros((1, 3))}, "u has shape"),
        ({"q": np.zeros((1, 3, 2), int)}, "q has dtype int64; expected real"),
    ],
)
def test_arrays_that_do_not_fit_are_errors(arrays, words, tmp_path):
    usual = {"t": np.arange(3.0), "q": np.ones((1, 3, 2)), "p": np.ones((1, 3, 2))}
    kept = {k: x for k, x in (usual | arrays).items() if x is not None}
    np.savez(tmp_path / "f.npz", **kept)
    with pytest.raises(ValueError, match=words) as raised:
        data.load_trajectories(tmp_path / "f.npz")
    assert "f.npz" in str(raised.value)


def test_other_files_are_not_loaded(tmp_path):
    path = tmp_path / "wrong.npz"
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match=r"not an \.npz"):
        data.load_trajectories(path)
    with pytest.raises(FileNotFoundError):
        data.load_trajectories(tmp_path / "missing.npz")


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
    assert isinstance(found.y, TangentState)
    np.testing.assert_array_equal(found.y.q, [[[1.0, -2.0], [1.0, -2.0]]])
    np.testing.assert_array_equal(found.y.v, [[[3.0, 4.0], [3.0, 4.0]]])
    assert found.rate is None
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
    np.testing.assert_array_equal(slow.y.q, [[[1], [1.5]]])
    np.testing.assert_array_equal(slow.energy, [[9, 9]])
    np.testing.assert_array_equal(fast.t, [5])
    assert (fast.y, fast.rate, fast.energy) == (PhaseState(6, 7), PhaseState(9, 10), 8)
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
    assert isinstance(found.y, PhaseState)
    np.testing.assert_array_equal(found.y.p[0, 0], p)
    np.testing.assert_array_equal(found.rate.q[0, 0], [3, 4])
    np.testing.assert_array_equal(found.rate.p[0, 0], p)
    (found,) = data.read_trajectories(path, mass=mass, state=TangentState)
    np.testing.assert_array_equal(found.y.v[0, 0], [3, 4])


def test_momenta_of_the_file_come_before_those_of_mass(tmp_path):
    (found,) = data.read_trajectories(write(tmp_path, "t,q,p,v\n0,1,2,3\n"), mass=9.0)
    assert found.y.p == 2


GOOD = "t,q,v\n0,1,2\n1,1,2\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("t,h,v\n0,1,2\n", r"no column q\. The columns are t, h, v\. .*--columns h:q"),
        ("tmie,q,v\n0,1,2\n", r"no column t\..* Is 'tmie' meant as 't'"),
        ("t,q\n0,1\n", "positions q alone, of fewer than three times; expected mom"),
        ("t,q1,q2,v1\n0,1,2,3\n", "the columns of v are v1; expected v1 … v2"),
        ("t,q1,q2,omega\n0,1,2,3\n", r"1 columns are v \(omega\) and 2 are q \(q1, q2"),
        ("t,q0,q1,v0,v1\n0,1,2,3,4\n", "columns of q are q0, q1; expected q1 … q2"),
        ("t,q,q,v\n0,1,2,3\n", "two columns are q"),
        (
            "t,q,v,u1,u3\n0,1,2,3,4\n",
            "columns of u are u1, u3; expected u1 … u2, numbered",
        ),
        ("0,1,2\n1,1,2\n", "no column names"),
        ("t,q,v\n", "no rows of numbers"),
        ("", "no rows of numbers"),
        (
            GOOD + "#\n2,y,2\n3,x,2\n",
            r"column q has no number in 2 lines, 5, 6: in line 5 it is 'y'",
        ),
        (GOOD + "2,1,1e\n", r"column v has no number in 1 line, 4: .*'1e'"),
        ("t,q,v\n0,1,\n1,,2\n2,1,2\n", "no two lines with numbers in all of the col"),
        (GOOD + "2,1\n", r"1 line does not have 3 cells .* do, 4: line 4 has 2"),
        (GOOD + "0,5,1,2\n", "Decimals between commas are written with a point"),
        (
            GOOD + "\n0.5,1,2\n",
            r"increase at line 5: 0.5 comes after 1; sort .* column",
        ),
        (GOOD + "1,1,2\n", "increase at line 4: 1 comes after 1"),
        (
            "trajectory,t,q,v\na,0,1,2\nb,3,1,2\na,0,1,2\n",
            "of trajectory a do not increase at line 4",
        ),
        ("trajectory,t,q,v\na,0,1,2\n,1,1,2\n", "trajectory is empty in 1 line, 3"),
        ("t,q,v\n2,1,2\n1,1,2\n0,1,2\n", "do not increase at line 3"),
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
    assert found.y.q == 1


@pytest.mark.parametrize(
    ("text", "mass", "words"),
    [
        ("t,q,p\n0,1,2\n", 1.0, "the file has momenta and no velocities; leave mass"),
        (GOOD, -1.0, "mass is -1.0; expected a number > 0"),
        (GOOD, [1.0, 2.0, 3.0], "or 1 of them, one a coordinate"),
    ],
)
def test_an_invalid_mass_is_an_error(text, mass, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        data.read_trajectories(write(tmp_path, text), mass=mass)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"of an unknown kind; expected \.npz, "):
        data.read_trajectories(write(tmp_path, GOOD, "file.xlsx"))
    path = tmp_path / "latin.csv"
    path.write_bytes("t,q,v,höhe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not text in UTF-8; save it as such"):
        data.read_trajectories(path)
    with pytest.raises(FileNotFoundError):
        data.read_trajectories(tmp_path / "none.csv")


def test_an_npz_is_cut_where_motions_end(tmp_path):
    q = np.arange(15.0).reshape(3, 5, 1)
    v = 2 * q
    q[1, 3:] = np.nan
    kept = Trajectories(np.arange(5.0), TangentState(q, v), meta={"units": ["m"]})
    path = data.save_trajectories(tmp_path / "f.npz", kept)
    found = data.read_trajectories(path)
    assert [x.y.q.shape for x in found] == [(1, 5, 1), (1, 3, 1), (1, 5, 1)]
    assert [len(x.t) for x in found] == [5, 3, 5]
    np.testing.assert_array_equal(found[1].y.v, v[1:2, :3])
    assert found[1].meta == {"units": ["m"]}


def test_an_npz_may_have_times_for_each_trajectory(tmp_path):
    t = np.array([[0, 1, 2], [5, 7, 9]])
    q = np.arange(12).reshape(2, 3, 2)
    u = np.arange(6).reshape(2, 3, 1)
    np.savez(tmp_path / "f.npz", t=t, q=q, v=2 * q, u=u)
    found = data.read_trajectories(tmp_path / "f.npz", mass=3.0)
    for number, each in enumerate(found):
        np.testing.assert_array_equal(each.t, t[number])
        np.testing.assert_array_equal(each.y.q[0], q[number])
        np.testing.assert_array_equal(each.y.p[0], 6 * q[number])
        np.testing.assert_array_equal(each.u[0], u[number])
        assert each.y.p.dtype == np.float64


def test_one_trajectory_needs_no_axis_for_it(tmp_path):
    np.savez(tmp_path / "f.npz", t=np.arange(3.0), q=np.ones((3, 2)), p=np.ones((3, 2)))
    (found,) = data.read_trajectories(tmp_path / "f.npz")
    assert found.y.q.shape == (1, 3, 2)
    assert data.load_trajectories(tmp_path / "f.npz").y.q.shape == (1, 3, 2)


def with_gap(x):
    x = np.array(x, float)
    x[1, [1, 3]] = np.nan
    return x


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"q": with_gap(np.ones((2, 5, 1)))}, r"trajectory 1 has no two finite rows"),
        ({"q": np.full((2, 5, 1), np.nan)}, "trajectory 0 has no two finite rows"),
        ({"t": np.ones((2, 4))}, r"t has shape \(2, 4\) and q \(2, 5, 1\)"),
        (
            {"t": np.tile(np.arange(5.0), (2, 1)), "v": np.ones((2, 4, 1))},
            "v has shape",
        ),
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


def member(shape, contents=b"", compress=zipfile.ZIP_STORED):
    """An .npz with one array t, whose header says what it likes."""
    raw = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(raw, header)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compress) as archive:
        archive.writestr("t.npy", raw.getvalue() + contents)
        archive.writestr("q.npy", raw.getvalue() + contents)
    return packed.getvalue()


def changed(raw, place):
    """One bit of the first array's contents is another."""
    return raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]


DAMAGED = {
    "of a size that only its header has": (member((10**13,)), "is cut short: t.npy"),
    "of a changed bit": (changed(member((4,), bytes(32)), 170), "is damaged"),
    "cut short": (member((4,), bytes(32))[:-40], r"is not an \.npz"),
    "of another kind": (b"no archive", r"is not an \.npz"),
}


@pytest.mark.parametrize("case", DAMAGED)
@pytest.mark.parametrize("read", [data.read_trajectories, data.load_trajectories])
def test_a_damaged_archive_is_refused(case, read, tmp_path):
    raw, message = DAMAGED[case]
    (tmp_path / "f.npz").write_bytes(raw)
    with pytest.raises(ValueError, match=message):
        read(tmp_path / "f.npz")


def test_an_archive_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("jaxphys.devices.host_memory", lambda: 10**6)
    np.savez_compressed(tmp_path / "f.npz", t=np.zeros(10**6), q=np.zeros(10**6))
    assert (tmp_path / "f.npz").stat().st_size < 20_000
    with pytest.raises(ValueError, match=r"unpacks to 0\.016 GB; at most 0\.0005"):
        data.read_trajectories(tmp_path / "f.npz")


def test_notes_that_are_no_json_are_refused(tmp_path):
    arrays = {"t": np.arange(3.0), "q": np.ones((1, 3, 1)), "p": np.ones((1, 3, 1))}
    np.savez(tmp_path / "f.npz", **arrays, meta="[1]")
    with pytest.raises(ValueError, match="meta that is no JSON of a dict"):
        data.load_trajectories(tmp_path / "f.npz")
