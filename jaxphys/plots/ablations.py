"""How the loss that is reached depends on one choice after another."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from jaxphys.plots.style import COLORS, STYLE, label

#: Losses beyond this stand for what is not finite.
_LARGEST = 1e100

#: The step of every exponent.
SPECTRAL = r"$V\Lambda^\kappa U^\top g$, HIG at $\kappa=-1/2$"

_MARKS = {"levenberg_marquardt": "s", "spring": "^"}


class Sweep(NamedTuple):
    """One choice that was changed.

    Attributes:
      label: of its axis, with a unit.
      losses: method → value → final losses, one a seed.
      log: whether its axis is logarithmic.
      floor: the value below which all mean the same, or None.
    """

    label: str
    losses: Mapping[str, Mapping[float, Sequence[float]]]
    log: bool = True
    floor: float | None = None


def ablations(
    sweeps: Mapping[str, Sweep],
    rates: Mapping[float, Mapping[float, Sequence[float]]],
    references: Mapping[str, Sequence[float]],
    *,
    title: str,
) -> Figure:
    """Final loss against each choice: a marker a seed, a line through the medians.

    A cross at the top is a seed whose loss is not finite, as it diverged.

    Args:
      sweeps: name → what was changed, one or more; that of `kappa` has the
        references beside it.
      rates: κ → relative learning rate → final losses, one a seed; a panel of its own.
      references: method → final losses, horizontal lines at their medians.
      title: above the figure, with the budget of each training.
    """
    rated = bool(rates) and "kappa" in sweeps
    count = len(sweeps) + rated
    columns = min(count, 4)
    lines = -(-count // columns)
    with mpl.rc_context(STYLE):
        size = (1.2 + 3.1 * columns, 1.2 + 3.0 * lines)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        panels = iter(grid.ravel())
        for name, sweep in sweeps.items():
            panel = next(panels)
            _changed(panel, sweep)
            if name == "kappa":
                _beside(panel, references)
                if rated:
                    _by_rate(by_rate := next(panels), rates)
                    handles, names = by_rate.get_legend_handles_labels()
        spare = list(panels)
        if rated:
            place, where = (spare[0], "center") if spare else (by_rate, "best")
            place.legend(
                handles, names, title="κ, by rate c", fontsize=8, ncols=2, loc=where
            )
        for panel in spare:
            panel.set_axis_off()
        for row in grid:
            row[0].set_yscale("log")
            row[0].set_ylabel("test loss [1]")
        _framed(grid[0, 0], sweeps, references)
        figure.suptitle(title, fontsize=11)
        kinds = [kind for sweep in sweeps.values() for kind in sweep.losses]
        _named(figure, list(dict.fromkeys([*kinds, *references])))
    return figure


def _framed(
    axes: Axes, sweeps: Mapping[str, Sweep], references: Mapping[str, Sequence[float]]
) -> None:
    """The range of what was reached; rates too large may leave it."""
    each = list(references.values())
    for sweep in sweeps.values():
        each += [losses for of in sweep.losses.values() for losses in of.values()]
    known = _known(np.concatenate([np.ravel(losses) for losses in each]))
    if known.size:
        axes.set_ylim(known.min() / 3, known.max() * 10)


def power_colors(count: int) -> list[Any]:
    """Colors of exponents, from gradient descent on; none that a method has."""
    return list(mpl.colormaps["YlOrRd"](np.linspace(0.35, 1.0, count)))


def _signed(x: float) -> str:
    return f"{x:g}".replace("-", "−")


def _known(losses: ArrayLike) -> np.ndarray:
    values = np.asarray(losses, float)
    return values[(values > 0) & (values < _LARGEST)]


def _points(axes: Axes, losses: Mapping[float, Sequence[float]], style: dict) -> None:
    """A marker a seed, and a line through the medians of those that are finite."""
    known = {x: _known(each) for x, each in sorted(losses.items())}
    known = {x: each for x, each in known.items() if each.size}
    for x, each in known.items():
        axes.plot([x] * each.size, each, **(style | {"ls": ""}))
    middle = [float(np.median(each)) for each in known.values()]
    axes.plot(list(known), middle, **(style | {"marker": ""}))


def _changed(axes: Axes, sweep: Sweep) -> None:
    for kind, losses in sweep.losses.items():
        mark = _MARKS.get(kind, "o")
        color = COLORS.get(kind, "black")
        _points(axes, losses, {"color": color, "marker": mark, "ms": 5, "alpha": 0.9})
        lost = [x for x, each in losses.items() if _known(each).size < len(each)]
        top = axes.get_xaxis_transform()
        axes.plot(lost, [0.97] * len(lost), "x", color=color, ms=7, transform=top)
    values = sorted({x for losses in sweep.losses.values() for x in losses})
    if sweep.log:
        axes.set_xscale("log")
        if max(values) / min(values) < 1e3:
            axes.xaxis.set_major_locator(FixedLocator(values))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter("{x:g}")
    else:
        axes.set_xticks(values, [_signed(x) for x in values])
        axes.tick_params(axis="x", labelsize=8)
        axes.invert_xaxis()
    if sweep.floor is not None and min(values) < sweep.floor:
        axes.axvspan(min(values) / 3, sweep.floor, color="black", alpha=0.08, lw=0)
        axes.set_xlim(min(values) / 3, max(values) * 3)
        axes.text(
            min(values) / 2,
            0.97,
            "not resolved",
            transform=axes.get_xaxis_transform(),
            fontsize=8,
            va="top",
        )
    axes.set_xlabel(sweep.label)


def _beside(axes: Axes, references: Mapping[str, Sequence[float]]) -> None:
    for name, losses in references.items():
        known = _known(losses)
        if known.size:
            color = COLORS.get(name, "black")
            axes.axhline(float(np.median(known)), color=color, lw=1.3, ls="--")


def _by_rate(
    axes: Axes, rates: Mapping[float, Mapping[float, Sequence[float]]]
) -> None:
    for (power, losses), color in zip(
        rates.items(), power_colors(len(rates)), strict=True
    ):
        _points(axes, losses, {"color": color, "marker": "o", "ms": 3.5, "lw": 1.2})
        axes.plot([], [], color=color, lw=1.2, label=_signed(power))
    values = sorted({x for losses in rates.values() for x in losses})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(r"$c=\eta\,\sigma_{\max}^{\kappa+1}/(b/2)$ [1]")


def _named(figure: Figure, methods: Sequence[str]) -> None:
    handles = [
        Line2D(
            [],
            [],
            color=COLORS.get(name, "black"),
            marker=_MARKS.get(name, "" if name == "adam" else "o"),
            ms=5,
            ls="--" if name == "adam" else "-",
        )
        for name in methods
    ]
    names = [SPECTRAL if name == "hig" else label(name) for name in methods]
    figure.legend(handles, names, loc="outside lower center", ncols=4, fontsize=9)
