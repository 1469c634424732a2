"""A look at measurements before anything is learned from them.

How many there are, how noisy, whether angles are wrapped, whether velocities are those
of the positions, and whether the energy of the best conservative fit stays: what a
person would plot first. Each warning comes with what to do.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxphys.data._angles import (
    check_one_each,
    coordinate_names,
    is_seen_to,
    jumps_in_words,
    jumps_of,
    unwrapped,
)
from jaxphys.data._energies import energy_course
from jaxphys.data._record import listed, velocities_derived, velocity_of
from jaxphys.data.rates import intersample_of
from jaxphys.data.smoothing import noise_levels
from jaxphys.types import Trajectories

__all__ = ["Look", "look"]

#: A step this many times the median one is a gap; more than this part is uneven.
_GAP, _UNEVEN = 5.0, 1e-3

#: Velocities agree with positions to this, or to this many standard errors.
_AGREE, _SIGNIFICANT = 0.02, 4.0

#: Energy changes that are told, in units of the kinetic energy's range.
_FALL, _WANDER = 0.03, 0.15

#: What inputs do between two times, for people.
_BETWEEN = {
    "held": "taken as held until the next time",
    "linear": "linear to the next time, as the motion shows",
}

#: The part of a column's spread above which it says little of a motion.
_MOST_NOISE = 0.3


class Look(NamedTuple):
    """What measurements are like.

    Attributes:
      trajectories: the same, with wrapped angles unwrapped.
      periodic: which coordinates are angles, those found included.
      facts: numbers by name, as JSON has them.
      lines: the facts for people, a sentence each.
      warnings: pairs of what may be wrong and what to do about it.
    """

    trajectories: list[Trajectories]
    periodic: tuple[bool, ...]
    facts: dict[str, Any]
    lines: list[str]
    warnings: list[tuple[str, str]]

    @property
    def text(self) -> str:
        """Facts and warnings, a line each."""
        warned = [f"warning: {what}; {cure}" for what, cure in self.warnings]
        return "\n".join([*self.lines, *warned])


def look(
    trajectories: Sequence[Trajectories],
    *,
    periodic: Sequence[bool] = (),
    weights: int | None = None,
    conservative: bool = True,
) -> Look:
    """Look at trajectories, N = 1 each, such as `read_trajectories` gives.

    Args:
      trajectories: a list of motions of one system.
      periodic: which coordinates are angles; by default what their `meta` says, and
        those that jump by whole turns.
      weights: how many a model has that is to be fitted to them.
      conservative: whether that model keeps its energy; energy that falls in the data
        is then a warning.

    Raises:
      ValueError: where there are none, or they are not of one system.

    Example:
      >>> from jaxphys.types import TangentState
      >>> t = np.linspace(0.0, 20.0, 400)
      >>> angle = 1.9 * t
      >>> wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
      >>> y = TangentState(wrapped[None, :, None], np.full((1, 400, 1), 1.9))
      >>> found = look([Trajectories(t, y)])
      >>> found.periodic, bool(np.allclose(found.trajectories[0].y.q[0, :, 0], angle))
      ((True,), True)
      >>> print(found.lines[1])
      angles: q jumps by whole turns 6 times; unwrapped (--periodic says otherwise)
    """
    found = listed("look", trajectories)
    n = found[0].y.q.shape[2]
    given = tuple(map(bool, periodic or found[0].meta.get("periodic") or ()))
    if given:
        check_one_each(given, n)
    if periodic or not all(is_seen_to(each.meta, n) for each in found):
        found, _ = unwrapped(found, given if periodic else None)
    jumps = jumps_of(found)
    angles = given or (False,) * n
    if not periodic:
        angles = tuple(a or bool(j) for a, j in zip(angles, jumps, strict=True))
    facts = {"trajectories": len(found), "periodic": list(angles)}
    seen = Look(found, angles, facts, [], [])
    if said := found[0].meta.get("columns"):
        seen.lines.append(f"columns: {said} (--columns says it otherwise)")
    _counted(seen)
    _angles(seen, jumps)
    _noise(seen)
    _agreement(seen)
    _energy(seen, conservative)
    if weights is not None:
        _enough(seen, weights)
    return seen


def _warn(seen: Look, what: str, cure: str) -> None:
    seen.warnings.append((what, cure))


def _names(found: Sequence[Trajectories], field: str) -> list[str]:
    return coordinate_names(found[0].y.q.shape[2], field)


def _counted(seen: Look) -> None:
    """How many trajectories and points, their steps, and gaps in them."""
    found, facts = seen.trajectories, seen.facts
    points = sum(each.y.q.shape[0] * len(each.t) for each in found)
    steps = np.concatenate([np.diff(each.t) for each in found])
    facts |= {"points": points, "coordinates": found[0].y.q.shape[2]}
    if "units" in found[0].meta:
        facts["units"] = found[0].meta["units"]
    facts["ranges"] = {
        field: [[float(x.min()), float(x.max())] for x in np.concatenate(rows).T]
        for field in found[0].y._fields
        if (rows := [np.concatenate(getattr(each.y, field)) for each in found])
    }
    many = "1 trajectory" if len(found) == 1 else f"{len(found)} trajectories"
    text = f"{many}, {points} points"
    if len(steps):
        usual = float(np.median(steps))
        gaps = int(np.sum(steps > _GAP * usual))
        longest = max(float(each.t[-1] - each.t[0]) for each in found)
        low, high = float(steps.min()), float(steps.max())
        even = high - low < _UNEVEN * usual
        facts |= {"step": usual, "uneven": not even, "gaps": gaps, "longest": longest}
        spread = "" if even else f", uneven from {low:.4g} to {high:.4g}"
        text += f"; steps of {usual:.4g}{spread}; the longest lasts {longest:.5g}"
        if gaps:
            many = "1 step is" if gaps == 1 else f"{gaps} steps are"
            _warn(
                seen,
                f"{many} more than {_GAP:g} times the usual {usual:.4g}",
                "derivatives are poor there: match trajectories, or leave a row "
                "of empty cells there, which divides them",
            )
    if found[0].u is not None:
        m = found[0].u.shape[2]
        between = intersample_of(found)
        facts |= {"inputs": m, "intersample": between}
        text += f"; {m} input{'s' * (m > 1)}, {_BETWEEN[between]}"
    seen.lines.append(text)


def _angles(seen: Look, jumps: Sequence[int]) -> None:
    names = _names(seen.trajectories, "q")
    said = [f"{words}; unwrapped" for words in jumps_in_words(jumps)]
    seen.facts["unwrapped"] = list(jumps)
    still = [
        name
        for name, angle, count in zip(names, seen.periodic, jumps, strict=True)
        if angle and not count
    ]
    if said:
        said[-1] += " (--periodic says otherwise)"
    if said or still:
        seen.lines.append(f"angles: {', '.join([*said, *still])}")


def _noise(seen: Look) -> None:
    """The noise of each column, in units of its own."""
    found = seen.trajectories
    whole = [each for each in found if len(each.t) >= 11]
    if not whole:
        return
    chosen = sorted(whole, key=lambda each: -len(each.t))[:8]
    fields = [
        x for x in found[0].y._fields if x not in found[0].meta.get("derived", ())
    ]
    levels, said = {}, []
    for field in fields:
        rows = [noise_levels(x.t, getattr(x.y, field)) for x in chosen]
        every = np.concatenate([getattr(x.y, field)[0] for x in found])
        # A trajectory that moves little says little of its own spread, so take all.
        spread = np.std(every, axis=0)
        level = np.sqrt(np.mean(np.square(rows), axis=0))
        levels[field] = level.tolist()
        for name, x, s in zip(_names(found, field), level, spread, strict=True):
            part = x / s if s > 0 else 0.0
            said.append(f"{name} {x:.3g} ({100 * part:.2g} %)")
            if part > _MOST_NOISE:
                _warn(
                    seen,
                    f"{100 * part:.2g} % of {name} changes without order from one "
                    "time to the next: noise, or times too far apart to see the "
                    "motion between them",
                    "measure more often; where the numbers themselves are good, "
                    "follow the motion through them: --window 0 --mode "
                    "trajectories --growth 1 2 4 8 --substeps 8",
                )
    seen.facts["noise"] = levels
    seen.lines.append(f"noise, and its part of the spread: {', '.join(said)}")


def _agreement(seen: Look) -> None:
    """Whether velocities are the derivatives of the positions."""
    found = seen.trajectories
    if all(velocity_of(each) is None for each in found):
        return
    n = found[0].y.q.shape[2]
    ratios, good = [], []
    for i, name in enumerate(_names(found, "q")):
        ratio, error, alike = _ratio(found, i)
        ratios.append(ratio)
        off = abs(ratio - 1) > max(_AGREE, _SIGNIFICANT * error)
        if alike < 0.8:
            _warn(
                seen,
                f"the velocity of {name} is not its derivative (correlation "
                f"{alike:.2f})",
                "check which column is which by --columns, and their order",
            )
        elif off:
            _warn(
                seen,
                f"{name} changes by {ratio:.4g} ± {error:.1g} times its velocity",
                _cure_of_ratio(ratio),
            )
        else:
            good.append(name)
    seen.facts["position_by_velocity"] = ratios
    if len(good) == n:
        seen.lines.append("velocities are the derivatives of the positions")


def _cure_of_ratio(ratio: float) -> str:
    if ratio < 0:
        return "one of the two has the wrong sign"
    for factor, what in ((180 / np.pi, "q in degrees"), (np.pi / 180, "v in degrees")):
        if abs(ratio / factor - 1) < 0.1:
            return f"{what}? Name the unit in the column, such as theta [deg]"
    return "scale the velocities, or let jaxphys identify find the scale of the sensor"


def _ratio(found: Sequence[Trajectories], i: int) -> tuple[float, float, float]:
    """dq by ∫v dt: their ratio, its standard error, and how alike they are."""
    moved, expected = [], []
    for each in found:
        v = velocity_of(each)
        if v is None or len(each.t) < 3:
            continue
        x, y = _displacements(each.t, each.y.q[0, :, i], v[0, :, i])
        expected.append(x)
        moved.append(y)
    if not moved:
        return 1.0, np.inf, 1.0
    x, y = np.concatenate(expected), np.concatenate(moved)
    size = float(x @ x)
    if size == 0 or not np.any(y):
        return 1.0, np.inf, 1.0
    ratio = float(x @ y) / size
    left = y - ratio * x
    error = float(np.sqrt(left @ left / max(len(x) - 1, 1) / size))
    return ratio, error, abs(float(x @ y)) / float(np.sqrt(size * (y @ y)))


def _displacements(
    t: np.ndarray, q: np.ndarray, v: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """∫v dt and the change of q over times that are long enough to see it in noise."""
    dt, slope = np.diff(t), np.gradient(v, t)
    # The trapezoidal rule with its first correction, Euler and Maclaurin's.
    area = dt * (v[1:] + v[:-1]) / 2 - dt**2 / 12 * np.diff(slope)
    place = np.concatenate([[0.0], np.cumsum(area)])
    lags = [2**k for k in range(int(np.log2(len(t) / 4)) + 1)] if len(t) >= 8 else [1]
    sizes = [float(np.sqrt(np.mean((place[k:] - place[:-k]) ** 2))) for k in lags]
    lag = next(k for k, x in zip(lags, sizes, strict=True) if x >= max(sizes) / 2)
    return place[lag:] - place[:-lag], q[lag:] - q[:-lag]


def _energy(seen: Look, conservative: bool) -> None:
    """Whether the energy of the best conservative fit stays, falls or wanders."""
    found = seen.trajectories
    course = energy_course(found, seen.periodic)
    if course is None:
        return
    seen.facts["energy"] = course._asdict()
    change = f"{100 * abs(course.change):.2g} % of the kinetic energy"
    if course.change < -_FALL and -course.change > _SIGNIFICANT * course.error:
        text = f"the energy of the best conservative fit falls by {change}"
        if conservative:
            cure = (
                "there is friction: fit dissipative, or lnn or delan with "
                "--dissipation; a conservative model will be wrong"
            )
            if found[0].u is not None:
                text = f"beyond the work of the inputs u, {text}"
                cure = (
                    "there is friction, or u has another sign, unit or delay: fit lnn "
                    "or delan with --dissipation, or port_hamiltonian"
                )
            _warn(seen, text, cure)
        else:
            seen.lines.append(text)
    elif course.wander > _WANDER and course.wander > 2 * _SIGNIFICANT * course.error:
        cure = "it may be driven: give the drive as a column u, and fit lnn or delan"
        if found[0].u is not None:
            cure = (
                "the inputs u do not account for it: check their sign and units, and "
                "whether they are late or something else pushes"
            )
        _warn(
            seen,
            "the energy of the best conservative fit wanders by "
            f"{100 * course.wander:.2g} % of the kinetic energy",
            cure,
        )
    else:
        seen.lines.append("the energy of the best conservative fit stays")


def _enough(seen: Look, weights: int) -> None:
    """Whether there are as many numbers as a model has weights."""
    found, facts = seen.trajectories, seen.facts
    n = found[0].y.q.shape[2]
    measured = 1 if velocities_derived(found[0]) else 2
    numbers = measured * n * facts["points"]
    facts |= {"numbers": numbers, "weights": weights}
    seen.lines.append(f"{numbers} numbers for {weights} weights")
    if numbers < weights:
        _warn(
            seen,
            f"there are {numbers} numbers and {weights} weights",
            "the held-out loss ends the training; a smaller network (--hidden 8 "
            "8) or more data are safer, and jaxphys identify needs least",
        )
