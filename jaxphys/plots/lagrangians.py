"""What a learned Lagrangian says: motions, masses, torques, fields, and sweeps."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots.learned import TRUE, Sampled, frame, line_style
from jaxphys.plots.style import STYLE, label

#: What stands for an error of zero on a log axis.
_FLOOR = 1e-17


def _named(figure: Figure, panel: Axes) -> None:
    """The legend of one panel above them all, in rows of five."""
    handles, labels = panel.get_legend_handles_labels()
    columns = min(len(labels), 5)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def coordinates_in_time(
    true: Sampled,
    learned: Mapping[str, Sampled],
    names: Sequence[str],
    *,
    time: str = "time $t$ [1]",
) -> Figure:
    """Each coordinate of one motion against time; beside it the error of several.

    Args:
      true: the motion of the system.
      learned: model → its own from the same states.
      names: labels of the coordinates, with units.
      time: the label of time.
    """
    count = min(len(names), 4)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 1.0 + 2.3 * count), layout="constrained")
        grid = figure.subplots(count, 2, sharex=True, squeeze=False)
        for i, (left, right) in enumerate(grid):
            left.plot(true.t, true.q[0, :, i], label="true", **TRUE)
            for number, (name, each) in enumerate(learned.items()):
                style = line_style(name, number)
                left.plot(each.t, each.q[0, :, i], label=label(name), **style)
                gap = np.abs(each.q[:, :, i] - true.q[:, :, i])
                gap = np.where(np.isfinite(gap), gap, np.inf)
                middle = np.quantile(gap, 0.5, axis=0, method="lower")
                color = style["color"]
                right.plot(each.t[1:], np.maximum(middle[1:], _FLOOR), color=color)
            frame(left, None, true.q[0, :, i])
            left.set_ylabel(names[i])
            right.set_yscale("log")
            symbol, _, unit = names[i].partition(" ")
            right.set_ylabel(f"error of {symbol} {unit}")
        for panel in grid[-1]:
            panel.set_xlabel(time)
        grid[0, 1].set_title(f"median of {len(true.q)} motions", fontsize=10)
        grid[0, 0].set_title("one of them", fontsize=10)
        _named(figure, grid[0, 0])
    return figure


def mass_matrices(
    x: ArrayLike,
    true: ArrayLike,
    learned: Mapping[str, ArrayLike],
    *,
    name: str,
    unit: str = "1",
) -> Figure:
    """Entries of the mass matrix along one coordinate, each model's and the true one.

    What multiplies a Lagrangian is free: each learned matrix is drawn with the factor
    that brings it nearest to the true one.

    Args:
      x: values of the coordinate, (k,).
      true: M there, (k, n, n).
      learned: model → the same.
      name: label of the coordinate, with its unit.
      unit: of the entries.
    """
    expected = np.asarray(true)
    n = min(expected.shape[1], 3)
    entries = [(i, j) for i in range(n) for j in range(i, n)]
    with mpl.rc_context(STYLE):
        size = (1.0 + 3.3 * len(entries), 3.6)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(entries), squeeze=False)[0]
        for panel, (i, j) in zip(panels, entries, strict=True):
            panel.plot(x, expected[:, i, j], label="true", **(TRUE | {"linewidth": 2}))
            for number, (model, matrix) in enumerate(learned.items()):
                found = np.asarray(matrix)
                scale = np.sum(found * expected) / np.sum(found**2)
                style = line_style(model, number)
                panel.plot(x, scale * found[:, i, j], label=label(model), **style)
            frame(panel, None, expected[:, i, j])
            panel.set_xlabel(name)
            panel.set_ylabel(f"$M_{{{i + 1}{j + 1}}}$ [{unit}]")
        _named(figure, panels[0])
    return figure


def torques(
    t: ArrayLike,
    true: Mapping[str, ArrayLike],
    learned: Mapping[str, Mapping[str, ArrayLike]],
    *,
    unit: str = "N m",
    time: str = "time $t$ [s]",
) -> Figure:
    """Torques along a motion and what they are spent on, a row a part.

    Args:
      t: times, (T,).
      true: part → its torques, (T, n).
      learned: model → the same; a model may lack parts.
      unit: of torque.
      time: the label of time.
    """
    with mpl.rc_context(STYLE):
        n = np.asarray(next(iter(true.values()))).shape[1]
        size = (1.0 + 4.6 * n, 0.8 + 1.9 * len(true))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(len(true), n, sharex=True, squeeze=False)
        for row, (part, values) in zip(grid, true.items(), strict=True):
            for joint, panel in enumerate(row):
                expected = np.asarray(values)[:, joint]
                panel.plot(t, expected, label="true", **(TRUE | {"linewidth": 2}))
                for number, (model, parts) in enumerate(learned.items()):
                    if part in parts:
                        found = np.asarray(parts[part])[:, joint]
                        style = line_style(model, number)
                        panel.plot(t, found, label=label(model), **style)
                frame(panel, None, expected)
            row[0].set_ylabel(f"{part} [{unit}]")
        for joint, panel in enumerate(grid[0]):
            panel.set_title(f"joint {joint + 1}", fontsize=10)
        for panel in grid[-1]:
            panel.set_xlabel(time)
        _named(figure, grid[0, 0])
    return figure


def laws(
    x: ArrayLike,
    true: Mapping[str, ArrayLike],
    learned: Mapping[str, Mapping[str, ArrayLike]],
    *,
    names: Sequence[str],
) -> Figure:
    """A quantity against another as several models have it, and their errors below.

    Args:
      x: where, (k,).
      true: case → the true values, (k,), a column each.
      learned: model → case → its values.
      names: labels of x and of the quantity, with units.
    """
    with mpl.rc_context(STYLE):
        size = (1.0 + 3.6 * len(true), 5.4)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(2, len(true), sharex=True, sharey="row", squeeze=False)
        for (above, below), (case, values) in zip(grid.T, true.items(), strict=True):
            expected = np.asarray(values)
            above.plot(x, expected, label="true", **(TRUE | {"linewidth": 2}))
            for number, (model, cases) in enumerate(learned.items()):
                style = line_style(model, number)
                found = np.asarray(cases[case])
                above.plot(x, found, label=label(model), **style)
                gap = np.maximum(np.abs(found - expected), _FLOOR)
                below.plot(x, gap, color=style["color"])
            frame(above, None, np.concatenate([np.ravel(v) for v in true.values()]))
            below.set_yscale("log")
            below.set_xlabel(names[0])
            above.set_title(case, fontsize=10)
        grid[0, 0].set_ylabel(names[1])
        grid[1, 0].set_ylabel(f"error of {names[1]}")
        _named(figure, grid[0, 0])
    return figure


def waves(
    t: ArrayLike,
    x: ArrayLike,
    true: ArrayLike,
    learned: Mapping[str, ArrayLike],
) -> Figure:
    """A field over space and time: the true one, and each model's with its error.

    Args:
      t, x: times (T,) and places (n,).
      true: the field, (T, n).
      learned: model → the same.
    """
    expected = np.asarray(true)
    bound = float(np.max(np.abs(expected)))
    count = len(learned) + 1
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(1.4 + 3.3 * count, 6.0), layout="constrained")
        grid = figure.subplots(2, count, sharex=True, sharey=True, squeeze=False)
        errors = {
            name: np.abs(np.asarray(found) - expected)
            for name, found in learned.items()
        }
        known = [e[np.isfinite(e) & (e > 0)] for e in errors.values()]
        every = np.concatenate([np.array([1e-12, 1e-11]), *known])
        low, high = np.percentile(every, [5, 100])
        norm = LogNorm(low, max(high, 2 * low), clip=True)
        shown = {"true": expected, **{k: np.asarray(v) for k, v in learned.items()}}
        for panel, (name, values) in zip(grid[0], shown.items(), strict=True):
            image = panel.pcolormesh(
                x, t, values, cmap="RdBu_r", vmin=-bound, vmax=bound, rasterized=True
            )
            panel.set_title("true" if name == "true" else label(name), fontsize=10)
        figure.colorbar(image, ax=grid[0], label="$u$ [1]")
        for panel, gap in zip(grid[1, 1:], errors.values(), strict=True):
            image = panel.pcolormesh(
                x, t, np.maximum(gap, low), cmap="magma", norm=norm, rasterized=True
            )
            panel.set_xlabel("place $x$ [1]")
        figure.colorbar(image, ax=grid[1, 1:], label="error of $u$ [1]")
        for panel in grid.ravel():
            panel.grid(False)
        # The truth has no error to be drawn.
        grid[1, 0].remove()
        grid[0, 0].set_xlabel("place $x$ [1]")
        grid[0, 0].tick_params(labelbottom=True)
        grid[0, 0].set_ylabel("time $t$ [1]")
        grid[1, 1].set_ylabel("time $t$ [1]")
    return figure


def sweep(
    rates: Sequence[float],
    batches: Sequence[int],
    errors: ArrayLike,
    *,
    what: str,
) -> Figure:
    """A heat map over learning rate and batch size, with its numbers.

    Args:
      rates: learning rates, (k,).
      batches: batch sizes, (l,).
      errors: (l, k), above zero; what is not finite is left white.
      what: label of the errors, with a unit.
    """
    values = np.asarray(errors, float)
    shown = np.ma.masked_invalid(np.where(values < 1e100, values, np.nan))
    with mpl.rc_context(STYLE):
        size = (2.4 + 1.0 * len(rates), 1.6 + 0.6 * len(batches))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        low, high = float(shown.min()), float(shown.max())
        norm = LogNorm(low, max(high, 1.01 * low))
        image = axes.imshow(shown, norm=norm, cmap="viridis", aspect="auto")
        for row in range(len(batches)):
            for column in range(len(rates)):
                value = values[row, column]
                ok = np.isfinite(value) and value < 1e100
                light = ok and norm(value) < 0.55
                axes.text(
                    column,
                    row,
                    f"{value:.1e}" if ok else "diverged",
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if light else "black",
                )
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set_yticks(range(len(batches)), [str(size) for size in batches])
        axes.grid(False)
        axes.set_xlabel("learning rate [1]")
        axes.set_ylabel("batch size [samples]")
        figure.colorbar(image, ax=axes, label=what)
    return figure
