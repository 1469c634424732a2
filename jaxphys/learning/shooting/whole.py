"""A motion learned from whole records: weights, starts and noise, fitted together.

Derivatives of noisy data only begin it. Then the weights and the start of each piece of
a record are found together by Levenberg–Marquardt, while the rows that join the pieces
grow in weight until each record is one trajectory; a prior by the evidence keeps the
weights from following the noise.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import stopping, trees
from jaxphys.data import continuous
from jaxphys.learning.shooting.law import Law, law_of_motion
from jaxphys.learning.shooting.rollouts import rollouts, starts_of
from jaxphys.learning.shooting.search import Plan, Search, State
from jaxphys.training import one_blas_thread
from jaxphys.types import Array, Dynamics, PyTree, TangentState, Trajectories

__all__ = ["Whole", "covariance_of", "learn_whole"]

#: Weights of the rows that join pieces, in units of the noise.
_WEIGHTS = (1e-1, 1.0, 1e1, 1e2, 1e3)

#: Of the least squares of a network: a fall that ends a stage, rounds at the end, and
#: an error of integration in units of the noise.
_TOLERANCE, _ROUNDS, _STEP_ERROR = 1e-4, 5, 1e-2

#: The covariance of more unknowns than this is not kept.
_MOST = 3000


class Whole(NamedTuple):
    """A motion fitted to whole records.

    Attributes:
      params: the weights.
      starts: where each trajectory begins, (N, 2n).
      noise: standard deviation of each column, (2n,), by what is left.
      own_noise: of each column by itself, without any law.
      rms: root mean square of what is left, over all numbers.
      joined: whether each trajectory was followed from its beginning to its end; where
        not, from piece to piece.
      weights: how many there are.
      determined: how many of them the data determine.
      rows: of a piece, at most.
      substeps: integrator steps between two times.
      stages: one dict a stage: weight, misfit in units of the noise, seconds.
      seconds: of it all, compilation included.
      status: "finished", or "interrupted".
      covariance: of the weights and the starts, (k + 2n N, k + 2n N), or None where
        they are very many.
      law: the motion as one vector field of one vector of weights.
      c: that vector.
    """

    params: PyTree
    starts: np.ndarray
    noise: np.ndarray
    own_noise: np.ndarray
    rms: float
    joined: bool
    weights: int
    determined: float
    rows: int
    substeps: int
    stages: list[dict[str, float]]
    seconds: float
    status: str
    covariance: np.ndarray | None
    law: Law
    c: np.ndarray

    def rollouts(
        self, measured: Sequence[Trajectories], starts: np.ndarray | None = None
    ) -> list[Trajectories]:
        """One rollout along each record, at all of its times.

        Args:
          measured: N = 1 each, their inputs included.
          starts: one each, (N, 2n); by default those that were fitted, of the records
            that were fitted or of longer ones, in their order.
        """
        starts = self.starts if starts is None else starts
        shown, _ = rollouts(self.law, self.c, starts, measured, substeps=self.substeps)
        return [
            each._replace(y=type(each.y)(*np.split(x[None], 2, axis=2)), rate=None)
            for each, x in zip(measured, shown, strict=True)
        ]

    def bands(
        self, measured: Sequence[Trajectories], starts: np.ndarray | None = None
    ) -> list[np.ndarray] | None:
        """Standard deviations of these rollouts, (T, 2n) each, without the noise.

        Args:
          measured, starts: as in `rollouts`; starts that are given are exact.
        """
        if self.covariance is None:
            return None
        k, d = self.weights, self.starts.shape[1]
        found = []
        for i, each in enumerate(measured):
            own = np.arange(k + d * i, k + d * (i + 1))
            places = np.concatenate([np.arange(k), own])
            total = np.zeros((k + d, k + d))
            if starts is None:
                total = self.covariance[np.ix_(places, places)]
            else:
                total[:k, :k] = self.covariance[:k, :k]
            first = (self.starts if starts is None else starts)[[i]]
            _, spread = rollouts(
                self.law,
                self.c,
                first,
                [each],
                substeps=self.substeps,
                covariance=total,
            )
            found += spread
        return found

    def starts_of(self, measured: Sequence[Trajectories]) -> np.ndarray:
        """Where other records begin, (N, 2n), fitted to their first half period."""
        return starts_of(self.law, self.c, measured, self.substeps)


def learn_whole(
    motion: Dynamics,
    train: Sequence[Trajectories],
    params: PyTree,
    *,
    rows: int | None = None,
    substeps: int | None = None,
    rates: bool = False,
    prior: bool = True,
    steps: int = 30,
    seconds: float | None = None,
    told: Callable[[str], None] | None = None,
) -> Whole:
    """Fit the weights of a motion to whole records, and where these begin.

    Args:
      motion: what is learned.
      train: measured, N = 1 each, in the motion's kind of state, with times as uneven
        as they are, not smoothed; inputs are held from each time to the next. Angles
        that jump by whole turns are unwrapped, and a warning says so.
      params: weights to begin with, such as `learn` finds by derivatives.
      rows: of a piece; by default half a period, 8 to 50.
      substeps: integrator steps between two times; by default as many as half the step
        makes little difference beside the noise.
      rates: whether the rates of the records are matched as well, each column by its
        own noise; for rates that were measured, not derived from the states.
      prior: whether the evidence keeps the weights from following the noise.
      steps: of each stage, at most.
      seconds: after which no more steps are taken; None to go on to the end.
      told: called with a line after each stage, such as `print`.

    Returns:
      A `Whole`. Ctrl-C ends it with what was found until then.

    Raises:
      ValueError: where records and motion do not fit, the motion is not finite at the
        first weights, or x64 is off.

    Example:
      >>> jax.config.update("jax_enable_x64", True)
      >>> from jaxphys import data, learning, models
      >>> t = np.linspace(0.0, 6.0, 31)
      >>> (swing,) = data.trajectories_from({"t": t, "q": np.cos(t), "p": -np.sin(t)})
      >>> motion = models.dynamics(models.hnn(1, hidden=(4,), dtype="float64"))
      >>> recipe = learning.Recipe(optimizer="levenberg_marquardt", steps=20)
      >>> seen = data.with_derivatives(swing)
      >>> key = jax.random.key(0)
      >>> begun = learning.learn(motion, recipe, [seen], key=key, progress=False)
      >>> learn_whole(motion, [swing], begun.state.params, steps=10).rms < 0.01
      True

    References: Bock, 1983; MacKay, Bayesian Interpolation, 1992.
    """
    trees.check_double("whole records are matched")
    began, stages = time.perf_counter(), []

    def note(weight: float, misfit: float) -> None:
        spent = time.perf_counter() - began
        stages.append({"weight": weight, "misfit": misfit, "seconds": spent})
        if told is not None:
            told(f"pieces joined by {weight:g}: {misfit:.3g} times the noise is left")

    train = continuous("learn_whole", train)
    n = train[0].y.q.shape[2]
    law = law_of_motion(motion, params, n)
    sizes = [int(np.size(x)) for x in jax.tree.leaves(params)]
    with contextlib.ExitStack() as held:
        stop = held.enter_context(stopping.deferred())
        held.enter_context(one_blas_thread())
        plan = Plan(
            weights=_WEIGHTS,
            steps=steps,
            tolerance=_TOLERANCE,
            rounds=_ROUNDS,
            step_error=_STEP_ERROR,
            groups=np.repeat(np.arange(len(sizes)), sizes) if prior else None,
            over=lambda: (
                stop.asked
                or (seconds is not None and time.perf_counter() - began > seconds)
            ),
            told=note,
        )
        free = np.ones(len(law.start), bool)
        shows = _showing_rates(law, train) if rates else law
        search = Search(shows, train, free, rows=rows, plan=plan, rates=rates)
        state = search.found(substeps)
    left, pieces = search.left(state)[:, :, : 2 * n], search.shooting.pieces
    return Whole(
        params=_like(params, law.params(jnp.asarray(state.c))),
        starts=state.starts[pieces.first],
        noise=state.noise[: 2 * n],
        own_noise=search.own_noise[: 2 * n],
        rms=float(np.sqrt(np.sum(left**2) / pieces.counts[:, :, : 2 * n].sum())),
        joined=state.joined,
        weights=len(law.start),
        determined=state.determined,
        rows=pieces.t.shape[1] - 1,
        substeps=search.shooting.substeps,
        stages=stages,
        seconds=time.perf_counter() - began,
        status="interrupted" if stop.asked else "finished",
        covariance=covariance_of(search, state),
        law=law,
        c=state.c,
    )


def _showing_rates(law: Law, train: Sequence[Trajectories]) -> Law:
    """The same law, which shows how fast its states change beside these."""
    if law.takes_input or any(each.rate is None for each in train):
        missing = "the motion has inputs" if law.takes_input else "a record has none"
        raise ValueError(
            f"rates=True, and {missing}; leave it out: rates are matched of motions "
            "without inputs, where each record has them."
        )

    first = train[0].y.q.shape[2] * isinstance(train[0].y, TangentState)

    def observe(c: Array, z: Array) -> Array:
        rate = law.field(jnp.zeros(()), z, (c, None))
        shown, change = jax.jvp(lambda z: law.observe(c, z), (z,), (rate,))
        return jnp.concatenate([shown, change[first:]])

    return law._replace(observe=observe)


def covariance_of(search: Search, state: State) -> np.ndarray | None:
    """The covariance of free constants, and of the starts of the trajectories.

    None where they are very many.
    """
    k, first = len(state.precision), search.shooting.pieces.first
    d = state.starts.shape[1]
    if k + state.starts.size > _MOST:
        return None
    J = search.jacobian(state)
    H = J.T @ J
    H[np.diag_indices(k)] += state.precision
    # A column that nothing depends on has no error of its own.
    size = np.sqrt(np.diag(H))
    size = np.where(size > 0, size, 1.0)
    inverse = np.linalg.pinv(H / np.outer(size, size), rcond=1e-14, hermitian=True)
    starts = (k + d * np.flatnonzero(first)[:, None] + np.arange(d)).reshape(-1)
    places = np.concatenate([np.arange(k), starts])
    return (inverse / np.outer(size, size))[np.ix_(places, places)]


def _like(params: PyTree, found: PyTree) -> PyTree:
    """Weights in the dtype that they had before."""

    def cast(x: Any, y: Any) -> Any:
        return y.astype(jnp.asarray(x).dtype)

    return jax.tree.map(cast, params, found)
