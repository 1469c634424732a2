"""Structured Hamiltonian networks: H = ½ pᵀ M⁻¹(q) p + V(q), as mechanics has it.

The inverse mass matrix is A Aᵀ + ε I with a triangular network A(q), so it is symmetric
and positive definite for any weights.
"""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import mechanics
from jaxphys.checks import check_count, checked
from jaxphys.linalg import symmetric_solve
from jaxphys.models.coordinates import (
    Coordinates,
    Normalization,
    check_smooth,
    coordinates,
    network,
)
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Chart,
    Dynamics,
    Model,
    PhaseState,
    PyTree,
    TangentState,
    check_pair,
    required,
)

__all__ = ["in_velocities", "positive_matrix", "structured"]

#: The least eigenvalue of M⁻¹, in the units of the network.
_LEAST = 1e-4


def positive_matrix(space: Coordinates, least: float = _LEAST, **options) -> Model:
    """A symmetric matrix A(q) Aᵀ(q) + ε I, (n, n), all eigenvalues ≥ ε.

    A is lower triangular; its diagonal is a softplus of the network and starts near
    one.

    Args:
      space: the coordinates of q.
      least: ε ≥ 0; at zero the matrix is positive semi-definite.
      options: of `jaxphys.models.coordinates.network`.

    Example:
      >>> model = positive_matrix(coordinates(2), hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> model.apply(params, jnp.ones(2)).shape
      (2, 2)
    """
    n = space.number
    entries = network(space.num_features, n * (n + 1) // 2, **options)
    rows, columns = np.tril_indices(n)
    places = np.full((n, n), len(rows))
    places[rows, columns] = np.arange(len(rows))
    # softplus(0.55) = 1: with small weights A starts near the identity.
    start = np.where(rows == columns, 0.5413, 0.0)

    @exact
    def matrix(params: PyTree, q: Array) -> Array:
        raw = entries.apply(params, space.position(q))
        raw = raw + jnp.asarray(start, raw.dtype)
        values = jnp.where(rows == columns, jax.nn.softplus(raw), raw)
        # A gather of the lower triangle, with a zero for the rest: scatters are slow.
        root = jnp.append(values, jnp.zeros((), values.dtype))[places]
        return root @ root.T + least * jnp.eye(n, dtype=values.dtype)

    return Model(entries.init, matrix)


@checked(num_coordinates=check_count)
def structured(
    num_coordinates: int,
    *,
    periodic: Sequence[bool] | None = None,
    normalization: Normalization | None = None,
    activation: str = "tanh",
    **options,
) -> Model:
    """A Hamiltonian network ½ pᵀ M⁻¹(q) p + V(q); arguments are those of `hnn`.

    Returns:
      A Model whose `apply(params, q, p) -> scalar` is a Hamiltonian, `positive`, with
      the parts inverse_mass(params, q), mass(params, q), potential(params, q),
      momentum(params, q, v) and lagrangian(params, q, v). Its params are a dict of
      inverse_mass and potential.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> model = structured(2, hidden=(8,))
      >>> params = model.init(jax.random.key(0))
      >>> inverse = model.parts["inverse_mass"](params, jnp.ones(2))
      >>> bool(jnp.all(jnp.linalg.eigvalsh(inverse) > 0))
      True

    References: Zhong, Dey & Chakraborty, Symplectic ODE-Net, 2020,
    https://arxiv.org/abs/1909.12077; Lutter et al., Deep Lagrangian Networks, 2019.
    """
    check_smooth(activation)
    space = coordinates(num_coordinates, periodic, normalization)
    root = positive_matrix(space, activation=activation, **options)
    scalar = network(space.num_features, activation=activation, **options)
    unit = space.units.energy()

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"inverse_mass": root.init(first), "potential": scalar.init(second)}

    @exact
    def inverse_mass(params: PyTree, q: Array) -> Array:
        inner = root.apply(params["inverse_mass"], q)
        scale = jnp.asarray(space.units.p_scale, inner.dtype)
        return unit * inner / jnp.outer(scale, scale)

    @exact
    def potential(params: PyTree, q: Array) -> Array:
        return unit * scalar.apply(params["potential"], space.position(q))[0]

    @exact
    def hamiltonian(params: PyTree, q: Array, p: Array) -> Array:
        check_pair("the Hamiltonian network", "p", q, p)
        return p @ (inverse_mass(params, q) @ p) / 2 + potential(params, q)

    @exact
    def momentum(params: PyTree, q: Array, v: Array) -> Array:
        return symmetric_solve(inverse_mass(params, q), v, positive=True)

    @exact
    def mass(params: PyTree, q: Array) -> Array:
        inverse = inverse_mass(params, q)
        identity = jnp.eye(inverse.shape[0], dtype=inverse.dtype)
        return symmetric_solve(inverse, identity, positive=True)

    @exact
    def lagrangian(params: PyTree, q: Array, v: Array) -> Array:
        return v @ momentum(params, q, v) / 2 - potential(params, q)

    return Model(
        init,
        hamiltonian,
        {
            "inverse_mass": inverse_mass,
            "mass": mass,
            "potential": potential,
            "momentum": momentum,
            "lagrangian": lagrangian,
        },
        positive=True,
    )


def in_velocities(motion: Dynamics, model: Model) -> Dynamics:
    """The same motion in q and v = M⁻¹ p, for data without momenta.

    Trajectories are integrated in q and p, where no linear system has to be solved. A
    motion of the energy alone has its inverse dynamics as well.

    Args:
      motion: dynamics over `PhaseState`, whose params are those of the model, or a dict
        that holds them under "energy".
      model: the energy of the motion, with the parts inverse_mass and momentum, as
        `structured` has them; with lagrangian there is an inverse.

    Raises:
      ValueError: for a model without these parts.

    Example:
      >>> from jaxphys import models
      >>> model = structured(1, hidden=(8,))
      >>> in_velocities(models.dynamics(model), model).state.__name__
      'TangentState'
    """
    momentum = required(model, "momentum")
    inverse_mass = required(model, "inverse_mass")
    lagrangian = model.parts.get("lagrangian")

    def weights(params: PyTree) -> PyTree:
        return params.get("energy", params)

    def enter(params: PyTree, y: TangentState) -> PhaseState:
        return PhaseState(y.q, momentum(weights(params), y.q, y.v))

    def leave(params: PyTree, z: PhaseState) -> TangentState:
        return TangentState(z.q, inverse_mass(weights(params), z.q) @ z.p)

    @exact
    def field(t: Array, y: TangentState, args: PyTree) -> TangentState:
        params = args[0] if motion.num_controls else args
        z = enter(params, y)
        rate = motion.vector_field(t, z, args)
        return jax.jvp(functools.partial(leave, params), (z,), (rate,))[1]

    @exact
    def energy(params: PyTree, q: Array, v: Array) -> Array:
        return model.apply(weights(params), *enter(params, TangentState(q, v)))

    inverse = None
    if lagrangian is not None and motion.conservative:
        torque = mechanics.inverse_dynamics(lagrangian)

        def inverse(params: PyTree, q: Array, v: Array, a: Array) -> Array:
            return torque(weights(params), q, v, a)

    return Dynamics(
        motion.init,
        field,
        TangentState,
        energy,
        motion.num_controls,
        chart=Chart(enter, leave, motion.vector_field),
        inverse=inverse,
    )
