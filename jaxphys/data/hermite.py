"""Accelerations of clean motions, by polynomials through positions and velocities.

A polynomial of degree 2w − 1 goes through the positions and velocities of w times. Of
smooth motions five times are enough for eight digits where differences of velocities
give two. An input that is held from each time to the next puts a corner into the
velocity at every time: there one polynomial an interval is right, and the two points
of Gauss in it are where its acceleration is most precise.
"""

from collections.abc import Sequence

import numpy as np

from jaxphys.checks import checked
from jaxphys.data._record import (
    check_kind,
    check_trajectories,
    has_velocities,
    listed,
    series,
)
from jaxphys.types import TangentState, Trajectories

__all__ = [
    "accelerations",
    "are_resolved",
    "collocated",
    "has_corners",
]

#: Most numbers that the powers of one block of windows may hold.
_BLOCK = 2**20

#: The least times of which corners can be told, the window of `accelerations`.
_TIMES = 5

#: Accelerations by five times and by three that differ by more than this part of what
#: they change by from one time to the next are those of corners, or of noise.
_CORNER = 0.02


def accelerations(
    t: np.ndarray, q: np.ndarray, v: np.ndarray, *, window: int = _TIMES
) -> np.ndarray:
    """d²q/dt² at each time, of positions and velocities.

    It is that of the polynomial of degree 2w − 1 that agrees with both at the w nearest
    times: for five times Δt apart its error is 32/10! Δt⁸ d¹⁰q/dt¹⁰ in the middle, and
    36 times that at the ends. For clean data: noise of q grows as 1/Δt².

    Args:
      t: times, increasing, shape (T,); uneven steps are allowed.
      q, v: shape (..., T, n).
      window: w, how many times one polynomial goes through, 2 or more.

    Returns:
      Shape (..., T, n), in the dtype of q, in units of v by units of t.

    Raises:
      ValueError: on invalid shapes, times and windows.

    Example:
      >>> t = np.linspace(0.0, 0.4, 5)
      >>> q, v = np.sin(3 * t)[:, None], 3 * np.cos(3 * t)[:, None]
      >>> float(np.abs(accelerations(t, q, v) + 9 * q).max()) < 2e-3
      True

    Reference: Hermite interpolation; Stoer & Bulirsch, Introduction to Numerical
    Analysis, section 2.1.5.
    """
    t, q, dtype = series("accelerations", t, q, least=2)
    _, v, _ = series("accelerations", t, v, least=2)
    if q.shape != v.shape:
        raise ValueError(
            f"accelerations got q of shape {q.shape} and v of shape {v.shape}; "
            "expected the same shape."
        )
    if not 2 <= window <= len(t):
        raise ValueError(
            f"window is {window}; expected 2 to {len(t)}, the number of times."
        )
    found = np.empty_like(q)
    near = [
        np.lib.stride_tricks.sliding_window_view(x, window, axis=-2) for x in (q, v)
    ]
    block = max(_BLOCK // (2 * window) ** 2, 1)
    for first in range(0, len(t), block):
        rows = np.arange(first, min(first + block, len(t)))
        starts, of_q, of_v = _weights(t, rows, window)
        found[..., rows, :] = sum(
            np.einsum("...tnw,tw->...tn", x[..., starts, :, :], weights)
            for x, weights in zip(near, (of_q, of_v), strict=True)
        )
    return found.astype(dtype)


def _weights(
    t: np.ndarray, rows: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of these times the starts of their windows, and the weights of q and of v."""
    starts = np.clip(rows - window // 2, 0, len(t) - window)
    near = t[starts[:, None] + np.arange(window)]
    unit = (near[:, -1] - near[:, 0]) / (window - 1)
    powers = np.arange(2 * window)
    x = ((near - t[rows, None]) / unit[:, None])[..., None]
    slopes = powers * x ** np.maximum(powers - 1, 0)
    # The polynomial's coefficient of x² as a sum over what it goes through.
    through = np.concatenate([x**powers, slopes], axis=1)
    wanted = np.broadcast_to(2.0 * (powers == 2)[:, None], (len(rows), 2 * window, 1))
    weights = np.linalg.solve(np.swapaxes(through, 1, 2), wanted)[..., 0]
    return (
        starts,
        weights[:, :window] / unit[:, None] ** 2,
        weights[:, window:] / unit[:, None],
    )


def has_corners(trajectories: Sequence[Trajectories]) -> bool:
    """Whether velocities have corners, or noise, beside which polynomials are wrong.

    Of smooth motions accelerations by five times and by three hardly differ, beside
    what they change by from one time to the next. Inputs that jump at the times are
    seen there, and noise that differences would magnify. Motions of which this cannot
    be told, without measured velocities or of fewer than five times, count as having
    corners.

    Args:
      trajectories: a list, of one source.

    Raises:
      ValueError: for states that are not finite.

    Example:
      >>> t = np.linspace(0.0, 5.0, 50)
      >>> q, v = np.sin(t)[None, :, None], np.cos(t)[None, :, None]
      >>> smooth = Trajectories(t, TangentState(q, v))
      >>> bounced = Trajectories(t, TangentState(np.abs(q), v * np.sign(q)))
      >>> has_corners([smooth]), has_corners([smooth, bounced])
      (False, True)
    """
    found = listed("has_corners", trajectories)
    off, change = 0.0, 0.0
    for each in found:
        if not has_velocities(each) or len(each.t) < _TIMES:
            return True
        fine, coarse = (accelerations(each.t, *each.y, window=w) for w in (_TIMES, 3))
        off = off + np.sum((fine - coarse) ** 2, axis=(0, 1))
        change = change + np.sum(np.diff(fine, axis=1) ** 2, axis=(0, 1))
    return bool(np.any(off > _CORNER**2 * change))


@checked(trajectories=check_kind)
def collocated(trajectories: Trajectories) -> Trajectories:
    """The motion at two points of each interval, with its accelerations there.

    Between two times the motion is taken for the cubic through both positions and
    velocities. Under an input that is held it is smooth there, and at Gauss's points,
    t + (½ ± √3/6) Δt, the error of the acceleration falls as Δt³, that of v as Δt³ and
    of q as Δt⁴; the mean over both is (v(t + Δt) − v(t))/Δt without any error. No
    derivative is taken across a corner.

    Args:
      trajectories: clean, with positions and velocities; u is held until the next time.

    Returns:
      Trajectories of 2 (T − 1) times with rates and inputs; `meta["points"]` is 2, by
      which `jaxphys.learning` matches the means of both.

    Raises:
      ValueError: for momenta, and for fewer than two times.

    Example:
      >>> t = np.array([0.0, 1.0, 3.0])
      >>> v = np.array([0.0, 2.0, 2.0])[None, :, None]
      >>> q = np.array([0.0, 1.0, 5.0])[None, :, None]
      >>> u = np.array([2.0, 0.0, 0.0])[None, :, None]
      >>> pushed = Trajectories(t, TangentState(q, v), u=u)
      >>> collocated(pushed).rate.v[0, :, 0].round(9)
      array([2., 2., 0., 0.])

    Reference: de Boor & Swartz, Collocation at Gaussian points, SIAM Journal on
    Numerical Analysis 10, 1973.
    """
    seen = check_trajectories(trajectories)
    if type(seen.y) is not TangentState or len(seen.t) < 2:
        raise ValueError(
            f"collocated got {len(seen.t)} times of a {type(seen.y).__name__}; "
            "expected two or more of a TangentState(q, v)."
        )
    dt = np.diff(seen.t)[:, None]
    q0, (v0, v1) = seen.y.q[:, :-1], (seen.y.v[:, :-1], seen.y.v[:, 1:])
    third = _third(seen)
    points = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3)
    rows = []
    for s in points:
        a = (v1 - v0) / dt + (s - 0.5) * dt * third
        # Of the cubic, from its Taylor series at the beginning of the interval.
        a0, x = (v1 - v0) / dt - 0.5 * dt * third, s * dt
        v = v0 + x * a0 + x**2 / 2 * third
        q = q0 + x * v0 + x**2 / 2 * a0 + x**3 / 6 * third
        rows.append((q, v, a))

    def merged(*parts: np.ndarray) -> np.ndarray:
        """One point of each interval after another."""
        both = np.stack(parts, axis=2)
        return both.reshape(both.shape[0], -1, both.shape[-1]).astype(seen.y.q.dtype)

    q, v, a = (merged(*parts) for parts in zip(*rows, strict=True))
    u = None if seen.u is None else np.repeat(seen.u[:, :-1], 2, axis=1)
    t = (seen.t[:-1, None] + points * dt).reshape(-1)
    y, rate, meta = TangentState(q, v), TangentState(v, a), {**seen.meta, "points": 2}
    return seen._replace(t=t, y=y, rate=rate, u=u, energy=None, meta=meta)


def _third(each: Trajectories) -> np.ndarray:
    """The third derivative of the cubic of each interval, (N, T − 1, n)."""
    (q, v), dt = each.y, np.diff(each.t)[:, None]
    mean = (v[:, :-1] + v[:, 1:]) / 2
    return 12 * (mean - np.diff(q, axis=1) / dt) / dt**2


#: Of white noise of the positions neighbors have a correlation of −½.
_ALTERNATES = -0.3


def are_resolved(trajectories: Sequence[Trajectories]) -> bool:
    """Whether the cubics of `collocated` are those of the motion, and not of noise.

    What a position is off by changes the third derivatives on its two sides in opposite
    directions: where neighbors mostly have opposite signs, they are noise.

    Args:
      trajectories: a list, with positions and velocities.

    Example:
      >>> t = np.linspace(0.0, 5.0, 200)
      >>> q, v = np.sin(t)[None, :, None], np.cos(t)[None, :, None]
      >>> noise = np.random.default_rng(0).normal(size=q.shape)
      >>> clean, noisy = (TangentState(q + s * noise, v) for s in (0.0, 1e-3))
      >>> are_resolved([Trajectories(t, clean)]), are_resolved([Trajectories(t, noisy)])
      (True, False)
    """
    alike = []
    for each in listed("are_resolved", trajectories):
        x = _third(each)
        size = np.sum(x**2, axis=1)
        products = np.sum(x[:, 1:] * x[:, :-1], axis=1)
        alike.append(products / np.where(size > 0, size, 1.0))
    return bool(np.all(np.median(np.concatenate(alike), axis=0) > _ALTERNATES))
