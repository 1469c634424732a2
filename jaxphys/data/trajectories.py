"""Trajectories of one system: their precision, where they end, what they conserve."""

import warnings
from collections.abc import Sequence

import numpy as np

from jaxphys import trees
from jaxphys.checks import checked
from jaxphys.data._record import (
    check_kind,
    check_trajectories,
    listed,
    map_arrays,
    one_finite,
)
from jaxphys.trees import check_dtype
from jaxphys.types import PhaseState, Trajectories

__all__ = [
    "cast",
    "check_angles",
    "check_trajectories",
    "energy_error",
    "energy_scale",
    "separate",
]


@checked(dtype=check_dtype)
def cast(
    trajectories: Sequence[Trajectories], dtype: np.dtype | type | str
) -> list[Trajectories]:
    """The same trajectories in another precision.

    Example:
      >>> y = PhaseState(np.zeros((1, 3, 2)), np.zeros((1, 3, 2)))
      >>> (single,) = cast([Trajectories(np.arange(3.0), y)], "float32")
      >>> single.t.dtype, single.y.p.dtype
      (dtype('float32'), dtype('float32'))
    """

    def array(x: np.ndarray) -> np.ndarray:
        return trees.cast(np.asarray(x), dtype)

    trajectories = listed("cast", trajectories)
    return [map_arrays(array, x)._replace(t=array(x.t)) for x in trajectories]


def separate(trajectories: Trajectories) -> list[Trajectories]:
    """Each trajectory on its own, N = 1, without the rows of NaN at its end.

    Such rows are where a trajectory could not be followed any more. Only the energy may
    have numbers that are not finite anywhere.

    Raises:
      ValueError: where a trajectory has such rows before its end, or nothing else.

    Example:
      >>> q = np.array([[0.0, 1.0, 2.0], [5.0, 6.0, np.nan]])[:, :, None]
      >>> both = Trajectories(np.arange(3.0), PhaseState(q, q))
      >>> [len(each.t) for each in separate(both)]
      [3, 2]
    """
    whole = check_trajectories(trajectories)
    return [one_finite(whole, number) for number in range(len(whole.y.q))]


#: No angle in radians spans more than `_SPAN` in steps above `_JUMP`.
_SPAN, _JUMP = 100.0, 0.5


def check_angles(
    trajectories: Sequence[Trajectories], periodic: Sequence[bool]
) -> None:
    """Warn where angles look like degrees: one UserWarning for each coordinate.

    They do where a trajectory of a periodic coordinate spans more than 100, sixteen
    turns if these were radians, and moves by more than 0.5 between two of its times.
    A fast wheel with few times looks the same; ignore the warning then.

    Args:
      trajectories: a list.
      periodic: one bool for each coordinate, True where q is an angle.

    Raises:
      ValueError: where there is not one bool for each coordinate.

    Example:
      >>> q = np.linspace(0.0, 90.0, 50)[None, :, None]
      >>> check_angles([Trajectories(np.arange(50.0), PhaseState(q, q))], (True,))
    """
    found = listed("check_angles", trajectories)
    n = found[0].y.q.shape[2]
    if len(periodic) != n:
        raise ValueError(
            f"periodic has {len(periodic)} entries; expected {n}, one a coordinate."
        )
    for index in np.flatnonzero(periodic):
        for each in found:
            angle = each.y.q[:, :, index]
            turns = _ranges(angle) > _SPAN
            if np.any(turns & (_largest(np.diff(angle)) > _JUMP)):
                warnings.warn(
                    f"coordinate {index} is periodic and spans "
                    f"{float(np.max(_ranges(angle))):.0f}, which looks like degrees: "
                    "convert q and its velocities with numpy.deg2rad, and momenta by "
                    "the inverse factor.",
                    UserWarning,
                    stacklevel=2,
                )
                break


def _ranges(x: np.ndarray) -> np.ndarray:
    """Largest less smallest number of each row; rows without finite ones have zero."""
    finite = np.isfinite(x)
    low = np.min(x, axis=1, initial=np.inf, where=finite)
    high = np.max(x, axis=1, initial=-np.inf, where=finite)
    return np.where(finite.any(axis=1), high - low, 0.0)


def _largest(x: np.ndarray) -> np.ndarray:
    """The largest magnitude in each row, of its finite numbers."""
    return np.max(np.abs(x), axis=1, initial=0.0, where=np.isfinite(x))


@checked(trajectories=check_kind)
def energy_scale(trajectories: Trajectories) -> np.ndarray:
    """The unit of an error in energy, (N, 1): |E(0)|, or the kinetic energy.

    Where energy is zero is arbitrary. For motions in q and p whose rate is known, the
    median of |p·q̇|/2, the kinetic energy of common systems, takes the place of an
    |E(0)| below a thousandth of it; a scale of zero becomes one.

    Raises:
      ValueError: where the energy is not known.
    """
    y, rate = trajectories.y, trajectories.rate
    scale = np.abs(_energy(trajectories)[:, :1])
    if isinstance(y, PhaseState) and rate is not None:
        kinetic = np.abs(np.sum(y.p * rate.q, axis=2)) / 2
        finite = [row[np.isfinite(row)] for row in kinetic]
        usual = np.array([[np.median(row) if len(row) else 0] for row in finite])
        usual = usual.astype(scale.dtype)
        scale = np.where(scale > 1e-3 * usual, scale, usual)
    return np.where(scale > 0, scale, np.ones_like(scale))


@checked(trajectories=check_kind)
def energy_error(trajectories: Trajectories) -> np.ndarray:
    """|E(t) − E(0)| over `energy_scale`, (N, T): how well energy is conserved.

    Raises:
      ValueError: where the energy is not known.

    Example:
      >>> y = PhaseState(np.zeros((1, 2, 1)), np.zeros((1, 2, 1)))
      >>> energy = np.array([[2.0, 2.5]])
      >>> energy_error(Trajectories(np.arange(2.0), y, energy=energy))
      array([[0.  , 0.25]])
    """
    energy = _energy(trajectories)
    # A start without a finite energy, as of bodies in one place, leaves NaN.
    with np.errstate(invalid="ignore"):
        return np.abs(energy - energy[:, :1]) / energy_scale(trajectories)


def _energy(trajectories: Trajectories) -> np.ndarray:
    if trajectories.energy is None:
        raise ValueError(
            "these trajectories have no energy; expected an array (N, T) in "
            "Trajectories(energy=)."
        )
    return trajectories.energy
