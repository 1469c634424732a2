"""A pendulum on a spring, in its length and angle (r, θ), from 512 short motions.

L = m (ṙ² + r² θ̇²)/2 + m g r cos θ − k (r − l)²/2: coordinates whose momenta nobody
measures. Recipe and statistics are those of `seed_lagrangian`.
"""

import dataclasses

from jaxphys import systems
from jaxphys.experiments import seed_lagrangian
from jaxphys.experiments.runner import Trained


@dataclasses.dataclass(frozen=True)
class Config(seed_lagrangian.Config):
    """Learn the Lagrangian of a pendulum on a spring from short motions."""


SYSTEM = systems.elastic_pendulum()
STUDY = seed_lagrangian.study("seed_polar", "pendulum on a spring, (r, θ)", SYSTEM)
METHODS = STUDY.rows


def run(config: Config = Config()) -> Trained:
    """Train every chosen row, print the tables, write results and figures."""
    return seed_lagrangian.run(STUDY, SYSTEM, config)
