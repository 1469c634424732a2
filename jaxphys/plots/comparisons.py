"""Methods side by side: loss curves, and what each made of its problem."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from jaxphys.plots.style import COLORS, STYLE, label, shades
from jaxphys.types import PhaseState


def _seeds(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """A method's record of the first seed, and those of further ones."""
    return [entry, *entry.get("repeats", [])]


def _curves(entry: dict[str, Any], against: str, loss: str):
    """Each seed's (x, loss), where both are above zero, as a log axis needs.

    A loss that is not finite stands in a history as a number that no loss has.
    """
    for history in (each["history"] for each in _seeds(entry)):
        rows = [(h[against], h[loss]) for h in history if loss in h]
        rows = [(x, y) for x, y in rows if x > 0 and 0 < y < 1e100]
        if rows:
            yield np.array(rows).T


def _shown(name: str, entry: dict[str, Any]) -> tuple[str, bool]:
    """A method's label, which tells of seeds that diverged, and if there are any."""
    ends = [each.get("final", {}) for each in _seeds(entry)]
    lost = sum(end.get("status") == "diverged" for end in ends)
    if not lost:
        return label(name), False
    often = "" if lost == len(ends) else f" in {lost} of {len(ends)}"
    return f"{label(name)}\n(diverged{often})", True


def loss_curves(
    axes: Axes,
    methods: dict[str, dict],
    *,
    against: str = "seconds",
    prefix: str = "",
    colors: Mapping[str, Any] = COLORS,
) -> Axes:
    """Test loss (solid) and train loss (thin) of each method, on log axes.

    Methods that diverged are named in the legend as such, with a cross, and have one at
    the end of their curve, where they came far enough to have a curve.

    Args:
      axes: where to draw.
      methods: the `methods` of a results.json; further seeds in `repeats` are drawn
        as a band between the lowest and the highest, around the median.
      against: "seconds" of training time or "step" for updates.
      prefix: put before each label, to tell runs apart.
      colors: of methods.
    """
    for number, (name, entry) in enumerate(methods.items()):
        color = colors.get(name, f"C{number}")
        shown, lost = _shown(name, entry)
        cross = {"marker": "x", "markersize": 8, "markeredgewidth": 2} if lost else {}
        styles: dict[str, dict[str, Any]] = {
            "test_loss": {"linewidth": 1.8, **cross},
            "train_loss": {"linewidth": 0.7, "alpha": 0.7, "linestyle": "--"},
        }
        for loss, style in styles.items():
            named = prefix + shown if loss == "test_loss" else None
            curves = list(_curves(entry, against, loss))
            if not curves:
                axes.plot([], [], color=color, label=named, **style)
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
            axes.plot(x, y, color=color, label=named, markevery=[-1], **style)
    if any(np.size(line.get_xdata()) for line in axes.get_lines()):
        axes.set_xscale("log")
        axes.set_yscale("log")
    names = {"seconds": "training time [s]", "step": "updates"}
    axes.set_xlabel(names.get(against, against))
    axes.set_ylabel("loss")
    return axes


def comparison(runs: dict[str, dict], *, colors: Mapping[str, Any] = COLORS) -> Figure:
    """Loss against wall clock and against updates, for one stored run or several.

    Args:
      runs: name → the contents of its results.json. With one, methods carry their own
        colors; with several, labels start with the run's name.
      colors: of methods.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 4.6), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        several = len(runs) > 1
        for panel, against in zip(panels, ("seconds", "step"), strict=True):
            for name, run in runs.items():
                prefix = f"{name}: " if several else ""
                loss_curves(
                    panel,
                    run["methods"],
                    against=against,
                    prefix=prefix,
                    colors=colors,
                )
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


def identified_motion(
    times: ArrayLike,
    measured: ArrayLike,
    started: ArrayLike,
    fitted: ArrayLike,
    forces: ArrayLike,
    *,
    noise: float,
    method: str,
) -> Figure:
    """Measured angles, the motions of guessed and fitted constants, and what is left.

    Args:
      times: of the measurements [s], shape (T,).
      measured, started, fitted: angles [rad], shape (motions, T, n): as measured, by
        the constants the fit started from, and by those it found.
      forces: known torque [N m], each held between two times, (motions, T − 1).
      noise: σ of the measurements [rad], drawn as a band around no residual.
      method: which found the constants.
    """
    times, measured, started, fitted, forces = (
        np.asarray(x) for x in (times, measured, started, fitted, forces)
    )
    count, _, n = measured.shape
    colors = ["#1f3f8f", "#d62728"] if n == 2 else shades(n)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.0 + 4.75 * count, 6.4), layout="constrained")
        grid = figure.subplots(
            3, count, sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1, 1)
        )
        for (angle, residual, force), i in zip(grid.T, range(count), strict=True):
            for j, color in enumerate(colors):
                y, guess, fit = (x[i, :, j] for x in (measured, started, fitted))
                angle.plot(times, guess, color=color, ls=":", lw=1.2)
                angle.plot(times, y, "o", color=color, ms=5.5, alpha=0.3, mew=0)
                angle.plot(times, fit, color=color, lw=1.0)
                residual.plot(times, y - fit, ".", color=color, ms=3.5, mew=0)
            residual.axhspan(-noise, noise, color="black", alpha=0.1, lw=0)
            force.stairs(forces[i], times, color="black", lw=1.2, baseline=None)
            force.set_xlabel("time $t$ [s]")
            angle.set_title(f"motion {i + 1}", fontsize=10)
        # A guess may go anywhere; what is to be seen is what was measured.
        low, high = measured.min(), measured.max()
        margin = 0.35 * (high - low)
        grid[0, 0].set_ylim(low - margin, high + margin)
        grid[0, 0].set_ylabel(r"angle $\theta_i$ [rad]")
        grid[1, 0].set_ylabel("residual [rad]")
        grid[2, 0].set_ylabel("torque [N m]")
        figure.align_ylabels(grid[:, 0])
        handles = [
            *(Line2D([], [], color=c, lw=3) for c in colors),
            Line2D([], [], color="black", marker="o", ms=5.5, ls="", alpha=0.3, mew=0),
            Line2D([], [], color="black", ls=":", lw=1.2),
            Line2D([], [], color="black", lw=1.0),
            Patch(color="black", alpha=0.1, lw=0),
        ]
        names = [rf"$\theta_{{{j + 1}}}$" for j in range(n)]
        names += [
            "measured",
            "first guess",
            f"found by {label(method)}",
            r"$\pm\sigma$",
        ]
        figure.legend(handles, names, loc="outside upper center", ncols=6, fontsize=9)
    return figure


def constant_errors(
    histories: dict[str, list[dict[str, float]]],
    symbols: dict[str, str],
    standard_errors: dict[str, float] | None = None,
) -> Figure:
    """Relative error of each constant against training time, one panel a constant.

    Args:
      histories: method → its history, with an entry `NAME_error` for each constant.
      symbols: name of a constant → its symbol, in mathtext without dollars.
      standard_errors: relative, what the noise of the data lets one know; dashed.
    """
    with mpl.rc_context(STYLE):
        columns = min(len(symbols), 4)
        rows = -(-len(symbols) // columns)
        size = (0.8 + 2.7 * columns, 0.7 + 2.9 * rows)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, (name, symbol) in zip(grid.ravel(), symbols.items(), strict=False):
            for number, (method, history) in enumerate(histories.items()):
                # The guess, at zero seconds, has no place on a log axis.
                points = [(h["seconds"], abs(h[f"{name}_error"])) for h in history[1:]]
                color = COLORS.get(method, f"C{number}")
                panel.loglog(*np.array(points).reshape(-1, 2).T, color=color, marker="")
                panel.axhline(
                    abs(history[0][f"{name}_error"]), color="black", lw=0.8, ls=":"
                )
            if standard_errors:
                panel.axhline(standard_errors[name], color="black", lw=1.0, ls="--")
            panel.set_title(f"${symbol}$", fontsize=11)
        for panel in grid[-1]:
            panel.set_xlabel("training time [s]")
        for panel in grid[:, 0]:
            panel.set_ylabel("relative error [1]")
        handles = [
            Line2D([], [], color=COLORS.get(method, f"C{number}"), lw=1.6)
            for number, method in enumerate(histories)
        ]
        names = [label(method) for method in histories]
        handles.append(Line2D([], [], color="black", lw=0.8, ls=":"))
        names.append("first guess")
        if standard_errors:
            handles.append(Line2D([], [], color="black", lw=1.0, ls="--"))
            names.append("standard error")
        figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=9)
    return figure


def _ends(axes: Axes, x: np.ndarray, y: np.ndarray, color) -> None:
    axes.plot(x[0], y[0], "o", color=color, mfc="white", ms=9, mew=1.6, zorder=4)
    axes.plot(x[-1], y[-1], "*", color=color, ms=9, zorder=5)


def work_precision(cases: dict[str, list[dict[str, Any]]]) -> Figure:
    """Error of the last state against the time of a call, one panel a system.

    Args:
      cases: system → rows of `method`, `error` and `seconds`, in order of effort.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2 * len(cases), 5.0), layout="constrained")
        panels = figure.subplots(1, len(cases), squeeze=False)[0]
        methods = dict.fromkeys(r["method"] for rows in cases.values() for r in rows)
        colors = mpl.colormaps["tab10"](np.arange(10))
        marks = "os^vDP*Xph"
        for panel, (name, rows) in zip(panels, cases.items(), strict=True):
            for i, method in enumerate(methods):
                own = [r for r in rows if r["method"] == method]
                panel.loglog(
                    [max(r["error"], 1e-16) for r in own],
                    [r["seconds"] for r in own],
                    marks[i % 10] + "-",
                    color=colors[i % 10],
                    ms=4,
                    lw=1.2,
                    label=method,
                )
            panel.set_xlim(1e-14, 10)
            panel.invert_xaxis()
            panel.set_title(name.replace("_", " "), fontsize=11)
            panel.set_xlabel("error of the last state [1]")
        panels[0].set_ylabel("time of one trajectory [s]")
        handles, labels = panels[0].get_legend_handles_labels()
        known = set(labels)
        for panel in panels[1:]:
            for handle, text in zip(*panel.get_legend_handles_labels(), strict=True):
                if text not in known:
                    known.add(text)
                    handles.append(handle)
                    labels.append(text)
        figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9)
    return figure
