"""A mass on a spring, H = q² + p²: the first experiment of Hamiltonian networks.

50 trajectories of 30 points, half of them for the test, noise of 0.1 on the states;
networks of 2 × 200 tanh units, 2000 full-batch updates of Adam, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import hamiltonian
from jaxphys.experiments.motion.hamiltonian import Compact
from jaxphys.learning import Recipe

__all__ = ["EXPERIMENT", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings(hamiltonian.Settings):
    """Learn the energy of a mass on a spring from noisy states."""


_SYSTEM = systems.mass_spring()

EXPERIMENT = hamiltonian.experiment(
    Judge(_SYSTEM, 20.0, 401, 0.05, 15, hamiltonian.around_the_middle),
    hamiltonian.rows(
        _SYSTEM,
        Recipe(steps=2000, weight_decay=1e-4, schedule="cosine"),
        clean=Compact((32, 32), 50),
        noisy=Compact((8,), None),
    ),
    name="mass_spring",
    summary="learn the energy of a mass on a spring from noisy states",
    title="mass on a spring",
    settings=Settings,
    ts=np.linspace(0.0, 3.0, 30),
    extent=1.2,
    published={
        "mlp": {"test_mse": 3.67e-2, "energy_mse": 1.71e-1},
        "hnn": {"test_mse": 3.59e-2, "energy_mse": 3.84e-4},
    },
)
