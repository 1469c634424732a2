"""A double pendulum that turns over: does a learned Lagrangian keep its energy?

m = l = 1, g = 9.8; states θ ~ U[0, 2π), ω ~ U[−10, 10) with their exact accelerations,
16 384 for training. Rollouts start at θ ~ U[0, 2π), ω ~ U[0, 0.1) and last for t = 100;
their error is |E(100) − E(0)| over 29.4, the energy that lifts both masses by their
rods. Published figures: Cranmer et al., Lagrangian Neural Networks, 2020, section 4.1;
their networks of 2 × 500 units see some 3e8 samples, those of 2 × 64 here 2e7, and
Levenberg–Marquardt has as much time.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import systems
from jaxphys.experiments.measures import Judge
from jaxphys.experiments.motion import lagrangian
from jaxphys.learning import Recipe
from jaxphys.models import Normalization
from jaxphys.types import Array, TangentState

__all__ = ["ENERGY", "EXPERIMENT", "Settings", "at_rest"]


@dataclasses.dataclass(frozen=True)
class Settings(lagrangian.Settings):
    """Learn the Lagrangian of a double pendulum that turns over."""

    states: int = 16_384
    compact: tuple[int, ...] = (64, 64)
    compact_delan: tuple[int, ...] = (32, 32)


_SYSTEM = systems.double_pendulum()

#: The energy that lifts both masses by their rods.
ENERGY = 29.4

#: Sizes of angles, of their rates, U[−10, 10), and of accelerations in these states.
_UNITS = Normalization(
    np.zeros(2), np.ones(2), np.full(2, 5.8), np.full(2, 5.8), np.full(2, 40.0)
)


def at_rest(key: Array) -> TangentState:
    """Where rollouts start: any angles, hardly moving."""
    first, second = jax.random.split(key)
    q = jax.random.uniform(first, (2,), maxval=2 * jnp.pi)
    return TangentState(q, jax.random.uniform(second, (2,), maxval=0.1))


_ADAM = Recipe(steps=150_000, batch_size=64, learning_rate=5e-3, schedule="cosine")
_WIDE = dataclasses.replace(_ADAM, batch_size=128)

EXPERIMENT = lagrangian.experiment(
    Judge(_SYSTEM, 100.0, 501, 0.005, 40, at_rest),
    ENERGY,
    lagrangian.rows(
        _SYSTEM,
        {"mlp": _WIDE, "lnn": _WIDE, "delan": _ADAM},
        {"lnn": (128, 256, 512), "delan": (64, 128, 256, 512)},
        _UNITS,
    ),
    name="double_pendulum",
    summary="learn a double pendulum's Lagrangian, and keep its energy",
    title="double pendulum",
    settings=Settings,
    published={"mlp": {"final_energy": 7.4e-2}, "lnn": {"final_energy": 4.3e-3}},
)
