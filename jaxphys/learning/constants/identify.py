"""Constants of a known law from measurements, with errors, and what is not determined.

The whole record is fitted by multiple shooting: constants and the start of each piece
together, by Levenberg–Marquardt, while the rows that join the pieces grow in weight.
The noise of each column is estimated from what is left, and the covariance of the
constants is that of linearised least squares, s² (JᵀJ)⁻¹.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxphys.data import check_trajectories, noise_levels
from jaxphys.learning.constants.errors import errors_of
from jaxphys.learning.constants.law import Law, law_of
from jaxphys.learning.constants.least_squares import levenberg_marquardt
from jaxphys.learning.constants.result import Identified
from jaxphys.learning.constants.shooting import Shooting, cut, half_period
from jaxphys.types import PyTree, System, Trajectories

__all__ = ["identify"]

#: Weights of the rows that join pieces, in units of the noise, one stage each.
_WEIGHTS = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4)

#: Rows of a piece at most and least, pieces at most, and steps in half a period.
_LONGEST, _SHORTEST, _MANY, _STEPS = 50, 8, 150, 20

#: Joining pieces may raise the misfit by this factor; more, and they are not joined.
_WORSE = 3.0

#: An integration error above this part of the noise asks for smaller steps, up to so
#: many between two times.
_STEP_ERROR, _MOST_STEPS = 1e-4, 256


def identify(
    law: System | Callable,
    trajectories: Sequence[Trajectories],
    constants: PyTree = None,
    *,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    friction: Sequence[str] | Mapping[str, float] = (),
    sensors: Sequence[str] | Mapping[str, float] = (),
    kind: str | None = None,
    initial: Sequence[float] | None = None,
    inputs: str = "held",
    rows: int | None = None,
    substeps: int | None = None,
) -> Identified:
    """Find the constants of a law, and where each motion began.

    Args:
      law: a system, an energy H(params, q, p) or L(params, q, v), or a vector field
        f(t, y, params), of states or of vectors (q, v); with inputs, f(t, y, (params,
        u)).
      trajectories: measured, N = 1 each, with times as uneven as they are. Positions
        alone will do. Inputs u push an energy as generalized forces.
      constants: where to begin, as the law takes them: a NamedTuple, a dict or an
        array of numbers. Of a system, a dict of those that are not its own. They may
        have either sign.
      fixed: names of constants that are known; their values are those of `constants`.
      bounds: name → (low, high), such as {"mass": (0, inf)}.
      friction: "viscous", "coulomb", "quadratic": constants to add to an energy; a
        dict says where they begin.
      sensors: "scale_v", "offset_q" and so on: what is shown is scale · true + offset;
        likewise.
      kind: "hamiltonian", "lagrangian" or "field", where the names of the function's
        arguments do not tell.
      initial: the state, (2n,), in which every motion began; None to find it.
      inputs: "held" until the next time, or "linear" to it.
      rows: of a piece; by default half a period of the motion, 50 at most.
      substeps: integrator steps between two times; by default as many as half the step
        makes no difference beside the noise.

    Returns:
      An `Identified`: values with standard errors and correlations, and in words what
      these data do not determine. It prints as a table.

    Raises:
      ValueError: for laws, constants and data that do not fit, and with x64 off.

    Example:
      >>> import jax.numpy as jnp
      >>> jax.config.update("jax_enable_x64", True)
      >>> from jaxphys import data
      >>> t = np.linspace(0.0, 6.0, 61)
      >>> swing = {"t": t, "q": np.cos(2 * t), "v": -2 * np.sin(2 * t)}
      >>> def field(t, y, k):
      ...     return jnp.stack([y[1], -k["stiffness"] * y[0]])
      >>> seen = data.trajectories_from(swing)
      >>> found = identify(field, seen, {"stiffness": 3.0})
      >>> round(found.constants["stiffness"], 3)
      4.0

    Reference: Bock, 1983, for multiple shooting; Seber & Wild, Nonlinear Regression,
    1989, § 2.1, for the errors.
    """
    if jax.numpy.zeros(()).dtype != np.float64:
        raise ValueError(
            "constants are found in float64, which is off in JAX; turn it on with "
            'jax.config.update("jax_enable_x64", True).'
        )
    if inputs not in ("held", "linear"):
        raise ValueError(f'inputs is {inputs!r}; expected "held" or "linear".')
    seen = _checked(trajectories)
    made = law_of(
        law, constants, seen[0], kind=kind, friction=friction, sensors=sensors
    )
    free, low, high = _limits(made, fixed, bounds or {})
    usual = half_period(seen)
    if rows is None:
        total = sum(len(each.t) for each in seen)
        rows = max(int(np.clip(usual, _SHORTEST, _LONGEST)), total // _MANY)
    elif rows < 2:
        raise ValueError(f"rows is {rows}; expected 2 or more in a piece.")
    pieces = cut(seen, rows, inputs == "linear")
    shooting = Shooting(made, pieces, free)
    shooting.substeps = substeps or max(int(np.ceil(_STEPS / usual)), 1)
    problem = _Problem(made, seen, free, (low, high), initial)
    while substeps is None and not problem.begins_finite(shooting):
        if shooting.substeps >= _MOST_STEPS:
            break
        shooting.substeps *= 2
    state = problem.solve(shooting)
    while substeps is None and problem.step_error(shooting, state) > _STEP_ERROR:
        if shooting.substeps >= _MOST_STEPS:
            break
        shooting.substeps *= 2
        state = problem.solve(shooting, state)
    return problem.result(shooting, state)


def _checked(trajectories: Sequence[Trajectories]) -> list[Trajectories]:
    if isinstance(trajectories, Trajectories) or not trajectories:
        raise ValueError(
            "identify expects a list of Trajectories, N = 1 each, and one at least; "
            "put one alone in brackets."
        )
    seen = [check_trajectories(each) for each in trajectories]
    kinds = {(type(each.y), each.y.q.shape[2], each.u is None) for each in seen}
    if len(kinds) > 1:
        raise ValueError(
            "the trajectories differ in kind: in coordinates, in momenta or "
            "velocities, or in inputs; expected motions of one system."
        )
    for number, each in enumerate(seen):
        if each.y.q.shape[0] != 1:
            raise ValueError(
                f"trajectory {number} of the list is {each.y.q.shape[0]} in one; "
                "expected each alone: divide them with jaxphys.data.separate."
            )
        if len(each.t) < 2:
            raise ValueError(
                f"trajectory {number} of the list has one time; expected 2 or more: "
                "leave it out."
            )
    return seen


def _limits(
    law: Law, fixed: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which constants are free, and their bounds."""
    for name in (*fixed, *bounds):
        if name not in law.names:
            raise ValueError(
                f"there is no constant {name}; there are {', '.join(law.names)}."
            )
    free = np.array([name not in fixed for name in law.names])
    if not free.any():
        raise ValueError("all constants are fixed: nothing is left to find.")
    low, high = (np.full(len(free), sign * np.inf) for sign in (-1, 1))
    for name, (least, most) in bounds.items():
        i = law.names.index(name)
        low[i], high[i] = least, most
        if not least <= law.start[i] <= most:
            raise ValueError(
                f"{name} begins at {law.start[i]:g}, outside of its bounds {least:g} "
                f"to {most:g}; begin within them."
            )
    for name, x in zip(law.names, law.start, strict=True):
        if not np.isfinite(x):
            raise ValueError(f"{name} begins at {x}; expected a finite number.")
    return free, low[free], high[free]


class _State(NamedTuple):
    """Where a search stands: constants, starts, noise, and how pieces are joined."""

    c: np.ndarray
    starts: np.ndarray
    noise: np.ndarray
    weight: float = 0.0
    joined: bool = True


class _Problem:
    """The unknowns, and the stages in which they are found."""

    def __init__(self, law, seen, free, bounds, initial):
        self.law, self.seen, self.free = law, seen, free
        self.low, self.high = bounds
        n = seen[0].y.q.shape[2]
        self.initial = None if initial is None else np.asarray(initial, float)
        if self.initial is not None and self.initial.shape != (2 * n,):
            raise ValueError(
                f"initial has shape {self.initial.shape}; expected ({2 * n},), "
                "positions and velocities or momenta."
            )
        every = np.concatenate([np.concatenate(x.y, axis=2)[0] for x in seen])
        self.spread = np.std(every, axis=0)
        self.spread = np.where(self.spread > 0, self.spread, 1.0)
        self.own_noise = self._own_noise()

    def step_error(self, shooting: Shooting, state: _State) -> float:
        """The error of integration in units of the noise, root mean square."""
        error = shooting.step_error(state.c, state.starts) / state.noise
        return float(np.sqrt(np.mean(error[shooting.pieces.counts] ** 2)))

    def begins_finite(self, shooting: Shooting) -> bool:
        """Whether steps are short enough for the constants of the beginning."""
        c = self.law.start
        return bool(np.all(np.isfinite(shooting.paths(c, shooting.entered(c))[0])))

    def solve(self, shooting: Shooting, before: _State | None = None) -> _State:
        """All stages, and the noise of each column by what is left.

        Args:
          shooting: the compiled problem.
          before: where a search with longer steps ended.
        """
        if before is not None:
            return self._finished(shooting, before)
        c = self.law.start.copy()
        starts = shooting.entered(c)
        if self.initial is not None:
            starts[shooting.pieces.first] = self.initial
        if not np.all(np.isfinite(starts)):
            raise ValueError(
                "no finite state shows what was measured at these constants; begin "
                "nearer to the truth."
            )
        state = _State(c, starts, self.own_noise)
        apart = np.inf
        for weight in _WEIGHTS:
            new = self._stage(shooting, state, weight)
            misfit = self._misfit(shooting, new)
            if weight <= 1:
                apart = misfit
            elif misfit > _WORSE * apart:
                # The law does not hold for longer than a piece, or the motion is
                # chaotic for longer than it was measured well enough.
                state = state._replace(joined=not np.any(shooting.pieces.joined))
                break
            state = new
        return self._finished(shooting, state)

    def _finished(self, shooting: Shooting, state: _State) -> _State:
        """The last stage again, until the noise is that of what is left."""
        for _ in range(3):
            noise = self._noise(shooting, state)
            same = np.allclose(noise, state.noise, rtol=0.02)
            state = self._stage(shooting, state._replace(noise=noise), state.weight)
            if same:
                break
        return state

    def _own_noise(self) -> np.ndarray:
        """The noise of each column by itself, without the law."""
        longest = max(self.seen, key=lambda each: len(each.t))
        if len(longest.t) < 11:
            return 0.05 * self.spread
        level = noise_levels(longest.t, np.concatenate(longest.y, axis=2))
        return np.maximum(level, 1e-4 * self.spread)

    def _stage(self, shooting: Shooting, state: _State, weight: float) -> _State:
        """The least squares of one weight."""
        k, shape = int(self.free.sum()), state.starts.shape
        moving = self._moving(shooting)
        unit = self._unit(shooting, state) / weight

        def split(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            c = state.c.copy()
            c[self.free] = x[:k]
            return c, x[k:].reshape(shape)

        def linearised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            r, J = shooting.residuals(*split(x), state.noise, unit)
            return r, J * moving

        wide = np.full(state.starts.size, np.inf)
        found = levenberg_marquardt(
            linearised,
            np.concatenate([state.c[self.free], state.starts.reshape(-1)]),
            low=np.concatenate([self.low, -wide]),
            high=np.concatenate([self.high, wide]),
            scaled_by=slice(None, shooting.measured_rows),
        )
        c, starts = split(found.x)
        return state._replace(c=c, starts=starts, weight=weight)

    def _unit(self, shooting: Shooting, state: _State) -> np.ndarray:
        """Sizes of states that are to their spread as the noise is to the data's."""
        measured = shooting.pieces.counts.any(axis=(0, 1))
        spread = np.std(state.starts, axis=0)
        spread = np.maximum(spread, 0.1 * np.sqrt(np.mean(state.starts**2, axis=0)))
        part = np.min((state.noise / self.spread)[measured])
        return part * np.where(spread > 0, spread, 1.0)

    def _moving(self, shooting: Shooting) -> np.ndarray:
        """One for each unknown that is free, zero for starts that are given."""
        starts = np.ones(shooting.pieces.seen[:, 0].shape)
        if self.initial is not None:
            starts[shooting.pieces.first] = 0.0
        return np.concatenate([np.ones(int(self.free.sum())), starts.reshape(-1)])

    def _left(self, shooting: Shooting, state: _State) -> np.ndarray:
        """What is shown less what was measured, zero where nothing was."""
        shown, _ = shooting.paths(state.c, state.starts)
        return np.where(shooting.pieces.counts, shown - shooting.pieces.seen, 0.0)

    def _misfit(self, shooting: Shooting, state: _State) -> float:
        left = self._left(shooting, state) / state.noise
        return float(np.sqrt(np.sum(left**2) / shooting.pieces.counts.sum()))

    def _noise(self, shooting: Shooting, state: _State) -> np.ndarray:
        """The standard deviation of each column by what is left of it."""
        pieces = shooting.pieces
        used = float(self._moving(shooting).sum())
        if state.joined:
            used -= pieces.joined.sum() * pieces.seen.shape[2]
        total = float(pieces.counts.sum())
        freedom = max(total - used, 1.0) / total
        number = pieces.counts.sum(axis=(0, 1))
        left = self._left(shooting, state)
        size = np.sum(left**2, axis=(0, 1)) / np.maximum(number, 1)
        noise = np.where(number > 0, np.sqrt(size / freedom), state.noise)
        return np.maximum(noise, 1e-10 * self.spread)

    def result(self, shooting: Shooting, state: _State) -> Identified:
        """Errors, correlations, and what is not determined."""
        unit = self._unit(shooting, state) / state.weight
        _, J = shooting.residuals(state.c, state.starts, state.noise, unit)
        J = J * self._moving(shooting)
        every = dict(zip(self.law.names, state.c.tolist(), strict=True))
        names = [n for n, f in zip(self.law.names, self.free, strict=True) if f]
        left, counts = self._left(shooting, state), shooting.pieces.counts
        number = counts.sum(axis=(0, 1))
        measured = number > 0
        columns = np.sqrt(np.sum(left**2, axis=(0, 1))[measured] / number[measured])
        return Identified(
            names=tuple(names),
            values=state.c[self.free],
            errors=errors_of(J, state.c[self.free], names),
            fixed={name: x for name, x in every.items() if name not in names},
            noise=state.noise,
            rms=float(np.sqrt(np.sum(left**2) / counts.sum())),
            rms_of_columns=columns,
            params=self.law.params(state.c),
            starts=state.starts[shooting.pieces.first],
            joined=state.joined,
            substeps=shooting.substeps,
            shown=self._shown(shooting, state),
            at_bound=self._at_bound(state, names),
            missed=tuple(np.round(columns / self.own_noise[measured], 1).tolist()),
            missed_part=tuple((columns / self.spread[measured]).tolist()),
            law=self.law,
            every=state.c,
            step=float(np.median(np.concatenate([np.diff(x.t) for x in self.seen])))
            / shooting.substeps,
        )

    def _at_bound(self, state: _State, names: Sequence[str]) -> tuple[str, ...]:
        c = state.c[self.free]
        return tuple(
            name
            for name, x, a, b in zip(names, c, self.low, self.high, strict=True)
            if x <= a or x >= b
        )

    def _shown(self, shooting: Shooting, state: _State) -> list[Trajectories]:
        """The fitted motions at the times of the measured ones."""
        shown, _ = shooting.paths(state.c, state.starts)
        pieces, found, row = shooting.pieces, [], 0
        lengths = np.sum(np.diff(pieces.t, axis=1) > 0, axis=1) + 1
        for each in self.seen:
            parts: list[Any] = []
            while True:
                goes_on = bool(pieces.joined[row])
                parts.append(shown[row, : lengths[row] - goes_on])
                row += 1
                if not goes_on:
                    break
            q, other = np.split(np.concatenate(parts)[None], 2, axis=2)
            found.append(each._replace(y=type(each.y)(q, other), rate=None))
        return found
