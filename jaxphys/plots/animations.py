"""Motion in the plane as animations, and how to write them as GIFs."""

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

from jaxphys import files
from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE

__all__ = ["animation", "save_animation"]

#: Frames of an animation a second, and in all.
_RATE, _FRAMES = 20, 200

_DPI = 90


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

    def __init__(self, axes: Axes, points: np.ndarray, linked: bool):
        self.points, self.linked = points, linked
        self.curve = _is_curve(points, linked)
        count = points.shape[1]
        still = np.all(np.ptp(points, axis=0) == 0, axis=1)
        self.moving = np.flatnonzero(~still)
        few = min(max(len(self.moving), 1), 10)
        wheel = mpl.colormaps["tab10"]
        colors = [wheel(i % few) for i in range(len(self.moving))]
        shade = "#1f3f8f" if self.curve else "0.35"
        (self.rod,) = axes.plot([], [], color=shade, lw=1.8, zorder=2)
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

    def draw(self, index: int, back: int, label: str) -> None:
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


@mpl.rc_context(STYLE)
def animation(
    times: ArrayLike,
    motions: Mapping[str, ArrayLike],
    *,
    linked: bool = True,
    units: tuple[str, str] = ("1", "1"),
) -> FuncAnimation:
    """Bodies in the plane in motion, with rods between them or trails behind them.

    Several motions are shown side by side on equal axes. Points that move along y only
    are drawn as a curve. In a notebook, `animation(...).to_jshtml()` shows it;
    `save_animation` writes it.

    Args:
      times: shape (T,), increasing.
      motions: title → (x, y) of the bodies, shape (T, k, 2) each; the first one says
        how much is shown.
      linked: whether rods or springs join the points in their order.
      units: of time and of length. What takes at most 10 s is shown as fast as it is,
        anything else in 8 s.

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
    figure, panels = _stage(next(iter(every.values())), linked, list(every), units[1])
    scenes = [
        _Scene(axes, points, linked)
        for axes, points in zip(panels, every.values(), strict=True)
    ]

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
) -> tuple[Figure, np.ndarray]:
    """A figure, and axes that everything stays within, one a title."""
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
    figure, (panels,) = _panels.panels(1, count, (size[0] * count, size[1]))
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
    return figure, panels


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
        with files.replacing(self.outfile) as file:
            first.save(
                file,
                format="gif",
                save_all=True,
                append_images=rest,
                duration=round(1000 / self.fps),
                loop=0,
            )


@mpl.rc_context(STYLE)
def save_animation(moving: FuncAnimation, path: str | pathlib.Path) -> pathlib.Path:
    """Write an animation as a GIF. A file of that name is replaced at the end."""
    path = pathlib.Path(path)
    moving.save(str(path), writer=_GifWriter(fps=_RATE), dpi=_DPI)
    return path
