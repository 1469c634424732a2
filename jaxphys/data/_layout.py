"""The arrays of a file of trajectories by name, and the `Trajectories` made of them.

A file may have momenta, velocities or both; this is where one of the two is chosen.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data._record import named_arrays
from jaxphys.types import PhaseState, TangentState, Trajectories

__all__ = ["ARRAYS", "COORDINATES", "Stored", "nearest", "store", "trajectories_of"]

#: The arrays that have an entry for each coordinate, and all arrays.
COORDINATES = ("q", "p", "v", "dq", "dp", "dv")
ARRAYS = ("t", *COORDINATES, "energy", "u")


class Stored(NamedTuple):
    """What a file has: arrays by name, with an axis of trajectories, and meta.

    The times `t` are of shape (T,), or (N, T) where each trajectory has its own.
    """

    arrays: dict[str, Any]
    meta: Mapping[str, Any]


def store(trajectories: Trajectories) -> Stored:
    """The arrays that a file gets: those of the record, and v where dq is known."""
    arrays = {"t": trajectories.t} | named_arrays(trajectories)
    if "dq" in arrays:
        arrays.setdefault("v", arrays["dq"])
    return Stored(arrays, trajectories.meta)


def trajectories_of(
    stored: Stored,
    state: type[PhaseState] | type[TangentState] | None,
    mass: float | Sequence[float] | np.ndarray | None,
) -> Trajectories:
    """The arrays as `Trajectories`, not checked, with t as it is stored.

    Raises:
      ValueError: where the arrays do not have this kind of state, or the mass is
        invalid.
    """
    arrays = stored.arrays
    if not {"p", "v"} & set(arrays):
        raise ValueError(
            "there are positions alone; expected q with momenta p, or q with "
            "velocities v."
        )
    if mass is not None:
        arrays = arrays | _momenta(arrays, mass)
    kind = _kind(arrays, state)
    second = kind._fields[1]
    y = kind(arrays["q"], arrays[second])
    dq, other = arrays.get("dq", arrays.get("v")), arrays.get(f"d{second}")
    rate = None if dq is None or other is None else kind(dq, other)
    u, energy = arrays.get("u"), arrays.get("energy")
    return Trajectories(arrays["t"], y, rate, u, energy, stored.meta)


def _kind(
    arrays: Mapping[str, np.ndarray],
    state: type[PhaseState] | type[TangentState] | None,
) -> type[PhaseState] | type[TangentState]:
    if state not in (PhaseState, TangentState, None):
        raise ValueError(
            f"state is {state}; expected PhaseState, TangentState or None."
        )
    if state is PhaseState and "p" not in arrays:
        raise ValueError(
            "there are velocities and no momenta; give mass=..., which makes p = m v, "
            "or take state=TangentState."
        )
    if state is TangentState and "v" not in arrays:
        raise ValueError(
            "there are momenta and no velocities; add the velocities v, or take "
            "state=PhaseState."
        )
    return state or (PhaseState if "p" in arrays else TangentState)


def _momenta(
    arrays: Mapping[str, np.ndarray], mass: float | Sequence[float] | np.ndarray
) -> dict[str, np.ndarray]:
    """p = m v, and dp = m dv, where the file has none."""
    q = arrays["q"]
    n = q.shape[-1]
    m = np.asarray(mass, q.dtype)
    if m.shape not in ((), (1,), (n,)) or not np.all(np.isfinite(m) & (m > 0)):
        raise ValueError(
            f"mass is {mass}; expected a number > 0, or {n} of them, one a coordinate."
        )
    if "v" not in arrays:
        raise ValueError(
            "mass makes momenta of velocities, and the file has momenta and no "
            "velocities; leave mass out."
        )
    if "p" in arrays:
        return {}
    made = {"p": m * arrays["v"]}
    if "dv" in arrays and "dp" not in arrays:
        made["dp"] = m * arrays["dv"]
    return made


def nearest(missing: Iterable[str], found: Sequence[str]) -> str:
    """A hint which of the names found may be a misspelling of one that is missing."""
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
