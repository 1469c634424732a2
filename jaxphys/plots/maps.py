"""Fields over two variables: what is true, what was learned, and the errors."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from jaxphys.plots import _panels
from jaxphys.plots.style import STYLE, Look

__all__ = [
    "error_maps",
    "errors_over_targets",
    "fields",
    "solved_fields",
    "sweep",
    "waves",
]


@mpl.rc_context(STYLE)
def fields(
    grid: tuple[ArrayLike, ArrayLike],
    true: tuple[ArrayLike, ArrayLike],
    learned: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    names: Sequence[str] = ("$q$ [1]", "$p$ [1]"),
    seen: tuple[ArrayLike, ArrayLike] | None = None,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Vector fields of one coordinate: the true one, and each learned one.

    Args:
      grid: q and p, each (k,).
      true: dq/dt and dp/dt on the grid, each (k, k), rows being p.
      learned: row → the same.
      names: labels of the two axes, with units.
      seen: q and p of the training data, drawn as dots.
      looks: row → its label and color.
    """
    q, p = (np.asarray(x) for x in grid)
    own = _panels.completed(learned, looks)
    titles = ["true field", *(own[row].label for row in learned)]
    width = 3.1 if len(titles) <= 4 else 2.4
    figure, panels = _panels.panels(
        1, len(titles), (0.6 + width * len(titles), 3.5), sharex=True, sharey=True
    )
    speed = Normalize(0, float(np.max(np.hypot(*(np.asarray(x) for x in true)))))
    for panel, title, field in zip(
        panels[0], titles, [true, *learned.values()], strict=True
    ):
        dq, dp = (np.asarray(x) for x in field)
        lines = panel.streamplot(
            q,
            p,
            dq,
            dp,
            color=np.hypot(dq, dp),
            cmap="viridis",
            norm=speed,
            density=0.9,
            linewidth=0.9,
            arrowsize=0.8,
        )
        if seen is not None:
            panel.plot(*seen, ".", color="black", ms=1.2, alpha=0.35)
        panel.set_title(title, fontsize=10)
        panel.grid(False)
    # Training data may lie outside of what the fields are drawn on.
    panels[0, 0].set_xlim(q[0], q[-1])
    panels[0, 0].set_ylim(p[0], p[-1])
    _panels.label_outer(panels, *names)
    figure.colorbar(lines.lines, ax=panels, label="speed [1]", shrink=0.85)
    return figure


@mpl.rc_context(STYLE)
def error_maps(
    grid: tuple[ArrayLike, ArrayLike],
    true: tuple[ArrayLike, ArrayLike],
    learned: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    names: Sequence[str] = ("$q$ [1]", "$p$ [1]"),
    parts: Sequence[str] = (r"\partial H/\partial p", r"-\partial H/\partial q"),
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Heat maps of the errors of ∂H/∂p and −∂H/∂q, a column a row of the table.

    Args:
      grid, true, learned, names, looks: those of `fields`.
      parts: symbols of the two, in mathtext without dollars.
    """
    own = _panels.completed(learned, looks)
    errors = [
        [
            np.abs(np.asarray(field[part]) - np.asarray(true[part]))
            for field in learned.values()
        ]
        for part in (0, 1)
    ]
    scale = LogNorm(*_panels.error_range([*errors[0], *errors[1]]))
    count = len(learned)
    figure, panels = _panels.panels(
        2, count, (1.2 + 2.6 * count, 5.2), sharex=True, sharey=True
    )
    for chosen, values, part in zip(panels, errors, parts, strict=True):
        bar = f"error of ${part}$ [1]"
        _panels.heat_maps(figure, chosen, values, grid, scale, label=bar)
    for panel, row in zip(panels[0], learned, strict=True):
        panel.set_title(own[row].label, fontsize=10)
    _panels.label_outer(panels, *names)
    return figure


@mpl.rc_context(STYLE)
def errors_over_targets(
    nodes: ArrayLike,
    errors: Mapping[str, ArrayLike],
    *,
    size: str,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """Each method's error over a square of targets, in one logarithmic scale.

    Args:
      nodes: of either side of the square, (n,).
      errors: method → (n, n), indexed by the first and the second target.
      size: what an error is, with its unit.
      looks: method → its label and color.
    """
    own = _panels.completed(errors, looks)
    figure, grid, used = _panels.wrapped_panels(len(errors), 2.4, 2.5, sharex=True)
    values = [np.asarray(error).T for error in errors.values()]
    scale = LogNorm(*_panels.error_range(values))
    _panels.heat_maps(figure, used, values, (nodes, nodes), scale, label=size)
    for panel, row in zip(used, errors, strict=True):
        panel.set_title(own[row].label, fontsize=9)
        panel.set_aspect("equal")
    _panels.label_outer(grid, "target $y_1^*$ [1]", "target $y_2^*$ [1]")
    return figure


@mpl.rc_context(STYLE)
def solved_fields(
    source: ArrayLike,
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    *,
    names: Sequence[str] = ("source", "solution"),
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """What a field was asked for, the true one, and each method's with its error.

    Args:
      source, true: (n, n), what the network reads, and the field that it should give.
      found: method → its field.
      names: of what is read and of what is found.
      looks: method → its label and color.
    """
    wanted = np.asarray(true).T
    nodes = (np.arange(wanted.shape[1]), np.arange(len(wanted)))
    fields = {row: np.asarray(field).T for row, field in found.items()}
    labels = (f"true {names[1]}", "$x$ [1]")
    figure, grid = _with_errors(nodes, wanted, fields, looks, labels)
    given = np.asarray(source).T
    bar = {"label": "$y^*$ [1]", "location": "left"}
    _panels.heat_maps(figure, grid[1, :1], [given], nodes, _signed(given), **bar)
    grid[1, 0].set_title(names[0], fontsize=10)
    for panel in grid.ravel():
        panel.set_aspect("equal")
    _panels.label_outer(grid, "node [1]", "node [1]")
    return figure


@mpl.rc_context(STYLE)
def waves(
    t: ArrayLike,
    x: ArrayLike,
    true: ArrayLike,
    learned: Mapping[str, ArrayLike],
    *,
    looks: Mapping[str, Look] | None = None,
) -> Figure:
    """A field over space and time: the true one, and each learned one with its error.

    Args:
      t, x: times (T,) and places (n,).
      true: the field, (T, n).
      learned: row → the same.
      looks: row → its label and color.
    """
    labels = ("true", "$u$ [1]")
    figure, grid = _with_errors((x, t), true, learned, looks, labels)
    _panels.label_outer(grid[:, 1:], "place $x$ [1]", "time $t$ [1]")
    # The truth has no error to be drawn.
    grid[1, 0].remove()
    grid[0, 0].set_xlabel("place $x$ [1]")
    grid[0, 0].tick_params(labelbottom=True)
    grid[0, 0].set_ylabel("time $t$ [1]")
    grid[0, 1].set_ylabel("")
    grid[1, 1].tick_params(labelleft=True)
    return figure


def _with_errors(
    axes: tuple[ArrayLike, ArrayLike],
    true: ArrayLike,
    found: Mapping[str, ArrayLike],
    looks: Mapping[str, Look] | None,
    labels: tuple[str, str],
) -> tuple[Figure, np.ndarray]:
    """The true field and those found, and below each of these the size of its error.

    The lower left panel is left empty. The labels are those of the true field and of
    the color bar.
    """
    own = _panels.completed(found, looks)
    shown = [np.asarray(true), *(np.asarray(field) for field in found.values())]
    errors = [np.abs(field - shown[0]) for field in shown[1:]]
    count = len(shown)
    figure, grid = _panels.panels(
        2, count, (1.4 + 2.8 * count, 5.6), sharex=True, sharey=True
    )
    grid[0, 0].locator_params(axis="x", nbins=4)
    title, bar = labels
    titles = [title, *(own[row].label for row in found)]
    for panel, name in zip(grid[0], titles, strict=True):
        panel.set_title(name, fontsize=10)
    _panels.heat_maps(figure, grid[0], shown, axes, _signed(shown[0]), label=bar)
    scale, bar = LogNorm(*_panels.error_range(errors)), f"error of {bar}"
    _panels.heat_maps(figure, grid[1, 1:], errors, axes, scale, label=bar)
    return figure, grid


def _signed(values: np.ndarray) -> Normalize:
    """A scale whose middle is zero."""
    bound = float(np.max(np.abs(values))) or 1.0
    return Normalize(-bound, bound)


@mpl.rc_context(STYLE)
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
    kept = _panels.drawable(values)
    size = (2.4 + 1.0 * len(rates), 1.6 + 0.6 * len(batches))
    figure, ((axes,),) = _panels.panels(1, 1, size)
    low, high = (values[kept].min(), values[kept].max()) if kept.any() else (0.1, 1.0)
    norm = LogNorm(low, max(high, 1.01 * low))
    shown = np.where(kept, values, np.nan)
    image = axes.imshow(shown, norm=norm, cmap="viridis", aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        finite = np.isfinite(value)
        axes.text(
            column,
            row,
            f"{value:.1e}" if finite else "diverged",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if finite and norm(value) < 0.55 else "black",
        )
    axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
    axes.set_yticks(range(len(batches)), [str(size) for size in batches])
    axes.grid(False)
    axes.set_xlabel("learning rate [1]")
    axes.set_ylabel("batch size [samples]")
    figure.colorbar(image, ax=axes, label=what)
    return figure
