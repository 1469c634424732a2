"""Trajectories of one system: phase portraits, time series and energies.

Labels and units are those in `meta` of the trajectories, where `coordinates` and
`units` name them; angles are told by `periodic`.
"""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys import data
from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, shades
from jaxphys.types import TangentState, Trajectories

__all__ = [
    "energy",
    "energy_error",
    "energy_figure",
    "motion",
    "phase_portraits",
    "phase_space",
    "planar_units",
    "space_time",
    "time_series",
    "wrapped",
]

#: More coordinates than this are drawn as a map over space and time.
_MANY = 12

#: Trajectories drawn into one figure, at most.
_SHOWN = 24


def _names(trajectories: Trajectories) -> list[str]:
    given = trajectories.meta.get("coordinates")
    n = trajectories.y.q.shape[2]
    return list(given) if given else [f"q_{{{i + 1}}}" for i in range(n)]


def _units(trajectories: Trajectories) -> list[str]:
    given = trajectories.meta.get("units")
    return list(given) if given else ["1"] * trajectories.y.q.shape[2]


def _is_si(trajectories: Trajectories) -> bool:
    """Whether quantities have units; a system without them has some "1" among them."""
    return "1" not in _units(trajectories)


def planar_units(trajectories: Trajectories) -> tuple[str, str]:
    """The units of time and of length, for `animation`."""
    return ("s", "m") if _is_si(trajectories) else ("1", "1")


def _time_label(trajectories: Trajectories) -> str:
    return f"time $t$ [{planar_units(trajectories)[0]}]"


def _label(trajectories: Trajectories, part: int, i: int) -> str:
    """What the axis of q_i is called (part 0), or of its momentum or velocity (1)."""
    name, unit = _names(trajectories)[i], _units(trajectories)[i]
    if part == 0:
        return f"${name}$ [{unit}]"
    si = _is_si(trajectories)
    if isinstance(trajectories.y, TangentState):
        return f"$v_{{{name}}}$ [{unit + '/s' if si else '1'}]"
    # Of a q_i the momentum is p_i, of any other coordinate x it is p_x.
    symbol = "p" + name[1:] if name.startswith("q") else f"p_{{{name}}}"
    units = {"m": "kg m/s", "rad": "kg m²/s"} if si else {}
    return f"${symbol}$ [{units.get(unit, '1')}]"


def _is_angle(trajectories: Trajectories, i: int) -> bool:
    return bool((trajectories.meta.get("periodic") or {i: False})[i])


def wrapped(angles: ArrayLike, others: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Angles in [−π, π), and what is drawn against them, with a NaN at every jump.

    Args:
      angles, others: shape (T,).

    Example:
      >>> wrapped([3.0, 3.3], [0.0, 1.0])[0].round(2)
      array([ 3.  ,   nan, -2.98])
    """
    turned = (np.asarray(angles) + np.pi) % (2 * np.pi) - np.pi
    jumps = np.flatnonzero(np.abs(np.diff(turned)) > np.pi) + 1
    x, y = (
        np.insert(np.asarray(a, float), jumps, np.nan)
        for a in (turned, np.asarray(others))
    )
    return x, y


def _angle_ticks(axis) -> None:
    axis.set_ticks(
        np.pi * np.array([-1, -0.5, 0, 0.5, 1]), ["−π", "−π/2", "0", "π/2", "π"]
    )


def phase_space(axes: Axes, trajectories: Trajectories, coordinate: int = 0) -> Axes:
    """One coordinate and its momentum, or velocity, of every trajectory.

    Angles are wrapped to [−π, π). A circle marks the start.

    Args:
      axes: where to draw.
      trajectories: what to draw.
      coordinate: which of q₁ … q_n, counted from zero.
    """
    angle = _is_angle(trajectories, coordinate)
    q, p = (x[:_SHOWN, :, coordinate] for x in trajectories.y)
    for x, y, color in zip(q, p, shades(len(q)), strict=True):
        x, y = wrapped(x, y) if angle else (x, y)
        axes.plot(x, y, color=color, lw=0.9, alpha=0.9)
        axes.plot(x[0], y[0], "o", color=color, mfc="white", ms=5, mew=1.2, zorder=4)
    if angle:
        axes.set_xlim(-np.pi, np.pi)
        _angle_ticks(axes.xaxis)
    axes.set_xlabel(_label(trajectories, 0, coordinate))
    axes.set_ylabel(_label(trajectories, 1, coordinate))
    return axes


def time_series(axes: Axes, trajectories: Trajectories, coordinate: int = 0) -> Axes:
    """One coordinate against time, of every trajectory; angles wrapped to [−π, π).

    Args: those of `phase_space`.
    """
    angle = _is_angle(trajectories, coordinate)
    q = trajectories.y.q[:_SHOWN, :, coordinate]
    for x, color in zip(q, shades(len(q)), strict=True):
        y, t = wrapped(x, trajectories.t) if angle else (x, trajectories.t)
        axes.plot(t, y, color=color, lw=1.1, alpha=0.9)
    if angle:
        axes.set_ylim(-np.pi, np.pi)
        _angle_ticks(axes.yaxis)
    axes.set_xlim(trajectories.t[0], trajectories.t[-1])
    axes.set_xlabel(_time_label(trajectories))
    axes.set_ylabel(_label(trajectories, 0, coordinate))
    return axes


def space_time(
    axes: Axes, trajectories: Trajectories, *, momenta: bool = False, number: int = 0
) -> Axes:
    """All coordinates of a lattice over time, as colors with a bar beside them.

    Args:
      axes: where to draw.
      trajectories: what to draw.
      momenta: whether to draw momenta, or velocities, in place of positions.
      number: which of the trajectories, counted from zero.
    """
    values = trajectories.y[1 if momenta else 0][number]
    nodes = np.arange(1, values.shape[1] + 1)
    bound = float(np.nanmax(np.abs(values))) or 1.0
    mesh = axes.pcolormesh(
        trajectories.t,
        nodes,
        values.T,
        cmap="RdBu_r",
        vmin=-bound,
        vmax=bound,
        shading="nearest",
        rasterized=True,
    )
    axes.grid(False)
    axes.set_xlabel(_time_label(trajectories))
    axes.set_ylabel("node $i$ [1]")
    # q_{1} of a lattice is the first of q_i.
    name = _label(trajectories, 1 if momenta else 0, 0).replace("{1}", "i")
    axes.figure.colorbar(mesh, ax=axes, label=name)
    return axes


def _against_time(axes: Axes, trajectories: Trajectories, values: np.ndarray) -> None:
    """One line, or the median and the range of several."""
    t = trajectories.t
    axes.set_xlim(t[0], t[-1])
    axes.set_xlabel(_time_label(trajectories))
    if len(values) == 1:
        axes.plot(t, values[0], color="#1f3f8f", lw=1.1)
        return
    # Where all have diverged there is no range, of which NumPy would warn.
    some = np.any(np.isfinite(values), axis=0)
    t, values = t[some], values[:, some]
    low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
    axes.fill_between(t, low, high, color="#1f3f8f", alpha=0.2, lw=0, label="range")
    middle = np.nanmedian(values, axis=0)
    axes.plot(t, middle, color="#1f3f8f", lw=1.3, label="median")
    beside: Any = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5), "fontsize": 9}
    axes.legend(title=f"{len(values)} trajectories", **beside)


def energy_error(axes: Axes, trajectories: Trajectories) -> Axes:
    """The relative error of energy over time, on a log axis: `data.energy_error`.

    Of several trajectories, the median and the range.
    """
    errors, scale = data.energy_error(trajectories), data.energy_scale(trajectories)
    # An error that rounds to zero has no place on a log axis.
    least = np.finfo(trajectories.y.q.dtype).eps / 4
    errors = np.where(errors == 0, least, errors)
    if len(trajectories.t) > 1:
        # Nor has the start, whose error is zero by definition.
        later = trajectories._replace(t=trajectories.t[1:])
        _against_time(axes, later, errors[:, 1:])
    else:
        _against_time(axes, trajectories, errors)
    axes.set_yscale("log")
    start = np.abs(np.asarray(trajectories.energy)[:, :1])
    over = "|E_0|" if np.array_equal(scale, start) else r"\mathrm{median}\,T"
    axes.set_ylabel(rf"energy error $|E - E_0|\,/\,{over}$ [1]")
    return axes


def energy(axes: Axes, trajectories: Trajectories) -> Axes:
    """Energy over time; of several trajectories, the median and the range.

    Raises:
      ValueError: where the energy is not known.
    """
    if trajectories.energy is None:
        raise ValueError(
            "these trajectories have no energy; expected an array (N, T) in "
            "Trajectories(energy=)."
        )
    _against_time(axes, trajectories, trajectories.energy)
    axes.set_ylabel(f"energy $E$ [{'J' if _is_si(trajectories) else '1'}]")
    return axes


def _titled(figure: Figure, trajectories: Trajectories) -> Figure:
    meta = trajectories.meta
    if "system" in meta:
        name = meta["system"].replace("_", " ")
        step = f", Δt = {meta['dt']:.4g}" if meta.get("dt") else ""
        figure.suptitle(f"{name}, {meta.get('integrator', '')}{step}", fontsize=11)
    return figure


@mpl.rc_context(STYLE)
def phase_portraits(trajectories: Trajectories) -> Figure:
    """Every coordinate with its momentum; of lattices, positions and momenta over time.

    A lattice is here what has more than twelve coordinates.
    """
    n = trajectories.y.q.shape[2]
    if n > _MANY:
        figure, ((left, right),) = _panels.panels(1, 2, (10.5, 4.2), sharey=True)
        space_time(left, trajectories)
        space_time(right, trajectories, momenta=True)
        right.set_ylabel("")
        return _titled(figure, trajectories)
    rows = 1 if n <= 3 else -(-n // 5) if n > 8 else 2
    columns = -(-n // rows)
    size = (max(3.4 * columns, 4.6), max(3.1 * rows, 3.8))
    figure, grid = _panels.panels(rows, columns, size)
    # Of bodies in the plane each has a column, its x above its y.
    planar = n > 2 and n % 2 == 0 and _names(trajectories)[1].startswith("y")
    for i, panel in enumerate((grid.T if planar else grid).ravel()):
        if i < n:
            phase_space(panel, trajectories, i)
        else:
            panel.remove()
    return _titled(figure, trajectories)


@mpl.rc_context(STYLE)
def motion(trajectories: Trajectories, *, bands: np.ndarray | None = None) -> Figure:
    """Every coordinate over time, one below the other; six of a lattice.

    Args:
      trajectories: the motion.
      bands: half the width of a band around the first of them, (T, n) or more.
    """
    n = trajectories.y.q.shape[2]
    shown = range(n) if n <= _MANY else np.linspace(0, n - 1, 6).astype(int)
    size = (7.5, max(3.0, 0.9 + 1.35 * len(shown)))
    figure, grid = _panels.panels(len(shown), 1, size, sharex=True)
    for i, panel in zip(shown, grid[:, 0], strict=True):
        time_series(panel, trajectories, int(i))
        if bands is not None:
            q, half = trajectories.y.q[0, :, i], bands[:, i]
            color, low, high = panel.lines[0].get_color(), q - half, q + half
            panel.fill_between(trajectories.t, low, high, color=color, alpha=0.25, lw=0)
        panel.label_outer()
    figure.align_ylabels()
    return _titled(figure, trajectories)


@mpl.rc_context(STYLE)
def energy_figure(trajectories: Trajectories) -> Figure:
    """How well energy is conserved; energy itself of what is driven or damped."""
    figure, ((axes,),) = _panels.panels(1, 1, (7.6, 3.8))
    conserved = trajectories.meta.get("conservative", True)
    (energy_error if conserved else energy)(axes, trajectories)
    return _titled(figure, trajectories)
