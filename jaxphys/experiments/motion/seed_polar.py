"""A pendulum on a spring, in its length and angle (r, θ), from 512 short motions.

L = m (ṙ² + r² θ̇²)/2 + m g r cos θ − k (r − l)²/2: coordinates whose momenta nobody
measures. Recipe and statistics are those of `seed_lagrangian`.
"""

import dataclasses

from jaxphys import systems
from jaxphys.experiments.motion import seed_lagrangian

__all__ = ["EXPERIMENT", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings(seed_lagrangian.Settings):
    """Learn the Lagrangian of a pendulum on a spring from short motions."""


EXPERIMENT = seed_lagrangian.experiment(
    systems.elastic_pendulum(),
    name="seed_polar",
    summary="learn a spring pendulum's Lagrangian in (r, θ) from short motions",
    title="pendulum on a spring, (r, θ)",
    settings=Settings,
)
