"""A double pendulum, m = l = 1, from 512 motions of four points.

They start at θ ~ U[−π/2, π/2), ω ~ U[−1, 1), a small part of where such a pendulum can
be, and so do the 1000 motions of the judgement. Recipe and statistics are those of
`seed_lagrangian`.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments import lagrangian, seed_lagrangian
from jaxphys.experiments.runner import Trained


@dataclasses.dataclass(frozen=True)
class Config(seed_lagrangian.Config):
    """Learn the Lagrangian of a double pendulum from short motions."""


SYSTEM = lagrangian.within(systems.double_pendulum(), -np.pi / 2, np.pi / 2, -1.0, 1.0)
STUDY = seed_lagrangian.study("seed_double_pendulum", "double pendulum", SYSTEM)
METHODS = STUDY.rows


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the tables, write results and figures."""
    return seed_lagrangian.run(STUDY, SYSTEM, config)
