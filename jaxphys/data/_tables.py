"""Tables of trajectories: text with a line of column names, then a line for each time.

`read_table` finds the columns of each array in any order and with any usual separator,
and says which line it could not read.
"""

import pathlib
import re
import warnings
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data._layout import COORDINATES, Stored, nearest
from jaxphys.data._record import first_few

__all__ = ["read_table"]


class _Table(NamedTuple):
    """A table as text; the delimiter None is white space."""

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


def read_table(path: pathlib.Path) -> list[Stored]:
    """The trajectories of a table: those of the column `trajectory`, or one.

    Raises:
      ValueError: where the table cannot be read, saying which line is wrong.
    """
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
) -> Stored:
    found: dict[str, Any] = {name: x[rows][None] for name, x in arrays.items()}
    found["t"] = t = found["t"][0, :, 0]
    late = np.flatnonzero(~(np.diff(t) > 0))
    if len(late):
        line = table.numbers[int(rows[late[0] + 1])]
        where = "" if label is None else f" of trajectory {label}"
        remedy = (
            "sort the lines by time; if there are several motions, add a column "
            "trajectory that says which each line is of"
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
    return Stored(found, meta)


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
        raise ValueError(f"{path} is not text in UTF-8; save it as such.") from error
    lines: list[str] = []
    numbers: list[int] = []
    comment = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comment = comment if lines else stripped.lstrip("# ")
        elif stripped:
            # Tabs stay: one at an end is an empty cell.
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
    """The columns of each array, in the order of their numbers."""
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
            f"{nearest(missing, unknown)}"
        )
    if not {"p", "v"} & set(named):
        raise ValueError(
            "there are positions q alone; expected momenta p or velocities v too. "
            f"{shown}"
            f"{nearest(('p', 'v'), unknown)}"
        )
    _check_numbering(named, shown)
    if unknown:
        warnings.warn(
            f"left out the columns {', '.join(unknown)}, which are not understood; "
            f"understood are {_UNDERSTOOD}.",
            UserWarning,
            stacklevel=4,  # who called read_trajectories
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
            "are written with a point; leave out lines where a number is missing."
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
        # Read each cell alone to find the ones that are no numbers.
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
