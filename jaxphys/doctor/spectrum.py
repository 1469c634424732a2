"""The singular values of the Jacobian, and what they mean for the choice of a method.

Gradient descent follows a direction of singular value σ at a rate of σ², the others as
they are, so its number of updates is that of (σ_max/σ_min)². A second-order method
divides by σ, and so needs σ to be more than rounding.
"""

import numpy as np

from jaxphys.doctor.case import Case
from jaxphys.doctor.record import Finding

__all__ = ["of_the_jacobian"]

#: Up to here the whole Jacobian is computed; of a larger one so many leading values.
_WHOLE, _LEADING = 10, 5


def of_the_jacobian(case: Case, *, forward: bool) -> tuple[list[Finding], dict]:
    """The singular values of J, in units of the example's size, and advice.

    Args:
      case: the function.
      forward: whether it has forward derivatives.
    """
    outputs, inputs = len(case.weights), len(case.x)
    if outputs == 1:
        seen = (
            "there is one output: its Jacobian is the gradient, and has no spectrum. "
            "To judge second-order methods, check the function before its loss."
        )
        return [Finding("spectrum", "note", seen)], {}
    by_rows = outputs <= _WHOLE and (outputs <= inputs or not forward)
    whole = by_rows or (inputs <= _WHOLE and forward)
    if not (whole or forward):
        return [], {}
    values = _all(case, by_rows) if whole else _leading(case)
    if not values.size or values[0] == 0:
        return [], {}
    return [_advice(values, whole)], {"singular_values": values}


def _all(case: Case, by_rows: bool) -> np.ndarray:
    if by_rows:
        jacobian = case.pulls(np.eye(len(case.weights))) * case.scale
    else:
        jacobian = case.pushes(np.diag(case.scale))
    return np.linalg.svd(jacobian, compute_uv=False)


def _leading(case: Case) -> np.ndarray:
    """The largest values, found in the range of J of random vectors (Halko 2011)."""
    trials = np.array([case.scale * case.draw() for _ in range(_LEADING)])
    basis, _ = np.linalg.qr(case.pushes(trials).T)
    inside = case.pulls(basis.T) * case.scale
    return np.linalg.svd(inside, compute_uv=False)


def _advice(values: np.ndarray, whole: bool) -> Finding:
    largest = values[0]
    rank = int(np.sum(values > 1e-13 * largest * len(values)))
    smallest = values[rank - 1] / largest
    condition = 1 / smallest
    rcond = 10 ** np.floor(np.log10(smallest) - 1)
    numbers = {
        "largest": float(largest),
        "smallest": float(values[rank - 1]),
        "condition": float(condition),
        "rank": rank,
        "rcond": float(rcond),
    }
    if whole:
        seen = f"singular values of J from {largest:.2g} to {values[rank - 1]:.2g}"
        seen += f", condition {condition:.1g}"
        if rank < len(values):
            seen += f", and {len(values) - rank} of {len(values)} are zero"
    else:
        seen = (
            f"the {rank} leading singular values of J go from {largest:.2g} to "
            f"{values[rank - 1]:.2g}; condition {condition:.1g} or more"
        )
    if condition < 10:
        method = "Adam does well; a second-order method gains little"
    elif condition < 3e3:
        method = (
            "Levenberg–Marquardt or half-inverse gradients pay, in either precision"
        )
    else:
        method = (
            "Levenberg–Marquardt pays where it can damp; compute in float64, as J Jᵀ "
            f"in float32 loses what is below {3e-4 * largest:.1g}"
        )
    cure = f"{method}. For hig and gauss_newton rcond={rcond:.0e} keeps what is there."
    return Finding("spectrum", "note", f"{seen}.", "", cure, numbers)
