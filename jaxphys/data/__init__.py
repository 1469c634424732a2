"""Data sets: motions in memory and in files, and the samples that training reads.

| module | what is in it |
|---|---|
| `trajectories` | checks of `Trajectories`, where they end, how they keep energy |
| `files` | your own measurements, and the file layout of the library |
| `look` | what measurements are like, and what may be wrong with them |
| `smoothing` | time derivatives, and smoothing of noisy data |
| `hermite` | accelerations of clean positions and velocities |
| `rates` | what is matched of measurements: rates, and the inputs that made them |
| `integrated` | states from clean rates |
| `samples` | moments and pieces of motions, held-out parts, the order of samples |

The record itself is `jaxphys.types.Trajectories`, also named here.
"""

from jaxphys.data._angles import continuous, unwrapped
from jaxphys.data._energies import Course, energy_course
from jaxphys.data.files import (
    load_trajectories,
    read_inputs,
    read_trajectories,
    save_trajectories,
    trajectories_from,
)
from jaxphys.data.hermite import accelerations, are_resolved, collocated, has_corners
from jaxphys.data.integrated import integrated
from jaxphys.data.look import Look, look
from jaxphys.data.rates import (
    INTERSAMPLE,
    held_inputs,
    intersample_of,
    with_rates,
)
from jaxphys.data.samples import (
    Accelerated,
    Chunk,
    Moment,
    add_noise,
    check_finite,
    chunks,
    epoch_order,
    moments,
    num_batches,
    num_samples,
    split,
)
from jaxphys.data.smoothing import (
    averaged_inputs,
    derivatives,
    noise_levels,
    smoothed,
    smoothed_trajectories,
    suggest_window,
    with_derivatives,
)
from jaxphys.data.trajectories import (
    cast,
    check_angles,
    check_trajectories,
    energy_error,
    energy_scale,
    separate,
)
from jaxphys.types import Trajectories

__all__ = [
    "INTERSAMPLE",
    "Accelerated",
    "Chunk",
    "Course",
    "Look",
    "Moment",
    "Trajectories",
    "accelerations",
    "add_noise",
    "are_resolved",
    "averaged_inputs",
    "cast",
    "check_angles",
    "check_finite",
    "check_trajectories",
    "chunks",
    "collocated",
    "continuous",
    "derivatives",
    "energy_course",
    "energy_error",
    "energy_scale",
    "epoch_order",
    "has_corners",
    "held_inputs",
    "integrated",
    "intersample_of",
    "load_trajectories",
    "look",
    "moments",
    "noise_levels",
    "num_batches",
    "num_samples",
    "read_inputs",
    "read_trajectories",
    "save_trajectories",
    "separate",
    "smoothed",
    "smoothed_trajectories",
    "split",
    "suggest_window",
    "trajectories_from",
    "unwrapped",
    "with_derivatives",
    "with_rates",
]
