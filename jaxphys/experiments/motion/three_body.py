"""Three bodies under gravity in the plane; n = 6 coordinates, and chaos.

5000 trajectories of 20 points, a fifth of them for the test, no noise; networks of
2 × 200 tanh units, 10 000 updates of Adam on 600 samples each, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1. The last row is of another network, which knows that bodies are equal
and act in pairs.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np

from jaxphys import models, systems
from jaxphys.experiments import dynamics, hamiltonian
from jaxphys.experiments.hamiltonian import Compact
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import Trained
from jaxphys.learning import Recipe
from jaxphys.types import Dynamics


@dataclasses.dataclass(frozen=True)
class Config(hamiltonian.Config):
    """Learn the energy of three bodies under gravity."""

    trajectories: int = 4000
    noise: float = 0.0


PUBLISHED = {
    "mlp": {"test_mse": 3.8e-1, "energy_mse": 1.1e2},
    "hnn": {"test_mse": 4.9e-1, "energy_mse": 4.19e-2},
}

METHODS = hamiltonian.rows(
    systems.three_body(),
    Recipe(steps=10_000, batch_size=600, schedule="cosine", weight_decay=1e-4),
    clean=Compact((64, 64), 64),
    noisy=Compact((64, 64), 512),
)


def _pairwise(config: Config, dtype: jnp.dtype) -> Dynamics:
    model = models.pairwise(3, kernel_init="glorot_normal", dtype=dtype)
    return models.dynamics(model)


METHODS["pairwise_levenberg_marquardt"] = METHODS["hnn_levenberg_marquardt"]._replace(
    make=_pairwise
)

STUDY = hamiltonian.study(
    "three_body",
    "three bodies",
    systems.three_body(),
    METHODS,
    PUBLISHED,
    ts=np.linspace(0.0, 5.0, 20),
    test_share=0.25,
    judged=Judged(5.0, 201, 0.005, 25),
    extent=0.3,
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
