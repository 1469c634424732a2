"""Rollouts of a fitted law over whole records, and how sure they are.

One trajectory from one start at all times of a record, through the part that was held
out as well. With the covariance Σ of weights and starts, a rollout has the variance S Σ
Sᵀ, S being its sensitivity, and so has any other function of the weights.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.linearised import Shooting
from jaxphys.learning.shooting.pieces import cut
from jaxphys.learning.shooting.search import Plan, Search, rows_of
from jaxphys.types import Array, Trajectories

__all__ = ["deviations", "rollouts", "starts_of"]

#: A motion runs away that is larger: its square is still a number.
_FAR = 1e100


def rollouts(
    law: Law,
    c: np.ndarray,
    starts: np.ndarray,
    measured: Sequence[Trajectories],
    *,
    substeps: int,
    linear: bool = False,
    covariance: np.ndarray | None = None,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """What the law shows at all times of each trajectory, from one start each.

    Args:
      law: fitted.
      c: its constants.
      starts: one a trajectory, (N, 2n).
      measured: whose times, and whose inputs, N = 1 each.
      substeps: integrator steps between two times.
      linear: whether inputs change linearly to the next time, or are held.
      covariance: of constants and, last, of one start, (k + 2n, k + 2n).

    Returns:
      (T, 2n) for each: what is shown, and its standard deviation; zero without a
      covariance.
    """
    longest = max(len(each.t) for each in measured)
    pieces = cut(measured, longest, linear)
    free = np.full(len(c), covariance is not None)
    shooting = Shooting(law, pieces, free)
    shooting.substeps = substeps
    lengths = [len(each.t) for each in measured]
    if covariance is None:
        shown, _ = shooting.paths(c, starts)
        spread = np.zeros_like(shown)
    else:
        shown, _, S, _ = shooting.linearised(c, starts)
        # Rounding may leave less than nothing.
        variance = np.einsum("stdk,kl,stdl->std", S, covariance, S, optimize=True)
        spread = np.sqrt(np.maximum(variance, 0.0))
    parts = [[x[i, :T] for i, T in enumerate(lengths)] for x in (shown, spread)]
    return parts[0], parts[1]


def starts_of(
    law: Law, c: np.ndarray, measured: Sequence[Trajectories], substeps: int
) -> np.ndarray:
    """Where trajectories begin by a law that is known, (N, 2n).

    They are fitted to the first half period, 8 rows at least: what was measured at one
    time has the noise of one measurement. Where the law runs away from there, the start
    is what was measured.

    Args:
      law: fitted.
      c: its constants.
      measured: N = 1 each.
      substeps: integrator steps between two times.
    """
    rows = rows_of(measured) + 1
    begun = [
        each._replace(
            t=each.t[:rows],
            y=type(each.y)(*(x[:, :rows] for x in each.y)),
            rate=None,
            energy=None,
            u=None if each.u is None else each.u[:, :rows],
        )
        for each in measured
    ]

    def search(parts: Sequence[Trajectories]) -> Search:
        plan = Plan(weights=(1.0,), steps=20, tolerance=1e-6, rounds=0)
        none = np.zeros(len(c), bool)
        return Search(law._replace(start=c), parts, none, rows=2 * rows, plan=plan)

    every = search(begun)
    every.shooting.substeps = substeps
    starts = every.shooting.entered(c)
    shown, _, S, _ = every.shooting.linearised(c, starts)
    stays = [np.all(np.abs(x) < _FAR, axis=tuple(range(1, x.ndim))) for x in (shown, S)]
    kept = stays[0] & stays[1]
    if np.all(kept):
        return every.found(substeps).starts
    if np.any(kept):
        some = search([x for x, keeps in zip(begun, kept, strict=True) if keeps])
        starts[kept] = some.found(substeps).starts
    return starts


def deviations(
    function: Callable[[Array], Array], c: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Standard deviations of any function of the constants, (m,), linearised.

    Args:
      function: `function(c) -> (m,)`, such as energies or forces at some states.
      c: constants, (k,).
      covariance: (k, k) or more, constants first.

    Example:
      >>> found = deviations(lambda c: 2 * c, np.ones(2), np.diag([1.0, 9.0]))
      >>> found.round(3)
      array([2., 6.])
    """
    k = len(c)
    J = np.asarray(jax.jit(jax.jacrev(function))(jnp.asarray(c)))
    variance = np.einsum("mk,kl,ml->m", J, covariance[:k, :k], J, optimize=True)
    return np.sqrt(np.maximum(variance, 0.0))
