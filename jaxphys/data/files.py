"""Trajectories in files: one layout to keep them in, and what users bring.

The layout is that of `save_trajectories`, plain arrays by name. `read_trajectories`
takes it too, and tables with a column for each coordinate, and says which line of a
table it could not understand.
"""

import difflib
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data.trajectories import (
    ARRAYS,
    COORDINATES,
    Trajectories,
    check_trajectories,
    first_few,
    separate,
    separate_arrays,
)


def save_trajectories(
    path: str | pathlib.Path, trajectories: Trajectories
) -> pathlib.Path:
    """Write an .npz file of trajectories, whole or not at all.

    The file holds these arrays, those that are None left out, and no pickles, so that
    `numpy.load(path)` reads them:

    | name | shape | content |
    |---|---|---|
    | `t` | (T,) | times, increasing; uneven ones are allowed |
    | `q` | (N, T, n) | positions; angles are not wrapped |
    | `p` | (N, T, n) | momenta, optional |
    | `v` | (N, T, n) | velocities, optional: q with v alone, or p alone, is enough |
    | `energy` | (N, T) | optional |
    | `dq`, `dp`, `dv` | (N, T, n) | time derivatives of q, p and v, optional |
    | `u` | (N, T, m) | inputs, each held until the next time; optional |
    | `meta` | () | a string, the JSON of a dict; optional |

    All real numbers have one dtype, float32 or float64. A trajectory that could not be
    followed to its end is NaN from there on. Files of `jaxphys simulate` have in `meta`

    | key | value |
    |---|---|
    | `system`, `options` | its name, and what its function was given |
    | `params` | its constants, by name |
    | `coordinates`, `units`, `periodic` | a name, a unit and a bool each coordinate |
    | `conservative` | whether energy should be conserved: no force, no damping |
    | `integrator`, `dt` | the method, and its time step; null where it is adaptive |
    | `rtol`, `atol` | the tolerances of an adaptive method; null for its default |
    | `seed`, `dtype` | of the initial states, and of every array |
    | `versions` | of the packages that numbers depend on |

    Of these `coordinates`, `units`, `periodic` are read where they are there; a file of
    one's own needs no `meta`.

    Args:
      path: the file; the suffix .npz is not added.
      trajectories: what to write.

    Returns:
      The path.

    Raises:
      ValueError: where shapes, dtypes or times do not fit.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "fall.npz"
      >>> t = np.linspace(0.0, 1.0, 5)
      >>> fall = Trajectories(t, -4.9 * t[None, :, None] ** 2, meta={"units": ["m"]})
      >>> load_trajectories(save_trajectories(path, fall)).q.shape
      (1, 5, 1)
    """
    path = pathlib.Path(path)
    checked = check_trajectories(trajectories)
    arrays = {name: getattr(checked, name) for name in ARRAYS}
    arrays = {name: x for name, x in arrays.items() if x is not None}
    partial = path.with_name(path.name + ".part")
    with partial.open("wb") as file:
        np.savez(file, **arrays, meta=np.array(json.dumps(dict(checked.meta))))
    partial.replace(path)
    return path


def load_trajectories(path: str | pathlib.Path) -> Trajectories:
    """Read what `save_trajectories` describes; q of shape (T, n) is one trajectory.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where it is no such file, or its arrays do not fit together.
    """
    arrays, meta = _stored(pathlib.Path(path))
    return check_trajectories(Trajectories(**arrays, meta=meta))


def _stored(path: pathlib.Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays of an .npz, with an axis of trajectories, and its meta."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not an .npz file of plain arrays.") from error
    if isinstance(stored, np.ndarray):
        raise ValueError(f"{path} holds one array; expected an .npz with t and q.")
    with stored:
        missing = {"t", "q"} - set(stored.files)
        if missing:
            raise ValueError(
                f"{path} has no {' and no '.join(sorted(missing))}; it holds "
                f"{', '.join(stored.files) or 'nothing'}. Expected t of shape (T,) and "
                f"q of shape (N, T, n).{_nearest(missing, stored.files)}"
            )
        found: dict[str, Any] = {x: stored[x] for x in ARRAYS if x in stored.files}
        meta = json.loads(str(stored["meta"])) if "meta" in stored.files else {}
    if found["q"].ndim == 2:
        found |= {name: x[None] for name, x in found.items() if name != "t"}
    return found, meta


def _nearest(missing: Iterable[str], found: Sequence[str]) -> str:
    """Which of the names found may be meant by those missing, for people."""
    words = {"t": ("time", "times", "t"), "q": ("position", "angle", "x", "q")}
    lower = {name.strip().lower(): name for name in found}
    hints = []
    for name in sorted(missing):
        for word in words.get(name, (name,)):
            near = difflib.get_close_matches(word, lower, n=1, cutoff=0.5)
            if near:
                hints.append(f" Is {lower[near[0]]!r} meant as {name!r}? Rename it.")
                break
    return "".join(hints)


_TABLES = (".csv", ".tsv", ".txt", ".dat")


def read_trajectories(
    path: str | pathlib.Path,
    *,
    mass: float | Sequence[float] | np.ndarray | None = None,
) -> list[Trajectories]:
    """Read trajectories of one's own, each with its own times: .npz, or a table.

    An .npz has the layout of `save_trajectories`, and t may also be of shape (N, T),
    times for each trajectory. Rows at the end of a trajectory that are not finite are
    cut off.

    A table (.csv, .tsv, .txt, .dat) has a line of column names, and then a line for
    each time; names and numbers are divided by commas, semicolons, tabs or spaces.
    Lines that begin with # are comments. The case of names does not matter:

    | column | content |
    |---|---|
    | `t` or `time` | times, increasing in each trajectory |
    | `q`, or `q1` … `qn` | positions, angles in radians; `q_1` is the same as `q1` |
    | `p…`, `v…` | momenta and velocities, one of them needed, named alike |
    | `dq…`, `dp…`, `dv…` | time derivatives, optional |
    | `u`, or `u1` … `um` | inputs, each held until the next time; optional |
    | `energy` | optional |
    | `trajectory` | a number or a name, the same for all rows of one; optional |

    Args:
      path: the file.
      mass: for files with velocities and no momenta, p = m v: one number, or one for
        each coordinate. Without it p stays unknown.

    Returns:
      One entry a trajectory, N = 1, in the order of the file; they may differ in
      length. In `meta` is what the .npz has there, or the name in the column
      `trajectory`.

    Raises:
      FileNotFoundError: where there is no such file.
      ValueError: where it cannot be understood, saying which line or row is wrong.

    Example:
      >>> import tempfile
      >>> path = pathlib.Path(tempfile.mkdtemp()) / "fall.csv"
      >>> _ = path.write_text("time, q, v\\n0.0, 0.0, 0.0\\n0.1, -0.049, -0.98\\n")
      >>> (fall,) = read_trajectories(path, mass=2.0)
      >>> fall.p[0, :, 0]
      array([ 0.  , -1.96])
    """
    path = pathlib.Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npz", *_TABLES):
        raise ValueError(
            f"{path} is of an unknown kind; expected .npz, or a table in "
            f"{', '.join(_TABLES)}."
        )
    try:
        found = _read_npz(path) if suffix == ".npz" else _read_table(path)
        return [_with_momenta(each, mass) for each in found]
    except ValueError as error:
        text = str(error)
        raise ValueError(text if str(path) in text else f"{path}: {text}") from error


def _read_npz(path: pathlib.Path) -> list[Trajectories]:
    arrays, meta = _stored(path)
    # Whole numbers and half precision are fine in a file of one's own.
    arrays = {
        name: x.astype(float) if x.dtype.kind in "iu" or x.dtype == np.float16 else x
        for name, x in arrays.items()
    }
    t, q = arrays["t"], arrays["q"]
    if t.ndim == 1:
        return separate(Trajectories(**arrays, meta=meta))
    if q.ndim != 3 or t.shape != q.shape[:2]:
        raise ValueError(
            f"t has shape {t.shape} and q {q.shape}; expected t of shape (T,), or (N, "
            "T) where each trajectory has its own times, and q of shape (N, T, n)."
        )
    for name, x in arrays.items():
        expected = q.shape if name in COORDINATES else t.shape
        if name == "u":
            expected = (*t.shape, *x.shape[2:][:1])
        if x.shape != expected:
            raise ValueError(f"{name} has shape {x.shape}; expected {expected}.")
    return separate_arrays(arrays, meta)


def _with_momenta(each: Trajectories, mass: Any) -> Trajectories:
    if each.p is None and each.v is None:
        raise ValueError(
            "there are positions alone; expected q with momenta p, or q with "
            "velocities v."
        )
    if mass is None:
        return each
    n = each.q.shape[2]
    m = np.asarray(mass, each.q.dtype)
    if m.shape not in ((), (1,), (n,)) or not np.all(np.isfinite(m) & (m > 0)):
        raise ValueError(
            f"mass is {mass}; expected a number > 0, or {n} of them, one a coordinate."
        )
    if each.v is None:
        raise ValueError(
            "mass makes momenta of velocities, and the file has momenta and no "
            "velocities; leave mass out."
        )
    if each.p is not None:
        return each
    dp = m * each.dv if each.dp is None and each.dv is not None else each.dp
    return each._replace(p=m * each.v, dp=dp)


class _Table(NamedTuple):
    """A table as text: cells are divided by `delimiter`, None for white space."""

    header: list[str]
    delimiter: str | None
    lines: list[str]
    numbers: list[int]  # of the lines in the file, from 1


_COLUMN = re.compile(r"(d?[qpv]|u)_?(\d*)")
_NO_NUMBER = -1
_UNDERSTOOD = (
    "t (or time), q or q1 … qn, p…, v…, dq…, dp…, dv… alike, u or u1 … um, energy, "
    "trajectory"
)


def _read_table(path: pathlib.Path) -> list[Trajectories]:
    table = _lines(path)
    columns = _columns(table.header)
    _check_cells(table)
    labels = None
    if "trajectory" in columns:
        labels = _text(table, columns.pop("trajectory")[0])
    order = [index for indices in columns.values() for index in indices]
    values = _numbers(table, order)
    ends = np.cumsum([len(indices) for indices in columns.values()])
    arrays = dict(zip(columns, np.split(values, ends[:-1], axis=1), strict=True))
    groups = [(None, np.arange(len(values)))] if labels is None else _groups(labels)
    return [_trajectory(arrays, rows, label, table) for label, rows in groups]


def _trajectory(
    arrays: dict[str, np.ndarray], rows: np.ndarray, label: str | None, table: _Table
) -> Trajectories:
    found: dict[str, Any] = {name: x[rows][None] for name, x in arrays.items()}
    t = found.pop("t")[0, :, 0]
    late = np.flatnonzero(~(np.diff(t) > 0))
    if len(late):
        line = table.numbers[int(rows[late[0] + 1])]
        where = "" if label is None else f" of trajectory {label}"
        remedy = (
            "sort the lines by time, and if there are several motions, tell them "
            "apart by a column trajectory"
            if label is None
            else "sort its lines by time, and drop repeated ones"
        )
        raise ValueError(
            f"the times{where} do not increase at line {line}: {t[late[0] + 1]:g} "
            f"comes after {t[late[0]]:g}; {remedy}."
        )
    if "energy" in found:
        found["energy"] = found["energy"][..., 0]
    meta = {} if label is None else {"trajectory": label}
    return check_trajectories(Trajectories(t, **found, meta=meta))


def _groups(labels: np.ndarray) -> list[tuple[str, np.ndarray]]:
    """(label, rows) of each trajectory, in the order in which they first appear."""
    names, first, which = np.unique(labels, return_index=True, return_inverse=True)
    rows = np.split(
        np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1]
    )
    return [(str(names[i]), rows[i]) for i in np.argsort(first)]


def _lines(path: pathlib.Path) -> _Table:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8; save it as such.") from error
    lines: list[str] = []
    numbers: list[int] = []
    comment = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = comment if lines else stripped.lstrip("# ")
        elif stripped:
            # A tab at an end is an empty cell.
            lines.append(line.strip(" \r"))
            numbers.append(number)
    if lines and _is_numbers(lines[0]) and comment:
        # numpy.savetxt writes the names as a comment.
        head = comment
    elif lines:
        head, lines, numbers = lines[0], lines[1:], numbers[1:]
    if not lines or _is_numbers(head):
        raise ValueError(
            f"{path} has no {'column names' if lines else 'rows of numbers'}; expected "
            f"one line of names, then one line for each time. Names: {_UNDERSTOOD}."
        )
    delimiter = next((mark for mark in ";\t," if mark in head), None)
    cells = head.split(delimiter)
    header = [cell.strip().strip("\"'").strip().lower() for cell in cells]
    return _Table(header, delimiter, lines, numbers)


def _is_numbers(line: str) -> bool:
    try:
        [float(cell) for cell in re.split(r"[;,\s]+", line.strip(";,"))]
    except ValueError:
        return False
    return True


def _columns(header: list[str]) -> dict[str, list[int]]:
    """Which columns each array is of, in the order of their numbers."""
    shown = f"The columns are {', '.join(header)}; understood are {_UNDERSTOOD}."
    named: dict[str, dict[int, int]] = {}
    unknown = []
    for index, cell in enumerate(header):
        name, number = {"time": "t"}.get(cell, cell), _NO_NUMBER
        if match := _COLUMN.fullmatch(cell):
            name, number = match[1], int(match[2] or _NO_NUMBER)
        elif not cell:
            continue  # the row numbers that some programs write
        elif name not in ("t", "energy", "trajectory"):
            unknown.append(cell)
            continue
        if number in named.setdefault(name, {}):
            raise ValueError(f"two columns are {cell}; rename one. {shown}")
        named[name][number] = index
    missing = {"t", "q"} - set(named)
    if missing:
        raise ValueError(
            f"there is no column {' and no column '.join(sorted(missing))}. {shown}"
            f"{_nearest(missing, unknown)}"
        )
    if not {"p", "v"} & set(named):
        raise ValueError(
            f"q needs momenta p beside it, or velocities v. {shown}"
            f"{_nearest(('p', 'v'), unknown)}"
        )
    _check_numbering(named, shown)
    if unknown:
        warnings.warn(
            f"left out the columns {', '.join(unknown)}, which are not understood; "
            f"understood are {_UNDERSTOOD}.",
            UserWarning,
            stacklevel=4,
        )
    return {k: [by[i] for i in sorted(by)] for k, by in named.items()}


def _check_numbering(named: dict[str, dict[int, int]], shown: str) -> None:
    n = len(named["q"])
    inputs = sorted(named.get("u", ()))
    if inputs not in ([], [_NO_NUMBER], [*range(1, len(inputs) + 1)]):
        got = ", ".join("u" + str(i) * (i != _NO_NUMBER) for i in inputs)
        raise ValueError(
            f"the columns of u are {got}; expected u, or u1, u2 … without a gap. "
            f"{shown}"
        )
    for name in COORDINATES:
        if name not in named:
            continue
        numbers = sorted(named[name])
        if numbers not in ([*range(1, n + 1)], [_NO_NUMBER] if n == 1 else []):
            got = ", ".join(name + str(i) * (i != _NO_NUMBER) for i in numbers)
            expected = f"{name}1 … {name}{n}" if n > 1 else f"{name} or {name}1"
            raise ValueError(
                f"the columns of {name} are {got}; expected {expected}, as there are "
                f"{n} of q. {shown}"
            )


def _check_cells(table: _Table) -> None:
    """Raise where a line has more or fewer cells than the header."""
    width, mark = len(table.header), table.delimiter
    if mark is None:
        counts = np.array([len(line.split()) for line in table.lines])
    else:
        counts = np.array([line.count(mark) + 1 for line in table.lines])
    wrong = np.flatnonzero(counts != width)
    if len(wrong):
        lines = [table.numbers[i] for i in wrong]
        raise ValueError(
            f"{len(lines)} lines do not have {width} cells as the names do, lines "
            f"{first_few(lines)}: line {lines[0]} has {counts[wrong[0]]}. Decimals "
            "are written with a point, and a missing number leaves its line out."
        )


def _cells(table: _Table, index: int) -> list[str]:
    return [
        line.split(table.delimiter)[index].strip().strip("\"'").strip()
        for line in table.lines
    ]


def _text(table: _Table, index: int) -> np.ndarray:
    labels = np.array(_cells(table, index))
    empty = np.flatnonzero(labels == "")
    if len(empty):
        lines = [table.numbers[i] for i in empty]
        raise ValueError(
            f"the column trajectory is empty in {len(lines)} lines, "
            f"{first_few(lines)}; name the trajectory of every line."
        )
    return labels


def _numbers(table: _Table, columns: list[int]) -> np.ndarray:
    """The cells of these columns, (rows, columns)."""
    try:
        values = np.loadtxt(
            table.lines,
            delimiter=table.delimiter,
            usecols=columns,
            ndmin=2,
            comments=None,
            quotechar='"',
        )
    except ValueError:
        # Cell by cell, to see where.
        cells = zip(*(_cells(table, index) for index in columns), strict=True)
        values = np.array([[_number(cell) for cell in row] for row in cells])
    bad = np.argwhere(~np.isfinite(values).T)
    if len(bad):
        column = columns[bad[0, 0]]
        rows = bad[bad[:, 0] == bad[0, 0], 1]
        lines = [table.numbers[row] for row in rows]
        cell = table.lines[rows[0]].split(table.delimiter)[column].strip()
        raise ValueError(
            f"the column {table.header[column]} has no finite number in {len(lines)} "
            f"lines, {first_few(lines)}: in line {lines[0]} it is {cell!r}. "
            + (
                "Write decimals with a point."
                if re.fullmatch(r"[+-]?\d*,\d+", cell)
                else "Repair these lines or leave them out."
            )
        )
    return values


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return np.nan
