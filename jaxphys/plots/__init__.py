"""Figures. Functions draw on the Axes they are given and return them.

Whole figures come as `matplotlib.figure.Figure`, free of pyplot's global state, so that
they work on machines without a display. A function that draws several rows, methods or
models, takes them as a mapping row → data, and `looks`, row → label and color, as
`looks` makes them of the rows' models and optimizers.

| module | what it draws |
|---|---|
| `style` | nothing: labels and colors of rows, fonts, files |
| `comparisons` | losses against time and updates, work against precision |
| `ablations` | losses against one choice after another |
| `simulators` | simulators under a control, and constants found through them |
| `maps` | fields over two variables, and their errors |
| `learned` | motions, energies, masses and functions beside the true ones |
| `records` | whole records, rollouts and learned forces along them, rankings |
| `motions` | trajectories of one system |
| `checkups` | what `jaxphys.check` saw of a function |
| `animations` | motion in the plane |
"""

from matplotlib.figure import Figure

from jaxphys.plots.ablations import Sweep, ablations, power_colors
from jaxphys.plots.animations import animation, save_animation
from jaxphys.plots.checkups import checkup
from jaxphys.plots.comparisons import comparison, loss_curves, work_precision
from jaxphys.plots.learned import (
    coordinates_in_time,
    energy_errors,
    energy_levels,
    followed_motion,
    learned_functions,
    learned_motion,
    mass_matrices,
    planar_paths,
    torques,
)
from jaxphys.plots.maps import (
    error_maps,
    errors_over_targets,
    fields,
    solved_fields,
    sweep,
    waves,
)
from jaxphys.plots.motions import (
    energy,
    energy_error,
    energy_figure,
    motion,
    phase_portraits,
    phase_space,
    planar_units,
    space_time,
    time_series,
    wrapped,
)
from jaxphys.plots.records import learned_part, ranking, record
from jaxphys.plots.simulators import (
    closed_loop,
    constant_errors,
    controlled_motion,
    controlled_state,
    identified_motion,
    solutions,
)
from jaxphys.plots.style import MODELS, OPTIMIZERS, STYLE, Look, looks, save

__all__ = [
    "MODELS",
    "OPTIMIZERS",
    "STYLE",
    "Figure",
    "Look",
    "Sweep",
    "ablations",
    "animation",
    "checkup",
    "closed_loop",
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
    "learned_functions",
    "learned_motion",
    "learned_part",
    "looks",
    "loss_curves",
    "mass_matrices",
    "motion",
    "phase_portraits",
    "phase_space",
    "planar_paths",
    "planar_units",
    "power_colors",
    "ranking",
    "record",
    "save",
    "save_animation",
    "solutions",
    "solved_fields",
    "space_time",
    "sweep",
    "time_series",
    "torques",
    "waves",
    "work_precision",
    "wrapped",
]
