"""Trajectories in files: one layout to keep them in, and the files that users have.

The layout is that of `save_trajectories`, plain arrays by name. `read_trajectories`
takes it too, and tables with a column for each coordinate.
"""

import contextlib
import json
import pathlib
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxphys.data._layout import ARRAYS, Stored, nearest, store, trajectories_of
from jaxphys.data._record import check_shapes, check_trajectories, separate_rows
from jaxphys.data._tables import read_table
from jaxphys.data.trajectories import separate
from jaxphys.types import PhaseState, TangentState, Trajectories

__all__ = ["load_trajectories", "read_trajectories", "save_trajectories"]


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

    Of these only `coordinates`, `units` and `periodic` are read, where they are there;
    a file of your own needs no `meta`.

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
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays, meta=np.array(json.dumps(dict(meta))))
    partial.replace(path)
    return path


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


def _stored(path: pathlib.Path) -> Stored:
    """The known arrays of an .npz, with an axis of trajectories, and its meta."""
    try:
        file = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an .npz file of plain arrays.") from error
    if isinstance(file, np.ndarray):
        raise ValueError(f"{path} holds one array; expected an .npz with t and q.")
    with file:
        missing = {"t", "q"} - set(file.files)
        if missing:
            raise ValueError(
                f"{path} has no {' and no '.join(sorted(missing))}; it holds "
                f"{', '.join(file.files) or 'nothing'}. Expected t of shape (T,) and "
                f"q of shape (N, T, n).{nearest(missing, file.files)}"
            )
        arrays: dict[str, Any] = {x: file[x] for x in ARRAYS if x in file.files}
        meta = json.loads(str(file["meta"])) if "meta" in file.files else {}
    if arrays["q"].ndim == 2:
        arrays |= {name: x[None] for name, x in arrays.items() if name != "t"}
    return Stored(arrays, meta)


_TABLES = (".csv", ".tsv", ".txt", ".dat")


def read_trajectories(
    path: str | pathlib.Path,
    *,
    state: type[PhaseState] | type[TangentState] | None = None,
    mass: float | Sequence[float] | np.ndarray | None = None,
) -> list[Trajectories]:
    """Read your own trajectories, each with its own times: an .npz file, or a table.

    An .npz file has the layout of `save_trajectories`; its t may also be of shape
    (N, T), with times for each trajectory. Rows at the end of a trajectory that are not
    finite are dropped.

    A table (.csv, .tsv, .txt, .dat) has a line of column names, and then a line for
    each time; names and numbers are separated by commas, semicolons, tabs or spaces.
    Lines that begin with # are comments. The case of names does not matter:

    | column | content |
    |---|---|
    | `t` or `time` | times, increasing in each trajectory |
    | `q`, or `q1` … `qn` | positions, angles in radians; `q_1` is the same as `q1` |
    | `p…`, `v…` | momenta, velocities: one of the two is needed, numbered as q is |
    | `dq…`, `dp…`, `dv…` | time derivatives, optional |
    | `u`, or `u1` … `um` | inputs, each held until the next time; optional |
    | `energy` | optional |
    | `trajectory` | a number or a name, the same in all rows of one; optional |

    Args:
      path: the file.
      state: `PhaseState` for q and p, `TangentState` for q and v; None for q and p
        where there are momenta, in the file or by the mass, else for q and v.
      mass: for files with velocities and no momenta, p = m v: one number, or one for
        each coordinate.

    Returns:
      A list in the order of the file, one trajectory (N = 1) in each entry, which may
      differ in length. They have rates where the file has those of both parts of the
      state; v counts as dq where there is no dq. In `meta` is what the .npz file has
      there, or the name in the column `trajectory`.

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
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npz", *_TABLES):
        raise ValueError(
            f"{path} is of an unknown kind; expected .npz, or a table in "
            f"{', '.join(_TABLES)}."
        )
    with _errors_name(path):
        files = [_real(_stored(path))] if suffix == ".npz" else read_table(path)
        found = [_separated(trajectories_of(each, state, mass)) for each in files]
    return [one for several in found for one in several]


def _real(stored: Stored) -> Stored:
    """The same in float64 where it has whole numbers or half precision."""
    arrays = {
        name: x.astype(float) if x.dtype.kind in "iu" or x.dtype == np.float16 else x
        for name, x in stored.arrays.items()
    }
    return stored._replace(arrays=arrays)


def _separated(found: Trajectories) -> list[Trajectories]:
    """`separate`, also where t is (N, T), times for each trajectory."""
    t, q = found.t, found.y.q
    if t.ndim == 1:
        return separate(found)
    if q.ndim != 3 or t.shape != q.shape[:2]:
        raise ValueError(
            f"t has shape {t.shape} and q {q.shape}; expected t of shape (T,), or (N, "
            "T) where each trajectory has its own times, and q of shape (N, T, n)."
        )
    check_shapes(found, q.shape[1])
    return separate_rows(found, t)
