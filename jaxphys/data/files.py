"""Trajectories in files: one layout to keep them in, and the files that users have.

The layout is that of `save_trajectories`, plain arrays by name. `read_trajectories`
takes it too, and files as laboratories have them; `trajectories_from` takes what is in
memory.
"""

import contextlib
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxphys.checks import check_path, checked
from jaxphys.data._angles import unwrapped_files
from jaxphys.data._columns import Table, find_roles
from jaxphys.data._layout import ARRAYS, Stored, nearest, store, trajectories_of
from jaxphys.data._record import check_shapes, check_trajectories, pieces_of_rows
from jaxphys.data._sources import KINDS, arrays_in, numpy_file, table_or_stored
from jaxphys.data._tables import read_table
from jaxphys.data._trials import divided, with_velocities
from jaxphys.files import replacing
from jaxphys.types import PhaseState, TangentState, Trajectories

__all__ = [
    "load_trajectories",
    "read_inputs",
    "read_trajectories",
    "save_trajectories",
    "trajectories_from",
]


@checked(path=check_path)
def save_trajectories(
    path: str | pathlib.Path, trajectories: Trajectories
) -> pathlib.Path:
    """Write an .npz file of trajectories; an interrupted write leaves no file.

    The file has these arrays, without those that are not known, and no pickles, so that
    `numpy.load(path)` reads them:

    | name | shape | content |
    |---|---|---|
    | `t` | (T,) | times, increasing; uneven steps are allowed |
    | `q` | (N, T, n) | positions; angles are not wrapped |
    | `p` | (N, T, n) | momenta, of `PhaseState` |
    | `v` | (N, T, n) | velocities, of `TangentState`; of `PhaseState` the same as dq |
    | `dq`, `dp`, `dv` | (N, T, n) | rates: time derivatives of q, and of p or v |
    | `u` | (N, T, m) | inputs, each held until the next time |
    | `energy` | (N, T) | |
    | `meta` | () | a string, the JSON of a dict |

    Needed are t and q, with p or v. All real numbers have one dtype, float32 or
    float64. A trajectory that could not be followed to its end is NaN from there on.
    Files of `jaxphys simulate` have in `meta`

    | key | value |
    |---|---|
    | `system`, `options` | its name, and the arguments of its function |
    | `params` | its constants, by name |
    | `coordinates`, `units`, `periodic` | a name, a unit and a bool a coordinate |
    | `conservative` | whether energy should be conserved: no force, no damping |
    | `integrator`, `dt` | the method, and its time step; null where it is adaptive |
    | `rtol`, `atol` | the tolerances of an adaptive method; null for its default |
    | `seed`, `dtype` | of the initial states, and of every array |
    | `versions` | of the packages that the numbers depend on |

    Of these only `coordinates`, `units` and `periodic` are read, where they are there,
    and `points`, which `collocated` adds; a file of your own needs no `meta`.

    Args:
      path: the file; the suffix .npz is not added.
      trajectories: what to write.

    Returns:
      The path.

    Raises:
      ValueError: on shapes, dtypes or times that do not fit.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "fall.npz"
      >>> t = np.linspace(0.0, 1.0, 5)[None, :, None]
      >>> y = TangentState(-4.9 * t**2, -9.8 * t)
      >>> fall = Trajectories(t[0, :, 0], y, meta={"units": ["m"]})
      >>> load_trajectories(save_trajectories(path, fall)).y.v.shape
      (1, 5, 1)
    """
    path = pathlib.Path(path)
    arrays, meta = store(check_trajectories(trajectories))
    with replacing(path) as file:
        np.savez(file, **arrays, meta=np.array(json.dumps(dict(meta))))
    return path


@checked(path=check_path)
def load_trajectories(
    path: str | pathlib.Path,
    state: type[PhaseState] | type[TangentState] | None = None,
) -> Trajectories:
    """Read a file of the layout that `save_trajectories` describes.

    Args:
      path: an .npz file. Arrays without an axis of trajectories, such as q of shape
        (T, n), are one trajectory.
      state: `PhaseState` for q and p, `TangentState` for q and v; None for q and p
        where the file has p, else for q and v.

    Returns:
      All trajectories of the file, with rates where it has those of both parts of the
      state; v counts as dq where there is no dq.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where the file does not have this layout or this kind of state.
    """
    path = pathlib.Path(path)
    with _errors_name(path):
        return check_trajectories(trajectories_of(_stored(path), state, None))


@contextlib.contextmanager
def _errors_name(path: pathlib.Path) -> Iterator[None]:
    """Put the path into every ValueError that does not have it."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from error


def _meta(path: pathlib.Path, written: np.ndarray) -> dict[str, Any]:
    """The notes of a file, which anybody may have written."""
    try:
        meta = json.loads(str(written))
    except ValueError:
        meta = None
    if not isinstance(meta, dict):
        raise ValueError(
            f"{path} has a meta that is no JSON of a dict; leave meta out of the file."
        )
    return meta


def _stored(path: pathlib.Path) -> Stored:
    """The known arrays of an .npz, with an axis of trajectories, and its meta."""
    file = numpy_file(path)
    if isinstance(file, np.ndarray):
        raise ValueError(f"{path} holds one array; expected an .npz with t and q.")
    missing = {"t", "q"} - set(file)
    if missing:
        raise ValueError(
            f"{path} has no {' and no '.join(sorted(missing))}; it holds "
            f"{', '.join(file) or 'nothing'}. Expected t of shape (T,) and "
            f"q of shape (N, T, n).{nearest(missing, list(file))}"
        )
    arrays: dict[str, Any] = {x: file[x] for x in ARRAYS if x in file}
    meta = _meta(path, file["meta"]) if "meta" in file else {}
    if arrays["q"].ndim == 2:
        arrays |= {name: x[None] for name, x in arrays.items() if name != "t"}
    return Stored(arrays, meta)


_TABLES = (".csv", ".tsv", ".txt", ".dat")

#: How many calls lie between a user's and the warnings in `_of_source`.
_LEVEL = 3

_States = type[PhaseState] | type[TangentState] | None
_Mass = float | Sequence[float] | np.ndarray | None


def read_trajectories(
    path: str | pathlib.Path,
    *,
    columns: Mapping[str, str] | None = None,
    state: _States = None,
    mass: _Mass = None,
    periodic: bool | Sequence[bool] | None = None,
) -> list[Trajectories]:
    """Read your own trajectories, each with its own times, from a file as it is.

    A table (.csv, .tsv, .txt, .dat) has a line of column names, and then a line for
    each time. Cells are separated by commas, semicolons, tabs or blanks; lines that
    begin with #, % or // are comments, and the last of them has the names where no
    other line does. Arrays by name are read from .npz, .mat (by SciPy) and .parquet
    (by pandas), one array of columns from .npy. The case of names does not matter:

    | role | name | other names that are understood |
    |---|---|---|
    | times, increasing | `t` | `time`, `timestamp`, `seconds` |
    | positions | `q`, `q1` … `qn` | `theta`, `phi`, `angle`, `x`, `y`, `pos` |
    | velocities | `v`, `v1` … `vn` | `omega`, `vel`, `theta_dot`, `dtheta`, `vx` |
    | momenta | `p`, `p1` … `pn` | `momentum`, `px` |
    | rates, optional | `dq…`, `dp…`, `dv…` | `acceleration`, `alpha`, `theta_ddot` |
    | inputs, optional | `u`, `u1` … `um` | `tau`, `torque`, `force` |
    | energy, optional | `energy` | |
    | which trajectory | `trajectory` | `trial`, `run`, `episode` |

    Angles are in radians, and inputs are held until the next time. An angle that was
    kept within one turn is unwrapped where it jumps, and a warning says so.
    Units such as in `theta [deg]`, `omega (rad/s)` or `time_ms` are kept as labels;
    degrees become radians and milliseconds seconds. Trajectories are told apart by
    their column, and where time goes back to about its start. They are divided where
    numbers are missing. Without momenta and velocities the velocities are derivatives
    of the positions, smoothed where these are noisy; `meta["derived"]` says so.

    An .npz file may also have the layout of `save_trajectories`; its t may be of shape
    (N, T), with times for each trajectory.

    Args:
      path: the file.
      columns: name → role, of columns that have another name; numbers from 1 are names
        where there are none. The role - leaves a column out.
      state: `PhaseState` for q and p, `TangentState` for q and v; None for q and p
        where there are momenta, in the file or by the mass, else for q and v.
      mass: for files with velocities and no momenta, p = m v: one number, or one for
        each coordinate.
      periodic: which coordinates are angles, one bool for all or one for each; False
        leaves one as it is. By default those with the name or the unit of an angle,
        and those that jump by whole turns.

    Returns:
      A list in the order of the file, one trajectory (N = 1) in each entry, which may
      differ in length and have uneven steps. They have rates where the file has those
      of both parts of the state; v counts as dq where there is no dq. In `meta` is what
      the .npz file has there; or the name in the column `trajectory`, and where other
      names were understood or columns have units, `columns`, which says what is what,
      `coordinates`, `units` and `periodic`; and `unwrapped`, how often each coordinate
      jumped.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where the file cannot be read, saying which line or row is wrong, or
        does not have this kind of state.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "fall.csv"
      >>> _ = path.write_text("time, q, v\\n0.0, 0.0, 0.0\\n0.1, -0.049, -0.98\\n")
      >>> (fall,) = read_trajectories(path)
      >>> fall.y.v[0, :, 0]
      array([ 0.  , -0.98])
      >>> (fall,) = read_trajectories(path, mass=2.0)
      >>> fall.y.p[0, :, 0]
      array([ 0.  , -1.96])
    """
    check_path("path", path)
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in (*KINDS, *_TABLES):
        raise ValueError(
            f"{path} is of an unknown kind; expected {', '.join(KINDS)}, or a table in "
            f"{', '.join(_TABLES)}."
        )
    with _errors_name(path):
        if suffix in _TABLES:
            source: Any = read_table(path)
        else:
            source = arrays_in(path)
        if suffix == ".npz" and columns is None and {"t", "q"} <= set(source):
            source = _stored(path)
        return _of_source(source, columns, state, mass, periodic)


@checked(path=check_path)
def read_inputs(
    path: str | pathlib.Path, columns: Mapping[str, str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Times (T,) and inputs (T, m) of a table, without any motion.

    Args:
      path: the file, with columns t and u, or u1 … um, or usual other names.
      columns: name → role, as in `read_trajectories`.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where a column is missing, a number is not finite, or times do not
        increase.
    """
    path = pathlib.Path(path)
    with _errors_name(path):
        if path.suffix.lower() not in _TABLES:
            raise ValueError(f"expected a table in {', '.join(_TABLES)}.")
        table = read_table(path)
        roles = find_roles(table.names, columns, ("t", "u"))
        (t,), u = (
            [np.asarray(table.columns[i], float) for i in roles.columns[role]]
            for role in ("t", "u")
        )
        inputs = np.stack(u, axis=1)
        if not (np.all(np.isfinite(inputs)) and np.all(np.diff(t) > 0)):
            raise ValueError("expected increasing times t, and inputs u in all rows.")
        return t, inputs


def trajectories_from(
    source: Any,
    *,
    columns: Mapping[str, str] | None = None,
    state: _States = None,
    mass: _Mass = None,
    periodic: bool | Sequence[bool] | None = None,
) -> list[Trajectories]:
    """The same as `read_trajectories`, of data that are in memory.

    Args:
      source: a DataFrame; a dict of arrays by name, each (T,), (T, n) or (N, T, n); or
        an array (T, columns), whose columns are named by their numbers from 1.
      columns, state, mass, periodic: as in `read_trajectories`.

    Raises:
      TypeError: for a source of another kind.
      ValueError: where columns, shapes or times do not fit.

    Example:
      >>> t = np.linspace(0.0, 1.0, 5)
      >>> fall = {"seconds": t, "height": -4.9 * t**2, "velocity": -9.8 * t}
      >>> (found,) = trajectories_from(fall, columns={"height": "q"})
      >>> found.y.v[0, 1:, 0]
      array([-2.45, -4.9 , -7.35, -9.8 ])
      >>> found.meta["columns"]
      'seconds is t, height is q, velocity is v'
    """
    return _of_source(source, columns, state, mass, periodic)


def _of_source(
    source: Any,
    columns: Mapping[str, str] | None,
    state: _States,
    mass: _Mass,
    periodic: bool | Sequence[bool] | None,
) -> list[Trajectories]:
    found = source
    if not isinstance(source, (Stored, Table)):
        found = table_or_stored(source, columns)
        if isinstance(found, Table) and isinstance(source, Mapping):
            # Arrays of several columns have their roles already.
            columns = {k: x for k, x in (columns or {}).items() if k in found.names}
    if isinstance(found, Table):
        files = divided(found, columns, _LEVEL)
    else:
        files = [_real(found)]
    files = unwrapped_files(files, periodic, _LEVEL)
    if not {"p", "v"} & set(files[0].arrays) and files[0].arrays["t"].ndim == 1:
        files = with_velocities(files, _LEVEL)
    separated = [_separated(trajectories_of(each, state, mass)) for each in files]
    return [one for several in separated for one in several]


def _real(stored: Stored) -> Stored:
    """The same in float64 where it has whole numbers or half precision."""
    arrays = {
        name: x.astype(float) if x.dtype.kind in "iu" or x.dtype == np.float16 else x
        for name, x in stored.arrays.items()
    }
    return stored._replace(arrays=arrays)


def _separated(found: Trajectories) -> list[Trajectories]:
    """Each trajectory alone, divided where it has gaps, also where t is (N, T)."""
    t, q = found.t, found.y.q
    if t.ndim == 1:
        found = check_trajectories(found)
        t = np.broadcast_to(t, q.shape[:2])
    if q.ndim != 3 or t.shape != q.shape[:2]:
        raise ValueError(
            f"t has shape {t.shape} and q {q.shape}; expected t of shape (T,), or (N, "
            "T) where each trajectory has its own times, and q of shape (N, T, n)."
        )
    check_shapes(found, q.shape[1])
    return pieces_of_rows(found, t)
