"""Whole records, rollouts of learned motions along them, and what is learned there."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, Look
from jaxphys.types import Trajectories

__all__ = ["learned_part", "ranking", "record"]


@mpl.rc_context(STYLE)
def record(
    measured: Trajectories,
    learned: Mapping[str, Trajectories],
    held_out: np.ndarray | None = None,
    *,
    bands: np.ndarray | None = None,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """A whole record and one rollout along it; below, how far it is off.

    Args:
      measured: N = 1; of it at most three coordinates are drawn, each with its momentum
        or velocity.
      learned: row → its motion at the same times.
      held_out: which times were held out, (T,) bools; they are shaded.
      bands: half the width of a band around the first row, (T, 2n).
      looks: row → its label and color.
    """
    n = measured.y.q.shape[2]
    count = min(n, 3)
    own = _panels.completed(learned, looks)
    figure, grid = _panels.panels(2 * count, 2, (12.0, 4.2 * count), sharex=True)
    for part, column in enumerate(grid.T):
        symbol = measured.y._fields[part]
        for i in range(count):
            upper, lower = column[2 * i], column[2 * i + 1]
            seen = measured.y[part][0, :, i]
            upper.plot(measured.t, seen, ".", color="black", ms=2, label="measured")
            for number, (row, motion) in enumerate(learned.items()):
                label, color = own[row]
                path = motion.y[part][0, :, i]
                upper.plot(motion.t, path, color=color, lw=1.0, label=label)
                lower.plot(motion.t, path - seen, color=color, lw=0.8)
                if bands is not None and number == 0:
                    half = bands[:, part * n + i]
                    shade = {"color": color, "alpha": 0.25, "linewidth": 0}
                    lower.fill_between(motion.t, -half, half, **shade)
            _panels.frame(upper, None, seen)
            _panels.frame(lower, None, np.concatenate([seen - np.mean(seen), [0.0]]))
            _fit_errors(lower)
            upper.set_ylabel(f"${symbol}_{{{i + 1}}}$ [as in the data]")
            lower.set_ylabel("less measured")
            for panel in (upper, lower):
                _shade(panel, measured.t, held_out)
        column[-1].set_xlabel("time $t$ [as in the data]")
    _panels.legend_outside(figure, *_panels.labeled_lines(grid))
    return figure


@mpl.rc_context(STYLE)
def learned_part(
    x: np.ndarray,
    values: np.ndarray,
    errors: np.ndarray | None = None,
    *,
    labels: tuple[str, str],
    shade: tuple[str, np.ndarray] | None = None,
) -> Figure:
    """What was learned beside a law, at the measured states.

    Args:
      x: positions or rates, (S, n); at most four columns are drawn, a panel each.
      values: of the learned part, (S, n); of a term of an energy (S, 1).
      errors: one standard deviation of the values; None for no bars.
      labels: of x and of the values, with units.
      shade: label and values, (S, n), of what colors the points.
    """
    count = min(x.shape[1], 4)
    width = 1.0 + (5.0 if shade else 4.2) * count
    figure, grid = _panels.panels(1, count, (width, 3.8))
    for i, panel in enumerate(grid[0]):
        own = min(i, values.shape[1] - 1)
        if errors is not None:
            bars = {"fmt": "none", "ecolor": "#7f9fe0", "elinewidth": 1.0}
            panel.errorbar(x[:, i], values[:, own], errors[:, own], zorder=1, **bars)
        color = "#1f3f8f" if shade is None else shade[1][:, i]
        options = {"cmap": "viridis"} if shade else {}
        points = panel.scatter(x[:, i], values[:, own], 9, color, zorder=2, **options)
        if shade is not None:
            label = shade[0] if count == 1 else f"{shade[0]}, coordinate {i + 1}"
            figure.colorbar(points, ax=panel, label=label)
        panel.axhline(0.0, color="black", lw=0.6)
        panel.set_xlabel(labels[0])
        if count > 1:
            panel.set_title(f"coordinate {i + 1}")
    grid[0, 0].set_ylabel(labels[1])
    return figure


def _fit_errors(panel) -> None:
    """The range of what is drawn, no more than that of the measurements."""
    drawn = [np.asarray(line.get_ydata(), float) for line in panel.get_lines()]
    every = np.concatenate(drawn)
    every = np.abs(every[np.isfinite(every)])
    size = 1.15 * float(every.max()) if every.size else 1.0
    size = min(size, panel.get_ylim()[1]) or 1.0
    panel.set_ylim(-size, size)


def _shade(panel, t: np.ndarray, held_out: np.ndarray | None) -> None:
    if held_out is not None and held_out.any():
        panel.axvspan(t[held_out][0], t[held_out][-1], color="0.93", zorder=0)


@mpl.rc_context(STYLE)
def ranking(
    misfits: Mapping[str, tuple[float, float]],
    measured: Trajectories,
    rollouts: Mapping[str, Trajectories],
    held_out: np.ndarray | None = None,
    *,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Laws by how far their rollouts are off, and what that looks like.

    Args:
      misfits: row → the misfit over whole records, and where these were held out, in
        units of the noise, the best row first.
      measured: one record, N = 1.
      rollouts: row → its motion along it.
      held_out: which times of it were held out, (T,) bools.
      looks: row → its label and color.
    """
    own = _panels.completed(misfits, looks)
    figure, ((bars, paths),) = _panels.panels(1, 2, (12.5, 1.8 + 0.5 * len(misfits)))
    places = np.arange(len(misfits))
    for i, (row, (whole, held)) in enumerate(misfits.items()):
        color = own[row].color
        bars.barh(i - 0.19, whole, 0.36, color=color)
        bars.barh(i + 0.19, held, 0.36, color=color, alpha=0.45)
    bars.barh([0], [np.nan], color="0.3", label="whole records")
    bars.barh([0], [np.nan], color="0.3", alpha=0.45, label="where held out")
    bars.axvline(1.0, color="black", lw=1.0, ls=":", label="the noise")
    bars.set_xscale("log")
    bars.set_yticks(places, [own[row].label for row in misfits])
    bars.invert_yaxis()
    bars.set_xlabel("one rollout less measured, in units of the noise")
    _draw_paths(paths, measured, {row: rollouts[row] for row in misfits}, own)
    _shade(paths, measured.t, held_out)
    _panels.legend_outside(figure, *_panels.labeled_lines(np.array([[bars, paths]])))
    return figure


def _draw_paths(
    panel,
    measured: Trajectories,
    rollouts: Mapping[str, Trajectories],
    own: Mapping[str, Look],
) -> None:
    seen = measured.y.q[0, :, 0]
    panel.plot(measured.t, seen, ".", color="black", ms=3, label="measured")
    rows: Sequence[str] = list(rollouts)
    for row in rows[::-1]:
        panel.plot(measured.t, rollouts[row].y.q[0, :, 0], color=own[row].color, lw=1.2)
    # The end tells them apart.
    panel.set_xlim(measured.t[int(0.7 * (len(measured.t) - 1))], measured.t[-1])
    _panels.frame(panel, None, seen)
    panel.set_xlabel("time $t$ [as in the data]")
    panel.set_ylabel("$q_1$ [as in the data]")
