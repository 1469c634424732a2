"""How the loss that is reached depends on one choice after another."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, Look

__all__ = ["Sweep", "ablations", "power_colors"]


class Sweep(NamedTuple):
    """One choice that was changed, a panel of its own.

    Attributes:
      label: of its axis, with a unit.
      losses: row → value → final losses, one a seed.
      references: row → final losses, one a seed, of what does not depend on the choice:
        a horizontal line at their median.
      log: whether its axis is logarithmic; otherwise it falls from left to right.
      floor: the value below which all mean the same, or None.
      legend: title of a legend of the panel's own. Its rows are then left out of that
        of the figure, and its losses may leave the range of the other panels.
    """

    label: str
    losses: Mapping[str, Mapping[float, Sequence[float]]]
    references: Mapping[str, Sequence[float]] = MappingProxyType({})
    log: bool = True
    floor: float | None = None
    legend: str | None = None


@mpl.rc_context(STYLE)
def ablations(
    sweeps: Sequence[Sweep], *, title: str, looks: Mapping[str, Look] | None = None
) -> Figure:
    """Final loss against each choice: a marker a seed, a line through the medians.

    A cross at the top is a seed whose loss is not finite, as it diverged.

    Args:
      sweeps: what was changed, one or more.
      title: above the figure, with the budget of each training.
      looks: row → its label and color.
    """
    figure, grid, used = _panels.wrapped_panels(len(sweeps), 3.1, 3.0)
    spare = [panel for panel in grid.ravel() if not panel.axison]
    common = [sweep for sweep in sweeps if sweep.legend is None]
    drawn = dict.fromkeys(row for sweep in common for row in sweep.losses)
    beside = dict.fromkeys(row for sweep in common for row in sweep.references)
    rows = [*dict.fromkeys([*drawn, *beside])]
    own = _panels.completed(
        [*rows, *(row for sweep in sweeps for row in sweep.losses)], looks
    )
    styles: dict[str, Any] = {
        row: {"marker": "os^vDP*Xph"[i % 10] if row in drawn else "", "ms": 5}
        for i, row in enumerate(rows)
    }
    small: Any = {"marker": "o", "ms": 3.5, "lw": 1.2}
    for panel, sweep in zip(used, sweeps, strict=True):
        for row, losses in sweep.losses.items():
            _points(panel, losses, own[row].color, styles.get(row, small))
        for row, reached in sweep.references.items():
            if (finite := _finite(reached)).size:
                middle = float(np.median(finite))
                panel.axhline(middle, color=own[row].color, lw=1.3, ls="--")
        _axis(panel, sweep)
        if sweep.legend is not None:
            place, where = (spare[0], "center") if spare else (panel, "best")
            _own_legend(place, [own[row] for row in sweep.losses], sweep.legend, where)
    grid[0, 0].set_yscale("log")
    for panel in grid[:, 0]:
        panel.set_ylabel("test loss [1]")
    _range(grid[0, 0], common)
    figure.suptitle(title, fontsize=11)
    handles = [
        Line2D([], [], color=own[row].color, ls="-" if row in drawn else "--", **style)
        for row, style in styles.items()
    ]
    labels = [own[row].label for row in rows]
    _panels.legend_outside(figure, handles, labels, place="lower center", columns=4)
    return figure


def power_colors(count: int) -> list[Any]:
    """Colors of exponents, from gradient descent on, for the looks of a sweep."""
    return list(mpl.colormaps["YlOrRd"](np.linspace(0.35, 1.0, count)))


def _finite(losses: Sequence[float]) -> np.ndarray:
    return np.asarray(losses, float)[_panels.drawable(losses)]


def _range(axes: Axes, sweeps: Sequence[Sweep]) -> None:
    """Show all finite losses of these sweeps."""
    every = [reached for sweep in sweeps for reached in sweep.references.values()]
    for sweep in sweeps:
        every += [reached for of in sweep.losses.values() for reached in of.values()]
    finite = _finite([loss for reached in every for loss in reached])
    if finite.size:
        axes.set_ylim(finite.min() / 3, finite.max() * 10)


def _points(
    axes: Axes, losses: Mapping[float, Sequence[float]], color: Any, style: dict
) -> None:
    """A marker a seed, a line through the medians, a cross for what diverged."""
    options = {"color": color, "alpha": 0.9} | style
    finite = {x: _finite(reached) for x, reached in sorted(losses.items())}
    kept = {x: reached for x, reached in finite.items() if reached.size}
    for x, reached in kept.items():
        axes.plot([x] * reached.size, reached, **(options | {"ls": ""}))
    middle = [float(np.median(reached)) for reached in kept.values()]
    axes.plot(list(kept), middle, **(options | {"marker": ""}))
    lost = [x for x, reached in losses.items() if finite[x].size < len(reached)]
    top = axes.get_xaxis_transform()
    axes.plot(lost, [0.97] * len(lost), "x", color=color, ms=7, transform=top)


def _axis(axes: Axes, sweep: Sweep) -> None:
    """Ticks at the values that were tried, where they are few."""
    axes.set_xlabel(sweep.label)
    values = sorted({x for losses in sweep.losses.values() for x in losses})
    if not sweep.log:
        axes.set_xticks(values, [f"{x:g}".replace("-", "−") for x in values])
        axes.tick_params(axis="x", labelsize=8)
        axes.invert_xaxis()
        return
    axes.set_xscale("log")
    if max(values) / min(values) < 1e3:
        axes.xaxis.set_major_locator(FixedLocator(values))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter("{x:g}")
    if sweep.floor is not None and min(values) < sweep.floor:
        axes.axvspan(min(values) / 3, sweep.floor, color="black", alpha=0.08, lw=0)
        axes.set_xlim(min(values) / 3, max(values) * 3)
        place: Any = {"transform": axes.get_xaxis_transform(), "va": "top"}
        axes.text(min(values) / 2, 0.97, "not resolved", fontsize=8, **place)


def _own_legend(axes: Axes, rows: Sequence[Look], title: str, where: Any) -> None:
    handles = [Line2D([], [], color=row.color, lw=1.2) for row in rows]
    labels = [row.label for row in rows]
    axes.legend(handles, labels, title=title, fontsize=8, ncols=2, loc=where)
