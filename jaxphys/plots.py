"""Figures. Functions draw on the Axes they are given and return them.

Whole figures come as `matplotlib.figure.Figure`, free of pyplot's global state, so that
they work on machines without a display.
"""

import pathlib
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.types import PhaseState

LABELS = {
    "adam": "Adam",
    "sip": "SIP, published step",
    "sip_true_step": "SIP, true step",
    "hig": "HIG",
    "gauss_newton": "Gauss–Newton, published step",
    "gauss_newton_true_step": "Gauss–Newton, true step",
    "levenberg_marquardt": "Levenberg–Marquardt",
    "spring": "SPRING",
}

_COLORS = {
    "adam": "#7f7f7f",
    "sip": "#c49c94",
    "sip_true_step": "#8c564b",
    "hig": "#d62728",
    "gauss_newton": "#9edae5",
    "gauss_newton_true_step": "#17becf",
    "levenberg_marquardt": "#1f3f8f",
    "spring": "#2ca02c",
}

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def label(method: str) -> str:
    """A method's name for people."""
    return LABELS.get(method, method.replace("_", " "))


def save(figure: Figure, path: str | pathlib.Path) -> pathlib.Path:
    """Write a figure as PNG, whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".part")
    figure.savefig(partial, dpi=160, format="png")
    partial.replace(path)
    return path


def _curves(entry: dict[str, Any], against: str, loss: str):
    """Each seed's (x, loss), where both are above zero, as a log axis needs."""
    for history in [
        entry["history"],
        *(r["history"] for r in entry.get("repeats", [])),
    ]:
        rows = [(h[against], h[loss]) for h in history if loss in h]
        rows = [(x, y) for x, y in rows if x > 0 and y > 0]
        if rows:
            yield np.array(rows).T


def loss_curves(
    axes: Axes, methods: dict[str, dict], *, against: str = "seconds", prefix: str = ""
) -> Axes:
    """Test loss (solid) and train loss (thin) of each method, on log axes.

    Args:
      axes: where to draw.
      methods: the `methods` of a results.json; further seeds in `repeats` are drawn
        as a band between the lowest and the highest, around the median.
      against: "seconds" of training time or "step" for updates.
      prefix: put before each label, to tell runs apart.
    """
    for number, (name, entry) in enumerate(methods.items()):
        color = _COLORS.get(name, f"C{number}")
        for loss, style in (
            ("test_loss", {"linewidth": 1.8}),
            ("train_loss", {"linewidth": 0.7, "alpha": 0.7, "linestyle": "--"}),
        ):
            curves = list(_curves(entry, against, loss))
            if not curves:
                continue
            if len(curves) == 1:
                x, y = curves[0]
            else:
                low = max(c[0][0] for c in curves)
                high = max(min(c[0][-1] for c in curves), low * 1.01)
                x = np.geomspace(low, high, 200)
                each = np.exp(
                    [np.interp(np.log(x), np.log(a), np.log(b)) for a, b in curves]
                )
                y = np.median(each, axis=0)
                if loss == "test_loss":
                    band = (each.min(axis=0), each.max(axis=0))
                    axes.fill_between(x, *band, color=color, alpha=0.15, linewidth=0)
            shown = prefix + label(name) if loss == "test_loss" else None
            axes.plot(x, y, color=color, label=shown, **style)
    axes.set_xscale("log")
    axes.set_yscale("log")
    names = {"seconds": "training time [s]", "step": "updates"}
    axes.set_xlabel(names.get(against, against))
    axes.set_ylabel("loss")
    return axes


def comparison(runs: dict[str, dict]) -> Figure:
    """Loss against wall clock and against updates, for one stored run or several.

    Args:
      runs: name → the contents of its results.json. With one, methods carry their own
        colors; with several, labels start with the run's name.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        several = len(runs) > 1
        for panel, against in zip(panels, ("seconds", "step"), strict=True):
            for name, run in runs.items():
                prefix = f"{name}: " if several else ""
                loss_curves(panel, run["methods"], against=against, prefix=prefix)
        panels[1].set_ylabel("")
        if several:
            _tell_runs_apart(panels, [len(run["methods"]) for run in runs.values()])
        else:
            (run,) = runs.values()
            figure.suptitle(run.get("title", run["experiment"]), fontsize=11)
        handles, labels = panels[0].get_legend_handles_labels()
        panels[0].plot([], [], color="black", linewidth=1.8, label="test")
        panels[0].plot([], [], color="black", linewidth=0.7, ls="--", label="train")
        styles = panels[0].get_legend_handles_labels()[0][-2:]
        panels[0].legend(styles, ["test", "train"], loc="lower left", fontsize=9)
        figure.legend(handles, labels, loc="outside right center", fontsize=9)
    return figure


def _tell_runs_apart(panels: Sequence[Axes], counts: list[int]) -> None:
    """Give each run its own dashes on the solid lines, as colors name the methods."""
    dashes: list[Any] = ["-", (0, (6, 2)), (0, (2, 1)), (0, (6, 2, 1, 2))]
    for panel in panels:
        named = (str(line.get_label()) for line in panel.get_lines())
        solid = [
            line
            for line, name in zip(panel.get_lines(), named, strict=True)
            if not name.startswith("_")
        ]
        start = 0
        for number, count in enumerate(counts):
            for line in solid[start : start + count]:
                line.set_linestyle(dashes[number % len(dashes)])
            start += count


def controlled_motion(
    times: ArrayLike, controlled: PhaseState, free: PhaseState, control: ArrayLike
) -> Figure:
    """A chain with and without its control: positions, force and phase plane.

    Args:
      times: shape (T,), from start to end.
      controlled, free: trajectories, q and p of shape (T, N).
      control: the forces, each held for an equal part of the time, shape (N_t,).
    """
    times, control = np.asarray(times), np.asarray(control)
    (q, v), (free_q, free_v) = (
        (np.asarray(s.q), np.asarray(s.p)) for s in (controlled, free)
    )
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 5.6), layout="constrained")
        grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1), height_ratios=(1.6, 1))
        position = figure.add_subplot(grid[0, 0])
        force = figure.add_subplot(grid[1, 0], sharex=position)
        plane = figure.add_subplot(grid[:, 1])
        colors = mpl.colormaps["viridis"](np.linspace(0.1, 0.8, q.shape[1]))
        for i, color in enumerate(colors):
            name = f"mass {i + 1}"
            position.plot(times, q[:, i], color=color, label=name)
            position.plot(times, free_q[:, i], color=color, ls=":", lw=1.1)
            position.axhline(q[0, i], color=color, lw=0.6, alpha=0.5)
            _ends(position, times, q[:, i], color)
            plane.plot(q[:, i], v[:, i], color=color, label=name)
            plane.plot(free_q[:, i], free_v[:, i], color=color, ls=":", lw=1.1)
            _ends(plane, q[:, i], v[:, i], color)
            plane.plot(free_q[-1, i], free_v[-1, i], "x", color=color, ms=7, mew=1.6)
        position.plot([], [], color="black", label="controlled")
        position.plot([], [], color="black", ls=":", lw=1.1, label="left alone")
        position.set_ylabel("position $x_i$ [1]")
        position.tick_params(labelbottom=False)
        position.legend(ncols=2, fontsize=8, loc="upper right")
        position.margins(y=0.25)
        edges = np.linspace(times[0], times[-1], len(control) + 1)
        force.stairs(control, edges, color="#d62728", linewidth=1.6, baseline=0)
        force.axhline(0, color="black", lw=0.6)
        force.set_xlabel("time $t$ [1]")
        force.set_ylabel("force $u$ on the last mass [1]")
        plane.set_xlabel("position $x_i$ [1]")
        plane.set_ylabel("velocity $v_i$ [1]")
        plane.set_aspect("equal", adjustable="datalim")
        plane.plot([], [], "o", color="black", mfc="white", label="start, and target")
        plane.plot([], [], "*", color="black", ms=9, label="end, controlled")
        plane.plot([], [], "x", color="black", ms=7, label="end, left alone")
        plane.legend(fontsize=8, loc="upper left")
        plane.margins(y=0.2)
    return figure


def _ends(axes: Axes, x: np.ndarray, y: np.ndarray, color) -> None:
    axes.plot(x[0], y[0], "o", color=color, mfc="white", ms=9, mew=1.6, zorder=4)
    axes.plot(x[-1], y[-1], "*", color=color, ms=9, zorder=5)
