"""What a simulator does under a control, and with constants that were found."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, Look, shades
from jaxphys.types import PhaseState

__all__ = [
    "closed_loop",
    "constant_errors",
    "controlled_motion",
    "controlled_state",
    "identified_motion",
    "solutions",
]

#: How the control of one motion looks.
_CONTROL: Any = {"color": "#d62728", "linewidth": 1.4}


@mpl.rc_context(STYLE)
def closed_loop(
    times: ArrayLike,
    states: Mapping[str, ArrayLike],
    control: ArrayLike,
    name: str = "control $u$ [1]",
) -> Figure:
    """Motions under a policy that acts at every step, from several starts.

    Args:
      times: shape (T,).
      states: name of an axis → values, shape (b, T), b starts.
      control: each held for an equal part of the time, shape (b, N).
      name: of the control's axis.
    """
    times, control = np.asarray(times), np.asarray(control)
    count = len(states) + 1
    figure, grid = _panels.panels(count, 1, (7.0, 1.9 * count), sharex=True)
    panels = grid[:, 0]
    for color, pushed, *values in zip(
        shades(len(control)), control, *map(np.asarray, states.values()), strict=True
    ):
        for panel, row in zip(panels, values, strict=False):
            panel.plot(times, row, color=color)
            panel.plot(times[:1], row[:1], color=color, marker="o", mfc="white")
        _held(panels[-1], times, pushed, color=color)
    for panel, label in zip(panels, [*states, name], strict=True):
        panel.axhline(0, color="black", lw=0.6)
        panel.set_ylabel(label)
    panels[-1].set_xlabel("time $t$ [1]")
    return figure


@mpl.rc_context(STYLE)
def controlled_motion(
    times: ArrayLike, controlled: PhaseState, free: PhaseState, control: ArrayLike
) -> Figure:
    """A chain with and without its control: positions, force and phase plane.

    Args:
      times: shape (T,), from start to end.
      controlled, free: motions, q and p of shape (T, N).
      control: the forces, each held for an equal part of the time, shape (N_t,).
    """
    times = np.asarray(times)
    (q, v), (free_q, free_v) = (
        (np.asarray(s.q), np.asarray(s.p)) for s in (controlled, free)
    )
    figure = Figure(figsize=(10.5, 6.0), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.5, 1), height_ratios=(1.6, 1))
    position = figure.add_subplot(grid[0, 0])
    force = figure.add_subplot(grid[1, 0], sharex=position)
    plane = figure.add_subplot(grid[:, 1])
    start: Any = {"marker": "o", "mfc": "white", "ms": 9, "mew": 1.6, "ls": ""}
    end: Any = {"marker": "*", "ms": 9, "ls": "", "zorder": 5}
    lost: Any = {"marker": "x", "ms": 7, "mew": 1.6, "ls": ""}
    alone: Any = {"ls": ":", "lw": 1.1}
    for i, color in enumerate(shades(q.shape[1])):
        position.axhline(q[0, i], color=color, lw=0.6, alpha=0.5)
        for panel, x, y, free_x, free_y in (
            (position, times, q[:, i], times, free_q[:, i]),
            (plane, q[:, i], v[:, i], free_q[:, i], free_v[:, i]),
        ):
            panel.plot(x, y, color=color)
            panel.plot(free_x, free_y, color=color, **alone)
            panel.plot(x[:1], y[:1], color=color, **start)
            panel.plot(x[-1:], y[-1:], color=color, **end)
        plane.plot(free_q[-1:, i], free_v[-1:, i], color=color, **lost)
        position.plot([], [], color=color, label=f"mass {i + 1}")
    position.set_ylabel("position $x_i$ [1]")
    position.tick_params(labelbottom=False)
    _held(force, times, control, **_CONTROL)
    force.axhline(0, color="black", lw=0.6)
    force.set_xlabel("time $t$ [1]")
    force.set_ylabel("force $u$ on the last mass [1]")
    plane.set_xlabel("position $x_i$ [1]")
    plane.set_ylabel("velocity $v_i$ [1]")
    plane.set_aspect("equal", adjustable="datalim")
    for style, name in (
        ({}, "controlled"),
        (alone, "left alone"),
        (start, "start, and target"),
        (end, "end, controlled"),
        (lost, "end, left alone"),
    ):
        position.plot([], [], color="black", label=name, **style)
    legend = position.get_legend_handles_labels()
    _panels.legend_outside(figure, *legend, columns=9)
    return figure


def _held(axes: Axes, times: np.ndarray, control: ArrayLike, **style) -> None:
    """A control, each value held for an equal part of the time."""
    values = np.asarray(control)
    edges = np.linspace(times[0], times[-1], len(values) + 1)
    axes.stairs(values, edges, **style)


@mpl.rc_context(STYLE)
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
      density: |ψ|² by time and place, (T, n).
      populations: |⟨φ_k|ψ⟩|² of the lowest levels, (T, k).
      wanted: those of the target, (k,).
      control: fields, each held for an equal part of the time.
    """
    times = np.asarray(times)
    levels, wanted = np.asarray(populations), np.asarray(wanted)
    options = {"sharex": True, "height_ratios": (1.3, 1.3, 1)}
    figure, grid = _panels.panels(3, 1, (8.0, 7.6), **options)
    place, level, field = grid[:, 0]
    density = np.asarray(density).T
    image = place.pcolormesh(times, x, density, cmap="magma", rasterized=True)
    place.grid(False)
    place.set_ylabel("place $x$ [1]")
    figure.colorbar(image, ax=place, label=r"$|\psi|^2$ [1]")
    star: Any = {"ms": 9, "clip_on": False, "zorder": 3}
    for k, color in enumerate(shades(levels.shape[1])):
        level.plot(times, levels[:, k], color=color, label=f"$k = {k + 1}$")
        level.plot(times[-1:], wanted[k : k + 1], "*", color=color, **star)
    level.plot([], [], "*", color="black", ms=9, label="wanted")
    level.set_ylabel(r"population $|\langle\phi_k|\psi\rangle|^2$ [1]")
    # Above the panel: beside it, it would push the color bar away from its own.
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
    level.legend(fontsize=8, ncols=levels.shape[1] + 1, **above)
    _held(field, times, control, **_CONTROL)
    field.set_ylabel("field $u$ [1]")
    field.set_xlabel("time $t$ [1]")
    return figure


@mpl.rc_context(STYLE)
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
      method: label of what found the constants.
    """
    times, measured, started, fitted, forces = (
        np.asarray(x) for x in (times, measured, started, fitted, forces)
    )
    count, _, n = measured.shape
    colors = ["#1f3f8f", "#d62728"] if n == 2 else shades(n)
    options = {"sharex": True, "sharey": "row", "height_ratios": (3, 1, 1)}
    figure, grid = _panels.panels(3, count, (1.0 + 4.75 * count, 6.4), **options)
    point: Any = {"marker": "o", "ls": "", "ms": 5.5, "alpha": 0.3, "mew": 0}
    guess: Any = {"ls": ":", "lw": 1.2}
    found: Any = {"lw": 1.0}
    for i, (angle, residual, force) in enumerate(grid.T):
        for j, color in enumerate(colors):
            y, fit = measured[i, :, j], fitted[i, :, j]
            angle.plot(times, started[i, :, j], color=color, **guess)
            angle.plot(times, y, color=color, **point)
            angle.plot(times, fit, color=color, **found)
            residual.plot(times, y - fit, ".", color=color, ms=3.5, mew=0)
        residual.axhspan(-noise, noise, color="black", alpha=0.1, lw=0)
        force.stairs(forces[i], times, color="black", lw=1.2, baseline=None)
        force.set_xlabel("time $t$ [s]")
        angle.set_title(f"motion {i + 1}", fontsize=10)
    # A guess may go anywhere; the range is that of the measurements.
    _panels.frame(grid[0, 0], None, measured)
    names = (r"angle $\theta_i$ [rad]", "residual [rad]", "torque [N m]")
    for panel, name in zip(grid[:, 0], names, strict=True):
        panel.set_ylabel(name)
    figure.align_ylabels(grid[:, 0])
    styles: list[Any] = [{"color": color, "lw": 3} for color in colors]
    styles += [style | {"color": "black"} for style in (point, guess, found)]
    labels = [rf"$\theta_{{{j + 1}}}$" for j in range(n)]
    labels += ["measured", "first guess", f"found by {method}", r"$\pm\sigma$"]
    handles = [Line2D([], [], **style) for style in styles]
    band = Patch(color="black", alpha=0.1, lw=0)
    _panels.legend_outside(figure, [*handles, band], labels)
    return figure


@mpl.rc_context(STYLE)
def constant_errors(
    histories: Mapping[str, Sequence[Mapping[str, float]]],
    symbols: Mapping[str, str],
    standard_errors: Mapping[str, float] | None = None,
    *,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Relative error of each constant against training time, one panel a constant.

    Args:
      histories: method → its history, with an entry `NAME_error` for each constant.
      symbols: name of a constant → its symbol, in mathtext without dollars.
      standard_errors: relative, what the noise of the data lets one know; dashed.
      looks: method → its label and color.
    """
    figure, grid, used = _panels.wrapped_panels(len(symbols), 2.7, 2.9, sharex=True)
    own = _panels.completed(histories, looks)
    guess: Any = {"color": "black", "lw": 0.8, "ls": ":"}
    bound: Any = {"color": "black", "lw": 1.0, "ls": "--"}
    for panel, (name, symbol) in zip(used, symbols.items(), strict=True):
        for method, history in histories.items():
            # The guess, at zero seconds, has no place on a log axis.
            points = [(h["seconds"], abs(h[f"{name}_error"])) for h in history[1:]]
            x, y = np.array(points).reshape(-1, 2).T
            panel.loglog(x, y, color=own[method].color)
            panel.axhline(abs(history[0][f"{name}_error"]), **guess)
        if standard_errors:
            panel.axhline(standard_errors[name], **bound)
        panel.set_title(f"${symbol}$", fontsize=11)
    _panels.label_outer(grid, "training time [s]", "relative error [1]")
    handles = [Line2D([], [], color=own[method].color) for method in histories]
    labels = [own[method].label for method in histories]
    known: Any = {"first guess": guess}
    known |= {"standard error": bound} if standard_errors else {}
    handles += [Line2D([], [], **style) for style in known.values()]
    _panels.legend_outside(figure, handles, [*labels, *known], columns=4)
    return figure


@mpl.rc_context(STYLE)
def solutions(
    x: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    *,
    names: tuple[str, str] = ("time $t$ [1]", "solution $x$ [1]"),
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Solutions of an equation along one axis, and their errors below.

    Args:
      x: the points, shape (T,).
      true: the exact solution there, (T,).
      found: method → its solution, (T,).
      names: of both axes.
      looks: method → its label and color.
    """
    x, true = np.asarray(x), np.asarray(true)
    own = _panels.completed(found, looks)
    figure, ((above,), (below,)) = _panels.panels(2, 1, (7.0, 4.2), sharex=True)
    for name, values in found.items():
        look = own[name]
        above.plot(x, np.asarray(values), color=look.color, label=look.label)
        missed = np.abs(np.asarray(values) - true)
        below.semilogy(x, np.where(missed > 0, missed, np.nan), color=look.color)
    above.plot(x, true, color="black", ls="--", lw=1.0, label="exact")
    above.legend()
    above.set_ylabel(names[1])
    below.set_ylabel("error [1]")
    below.set_xlabel(names[0])
    return figure
