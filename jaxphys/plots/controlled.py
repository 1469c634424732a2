"""What a controlled simulator does: a quantum state on its way, fields and errors."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots.style import COLORS, STYLE, label, shades


def controlled_state(
    times: ArrayLike,
    x: ArrayLike,
    density: ArrayLike,
    populations: ArrayLike,
    wanted: ArrayLike,
    control: ArrayLike,
) -> Figure:
    """A particle in a box and its field: |ψ|², populations of its levels, u(t).

    Args:
      times, x: shapes (T,) and (n,).
      density: |ψ|² by place and time, (T, n).
      populations: |⟨φ_k|ψ⟩|² of the lowest levels, (T, k).
      wanted: those of the target, (k,).
      control: fields, each held for an equal part of the time.
    """
    times, control = np.asarray(times), np.asarray(control)
    levels, wanted = np.asarray(populations), np.asarray(wanted)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 7.6), layout="constrained")
        rows = figure.subplots(3, 1, sharex=True, height_ratios=(1.3, 1.3, 1))
        image = rows[0].pcolormesh(
            times, x, np.asarray(density).T, cmap="magma", rasterized=True
        )
        rows[0].grid(False)
        rows[0].set_ylabel("place $x$ [1]")
        figure.colorbar(image, ax=rows[0], label=r"$|\psi|^2$ [1]")
        for k, color in enumerate(shades(levels.shape[1])):
            rows[1].plot(times, levels[:, k], color=color, label=f"$k = {k + 1}$")
            star = {"color": color, "ms": 9, "clip_on": False, "zorder": 3}
            rows[1].plot(times[-1:], wanted[k : k + 1], "*", **star)
        rows[1].plot([], [], "*", color="black", ms=9, ls="", label="wanted")
        rows[1].set_ylabel(r"population $|\langle\phi_k|\psi\rangle|^2$ [1]")
        # Above the panel: beside it, it would push the color bar away from its own.
        place = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        rows[1].legend(fontsize=8, ncols=levels.shape[1] + 1, **place)
        edges = np.linspace(times[0], times[-1], len(control) + 1)
        rows[2].stairs(control, edges, color="#d62728", linewidth=1.2, baseline=0)
        rows[2].set_ylabel("field $u$ [1]")
        rows[2].set_xlabel("time $t$ [1]")
    return figure


def solved_fields(
    source: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    *,
    names: Sequence[str] = ("source", "solution"),
) -> Figure:
    """What a field was asked for, the true one, and each method's with its error.

    Args:
      source, true: (n, n), what the network reads, and the field that it should give.
      found: method → its field.
      names: of what is read and of what is found.
    """
    true = np.asarray(true)
    bound = float(np.max(np.abs(true)))
    errors = {name: np.asarray(x) - true for name, x in found.items()}
    worst = max(float(np.max(np.abs(x))) for x in errors.values())
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        width = len(found) + 1
        figure = Figure(figsize=(1.2 + 2.5 * width, 5.2), layout="constrained")
        grid = figure.subplots(2, width, sharex=True, sharey=True, squeeze=False)
        options = {"cmap": "RdBu_r", "origin": "lower"}
        given = np.asarray(source)
        most = float(np.max(np.abs(given)))
        read = grid[1, 0].imshow(given.T, vmin=-most, vmax=most, **options)
        grid[1, 0].set_title(names[0], fontsize=10)
        figure.colorbar(read, ax=grid[1, 0], location="left", label="$y^*$ [1]")
        image = grid[0, 0].imshow(true.T, vmin=-bound, vmax=bound, **options)
        grid[0, 0].set_title(f"true {names[1]}", fontsize=10)
        figure.colorbar(image, ax=grid[0, 0], location="left", label="$x$ [1]")
        gap = None
        for column, (name, values) in enumerate(found.items(), 1):
            top, bottom = grid[:, column]
            top.imshow(np.asarray(values).T, vmin=-bound, vmax=bound, **options)
            top.set_title(label(name), fontsize=10)
            gap = bottom.imshow(errors[name].T, vmin=-worst, vmax=worst, **options)
            bottom.set_xlabel("node")
        if gap is not None:
            figure.colorbar(gap, ax=grid[1, 1:], label="error of $x$ [1]")
        for panel in grid[:, 0]:
            panel.set_ylabel("node")
    return figure


def learned_functions(
    x: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    *,
    argument: str,
    names: Sequence[str],
) -> Figure:
    """Functions of one variable, what each method made of them, and its error.

    Args:
      x: shape (T,).
      true: d functions at x, (T, d).
      found: method → the same of its network.
      argument: what x is.
      names: of the functions, with units where they have any.
    """
    x, true = np.asarray(x), np.asarray(true)
    with mpl.rc_context(STYLE):
        width = 2.4 + 4.3 * len(names)
        figure = Figure(figsize=(width, 5.6), layout="constrained")
        columns = len(names)
        grid = figure.subplots(
            2, columns, sharex=True, sharey="row", squeeze=False, height_ratios=(3, 2)
        )
        for (top, bottom), wanted, name in zip(grid.T, true.T, names, strict=True):
            top.plot(x, wanted, color="black", lw=4, alpha=0.25, label="wanted")
            top.set_ylabel(name)
            bottom.set_xlabel(argument)
        for number, (method, values) in enumerate(found.items()):
            style = {"color": COLORS.get(method, f"C{number}"), "lw": 1.2}
            for (top, bottom), wanted, got in zip(
                grid.T, true.T, np.asarray(values).T, strict=True
            ):
                top.plot(x, got, label=label(method), **style)
                bottom.semilogy(x, np.abs(got - wanted), **style)
        # A network that went astray is not to flatten what is to be seen.
        margin = 0.2 * np.ptp(true)
        grid[0, 0].set_ylim(true.min() - margin, true.max() + margin)
        grid[1, 0].set_ylim(bottom=1e-5)
        grid[1, 0].set_ylabel("|error| [1]")
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(),
            loc="outside right center",
            fontsize=9,
        )
    return figure


def errors_over_targets(
    nodes: ArrayLike, errors: Mapping[str, ArrayLike], *, size: str
) -> Figure:
    """Each method's error over a square of targets, in one logarithmic scale.

    Args:
      nodes: of either side of the square, (n,).
      errors: method → (n, n), indexed by the first and the second target.
      size: what an error is, with its unit.
    """
    fields = {name: np.asarray(error) for name, error in errors.items()}
    together = np.stack(list(fields.values()))
    positive = together[(together > 0) & np.isfinite(together)]
    low, high = np.quantile(positive, (0.01, 0.999)) if positive.size else (0.1, 1.0)
    columns = min(4, len(fields))
    rows = -(-len(fields) // columns)
    with mpl.rc_context(STYLE | {"axes.grid": False}):
        figure = Figure(figsize=(1.6 + 2.4 * columns, 0.5 + 2.6 * rows))
        figure.set_layout_engine("constrained")
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        panels = grid.ravel()
        for panel, (name, error) in zip(panels, fields.items(), strict=False):
            image = panel.pcolormesh(
                nodes,
                nodes,
                np.clip(error.T, low, high),
                norm=LogNorm(low, high),
                cmap="magma",
                rasterized=True,
            )
            panel.set_title(label(name), fontsize=9)
            panel.set_aspect("equal")
        for panel in panels[len(fields) :]:
            panel.set_axis_off()
        for number in range(len(fields)):
            if number + columns >= len(fields):
                panels[number].set_xlabel("target $y_1^*$ [1]")
                panels[number].tick_params(labelbottom=True)
        for panel in grid[:, 0]:
            panel.set_ylabel("target $y_2^*$ [1]")
        figure.colorbar(image, ax=grid, label=size, extend="both")
    return figure
