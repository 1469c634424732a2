"""Standard errors of constants, and the directions that data leave open, in words.

Beside the constants the least squares have the starts of all pieces; these are
projected out of the Jacobian. What is left of it, with a column for each constant in
units of its own size, has a singular value near zero for each combination of constants
that the motion does not depend on.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxphys.learning.shooting.search import beside_starts

__all__ = ["Errors", "errors_of"]

#: A smaller singular value, relative to the largest, is none.
_NULL = 1e-6

#: Entries of a direction that are told.
_SEEN = 0.02


class Errors(NamedTuple):
    """How sure constants are.

    Attributes:
      standard: standard errors, (k,); infinite where a constant is not determined.
      correlations: (k, k), of those that are determined; else NaN off the diagonal.
      undetermined: names of the constants that these data do not determine.
      combinations: in words, what is determined of them.
      covariance: (k, k), without the directions that are not determined, along which
        what was measured does not change.
    """

    standard: np.ndarray
    correlations: np.ndarray
    undetermined: tuple[str, ...]
    combinations: tuple[str, ...]
    covariance: np.ndarray


def errors_of(J: np.ndarray, values: np.ndarray, names: Sequence[str]) -> Errors:
    """Errors of the first constants of a least-squares problem.

    Args:
      J: Jacobian of all residuals in units of the noise, constants first, (m, P).
      values: of the constants, (k,).
      names: of the constants.

    Example:
      >>> J = np.array([[1.0, 1.0], [2.0, 2.0]])
      >>> errors_of(J, np.ones(2), ["m", "k"]).combinations
      ('only m · k is determined',)
    """
    k = len(values)
    size = np.where(values != 0, np.abs(values), 1.0)
    own = beside_starts(J, k) * size
    _, S, V = np.linalg.svd(own, full_matrices=len(own) < k)
    S = np.concatenate([S, np.zeros(k - len(S))])
    lost = _NULL * max(S[0], 1e-300) >= S
    null = V[lost]
    undetermined = np.sum(null**2, axis=0) > _SEEN**2
    inverse = (V[~lost].T / S[~lost] ** 2) @ V[~lost]
    deviation = np.sqrt(np.diag(inverse))
    standard = np.where(undetermined, np.inf, size * deviation)
    scale = np.where(deviation > 0, deviation, 1.0)
    correlations = inverse / np.outer(scale, scale)
    correlations[undetermined] = np.nan
    correlations[:, undetermined] = np.nan
    np.fill_diagonal(correlations, 1.0)
    return Errors(
        standard,
        correlations,
        tuple(n for n, open_ in zip(names, undetermined, strict=True) if open_),
        tuple(_in_words(row, names, values) for row in _reduced(null)),
        inverse * np.outer(size, size),
    )


def _reduced(null: np.ndarray) -> np.ndarray:
    """A basis of the same directions in which each has as few constants as possible."""
    rows, done = null.copy(), 0
    for column in range(null.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[pivot, column]) < _SEEN:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        for other in range(len(rows)):
            if other != done:
                rows[other] -= rows[other, column] * rows[done]
        done += 1
    return rows


def _in_words(row: np.ndarray, names: Sequence[str], values: np.ndarray) -> str:
    """What relative changes in this proportion leave open.

    Where c₁ may be multiplied by xᵃ and c₂ by xᵇ together, c₁ᵇ / c₂ᵃ is determined.
    """
    row = row / np.max(np.abs(row))
    places = np.flatnonzero(np.abs(row) > _SEEN).tolist()
    if len(places) == 1:
        return f"{names[places[0]]} does not act on these data"
    if np.any(values[places] == 0):
        return f"only a sum of {_listed(names, places)} is determined"
    # Relative to the size of a value, a change has its sign.
    parts = row[places] * np.sign(values[places])
    parts = parts / parts[0]
    if len(places) == 2:
        first, second = (names[i] for i in places)
        power = 1 / parts[1]
        raised = "" if abs(abs(power) - 1) < 0.02 else f"^{abs(power):.3g}"
        sign = "/" if power > 0 else "·"
        return f"only {first} {sign} {second}{raised} is determined"
    if np.all(np.abs(parts - 1) < 0.02):
        return f"only the ratios of {_listed(names, places)} are determined"
    powers = ", ".join(
        f"{names[i]} by x" + (f"^{p:.3g}" if abs(p - 1) > 0.02 else "")
        for i, p in zip(places, parts, strict=True)
    )
    return f"the motion stays where, for any x, one multiplies {powers}"


def _listed(names: Sequence[str], places: Sequence[int]) -> str:
    own = [names[i] for i in places]
    return ", ".join(own[:-1]) + f" and {own[-1]}"
