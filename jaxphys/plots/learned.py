"""What was learned beside what is true: motions, energies, masses, functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, Look
from jaxphys.types import PhaseState, Trajectories

__all__ = [
    "coordinates_in_time",
    "energy_errors",
    "energy_levels",
    "followed_motion",
    "learned_functions",
    "learned_motion",
    "mass_matrices",
    "planar_paths",
    "torques",
]


@mpl.rc_context(STYLE)
def coordinates_in_time(
    true: Trajectories,
    learned: Mapping[str, Trajectories],
    names: Sequence[str],
    *,
    time: str = "time $t$ [1]",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Each coordinate of one motion against time; beside it the error of several.

    Args:
      true: the motion of the system.
      learned: row → its own from the same states.
      names: labels of the coordinates, with units.
      time: label of time, with its unit.
      looks: row → its label and color.
    """
    count = min(len(names), 4)
    styles = _panels.dashed(learned, looks)
    figure, grid = _panels.panels(count, 2, (11.0, 1.0 + 2.3 * count), sharex=True)
    for i, (left, right) in enumerate(grid):
        expected = true.y.q[:, :, i]
        left.plot(true.t, expected[0], label="true", **_panels.TRUE)
        for row, motion in learned.items():
            left.plot(motion.t, motion.y.q[0, :, i], **styles[row])
            _, middle, _ = _panels.quartiles(np.abs(motion.y.q[:, :, i] - expected))
            right.plot(motion.t[1:], middle[1:], color=styles[row]["color"])
        _panels.frame(left, None, expected[0])
        left.set_ylabel(names[i])
        right.set_yscale("log")
        symbol, _, unit = names[i].partition(" ")
        right.set_ylabel(f"error of {symbol} {unit}")
    for panel in grid[-1]:
        panel.set_xlabel(time)
    grid[0, 1].set_title(f"median of {len(true.y.q)} motions", fontsize=10)
    grid[0, 0].set_title("one of them", fontsize=10)
    _panels.legend_outside(figure, *_panels.labeled_lines(grid))
    return figure


@mpl.rc_context(STYLE)
def learned_motion(
    true: Trajectories,
    learned: Mapping[str, Trajectories],
    *,
    names: Sequence[str] = ("$q$ [1]", "$p$ [1]"),
    time: str = "time $t$ [1]",
    energy: str = "true energy [1]",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Rollouts: phase plane and first coordinate in time, and the energy there.

    Args:
      true: the motion of the system. Of it and the learned ones the first trajectory
        is drawn against time, and the first six in the phase plane.
      learned: row → its own from the same states; each with the true energy along it,
        where that is known.
      names: labels of the coordinate and its momentum, or velocity, with units.
      time, energy: labels of time and of the energy, with units.
      looks: row → its label and color.
    """
    figure = Figure(figsize=(11.0, 6.0), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.5))
    plane = figure.add_subplot(grid[:, 0])
    first = figure.add_subplot(grid[0, 1])
    second = figure.add_subplot(grid[1, 1], sharex=first)
    third = figure.add_subplot(grid[2, 1], sharex=first)
    dashed = _panels.dashed(learned, looks).values()
    styles = [_panels.TRUE | {"label": "true"}, *dashed]
    for motion, style in zip([true, *learned.values()], styles, strict=True):
        q, p = (x[:6, :, 0] for x in motion.y)
        unnamed = style | {"label": None}
        plane.plot(q[0], p[0], **style)
        plane.plot(q[1:].T, p[1:].T, **unnamed)
        first.plot(motion.t, q[0], **unnamed)
        second.plot(motion.t, p[0], **unnamed)
        if motion.energy is not None:
            third.plot(motion.t, motion.energy[0], **unnamed)
    q, p = (x[:6, :, 0] for x in true.y)
    plane.plot(q[:, 0], p[:, 0], "o", color="black", mfc="white")
    _panels.frame(plane, q, p)
    _panels.frame(first, None, q[0])
    _panels.frame(second, None, p[0])
    spans = [np.ptp(limits) for limits in (plane.get_xlim(), plane.get_ylim())]
    if max(spans) < 3 * min(spans):
        plane.set_aspect("equal", adjustable="box")
    plane.set_xlabel(names[0])
    plane.set_ylabel(names[1])
    for panel, name in ((first, names[0]), (second, names[1]), (third, energy)):
        panel.set_ylabel(name)
    for panel in (first, second):
        panel.tick_params(labelbottom=False)
    third.set_xlabel(time)
    _panels.legend_outside(figure, *plane.get_legend_handles_labels())
    return figure


@mpl.rc_context(STYLE)
def energy_errors(
    true: Trajectories,
    learned: Mapping[str, Trajectories],
    *,
    relative: bool = True,
    time: str = "time $t$ [1]",
    unit: str = "1",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """|E(t) − E(0)| of the true energy along rollouts: median and quartiles.

    Args:
      true: the motion as simulated, which shows what the integrator does.
      learned: row → its own from the same states, with the true energy along it.
      relative: whether it is over |E(0)|.
      time: label of time, with its unit.
      unit: of energy, where the error is not relative.
      looks: row → its label and color.
    """
    own = _panels.completed(learned, looks)
    figure, ((axes,),) = _panels.panels(1, 1, (7.4, 4.2))
    drawn = [(Look("true field, integrated", "black"), true)]
    drawn += [(own[row], motion) for row, motion in learned.items()]
    for (label, color), motion in drawn:
        if motion.energy is None:
            continue
        # A motion that diverged has an infinite error from there on.
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(motion.energy - motion.energy[:, :1])
            error = error / np.abs(motion.energy[:, :1]) if relative else error
        low, middle, high = _panels.quartiles(error[:, 1:])
        axes.plot(motion.t[1:], middle, color=color, label=label)
        axes.fill_between(motion.t[1:], low, high, color=color, alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.set_xlabel(time)
    size = "/|E(0)|$ [1]" if relative else f"$ [{unit}]"
    axes.set_ylabel("$|E(t) - E(0)|" + size)
    legend = axes.get_legend_handles_labels()
    _panels.legend_outside(figure, *legend, place="right center", columns=1)
    return figure


@mpl.rc_context(STYLE)
def planar_paths(
    true: Trajectories,
    learned: Mapping[str, Trajectories],
    *,
    number: int = 0,
    unit: str = "1",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Bodies in the plane, q = (x₁, y₁, x₂, …): the true paths, and the learned ones.

    Args:
      true, learned: as in `learned_motion`.
      number: which trajectory.
      unit: of length.
      looks: row → its label and color.
    """
    own = _panels.completed(learned, looks)
    count = len(learned)
    figure, (row,) = _panels.panels(
        1, count, (0.6 + 3.4 * count, 4.2), sharex=True, sharey=True
    )
    x, y = true.y.q[number, :, 0::2].T, true.y.q[number, :, 1::2].T
    for panel, (name, motion) in zip(row, learned.items(), strict=True):
        found = motion.y.q[number, :, 0::2].T, motion.y.q[number, :, 1::2].T
        for body, (xs, ys, found_x, found_y) in enumerate(
            zip(x, y, *found, strict=True)
        ):
            color = f"C{body}"
            panel.plot(xs, ys, color="black", lw=0.8, alpha=0.7)
            panel.plot(xs[0], ys[0], "o", color=color, mfc="white", ms=6)
            panel.plot(found_x, found_y, color=color, lw=1.5, ls="--")
            panel.plot(found_x[-1], found_y[-1], "o", color=color, ms=5)
        panel.set_title(own[name].label, fontsize=10)
        panel.set_xlabel(f"$x$ [{unit}]")
        _panels.frame(panel, x, y)
        panel.set_aspect("equal", adjustable="box")
    row[0].plot([], [], color="black", lw=0.8, label="true")
    row[0].plot([], [], color="gray", lw=1.5, ls="--", label="learned")
    row[0].plot([], [], "o", color="gray", mfc="white", label="start")
    row[0].plot([], [], "o", color="gray", ms=5, label="end, learned")
    row[0].set_ylabel(f"$y$ [{unit}]")
    _panels.legend_outside(figure, *row[0].get_legend_handles_labels())
    return figure


@mpl.rc_context(STYLE)
def followed_motion(
    measured: Trajectories,
    learned: Mapping[str, Trajectories],
    *,
    number: int = 0,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """A measured trajectory and the learned motions from its first state.

    Args:
      measured: of it at most four coordinates are drawn, each with its momentum or
        velocity.
      learned: row → its motion at the same times or at others.
      number: which trajectory.
      looks: row → its label and color.
    """
    count = min(measured.y.q.shape[2], 4)
    own = _panels.completed(learned, looks)
    figure, grid = _panels.panels(count, 2, (9.0, 0.8 + 2.6 * count), sharex=True)
    for part, (column, symbol) in enumerate(
        zip(grid.T, measured.y._fields, strict=True)
    ):
        for i, panel in enumerate(column):
            seen = measured.y[part][number, :, i]
            panel.plot(measured.t, seen, ".", color="black", ms=3, label="measured")
            for row, motion in learned.items():
                label, color = own[row]
                style = {"color": color, "lw": 1.4, "label": f"learned, {label}"}
                panel.plot(motion.t, motion.y[part][number, :, i], **style)
            _panels.frame(panel, None, seen)
            panel.set_ylabel(f"${symbol}_{{{i + 1}}}$ [as in the data]")
        column[-1].set_xlabel("time $t$ [as in the data]")
    _panels.legend_outside(figure, *_panels.labeled_lines(grid))
    return figure


@mpl.rc_context(STYLE)
def energy_levels(
    energy: Callable[[np.ndarray, np.ndarray], np.ndarray],
    measured: Sequence[Trajectories],
) -> Figure:
    """Lines of equal learned energy of one coordinate, with the data upon them.

    Args:
      energy: `energy(q, p) -> (len(p), len(q))` on a grid of positions and momenta, or
        velocities.
      measured: trajectories of one coordinate.
    """
    q, p = (
        np.concatenate([np.ravel(motion.y[part]) for motion in measured])
        for part in (0, 1)
    )
    symbol = "p" if isinstance(measured[0].y, PhaseState) else "v"
    figure, ((axes,),) = _panels.panels(1, 1, (5.4, 4.6))
    _panels.frame(axes, q, p)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    grid = np.linspace(left, right, 101), np.linspace(bottom, top, 101)
    values = energy(*grid)
    filled = axes.contourf(*grid, values, levels=24, cmap="viridis")
    axes.contour(*grid, values, levels=24, colors="white", linewidths=0.4)
    axes.plot(q, p, ".", color="black", ms=2, alpha=0.6)
    axes.grid(False)
    axes.set_xlabel("$q$ [as in the data]")
    axes.set_ylabel(f"${symbol}$ [as in the data]")
    figure.colorbar(filled, ax=axes, label="learned energy [as in the data]")
    return figure


def _lines(
    panel: Axes,
    x: ArrayLike,
    true: np.ndarray,
    learned: Mapping[str, np.ndarray],
    styles: Mapping[str, Mapping[str, Any]],
) -> None:
    """The true values and each row's, in the range of the true ones."""
    panel.plot(x, true, label="true", **(_panels.TRUE | {"linewidth": 2}))
    for row, values in learned.items():
        panel.plot(x, values, **styles[row])
    _panels.frame(panel, None, true)


@mpl.rc_context(STYLE)
def mass_matrices(
    x: ArrayLike,
    true: ArrayLike,
    learned: Mapping[str, ArrayLike],
    *,
    name: str,
    unit: str = "1",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Entries of the mass matrix along one coordinate, each row's and the true one.

    What multiplies a Lagrangian is free: each learned matrix is drawn with the factor
    that brings it nearest to the true one.

    Args:
      x: values of the coordinate, (k,).
      true: M there, (k, n, n).
      learned: row → the same.
      name: label of the coordinate, with its unit.
      unit: of the entries.
      looks: row → its label and color.
    """
    expected = np.asarray(true)
    found = {row: np.asarray(matrix) for row, matrix in learned.items()}
    scaled = {
        row: matrix * (np.sum(matrix * expected) / np.sum(matrix**2))
        for row, matrix in found.items()
    }
    n = min(expected.shape[1], 3)
    entries = [(i, j) for i in range(n) for j in range(i, n)]
    styles = _panels.dashed(learned, looks)
    size = (1.0 + 3.3 * len(entries), 3.6)
    figure, (panels,) = _panels.panels(1, len(entries), size)
    for panel, (i, j) in zip(panels, entries, strict=True):
        values = {row: matrix[:, i, j] for row, matrix in scaled.items()}
        _lines(panel, x, expected[:, i, j], values, styles)
        panel.set_xlabel(name)
        panel.set_ylabel(f"$M_{{{i + 1}{j + 1}}}$ [{unit}]")
    _panels.legend_outside(figure, *_panels.labeled_lines(panels))
    return figure


@mpl.rc_context(STYLE)
def torques(
    t: ArrayLike,
    true: Mapping[str, ArrayLike],
    learned: Mapping[str, Mapping[str, ArrayLike]],
    *,
    unit: str = "N m",
    time: str = "time $t$ [s]",
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Torques along a motion and what they are spent on, a row of panels a part.

    Args:
      t: times, (T,).
      true: part → its torques, (T, n).
      learned: row → the same; parts may be missing.
      unit: of torque.
      time: label of time, with its unit.
      looks: row → its label and color.
    """
    expected = {part: np.asarray(values) for part, values in true.items()}
    n = next(iter(expected.values())).shape[1]
    styles = _panels.dashed(learned, looks)
    size = (1.0 + 4.6 * n, 0.8 + 1.9 * len(true))
    figure, grid = _panels.panels(len(true), n, size, sharex=True)
    for panels, (part, values) in zip(grid, expected.items(), strict=True):
        found = {row: np.asarray(x[part]) for row, x in learned.items() if part in x}
        for joint, panel in enumerate(panels):
            of_joint = {row: torque[:, joint] for row, torque in found.items()}
            _lines(panel, t, values[:, joint], of_joint, styles)
        panels[0].set_ylabel(f"{part} [{unit}]")
    for joint, (top, *_, bottom) in enumerate([*grid.T]):
        top.set_title(f"joint {joint + 1}", fontsize=10)
        bottom.set_xlabel(time)
    _panels.legend_outside(figure, *_panels.labeled_lines(grid))
    return figure


@mpl.rc_context(STYLE)
def learned_functions(
    x: ArrayLike,
    true: Mapping[str, ArrayLike],
    learned: Mapping[str, Mapping[str, ArrayLike]],
    *,
    names: Sequence[str],
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Functions of one variable, what each row made of them, and the errors below.

    Args:
      x: where, (k,).
      true: title → the true values, (k,), a column of panels each.
      learned: row → title → its values.
      names: labels of x and of the values, with units.
      looks: row → its label and color.
    """
    expected = {title: np.asarray(values) for title, values in true.items()}
    styles = _panels.dashed(learned, looks)
    size = (2.8 + 3.6 * len(true), 5.4)
    figure, grid = _panels.panels(2, len(true), size, sharex=True, sharey="row")
    errors = []
    for (above, below), (title, values) in zip(grid.T, expected.items(), strict=True):
        found = {row: np.asarray(of[title]) for row, of in learned.items()}
        _lines(above, x, values, found, styles)
        for row, got in found.items():
            errors.append(np.maximum(np.abs(got - values), 1e-17))
            below.semilogy(x, errors[-1], color=styles[row]["color"])
        above.set_title(title, fontsize=10)
    _panels.frame(grid[0, 0], None, np.concatenate([*expected.values()]))
    # Where an error changes its sign it is about zero: the range leaves that out.
    low, high = _panels.error_range(errors)
    grid[1, 0].set_ylim(low / 2, 2 * high)
    _panels.label_outer(grid, names[0], f"error of {names[1]}")
    grid[0, 0].set_ylabel(names[1])
    legend = _panels.labeled_lines(grid)
    _panels.legend_outside(figure, *legend, place="right center", columns=1)
    return figure
