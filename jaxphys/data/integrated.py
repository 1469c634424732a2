"""States from rates: where rates are clean and states are noisy.

y(t) = c + ∫ dy/dt, with c so that the mean over a trajectory is that of its states. Of
T states with noise σ what is left is one error of the whole trajectory, σ/√T.
"""

import numpy as np

from jaxphys.checks import checked
from jaxphys.data._record import check_kind, check_trajectories
from jaxphys.types import Trajectories

__all__ = ["integrated"]

#: Gauss's points of two, which are exact for the cubics between four times.
_POINTS = (0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3))


@checked(trajectories=check_kind)
def integrated(trajectories: Trajectories) -> Trajectories:
    """The same rates, with the states that they integrate to.

    For states that are noisier than their rates, such as those of an experiment whose
    noise is on the states alone: a loss of derivatives at noisy states takes the noise
    for motion. The integral is that of cubics through four times.

    Args:
      trajectories: with rates, of four times or more.

    Raises:
      TypeError: for what is no `Trajectories`.
      ValueError: without rates, and for fewer times.

    Example:
      >>> from jaxphys.types import TangentState
      >>> t = np.linspace(0.0, 1.0, 5)
      >>> noise = np.array([1.0, -1.0, 0.0, -1.0, 1.0])[None, :, None]
      >>> fall = TangentState(-4.9 * t[None, :, None] ** 2, -9.8 * t[None, :, None])
      >>> gravity = np.full((1, 5, 1), -9.8)
      >>> seen = Trajectories(
      ...     t, TangentState(fall.q + noise, fall.v), TangentState(fall.v, gravity)
      ... )
      >>> bool(np.allclose(integrated(seen).y.q, fall.q))
      True
    """
    seen = check_trajectories(trajectories)
    if seen.rate is None:
        raise ValueError(
            "these trajectories have no rates to integrate; smooth the states by "
            "smoothed_trajectories in their place."
        )
    if len(seen.t) < 4:
        raise ValueError(f"got {len(seen.t)} times; expected 4 or more.")
    parts = []
    for y, rate in zip(seen.y, seen.rate, strict=True):
        path = _integral(seen.t, rate)
        parts.append(path + np.mean(y - path, axis=1, keepdims=True))
    return seen._replace(y=type(seen.y)(*parts), energy=None)


def _integral(t: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """∫ rate from the first time on, (N, T, n)."""
    count = len(t)
    first = np.clip(np.arange(count - 1) - 1, 0, count - 4)
    near = first[:, None] + np.arange(4)
    step = np.diff(t)
    total = np.zeros((rate.shape[0], count - 1, rate.shape[2]))
    for point in _POINTS:
        at = t[:-1] + point * step
        weights = np.ones((count - 1, 4))
        for j in range(4):
            for m in set(range(4)) - {j}:
                weights[:, j] *= (at - t[near[:, m]]) / (t[near[:, j]] - t[near[:, m]])
        total += np.einsum("kj,ikjc->ikc", weights, rate[:, near]) / 2
    path = np.cumsum(step[:, None] * total, axis=1)
    return np.concatenate([np.zeros_like(path[:, :1]), path], axis=1).astype(rate.dtype)
