"""Port-Hamiltonian networks: energy, friction, an input, and a force from outside.

    dq/dt = ∂H/∂p,    dp/dt = −∂H/∂q − R(q) ∂H/∂p + G(q) u + F

with R = A Aᵀ positive semi-definite whatever the weights: without u and F the energy H
never grows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys.models.coordinates import (
    Normalization,
    coordinates,
    network,
)
from jaxphys.models.hnn import hnn
from jaxphys.models.structured import Structured, positive_matrix, structured
from jaxphys.names import check_known
from jaxphys.types import Array, Dynamics, Model, PhaseState, PyTree, check_state

ENERGIES: dict[str, Callable[..., Any]] = {"structured": structured, "plain": hnn}
FORCES = ("none", "time", "state")


def port_hamiltonian(
    num_coordinates: int,
    num_controls: int = 1,
    *,
    energy: str | Model | Structured = "structured",
    dissipation: bool = False,
    force: str = "none",
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    **options,
) -> Dynamics:
    """A port-Hamiltonian network.

    Args:
      num_coordinates: n.
      num_controls: m, the size of the input u; 0 for none.
      energy: "structured" or "plain", by `structured` or `hnn`; or such a model.
      dissipation: whether to learn R(q), (n, n).
      force: whether to learn an external force F, of "time" or of the "state" (q, p),
        or "none".
      periodic, normalization, options: those of `hnn`.

    Returns:
      A `Dynamics` over `PhaseState`. Its vector field takes (params, u), u of shape
      (m,), where m > 0, and params alone otherwise; params are a dict of energy, and
      input, dissipation and force where they are learned.

    Raises:
      ValueError: for unknown names and sizes that do not fit.

    Example:
      >>> motion = port_hamiltonian(1, 1, hidden=(8,))
      >>> params = motion.init(jax.random.key(0))
      >>> state = PhaseState(jnp.ones(1), jnp.zeros(1))
      >>> motion.vector_field(0.0, state, (params, jnp.zeros(1))).p.shape
      (1,)

    References: Zhong, Dey & Chakraborty, Symplectic ODE-Net, 2020,
    https://arxiv.org/abs/1909.12077; Eidnes et al., Pseudo-Hamiltonian neural networks,
    2023, https://arxiv.org/abs/2206.02660.
    """
    check_known("force", force, FORCES)
    if int(num_controls) != num_controls or num_controls < 0:
        raise ValueError(f"num_controls is {num_controls}; expected a number ≥ 0.")
    n, m = num_coordinates, num_controls
    space = coordinates(n, periodic, normalization)
    if isinstance(energy, str):
        make = ENERGIES[check_known("energy", energy, ENERGIES)]
        total: Model | Structured = make(
            n, periodic=periodic, normalization=normalization, **options
        )
    else:
        total = energy
    parts: dict[str, Model] = {"energy": Model(total.init, total.apply)}
    if m:
        parts["input"] = network(space.num_features, n * m, **options)
    if dissipation:
        parts["dissipation"] = positive_matrix(space, least=0.0, **options)
    if force != "none":
        size = 1 if force == "time" else space.num_features + n
        parts["force"] = network(size, n, **options)
    strength = jnp.asarray(space.units.p_rate)
    friction = strength / jnp.asarray(space.units.q_rate)

    def init(key: Array) -> PyTree:
        keys = jax.random.split(key, len(parts))
        return {
            name: model.init(k)
            for k, (name, model) in zip(keys, parts.items(), strict=True)
        }

    def field(t: Array, y: PhaseState, args: PyTree) -> PhaseState:
        check_state("port_hamiltonian", y, PhaseState)
        params, u = args if m else (args, jnp.zeros(0))
        q, p = y
        dq, v = jax.grad(total.apply, argnums=(1, 2))(params["energy"], q, p)
        push = -dq
        if dissipation:
            matrix = parts["dissipation"].apply(params["dissipation"], q)
            root = jnp.sqrt(friction.astype(q.dtype))
            push = push - root * (matrix @ (root * v))
        if m:
            if jnp.shape(u) != (m,):
                raise ValueError(
                    f"the input u has shape {jnp.shape(u)}; expected ({m},)."
                )
            ways = parts["input"].apply(params["input"], space.position(q))
            push = push + ways.reshape(n, m) @ u
        if force != "none":
            seen = (
                jnp.asarray(t, q.dtype)[None] if force == "time" else space.phase(q, p)
            )
            outside = parts["force"].apply(params["force"], seen)
            push = push + strength.astype(q.dtype) * outside
        return PhaseState(v, push)

    def energy_of(params: PyTree, q: Array, p: Array) -> Array:
        return total.apply(params["energy"], q, p)

    return Dynamics(init, field, PhaseState, energy_of, m)
