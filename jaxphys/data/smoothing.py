"""Time derivatives of measured motions, and their smoothing.

For clean data, the slope of the parabola through three neighboring times; for noisy
data, that of a polynomial fitted to a window of times by least squares, after Savitzky
& Golay (1964), here at uneven times. Generalized cross-validation (Golub, Heath &
Wahba, 1979) chooses the width of the window.
"""

import jax
import numpy as np

from jaxphys.checks import check_count, check_numbers, checked
from jaxphys.data._record import (
    check_kind,
    check_trajectories,
    series,
    window_within,
)
from jaxphys.types import Trajectories

__all__ = [
    "averaged_inputs",
    "derivatives",
    "noise_levels",
    "smoothed",
    "smoothed_trajectories",
    "suggest_window",
    "with_derivatives",
]

#: Most numbers that one block of windows may hold.
_BLOCK = 2**22


@checked(t=check_numbers, x=check_numbers, window=check_count, order=check_count)
def derivatives(
    t: np.ndarray,
    x: np.ndarray,
    *,
    window: int | None = None,
    order: int | None = None,
) -> np.ndarray:
    """dx/dt at each time, of the second order or by local polynomials.

    Without a window, between two neighbors at distances a behind and b ahead,
    ẋ = [a² x(t + b) − b² x(t − a) + (b² − a²) x(t)] / (a b (a + b)),
    one-sided at the ends; its error falls as the step squared. With a window, it is
    the slope of the polynomial fitted to the nearest times: noise of standard deviation
    σ then leaves an error of about σ / (dt w^(3/2)) in place of σ / dt.

    Args:
      t: times, increasing, shape (T,); uneven steps are allowed.
      x: shape (..., T, n).
      window: w, how many times are fitted at once, odd; at the ends these are the first
        or the last w times. None for the three-point formula.
      order: degree of the polynomial, below w; by default 2, and 3 where w ≥ 7.

    Returns:
      dx/dt, shape (..., T, n), in the dtype of x, in units of x by units of t.

    Raises:
      ValueError: on invalid shapes, times and windows.

    Example:
      >>> t = np.array([0.0, 1.0, 3.0, 4.0])
      >>> derivatives(t, t[:, None] ** 2)[:, 0]
      array([0., 2., 6., 8.])

    Reference: Savitzky & Golay, Analytical Chemistry 36, 1964.
    """
    t, x, dtype = series("derivatives", t, x, least=3)
    if window is not None:
        return _fitted(t, x, window, order, slope=True)[0].astype(dtype)
    if order is not None:
        raise ValueError(
            f"order is {order} and window is None; give a window, or leave out order."
        )
    return np.gradient(x, t, axis=-2, edge_order=2).astype(dtype)


@checked(t=check_numbers, x=check_numbers, window=check_count, order=check_count)
def smoothed(
    t: np.ndarray, x: np.ndarray, window: int, order: int | None = None
) -> np.ndarray:
    """Values of the local polynomials whose slopes are `derivatives`.

    Args:
      t: times, increasing, shape (T,).
      x: shape (..., T, n).
      window: how many times are fitted at once, odd.
      order: degree of the polynomial, below the window; by default 2, and 3 where the
        window is 7 or more.

    Returns:
      Shape (..., T, n), in the dtype of x.

    Raises:
      ValueError: on invalid shapes, times and windows.

    Example:
      >>> noise = np.array([[0.0], [0.0], [1.0], [0.0], [0.0]])
      >>> smoothed(np.arange(5.0), noise, 5)[2].round(3)
      array([0.486])
    """
    t, x, dtype = series("smoothed", t, x, least=1)
    return _fitted(t, x, window, order)[0].astype(dtype)


def _degree(window: int, order: int | None, total: int) -> int:
    if int(window) != window or window < 3 or window % 2 == 0:
        raise ValueError(
            f"window is {window}; expected an odd number of times ≥ 3, with as many "
            "ahead as behind."
        )
    if window > total:
        raise ValueError(
            f"window is {window}, and there are {total} times; lower it to "
            f"{total - 1 + total % 2} or less."
        )
    degree = (3 if window >= 7 else 2) if order is None else order
    if int(degree) != degree or not 1 <= degree < window:
        raise ValueError(
            f"order is {degree}; expected a whole number from 1 to {window - 1}, as "
            f"the window has {window} times."
        )
    return int(degree)


def _weights(
    t: np.ndarray, rows: np.ndarray, window: int, order: int, slope: bool
) -> tuple[np.ndarray, np.ndarray]:
    """For each of these times, the start of its window and the weights in it.

    The coefficients c of a window's polynomial solve VᵀV c = Vᵀ x, with V the powers of
    its times, and the value or slope is φ·c: the weights are V (VᵀV)⁻¹ φ.
    """
    starts = np.clip(rows - window // 2, 0, len(t) - window)
    near = t[starts[:, None] + np.arange(window)]
    # Times are scaled to [−1, 1], where VᵀV is best conditioned.
    middle, half = (near[:, -1] + near[:, 0]) / 2, (near[:, -1] - near[:, 0]) / 2
    degrees = np.arange(order + 1)
    powers = ((near - middle[:, None]) / half[:, None])[..., None] ** degrees
    here = ((t[rows] - middle) / half)[:, None]
    if slope:
        wanted = degrees * here ** np.maximum(degrees - 1, 0) / half[:, None]
    else:
        wanted = here**degrees
    normal = np.swapaxes(powers, 1, 2) @ powers
    weights = powers @ np.linalg.solve(normal, wanted[..., None])
    return starts, weights[..., 0]


def _fitted(
    t: np.ndarray, x: np.ndarray, window: int, order: int | None, slope: bool = False
) -> tuple[np.ndarray, float]:
    """The fit S x, or its slope, and tr S, in blocks of times that memory can hold."""
    order = _degree(window, order, len(t))
    out, trace = np.empty_like(x), 0.0
    near = np.lib.stride_tricks.sliding_window_view(x, window, axis=-2)
    lines = max(x.size // len(t), order + 1)
    block = max(_BLOCK // (window * lines), 1)
    for first in range(0, len(t), block):
        rows = np.arange(first, min(first + block, len(t)))
        starts, weights = _weights(t, rows, window, order, slope)
        out[..., rows, :] = np.einsum(
            "...tnw,tw->...tn", near[..., starts, :, :], weights
        )
        trace += float(np.sum(weights[np.arange(len(rows)), rows - starts]))
    return out, trace


#: Smaller noise, relative to the largest value or to the typical slope, is ignored.
_NO_NOISE, _HARMLESS = 1e-6, 1e-2

#: The most data that are read to choose a window: trajectories, and times of each.
_MOST = (8, 2048)

#: The widest window that is tried.
_WIDEST = 501


def suggest_window(t: np.ndarray, x: np.ndarray) -> int | None:
    """The best window for noisy data, or None where the data are not noisy.

    It has the least generalized cross-validation score r²/(1 − 1.4 tr S/T)², with
    residuals r and smoothing matrix S, among windows each a quarter wider than the one
    before. The factor is 1.4 since a derivative needs a wider window than the value
    does, and since a factor of 1 sometimes chooses a window much too narrow. The score
    of a coordinate is taken relative to its own least one. A coordinate is free of
    noise where the narrowest window is the best, and where its noise, estimated by the
    residuals of the least score, is below a millionth of its largest value or changes
    a three-point derivative by less than a hundredth. At most 8 trajectories, 2048
    times and windows up to 501 are tried.

    Args:
      t: times, increasing, shape (T,).
      x: shape (..., T, n).

    Returns:
      An odd number of times for `derivatives` and `smoothed`; None also for fewer than
      11 times, which are too few.

    Raises:
      ValueError: on invalid shapes and times.

    Example:
      >>> t = np.linspace(0.0, 10.0, 500)
      >>> x = np.sin(t)[:, None]
      >>> suggest_window(t, x)
      >>> noise = np.random.default_rng(0).normal(size=(500, 1))
      >>> suggest_window(t, x + 0.02 * noise) > 31
      True

    Reference: Golub, Heath & Wahba, Technometrics 21, 1979; for the factor, Cummins,
    Filloon & Nychka, Journal of the American Statistical Association 96, 2001.
    """
    t, x, dtype = series("suggest_window", t, x, least=1)
    if len(t) < 11:
        return None
    t, x = _some(t, x)
    windows, scores, best, sigma = _scored(t, x)
    slope = np.array(
        [
            np.sqrt(np.mean(derivatives(t, x[..., [i]], window=windows[w]) ** 2))
            for i, w in enumerate(best)
        ]
    )
    step = (t[-1] - t[0]) / (len(t) - 1)
    floor = max(_NO_NOISE, 100 * float(np.finfo(dtype).eps))
    noisy = (
        (best > 0)
        & (sigma > floor * np.max(np.abs(x), axis=(0, 1)))
        & (sigma / (np.sqrt(2) * step) > _HARMLESS * slope)
    )
    if not noisy.any():
        return None
    relative = scores[:, noisy] / scores[:, noisy].min(axis=0)
    return windows[int(np.argmin(relative.mean(axis=1)))]


@checked(t=check_numbers, x=check_numbers)
def noise_levels(t: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Standard deviation of the noise of each column, that of its best window.

    Args:
      t: times, increasing, shape (T,), 11 or more.
      x: shape (..., T, n).

    Returns:
      Shape (n,): the residuals of the local polynomials that `suggest_window` would
      choose for this column alone. Of clean data it is what such polynomials miss.

    Raises:
      ValueError: on invalid shapes and times.

    Example:
      >>> t = np.linspace(0.0, 10.0, 500)
      >>> noise = np.random.default_rng(0).normal(size=(500, 1))
      >>> noise_levels(t, np.sin(t)[:, None] + 0.02 * noise).round(3)
      array([0.02])
    """
    t, x, _ = series("noise_levels", t, x, least=11)
    return _scored(*_some(t, x))[3]


def _some(t: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The times and trajectories that are read to choose a window."""
    t = t[: _MOST[1]]
    return t, x[..., : len(t), :].reshape(-1, len(t), x.shape[-1])[: _MOST[0]]


def _scored(t: np.ndarray, x: np.ndarray):
    """Windows, their scores (W, n), and the best one and its noise for each column."""
    windows = _candidates(len(t))
    rows = [_score(t, x, window) for window in windows]
    scores, noise = (np.stack(part) for part in zip(*rows, strict=True))
    best = np.argmin(scores, axis=0)
    return windows, scores, best, np.take_along_axis(noise, best[None], axis=0)[0]


def _candidates(total: int) -> list[int]:
    """Odd windows from 5 to two thirds of the times, each a quarter above the last."""
    found, widest = [5], min(2 * total // 3, _WIDEST)
    while (wider := max(found[-1] + 2, found[-1] * 5 // 8 * 2 + 1)) <= widest:
        found.append(wider)
    return found


def _score(t: np.ndarray, x: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Cross-validation score and noise, (n,) each, of one window."""
    fit, trace = _fitted(t, x, window, None)
    freedom = trace / len(t)
    left = np.mean((x - fit) ** 2, axis=(0, 1))
    return left / (1 - min(1.4 * freedom, 0.99)) ** 2, np.sqrt(left / (1 - freedom))


@checked(trajectories=check_kind)
def with_derivatives(
    trajectories: Trajectories,
    *,
    window: int | str | None = None,
    order: int | None = None,
) -> Trajectories:
    """The same with rates: those that are known, or derivatives of the states.

    In q and v, dq/dt is a derivative of q, whose noise differs from that of v.

    Args:
      trajectories: the motions.
      window: None for the three-point formula; a number of times for local
        polynomials; "auto" for what `suggest_window` says of all of the state.
      order: degree of these polynomials, as in `derivatives`.

    Raises:
      ValueError: where there are too few times, or states that are not finite.

    Example:
      >>> from jaxphys.types import TangentState
      >>> t = np.linspace(0.0, 1.0, 5)[None, :, None]
      >>> fall = Trajectories(t[0, :, 0], TangentState(-4.9 * t**2, -9.8 * t))
      >>> with_derivatives(fall).rate.v[0, :, 0].round(3)
      array([-9.8, -9.8, -9.8, -9.8, -9.8])
    """
    seen = check_trajectories(trajectories)
    width = window
    if isinstance(width, str):
        if width != "auto":
            raise ValueError(
                f'window is {window!r}; expected a number, None or "auto".'
            )
        width = suggest_window(seen.t, np.concatenate(seen.y, axis=-1))
    if seen.rate is not None:
        return seen
    rate = [derivatives(seen.t, x, window=width, order=order) for x in seen.y]
    return seen._replace(rate=type(seen.y)(*rate))


def smoothed_trajectories(
    trajectories: Trajectories, window: int | None
) -> Trajectories:
    """States and their rates by the same local polynomials.

    Rates that are known stay. Without a window only the rates are filled in: by
    polynomials of degree four through five times, or by the three-point formula where
    there are inputs, which put corners into the motion, or fewer times than five.

    Args:
      trajectories: the motions.
      window: how many times are fitted at once, odd, but no more than there are; none
        below 5, such as 0 or None.

    Raises:
      ValueError: where there are too few times, or states that are not finite.

    Example:
      >>> from jaxphys.types import TangentState
      >>> t = np.arange(5.0)
      >>> x = np.array([0.0, 0.0, 1.0, 0.0, 0.0])[None, :, None]
      >>> noisy = Trajectories(t, TangentState(x, x))
      >>> smoothed_trajectories(noisy, 5).y.q[0, 2].round(3)
      array([0.486])
    """
    times = len(trajectories.t)
    width = window_within(times, window)
    if width is None:
        through_five = trajectories.u is None and times >= 5
        degree = {"window": 5, "order": 4} if through_five else {}
        return with_derivatives(trajectories, **degree)
    found = with_derivatives(trajectories, window=width)
    y = jax.tree.map(lambda x: smoothed(found.t, x, window=width), found.y)
    return found._replace(y=y)


def averaged_inputs(trajectories: Trajectories, window: int | None) -> Trajectories:
    """The same with inputs averaged over time as derivatives of the states are.

    An input is held until the next time, so its integral is known at every time; the
    derivative of this integral, by the same window, belongs to rates that were found
    from the states by `smoothed_trajectories`.

    Args:
      trajectories: the motions; those without inputs stay as they are.
      window: as in `smoothed_trajectories`.

    Raises:
      ValueError: where there are too few times.

    Example:
      >>> from jaxphys.types import TangentState
      >>> x, u = np.zeros((1, 4, 1)), np.array([0.0, 1.0, 1.0, 1.0])[None, :, None]
      >>> pushed = Trajectories(np.arange(4.0), TangentState(x, x), u=u)
      >>> averaged_inputs(pushed, None).u[0, :, 0]
      array([-0.5,  0.5,  1. ,  1. ])
    """
    t, u = trajectories.t, trajectories.u
    if u is None:
        return trajectories
    given = u[:, :-1] * np.diff(t)[:, None]
    total = np.concatenate([np.zeros_like(u[:, :1]), np.cumsum(given, 1)], axis=1)
    width = window_within(len(t), window)
    return trajectories._replace(u=derivatives(t, total, window=width))
