"""The search: constants and the starts of all pieces together, stage by stage.

The rows that join the pieces grow in weight from stage to stage. What is left of the
data says how noisy each column is. Where weights are many, a normal prior of each group
of them, whose width the evidence finds, keeps them from following the noise: with γ of
a group's weights w determined by the data, its precision is α = γ/|w|².

References: Bock, 1983, for multiple shooting; MacKay, Bayesian Interpolation, 1992, and
Foresee & Hagan, Gauss-Newton Approximation to Bayesian Learning, 1997, for the prior.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data import noise_levels
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.least_squares import Prior, levenberg_marquardt
from jaxphys.learning.shooting.linearised import Shooting
from jaxphys.learning.shooting.pieces import columns_of, cut, half_period
from jaxphys.types import Trajectories

__all__ = ["WEIGHTS", "Plan", "Search", "State", "beside_starts", "rows_of"]

#: Weights of the rows that join pieces, in units of the noise, one stage each.
WEIGHTS = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4)

#: Rows of a piece at most and least, pieces at most, and steps in half a period.
_LONGEST, _SHORTEST, _MANY, _STEPS = 50, 8, 150, 20

#: Joining pieces may raise the misfit by this factor; more, and they are not joined.
_WORSE = 3.0

#: An integration error above this part of the noise asks for smaller steps, up to so
#: many between two times.
_STEP_ERROR, _MOST_STEPS = 1e-4, 256

#: What is penalized has at least this size, so that it does not vanish for good.
_LEAST_PART = 0.1

#: The precision of a prior stays within these, in units of weights of size one.
_LOOSEST, _TIGHTEST = 1e-6, 1e8


class Plan(NamedTuple):
    """How a search goes about it.

    Attributes:
      weights: of the rows that join pieces, one stage each.
      steps: of each stage, at most.
      tolerance: of the fall of the misfit in one step, which ends a stage.
      rounds: how often noise and prior are found anew at the end.
      step_error: the error of integration that is allowed, in units of the noise.
      groups: of each free constant the number of its group, which has a prior, or −1
        for the loosest; None for no prior at all.
      penalty: `penalty(c) -> (r, J)`, (m,) and (m, k) by the free constants: what is
        to be small, in units of one, beside the misfit. The evidence finds its weight.
      over: asked before each step: whether there is no time for it.
      told: called with each stage's (weight, misfit in units of the noise).
    """

    weights: tuple[float, ...] = WEIGHTS
    steps: int = 50
    tolerance: float = 1e-9
    rounds: int = 3
    step_error: float = _STEP_ERROR
    groups: np.ndarray | None = None
    penalty: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]] | None = None
    over: Callable[[], bool] = lambda: False
    told: Callable[[float, float], None] = lambda weight, misfit: None


class State(NamedTuple):
    """Where a search stands: constants, starts, noise, and how pieces are joined.

    Attributes:
      c: all constants.
      starts: of the pieces, (S, 2n).
      noise: standard deviation of each column, (w,).
      weight: of the rows that join pieces.
      joined: whether each trajectory is one piece in effect.
      precision: of the prior of each free constant, (k,).
      determined: how many of the free constants the data determine.
      penalty: the weight of the plan's penalty.
    """

    c: np.ndarray
    starts: np.ndarray
    noise: np.ndarray
    weight: float
    joined: bool
    precision: np.ndarray
    determined: float
    penalty: float = 1.0


def rows_of(seen: Sequence[Trajectories]) -> int:
    """The usual number of rows of a piece: half a period of the motion, 50 at most."""
    total = sum(len(each.t) for each in seen)
    return max(int(np.clip(half_period(seen), _SHORTEST, _LONGEST)), total // _MANY)


class Search:
    """The unknowns of a law and a record, and the stages in which they are found.

    Args:
      law: with constants to be found.
      seen: trajectories, N = 1 each.
      free: which constants are free, (k,) bools.
      limits: their least and largest values.
      initial: the state in which every motion began, (2n,); None to find it.
      linear: whether inputs change linearly to the next time, or are held.
      rows: of a piece; None for the usual number.
      plan: how to go about it.
      rates: whether the law shows rates as well, to be compared with those measured.

    Attributes:
      shooting: what is compiled.
      spread: of each column that is compared, (w,).
      own_noise: of each column by itself, without the law, (w,).
    """

    def __init__(
        self,
        law: Law,
        seen: Sequence[Trajectories],
        free: np.ndarray,
        limits: tuple[np.ndarray, np.ndarray] | None = None,
        *,
        initial: np.ndarray | None = None,
        linear: bool = False,
        rows: int | None = None,
        plan: Plan | None = None,
        rates: bool = False,
    ):
        self.law, self.seen, self.free = law, seen, free
        wide = np.full(int(free.sum()), np.inf)
        self.low, self.high = (-wide, wide) if limits is None else limits
        self.initial, self.plan = initial, plan or Plan()
        self._columns = [columns_of(each, rates) for each in seen]
        self.spread = np.std(np.concatenate(self._columns), axis=0)
        self.spread = np.where(self.spread > 0, self.spread, 1.0)
        self.own_noise = self._own_noise()
        pieces = cut(seen, rows or rows_of(seen), linear, rates)
        self.shooting = Shooting(law, pieces, free)

    def found(self, substeps: int | None = None) -> State:
        """All stages, with steps as short as it takes, or of a given number."""
        shooting = self.shooting
        usual = max(int(np.ceil(_STEPS / half_period(self.seen))), 1)
        shooting.substeps = substeps or usual
        while substeps is None and not self._begins_finite():
            if shooting.substeps >= _MOST_STEPS:
                break
            shooting.substeps *= 2
        state = self._solved()
        while substeps is None and self._step_error(state) > self.plan.step_error:
            if shooting.substeps >= _MOST_STEPS or self.plan.over():
                break
            shooting.substeps *= 2
            state = self._finished(state)
        return state

    def _step_error(self, state: State) -> float:
        """The error of integration in units of the noise, root mean square."""
        error = self.shooting.step_error(state.c, state.starts) / state.noise
        return float(np.sqrt(np.mean(error[self.shooting.pieces.counts] ** 2)))

    def _begins_finite(self) -> bool:
        """Whether steps are short enough for the constants of the beginning."""
        c, shooting = self.law.start, self.shooting
        return bool(np.all(np.isfinite(shooting.paths(c, shooting.entered(c))[0])))

    def _solved(self) -> State:
        """All stages, and the noise of each column by what is left."""
        c, shooting = self.law.start.copy(), self.shooting
        starts = shooting.entered(c)
        if self.initial is not None:
            starts[shooting.pieces.first] = self.initial
        if not np.all(np.isfinite(starts)):
            raise ValueError(
                "no finite state shows what was measured at these constants; begin "
                "nearer to the truth."
            )
        k = int(self.free.sum())
        state = State(c, starts, self.own_noise, 0.0, True, np.zeros(k), float(k))
        if self.plan.groups is not None:
            state = state._replace(precision=self._precision(c[self.free], np.ones(k)))
        apart = np.inf
        for weight in self.plan.weights:
            new = self._weighed(self._stage(state, weight))
            misfit = self.misfit(new)
            self.plan.told(weight, misfit)
            if weight <= 1:
                apart = misfit
            elif misfit > _WORSE * apart:
                # The law does not hold for longer than a piece, or the motion is
                # chaotic for longer than it was measured well enough.
                state = state._replace(joined=not np.any(shooting.pieces.joined))
                break
            state = new
        return self._finished(state)

    def _finished(self, state: State) -> State:
        """The last stage again, until the noise is that of what is left."""
        for _ in range(self.plan.rounds):
            noise = self._noise(state)
            same = np.allclose(noise, state.noise, rtol=0.02)
            before = state.determined
            state = self._stage(state._replace(noise=noise), state.weight)
            state = self._weighed(state)
            self.plan.told(state.weight, self.misfit(state))
            if same and abs(state.determined - before) <= 0.02 * before:
                break
        return state

    def _own_noise(self) -> np.ndarray:
        """The noise of each column by itself, without the law."""
        longest = max(range(len(self.seen)), key=lambda i: len(self.seen[i].t))
        t = self.seen[longest].t
        if len(t) < 11:
            return 0.05 * self.spread
        level = noise_levels(t, self._columns[longest][None])
        return np.maximum(level, 1e-4 * self.spread)

    def _stage(self, state: State, weight: float) -> State:
        """The least squares of one weight."""
        k, shape = int(self.free.sum()), state.starts.shape
        moving = self._moving()
        unit = self._unit(state) / weight

        def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            c = state.c.copy()
            c[self.free] = x[:k]
            return c, x[k:].reshape(shape)

        def linearised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            c, starts = split(x)
            r, J = self.shooting.residuals(c, starts, state.noise, unit)
            return self._penalized(state, c, r, J * moving)

        wide = np.full(state.starts.size, np.inf)
        none = np.zeros(state.starts.size)
        found = levenberg_marquardt(
            linearised,
            np.concatenate([state.c[self.free], state.starts.reshape(-1)]),
            low=np.concatenate([self.low, -wide]),
            high=np.concatenate([self.high, wide]),
            scaled_by=slice(None, self.shooting.measured_rows),
            prior=Prior(
                np.concatenate([state.precision, none]), np.zeros(k + len(none))
            ),
            steps=self.plan.steps,
            tolerance=self.plan.tolerance,
            over=self.plan.over,
        )
        c, starts = split(found.x)
        return state._replace(c=c, starts=starts, weight=weight)

    def _weighed(self, state: State) -> State:
        """The prior by the evidence: how much of each group the data determine."""
        if self.plan.groups is None or self.plan.over():
            return state
        B = beside_starts(self.jacobian(state, penalized=False), len(state.precision))
        B = B / np.sqrt(state.precision)
        K = B @ B.T
        K[np.diag_indices(len(K))] += 1
        determined = np.clip(np.sum(B * np.linalg.solve(K, B), axis=0), 0.0, 1.0)
        precision = self._precision(state.c[self.free], determined)
        state = state._replace(precision=precision, determined=float(determined.sum()))
        if self.plan.penalty is None:
            return state
        r, _ = self.plan.penalty(state.c)
        learned = float(determined[np.asarray(self.plan.groups) >= 0].sum())
        weight = learned / max(float(np.mean(r**2)), _LEAST_PART**2)
        return state._replace(penalty=weight)

    def _penalized(
        self, state: State, c: np.ndarray, r: np.ndarray, J: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Residuals and Jacobian with the rows of the plan's penalty."""
        if self.plan.penalty is None or not np.all(np.isfinite(r)):
            return r, J
        small, slopes = self.plan.penalty(c)
        scale = np.sqrt(state.penalty / len(small))
        rows = np.zeros((len(small), J.shape[1]))
        rows[:, : slopes.shape[1]] = scale * slopes
        return np.concatenate([r, scale * small]), np.concatenate([J, rows])

    def _precision(self, w: np.ndarray, determined: np.ndarray) -> np.ndarray:
        groups = np.asarray(self.plan.groups)
        own = np.maximum(groups, 0)
        total = np.bincount(own, determined * (groups >= 0))
        size = np.maximum(np.bincount(own, w**2 * (groups >= 0)), 1e-300)
        found = np.clip(total / size, _LOOSEST, _TIGHTEST)[own]
        return np.where(groups >= 0, found, _LOOSEST)

    def jacobian(self, state: State, *, penalized: bool = True) -> np.ndarray:
        """Of all residuals in units of the noise by free constants and starts."""
        unit = self._unit(state) / state.weight
        r, J = self.shooting.residuals(state.c, state.starts, state.noise, unit)
        J = J * self._moving()
        return self._penalized(state, state.c, r, J)[1] if penalized else J

    def _unit(self, state: State) -> np.ndarray:
        """Sizes of states that are to their spread as the noise is to the data's."""
        measured = self.shooting.pieces.counts.any(axis=(0, 1))
        spread = np.std(state.starts, axis=0)
        spread = np.maximum(spread, 0.1 * np.sqrt(np.mean(state.starts**2, axis=0)))
        part = np.min((state.noise / self.spread)[measured])
        return part * np.where(spread > 0, spread, 1.0)

    def _moving(self) -> np.ndarray:
        """One for each unknown that is free, zero for starts that are given."""
        starts = np.ones(self.shooting.pieces.states[:, 0].shape)
        if self.initial is not None:
            starts[self.shooting.pieces.first] = 0.0
        return np.concatenate([np.ones(int(self.free.sum())), starts.reshape(-1)])

    def left(self, state: State) -> np.ndarray:
        """What is shown less what was measured, zero where nothing was."""
        pieces = self.shooting.pieces
        shown, _ = self.shooting.paths(state.c, state.starts)
        return np.where(pieces.counts, shown - pieces.seen, 0.0)

    def misfit(self, state: State) -> float:
        """What is left in units of the noise, root mean square."""
        left = self.left(state) / state.noise
        return float(np.sqrt(np.sum(left**2) / self.shooting.pieces.counts.sum()))

    def missed(self, state: State) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What is left of each column that was measured, root mean square.

        As it is, in units of the noise that the column has by itself, and as a part of
        its spread.
        """
        number = self.shooting.pieces.counts.sum(axis=(0, 1))
        used = number > 0
        size = np.sum(self.left(state) ** 2, axis=(0, 1))[used]
        columns = np.sqrt(size / number[used])
        return columns, columns / self.own_noise[used], columns / self.spread[used]

    def _noise(self, state: State) -> np.ndarray:
        """The standard deviation of each column by what is left of it."""
        pieces = self.shooting.pieces
        used = float(self._moving().sum()) - len(state.precision) + state.determined
        if state.joined:
            used -= pieces.joined.sum() * pieces.size
        total = float(pieces.counts.sum())
        freedom = max(total - used, 1.0) / total
        number = pieces.counts.sum(axis=(0, 1))
        size = np.sum(self.left(state) ** 2, axis=(0, 1)) / np.maximum(number, 1)
        noise = np.where(number > 0, np.sqrt(size / freedom), state.noise)
        return np.maximum(noise, 1e-10 * self.spread)

    def shown(self, state: State) -> list[Trajectories]:
        """The fitted motions at the times of the measured ones."""
        shown, _ = self.shooting.paths(state.c, state.starts)
        pieces, found, row = self.shooting.pieces, [], 0
        lengths = np.sum(np.diff(pieces.t, axis=1) > 0, axis=1) + 1
        for each in self.seen:
            parts: list[Any] = []
            while True:
                goes_on = bool(pieces.joined[row])
                parts.append(shown[row, : lengths[row] - goes_on])
                row += 1
                if not goes_on:
                    break
            states = np.concatenate(parts)[None, :, : pieces.size]
            q, other = np.split(states, 2, axis=2)
            found.append(each._replace(y=type(each.y)(q, other), rate=None))
        return found


def beside_starts(J: np.ndarray, k: int) -> np.ndarray:
    """The columns of k constants without what starts can take up, (m, k)."""
    own, rest = J[:, :k], J[:, k:]
    rest = rest[:, np.linalg.norm(rest, axis=0) > 0]
    if not rest.shape[1]:
        return own
    basis, _ = np.linalg.qr(rest / np.linalg.norm(rest, axis=0))
    # Twice, since the rows that join pieces are many orders above the others.
    for _ in range(2):
        own = own - basis @ (basis.T @ own)
    return own
