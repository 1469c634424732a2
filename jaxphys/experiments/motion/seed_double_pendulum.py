"""A double pendulum, m = l = 1, from 512 motions of four points.

They start at θ ~ U[−π/2, π/2), ω ~ U[−1, 1), a small part of where such a pendulum can
be, and so do the 1000 motions of the judgement. Recipe and statistics are those of
`seed_lagrangian`, with three times the epochs, as the learning rate falls too early in
100 of them, and in float64: in float32 the inverse of a nearly singular mass matrix
throws Adam back until it is worse than at its start.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments.motion import lagrangian, seed_lagrangian

__all__ = ["EXPERIMENT", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings(seed_lagrangian.Settings):
    """Learn the Lagrangian of a double pendulum from short motions."""

    epochs: int = 300


EXPERIMENT = seed_lagrangian.experiment(
    lagrangian.within(systems.double_pendulum(), -np.pi / 2, np.pi / 2, -1.0, 1.0),
    name="seed_double_pendulum",
    summary="learn a double pendulum's Lagrangian from short motions",
    title="double pendulum",
    dtype="float64",
    settings=Settings,
)
