"""Tables of text: a line of column names, and then a line for each time.

Any usual separator, decimal commas, comments and lines of text before the numbers, a
line of units below the names. `read_table` says which line it could not read.
"""

import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxphys.data._columns import Table
from jaxphys.data._record import first_few

__all__ = ["MISSING", "numbers", "read_table"]

#: What programs write where there is no number.
MISSING = ("", "-", "--", "na", "n/a", "nan", "null", "none", "nil", "?", "inf", "-inf")

_UNIT = r"(?<=\w)\s+([\[(][^\])]*[\])])"


class _Lines(NamedTuple):
    """The lines of a file: names and units above, and those with numbers."""

    head: str
    units: str
    lines: list[str]
    numbers: list[int]  # of the lines in the file, from 1
    delimiter: str | None  # None is white space
    commented: bool = False  # whether the names are in a comment


def read_table(path: pathlib.Path) -> Table:
    """The columns of a file, numbers where all of a column are, else text.

    Raises:
      ValueError: where the file is no table, saying which line is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8; save it as such.") from error
    found = _lines(path, text)
    rows = [_split(line, found.delimiter) for line in found.lines]
    names = _cells(found.head, found.delimiter)
    units = _cells(found.units, found.delimiter)
    if len(units) == len(names):
        bare = [unit.strip("[]() ") for unit in units]
        names = [f"{x} [{y}]" if y else x for x, y in zip(names, bare, strict=True)]
    width = len(names)
    if found.commented and names and not any(len(row) == width for row in rows):
        # Names of the states alone: columns before and after them have none.
        width = max(len(rows[0]), width)
    elif not names:
        width = len(rows[0])
    _check_cells(rows, width, found.numbers)
    columns = [np.array([row[i] for row in rows]) for i in range(width)]
    columns = [_converted(column) for column in columns]
    if 0 < len(names) < width:
        names = _aligned(names, columns)
    names = [name or str(i + 1) for i, name in enumerate(names or [""] * width)]
    return Table(names, columns, np.array(found.numbers), "line")


def _lines(path: pathlib.Path, text: str) -> _Lines:
    above: list[str] = []
    lines: list[str] = []
    places: list[int] = []
    comment = ""
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if stripped.startswith(("#", "%", "//")):
            comment = comment if lines else stripped.lstrip("#%/ ")
        elif stripped and not lines and not _is_row(stripped):
            above.append(line.strip(" \r"))
        elif stripped:
            # Tabs stay: one at an end is an empty cell.
            lines.append(line.strip(" \r"))
            places.append(number)
    if not lines:
        raise ValueError(
            f"{path} has no rows of numbers; expected one line of names, then one "
            "line for each time."
        )
    delimiter = _delimiter(lines, above)
    if not above:
        # numpy.savetxt writes the names as a comment.
        return _Lines(comment, "", lines, places, delimiter, True)
    head, units = above[-1], ""
    widths = [len(_cells(line, delimiter)) for line in above[-2:]]
    if len(above) > 1 and widths[0] == widths[1] > 1 and _is_units(head, delimiter):
        head, units = above[-2:]
    return _Lines(head, units, lines, places, delimiter)


def _is_row(line: str) -> bool:
    """Whether most of the cells of a line are numbers."""
    cells = [x.strip("\"' ") for x in re.split(r"[;,\t]|\s+", line.strip(";,\t "))]
    good = sum(_number(cell) is not None for cell in cells if cell)
    return good > 0 and 2 * good >= len([cell for cell in cells if cell])


def _is_units(line: str, delimiter: str | None) -> bool:
    cells = _cells(line, delimiter)
    unit = re.compile(r"[\[(].*[\])]|1|-|s|ms|rad|deg|m|mm|kg|N|Nm|rad/s|deg/s|m/s")
    return all(unit.fullmatch(cell) or not cell for cell in cells)


def _delimiter(lines: Sequence[str], above: Sequence[str]) -> str | None:
    first = lines[0]
    for mark in (";", "\t"):
        if mark in first:
            return mark
    # Decimal commas between blanks, or commas between cells.
    spaced = re.fullmatch(r"\s*[-+\d,.eE]+(\s+[-+\d,.eE]+)+\s*", first)
    head = above[-1] if above else ","
    if "," in first and not (spaced and "," not in head):
        return ","
    return None


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [cell.strip().strip("\"'").strip() for cell in line.split(delimiter)]


def _cells(head: str, delimiter: str | None) -> list[str]:
    """The names of a line, which a comment may divide otherwise than the rows are."""
    if not head:
        return []
    if delimiter is None or delimiter not in head:
        delimiter = next((mark for mark in ";\t," if mark in head), None)
    return _split(re.sub(_UNIT, r"\1", head) if delimiter is None else head, delimiter)


def _check_cells(rows: Sequence[list[str]], width: int, places: Sequence[int]) -> None:
    """Raise where a line has more or fewer cells than there are names."""
    wrong = [i for i, row in enumerate(rows) if len(row) != width]
    if wrong:
        lines = [places[i] for i in wrong]
        many = "lines do" if len(lines) > 1 else "line does"
        raise ValueError(
            f"{len(lines)} {many} not have {width} cells as the names do, "
            f"{first_few(lines)}: line {lines[0]} has {len(rows[wrong[0]])}. Decimals "
            "between commas are written with a point; leave a cell empty where a "
            "number is missing."
        )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _converted(column: np.ndarray) -> np.ndarray:
    """Numbers where all cells are numbers or missing, else the text as it is."""
    try:
        return column.astype(float)
    except ValueError:
        pass
    found = numbers(column)
    return column if np.any(_is_text(column, found)) else found


def numbers(column: np.ndarray) -> np.ndarray:
    """Text as numbers, NaN where it is none; commas count as decimal points.

    Example:
      >>> numbers(np.array(["0,5", "na", "1e3"]))
      array([5.e-01,     nan, 1.e+03])
    """
    plain = np.char.strip(column.astype(str))
    values = [_number(cell.replace(",", ".")) for cell in plain]
    return np.array([np.nan if x is None else x for x in values])


def _is_text(column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Where a cell is neither a number nor a mark for none."""
    return np.isnan(values) & ~np.isin(np.char.lower(column), MISSING)


def _aligned(names: Sequence[str], columns: Sequence[np.ndarray]) -> list[str]:
    """Names of every column, where a header names the states alone.

    Such a file begins with the times, or with the number of the trial and the times.
    """
    found = [""] * len(columns)
    spare = len(columns) - len(names)
    start = 0
    for i in range(min(spare, 2)):
        x = columns[i]
        if x.dtype.kind == "f" and len(x) > 1 and np.mean(np.diff(x) > 0) > 0.6:
            found[i], start = "t", i + 1
            break
    if start == 2 and columns[0].dtype.kind == "f":
        whole = np.all(columns[0] == np.round(columns[0]))
        found[0] = "trajectory" if whole else ""
    start = start or spare
    found[start : start + len(names)] = names
    return found
