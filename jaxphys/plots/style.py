"""What all figures share: labels and colors of rows, fonts, and how to save."""

import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from jaxphys import files

__all__ = [
    "MODELS",
    "OPTIMIZERS",
    "STYLE",
    "Look",
    "looks",
    "methods_of",
    "save",
    "shades",
]


class Look(NamedTuple):
    """How a row is drawn.

    Attributes:
      label: its name for people.
      color: a color of matplotlib.
    """

    label: str
    color: str


MODELS = {
    "mlp": Look("MLP", "#7f7f7f"),
    "hnn": Look("HNN", "#d62728"),
    "hnn_velocities": Look("HNN of q and v", "#e377c2"),
    "pairwise": Look("pairwise HNN", "#9467bd"),
    "dissipative": Look("D-HNN", "#2ca02c"),
    "structured": Look("structured HNN", "#9467bd"),
    "lnn": Look("LNN", "#ff7f0e"),
    "delan": Look("DeLaN", "#2ca02c"),
    "lattice": Look("lattice", "#1f77b4"),
    "naive": Look("neural ODE", "#7f7f7f"),
    "naive_embedded": Look("neural ODE, embedded", "#17becf"),
    "second_order": Look("second order", "#17becf"),
    "symoden": Look("SymODEN", "#9467bd"),
    "symoden_embedded": Look("SymODEN, embedded", "#d62728"),
}

OPTIMIZERS = {
    "adam": Look("Adam", "#7f7f7f"),
    "sip": Look("SIP", "#c49c94"),
    "sip_true_step": Look("SIP, true step", "#8c564b"),
    "hig": Look("HIG", "#d62728"),
    "hig_small": Look("HIG, small batches", "#ff9896"),
    "hig_large_steps": Look("HIG, small batches and large steps", "#8b0000"),
    "hig_kronecker": Look("HIG by layers, momentum", "#e377c2"),
    "gauss_newton": Look("Gauss–Newton, published step", "#9edae5"),
    "gauss_newton_true_step": Look("Gauss–Newton, true step", "#17becf"),
    "gauss_newton_truncated": Look("Gauss–Newton, truncated", "#0b7285"),
    "levenberg_marquardt": Look("Levenberg–Marquardt", "#1f3f8f"),
    "levenberg_marquardt_starts": Look("Levenberg–Marquardt, 64 starts", "#7f9fe0"),
    "spring": Look("SPRING", "#2ca02c"),
}

#: The optimizer that leaves the label and the color of a model as they are.
_USUAL = "adam"

#: Models in whose own color a darker shade is hard to tell, and their color by any
#: other optimizer.
_OTHER = {"hnn": "#1f3f8f", "symoden_embedded": "#1f3f8f"}

#: Optimizers that have a shorter name beside a model's.
_SHORT = {"levenberg_marquardt": "LM"}

#: Colors for rows that have none, or one that is taken.
_SPARE = tuple(
    to_hex(mpl.colormaps[name](number))
    for name, count in (("tab10", 10), ("tab20b", 20))
    for number in range(count)
)

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def methods_of(run: Any) -> Any:
    """The `methods` of a run's results; whatever else is handed over, as it is."""
    return run.results["methods"] if hasattr(run, "results") else run


def looks(methods: Any) -> dict[str, Look]:
    """The label and the color of every row, all colors different.

    Where all rows share one model, they are shown by their optimizers; where all share
    one optimizer, by their models. Otherwise a model trained by Adam has its own label
    and color, and by any other optimizer "MODEL, OPTIMIZER" and a darker shade, which
    are the same in every table.

    Args:
      methods: row → an entry with "model" and "optimizer", such as the `methods` of a
        results.json; or what `jaxphys.compare` or `experiments.run` leaves. A row
        without them, or a mere name, is looked up in `OPTIMIZERS`, then in `MODELS`, or
        else shown as its name.

    Returns:
      row → its look.

    Example:
      >>> rows = {
      ...     "mlp": {"model": "mlp", "optimizer": "adam"},
      ...     "best": {"model": "hnn", "optimizer": "levenberg_marquardt"},
      ... }
      >>> [look.label for look in looks(rows).values()]
      ['MLP', 'HNN, LM']
      >>> looks(["hig"])["hig"].label
      'HIG'
    """
    methods = methods_of(methods)
    entries = methods if isinstance(methods, Mapping) else {row: {} for row in methods}
    pairs = {
        row: (entry["model"], entry["optimizer"])
        for row, entry in entries.items()
        if "model" in entry and "optimizer" in entry
    }
    one_model = len({model for model, _ in pairs.values()}) == 1
    one_optimizer = len({optimizer for _, optimizer in pairs.values()}) == 1
    found = {}
    for row in entries:
        if row not in pairs:
            found[row] = _named(row, {**MODELS, **OPTIMIZERS})
        elif one_model:
            found[row] = _named(pairs[row][1], OPTIMIZERS)
        elif one_optimizer:
            found[row] = _named(pairs[row][0], MODELS)
        else:
            found[row] = _of_pair(*pairs[row])
    return _told_apart(found)


def _named(name: str, table: Mapping[str, Look]) -> Look:
    """The look of a name; a name that is not in the table has no color yet."""
    return table.get(name, Look(name.replace("_", " "), ""))


def _of_pair(model: str, optimizer: str) -> Look:
    own = _named(model, MODELS)
    if optimizer == _USUAL:
        return own
    short = _SHORT.get(optimizer, _named(optimizer, OPTIMIZERS).label)
    red, green, blue = to_rgb(own.color or "black")
    dark = to_hex((red / 2, green / 2, blue / 2)) if own.color else ""
    return Look(f"{own.label}, {short}", _OTHER.get(model, dark))


def _told_apart(found: Mapping[str, Look]) -> dict[str, Look]:
    """The same, with spare colors for rows whose color is missing or taken."""
    known = {look.color for look in found.values()}
    spare = (color for color in _SPARE if color not in known)
    taken = {""}
    apart = {}
    for row, look in found.items():
        color = next(spare, "black") if look.color in taken else look.color
        taken.add(color)
        apart[row] = look._replace(color=color)
    return apart


def save(figure: Figure, path: str | pathlib.Path) -> pathlib.Path:
    """Write a figure as PNG. A file of that name is replaced once all is written."""
    path = pathlib.Path(path)
    with files.replacing(path) as file:
        figure.savefig(file, dpi=160, format="png")
    return path


def shades(count: int) -> list[Any]:
    """So many colors of one family."""
    if count == 1:
        return ["#1f3f8f"]
    return list(mpl.colormaps["viridis"](np.linspace(0.05, 0.85, count)))
