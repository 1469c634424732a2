"""Figures. Functions draw on the Axes they are given and return them.

Whole figures come as `matplotlib.figure.Figure`, free of pyplot's global state, so that
they work on machines without a display.
"""

from matplotlib.figure import Figure

from jaxphys.plots.ablations import Sweep, ablations, power_colors
from jaxphys.plots.comparisons import (
    comparison,
    constant_errors,
    controlled_motion,
    identified_motion,
    loss_curves,
    work_precision,
)
from jaxphys.plots.controlled import (
    controlled_state,
    errors_over_targets,
    learned_functions,
    solved_fields,
)
from jaxphys.plots.lagrangians import (
    coordinates_in_time,
    laws,
    mass_matrices,
    sweep,
    torques,
    waves,
)
from jaxphys.plots.learned import (
    Sampled,
    energy_errors,
    energy_levels,
    error_maps,
    fields,
    followed_motion,
    learned_motion,
    planar_paths,
)
from jaxphys.plots.motions import (
    MANY,
    animation,
    compared_animation,
    energy,
    energy_error,
    energy_figure,
    motion,
    phase_portraits,
    phase_space,
    planar_units,
    save_animation,
    space_time,
    time_series,
    wrapped,
)
from jaxphys.plots.style import COLORS, LABELS, STYLE, label, save, shades

__all__ = [
    "COLORS",
    "LABELS",
    "MANY",
    "STYLE",
    "Figure",
    "Sampled",
    "Sweep",
    "ablations",
    "animation",
    "compared_animation",
    "comparison",
    "constant_errors",
    "controlled_motion",
    "controlled_state",
    "coordinates_in_time",
    "energy",
    "energy_error",
    "energy_errors",
    "energy_figure",
    "energy_levels",
    "error_maps",
    "errors_over_targets",
    "fields",
    "followed_motion",
    "identified_motion",
    "label",
    "laws",
    "learned_functions",
    "learned_motion",
    "loss_curves",
    "mass_matrices",
    "motion",
    "phase_portraits",
    "phase_space",
    "planar_paths",
    "planar_units",
    "power_colors",
    "save",
    "save_animation",
    "shades",
    "solved_fields",
    "space_time",
    "sweep",
    "time_series",
    "torques",
    "waves",
    "work_precision",
    "wrapped",
]
