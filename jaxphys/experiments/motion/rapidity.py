"""Networks that see speeds below one as rapidities, for a particle in a field.

The energies of `relativistic`: one of q and v, one of q and p, and one of q and v as if
v were a momentum. The field g is their input.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import mechanics, models
from jaxphys.types import Array, Dynamics, Model, PhaseState, PyTree, TangentState

__all__ = ["FIELD", "LENGTH", "hamiltonian_dynamics", "hnn", "hnn_velocities", "lnn"]

#: Sizes of positions and of fields, as in the authors' code.
LENGTH, FIELD = 10.0, 10.0


def _network(settings: Any, dtype: jnp.dtype, inputs: int) -> Model:
    return models.mlp(
        (inputs, *settings.hidden, 1),
        activation="tanh",
        kernel_init="glorot_normal",
        dtype=dtype,
    )


def _seen(q: Array, speed: Array, g: Array) -> Array:
    return jnp.concatenate([q / LENGTH, speed, g / FIELD])


def lnn(settings: Any, dtype: jnp.dtype) -> Dynamics:
    """L = K(q, w; g) + ½ w² + V(q; g), with the rapidity w = artanh v.

    What depends on v is of size one, the work of a field over a distance a hundred
    times that; one network for both would have masses of that size, of either sign.
    Units are tanh: with softplus a mass may run off to where accelerations vanish.
    """
    kinetic, potential = (_network(settings, dtype, n) for n in (3, 2))

    def lagrangian(args: PyTree, q: Array, v: Array) -> Array:
        params, g = args
        rapidity = jnp.arctanh(v)
        inner = kinetic.apply(params["kinetic"], _seen(q, rapidity, g))[0]
        return inner + rapidity @ rapidity / 2 + _work(potential, params, q, g)

    return Dynamics(
        _both(kinetic, potential),
        mechanics.lagrangian_vector_field(lagrangian),
        TangentState,
        mechanics.energy(lagrangian),
        num_controls=1,
    )


def _both(kinetic: Model, potential: Model) -> Callable[[Array], PyTree]:
    """The first weights of an energy in two parts."""

    def init(key: Array) -> PyTree:
        first, second = jax.random.split(key)
        return {"kinetic": kinetic.init(first), "potential": potential.init(second)}

    return init


def _work(potential: Model, params: PyTree, q: Array, g: Array) -> Array:
    where = jnp.concatenate([q / LENGTH, g / FIELD])
    return LENGTH * FIELD * potential.apply(params["potential"], where)[0]


def hnn(settings: Any, dtype: jnp.dtype) -> Dynamics:
    """H = (1 + p²)^(1/2) T(p) + V(q; g): large where momenta are."""
    kinetic, potential = (_network(settings, dtype, n) for n in (1, 2))

    def hamiltonian(args: PyTree, q: Array, p: Array) -> Array:
        params, g = args
        fast = jnp.sqrt(1 + p[0] ** 2) * kinetic.apply(
            params["kinetic"], jnp.arcsinh(p)
        )
        return fast[0] + _work(potential, params, q, g)

    return hamiltonian_dynamics(_both(kinetic, potential), hamiltonian)


def hnn_velocities(settings: Any, dtype: jnp.dtype) -> Dynamics:
    """H(q, v; g), as if v were the momentum of q."""
    net = _network(settings, dtype, 3)

    def hamiltonian(args: PyTree, q: Array, v: Array) -> Array:
        params, g = args
        return LENGTH * net.apply(params, _seen(q, jnp.arctanh(v), g))[0]

    return hamiltonian_dynamics(net.init, hamiltonian)


def hamiltonian_dynamics(init: Callable, hamiltonian: Callable) -> Dynamics:
    """The motion of H((params, g), q, p) in a field g."""
    field = mechanics.hamiltonian_vector_field(hamiltonian)
    return Dynamics(init, field, PhaseState, hamiltonian, num_controls=1)
