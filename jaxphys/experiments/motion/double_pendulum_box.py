"""A double pendulum that swings but does not turn over: how precisely L can be learned.

m = l = 1, g = 9.8; states θ ~ U[−π/2, π/2), ω ~ U[−2, 2), 8192 for training, with their
exact accelerations; an LNN has fewer than 5000 parameters. Adam has a cosine schedule
over all of its time; Levenberg–Marquardt has as much time, and batches that grow.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments import double_pendulum, dynamics, lagrangian
from jaxphys.experiments.judging import Judged
from jaxphys.experiments.runner import Trained
from jaxphys.learning import Recipe


@dataclasses.dataclass(frozen=True)
class Config(lagrangian.Config):
    """Learn the Lagrangian of a double pendulum that swings, as precisely as can be."""


TASK = lagrangian.Task(
    lagrangian.within(systems.double_pendulum(), -np.pi / 2, np.pi / 2, -2.0, 2.0),
    Judged(10.0, 501, 0.01, 40),
    double_pendulum.ENERGY,
)

#: Small first batches, of many updates, and large ones to end with.
GROWTH = (64, 128, 256, 512)

METHODS = lagrangian.rows(
    TASK,
    {
        name: Recipe(steps=steps, batch_size=64, learning_rate=5e-3, schedule="cosine")
        for name, steps in {"mlp": 400_000, "lnn": 400_000, "delan": 200_000}.items()
    },
    {"lnn": GROWTH, "delan": GROWTH},
)

STUDY = lagrangian.study(
    "double_pendulum_box", "double pendulum, |θ| < π/2", TASK, METHODS, {}
)


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the table, write results and figures."""
    return dynamics.run(STUDY, config)
