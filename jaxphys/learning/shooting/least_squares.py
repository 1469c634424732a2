"""Nonlinear least squares by dense matrices: Levenberg–Marquardt within bounds.

Minimizes |r(x)|² + Σ αᵢ (xᵢ − aᵢ)², where a prior has the precisions α, by steps that
solve (JᵀJ + α + λ D²) δ = −Jᵀ r − α (x − a), with D the largest column norms of J until
now, after Moré (1978), and λ from the ratio of the actual fall to the one that the
linear model foretells, after Nielsen (1999). Unknowns at a bound that the step would
cross stay there. The system has the smaller size of J, so weights may be many.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

__all__ = ["Prior", "Solved", "levenberg_marquardt"]


#: Without any damping, rounding errors move what the residuals do not depend on.
_LEAST = 1e-10


class Prior(NamedTuple):
    """What is known of unknowns before: a normal distribution of each.

    Attributes:
      precision: α, one by the variance, (P,); zero where nothing is known.
      mean: a, (P,).
    """

    precision: np.ndarray
    mean: np.ndarray


class Solved(NamedTuple):
    """Where the search ended.

    Attributes:
      x: the unknowns, (P,).
      cost: |r|² there, and what the prior adds.
      steps: how many were taken.
      converged: whether it ended because nothing was left to gain.
    """

    x: np.ndarray
    cost: float
    steps: int
    converged: bool


def levenberg_marquardt(
    linearised: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    x: np.ndarray,
    *,
    low: np.ndarray,
    high: np.ndarray,
    scaled_by: slice = slice(None),
    prior: Prior | None = None,
    steps: int = 50,
    tolerance: float = 1e-9,
    over: Callable[[], bool] = lambda: False,
) -> Solved:
    """Minimize a sum of squares within bounds.

    Args:
      linearised: `linearised(x) -> (r, J)`, residuals (m,) and Jacobian (m, P). Where r
        is not finite the step is taken back.
      x: where to begin, within the bounds.
      low, high: bounds, (P,), infinite where there are none.
      scaled_by: the rows whose column norms are the units of unknowns, D. Rows that
        are constraints, of large weight, would hold back what moves along them.
      prior: of the unknowns; None where nothing is known of them.
      steps: at most.
      tolerance: ends where a step lowers the cost by less than this part of it.
      over: asked before each step: whether there is no time for it.

    Raises:
      ValueError: where the residuals are not finite at the beginning.

    Example:
      >>> def line(x):
      ...     t = np.arange(3.0)
      ...     return x[0] + x[1] * t - (1 + 2 * t), np.stack([t**0, t], axis=1)
      >>> wide = np.full(2, np.inf)
      >>> levenberg_marquardt(line, np.zeros(2), low=-wide, high=wide).x.round(6)
      array([1., 2.])

    Reference: Moré, The Levenberg-Marquardt algorithm, 1978; Nielsen, Damping parameter
    in Marquardt's method, 1999.
    """
    if prior is None:
        prior = Prior(np.zeros(len(x)), np.zeros(len(x)))
    r, J = linearised(x)
    cost = _cost(r, x, prior)
    if not np.isfinite(cost) or not np.all(np.isfinite(J)):
        raise ValueError(
            "the motion is not finite at the constants where the search begins; begin "
            "nearer to the truth."
        )
    damping, factor = 1e-4, 2.0
    size = _sizes(J[scaled_by], x, np.zeros(len(x)))
    taken = 0
    for taken in range(1, steps + 1):
        if over():
            return Solved(x, cost, taken - 1, False)
        pull = prior.precision * (x - prior.mean)
        gradient = J.T @ r + pull
        held = ((x <= low) & (gradient > 0)) | ((x >= high) & (gradient < 0))
        size = _sizes(J[scaled_by], x, size)
        whole = _step(J, r, pull, prior.precision + damping * size**2, held)
        # A step that a bound cuts off may foretell nothing where a shorter one does.
        cut = bool(np.any((x + whole < low) | (x + whole > high)))
        move = np.clip(x + whole, low, high) - x
        foretold = cost - _cost(r + J @ move, x + move, prior)
        new_r, new_J = linearised(x + move)
        new_cost = _cost(new_r, x + move, prior)
        fall = cost - new_cost
        if not np.isfinite(new_cost) or not np.all(np.isfinite(new_J)) or fall < 0:
            if (foretold <= tolerance * cost and not cut) or damping > 1e12:
                return Solved(x, cost, taken, True)
            damping, factor = damping * factor, 2 * factor
            continue
        ratio = fall / foretold if foretold > 0 else 1.0
        damping, factor = damping * max(1 / 3, 1 - (2 * ratio - 1) ** 3), 2.0
        damping = max(damping, _LEAST)
        x, r, J = x + move, new_r, new_J
        done = fall <= tolerance * cost and not cut
        cost = new_cost
        if done or cost == 0:
            return Solved(x, cost, taken, True)
    return Solved(x, cost, taken, False)


def _cost(r: np.ndarray, x: np.ndarray, prior: Prior) -> float:
    return float(r @ r + prior.precision @ (x - prior.mean) ** 2)


def _sizes(J: np.ndarray, x: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Column norms, the largest until now; those of no effect count a little."""
    found = np.maximum(before, np.linalg.norm(J, axis=0))
    scale = np.maximum(np.abs(x), 1e-8)
    return np.maximum(found, 1e-6 * np.max(found * scale) / np.maximum(scale, 1e-3))


def _step(
    J: np.ndarray, r: np.ndarray, pull: np.ndarray, W: np.ndarray, held: np.ndarray
) -> np.ndarray:
    """−(JᵀJ + W)⁻¹ (Jᵀ r + pull) of the unknowns that are free, W diagonal.

    With few unknowns by a QR factorization of [J W^-½; 1], with many as the e of δ =
    W^-½ e − W⁻¹ pull, whose system is as large as r.
    """
    free = ~held
    root = np.sqrt(np.where(W > 0, W, 1.0)[free])
    B = J[:, free] / root
    shift = pull[free] / root
    rows, columns = B.shape
    target = r - B @ shift
    if rows >= columns:
        Q, R = np.linalg.qr(np.concatenate([B, np.eye(columns)]))
        e = -np.linalg.solve(R, Q[:rows].T @ target)
    else:
        K = B @ B.T
        K[np.diag_indices(rows)] += 1
        e = -B.T @ np.linalg.solve(K, target)
    move = np.zeros(len(W))
    move[free] = (e - shift) / root
    return move
