"""Data sets: motions in memory and in files, and the samples that training reads.

| module | what is in it |
|---|---|
| `trajectories` | checks of `Trajectories`, where they end, how they keep energy |
| `files` | your own measurements, and the file layout of the library |
| `look` | what measurements are like, and what may be wrong with them |
| `smoothing` | time derivatives, and smoothing of noisy data |
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
from jaxphys.data.integrated import integrated
from jaxphys.data.look import Look, look
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
    accelerations,
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
    "Accelerated",
    "Chunk",
    "Course",
    "Look",
    "Moment",
    "Trajectories",
    "accelerations",
    "add_noise",
    "averaged_inputs",
    "cast",
    "check_angles",
    "check_finite",
    "check_trajectories",
    "chunks",
    "continuous",
    "derivatives",
    "energy_course",
    "energy_error",
    "energy_scale",
    "epoch_order",
    "integrated",
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
]
