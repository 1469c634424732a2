"""Port-Hamiltonian networks: an energy, friction and an input.

    dq/dt = ∂H/∂p,    dp/dt = −∂H/∂q − R(q) ∂H/∂p + G(q) u

with R = A Aᵀ, positive semi-definite for any weights: without u the energy H never
grows.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from jaxphys.checks import check_count, check_whole, checked
from jaxphys.models.coordinates import Normalization, coordinates, network
from jaxphys.models.hnn import hnn
from jaxphys.models.structured import positive_matrix, structured
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, Model, PhaseState, PyTree, check_state

__all__ = ["port_hamiltonian"]

_ENERGIES: dict[str, Callable[..., Model]] = {"structured": structured, "plain": hnn}


@checked(num_coordinates=check_count, num_controls=check_whole)
def port_hamiltonian(
    num_coordinates: int,
    num_controls: int = 1,
    *,
    energy: str | Model = "structured",
    dissipation: bool = False,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    **options,
) -> Dynamics:
    """A port-Hamiltonian network.

    Args:
      num_coordinates: n.
      num_controls: m, the size of the input u; 0 for none.
      energy: "structured" or "plain", for `structured` or `hnn`; or such a model.
      dissipation: whether to learn R(q), (n, n).
      periodic, normalization, options: those of `hnn`.

    Returns:
      A `Dynamics` over `PhaseState`. Its vector field takes (params, u) with u of shape
      (m,), or params alone if m = 0; params are a dict of energy, and of input and
      dissipation if they are learned.

    Raises:
      ValueError: for unknown names and sizes that do not fit.

    Example:
      >>> motion = port_hamiltonian(1, 1, hidden=(8,))
      >>> params = motion.init(jax.random.key(0))
      >>> state = PhaseState(jnp.ones(1), jnp.zeros(1))
      >>> motion.vector_field(0.0, state, (params, jnp.zeros(1))).p.shape
      (1,)

    Reference: Zhong, Dey & Chakraborty, Symplectic ODE-Net, 2020,
    https://arxiv.org/abs/1909.12077.
    """
    if int(num_controls) != num_controls or num_controls < 0:
        raise ValueError(f"num_controls is {num_controls}; expected a count ≥ 0.")
    n, m = num_coordinates, num_controls
    space = coordinates(n, periodic, normalization)
    if isinstance(energy, str):
        make = _ENERGIES[check_known("energy", energy, _ENERGIES)]
        total = make(n, periodic=periodic, normalization=normalization, **options)
    else:
        total = energy
    parts = {"energy": total}
    if m:
        parts["input"] = network(space.num_features, n * m, **options)
    if dissipation:
        parts["dissipation"] = positive_matrix(space, least=0.0, **options)
    friction = jnp.asarray(space.units.p_rate) / jnp.asarray(space.units.q_rate)

    def init(key: Array) -> PyTree:
        keys = jax.random.split(key, len(parts))
        return {
            name: model.init(k)
            for k, (name, model) in zip(keys, parts.items(), strict=True)
        }

    @exact
    def field(t: Array, y: PhaseState, args: PyTree) -> PhaseState:
        del t
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
            inputs = parts["input"].apply(params["input"], space.position(q))
            push = push + inputs.reshape(n, m) @ u
        return PhaseState(v, push)

    @exact
    def energy_of(params: PyTree, q: Array, p: Array) -> Array:
        return total.apply(params["energy"], q, p)

    return Dynamics(init, field, PhaseState, energy_of, m)
