"""Methods side by side: losses against time and updates, work against precision."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jaxphys.plots import _panels, style
from jaxphys.plots.style import STYLE, Look

__all__ = ["comparison", "loss_curves", "work_precision"]

_TEST: dict[str, Any] = {"linewidth": 1.8}
_TRAIN: dict[str, Any] = {"linewidth": 0.7, "alpha": 0.7, "linestyle": "--"}


def _seeds(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """A method's record of the first seed, and those of further ones."""
    return [entry, *entry.get("repeats", [])]


def _curves(
    entry: Mapping[str, Any], against: str, loss: str
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each seed's (x, loss), where both can be drawn on log axes."""
    for each in _seeds(entry):
        rows = [(h[against], h[loss]) for h in each["history"] if loss in h]
        x, y = np.array(rows, float).reshape(-1, 2).T
        shown = (x > 0) & _panels.drawable(y)
        if shown.any():
            yield x[shown], y[shown]


def _diverged(entry: Mapping[str, Any]) -> str:
    """A note on the seeds that diverged, empty where none did."""
    ends = [each.get("final", {}) for each in _seeds(entry)]
    lost = sum(end.get("status") == "diverged" for end in ends)
    if not lost:
        return ""
    often = "" if lost == len(ends) else f" in {lost} of {len(ends)}"
    return f"\n(diverged{often})"


def _tested(entry: Mapping[str, Any]) -> bool:
    """Whether a method was judged on data that it was not trained on."""
    return any("test_loss" in h for each in _seeds(entry) for h in each["history"])


def _over_seeds(
    curves: Sequence[tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Common x, and the losses of all seeds there, (seeds, x)."""
    low = max(x[0] for x, _ in curves)
    high = max(min(x[-1] for x, _ in curves), low * 1.01)
    common = np.geomspace(low, high, 200)
    each = [np.interp(np.log(common), np.log(x), np.log(y)) for x, y in curves]
    return common, np.exp(each)


def loss_curves(
    axes: Axes,
    methods: Any,
    *,
    against: str = "seconds",
    prefix: str = "",
    dashes: Any = "-",
    looks: Mapping[str, Look] | None = None,
) -> Axes:
    """Test loss (thick) and train loss (thin, dashed) of each method, on log axes.

    Without test losses the train loss is the thick line.
    Methods that diverged are named in the legend as such, with a cross, and have one at
    the end of their curve, where they came far enough to have a curve.

    Args:
      axes: where to draw.
      methods: what `jaxphys.compare` or `experiments.run` leaves, or the `methods` of a
        results.json; further seeds in `repeats` are drawn as a band between the lowest
        and the highest, around the median.
      against: "seconds" of training time or "step" for updates.
      prefix: put before each label, to tell runs apart.
      dashes: line style of the test losses.
      looks: row → its label and color.
    """
    methods = style.methods_of(methods)
    own = style.looks(methods) | dict(looks or {})
    for row, entry in methods.items():
        label, color = own[row]
        note = _diverged(entry)
        cross = {"marker": "x", "markersize": 8, "markeredgewidth": 2} if note else {}
        thick = _TEST | {"linestyle": dashes, "label": prefix + label + note} | cross
        main = "test_loss" if _tested(entry) else "train_loss"
        lines = [(main, thick)]
        if main == "test_loss":
            lines.append(("train_loss", _TRAIN))
        for loss, line in lines:
            curves = list(_curves(entry, against, loss))
            if not curves:
                axes.plot([], [], color=color, **line)
                continue
            x, y = curves[0]
            if len(curves) > 1:
                x, each = _over_seeds(curves)
                y = np.median(each, axis=0)
                if loss == main:
                    band = (each.min(axis=0), each.max(axis=0))
                    axes.fill_between(x, *band, color=color, alpha=0.15, linewidth=0)
            axes.plot(x, y, color=color, markevery=[-1], **line)
    if any(np.size(line.get_xdata()) for line in axes.get_lines()):
        axes.set_xscale("log")
        axes.set_yscale("log")
    names = {"seconds": "training time [s]", "step": "updates [1]"}
    axes.set_xlabel(names.get(against, against))
    axes.set_ylabel("loss [1]")
    return axes


@mpl.rc_context(STYLE)
def comparison(runs: Any, *, looks: Mapping[str, Look] | None = None) -> Figure:
    """Loss against wall clock and against updates, for one run or several.

    Args:
      runs: what `jaxphys.compare` or `experiments.run` leaves, or name → such a thing,
        or name → the contents of a results.json. With several, labels start with the
        run's name, and each run has its own dashes.
      looks: row → its label and color; by default those of the models and optimizers
        of each run.
    """
    runs = {"run": runs} if hasattr(runs, "results") else runs
    runs = {name: getattr(run, "results", run) for name, run in runs.items()}
    figure, grid = _panels.panels(1, 2, (10.5, 4.6), sharey=True)
    several = len(runs) > 1
    dashes: list[Any] = ["-", (0, (6, 2)), (0, (2, 1)), (0, (6, 2, 1, 2))]
    for panel, against in zip(grid[0], ("seconds", "step"), strict=True):
        for number, (name, run) in enumerate(runs.items()):
            loss_curves(
                panel,
                run["methods"],
                against=against,
                prefix=f"{name}: " if several else "",
                dashes=dashes[number % len(dashes)],
                looks=looks,
            )
    grid[0, 1].set_ylabel("")
    if not several:
        (run,) = runs.values()
        figure.suptitle(run.get("title", run["experiment"]), fontsize=11)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    entries = [entry for run in runs.values() for entry in run["methods"].values()]
    if any(_tested(entry) for entry in entries):
        kinds = [Line2D([], [], color="black", **line) for line in (_TEST, _TRAIN)]
        handles, labels = [*handles, *kinds], [*labels, "test loss", "train loss"]
    _panels.legend_outside(figure, handles, labels, place="right center", columns=1)
    return figure


@mpl.rc_context(STYLE)
def work_precision(
    cases: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Error of the last state against the time of a call, one panel a system.

    Args:
      cases: system → rows of `method`, `error` and `seconds`, in order of effort.
      looks: method → its label and color.
    """
    figure, (row,) = _panels.panels(1, len(cases), (4.2 * len(cases), 5.0))
    methods = dict.fromkeys(r["method"] for rows in cases.values() for r in rows)
    own = _panels.completed(methods, looks)
    lines = {}
    for panel, (name, rows) in zip(row, cases.items(), strict=True):
        for method, mark in zip(methods, "os^vDP*Xph" * len(methods), strict=False):
            reached = [r for r in rows if r["method"] == method]
            (lines[method],) = panel.loglog(
                [max(r["error"], 1e-16) for r in reached],
                [r["seconds"] for r in reached],
                mark + "-",
                color=own[method].color,
                ms=4,
                lw=1.2,
            )
        panel.set_xlim(1e-14, 10)
        panel.invert_xaxis()
        panel.set_title(name.replace("_", " "), fontsize=11)
        panel.set_xlabel("error of the last state [1]")
    row[0].set_ylabel("time of one trajectory [s]")
    labels = [own[method].label for method in methods]
    _panels.legend_outside(
        figure, [*lines.values()], labels, place="lower center", columns=4
    )
    return figure
