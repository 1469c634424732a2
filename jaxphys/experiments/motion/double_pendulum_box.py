"""A double pendulum that swings but does not turn over: how precisely L can be learned.

m = l = 1, g = 9.8; states θ ~ U[−π/2, π/2), ω ~ U[−2, 2), 8192 for training, with their
exact accelerations; an LNN has fewer than 5000 parameters. Adam has a cosine schedule
over all of its time; Levenberg–Marquardt has as much time, and batches that grow to all
of the data: most of a DeLaN's squared error is in a few states near θ1 − θ2 = ±π, the
corners of the box, which smaller batches seldom meet.
"""

import dataclasses

import numpy as np

from jaxphys import systems
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import double_pendulum, lagrangian
from jaxphys.learning import Recipe

__all__ = ["EXPERIMENT", "Settings"]


@dataclasses.dataclass(frozen=True)
class Settings(lagrangian.Settings):
    """Learn the Lagrangian of a double pendulum that swings, as precisely as can be."""

    compact: tuple[int, ...] = (20, 20, 20)
    compact_delan: tuple[int, ...] = (12, 12, 12)


_SYSTEM = lagrangian.within(systems.double_pendulum(), -np.pi / 2, np.pi / 2, -2.0, 2.0)

#: Small first batches, of many updates, and all samples to end with.
_GROWTH = (64, 1024, 8192)

_ADAM = Recipe(steps=400_000, batch_size=64, learning_rate=5e-3, schedule="cosine")
_SHORT = dataclasses.replace(_ADAM, steps=200_000)

EXPERIMENT = lagrangian.experiment(
    Judge(_SYSTEM, 10.0, 501, 0.01, 40),
    double_pendulum.ENERGY,
    lagrangian.rows(
        _SYSTEM,
        {"mlp": _ADAM, "lnn": _ADAM, "delan": _SHORT},
        {"lnn": _GROWTH, "delan": _GROWTH},
    ),
    name="double_pendulum_box",
    summary="learn a double pendulum's Lagrangian, most precisely",
    title="double pendulum, |θ| < π/2",
    settings=Settings,
)
