"""A chain of pendula: short pieces of its motions, with accelerations and without.

Angles and velocities 0.03 apart for T = 3; a trajectory gives one piece of five points.
"""

import jax
import numpy as np

from jaxphys import data, systems
from jaxphys.experiments.experiment import Keys, Samples
from jaxphys.experiments.motion.samples import random_states
from jaxphys.motion import Motion, of_system
from jaxphys.types import Array, System, TangentState, Trajectories

__all__ = ["DT", "accelerated", "chain", "pieces"]

#: Time between two points, and the points of a whole motion.
DT, _TIMES = 0.03, 101

#: Points of a piece.
_POINTS = 5

#: By how much two estimates of an acceleration may differ, of its root mean square.
_RESOLVED = 3e-3


def chain(links: int) -> System:
    """Masses and lengths .6 to 1.4 as published, the same in every run."""
    return systems.pendulum_chain(links, key=jax.random.key(0))


def pieces(links: int, keys: Keys, train: int, test: int) -> Samples:
    """Pieces of random motions for training; whole motions for the test.

    Args:
      links: number of pendula.
      keys: of the first states, and of where pieces begin.
      train: number of pieces.
      test: number of whole motions.
    """
    system = chain(links)
    motion = Motion(of_system(system, TangentState))
    ts = np.arange(_TIMES) * DT

    def followed(key: Array, count: int) -> TangentState:
        first = random_states(system, key, count)
        path = motion.path(system.params, first, ts, longest=DT / 20)
        return jax.tree.map(np.asarray, path)

    whole, long = followed(keys.train, train), followed(keys.test, test)
    starts = np.random.default_rng(keys.seed).integers(0, _TIMES - _POINTS, train)
    rows = starts[:, None] + np.arange(_POINTS)
    pick = np.arange(train)[:, None]
    some = jax.tree.map(lambda x: x[pick, rows], whole)
    short = jax.tree.map(lambda x: x[:, :_POINTS], long)
    return Samples(
        [Trajectories(ts[:_POINTS], some)],
        [Trajectories(ts, long)],
        [Trajectories(ts[:_POINTS], short)],
    )


def accelerated(found: list[Trajectories]) -> list[Trajectories]:
    """Pieces as single states with their accelerations; longer motions as they are.

    The first and last points are left out, and those where the accelerations of five
    points and of three differ by more than `_RESOLVED` of their root mean square: there
    0.03 is too long for the motion.
    """
    return [_resolved(x) if len(x.t) == _POINTS else x for x in found]


def _resolved(short: Trajectories) -> Trajectories:
    t, (q, v) = short.t, short.y
    a, coarse = (data.accelerations(t, q, v, window=w) for w in (_POINTS, 3))
    gap = np.max(np.abs(a - coarse), axis=-1)
    kept = gap <= _RESOLVED * np.sqrt(np.mean(a**2))
    kept[:, [0, -1]] = False
    q, v, a = (x[kept][:, None] for x in (q, v, a))
    return Trajectories(t[:1], TangentState(q, v), TangentState(v, a))
