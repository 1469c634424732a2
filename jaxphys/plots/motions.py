"""Trajectories: phase portraits, time series, energies, and animations."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.animation import AbstractMovieWriter, FuncAnimation
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from PIL import Image

from jaxphys import data
from jaxphys.data import Trajectories
from jaxphys.plots.style import STYLE, shades

#: More coordinates than this are drawn as a map over space and time.
MANY = 12

#: Trajectories drawn into one figure, at most.
_SHOWN = 24


def _names(trajectories: Trajectories) -> list[str]:
    given = trajectories.meta.get("coordinates")
    n = trajectories.q.shape[2]
    return list(given) if given else [f"q_{{{i + 1}}}" for i in range(n)]


def _units(trajectories: Trajectories) -> list[str]:
    given = trajectories.meta.get("units")
    return list(given) if given else ["1"] * trajectories.q.shape[2]


def _is_si(trajectories: Trajectories) -> bool:
    """Whether quantities have units; a system without them has some "1" among them."""
    return "1" not in _units(trajectories)


def _time_label(trajectories: Trajectories) -> str:
    return f"time $t$ [{'s' if _is_si(trajectories) else '1'}]"


def _energy_label(trajectories: Trajectories) -> str:
    return f"energy $E$ [{'J' if _is_si(trajectories) else '1'}]"


def _position_label(trajectories: Trajectories, i: int) -> str:
    return f"${_names(trajectories)[i]}$ [{_units(trajectories)[i]}]"


def _momentum_label(trajectories: Trajectories, i: int) -> str:
    name, unit = _names(trajectories)[i], _units(trajectories)[i]
    if trajectories.p is None:
        per_second = "1/s" if unit == "1" and _is_si(trajectories) else f"{unit}/s"
        return f"$v_{{{name}}}$ [{per_second if _is_si(trajectories) else '1'}]"
    # Of a q_i the momentum is p_i, of any other coordinate x it is p_x.
    symbol = "p" + name[1:] if name.startswith("q") else f"p_{{{name}}}"
    units = {"m": "kg m/s", "rad": "kg m²/s"} if _is_si(trajectories) else {}
    return f"${symbol}$ [{units.get(unit, '1')}]"


def _is_angle(trajectories: Trajectories, i: int) -> bool:
    return bool((trajectories.meta.get("periodic") or {i: False})[i])


def _momenta(trajectories: Trajectories) -> np.ndarray:
    found = trajectories.v if trajectories.p is None else trajectories.p
    if found is None:
        raise ValueError("these trajectories have neither momenta nor velocities.")
    return found


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
    q, p = (x[:_SHOWN, :, coordinate] for x in (trajectories.q, _momenta(trajectories)))
    for x, y, color in zip(q, p, shades(len(q)), strict=True):
        x, y = wrapped(x, y) if angle else (x, y)
        axes.plot(x, y, color=color, lw=0.9, alpha=0.9)
        axes.plot(x[0], y[0], "o", color=color, mfc="white", ms=5, mew=1.2, zorder=4)
    if angle:
        axes.set_xlim(-np.pi, np.pi)
        _angle_ticks(axes.xaxis)
    axes.set_xlabel(_position_label(trajectories, coordinate))
    axes.set_ylabel(_momentum_label(trajectories, coordinate))
    return axes


def time_series(axes: Axes, trajectories: Trajectories, coordinate: int = 0) -> Axes:
    """One coordinate against time, of every trajectory; angles wrapped to [−π, π).

    Args: those of `phase_space`.
    """
    angle = _is_angle(trajectories, coordinate)
    q = trajectories.q[:_SHOWN, :, coordinate]
    for x, color in zip(q, shades(len(q)), strict=True):
        y, t = wrapped(x, trajectories.t) if angle else (x, trajectories.t)
        axes.plot(t, y, color=color, lw=1.1, alpha=0.9)
    if angle:
        axes.set_ylim(-np.pi, np.pi)
        _angle_ticks(axes.yaxis)
    axes.set_xlim(trajectories.t[0], trajectories.t[-1])
    axes.set_xlabel(_time_label(trajectories))
    axes.set_ylabel(_position_label(trajectories, coordinate))
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
    values = (_momenta(trajectories) if momenta else trajectories.q)[number]
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
    axes.set_ylabel("node $i$")
    # q_{1} of a lattice is the first of q_i.
    label = _momentum_label if momenta else _position_label
    name = label(trajectories, 0).replace("{1}", "i")
    assert isinstance(axes.figure, Figure)
    axes.figure.colorbar(mesh, ax=axes, label=name)
    return axes


def _against_time(axes: Axes, trajectories: Trajectories, values: np.ndarray) -> Axes:
    """One line, or the median and the range of several."""
    t = trajectories.t
    if len(values) == 1:
        axes.plot(t, values[0], color="#1f3f8f", lw=1.1)
    else:
        low, high = np.nanmin(values, axis=0), np.nanmax(values, axis=0)
        axes.fill_between(t, low, high, color="#1f3f8f", alpha=0.2, lw=0, label="range")
        middle = np.nanmedian(values, axis=0)
        axes.plot(t, middle, color="#1f3f8f", lw=1.3, label="median")
        axes.legend(title=f"{len(values)} trajectories", fontsize=9)
    axes.set_xlim(t[0], t[-1])
    axes.set_xlabel(_time_label(trajectories))
    return axes


def energy_error(axes: Axes, trajectories: Trajectories) -> Axes:
    """The relative error of energy over time, on a log axis: `data.energy_error`.

    Of several trajectories, the median and the range.
    """
    errors = data.energy_error(trajectories)
    # Zeros have no place on a log axis: the start, and steps whose error rounds to it.
    least = np.finfo(trajectories.q.dtype).eps / 4
    errors = np.where(errors == 0, least, errors)
    errors[:, 0] = np.nan if errors.shape[1] > 1 else least
    kept = trajectories._replace(t=trajectories.t[1:]) if errors.shape[1] > 1 else None
    drawn = errors[:, 1:] if kept is not None else errors
    _against_time(axes, kept or trajectories, drawn)
    axes.set_yscale("log")
    assert trajectories.energy is not None
    scale, start = data.energy_scale(trajectories), np.abs(trajectories.energy[:, :1])
    over = "|E_0|" if np.array_equal(scale, start) else r"\mathrm{median}\,T"
    axes.set_ylabel(rf"energy error $|E - E_0|\,/\,{over}$")
    return axes


def energy(axes: Axes, trajectories: Trajectories) -> Axes:
    """Energy over time; of several trajectories, the median and the range."""
    if trajectories.energy is None:
        raise ValueError("these trajectories have no energy.")
    _against_time(axes, trajectories, trajectories.energy)
    axes.set_ylabel(_energy_label(trajectories))
    return axes


def _titled(figure: Figure, trajectories: Trajectories) -> Figure:
    meta = trajectories.meta
    if "system" in meta:
        name = meta["system"].replace("_", " ")
        step = f", Δt = {meta['dt']:.4g}" if meta.get("dt") else ""
        figure.suptitle(f"{name}, {meta.get('integrator', '')}{step}", fontsize=11)
    return figure


def phase_portraits(trajectories: Trajectories) -> Figure:
    """Every coordinate with its momentum; of lattices, positions and momenta over time.

    A lattice is here what has more than `MANY` coordinates.
    """
    n = trajectories.q.shape[2]
    with mpl.rc_context(STYLE):
        if n > MANY:
            figure = Figure(figsize=(10.5, 4.2), layout="constrained")
            panels = figure.subplots(1, 2, sharey=True)
            space_time(panels[0], trajectories)
            space_time(panels[1], trajectories, momenta=True)
            panels[1].set_ylabel("")
            return _titled(figure, trajectories)
        rows = 1 if n <= 3 else -(-n // 5) if n > 8 else 2
        columns = -(-n // rows)
        size = (max(3.4 * columns, 4.6), max(3.1 * rows, 3.8))
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
        # Of bodies in the plane each has a column, its x above its y.
        planar = n > 2 and n % 2 == 0 and _names(trajectories)[1].startswith("y")
        for i, panel in enumerate((grid.T if planar else grid).ravel()):
            if i < n:
                phase_space(panel, trajectories, i)
            else:
                panel.remove()
    return _titled(figure, trajectories)


def motion(trajectories: Trajectories) -> Figure:
    """Every coordinate over time, one below the other; six of a lattice."""
    n = trajectories.q.shape[2]
    shown = range(n) if n <= MANY else np.linspace(0, n - 1, 6).astype(int)
    with mpl.rc_context(STYLE):
        height = max(3.0, 0.9 + 1.35 * len(shown))
        figure = Figure(figsize=(7.5, height), layout="constrained")
        panels = figure.subplots(len(shown), 1, sharex=True, squeeze=False).ravel()
        for i, panel in zip(shown, panels, strict=True):
            time_series(panel, trajectories, int(i))
            panel.label_outer()
        figure.align_ylabels()
    return _titled(figure, trajectories)


def energy_figure(trajectories: Trajectories) -> Figure:
    """How well energy is conserved; energy itself of what is driven or damped."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.0, 3.8), layout="constrained")
        axes = figure.subplots()
        if trajectories.meta.get("conservative", True):
            energy_error(axes, trajectories)
        else:
            energy(axes, trajectories)
    return _titled(figure, trajectories)


#: Frames of an animation a second, and in all.
_RATE, _FRAMES = 20, 200

_DPI = 90


def planar_units(trajectories: Trajectories) -> tuple[str, str]:
    """The units of time and of length, for `animation`."""
    return ("s", "m") if _is_si(trajectories) else ("1", "1")


def _is_curve(points: np.ndarray, linked: bool) -> bool:
    """Whether points are nodes that move along y only, as those of a string."""
    still = np.ptp(points[:, :, 0], axis=0) == 0
    return linked and points.shape[1] > 2 and bool(np.all(still))


def _limits(low: np.ndarray, high: np.ndarray, least: float) -> np.ndarray:
    """(low, high) with a margin of 8 %, and of at least this size."""
    size = np.maximum(1.16 * (high - low), least)
    return np.stack([(low + high - size) / 2, (low + high + size) / 2])


class _Scene:
    """The artists of an animation, and where frame i puts them."""

    def __init__(self, axes: Axes, times: np.ndarray, points: np.ndarray, linked: bool):
        self.axes, self.times, self.points = axes, times, points
        self.curve = _is_curve(points, linked)
        count = points.shape[1]
        still = np.all(np.ptp(points, axis=0) == 0, axis=1)
        self.moving = np.flatnonzero(~still)
        few = min(max(len(self.moving), 1), 10)
        wheel = mpl.colormaps["tab10"]
        colors = [wheel(i % few) for i in range(len(self.moving))]
        shade = "#1f3f8f" if self.curve else "0.35"
        (self.rod,) = axes.plot([], [], color=shade, lw=1.8, zorder=2)
        self.linked = linked
        axes.plot(*points[0, still].T, "o", color="black", ms=5, zorder=3)
        size = 9 if count <= 6 else 6
        self.bodies = axes.scatter(
            points[0, self.moving, 0],
            points[0, self.moving, 1],
            s=(3 if self.curve else size) ** 2,
            c="#1f3f8f" if self.curve else colors,
            zorder=4,
        )
        self.trails = {
            i: LineCollection([], linewidths=1.4, zorder=1) for i in self._traced()
        }
        for trail in self.trails.values():
            axes.add_collection(trail)
        self.colors = dict(zip(self.moving, colors, strict=True))
        self.clock = axes.text(0.02, 0.98, "", transform=axes.transAxes, va="top")
        for artist in (self.rod, self.bodies, *self.trails.values(), self.clock):
            artist.set_animated(True)

    def _traced(self) -> np.ndarray:
        """Bodies that leave a trail: all free ones, the last two of linked ones."""
        if self.curve or np.ptp(self.points[..., 1]) == 0:
            return self.moving[:0]
        return self.moving[-2:] if self.linked else self.moving

    def draw(self, index: int, back: int, label: str) -> list[Any]:
        """Put everything where it is at a saved time, trails reaching back so far."""
        now = self.points[index]
        if self.linked:
            self.rod.set_data(*now.T)
        self.bodies.set_offsets(now[self.moving])
        begin = max(0, index - back)
        for i, trail in self.trails.items():
            # Some sixty pieces are enough to fade by.
            stride = max(1, back // 60)
            path = self.points[np.r_[index:begin:-stride, begin], i]
            pieces = np.stack([path[:-1], path[1:]], axis=1)
            fade = np.linspace(0.85, 0.0, len(pieces) + 1)[: len(pieces)]
            color = np.tile(to_rgba(self.colors[i]), (len(pieces), 1))
            color[:, 3] = fade
            trail.set_segments(list(pieces))
            trail.set_color(list(color))
        self.clock.set_text(label)
        return []


def animation(
    times: ArrayLike,
    points: ArrayLike,
    *,
    linked: bool = True,
    title: str = "",
    units: tuple[str, str] = ("1", "1"),
) -> FuncAnimation:
    """Bodies in the plane in motion, with rods between them or trails behind them.

    Points that move along y only are drawn as a curve. In a notebook,
    `animation(...).to_jshtml()` shows it; `save_animation` writes it.

    Args:
      times: shape (T,), increasing.
      points: (x, y) of the bodies, shape (T, k, 2).
      linked: whether rods or springs join the points in their order.
      title: drawn above.
      units: of time and of length. What takes at most 10 s is shown as fast as it is,
        anything else in 8 s.

    Raises:
      ValueError: where the shapes do not fit.
    """
    return compared_animation(times, {title: points}, linked=linked, units=units)


def compared_animation(
    times: ArrayLike,
    motions: Mapping[str, ArrayLike],
    *,
    linked: bool = True,
    units: tuple[str, str] = ("1", "1"),
) -> FuncAnimation:
    """The same bodies by several models, side by side on equal axes.

    Args:
      times: shape (T,), increasing.
      motions: title → (x, y) of the bodies, shape (T, k, 2) each; the first one says
        how much is shown.
      linked, units: those of `animation`.

    Raises:
      ValueError: where the shapes do not fit.
    """
    times = np.asarray(times, float)
    every = {title: np.asarray(points, float) for title, points in motions.items()}
    for points in every.values():
        if points.ndim != 3 or points.shape[2] != 2 or len(points) != len(times):
            raise ValueError(
                f"points have shape {points.shape}; expected (T, k, 2) for the T = "
                f"{len(times)} times."
            )
    span = float(times[-1] - times[0])
    shown = span if units[0] == "s" and span <= 10 else 8.0
    count = int(np.clip(round(shown * _RATE), 2, _FRAMES))
    frames = np.linspace(times[0], times[-1], count)
    indices = np.searchsorted(times, frames - 1e-9).clip(0, len(times) - 1)
    back = max(1, len(times) // 6)
    unit = "" if units[0] == "1" else f" {units[0]}"
    with mpl.rc_context(STYLE):
        panels = _stage(next(iter(every.values())), linked, list(every), units[1])
        scenes = [
            _Scene(axes, times, points, linked)
            for axes, points in zip(panels, every.values(), strict=True)
        ]
    figure = panels[0].figure
    assert isinstance(figure, Figure)

    def update(frame: int) -> list[Any]:
        label = f"$t$ = {frames[frame]:.2f}{unit}"
        for scene in scenes:
            scene.draw(indices[frame], back, label)
        return []

    return FuncAnimation(
        figure, update, frames=count, init_func=list, interval=1000 / _RATE
    )


def _stage(
    points: np.ndarray, linked: bool, titles: Sequence[str], unit: str
) -> list[Axes]:
    """Axes that everything stays within, one a title."""
    curve = _is_curve(points, linked)
    low, high = points.min(axis=(0, 1)), points.max(axis=(0, 1))
    span = high - low
    if curve:
        x, y = _limits(low, high, 1e-9).T
        size = (5.0, 3.2)
    else:
        # Motion along a line is given some height.
        least = 0.3 * float(np.max(span)) or 1.0
        x, y = _limits(low, high, least).T
        ratio = np.clip((y[1] - y[0]) / (x[1] - x[0]), 0.3, 1.4)
        size = (4.4, 4.0 * ratio + 0.7)
    count = len(titles)
    figure = Figure(figsize=(size[0] * count, size[1]), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes, title in zip(panels, titles, strict=True):
        axes.set_xlim(*x)
        axes.set_ylim(*y)
        axes.set_xlabel(f"$x$ [{unit}]")
        axes.set_ylabel("displacement [1]" if curve else f"$y$ [{unit}]")
        if span[1] == 0:
            axes.set_yticks([])
            axes.set_ylabel("")
        if not curve:
            axes.set_aspect("equal")
        axes.set_title(title, fontsize=10)
    # One layout for all frames: that of each would be most of the work.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return panels


class _GifWriter(AbstractMovieWriter):
    """Frames as a GIF of one palette; what does not move is drawn once.

    Matplotlib's own writer draws everything twice a frame, and Pillow finds a palette
    for each, which takes ten times as long and a larger file.
    """

    def setup(self, fig: Figure, outfile, dpi: float | None = None) -> None:
        super().setup(fig, outfile, dpi)
        fig.set_dpi(self.dpi)
        self._artists = [
            artist
            for axes in fig.axes
            for artist in axes.get_children()
            if artist.get_animated()
        ]
        self._artists.sort(key=lambda artist: artist.get_zorder())
        shown = fig.canvas
        self._canvas = FigureCanvasAgg(fig)
        fig.set_canvas(shown)
        for artist in self._artists:
            artist.set_visible(False)
        self._canvas.draw()
        self._still = self._canvas.copy_from_bbox(fig.bbox)
        for artist in self._artists:
            artist.set_visible(True)
        self._frames: list[Image.Image] = []

    def grab_frame(self, **unused) -> None:
        self._canvas.restore_region(self._still)
        for artist in self._artists:
            artist.draw(self._canvas.get_renderer())
        pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        self._frames.append(Image.fromarray(pixels.copy()))

    def finish(self) -> None:
        palette = self._frames[len(self._frames) // 2].quantize(96)
        colors = np.array(palette.getpalette()).reshape(-1, 3)
        colors[colors.min(axis=1) > 247] = 255  # averages of white and the faintest
        palette.putpalette(colors.ravel().tolist())
        first, *rest = (
            frame.quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self._frames
        )
        first.save(
            self.outfile,
            save_all=True,
            append_images=rest,
            duration=round(1000 / self.fps),
            loop=0,
        )


def save_animation(moving: FuncAnimation, path: str | pathlib.Path) -> pathlib.Path:
    """Write an animation as a GIF, whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(path.stem + ".part.gif")
    with mpl.rc_context(STYLE):
        moving.save(str(partial), writer=_GifWriter(fps=_RATE), dpi=_DPI)
    partial.replace(path)
    return path
