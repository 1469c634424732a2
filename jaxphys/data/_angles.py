"""Angles that were kept within one turn, made continuous.

A jump is by a whole turn where this is nearer to what the velocities say, or without
velocities, where the step is then the smaller. Data are unwrapped when they are read;
what follows motions over time looks once more at those that were not read.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data._layout import Stored
from jaxphys.data._record import listed, velocities_derived, velocity_of
from jaxphys.data.smoothing import derivatives, suggest_window
from jaxphys.types import TangentState, Trajectories

__all__ = [
    "check_one_each",
    "continuous",
    "coordinate_names",
    "is_seen_to",
    "jumps_in_words",
    "jumps_of",
    "unwrapped",
    "unwrapped_files",
]

_TURN = 2 * np.pi

#: Units in which an angle is kept.
_ANGULAR = ("", "rad")


class _Track(NamedTuple):
    """Times (T,) or (N, T), positions (N, T, n), and velocities or None."""

    t: np.ndarray
    q: np.ndarray
    v: np.ndarray | None


def unwrapped(
    trajectories: Sequence[Trajectories], periodic: Sequence[bool] | None = None
) -> tuple[list[Trajectories], list[int]]:
    """Angles that were kept within one turn made continuous.

    A jump is by a whole turn where this is nearer to what the velocities say, or
    without velocities, where the step is then the smaller. Coordinates that leave one
    turn are left alone, and so are those that are not known to be angles, unless they
    jump by nearly a whole turn and have no other unit than radians.

    Args:
      trajectories: of one system.
      periodic: which coordinates are angles; None where that is not known. False
        leaves a coordinate as it is.

    Returns:
      The trajectories, and how many jumps there were in each coordinate. Their `meta`
      says which are angles, `periodic`, and how often these jumped, `unwrapped`.

    Raises:
      ValueError: where there are none, or they are not of one system.

    Example:
      >>> angle = np.linspace(0.0, 20.0, 100)[None, :, None]
      >>> y = TangentState(np.angle(np.exp(1j * angle)), np.full_like(angle, 2.0))
      >>> (found,), jumps = unwrapped([Trajectories(np.linspace(0.0, 10.0, 100), y)])
      >>> jumps, bool(np.allclose(found.y.q, angle))
      ([3], True)
    """
    found = listed("unwrapped", trajectories)
    n = found[0].y.q.shape[2]
    known: list[Any] = _known(found[0].meta, n)
    if periodic is not None:
        known = check_one_each(periodic, n)
        found = [x._replace(meta=_meta_as_asked(x.meta, known)) for x in found]
    tracks = [_Track(x.t, x.y.q, velocity_of(x)) for x in found]
    shifts, jumps = _whole_turns(tracks, known)
    if any(jumps):
        found = [_shifted(x, s, jumps) for x, s in zip(found, shifts, strict=True)]
    return found, jumps


def unwrapped_files(
    files: Sequence[Stored], periodic: bool | Sequence[bool] | None, level: int
) -> list[Stored]:
    """The same of what a file has, before velocities are derived from its positions.

    Args:
      files: what was read together.
      periodic: which coordinates are angles, one bool for all of them, or None.
      level: how many calls above this one a warning is for.

    Raises:
      ValueError: where there is not one bool for each coordinate.
    """
    n = files[0].arrays["q"].shape[-1]
    if periodic is None:
        if is_seen_to(files[0].meta, n):
            return list(files)
        known: list[Any] = _known(files[0].meta, n)
    else:
        every = [periodic] * n if isinstance(periodic, bool) else periodic
        known = check_one_each(every, n)
        files = [x._replace(meta=_meta_as_asked(x.meta, known)) for x in files]
    if not all(_fits(x.arrays) for x in files):
        return list(files)
    tracks = [_Track(x["t"], x["q"], x.get("v", x.get("dq"))) for x, _ in files]
    shifts, jumps = _whole_turns(tracks, known)
    if not any(jumps):
        return list(files)
    said = " and ".join(jumps_in_words(jumps))
    warnings.warn(
        f"{said} and is unwrapped, so that it goes on past half a turn; "
        "periodic=False reads it as it is, --periodic False on the command line.",
        UserWarning,
        stacklevel=level + 1,
    )
    return [
        Stored(x.arrays | {"q": x.arrays["q"] - shift}, _meta_with(x.meta, jumps))
        for x, shift in zip(files, shifts, strict=True)
    ]


def continuous(name: str, trajectories: Sequence[Trajectories]) -> list[Trajectories]:
    """The same for a function that follows them, with a warning if angles are wrapped.

    Those that were read with angles left as they are stay so.

    Args:
      name: of the function, whose caller the warning is for.
      trajectories: of one system.

    Raises:
      ValueError: where there are none, or they are not of one system.
    """
    given = listed(name, trajectories)
    n = given[0].y.q.shape[2]
    if all(is_seen_to(each.meta, n) for each in given):
        return given
    found, jumps = unwrapped(given)
    if any(jumps):
        said = " and ".join(jumps_in_words(jumps))
        warnings.warn(
            f"{said}, which {name} unwraps, as it follows motions over time; "
            "unwrap them once by jaxphys.data.unwrapped, whose measurements are then "
            "those that are followed.",
            UserWarning,
            stacklevel=3,
        )
    return found


def is_seen_to(meta: Mapping[str, Any], n: int) -> bool:
    """Whether angles were unwrapped already, or were to be left as they are."""
    jumps = meta.get("unwrapped")
    return (
        isinstance(jumps, list)
        and len(jumps) == n
        and all(isinstance(x, int) for x in jumps)
    )


def jumps_of(trajectories: Sequence[Trajectories]) -> list[int]:
    """How often each coordinate jumped before it was unwrapped, by `meta`."""
    n = trajectories[0].y.q.shape[2]
    return np.max([_jumps(x.meta, n) for x in trajectories], axis=0).tolist()


def _jumps(meta: Mapping[str, Any], n: int) -> list[int]:
    """How often each coordinate jumped, as far as it is known."""
    return meta["unwrapped"] if is_seen_to(meta, n) else [0] * n


def coordinate_names(n: int, field: str) -> list[str]:
    """Names of the columns of an array: q, or q1 … qn.

    Example:
      >>> coordinate_names(1, "q"), coordinate_names(2, "v")
      (['q'], ['v1', 'v2'])
    """
    return [field] if n == 1 else [f"{field}{i + 1}" for i in range(n)]


def jumps_in_words(jumps: Sequence[int]) -> list[str]:
    """Which coordinates jump, and how often.

    Example:
      >>> jumps_in_words([0, 2])
      ['q2 jumps by whole turns 2 times']
    """
    names = coordinate_names(len(jumps), "q")
    return [
        f"{name} jumps by whole turns {count} time{'s' * (count > 1)}"
        for name, count in zip(names, jumps, strict=True)
        if count
    ]


def check_one_each(periodic: Sequence[bool], n: int) -> list[bool]:
    """One bool for each coordinate, as they were given; a ValueError for others."""
    if len(periodic) != n:
        raise ValueError(
            f"periodic has {len(periodic)} entries; the data have {n} coordinates."
        )
    return list(map(bool, periodic))


def _known(meta: Mapping[str, Any], n: int) -> list[bool | None]:
    """False of coordinates whose unit is not that of an angle, else None."""
    units = meta.get("units")
    if not isinstance(units, list) or len(units) != n:
        return [None] * n
    return [None if unit in _ANGULAR else False for unit in units]


def _fits(arrays: Mapping[str, Any]) -> bool:
    """Whether shapes are as they should be; what is wrong is told later."""
    t, q = arrays["t"], arrays["q"]
    v = arrays.get("v", arrays.get("dq"))
    if q.ndim != 3 or not q.size or (v is not None and v.shape != q.shape):
        return False
    real = all(x.dtype.kind == "f" for x in (t, q, *(() if v is None else (v,))))
    return real and t.shape in (q.shape[1:2], q.shape[:2])


def _whole_turns(
    tracks: Sequence[_Track], known: Sequence[bool | None]
) -> tuple[list[np.ndarray], list[int]]:
    """What to take off each q, of its shape or 0; the jumps of each coordinate."""
    shifts = [np.zeros((1, 1, 1), each.q.dtype) for each in tracks]
    jumps = [0] * len(known)
    for i, is_angle in enumerate(known):
        if is_angle is False:
            continue
        turns = [_turns(each, i) for each in tracks]
        count = sum(int(np.sum(x != 0)) for x in turns)
        if not count or not _is_wrapped(tracks, turns, i, is_angle is True):
            continue
        jumps[i] = count
        for k, x in enumerate(turns):
            if shifts[k].shape != tracks[k].q.shape:
                shifts[k] = np.zeros_like(tracks[k].q)
            shifts[k][:, 1:, i] = _TURN * np.cumsum(x, axis=1)
    return shifts, jumps


def _turns(each: _Track, i: int) -> np.ndarray:
    """Whole turns in each step, (N, T − 1), as the angle was wrapped."""
    step = np.diff(each.q[:, :, i], axis=1)
    expected = np.zeros_like(step)
    if each.v is not None:
        v = each.v[:, :, i]
        expected = np.diff(each.t) * (v[:, 1:] + v[:, :-1]) / 2
    turns = np.round((step - expected) / _TURN)
    # A small step is what it is, whatever noisy velocities say.
    return np.where(np.isfinite(turns) & (np.abs(step) > _TURN / 2), turns, 0.0)


def _is_wrapped(
    tracks: Sequence[_Track], turns: Sequence[np.ndarray], i: int, known: bool
) -> bool:
    """Whether a coordinate stays within one turn, and jumps as an angle would."""
    q = np.concatenate([each.q[:, :, i].ravel() for each in tracks])
    if np.fmax.reduce(q) - np.fmin.reduce(q) > 1.01 * _TURN:
        return False
    steps = [np.diff(each.q[:, :, i], axis=1).ravel() for each in tracks]
    count = np.concatenate([x.ravel() for x in turns])
    few = np.mean(count != 0) < 0.25
    jumped = np.abs(np.concatenate(steps)[count != 0])
    return known or bool(np.all(jumped > 0.75 * _TURN) and few)


def _meta_as_asked(meta: Mapping[str, Any], known: Sequence[bool]) -> dict[str, Any]:
    """What is known, with the angles that were given."""
    return {**meta, "periodic": list(known), "unwrapped": _jumps(meta, len(known))}


def _meta_with(meta: Mapping[str, Any], jumps: Sequence[int]) -> dict[str, Any]:
    """What is known, with the angles that were found."""
    n = len(jumps)
    angles = meta.get("periodic") or [False] * n
    return {
        **meta,
        "periodic": [bool(a or j) for a, j in zip(angles, jumps, strict=False)],
        "unwrapped": [a + j for a, j in zip(_jumps(meta, n), jumps, strict=True)],
    }


def _shifted(
    each: Trajectories, shift: np.ndarray, jumps: Sequence[int]
) -> Trajectories:
    q = each.y.q - shift
    y, rate = each.y._replace(q=q), each.rate
    if isinstance(y, TangentState) and velocities_derived(each):
        # These velocities were differences across the jumps.
        window = suggest_window(each.t, q) if len(each.t) >= 3 else None
        v = derivatives(each.t, q, window=window)
        v = np.where(np.array(jumps) > 0, v, y.v)
        y = y._replace(v=v)
        rate = None if rate is None else rate._replace(q=v)
    return each._replace(y=y, rate=rate, meta=_meta_with(each.meta, jumps))
