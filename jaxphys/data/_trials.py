"""From columns to trajectories: trials told apart, and divided where numbers miss.

A trial ends where its label changes, or where time goes back to about its start. Rows
without a number end a piece of it, and the next begins after them.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from jaxphys.data._columns import Roles, Table, find_roles, unit_factor, without_unit
from jaxphys.data._layout import Stored
from jaxphys.data._record import first_few, runs, window_within
from jaxphys.data._tables import MISSING, numbers
from jaxphys.data.smoothing import derivatives, suggest_window

__all__ = ["divided", "with_velocities"]

#: Time is reset where it goes back to within this part of a trial from its start.
_RESET = 0.1

#: Fewer rows than these between two gaps are no trajectory.
_LEAST = 2


def divided(table: Table, asked: Mapping[str, str] | None, level: int) -> list[Stored]:
    """The trajectories of a table, N = 1 each.

    Args:
      table: columns by name.
      asked: which is which; see `find_roles`.
      level: how many calls above this one a warning is for.

    Raises:
      ValueError: where columns or times do not fit, saying in which rows.
    """
    roles = find_roles(table.names, asked)
    if roles.unknown:
        warnings.warn(
            f"left out the columns {', '.join(roles.unknown)}, which are not "
            "understood; say what they are by columns, such as "
            f"{roles.unknown[0]}:u, or {roles.unknown[0]}:- to leave one out.",
            UserWarning,
            stacklevel=level + 1,
        )
    labels = None
    if "trajectory" in roles.columns:
        labels = _labels(table, roles.columns["trajectory"][0])
    arrays = {
        role: np.stack([_values(table, i, role, roles) for i in indices], axis=1)
        for role, indices in roles.columns.items()
        if role != "trajectory"
    }
    trials = _trials(arrays["t"][:, 0], labels, table)
    meta = _meta(table, roles)
    pieces, gaps = [], []
    needed = [x for role, x in arrays.items() if role != "energy"]
    good = np.all(np.isfinite(np.concatenate(needed, axis=1)), axis=1)
    for label, rows in trials:
        own = meta if label is None else meta | {"trajectory": label}
        gaps += [table.places[i] for i in rows[~good[rows]]]
        pieces += [(own, piece) for piece in _pieces(rows, good)]
    if not pieces:
        raise ValueError(
            f"no two {table.word}s with numbers in all of the columns "
            f"{', '.join(table.names[i] for x in roles.columns.values() for i in x)} "
            "follow one another; leave out a column that is empty by NAME:-."
        )
    if gaps:
        warnings.warn(
            f"numbers are missing in {_rows(table, gaps)}; "
            "trajectories are divided there.",
            UserWarning,
            stacklevel=level + 1,
        )
    return [_stored(arrays, rows, own) for own, rows in pieces]


def _rows(table: Table, places: Sequence[int] | np.ndarray) -> str:
    """How many rows, and which."""
    many = "" if len(places) == 1 else "s"
    return f"{len(places)} {table.word}{many}, {first_few(places)}"


def _stored(
    arrays: Mapping[str, np.ndarray], rows: np.ndarray, meta: Mapping[str, Any]
) -> Stored:
    found: dict[str, Any] = {role: x[rows][None] for role, x in arrays.items()}
    found["t"] = found["t"][0, :, 0]
    if "energy" in found:
        found["energy"] = found["energy"][..., 0]
    return Stored(found, dict(meta))


def _labels(table: Table, index: int) -> np.ndarray:
    column = table.columns[index]
    if column.dtype.kind == "f":
        missing = ~np.isfinite(column)
        labels = np.array([f"{x:.12g}" for x in column])
    else:
        labels = np.char.strip(column.astype(str))
        missing = labels == ""
    if np.any(missing):
        places = table.places[missing]
        raise ValueError(
            f"the column {table.names[index]} is empty in {_rows(table, places)}; "
            f"name the trajectory of every {table.word}."
        )
    return labels


def _values(table: Table, index: int, role: str, roles: Roles) -> np.ndarray:
    """A column as numbers, in radians and seconds."""
    column, name = table.columns[index], table.names[index]
    if column.dtype.kind == "M":
        column = _seconds(column)
    elif column.dtype.kind in "iub":
        column = column.astype(float)
    elif column.dtype.kind != "f":
        column = _parsed(table, column.astype(str), name, role)
    _, factor = unit_factor(role, roles.units.get(index, ""))
    return np.asarray(column, float) * factor


def _parsed(table: Table, text: np.ndarray, name: str, role: str) -> np.ndarray:
    values = numbers(text)
    bad = np.isnan(values) & ~np.isin(np.char.lower(np.char.strip(text)), MISSING)
    if role == "t" and np.all(bad):
        try:
            return _seconds(text.astype("datetime64[ns]"))
        except ValueError:
            pass
    if np.any(bad):
        places = table.places[bad]
        raise ValueError(
            f"the column {name} has no number in {_rows(table, places)}: "
            f"in {table.word} {places[0]} it is "
            f"{str(text[bad][0])!r}. Repair these {table.word}s, leave the cells "
            "empty, or leave the column out."
        )
    return values


def _seconds(times: np.ndarray) -> np.ndarray:
    """Points in time as seconds from the first."""
    known = times[~np.isnat(times)]
    seconds = (times - known[:1]) / np.timedelta64(1, "s")
    return np.where(np.isnat(times), np.nan, seconds)


def _meta(table: Table, roles: Roles) -> dict[str, Any]:
    """Names, units and angles of the coordinates, and which column is what."""
    meta: dict[str, Any] = {}
    places = roles.columns["q"]
    units = [unit_factor("q", roles.units.get(i, ""))[0] for i in places]
    if roles.guessed or roles.units:
        meta["coordinates"] = [_label(table.names[i]) for i in places]
        meta["columns"] = _said(table, roles)
    if all(units):
        meta["units"] = units
    if any(roles.angles):
        meta["periodic"] = list(roles.angles)
    return meta


def _said(table: Table, roles: Roles) -> str:
    """In words, which column is what, and what is done with units."""
    said = {}
    for role, indices in roles.columns.items():
        for number, i in enumerate(indices, 1):
            new, factor = unit_factor(role, roles.units.get(i, ""))
            name = role if len(indices) == 1 else f"{role}{number}"
            changed = "" if factor == 1 else f" in {new}, times {factor:.6g}"
            if table.names[i].lower() != name:
                said[i] = f"{table.names[i]} is {name}{changed}"
    return ", ".join(said[i] for i in sorted(said))


_LETTERS = {"theta": r"\theta", "phi": r"\varphi", "psi": r"\psi", "θ": r"\theta"}


def _label(name: str) -> str:
    """A name in mathtext, without its unit."""
    bare = without_unit(name)
    word = bare.rstrip("0123456789").rstrip("_ ")
    number = bare[len(bare.rstrip("0123456789")) :]
    letter = word if len(word) == 1 and word.isalpha() else None
    letter = _LETTERS.get(word.lower(), letter) or (
        rf"\mathrm{{{''.join(c for c in word if c.isalnum()) or 'q'}}}"
    )
    return letter + (f"_{{{number}}}" if number else "")


def _trials(
    t: np.ndarray, labels: np.ndarray | None, table: Table
) -> list[tuple[str | None, np.ndarray]]:
    """(label, rows) of each trial."""
    if labels is None:
        return [(None, rows) for rows in _resets(t, np.arange(len(t)), table)]
    names, first, which = np.unique(labels, return_index=True, return_inverse=True)
    found: list[tuple[str | None, np.ndarray]] = []
    for i in np.argsort(first):
        rows = np.flatnonzero(which == i)
        for number, part in enumerate(_resets(t, rows, table, str(names[i]))):
            name = str(names[i]) if number == 0 else f"{names[i]}.{number + 1}"
            found.append((name, part))
    return found


def _resets(
    t: np.ndarray, rows: np.ndarray, table: Table, label: str = ""
) -> list[np.ndarray]:
    """Rows of one trial, divided where time starts again."""
    rows = rows[np.isfinite(t[rows])]
    if not len(rows):
        return []
    back = np.flatnonzero(~(np.diff(t[rows]) > 0)) + 1
    starts = [0]
    for i in back.tolist():
        first, last, now = t[rows[starts[-1]]], t[rows[i - 1]], t[rows[i]]
        reset = now < last and now - first <= _RESET * (last - first)
        if not reset or i - starts[-1] < _LEAST:
            _unordered(table, rows, i, t, label)
        starts.append(i)
    return np.split(rows, starts[1:])


def _unordered(
    table: Table, rows: np.ndarray, i: int, t: np.ndarray, label: str
) -> None:
    """Raise where times are repeated, or not in order."""
    where = f" of trajectory {label}" if label else ""
    place = table.places[rows[i]]
    raise ValueError(
        f"the times{where} do not increase at {table.word} {place}: {t[rows[i]]:g} "
        f"comes after {t[rows[i - 1]]:g}; sort the {table.word}s by time and drop "
        "repeated ones; if there are several motions, add a column trajectory that "
        f"says which each {table.word} is of."
    )


def _pieces(rows: np.ndarray, good: np.ndarray) -> list[np.ndarray]:
    """The rows between gaps."""
    keep = good[rows]
    if keep.all():
        return [rows]
    return [rows[x] for x in runs(keep) if x.stop - x.start >= _LEAST]


def with_velocities(
    found: Sequence[Stored], level: int, word: Callable[[], str] = lambda: "the data"
) -> list[Stored]:
    """The same with velocities, derivatives of q, where there are positions alone.

    Raises:
      ValueError: where no trajectory has enough times.
    """
    if not found or {"p", "v"} & set(found[0].arrays):
        return list(found)
    long = [each for each in found if len(each.arrays["t"]) >= 3]
    if not long:
        raise ValueError(
            "there are positions q alone, of fewer than three times; expected momenta "
            "p or velocities v too."
        )
    windows = [suggest_window(x.arrays["t"], x.arrays["q"]) or 0 for x in long]
    window = sorted(windows)[len(windows) // 2]
    how = f"smoothed over {window} times" if window else "not smoothed"
    warnings.warn(
        f"{word()} have positions q alone; velocities are their derivatives, {how}.",
        UserWarning,
        stacklevel=level + 1,
    )
    return [_derived(each, window) for each in long]


def _derived(stored: Stored, window: int) -> Stored:
    t, q = stored.arrays["t"], stored.arrays["q"]
    v = derivatives(t, q, window=window_within(len(t), window))
    return Stored(stored.arrays | {"v": v}, {**stored.meta, "derived": ["v"]})
