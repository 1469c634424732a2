"""A pendulum, H = p² + 3 (1 − cos q), from noisy states.

50 trajectories of 45 points, half of them for the test, noise of 0.1 on the states;
networks of 2 × 200 tanh units, 2000 full-batch updates of Adam, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1; its energies are those of the spring, ours are those of the pendulum.
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
    """Learn the energy of a pendulum from noisy states."""


_SYSTEM = systems.pendulum()

EXPERIMENT = hamiltonian.experiment(
    Judge(_SYSTEM, 20.0, 401, 0.05, 15, hamiltonian.around_the_middle),
    hamiltonian.rows(
        _SYSTEM,
        Recipe(steps=2000, weight_decay=1e-4, schedule="cosine"),
        clean=Compact((32, 32), 75),
        noisy=Compact((12,), None),
    ),
    name="pendulum",
    summary="learn the energy of a pendulum from noisy states",
    title="pendulum",
    settings=Settings,
    ts=np.linspace(0.0, 3.0, 45),
    extent=3.0,
    published={
        "mlp": {"test_mse": 3.53e-2, "energy_mse": 4.15e-2},
        "hnn": {"test_mse": 3.56e-2, "energy_mse": 2.49e-2},
    },
)
