"""A mass on a spring, H = q² + p²: the first experiment of Hamiltonian networks.

50 trajectories of 30 points, half of them for the test, noise of 0.1 on the states;
networks of 2 × 200 tanh units, 2000 full-batch updates of Adam, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments import dynamics, hamiltonian
from jaxphys.experiments.hamiltonian import Compact
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import Trained
from jaxphys.learning import Recipe


@dataclasses.dataclass(frozen=True)
class Config(hamiltonian.Config):
    """Learn the energy of a mass on a spring from noisy states."""


PUBLISHED = {
    "mlp": {"test_mse": 3.67e-2, "energy_mse": 1.71e-1},
    "hnn": {"test_mse": 3.59e-2, "energy_mse": 3.84e-4},
}

METHODS = hamiltonian.rows(
    systems.mass_spring(),
    Recipe(steps=2000, weight_decay=1e-4, schedule="cosine"),
    clean=Compact((32, 32), 50),
    noisy=Compact((8,), None),
)

STUDY = hamiltonian.study(
    "mass_spring",
    "mass on a spring",
    systems.mass_spring(),
    METHODS,
    PUBLISHED,
    ts=np.linspace(0.0, 3.0, 30),
    judged=Judged(20.0, 401, 0.05, 15, hamiltonian.around_the_middle),
    extent=1.2,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
