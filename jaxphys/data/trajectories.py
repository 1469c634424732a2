"""Motions of one system: their record, what must fit in it, and what they conserve.

Simulated or measured, motions that have their times in common are one `Trajectories`;
motions with times of their own are a list of them.
"""

import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

#: The arrays of `Trajectories`, and what of them belongs to each coordinate.
ARRAYS = ("t", "q", "p", "v", "energy", "dq", "dp", "dv", "u")
COORDINATES = ("q", "p", "v", "dq", "dp", "dv")


class Trajectories(NamedTuple):
    """Motions of one system, all at the same times.

    Attributes:
      t: times, increasing, shape (T,); they need not be even.
      q: positions, shape (N, T, n): N trajectories, n coordinates.
      p: momenta, shape (N, T, n), or None where they are not known.
      v: velocities, shape (N, T, n), or None where they are not known.
      energy: shape (N, T), or None.
      meta: what else is known, as JSON has it: numbers, strings, lists and dicts. See
        `save_trajectories` for the keys.
      dq, dp, dv: time derivatives of q, p and v, each of shape (N, T, n), or None.
      u: inputs, shape (N, T, m), each held until the next time; or None.
    """

    t: np.ndarray
    q: np.ndarray
    p: np.ndarray | None = None
    v: np.ndarray | None = None
    energy: np.ndarray | None = None
    meta: Mapping[str, Any] = MappingProxyType({})
    dq: np.ndarray | None = None
    dp: np.ndarray | None = None
    dv: np.ndarray | None = None
    u: np.ndarray | None = None


def check_trajectories(trajectories: Trajectories) -> Trajectories:
    """The same, as NumPy arrays, or a ValueError that says what does not fit.

    Example:
      >>> check_trajectories(Trajectories(np.arange(3.0), np.zeros((1, 4, 2))))
      Traceback (most recent call last):
      ...
      ValueError: q has shape (1, 4, 2); expected (N, 3, n), as there are 3 times.
    """
    arrays: dict[str, Any] = {
        name: np.asarray(x)
        for name in ARRAYS
        if (x := getattr(trajectories, name)) is not None
    }
    t, q = arrays["t"], arrays["q"]
    for name, x in arrays.items():
        if not np.issubdtype(x.dtype, np.floating):
            raise ValueError(f"{name} has dtype {x.dtype}; expected real numbers.")
    if t.ndim != 1 or not len(t) or not np.all(np.diff(t) > 0):
        raise ValueError(
            f"t has shape {t.shape}; expected increasing times, (T,). Sort them, and "
            "drop repeated ones."
        )
    if q.ndim != 3 or q.shape[1] != len(t):
        raise ValueError(
            f"q has shape {q.shape}; expected (N, {len(t)}, n), as there are {len(t)} "
            "times."
        )
    for name in ARRAYS[2:]:
        expected = q.shape[:2] if name == "energy" else q.shape
        if name == "u" and name in arrays:
            expected = (*q.shape[:2], *arrays[name].shape[2:][:1])
        if name in arrays and arrays[name].shape != expected:
            raise ValueError(
                f"{name} has shape {arrays[name].shape}; expected {expected}, as q has "
                f"{q.shape}."
            )
    return trajectories._replace(**arrays)


def cast(trajectories: Sequence[Trajectories], dtype) -> list[Trajectories]:
    """The same trajectories in another precision."""

    def one(each: Trajectories) -> Trajectories:
        arrays: dict[str, Any] = {
            name: np.asarray(x, dtype)
            for name in ARRAYS
            if (x := getattr(each, name)) is not None
        }
        return each._replace(**arrays)

    return [one(each) for each in trajectories]


def separate(trajectories: Trajectories) -> list[Trajectories]:
    """Each trajectory on its own, N = 1, cut off where it could not be followed.

    The rows at the end that are not finite go; energies may be so anywhere.

    Raises:
      ValueError: where a trajectory has such rows before its end, or nothing else.

    Example:
      >>> q = np.array([[0.0, 1.0, 2.0], [5.0, 6.0, np.nan]])[:, :, None]
      >>> [len(each.t) for each in separate(Trajectories(np.arange(3.0), q))]
      [3, 2]
    """
    whole = check_trajectories(trajectories)
    fields = whole._asdict()
    meta = fields.pop("meta")
    times = np.broadcast_to(fields.pop("t"), whole.q.shape[:2])
    known = {"t": times} | {name: x for name, x in fields.items() if x is not None}
    return separate_arrays(known, meta)


def separate_arrays(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> list[Trajectories]:
    """`separate`, of arrays by name, where t has a row a trajectory, (N, T)."""
    return [
        _cut({name: x[number] for name, x in arrays.items()}, number, meta)
        for number in range(len(arrays["q"]))
    ]


def _cut(
    rows: Mapping[str, np.ndarray], number: int, meta: Mapping[str, Any]
) -> Trajectories:
    good = np.isfinite(rows["t"])
    for name in (*COORDINATES, "u"):
        if name in rows:
            good = good & np.all(np.isfinite(rows[name]), axis=1)
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
    kept = {name: x[:end] for name, x in rows.items()}
    t = kept.pop("t")
    stacked: dict[str, Any] = {name: x[None] for name, x in kept.items()}
    return check_trajectories(Trajectories(t, **stacked, meta=meta))


def first_few(numbers: Sequence[int] | np.ndarray, most: int = 5) -> str:
    """The first numbers of many, for people.

    Example:
      >>> first_few(range(3, 20))
      '3, 4, 5, 6, 7 …'
    """
    shown = ", ".join(str(int(number)) for number in numbers[:most])
    return shown + (" …" if len(numbers) > most else "")


def listed(name: str, trajectories: Sequence[Trajectories]) -> list[Trajectories]:
    """The same, checked, or a ValueError where it is no list of one system's motions.

    Example:
      >>> listed("split", Trajectories(np.arange(3.0), np.zeros((1, 3, 2))))
      Traceback (most recent call last):
      ...
      ValueError: split got one Trajectories; expected a list of them: put it in \
brackets.
    """
    if isinstance(trajectories, Trajectories):
        raise ValueError(
            f"{name} got one Trajectories; expected a list of them: put it in brackets."
        )
    found = [check_trajectories(each) for each in trajectories]
    if not found:
        raise ValueError(f"{name} got an empty list; expected Trajectories in it.")
    sizes = sorted({each.q.shape[2] for each in found})
    if len(sizes) > 1:
        raise ValueError(
            f"{name} got trajectories of {' and '.join(map(str, sizes))} coordinates; "
            "expected motions of one system."
        )
    return found


#: What no angle in radians does: it spans more than `_SPAN`, in steps above `_JUMP`.
_SPAN, _JUMP = 100.0, 0.5


def check_angles(
    trajectories: Sequence[Trajectories], periodic: Sequence[bool]
) -> None:
    """Warn where angles look like degrees: a UserWarning, one a coordinate.

    That is where a trajectory of a periodic coordinate spans more than 100, sixteen
    turns if these were radians, and moves by more than 0.5 between two of its times.
    A fast wheel seen at few times does so too; then the warning means nothing.

    Args:
      trajectories: a list.
      periodic: one bool a coordinate, True where q is an angle.

    Raises:
      ValueError: where there is not one bool a coordinate.

    Example:
      >>> q = np.linspace(0.0, 90.0, 50)[None, :, None]
      >>> check_angles([Trajectories(np.arange(50.0), q)], (True,))
    """
    found = listed("check_angles", trajectories)
    n = found[0].q.shape[2]
    if len(periodic) != n:
        raise ValueError(
            f"periodic has {len(periodic)} entries; expected {n}, one a coordinate."
        )
    for index in np.flatnonzero(periodic):
        for each in found:
            angle = each.q[:, :, index]
            turns = _widest(angle) > _SPAN
            if np.any(turns & (_widest(np.diff(angle), of_zero=True) > _JUMP)):
                warnings.warn(
                    f"coordinate {index} is periodic and spans "
                    f"{float(np.max(_widest(angle))):.0f}, which looks like degrees: "
                    "convert q and its velocities with numpy.deg2rad, and momenta by "
                    "the inverse factor.",
                    UserWarning,
                    stacklevel=2,
                )
                break


def _widest(x: np.ndarray, *, of_zero: bool = False) -> np.ndarray:
    """Range of each row, or its largest magnitude; NaN and empty rows have none."""
    known = np.where(np.isfinite(x), x, np.nan if not of_zero else 0.0)
    if of_zero:
        return np.max(np.abs(known), axis=1, initial=0.0)
    low = np.min(known, axis=1, initial=np.inf, where=np.isfinite(x))
    high = np.max(known, axis=1, initial=-np.inf, where=np.isfinite(x))
    return np.where(high >= low, high - low, 0.0)


def energy_scale(trajectories: Trajectories) -> np.ndarray:
    """What an error in energy is measured by, (N, 1): |E(0)|, if that is not zero.

    Where it is below a thousandth of the median of |p·v|/2, the kinetic energy of
    common systems, that takes its place: zero is where the potential says it is.

    Raises:
      ValueError: where the energy is not known.
    """
    energy, p, v = trajectories.energy, trajectories.p, trajectories.v
    if energy is None:
        raise ValueError("these trajectories have no energy.")
    scale = np.abs(energy[:, :1])
    if p is not None and v is not None:
        kinetic = np.abs(np.sum(p * v, axis=2)) / 2
        known = [row[np.isfinite(row)] for row in kinetic]
        usual = np.array([[np.median(row) if len(row) else 0] for row in known])
        usual = usual.astype(scale.dtype)
        scale = np.where(scale > 1e-3 * usual, scale, usual)
    return np.where(scale > 0, scale, np.ones_like(scale))


def energy_error(trajectories: Trajectories) -> np.ndarray:
    """|E(t) − E(0)| over `energy_scale`, shape (N, T): how well energy is conserved.

    Raises:
      ValueError: where the energy is not known.

    Example:
      >>> t, q = np.arange(2.0), np.zeros((1, 2, 1))
      >>> energy_error(Trajectories(t, q, energy=np.array([[2.0, 2.5]])))
      array([[0.  , 0.25]])
    """
    scale = energy_scale(trajectories)
    energy = trajectories.energy
    assert energy is not None
    # A start without a finite energy, as of bodies in one place, leaves NaN.
    with np.errstate(invalid="ignore"):
        return np.abs(energy - energy[:, :1]) / scale
