"""Torques of (q, v, q̈), the parts they are spent on, and a network for their sum.

τ = M(q) q̈ + c(q, v) + g(q); a network without mechanics knows no parts of its own.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import data, mechanics, models
from jaxphys.experiments import measures
from jaxphys.experiments.motion.rows import Make
from jaxphys.types import (
    Array,
    Dynamics,
    PyTree,
    TangentState,
    Trajectories,
    required,
)

__all__ = ["parts", "plain", "points"]


def points(found: list[Trajectories]) -> tuple[Array, Array, Array, Array]:
    """q, v, q̈ and the torque at all times of all motions, (N, n) each."""
    moments, rates = data.moments(found)
    q, v, a, u = jax.tree.leaves((moments.y, rates.v, moments.u))
    return q, v, a, u


def parts(motion: Dynamics, params: PyTree, *at: Array) -> dict[str, Array]:
    """Torques of (q, v, q̈), and what they are spent on, (N, n) each, by name."""
    inverse = required(motion, "inverse")
    split = mechanics.split_torque(inverse)

    @jax.jit
    @jax.vmap
    def each(*at: Array) -> dict[str, Array]:
        parts = split(params, *at)._asdict()
        return {"torque": inverse(params, *at), **parts}

    return each(*(x.astype(measures.dtype_of(params)) for x in at))


def plain(layers: str) -> Make:
    """A network of (cos q, sin q, v, q̈) that is the torque of two joints.

    Args:
      layers: the setting that has the units of each hidden layer.
    """

    def make(settings: Any, dtype: jnp.dtype) -> Dynamics:
        net = models.mlp(
            (8, *getattr(settings, layers), 2),
            activation="softplus",
            kernel_init="glorot_normal",
            dtype=dtype,
        )

        def inverse(params: PyTree, q: Array, v: Array, a: Array) -> Array:
            seen = jnp.concatenate([jnp.cos(q), jnp.sin(q), v / 2.0, a / 10.0])
            return 10.0 * net.apply(params, seen)

        return Dynamics(net.init, _unknown, TangentState, inverse=inverse)

    return make


def _unknown(t: Array, y: TangentState, params: PyTree) -> TangentState:
    raise ValueError(
        "this network gives the torque of an acceleration, and no acceleration of a "
        "state; take lnn, structured or delan to follow a motion."
    )
