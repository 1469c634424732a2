"""What identification gives: constants with errors, printed as a table."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxphys.learning.constants.bound import BoundLaw
from jaxphys.learning.constants.errors import Errors
from jaxphys.learning.constants.extras import FRICTIONS
from jaxphys.learning.constants.law import Measured
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.rollouts import rollouts
from jaxphys.types import PyTree, Trajectories

__all__ = ["Identified", "misses_something"]

#: A standard error above this part of the value is told, and so are correlations
#: beyond the second number.
_WEAK, _TIED = 0.3, 0.95

#: Residuals this many times the noise, and this part of the motion, are not noise.
_MISSED, _MISSED_PART = 5.0, 0.02

#: A constant that is so many times its first value was not found.
_FAR = 1e5


class Identified(NamedTuple):
    """Constants of a law, found from measurements.

    Attributes:
      names: of the constants that were free.
      values: of these; those that are not determined stayed near where they began.
      errors: their standard errors and correlations, and what is not determined.
      fixed: name → value of the others.
      noise: standard deviation of each column, (2n,), positions first.
      rms: root mean square of what is left, over all numbers.
      rms_of_columns: the same of each column that was measured.
      params: all constants in the form in which the law takes them.
      starts: where each trajectory begins, (N, 2n).
      joined: whether each trajectory was followed from its beginning to its end; where
        not, from piece to piece.
      substeps: integrator steps between two times.
      shown: the fitted motions, at the times of the measured ones.
      at_bound: names of constants that ended at a bound.
      missed: what is left of each column in units of the noise that it has by itself.
      missed_part: what is left of each column as a part of its spread.
      law: the motion as one vector field of one vector of constants.
      every: all constants in the order of `law.names`, fixed and open ones included.
      step: the time step with which the motion was integrated.
      measured: what was measured.
      linear: whether inputs change linearly to the next time, or are held.
    """

    names: tuple[str, ...]
    values: np.ndarray
    errors: Errors
    fixed: Mapping[str, float]
    noise: np.ndarray
    rms: float
    rms_of_columns: np.ndarray
    params: PyTree
    starts: np.ndarray
    joined: bool
    substeps: int
    shown: list[Trajectories]
    at_bound: tuple[str, ...]
    missed: tuple[float, ...]
    missed_part: tuple[float, ...]
    law: Law
    every: np.ndarray
    step: float
    measured: Measured
    linear: bool

    def follow(
        self, ts: np.ndarray, start: np.ndarray | None = None, u: Any = None
    ) -> Trajectories:
        """The motion by these constants at given times, as the sensors would show it.

        Args:
          ts: times, increasing, (T,); the first is that of the start.
          start: the state there, (2n,), such as an entry of `starts`; by default the
            beginning of the first trajectory.
          u: inputs, (T, m), of a law that has some.

        Returns:
          Trajectories, N = 1.

        Raises:
          ValueError: where inputs are missing, or there are some and the law has none.
        """
        if self.law.takes_input != (u is not None):
            wants = "needs inputs u" if self.law.takes_input else "takes no inputs u"
            raise ValueError(f"this law {wants}, (T, m), one row for each time.")
        ts = np.asarray(ts, float)
        z = np.asarray(self.starts[0] if start is None else start, float)
        kind, empty = type(self.shown[0].y), np.zeros((1, len(ts), len(z) // 2))
        inputs = None if u is None else np.asarray(u, float)[None]
        record = Trajectories(ts, kind(empty, empty), u=inputs)
        (path,), _ = rollouts(
            self.law,
            self.every,
            z[None],
            [record],
            substeps=max(int(np.ceil(np.max(np.diff(ts)) / self.step)), 1),
            linear=self.linear,
        )
        return record._replace(y=kind(*np.split(path[None], 2, axis=2)))

    def bound(self, name: str = "law") -> BoundLaw:
        """The law bound to these constants: an energy, a motion, and its errors."""
        places = [self.law.names.index(each) for each in self.names]
        covariance = np.zeros((len(self.every), len(self.every)))
        covariance[np.ix_(places, places)] = self.errors.covariance
        return BoundLaw(
            name,
            self.law,
            self.every,
            covariance,
            self.measured,
            self.step,
            self.linear,
        )

    @property
    def constants(self) -> dict[str, float]:
        """Name → value of those that the data determine."""
        lost = self.errors.undetermined
        pairs = zip(self.names, self.values, strict=True)
        return {name: float(x) for name, x in pairs if name not in lost}

    @property
    def standard_errors(self) -> dict[str, float]:
        """Name → standard error of those that the data determine."""
        pairs = dict(zip(self.names, self.errors.standard, strict=True))
        return {name: float(pairs[name]) for name in self.constants}

    @property
    def warnings(self) -> list[str]:
        """What to know before the numbers are used."""
        constants, errors = self.constants, self.standard_errors
        begun = dict(zip(self.law.names, np.asarray(self.law.start), strict=True))
        found = [
            f"{name} ran away, from {begun[name]:.3g} to {x:.2g}: no constants near "
            "where the search began have the motion of these data; begin nearer to "
            f"them, or bound {name}"
            for name, x in constants.items()
            if begun[name] and abs(x) > _FAR * abs(begun[name])
        ]
        found += self.errors.combinations
        found += [f"{name} ended at a bound" for name in self.at_bound]
        found += [
            f"{name} is weakly determined: its standard error is "
            f"{errors[name] / abs(x):.2g} times its value"
            for name, x in constants.items()
            if x and errors[name] > _WEAK * abs(x)
        ]
        found += [
            f"{name} is negative, as no friction is: bound it by {name}=0: or look for "
            "what else acts"
            for name, x in constants.items()
            if name.rstrip("0123456789") in FRICTIONS and x < -2 * errors[name]
        ]
        ties = [
            (abs(self.errors.correlations[i, j]), f"{self.names[j]} and {first}")
            for i, first in enumerate(self.names)
            for j in range(i)
            if {first, self.names[j]} <= set(constants)
        ]
        tied = [f"{pair} {x:.3f}" for x, pair in sorted(ties)[::-1] if x > _TIED]
        if tied:
            found.append(f"told apart poorly, by correlation: {', '.join(tied)}")
        found += misses_something(self.missed, self.missed_part)
        if not self.joined:
            found.append(
                "the pieces of the record could not be joined: the law is not quite "
                "that of these data, or they are chaotic"
            )
        return found

    def report(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        known = [i for i, name in enumerate(self.names) if name in self.constants]
        ties = self.errors.correlations
        return {
            "constants": self.constants,
            "standard_errors": self.standard_errors,
            "fixed": dict(self.fixed),
            "undetermined": list(self.errors.undetermined),
            "correlations": {
                self.names[i]: {self.names[j]: float(ties[i, j]) for j in known}
                for i in known
            },
            "noise": self.noise.tolist(),
            "rms": self.rms,
            "rms_of_columns": self.rms_of_columns.tolist(),
            "starts": self.starts.tolist(),
            "joined": bool(self.joined),
            "substeps": int(self.substeps),
            "warnings": self.warnings,
        }

    def rows(self) -> list[list[str]]:
        """Name, value and error of each constant, for people."""
        rows = []
        every = zip(self.names, self.values, self.errors.standard, strict=True)
        for name, x, error in every:
            if name in self.errors.undetermined:
                rows.append([name, "–", "not determined"])
            else:
                rows.append([name, _digits(x, error), f"± {error:.2g}"])
        return rows + [[name, f"{x:.6g}", "fixed"] for name, x in self.fixed.items()]

    def __str__(self) -> str:
        rows = self.rows()
        width = [max(len(row[i]) for row in rows) for i in range(2)]
        lines = [
            f"{name:<{width[0]}}  {x:>{width[1]}}  {error}" for name, x, error in rows
        ]
        columns = ", ".join(f"{x:.4g}" for x in self.rms_of_columns)
        lines.append(f"rms of what is left {self.rms:.4g}; of each column {columns}")
        return "\n".join([*lines, *(f"note: {text}" for text in self.warnings)])


def misses_something(times: Iterable[float], parts: Iterable[float]) -> list[str]:
    """A sentence where a law misses something, else none.

    Args:
      times: what is left of each column in units of its noise.
      parts: the same as a part of the column's spread.

    Example:
      >>> misses_something([1.1, 4.0], [0.01, 0.2])
      []
    """
    missed = [
        x
        for x, part in zip(times, parts, strict=True)
        if x > _MISSED and part > _MISSED_PART
    ]
    if not missed:
        return []
    return [
        f"what is left is {max(missed):.2g} times the noise of the data: the law "
        "misses something, such as a friction, a force or a delay, and the errors "
        "above are too small"
    ]


def _digits(x: float, error: float) -> str:
    """A number with two digits of its error."""
    if not (np.isfinite(error) and error > 0):
        return f"{x:.6g}"
    places = int(np.clip(1 - np.floor(np.log10(error)), 0, 12))
    return f"{x:.{places}f}"
