"""Trajectories of a known system, with the exact derivatives along them."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import mechanics, ode
from jaxphys.data._record import cast_arrays, check_trajectories
from jaxphys.types import (
    Array,
    PhaseState,
    PyTree,
    System,
    TangentState,
    Trajectories,
)

__all__ = ["drawn", "simulated"]


def simulated(
    system: System,
    key: Array,
    num_trajectories: int,
    ts: np.ndarray | Array,
    *,
    dtype: jnp.dtype | str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Trajectories:
    """Motions from random initial states, integrated to a tolerance by `ode.solve`.

    Args:
      system: one with a Hamiltonian; its dissipation and force act.
      key: a random key of the initial states, `system.sample` of its parts.
      num_trajectories: N ≥ 1.
      ts: times, increasing, shape (T,), T ≥ 2.
      dtype: of every array; by default float64 where JAX has it on, else float32.
      rtol, atol: tolerances of a step, those of `ode.solve` by default.

    Returns:
      Trajectories of `PhaseState`, with their exact rates and the energy H; in `meta`
      the system's name, periodic, coordinates and units. A motion that could not be
      followed to the end is NaN from there on.

    Raises:
      ValueError: for a system without a Hamiltonian, and for invalid times, counts and
        dtypes.

    Example:
      >>> from jaxphys.types import System
      >>> spring = System(
      ...     "spring",
      ...     2.0,
      ...     lambda k, q, p: (p @ p + k * q @ q) / 2,
      ...     None,
      ...     lambda key: PhaseState(jnp.ones(1), jnp.zeros(1)),
      ...     (False,),
      ... )
      >>> found = simulated(spring, jax.random.key(0), 3, np.linspace(0.0, 1.0, 5))
      >>> y, rate = found.y, found.rate
      >>> y.q.shape, bool(np.allclose(rate.p, -2 * y.q, atol=1e-5))
      ((3, 5, 1), True)
    """
    if system.hamiltonian is None:
        raise ValueError(
            f"{system.name} has no Hamiltonian, and these trajectories are of q and p; "
            "integrate its vector field with jaxphys.ode.solve, and keep q and v."
        )
    if int(num_trajectories) != num_trajectories or num_trajectories < 1:
        raise ValueError(
            f"num_trajectories is {num_trajectories}; expected a whole number ≥ 1."
        )
    kind = _dtype(dtype)
    times = np.asarray(ts, kind)
    if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
        raise ValueError(
            f"ts has shape {times.shape}; expected at least two times in {kind}, (T,), "
            "that increase."
        )
    starts = jax.vmap(system.sample)(jax.random.split(key, int(num_trajectories)))
    starts, params = cast_arrays((PhaseState(*starts), system.params), kind)
    laws = (system.hamiltonian, system.dissipation, system.force)
    follow = _follow(laws, rtol, atol)
    y, rate, energy = jax.tree.map(np.asarray, follow(starts, times, params))
    meta = {
        "system": system.name,
        "periodic": list(system.periodic),
        "coordinates": list(system.coordinates),
        "units": list(system.units),
    }
    return check_trajectories(Trajectories(times, y, rate, energy=energy, meta=meta))


def drawn(
    system: System, key: Array, num_states: int, *, dtype: jnp.dtype | str | None = None
) -> Trajectories:
    """Random states, each alone, with the exact acceleration there.

    Args:
      system: one with a Lagrangian; its dissipation and force act.
      key: a random key of the states, `system.sample_tangent` of its parts.
      num_states: N ≥ 1.
      dtype: as in `simulated`.

    Returns:
      N trajectories of one time, of `TangentState`, with their exact rates.

    Raises:
      ValueError: for a system without a Lagrangian, and for invalid counts and dtypes.

    Example:
      >>> from jaxphys import systems
      >>> drawn(systems.double_pendulum, jax.random.key(0), 5).rate.v.shape
      (5, 1, 2)
    """
    if system.lagrangian is None or system.sample_tangent is None:
        raise ValueError(
            f"{system.name} has no Lagrangian, and these states are of q and v; "
            "expected a system with one."
        )
    if int(num_states) != num_states or num_states < 1:
        raise ValueError(f"num_states is {num_states}; expected a whole number ≥ 1.")
    kind = _dtype(dtype)
    states = jax.vmap(system.sample_tangent)(jax.random.split(key, int(num_states)))
    states, params = cast_arrays((TangentState(*states), system.params), kind)
    laws = (system.lagrangian, system.dissipation, system.force)
    rate = _accelerations(laws)(states, params)
    q, v, a = (np.asarray(x)[:, None] for x in (*states, rate.v))
    return Trajectories(np.zeros(1, kind), TangentState(q, v), TangentState(v, a))


@functools.lru_cache(maxsize=32)
def _accelerations(laws: tuple) -> Callable:
    lagrangian, dissipation, force = laws
    field = mechanics.lagrangian_vector_field(
        lagrangian, force=force, dissipation=dissipation
    )
    return jax.jit(jax.vmap(lambda y, params: field(0.0, y, params), (0, None)))


def _dtype(dtype: jnp.dtype | str | None) -> np.dtype:
    usual = jnp.zeros(()).dtype
    kind = usual if dtype is None else np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"dtype is {kind}; expected float32 or float64.")
    if kind == np.float64 and usual != np.float64:
        raise ValueError(
            "dtype is float64, which JAX has off; turn it on with "
            'jax.config.update("jax_enable_x64", True).'
        )
    return kind


@functools.lru_cache(maxsize=32)
def _follow(laws: tuple, rtol: float | None, atol: float | None) -> Callable:
    """One compilation a system, whatever its constants and initial states."""
    hamiltonian, dissipation, force = laws
    field = mechanics.hamiltonian_vector_field(
        hamiltonian, force=force, dissipation=dissipation
    )

    def one(y0: PhaseState, ts: Array, params: PyTree):
        ys = ode.solve(
            field, y0, ts, params, rtol=rtol, atol=atol, derivative="forward"
        ).ys
        good = jnp.isfinite(ys.q).all(1) & jnp.isfinite(ys.p).all(1)
        ys = jax.tree.map(lambda x: jnp.where(good[:, None], x, jnp.nan), ys)
        rates = jax.vmap(field, (0, 0, None))(ts, ys, params)
        return ys, rates, jax.vmap(hamiltonian, (None, 0, 0))(params, *ys)

    return jax.jit(jax.vmap(one, (0, None, None)))
