"""Lagrangian networks of motions with inputs and friction.

d/dt ∂L/∂v − ∂L/∂q = −R(q) v + G(q) u, with a friction R that is positive semi-definite
for any weights: without an input the energy of L never grows.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import mechanics
from jaxphys.checks import check_count, check_whole, checked
from jaxphys.models.adapters import as_model
from jaxphys.models.coordinates import Normalization, coordinates, network
from jaxphys.models.structured import positive_matrix
from jaxphys.names import check_known
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, Model, PyTree, TangentState

__all__ = ["forced"]

_INPUTS = ("direct", "learned")


@checked(num_coordinates=check_count, num_controls=check_whole)
def forced(
    model: Any,
    num_coordinates: int,
    num_controls: int = 0,
    *,
    dissipation: bool = False,
    inputs: str = "direct",
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    **options,
) -> Dynamics:
    """The motion of a Lagrangian under inputs and friction.

    Args:
      model: its `apply(params, q, v)` is a Lagrangian, such as `lnn` or `delan`; or a
        module of equinox, nnx or linen, called as `module(q, v)`.
      num_coordinates: n.
      num_controls: m, the size of the input u; 0 for none.
      dissipation: whether to learn a friction R(q), an n × n matrix.
      inputs: "direct", if u are the generalized forces themselves, m = n; or
        "learned", with a matrix G(q).
      periodic, normalization, options: those of `hnn`, for the networks of R and G.

    Returns:
      A `Dynamics` over `TangentState`; its params are a dict of lagrangian, friction
      and input. With direct inputs it has an inverse.

    Raises:
      ValueError: for unknown names, or direct inputs that are not one per coordinate.

    Example:
      >>> from jaxphys import models
      >>> motion = forced(models.delan(1, hidden=(8,)), 1, 1, hidden=(8,))
      >>> params = motion.init(jax.random.key(0))
      >>> at = TangentState(jnp.ones(1), jnp.zeros(1))
      >>> motion.vector_field(0.0, at, (params, jnp.ones(1))).v.shape
      (1,)
    """
    check_known("inputs", inputs, _INPUTS)
    model = as_model(model, what="the Lagrangian")
    n, m = num_coordinates, num_controls
    if inputs == "direct" and m not in (0, n):
        raise ValueError(
            f"num_controls is {m}, but inputs act directly on {n} coordinates; "
            f"expected {n} or 0, or inputs='learned'."
        )
    space = coordinates(n, periodic, normalization)
    parts: dict[str, Model] = {"lagrangian": Model(model.init, model.apply)}
    if dissipation:
        parts["friction"] = positive_matrix(space, least=0.0, **options)
    if m and inputs == "learned":
        parts["input"] = network(space.num_features, n * m, **options)
    # The unit of R is such that a friction of one dissipates the unit of energy in the
    # typical time of the motion.
    times = np.asarray(space.units.q_scale) / np.asarray(space.units.p_scale)
    unit = jnp.asarray(space.units.energy() / np.exp(np.mean(np.log(times))))

    def init(key: Array) -> PyTree:
        keys = jax.random.split(key, len(parts))
        return {
            name: part.init(k)
            for k, (name, part) in zip(keys, parts.items(), strict=True)
        }

    def weights(args: PyTree) -> PyTree:
        return args[0] if m else args

    @exact
    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        return model.apply(params["lagrangian"], q, v)

    @exact
    def rayleigh(params: PyTree, q: Array, v: Array) -> Array:
        matrix = parts["friction"].apply(params["friction"], q)
        speed = space.momentum(v)
        return unit.astype(v.dtype) * (speed @ matrix @ speed) / 2

    @exact
    def push(t: Array, y: TangentState, args: PyTree) -> Array:
        params, u = args
        if jnp.shape(u) != (m,):
            raise ValueError(f"the input u has shape {jnp.shape(u)}; expected ({m},).")
        if inputs == "direct":
            return u
        matrix = parts["input"].apply(params["input"], space.position(y.q))
        return matrix.reshape(n, m) @ u

    field = mechanics.lagrangian_vector_field(
        lambda args, q, v: lagrangian(weights(args), q, v),
        force=push if m else None,
        dissipation=(lambda args, q, v: rayleigh(weights(args), q, v))
        if dissipation
        else None,
        positive=model.positive,
    )
    inverse = mechanics.inverse_dynamics(
        lagrangian, dissipation=rayleigh if dissipation else None
    )
    return Dynamics(
        init,
        field,
        TangentState,
        mechanics.energy(lagrangian),
        m,
        inverse=inverse if inputs == "direct" else None,
        lagrangian=lagrangian,
    )
