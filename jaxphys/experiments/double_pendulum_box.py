"""A double pendulum that swings but does not turn over: how precisely L can be learned.

m = l = 1, g = 9.8; states θ ~ U[−π/2, π/2), ω ~ U[−2, 2), 8192 for training, with their
exact accelerations; networks of fewer than 5000 parameters. Adam's learning rates and
batches are the best of those tried, with a cosine schedule over all of its time;
Levenberg–Marquardt has batches that grow.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments import dynamics, lagrangian
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import Trained
from jaxphys.learning import Recipe


@dataclasses.dataclass(frozen=True)
class Config(lagrangian.Config):
    """Learn the Lagrangian of a double pendulum that swings, as precisely as can be."""


#: The energy that lifts both masses by their rods, as in the published error.
ENERGY = 29.4

TASK = lagrangian.Task(
    lagrangian.within(systems.double_pendulum(), -np.pi / 2, np.pi / 2, -2.0, 2.0),
    Judged(10.0, 501, 0.01, 40),
    ENERGY,
)

METHODS = lagrangian.rows(
    TASK,
    {
        name: Recipe(
            steps=30_000, batch_size=512, learning_rate=3e-3, schedule="cosine"
        )
        for name in ("mlp", "lnn", "delan")
    },
    {"lnn": (64, 128, 256, 512), "delan": (64, 128, 256, 512)},
)

STUDY = lagrangian.study(
    "double_pendulum_box", "double pendulum, |θ| < π/2", TASK, METHODS, {}
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
