"""What several figures do alike: grids, legends, lines of rows, and heat maps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots.style import Look, looks

#: How the line of the true motion looks.
TRUE: dict[str, Any] = {"color": "black", "linewidth": 1.0, "zorder": 1}

#: Losses from here on stand in a history for what is not finite.
_LARGEST = 1e100


def completed(
    rows: Iterable[str], given: Mapping[str, Look] | None
) -> Mapping[str, Look]:
    """A look for each row: the given one, or else that of its name."""
    return looks(list(rows)) | dict(given or {})


def drawable(losses: ArrayLike) -> np.ndarray:
    """Where losses can be drawn on a log axis, as a mask."""
    values = np.asarray(losses, float)
    return (values > 0) & (values < _LARGEST)


def panels(
    rows: int, columns: int, size: tuple[float, float], **options
) -> tuple[Figure, np.ndarray]:
    """A figure of that size in inches, and its axes, (rows, columns)."""
    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def wrapped_panels(
    count: int, width: float, height: float, **options
) -> tuple[Figure, np.ndarray, np.ndarray]:
    """A figure of so many panels of that size in inches, at most four in a row.

    They have one range of y. Returns the figure, its grid, and the panels that are
    used; axes are off in the others.
    """
    columns = min(count, 4)
    rows = -(-count // columns)
    size = (1.2 + width * columns, 0.9 + height * rows)
    figure, grid = panels(rows, columns, size, sharey=True, **options)
    for spare in grid.ravel()[count:]:
        spare.set_axis_off()
    return figure, grid, grid.ravel()[:count]


def label_outer(grid: np.ndarray, x: str, y: str) -> None:
    """Label the lowest panel of each column by x, and the leftmost of each row by y."""
    for column in grid.T:
        lowest = [panel for panel in column if panel.axison][-1]
        lowest.set_xlabel(x)
        lowest.tick_params(labelbottom=True)
    for panel in grid[:, 0]:
        panel.set_ylabel(y)


def labeled_lines(panels: np.ndarray) -> tuple[list[Any], list[str]]:
    """A line and a label of each row that any of the panels has."""
    found: dict[str, Any] = {}
    for panel in panels.ravel():
        lines, labels = panel.get_legend_handles_labels()
        found |= dict(zip(labels, lines, strict=True))
    return [*found.values()], [*found]


def legend_outside(
    figure: Figure,
    handles: Sequence[Any],
    labels: Sequence[str],
    *,
    place: str = "upper center",
    columns: int = 6,
) -> None:
    """One legend for the whole figure, beside its panels."""
    options: Any = {"loc": f"outside {place}", "ncols": min(len(labels), columns)}
    figure.legend(handles, labels, fontsize=9, **options)


def frame(axes: Axes, x: np.ndarray | None, y: np.ndarray) -> None:
    """Show the range of the truth and some more, wherever the models go."""

    def limits(values: np.ndarray) -> tuple[float, float]:
        finite = values[np.isfinite(values)]
        low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
        room = 0.35 * float(high - low) or 1.0
        return float(low) - room, float(high) + room

    if x is not None:
        axes.set_xlim(limits(x))
    axes.set_ylim(limits(y))


def dashed(
    rows: Iterable[str], given: Mapping[str, Look] | None
) -> dict[str, dict[str, Any]]:
    """How the line of each row looks, its label included.

    The dashes differ in their gaps, so that lines on top of one another are all seen.
    """
    rows = list(rows)
    own = completed(rows, given)
    return {
        row: {
            "label": own[row].label,
            "color": own[row].color,
            "linewidth": 1.4,
            "linestyle": (0, (5, 1.7 + 0.7 * number)),
        }
        for number, row in enumerate(rows)
    }


def quartiles(errors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quartiles over motions of errors (N, T), for a log axis.

    What is not finite counts as an infinite error, and zero as one of 1e-17.
    """
    finite = np.where(np.isfinite(errors), errors, np.inf)
    found = np.quantile(finite, [0.25, 0.5, 0.75], axis=0, method="lower")
    low, middle, high = np.maximum(found, 1e-17)
    return low, middle, high


def error_range(errors: Iterable[ArrayLike]) -> tuple[float, float]:
    """The range of errors, less the smallest two percent, zeros and what diverged."""
    every = np.concatenate([np.ravel(np.asarray(each)) for each in errors])
    every = every[np.isfinite(every) & (every > 0)]
    low, high = np.percentile(every, [2, 100]) if every.size else (1e-3, 1.0)
    return float(low), float(max(high, 1.01 * low))


def heat_maps(
    figure: Figure,
    chosen: np.ndarray,
    values: Iterable[ArrayLike],
    axes: tuple[ArrayLike, ArrayLike],
    scale: Normalize,
    **bar,
) -> None:
    """A heat map in each panel, and one color bar for all of them.

    Args:
      figure: of the panels.
      chosen: the panels.
      values: for each panel, (len(y), len(x)).
      axes: x and y.
      scale: of all maps; a `LogNorm` for errors.
      bar: options of the color bar: its label, with a unit.
    """
    colors = "magma" if isinstance(scale, LogNorm) else "RdBu_r"
    for panel, each in zip(chosen, values, strict=True):
        # An error of zero has no logarithm: it counts as the least one.
        inside = np.clip(np.asarray(each), scale.vmin, scale.vmax)
        panel.pcolormesh(*axes, inside, cmap=colors, norm=scale, rasterized=True)
        panel.grid(False)
    figure.colorbar(ScalarMappable(scale, colors), ax=list(chosen), **bar)
