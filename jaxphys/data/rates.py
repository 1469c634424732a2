"""What is matched of measurements: rates, and the inputs that belong to them.

What an input does between two times decides both. Where it is held, as a controller's
is, accelerations jump at every time; where it is the sample of a smooth signal, as a
sensor's is, they do not. Clean motions show which of the two it was, and noisy ones do
where an input explains them better half a step later.
"""

from collections.abc import Sequence

import numpy as np

from jaxphys.checks import checked
from jaxphys.data._record import check_kind, has_velocities, listed
from jaxphys.data.hermite import (
    accelerations,
    are_resolved,
    collocated,
    has_corners,
)
from jaxphys.data.smoothing import averaged_inputs, smoothed_trajectories
from jaxphys.names import check_known
from jaxphys.types import TangentState, Trajectories

__all__ = ["INTERSAMPLE", "held_inputs", "intersample_of", "with_rates"]

#: What inputs may do between two times.
INTERSAMPLE = ("held", "linear")


def intersample_of(trajectories: Sequence[Trajectories]) -> str:
    """What inputs do from one time to the next: "held", or "linear".

    Args:
      trajectories: a list, of one source.

    Returns:
      "linear" for clean motions that are pushed and have no corners, `has_corners`, and
      for others where the mean of u over each interval explains the change of v, or of
      p, much better than u at its beginning: by a factor e¹⁰ of the likelihood, beside
      quadratic functions of the state fitted in both cases. Else "held".

    Raises:
      ValueError: for states that are not finite.

    Example:
      >>> t = np.linspace(0.0, 5.0, 50)
      >>> q, v = np.sin(t)[None, :, None], np.cos(t)[None, :, None]
      >>> intersample_of([Trajectories(t, TangentState(q, v), u=-q)])
      'linear'
    """
    found = listed("intersample_of", trajectories)
    if any(each.u is None for each in found):
        return "held"
    linear = not has_corners(found) or _likelier(found) > _LIKELY
    return "linear" if linear else "held"


#: The logarithm of a ratio of likelihoods that is believed.
_LIKELY = 10.0

#: Multiplications that a fit may take, and rows for each fitted number.
_WORK, _FOR_EACH = 1e8, 4


def _likelier(found: Sequence[Trajectories]) -> float:
    """The log-likelihood of linear inputs less that of held ones.

    The change of v over an interval is Δt times a function of the state and of u in its
    middle: what least squares leaves of it tells which u it was.
    """
    rows: list[list[np.ndarray]] = []
    for each in found:
        if each.u is None:
            return 0.0
        dt = np.diff(each.t)[:, None]
        for q, v, u in zip(*each.y, each.u, strict=True):
            middle = [np.sin(q), np.cos(q), q / np.max(np.abs(q), initial=1.0), v]
            y = np.concatenate([np.ones_like(dt), *(_means(x) for x in middle)], axis=1)
            rows.append([y, np.diff(v, axis=0), u[:-1], _means(u), dt])
    y, change, held, linear, dt = map(np.concatenate, zip(*rows, strict=True))
    i, j = np.triu_indices(y.shape[1])
    for features in (y[:, i] * y[:, j], y):
        count = features.shape[1] + held.shape[1] * y.shape[1]
        some = slice(min(len(y), int(_WORK / count**2)))
        if len(y[some]) < _FOR_EACH * count:
            continue
        left = []
        for u in (held, linear):
            pushes = (u[some, :, None] * y[some, None, :]).reshape(len(y[some]), -1)
            columns = dt[some] * np.concatenate([features[some], pushes], axis=1)
            fitted = columns @ np.linalg.lstsq(columns, change[some], rcond=1e-10)[0]
            left.append(np.sum((change[some] - fitted) ** 2, axis=0))
        kept = left[1] > 0
        ratio = np.maximum(left[0][kept] / left[1][kept], 1e-300)
        return float(len(y[some]) / 2 * np.sum(np.log(ratio)))
    return 0.0


def _means(x: np.ndarray) -> np.ndarray:
    """The mean of both ends of each interval."""
    return (x[1:] + x[:-1]) / 2


@checked(trajectories=check_kind)
def held_inputs(trajectories: Trajectories, intersample: str) -> Trajectories:
    """The same with inputs that a rollout may hold from each time to the next.

    Of inputs that are linear to the next time this is the mean of both ends, which
    gives each interval the same impulse; the last one is what it was.

    Args:
      trajectories: the motions; those without inputs stay as they are.
      intersample: "held" or "linear".

    Raises:
      ValueError: for another name.

    Example:
      >>> x, u = np.zeros((1, 3, 1)), np.array([0.0, 1.0, 3.0])[None, :, None]
      >>> pushed = Trajectories(np.arange(3.0), TangentState(x, x), u=u)
      >>> held_inputs(pushed, "linear").u[0, :, 0]
      array([0.5, 2. , 3. ])
    """
    check_known("intersample", intersample, INTERSAMPLE)
    u = trajectories.u
    if u is None or intersample == "held":
        return trajectories
    means = (u[:, :-1] + u[:, 1:]) / 2
    return trajectories._replace(u=np.concatenate([means, u[:, -1:]], axis=1))


def with_rates(
    trajectories: Sequence[Trajectories],
    window: int | None = None,
    *,
    intersample: str = "held",
) -> list[Trajectories]:
    """Motions with rates, and with the inputs that made these rates.

    | data | rates | inputs |
    |---|---|---|
    | with rates | as they are | as they are |
    | noisy: a window | `smoothed_trajectories` | `averaged_inputs` by the same window |
    | clean, q and v, no corners | `accelerations` by five times | at the times |
    | clean, q and v, inputs held | `collocated`: two points an interval | as held |
    | else | differences of the states | as these average them |

    Args:
      trajectories: a list, of one source.
      window: of the smoothing, odd; none below 5, such as 0 or None.
      intersample: what inputs do from one time to the next, "held" or "linear".

    Raises:
      ValueError: where there are too few times, or states that are not finite.

    Example:
      >>> t = np.linspace(0.0, 5.0, 50)
      >>> q, v = np.sin(t)[None, :, None], np.cos(t)[None, :, None]
      >>> (found,) = with_rates([Trajectories(t, TangentState(q, v))])
      >>> bool(np.allclose(found.rate.v, -q, atol=1e-7))
      True
    """
    check_known("intersample", intersample, INTERSAMPLE)
    seen = listed("with_rates", trajectories)
    if (window or 0) >= 5 or any(each.rate is not None for each in seen):
        return [_by_window(each, window, intersample) for each in seen]
    if not has_corners(seen) and (seen[0].u is None or intersample == "linear"):
        rates = [TangentState(x.y[1], accelerations(x.t, *x.y)) for x in seen]
        return [x._replace(rate=r) for x, r in zip(seen, rates, strict=True)]
    moves = all(has_velocities(each) and len(each.t) > 1 for each in seen)
    pushed = seen[0].u is not None and intersample == "held"
    if moves and pushed and are_resolved(seen):
        return [collocated(each) for each in seen]
    return [_by_window(each, None, intersample) for each in seen]


def _by_window(
    each: Trajectories, window: int | None, intersample: str
) -> Trajectories:
    found = smoothed_trajectories(each, window)
    if each.rate is not None:
        return found
    return averaged_inputs(held_inputs(found, intersample), window)
