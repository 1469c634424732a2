"""The course of the energy in measurements, without a model.

½ v₁² is fitted by other terms of a kinetic energy, a potential V(q), the work of
inputs, and a level for each stretch of time. In a conservative motion the levels are
one; friction lets them fall, and an unknown drive lets them wander.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np

from jaxphys.types import TangentState, Trajectories

__all__ = ["Course", "energy_course"]

#: Stretches of time in a trajectory, points in each, and trajectories that are read.
_STRETCHES, _POINTS, _MOST = 10, 15, 20


class Course(NamedTuple):
    """How the level changes, in units of the range of ½ v₁².

    Attributes:
      change: from the first stretch to the last, the mean of all trajectories.
      wander: the largest less the smallest level.
      error: the standard error of the change of one trajectory.
    """

    change: float
    wander: float
    error: float


def energy_course(
    trajectories: Sequence[Trajectories], angles: Sequence[bool]
) -> Course | None:
    """The course of energy; None where the data are too few to tell.

    Args:
      trajectories: N = 1 each.
      angles: which coordinates are angles.
    """
    n = len(angles)
    long = [each for each in trajectories if len(each.t) >= 3 * _POINTS][:_MOST]
    if not long or n > 3:
        return None
    states = [_states(each) for each in long]
    q = np.concatenate([x for x, _ in states])
    v = np.concatenate([x for _, x in states])
    target = v[:, 0] ** 2 / 2
    scale = float(np.percentile(target, 98) - np.percentile(target, 2))
    if not scale > 0:
        return None
    columns = _features(q, v, angles)
    works = _works(long, [x for _, x in states])
    levels, ends = _levels(long)
    design = np.concatenate([*columns, *works, *levels], axis=1)
    if len(design) < 4 * design.shape[1]:
        return None
    size = np.linalg.norm(design, axis=0)
    size = np.where(size > 0, size, 1.0)
    design = design / size
    found, *_ = np.linalg.lstsq(design, target, rcond=1e-9)
    left = target - design @ found
    freedom = len(design) - design.shape[1]
    # Neighbors share what the features miss, so the errors are made wider.
    spread = np.sqrt(left @ left / freedom) * 2
    inverse = np.linalg.pinv(design.T @ design, hermitian=True)
    first = sum(x.shape[1] for x in (*columns, *works))
    level = (found / size)[first:] / scale
    covariance = inverse[first:, first:] / np.outer(size[first:], size[first:])
    changes, wanders, errors = [], [], []
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        own = covariance[start:end, start:end]
        # A constant common to all levels is the potential's as well.
        last = np.eye(end - start)[-1] - np.eye(end - start)[0]
        errors.append(spread * np.sqrt(last @ own @ last) / scale)
        changes.append(level[end - 1] - level[start])
        wanders.append(np.ptp(level[start:end]))
    means = (float(np.mean(x)) for x in (changes, wanders, errors))
    return Course(*means)


def _states(each: Trajectories) -> tuple[np.ndarray, np.ndarray]:
    """Positions, and velocities or momenta, (T, n)."""
    return np.asarray(each.y[0][0], float), np.asarray(each.y[1][0], float)


def _features(q: np.ndarray, v: np.ndarray, angles: Sequence[bool]) -> list[np.ndarray]:
    """Terms of a potential, and of a kinetic energy but for ½ v₁²."""
    n = q.shape[1]
    order = {1: 6, 2: 4, 3: 3}[n]
    potential = [_basis(q[:, i], angles[i], order) for i in range(n)]
    pairs = list(combinations(range(n), 2))
    couplings = []
    for i, j in pairs:
        if angles[i] and angles[j]:
            apart = q[:, i] - q[:, j]
            couplings += [np.cos(apart), np.sin(apart)]
        else:
            couplings.append(q[:, i] * q[:, j])
    cross = [np.stack(couplings, axis=1)] if couplings else []
    products = [v[:, i] ** 2 for i in range(1, n)] + [
        v[:, i] * v[:, j] for i, j in pairs
    ]
    shapes = [np.ones(len(q)), *(couplings if n == 2 else [])]
    kinetic = [(x * shape)[:, None] for x in products for shape in shapes]
    return [*potential, *cross, *kinetic]


def _basis(q: np.ndarray, angle: bool, order: int) -> np.ndarray:
    if angle:
        return np.stack(
            [f(k * q) for k in range(1, order // 2 + 1) for f in (np.cos, np.sin)], 1
        )
    half = max(float(np.ptp(q)) / 2, 1e-300)
    x = (q - (q.max() + q.min()) / 2) / half
    return np.stack([x**k for k in range(1, order + 1)], axis=1)


def _works(
    long: Sequence[Trajectories], velocities: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The work of each input on each coordinate since the start, (T, m n)."""
    if long[0].u is None or not isinstance(long[0].y, TangentState):
        return []
    rows = []
    for each, v in zip(long, velocities, strict=True):
        if each.u is None:
            return []
        dt = np.diff(each.t)[:, None]
        moved = (dt * (v[1:] + v[:-1]) / 2)[:, None, :]
        power = (each.u[0, :-1, :, None] * moved).reshape(len(dt), -1)
        rows.append(np.concatenate([np.zeros_like(power[:1]), np.cumsum(power, 0)]))
    return [np.concatenate(rows)]


def _levels(long: Sequence[Trajectories]) -> tuple[list[np.ndarray], np.ndarray]:
    """An indicator of each stretch of time, and where each trajectory's end."""
    total = sum(len(each.t) for each in long)
    columns, counts, start = [], [], 0
    for each in long:
        count = min(_STRETCHES, len(each.t) // _POINTS)
        edges = np.linspace(0, len(each.t), count + 1).astype(int)
        for a, b in pairwise(edges):
            column = np.zeros((total, 1))
            column[start + a : start + b] = 1
            columns.append(column)
        counts.append(count)
        start += len(each.t)
    return columns, np.cumsum(counts)
