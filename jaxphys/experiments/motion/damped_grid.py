"""States of a damped spring on a grid, with their exact rates.

H = q² + p², with a friction that acts on q: dq/dt = 2p − c q, dp/dt = −2q.
"""

import jax.numpy as jnp
import numpy as np

from jaxphys.experiments.experiment import Samples
from jaxphys.motion import Motion
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, Trajectories

__all__ = ["DAMPING", "SIDE", "TRUE", "grid"]

#: Half the side of the grid, and the published damping.
SIDE, DAMPING = 1.2, 2.0


def _rate(t: Array, y: PhaseState, damping: PyTree) -> PhaseState:
    del t
    return PhaseState(2 * y.p - damping * y.q, -2 * y.q)


#: The spring itself; its constant is the damping.
TRUE = Motion(
    Dynamics(
        lambda key: jnp.asarray(DAMPING),
        _rate,
        energy=lambda damping, q, p: q @ q + p @ p,
    )
)


def grid(points: int, damping: float, seed: int) -> Samples:
    """All states, shuffled, four fifths of them for training.

    Args:
      points: along each side of the grid.
      damping: of q.
      seed: of the order.
    """
    side = np.linspace(-SIDE, SIDE, points)
    q, p = (x.reshape(-1, 1, 1) for x in np.meshgrid(side, side))
    order = np.random.default_rng(seed).permutation(len(q))
    cut = int(0.8 * len(q))

    def part(rows: np.ndarray) -> Trajectories:
        y = PhaseState(q[rows], p[rows])
        return Trajectories(np.zeros(1), y, _rate(jnp.zeros(()), y, damping))

    train, test = part(order[:cut]), part(order[cut:])
    return Samples([train], [test], [test])
