"""Data sets: motions in memory and in files, and the samples that training reads.

| module | what is in it |
|---|---|
| `trajectories` | `Trajectories`, what fits in it, what it conserves |
| `files` | one's own measurements, and the file layout that is kept |
| `smoothing` | time derivatives, and smoothing of noisy data |
| `simulation` | motions of a known system |
| `samples` | moments and pieces of motions, held-out parts, the order of samples |
"""

from jaxphys.data.files import (
    load_trajectories,
    read_trajectories,
    save_trajectories,
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
from jaxphys.data.simulation import drawn, simulated
from jaxphys.data.smoothing import (
    accelerations,
    derivatives,
    smoothed,
    suggest_window,
    with_derivatives,
)
from jaxphys.data.trajectories import (
    Trajectories,
    cast,
    check_angles,
    check_trajectories,
    energy_error,
    energy_scale,
    separate,
)

__all__ = [
    "Accelerated",
    "Chunk",
    "Moment",
    "Trajectories",
    "accelerations",
    "add_noise",
    "cast",
    "check_angles",
    "check_finite",
    "check_trajectories",
    "chunks",
    "derivatives",
    "drawn",
    "energy_error",
    "energy_scale",
    "epoch_order",
    "load_trajectories",
    "moments",
    "num_batches",
    "num_samples",
    "read_trajectories",
    "save_trajectories",
    "separate",
    "simulated",
    "smoothed",
    "split",
    "suggest_window",
    "with_derivatives",
]
