"""Two bodies under gravity in the plane, near circular orbits; n = 4 coordinates.

1000 trajectories of 50 points, a fifth of them for the test, no noise; networks of
2 × 200 tanh units, 10 000 updates of Adam on 200 samples each, here with a cosine
schedule. Published figures: Greydanus, Dzamba & Yosinski, Hamiltonian Neural Networks,
2019, table 1.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import systems
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import hamiltonian
from jaxphys.experiments.motion.hamiltonian import Compact
from jaxphys.learning import Recipe
from jaxphys.types import Array, PhaseState

__all__ = ["EXPERIMENT", "Settings", "near_circle"]


@dataclasses.dataclass(frozen=True)
class Settings(hamiltonian.Settings):
    """Learn the energy of two bodies under gravity."""

    trajectories: int = 800
    noise: float = 0.0


def near_circle(key: Array) -> PhaseState:
    """A near-circular orbit about the common center, as published.

    The first body is at (x, y), both U[0.5, 1.5), the second opposite; speeds are the
    circular one, times one factor 1 + 0.05 N(0, 1).
    """
    first, second = jax.random.split(key)
    at = jax.random.uniform(first, (2,), minval=0.5, maxval=1.5)
    turned = jnp.stack([-at[1], at[0]])
    speed = 1 + 0.05 * jax.random.normal(second)
    p = speed * turned / (2 * jnp.linalg.norm(at) ** 1.5)
    return PhaseState(jnp.concatenate([at, -at]), jnp.concatenate([p, -p]))


_SYSTEM = systems.two_body()._replace(sample=near_circle)

EXPERIMENT = hamiltonian.experiment(
    Judge(_SYSTEM, 20.0, 401, 0.025, 25),
    hamiltonian.rows(
        _SYSTEM,
        Recipe(steps=10_000, batch_size=200, schedule="cosine"),
        clean=Compact((64, 64), 64),
        noisy=Compact((64, 64), 512),
    ),
    name="two_body",
    summary="learn the energy of two bodies under gravity",
    title="two bodies",
    settings=Settings,
    ts=np.linspace(0.0, 20.0, 50),
    extent=0.3,
    test_share=0.25,
    published={
        "mlp": {"test_mse": 2.96e-5, "energy_mse": 6.33e-2},
        "hnn": {"test_mse": 2.82e-6, "energy_mse": 3.88e-5},
    },
)
