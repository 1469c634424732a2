"""How good a fitted motion is: one rollout along each record, in units of the noise.

A rollout starts where the fit says that a record began and goes on through the part
that was held out, or it starts at the beginning of a record that was held out. Of
measurements and rollouts alike it is asked how the energy changes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxphys.data import energy_course
from jaxphys.learning.shooting.whole import Whole
from jaxphys.types import Trajectories

__all__ = ["NINETY", "Judged", "coverage", "judge", "spreads"]

#: Nine tenths of a normal distribution are within so many standard deviations.
NINETY = 1.6449

#: A rollout that runs away is this far off, in units of the noise, at most.
_FAR = 1e6


class Judged(NamedTuple):
    """Rollouts of a fitted motion beside measurements.

    Attributes:
      records: what was measured, N = 1 each; those that were held out come last.
      rollouts: the motion along each.
      held_out: of each record which times were held out, (T,) bools.
      rms: root mean square of rollout less measurement, over all numbers.
      rms_held_out: over those that were held out.
      misfit, misfit_held_out: the same with each column in units of its own noise.
      change: how the energy of the rollouts changes, in units of the kinetic energy's
        range; NaN where there are too few times to tell.
      measured_change: how that of the measurements does.
      starts: where records begin that were held out as a whole, (M, 2n).
    """

    records: list[Trajectories]
    rollouts: list[Trajectories]
    held_out: list[np.ndarray]
    rms: float
    rms_held_out: float
    misfit: float
    misfit_held_out: float
    change: float
    measured_change: float
    starts: np.ndarray


def judge(
    whole: Whole,
    train: Sequence[Trajectories],
    held_out: Sequence[Trajectories],
    noise: np.ndarray,
    *,
    by: str,
    periodic: Sequence[bool],
) -> Judged:
    """Follow a fitted motion along all records.

    Args:
      whole: the motion.
      train: what it was fitted to.
      held_out: what was held out of it.
      noise: the unit of each column, (2n,), such as `whole.own_noise`.
      by: "time", where each record that was held out goes on from the one in its place
        of `train`; or "trajectory".
      periodic: which coordinates are angles.
    """
    if by == "time":
        records = [_joined(*pair) for pair in zip(train, held_out, strict=True)]
        marks = [
            np.arange(len(x.t)) >= len(y.t) for x, y in zip(records, train, strict=True)
        ]
        found, starts = whole.rollouts(records), whole.starts[:0]
    else:
        records = [*train, *held_out]
        starts = whole.starts_of(held_out)
        found = whole.rollouts(train) + whole.rollouts(held_out, starts)
        marks = [np.full(len(x.t), i >= len(train)) for i, x in enumerate(records)]
    off = [_apart(x, y) for x, y in zip(found, records, strict=True)]
    rms, misfit = _sizes(off, noise)
    held = [x[mark] for x, mark in zip(off, marks, strict=True)]
    rms_held, misfit_held = _sizes(held, noise)
    courses = [energy_course(x, periodic) for x in (_finite(found), records)]
    change, measured = (np.nan if x is None else x.change for x in courses)
    return Judged(
        records,
        found,
        marks,
        rms,
        rms_held,
        misfit,
        misfit_held,
        float(change),
        float(measured),
        starts,
    )


def spreads(whole: Whole, judged: Judged) -> list[np.ndarray] | None:
    """Standard deviations of the rollouts, (T, 2n) each, without the noise.

    Where a record was held out as a whole its start is taken as exact.
    """
    fitted = len(whole.starts)
    own = whole.bands(judged.records[:fitted])
    others = whole.bands(judged.records[fitted:], judged.starts)
    return None if own is None or others is None else own + others


def coverage(
    whole: Whole, judged: Judged, noise: np.ndarray
) -> tuple[float, float] | None:
    """How the bands must be stretched, and what part of the measurements is in them.

    The first half of what was held out says by how much; the rest is counted, at 90 %.

    Args:
      whole: a motion with a covariance.
      judged: its rollouts, the last times of each record held out, or some records.
      noise: standard deviation of each column, (2n,).
    """
    found = spreads(whole, judged)
    if found is None:
        return None
    first, last = [], []
    for spread, record, path, mark in zip(
        found, judged.records, judged.rollouts, judged.held_out, strict=True
    ):
        score = np.abs(_apart(path, record)) / np.sqrt(spread**2 + noise**2)
        own = score[mark]
        first.append(own[::2].reshape(-1))
        last.append(own[1::2].reshape(-1))
    known, counted = np.concatenate(first), np.concatenate(last)
    if not (known.size and counted.size):
        return None
    stretch = float(np.quantile(known, 0.9)) / NINETY
    return stretch, float(np.mean(counted <= NINETY * stretch))


def _joined(before: Trajectories, after: Trajectories) -> Trajectories:
    y = (np.concatenate(pair, axis=1) for pair in zip(before.y, after.y, strict=True))
    u = None
    if before.u is not None and after.u is not None:
        u = np.concatenate([before.u, after.u], axis=1)
    t = np.concatenate([before.t, after.t])
    return before._replace(t=t, y=type(before.y)(*y), u=u, rate=None, energy=None)


def _apart(path: Trajectories, record: Trajectories) -> np.ndarray:
    """Rollout less measurement, (T, 2n); without velocities that were not measured."""
    off = np.concatenate(path.y, axis=2)[0] - np.concatenate(record.y, axis=2)[0]
    if "v" in record.meta.get("derived", ()):
        off = off[:, : off.shape[1] // 2]
    return off


def _sizes(off: Sequence[np.ndarray], noise: np.ndarray) -> tuple[float, float]:
    """Root mean squares of all numbers, and in units of the noise."""
    every = np.concatenate(off)
    far = _FAR * noise[: every.shape[1]]
    every = np.clip(np.nan_to_num(every, nan=np.inf), -far, far)
    scaled = every / noise[: every.shape[1]]
    return float(np.sqrt(np.mean(every**2))), float(np.sqrt(np.mean(scaled**2)))


def _finite(found: Sequence[Trajectories]) -> list[Trajectories]:
    """Rollouts that did not run away."""
    return [x for x in found if all(np.all(np.isfinite(part)) for part in x.y)]
