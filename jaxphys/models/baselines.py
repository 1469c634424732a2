"""Baselines for learned energies: networks that are the vector field themselves.

`neural_ode` can be any field, `second_order` one with q̇ = v. Neither has an energy to
conserve.
"""

from collections.abc import Sequence

import jax.numpy as jnp

from jaxphys.checks import check_count, check_whole, checked
from jaxphys.models.coordinates import Normalization, coordinates, network
from jaxphys.precision import exact
from jaxphys.types import Array, Dynamics, PhaseState, PyTree, TangentState, check_state

__all__ = ["neural_ode", "second_order"]


@checked(num_coordinates=check_count, num_controls=check_whole)
def neural_ode(
    num_coordinates: int,
    num_controls: int = 0,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    state: type[PhaseState] | type[TangentState] = PhaseState,
    **options,
) -> Dynamics:
    """A direct network for the field, (dq/dt, dp/dt) = f_θ(q, p, u).

    Args:
      num_coordinates: n.
      num_controls: size of an input u, read beside the state; 0 for none.
      state: `PhaseState` (q and p) or `TangentState` (q and v).
      periodic, normalization, options: those of `hnn`; here ReLU is allowed.

    Example:
      >>> neural_ode(2, hidden=(8,)).energy is None
      True
    """
    space = coordinates(num_coordinates, periodic, normalization)
    inputs = space.num_features + num_coordinates + num_controls
    net = network(inputs, 2 * num_coordinates, **options)

    @exact
    def field(t: Array, y: PyTree, args: PyTree):
        del t
        check_state("neural_ode", y, state)
        params, u = args if num_controls else (args, None)
        features = space.phase(y[0], y[1])
        features = features if u is None else jnp.concatenate([features, u])
        first, second = jnp.split(net.apply(params, features), 2)
        rates = (space.units.q_rate, space.units.p_rate)
        sizes = (jnp.asarray(x, first.dtype) for x in rates)
        return state(*(s * x for s, x in zip(sizes, (first, second), strict=True)))

    return Dynamics(net.init, field, state, None, num_controls)


@checked(num_coordinates=check_count, num_controls=check_whole)
def second_order(
    num_coordinates: int,
    num_controls: int = 0,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    **options,
) -> Dynamics:
    """A network for the acceleration alone: dq/dt = v, dv/dt = f_θ(q, v, u).

    Its state is a `TangentState`, so it needs data of q and v only. Arguments are those
    of `neural_ode`.

    Example:
      >>> second_order(2, hidden=(8,)).state.__name__
      'TangentState'
    """
    space = coordinates(num_coordinates, periodic, normalization)
    inputs = space.num_features + num_coordinates + num_controls
    net = network(inputs, num_coordinates, **options)

    @exact
    def field(t: Array, y: TangentState, args: PyTree) -> TangentState:
        del t
        check_state("second_order", y, TangentState)
        params, u = args if num_controls else (args, None)
        features = space.phase(y.q, y.v)
        features = features if u is None else jnp.concatenate([features, u])
        size = jnp.asarray(space.units.p_rate, y.v.dtype)
        return TangentState(y.v, size * net.apply(params, features))

    return Dynamics(net.init, field, TangentState, None, num_controls)
