"""What a check saw: differences, the horizon, singular values, times of updates."""

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jaxphys.plots._panels import panels
from jaxphys.plots.style import STYLE

__all__ = ["checkup"]

_COLOR = "#1f3f8f"


@mpl.rc_context(STYLE)
def checkup(title: str, curves: Mapping[str, Any]) -> Figure:
    """The curves of a `jaxphys.check`, a panel each.

    Args:
      title: above the figure.
      curves: those of a report: any of `differences`, with `steps` and `errors`;
        `horizon`, with `logs`; `spectrum`, with `singular_values`; and `updates`, name
        → seconds. What is missing or empty has no panel.
    """
    drawn = {name: draw for name, draw in _PANELS.items() if curves.get(name)}
    count = max(len(drawn), 1)
    figure, grid = panels(1, count, (0.4 + 3.4 * count, 3.2))
    if not drawn:
        grid[0, 0].set_axis_off()
        grid[0, 0].text(0.5, 0.5, "nothing to draw", ha="center")
    for axes, (name, draw) in zip(grid[0], drawn.items(), strict=False):
        draw(axes, curves[name])
    figure.suptitle(title)
    return figure


def _differences(axes: Axes, curve: Mapping[str, np.ndarray]) -> None:
    axes.loglog(curve["steps"], np.maximum(curve["errors"], 1e-17), "o-", color=_COLOR)
    axes.set_xlabel("step, of the example's size")
    axes.set_ylabel("difference to the derivative")
    axes.set_title("finite differences")


def _horizon(axes: Axes, curve: Mapping[str, np.ndarray]) -> None:
    logs = np.asarray(curve["logs"]) / np.log(10)
    logs = np.where(np.isfinite(logs), logs, np.nan)
    axes.plot(np.arange(1, len(logs) + 1), logs, color=_COLOR)
    axes.axhspan(-3, 3, color="#2ca02c", alpha=0.1, linewidth=0)
    axes.set_xlabel("step")
    axes.set_ylabel("log₁₀ of a change's growth")
    axes.set_title("horizon")


def _spectrum(axes: Axes, curve: Mapping[str, np.ndarray]) -> None:
    values = np.asarray(curve["singular_values"])
    shown = np.maximum(values, 1e-17 * values[0])
    axes.semilogy(np.arange(1, len(values) + 1), shown, "o", color=_COLOR)
    axes.set_xlabel("number")
    axes.set_ylabel("singular value of J")
    axes.set_title("spectrum")


def _updates(axes: Axes, times: Mapping[str, float]) -> None:
    axes.barh(list(times), [1e3 * x for x in times.values()], color=_COLOR)
    axes.set_xlabel("time of an update [ms]")
    axes.set_title("updates")
    axes.grid(False, axis="y")


_PANELS: dict[str, Callable[[Axes, Any], None]] = {
    "differences": _differences,
    "horizon": _horizon,
    "spectrum": _spectrum,
    "updates": _updates,
}
