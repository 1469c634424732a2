"""Learned motions beside the true one: fields, their errors, rollouts and energies."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots.style import COLORS, STYLE, label

TRUE: dict[str, Any] = {"color": "black", "linewidth": 1.0, "zorder": 1}


class Sampled(NamedTuple):
    """A motion as figures need it.

    Attributes:
      t: times, (T,).
      q, p: positions and momenta, (N, T, n).
      energy: the true energy along it, (N, T), or None.
    """

    t: np.ndarray
    q: np.ndarray
    p: np.ndarray
    energy: np.ndarray | None = None


def _color(name: str, number: int) -> str:
    return COLORS.get(name, f"C{number}")


def line_style(name: str, number: int) -> dict[str, Any]:
    """How the line of a model looks, the number-th in its figure."""
    dashes = (0, (5, 1.7 + 0.7 * number))
    return {"color": _color(name, number), "linewidth": 1.4, "linestyle": dashes}


def _axis(names: Sequence[str], i: int) -> str:
    return f"{names[i]} [1]" if "[" not in names[i] else names[i]


def fields(
    grid: tuple[ArrayLike, ArrayLike],
    true: tuple[ArrayLike, ArrayLike],
    learned: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    names: Sequence[str] = ("$q$", "$p$"),
    seen: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Vector fields of one coordinate: the true one, and each learned one.

    Args:
      grid: q and p, each (k,).
      true: dq/dt and dp/dt on the grid, each (k, k), rows being p.
      learned: model → the same.
      names: labels of the two axes.
      seen: q and p of the training data, drawn as dots.
    """
    q, p = (np.asarray(x) for x in grid)
    with mpl.rc_context(STYLE):
        count = len(learned) + 1
        width = 3.1 if count <= 4 else 2.4
        figure = Figure(figsize=(0.6 + width * count, 3.5), layout="constrained")
        panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
        top = float(np.max(np.hypot(*(np.asarray(x) for x in true))))
        for panel, (name, field) in zip(
            panels, {"true": true, **learned}.items(), strict=True
        ):
            dq, dp = (np.asarray(x) for x in field)
            speed = np.hypot(dq, dp)
            lines = panel.streamplot(
                q,
                p,
                dq,
                dp,
                color=speed,
                cmap="viridis",
                norm=mpl.colors.Normalize(0, top),
                density=0.9,
                linewidth=0.9,
                arrowsize=0.8,
            )
            if seen is not None:
                panel.plot(*seen, ".", color="black", ms=1.2, alpha=0.35)
            panel.set_title("true field" if name == "true" else label(name))
            panel.set_xlabel(_axis(names, 0))
            panel.grid(False)
        panels[0].set_ylabel(_axis(names, 1))
        figure.colorbar(lines.lines, ax=panels, label="speed [1]", shrink=0.85)
    return figure


def error_maps(
    grid: tuple[ArrayLike, ArrayLike],
    true: tuple[ArrayLike, ArrayLike],
    learned: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    names: Sequence[str] = ("$q$", "$p$"),
    parts: Sequence[str] = (r"\partial H/\partial p", r"-\partial H/\partial q"),
) -> Figure:
    """Heat maps of the errors of ∂H/∂p and −∂H/∂q, a column a model; see `fields`."""
    q, p = (np.asarray(x) for x in grid)
    gaps = {
        name: [
            np.abs(np.asarray(a) - np.asarray(b))
            for a, b in zip(field, true, strict=True)
        ]
        for name, field in learned.items()
    }
    every = np.concatenate([np.ravel(gap) for pair in gaps.values() for gap in pair])
    every = every[np.isfinite(every) & (every > 0)]
    low, high = np.percentile(every, [2, 100]) if len(every) else (1e-3, 1.0)
    norm = LogNorm(low, max(high, 1.01 * low), clip=True)
    with mpl.rc_context(STYLE):
        count = len(gaps)
        figure = Figure(figsize=(1.2 + 2.6 * count, 5.2), layout="constrained")
        panels = figure.subplots(2, count, sharex=True, sharey=True, squeeze=False)
        for column, (name, pair) in zip(panels.T, gaps.items(), strict=True):
            for panel, gap in zip(column, pair, strict=True):
                # An error of zero has no logarithm: it counts as the least one.
                image = panel.pcolormesh(
                    q, p, np.maximum(gap, low), norm=norm, cmap="magma", rasterized=True
                )
                panel.grid(False)
            column[0].set_title(label(name), fontsize=10)
            column[1].set_xlabel(_axis(names, 0))
        for panel in panels[:, 0]:
            panel.set_ylabel(_axis(names, 1))
        for row, what in zip(panels, parts, strict=True):
            figure.colorbar(image, ax=row, label=f"error of ${what}$ [1]")
    return figure


def learned_motion(
    true: Sampled,
    learned: dict[str, Sampled],
    *,
    names: Sequence[str] = ("$q$", "$p$"),
) -> Figure:
    """Rollouts: phase plane, q(t) and p(t) of the first coordinate, the true energy.

    Args:
      true: the motion of the system; of the first trajectory times are drawn, in the
        phase plane the first six.
      learned: model → its own from the same states.
      names: labels of position and momentum.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 6.0), layout="constrained")
        grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.5))
        plane = figure.add_subplot(grid[:, 0])
        first = figure.add_subplot(grid[0, 1])
        second = figure.add_subplot(grid[1, 1], sharex=first)
        third = figure.add_subplot(grid[2, 1], sharex=first)
        everything = {"true": true, **learned}
        for number, (name, each) in enumerate(everything.items()):
            style = TRUE if name == "true" else line_style(name, number - 1)
            shown = "true" if name == "true" else label(name)
            for i, (q, p) in enumerate(zip(each.q[:6], each.p[:6], strict=True)):
                plane.plot(q[:, 0], p[:, 0], label=shown if i == 0 else None, **style)
            first.plot(each.t, each.q[0, :, 0], **style)
            second.plot(each.t, each.p[0, :, 0], **style)
            if each.energy is not None:
                third.plot(each.t, each.energy[0], **style)
        plane.plot(true.q[:6, 0, 0], true.p[:6, 0, 0], "o", color="black", mfc="white")
        frame(plane, true.q[:6, :, 0], true.p[:6, :, 0])
        frame(first, None, true.q[0, :, 0])
        frame(second, None, true.p[0, :, 0])
        spans = [np.ptp(limits) for limits in (plane.get_xlim(), plane.get_ylim())]
        if max(spans) < 3 * min(spans):
            plane.set_aspect("equal", adjustable="box")
        plane.set_xlabel(_axis(names, 0))
        plane.set_ylabel(_axis(names, 1))
        first.set_ylabel(_axis(names, 0))
        second.set_ylabel(_axis(names, 1))
        third.set_ylabel("true energy [1]")
        third.set_xlabel("time $t$ [1]")
        for panel in (first, second):
            panel.tick_params(labelbottom=False)
        figure.legend(loc="outside upper center", ncols=len(everything))
    return figure


def frame(axes: Axes, x: np.ndarray | None, y: np.ndarray) -> None:
    """Show what the truth passes through, and somewhat more, whatever models do."""

    def limits(values: np.ndarray) -> tuple[float, float]:
        low, high = float(np.min(values)), float(np.max(values))
        room = 0.35 * (high - low) or 1.0
        return low - room, high + room

    if x is not None:
        axes.set_xlim(limits(x))
    axes.set_ylim(limits(y))


def energy_errors(
    true: Sampled, learned: dict[str, Sampled], *, relative: bool = True
) -> Figure:
    """|E(t) − E(0)| of the true energy along rollouts: median and quartiles.

    Args:
      true: the motion as simulated, which shows what the integrator does.
      learned: model → its own from the same states.
      relative: whether it is over |E(0)|.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, (name, each) in enumerate({"true": true, **learned}.items()):
            if each.energy is None:
                continue
            gap = np.abs(each.energy - each.energy[:, :1])
            if relative:
                gap = gap / np.abs(each.energy[:, :1])
            gap = np.where(np.isfinite(gap), gap, np.inf)[:, 1:]
            low, middle, high = np.quantile(
                gap, [0.25, 0.5, 0.75], axis=0, method="lower"
            )
            shown = "true field, integrated" if name == "true" else label(name)
            color = "black" if name == "true" else _color(name, number - 1)
            floor = 1e-17
            axes.plot(each.t[1:], np.maximum(middle, floor), color=color, label=shown)
            axes.fill_between(
                each.t[1:],
                np.maximum(low, floor),
                np.maximum(high, floor),
                color=color,
                alpha=0.15,
                linewidth=0,
            )
        axes.set_yscale("log")
        axes.set_xlabel("time $t$ [1]")
        unit = "/|E(0)|$ [1]" if relative else "$ [1]"
        axes.set_ylabel("$|E(t) - E(0)|" + unit)
        axes.legend(fontsize=8)
    return figure


def planar_paths(
    true: Sampled, learned: dict[str, Sampled], *, number: int = 0
) -> Figure:
    """Bodies in the plane, q = (x₁, y₁, x₂, …): the true paths, and each model's.

    Args:
      true, learned: as in `learned_motion`.
      number: which trajectory.
    """
    with mpl.rc_context(STYLE):
        count = len(learned)
        figure = Figure(figsize=(0.6 + 3.4 * count, 4.2), layout="constrained")
        panels = figure.subplots(1, count, sharex=True, sharey=True, squeeze=False)[0]
        bodies = true.q.shape[2] // 2
        for panel, (name, each) in zip(panels, learned.items(), strict=True):
            for body in range(bodies):
                color = f"C{body}"
                x, y = (true.q[number, :, 2 * body + k] for k in (0, 1))
                panel.plot(x, y, color="black", lw=0.8, alpha=0.7)
                panel.plot(x[0], y[0], "o", color=color, mfc="white", ms=6)
                x, y = (each.q[number, :, 2 * body + k] for k in (0, 1))
                panel.plot(x, y, color=color, lw=1.5, ls="--")
                panel.plot(x[-1], y[-1], "o", color=color, ms=5)
            panel.set_title(label(name), fontsize=10)
            panel.set_xlabel("$x$ [1]")
            xs, ys = true.q[number, :, 0::2], true.q[number, :, 1::2]
            frame(panel, xs, ys)
            panel.set_aspect("equal", adjustable="box")
        panels[0].plot([], [], color="black", lw=0.8, label="true")
        panels[0].plot([], [], color="gray", lw=1.5, ls="--", label="learned")
        panels[0].legend(fontsize=8, loc="upper left")
        panels[0].set_ylabel("$y$ [1]")
    return figure


def followed_motion(
    t: ArrayLike,
    measured: tuple[ArrayLike, ArrayLike],
    followed: tuple[ArrayLike, ArrayLike],
    *,
    symbol: str = "p",
    kind: str = "",
) -> Figure:
    """One measured trajectory and the model's motion from its first state.

    Args:
      t: times, (T,).
      measured, followed: positions, and momenta or velocities, each (T, n).
      symbol: "p" or "v".
      kind: of the model, for the legend.
    """
    t = np.asarray(t)
    count = min(np.asarray(measured[0]).shape[1], 4)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9.0, 0.8 + 2.6 * count), layout="constrained")
        panels = figure.subplots(count, 2, sharex=True, squeeze=False)
        for i, row in enumerate(panels):
            for panel, name, seen, found in zip(
                row, ("q", symbol), measured, followed, strict=True
            ):
                seen, found = np.asarray(seen)[:, i], np.asarray(found)[:, i]
                panel.plot(t, seen, ".", color="black", ms=3, label="measured")
                panel.plot(t, found, color="#d62728", lw=1.4, label=f"learned, {kind}")
                frame(panel, None, seen)
                panel.set_ylabel(f"${name}_{{{i + 1}}}$ [as in the data]")
        for panel in panels[-1]:
            panel.set_xlabel("time $t$ [as in the data]")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def energy_levels(
    energy: Callable[[np.ndarray, np.ndarray], np.ndarray],
    seen: Sequence[tuple[ArrayLike, ArrayLike]],
    *,
    symbol: str = "p",
) -> Figure:
    """Lines of equal learned energy of one coordinate, with the data upon them.

    Args:
      energy: `energy(q, p) -> (len(p), len(q))`, on a grid.
      seen: q and p of each trajectory.
      symbol: "p" or "v".
    """
    q = np.concatenate([np.asarray(a) for a, _ in seen])
    p = np.concatenate([np.asarray(b) for _, b in seen])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5.4, 4.6), layout="constrained")
        axes = figure.subplots()
        frame(axes, q, p)
        grid = [
            np.linspace(*limits, 101) for limits in (axes.get_xlim(), axes.get_ylim())
        ]
        lines = axes.contourf(*grid, energy(*grid), levels=24, cmap="viridis")
        axes.contour(*grid, energy(*grid), levels=24, colors="white", linewidths=0.4)
        axes.plot(q, p, ".", color="black", ms=2, alpha=0.6)
        axes.grid(False)
        axes.set_xlabel("$q$ [as in the data]")
        axes.set_ylabel(f"${symbol}$ [as in the data]")
        figure.colorbar(lines, ax=axes, label="learned energy [as in the data]")
    return figure
