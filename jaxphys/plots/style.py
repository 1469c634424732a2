"""What all figures share: names and colors of methods, fonts, and how to save."""

import pathlib
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

LABELS = {
    "adam": "Adam",
    "sip": "SIP",
    "sip_true_step": "SIP, true step",
    "hig": "HIG",
    "hig_small": "HIG, small batches",
    "hig_large_steps": "HIG, small batches and large steps",
    "hig_kronecker": "HIG by layers, momentum",
    "gauss_newton": "Gauss–Newton, published step",
    "gauss_newton_true_step": "Gauss–Newton, true step",
    "gauss_newton_truncated": "Gauss–Newton, truncated",
    "levenberg_marquardt": "Levenberg–Marquardt",
    "levenberg_marquardt_starts": "Levenberg–Marquardt, 64 starts",
    "spring": "SPRING",
    "mlp": "MLP",
    "hnn": "HNN",
    "hnn_velocities": "HNN of q and v",
    "lnn": "LNN",
    "delan": "DeLaN",
    "pairwise": "pairwise HNN",
    "dissipative": "D-HNN",
    "naive": "neural ODE",
    "naive_embedded": "neural ODE, embedded",
    "symoden": "SymODEN",
    "symoden_embedded": "SymODEN, embedded",
    "second_order": "second order",
    "structured": "structured HNN",
}

#: What the rows of a model that Levenberg–Marquardt trains are called by.
_DAMPED = "_levenberg_marquardt"

#: What the spectral steps of a sweep over κ are called by.
_POWER = "kappa_"

COLORS = {
    "adam": "#7f7f7f",
    "sip": "#c49c94",
    "sip_true_step": "#8c564b",
    "hig": "#d62728",
    "hig_small": "#ff9896",
    "hig_large_steps": "#8b0000",
    "hig_kronecker": "#e377c2",
    "levenberg_marquardt_starts": "#7f9fe0",
    "gauss_newton": "#9edae5",
    "gauss_newton_true_step": "#17becf",
    "gauss_newton_truncated": "#0b7285",
    "levenberg_marquardt": "#1f3f8f",
    "spring": "#2ca02c",
    "mlp": "#7f7f7f",
    "naive": "#7f7f7f",
    "naive_embedded": "#c7c7c7",
    "second_order": "#c49c94",
    "hnn": "#d62728",
    "structured": "#d62728",
    "symoden": "#ff9896",
    "symoden_embedded": "#d62728",
    "hnn_levenberg_marquardt": "#1f3f8f",
    "pairwise_levenberg_marquardt": "#9467bd",
    "symoden_levenberg_marquardt": "#9edae5",
    "symoden_embedded_levenberg_marquardt": "#1f3f8f",
    "dissipative": "#2ca02c",
    "dissipative_levenberg_marquardt": "#1f3f8f",
    "lnn": "#ff7f0e",
    "delan": "#2ca02c",
    "lnn_levenberg_marquardt": "#d62728",
    "delan_levenberg_marquardt": "#1f3f8f",
    "hnn_velocities_levenberg_marquardt": "#8c564b",
    "structured_levenberg_marquardt": "#9467bd",
}

STYLE: Any = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def label(method: str) -> str:
    """A method's name for people.

    Example:
      >>> label("lnn_levenberg_marquardt")
      'LNN, LM'
    """
    if method.startswith(_POWER):
        return f"κ = {method.removeprefix(_POWER)}"
    base, suffix = method.removesuffix(_DAMPED), ""
    if base and base != method and method not in LABELS:
        suffix = ", LM"
    return LABELS.get(base or method, (base or method).replace("_", " ")) + suffix


def save(figure: Figure, path: str | pathlib.Path) -> pathlib.Path:
    """Write a figure as PNG, whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(path.name + ".part")
    figure.savefig(partial, dpi=160, format="png")
    partial.replace(path)
    return path


def shades(count: int) -> list[Any]:
    """So many colors of one family."""
    if count == 1:
        return ["#1f3f8f"]
    return list(mpl.colormaps["viridis"](np.linspace(0.05, 0.85, count)))
