"""A record in pieces, each with a start of its own.

All pieces have one length, filled up by times that repeat, so one compiled function
serves every stage of a search.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from jaxphys.types import TangentState, Trajectories

__all__ = ["Inputs", "Pieces", "columns_of", "cut", "half_period"]


class Pieces(NamedTuple):
    """Trajectories cut into S pieces of L times.

    Attributes:
      t: (S, L); after the end of a piece its last time repeats.
      seen: what was measured, (S, L, w): the state, and the rates where they are.
      counts: whether a number of `seen` is compared, (S, L, w).
      u: inputs from each time to the next with these times, or None.
      first: whether a piece begins a trajectory, (S,).
      joined: whether a piece goes on in the next one, (S,).
      inputs: all inputs on one axis of times, or None.
      size: of a state, 2n.
    """

    t: np.ndarray
    seen: np.ndarray
    counts: np.ndarray
    u: Any
    first: np.ndarray
    joined: np.ndarray
    inputs: "Inputs | None" = None
    size: int = 0

    @property
    def states(self) -> np.ndarray:
        """What was measured of the states, (S, L, 2n)."""
        return self.seen[:, :, : self.size]


class Inputs(NamedTuple):
    """Inputs of all trajectories on one axis of times, one trajectory after the other.

    Between its times an input is linear. One that is held from each time to the next
    has its value in the middle.

    Attributes:
      t: (K,), increasing.
      u: (K, m).
      shift: what to add to a piece's own times, (S,).
    """

    t: np.ndarray
    u: np.ndarray
    shift: np.ndarray


def half_period(trajectories: Sequence[Trajectories]) -> int:
    """How many rows it takes, typically, until a velocity or momentum changes sign."""
    rows, turns = 0, 0
    for each in trajectories:
        x = np.asarray(each.y[1][0])
        # Noise about zero is no turning point.
        quiet = 0.1 * np.std(x, axis=0)
        for column, level in zip(x.T, quiet, strict=True):
            signs = np.sign(column[np.abs(column) > level])
            turns += int(np.sum(signs[1:] != signs[:-1]))
        rows += x.size
    return max(rows // max(turns, 1), 1)


def cut(
    trajectories: Sequence[Trajectories],
    rows: int,
    linear: bool,
    rates: bool = False,
) -> Pieces:
    """Cut trajectories, N = 1 each, into pieces of about this many rows.

    Args:
      trajectories: measured.
      rows: of a piece, 2 or more.
      linear: whether inputs change linearly to the next time, or are held.
      rates: whether their rates are compared, too.
    """
    parts: list[tuple[int, int, int]] = []
    joined, first = [], []
    for number, each in enumerate(trajectories):
        total = len(each.t)
        count = max(round((total - 1) / rows), 1)
        edges = np.unique(np.linspace(0, total - 1, count + 1).round().astype(int))
        for a, b in pairwise(edges.tolist()):
            parts.append((number, a, b))
            first.append(a == 0)
            joined.append(b < total - 1)
    length = max(b - a for _, a, b in parts) + 1
    columns = [columns_of(each, rates) for each in trajectories]
    t, seen, counts, u = _filled(trajectories, columns, parts, joined, length, linear)
    inputs = None
    if u is not None:
        inputs = _inputs(trajectories, parts, linear)
        u = (*u, np.tile(inputs.shift[:, None], (1, length - 1)))
    size = 2 * trajectories[0].y.q.shape[2]
    return Pieces(t, seen, counts, u, np.array(first), np.array(joined), inputs, size)


def _inputs(trajectories, parts, linear: bool) -> Inputs:
    """One after the other, each as long before and after as it is itself."""
    times, inputs, shifts, begin = [], [], [], 0.0
    for each in trajectories:
        t, u = np.asarray(each.t, float), np.asarray(each.u, float)[0]
        length = t[-1] - t[0]
        shift = begin + length - t[0]
        if not linear:
            t, u = (t[1:] + t[:-1]) / 2, u[:-1]
        times.append(np.concatenate([[begin], t + shift, [begin + 3 * length]]))
        inputs.append(np.concatenate([u[:1], u, u[-1:]]))
        shifts.append(shift)
        begin += 4 * length
    of_pieces = np.array([shifts[number] for number, _, _ in parts])
    return Inputs(np.concatenate(times), np.concatenate(inputs), of_pieces)


def columns_of(trajectories: Trajectories, rates: bool) -> np.ndarray:
    """What is compared, (T, w): states, and their rates where asked.

    That of q in (q, v) is v once more, and not compared again.
    """
    parts = [*trajectories.y]
    if rates and trajectories.rate is not None:
        parts += trajectories.rate[isinstance(trajectories.y, TangentState) :]
    return np.concatenate([np.asarray(x, float) for x in parts], axis=2)[0]


def _filled(trajectories, columns, parts, joined, length, linear):
    n = trajectories[0].y.q.shape[2]
    t = np.zeros((len(parts), length))
    seen = np.zeros((len(parts), length, columns[0].shape[1]))
    counts = np.zeros(seen.shape, bool)
    inputs = trajectories[0].u is not None
    m = trajectories[0].u.shape[2] if inputs else 0
    u = np.zeros((len(parts), length - 1, 2, m))
    for s, (number, a, b) in enumerate(parts):
        each = trajectories[number]
        size = b - a + 1
        t[s, :size], t[s, size:] = each.t[a : b + 1], each.t[b]
        seen[s, :size] = columns[number][a : b + 1]
        seen[s, size:] = seen[s, size - 1]
        # The last time of a piece that goes on is compared in the next.
        counts[s, : size - joined[s]] = True
        if "v" in each.meta.get("derived", ()):
            counts[s, :, n : 2 * n] = False
        if inputs:
            u[s, : size - 1, 0] = each.u[0, a:b]
            u[s, : size - 1, 1] = each.u[0, a + linear : b + linear]
    if not inputs:
        return t, seen, counts, None
    return t, seen, counts, (u, t[:, :-1], t[:, 1:])
