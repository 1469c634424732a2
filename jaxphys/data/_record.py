"""What the modules of `jaxphys.data` share: `Trajectories` checked, named and mapped.

In messages and in files the arrays of a motion have short names: q, p and v for its
states, dq, dp and dv for their rates.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from jaxphys.types import PhaseState, TangentState, Trajectories

__all__ = [
    "check_kind",
    "check_shapes",
    "check_times",
    "check_trajectories",
    "first_few",
    "has_velocities",
    "listed",
    "map_arrays",
    "named_arrays",
    "one_finite",
    "pieces_of_rows",
    "runs",
    "series",
    "velocities_derived",
    "velocity_of",
    "window_within",
]


def named_arrays(trajectories: Trajectories) -> dict[str, Any]:
    """Every array but t by its short name; u and energy where they are there.

    Example:
      >>> x = np.zeros((1, 3, 2))
      >>> still = Trajectories(np.arange(3.0), TangentState(x, x), TangentState(x, x))
      >>> list(named_arrays(still))
      ['q', 'v', 'dq', 'dv']
    """
    y, rate = trajectories.y, trajectories.rate
    found: dict[str, Any] = y._asdict()
    if rate is not None:
        found |= {f"d{name}": x for name, x in rate._asdict().items()}
    others = {"u": trajectories.u, "energy": trajectories.energy}
    return found | {name: x for name, x in others.items() if x is not None}


def map_arrays(
    function: Callable[[np.ndarray], np.ndarray], trajectories: Trajectories
) -> Trajectories:
    """The function of every array but t: those that have an axis of trajectories."""
    _, y, rate, u, energy, _ = trajectories
    y, rate, u, energy = jax.tree.map(function, (y, rate, u, energy))
    return trajectories._replace(y=y, rate=rate, u=u, energy=energy)


def check_kind(name: str, value: Trajectories) -> None:
    """Raise a TypeError where a value is not `Trajectories`, for `checked`."""
    if not isinstance(value, Trajectories):
        raise TypeError(
            f"{name} is a {type(value).__name__}; expected Trajectories(t, y)."
        )


def check_trajectories(trajectories: Trajectories) -> Trajectories:
    """The same with NumPy arrays, or an error that says what does not fit.

    Raises:
      ValueError: where y is not a state, where rate is of another class than y, and on
        shapes, dtypes and times that do not fit.

    Example:
      >>> y = PhaseState(np.zeros((1, 4, 2)), np.zeros((1, 4, 2)))
      >>> check_trajectories(Trajectories(np.arange(3.0), y))
      Traceback (most recent call last):
      ...
      ValueError: q has shape (1, 4, 2); expected (N, 3, n), as there are 3 times.
    """
    _check_kinds(trajectories)
    t = np.asarray(trajectories.t)
    found = map_arrays(np.asarray, trajectories)._replace(t=t)
    check_times(t)
    check_shapes(found, len(t))
    return found


def _check_kinds(trajectories: Trajectories) -> None:
    if not isinstance(trajectories, Trajectories):
        raise TypeError(
            f"got a {type(trajectories).__name__}; expected Trajectories(t, y)."
        )
    y, rate = trajectories.y, trajectories.rate
    if not isinstance(y, (PhaseState, TangentState)):
        raise ValueError(
            f"y is of type {type(y).__name__}; expected PhaseState(q, p) or "
            "TangentState(q, v) of arrays (N, T, n)."
        )
    if rate is not None and type(rate) is not type(y):
        raise ValueError(
            f"rate is of type {type(rate).__name__}; expected {type(y).__name__}, as y "
            "is, or None where it is not known."
        )
    missing = [name for name, x in named_arrays(trajectories).items() if x is None]
    if missing:
        raise ValueError(
            f"{missing[0]} is None; expected an array (N, T, n). A state has both "
            "positions and momenta or velocities; a rate that is not known in full is "
            "rate=None."
        )


def check_times(t: np.ndarray) -> None:
    """Raise a ValueError where these are not increasing times, (T,)."""
    _check_real("t", t)
    if t.ndim != 1 or not len(t) or not np.all(np.diff(t) > 0):
        raise ValueError(
            f"t has shape {t.shape}; expected increasing times, (T,). Sort them, and "
            "drop repeated ones."
        )


def check_shapes(trajectories: Trajectories, times: int) -> None:
    """Raise a ValueError where an array does not fit q, or this number of times."""
    q = trajectories.y.q
    arrays = named_arrays(trajectories)
    for name, x in arrays.items():
        _check_real(name, x)
    if q.ndim != 3 or q.shape[1] != times:
        raise ValueError(
            f"q has shape {q.shape}; expected (N, {times}, n), as there are {times} "
            "times."
        )
    others = {"energy": q.shape[:2]}
    if (u := trajectories.u) is not None:
        others["u"] = (*q.shape[:2], u.shape[2] if u.ndim == 3 else 1)
    for name, x in arrays.items():
        expected = others.get(name, q.shape)
        if x.shape != expected:
            raise ValueError(
                f"{name} has shape {x.shape}; expected {expected}, as q has {q.shape}."
            )


def _check_real(name: str, x: np.ndarray) -> None:
    if not np.issubdtype(x.dtype, np.floating):
        raise ValueError(f"{name} has dtype {x.dtype}; expected real numbers.")


def one_finite(whole: Trajectories, number: int) -> Trajectories:
    """One of the trajectories up to its last finite row, as N = 1.

    Raises:
      ValueError: where it has other rows before its end, or no finite one.
    """
    t, one = whole.t, map_arrays(operator.itemgetter(number), whole)
    good = _finite_rows(one, t)
    if not good.any():
        raise ValueError(
            f"trajectory {number} has no finite row; leave this trajectory out."
        )
    end = int(np.flatnonzero(good)[-1]) + 1
    gaps = np.flatnonzero(~good[:end])
    if len(gaps):
        raise ValueError(
            f"trajectory {number} is not finite in {len(gaps)} rows, {first_few(gaps)}"
            " (counted from 0), and goes on after them; drop these rows with their "
            "times, or divide the trajectory there."
        )
    return _rows(one, t, slice(end))


def _rows(one: Trajectories, t: np.ndarray, rows: slice) -> Trajectories:
    """Some rows of one trajectory with these times, as N = 1."""
    check_times(t[rows])
    return map_arrays(operator.itemgetter((None, rows)), one)._replace(t=t[rows])


def runs(good: np.ndarray) -> list[slice]:
    """Where a row of bools is true without a break, one slice each.

    Example:
      >>> runs(np.array([True, True, False, True]))
      [slice(0, 2, None), slice(3, 4, None)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
    return [slice(*pair) for pair in edges.reshape(-1, 2).tolist()]


def pieces_of_rows(whole: Trajectories, times: np.ndarray) -> list[Trajectories]:
    """Each trajectory on its own, divided where rows are not finite.

    Raises:
      ValueError: where a trajectory has no two finite rows that follow one another.
    """
    found = []
    for number, t in enumerate(times):
        one = map_arrays(operator.itemgetter(number), whole)
        least = min(len(t), 2)
        parts = [x for x in runs(_finite_rows(one, t)) if x.stop - x.start >= least]
        if not parts:
            raise ValueError(
                f"trajectory {number} has no two finite rows in succession; leave this "
                "trajectory out."
            )
        found += [_rows(one, t, rows) for rows in parts]
    return found


def _finite_rows(one: Trajectories, t: np.ndarray) -> np.ndarray:
    """Where the time and every array but the energy are finite, (T,)."""
    good = np.isfinite(t)
    for name, x in named_arrays(one).items():
        if name != "energy":
            good = good & np.all(np.isfinite(x), axis=1)
    return good


def listed(name: str, trajectories: Sequence[Trajectories]) -> list[Trajectories]:
    """The same, checked: a list of motions of one system, in one kind of state.

    Example:
      >>> y = PhaseState(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)))
      >>> listed("split", Trajectories(np.arange(3.0), y))
      Traceback (most recent call last):
      ...
      ValueError: split got one Trajectories; expected a list of them: put it in \
brackets.
    """
    if isinstance(trajectories, Trajectories):
        raise ValueError(
            f"{name} got one Trajectories; expected a list of them: put it in brackets."
        )
    if not isinstance(trajectories, Sequence) or isinstance(trajectories, str):
        raise TypeError(
            f"{name} got a {type(trajectories).__name__}; expected a list of "
            "Trajectories."
        )
    found = [check_trajectories(each) for each in trajectories]
    if not found:
        raise ValueError(f"{name} got an empty list; expected Trajectories in it.")
    sizes = sorted({each.y.q.shape[2] for each in found})
    if len(sizes) > 1:
        raise ValueError(
            f"{name} got trajectories of {' and '.join(map(str, sizes))} coordinates; "
            "expected motions of one system."
        )
    kinds = sorted({type(each.y).__name__ for each in found})
    if len(kinds) > 1:
        raise ValueError(
            f"{name} got trajectories of {' and '.join(kinds)}; expected one of the "
            "two."
        )
    return found


def first_few(numbers: Sequence[int] | np.ndarray, most: int = 5) -> str:
    """The first of many numbers as text.

    Example:
      >>> first_few(range(3, 20))
      '3, 4, 5, 6, 7 …'
    """
    shown = ", ".join(str(int(number)) for number in numbers[:most])
    return shown + (" …" if len(numbers) > most else "")


def series(
    name: str, t: Any, x: Any, least: int
) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    """(t, x) in double precision, which differences need, and the dtype of x."""
    t, x = np.asarray(t), np.asarray(x)
    if t.ndim == 1 and len(t) < least:
        raise ValueError(
            f"{name} got {len(t)} time{'s' * (len(t) != 1)}; expected at least {least} "
            "increasing times, (T,). Measure more, or leave this motion out."
        )
    if t.ndim != 1 or not np.all(np.diff(t) > 0):
        raise ValueError(
            f"{name} got t of shape {t.shape}; expected at least {least} increasing "
            "times, (T,). Sort them, and drop repeated ones."
        )
    if x.ndim < 2 or x.shape[-2] != len(t):
        raise ValueError(
            f"{name} got x of shape {x.shape}; expected (..., {len(t)}, n), as there "
            f"are {len(t)} times. For one coordinate give x[:, None]."
        )
    finite = np.isfinite(x).all(axis=tuple({*range(x.ndim)} - {x.ndim - 2}))
    if not finite.all():
        raise ValueError(
            f"{name} got x that is not finite at times number "
            f"{first_few(np.flatnonzero(~finite))}; drop the end of motions that could "
            "not be followed with jaxphys.data.separate."
        )
    dtype = x.dtype if np.issubdtype(x.dtype, np.floating) else np.dtype(float)
    return t.astype(float), x.astype(float), dtype


def window_within(times: int, window: int | None) -> int | None:
    """A smoothing window, made narrower where there are fewer times; None below 5."""
    width = min(window or 0, times - (1 - times % 2))
    return width if width >= 5 else None


def velocities_derived(each: Trajectories) -> bool:
    """Whether velocities are derivatives of the positions, and no measurements."""
    return "v" in each.meta.get("derived", ())


def has_velocities(each: Trajectories) -> bool:
    """Whether the state has velocities, and these were measured."""
    return type(each.y) is TangentState and not velocities_derived(each)


def velocity_of(each: Trajectories) -> np.ndarray | None:
    """(N, T, n), of the state or of its rate, where they were measured."""
    if velocities_derived(each):
        return None
    if isinstance(each.y, TangentState):
        return each.y.v
    return None if each.rate is None else each.rate.q
