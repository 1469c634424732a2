"""Three bodies under gravity in the plane; n = 6 coordinates, and chaos.

5000 trajectories of 20 points, a fifth of them for the test, no noise; networks of
2 × 200 tanh units, 10 000 updates of Adam on 600 samples each, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1. The last row is of another network, which knows that bodies are equal
and act in pairs.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import hamiltonian
from jaxphys.experiments.motion.hamiltonian import Compact
from jaxphys.experiments.motion.rows import damped_row, network
from jaxphys.learning import Recipe

__all__ = ["EXPERIMENT", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings(hamiltonian.Settings):
    """Learn the energy of three bodies under gravity."""

    trajectories: int = 4000
    noise: float = 0.0


_SYSTEM = systems.three_body()

_ROWS = hamiltonian.rows(
    _SYSTEM,
    Recipe(steps=10_000, batch_size=600, schedule="cosine", weight_decay=1e-4),
    clean=Compact((64, 64), 64),
    noisy=Compact((64, 64), 512),
)
_PAIRS = {"num_bodies": 3, "hidden": (16, 16), "kernel_init": "glorot_normal"}
_ROWS["pairwise_levenberg_marquardt"] = damped_row(
    "pairwise",
    network("pairwise", _PAIRS),
    _ROWS["hnn_levenberg_marquardt"].recipe,
    time_of="hnn",
)

EXPERIMENT = hamiltonian.experiment(
    Judge(_SYSTEM, 5.0, 201, 0.005, 25),
    _ROWS,
    name="three_body",
    summary="learn the energy of three bodies under gravity",
    title="three bodies",
    settings=Settings,
    ts=np.linspace(0.0, 5.0, 20),
    extent=0.3,
    test_share=0.25,
    published={
        "mlp": {"test_mse": 3.8e-1, "energy_mse": 1.1e2},
        "hnn": {"test_mse": 4.9e-1, "energy_mse": 4.19e-2},
    },
)
