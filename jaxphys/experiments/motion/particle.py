"""A relativistic particle in a uniform field: its laws, and states in q, v and p.

L = (1 − v²)^(−1/2) − 1 + g q as published, or −(1 − v²)^(1/2) + g q, Einstein's; each
state has a field of its own, which is the input of models, and its exact acceleration.
"""

from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from jaxphys import mechanics, systems
from jaxphys.experiments.motion import rapidity
from jaxphys.experiments.motion.rows import View
from jaxphys.experiments.motion.samples import random_states
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    PhaseState,
    System,
    TangentState,
    Trajectories,
    required,
)

__all__ = [
    "LAWS",
    "acceleration",
    "in_momenta",
    "in_velocities",
    "random_fields",
    "states",
    "system_of",
]

#: The particle of each law, by the strength of its field.
LAWS = {
    "published": systems.relativistic_particle,
    "special_relativity": systems.special_relativity,
}


def system_of(law: str) -> System:
    """The particle of a law; its field is given anew for each state."""
    check_known("law", law, LAWS)
    return LAWS[law](gravity=1.0)


def acceleration(law: str, v: Any, g: Any) -> Any:
    """The exact acceleration in a field g, in closed form."""
    slow = 1 - v**2
    if law == "published":
        return g * slow**2.5 / (1 + 2 * v**2)
    return g * slow**1.5


def states(law: str, q: ArrayLike, v: ArrayLike, g: ArrayLike) -> Trajectories:
    """Single states in q and v under fields g, (N, 1) each, with their exact rates."""
    rows = (q, v, acceleration(law, v, g), g)
    at, speed, a, u = (np.asarray(x)[:, None] for x in rows)
    y, rate = TangentState(at, speed), TangentState(speed, a)
    return Trajectories(np.zeros(1), y, rate, u)


def random_fields(law: str, key: Array, count: int) -> Trajectories:
    """Random states, each in a random field."""
    for_states, for_fields = jax.random.split(key)
    q, v = random_states(system_of(law), for_states, count)
    g = rapidity.FIELD * jax.random.normal(for_fields, (count, 1), float)
    return states(law, q, v, g)


def in_momenta(law: str) -> View:
    """The view in canonical momenta: p = ∂L/∂v, whose rate is the field."""
    system = system_of(law)
    momentum = mechanics.momentum(required(system, "lagrangian"))
    batched = jax.vmap(jax.vmap(momentum, (None, 0, 0)), (None, 0, 0))

    def one(seen: Trajectories) -> Trajectories:
        p = np.asarray(batched(system.params, *seen.y))
        rate = PhaseState(seen.y[1], seen.u)
        return seen._replace(y=PhaseState(seen.y.q, p), rate=rate)

    def view(found: list[Trajectories]) -> list[Trajectories]:
        return [one(each) for each in found]

    return view


def in_velocities(found: list[Trajectories]) -> list[Trajectories]:
    """The view with velocities where momenta should be: not canonical."""
    return [
        each._replace(y=PhaseState(*each.y), rate=each.rate and PhaseState(*each.rate))
        for each in found
    ]
