"""How a family of systems becomes `System` records.

A family is a function of its constants, and also has the attributes of its default
system: `double_pendulum(mass2=3.0)` and `double_pendulum.params` both work.
"""

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import checks, mechanics, trees
from jaxphys.precision import exact
from jaxphys.types import (
    Array,
    Hamiltonian,
    Lagrangian,
    PhaseState,
    PyTree,
    System,
    TangentState,
)

__all__ = [
    "Family",
    "check_count",
    "from_momenta",
    "from_velocities",
    "like",
    "numbered",
    "ring",
    "symmetric2",
]


#: Constants that mean nothing at or below zero, by their names.
_POSITIVE = re.compile(r"mass|length|inertia|speed")


class Family:
    """A function that gives a `System`, and the attributes of its default one."""

    def __init__(self, build: Callable[..., System]):
        kinds = {
            parameter.name: _constant
            for parameter in inspect.signature(build).parameters.values()
            if isinstance(parameter.default, float)
        }
        self._build = checks.checked(**kinds)(build)
        functools.update_wrapper(self, build)

    def __call__(self, *args, **options) -> System:
        """The system with these constants.

        Raises:
          TypeError: for a constant that is no number.
          ValueError: for one that is not finite, and for a mass, a length or a moment
            of inertia that is not above zero.
        """
        return self._build(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if name not in System._fields:
            raise AttributeError(f"{self.__name__} has no attribute {name!r}")
        return getattr(self._build(), name)


def _constant(name: str, value: Any) -> None:
    """A constant of a system: a finite number, above zero where it must be."""
    checks.check_number(name, value, positive=_POSITIVE.search(name) is not None)


def from_velocities(
    name: str,
    params: PyTree,
    energies: tuple[Hamiltonian, Lagrangian],
    sample: Callable[[Array], TangentState],
    periodic: tuple[bool, ...],
    **rest,
) -> System:
    """A system whose initial states are drawn as positions and velocities."""
    energies = _exact_pair(energies)
    momentum = mechanics.momentum(energies[1])

    def sample_phase(key: Array) -> PhaseState:
        q, v = sample(key)
        return PhaseState(q, momentum(params, q, v))

    rest["sample_tangent"] = sample
    return System(name, params, *energies, sample_phase, periodic, **rest)


def from_momenta(
    name: str,
    params: PyTree,
    energies: tuple[Hamiltonian, Lagrangian],
    sample: Callable[[Array], PhaseState],
    periodic: tuple[bool, ...],
    **rest,
) -> System:
    """A system whose initial states are drawn as positions and momenta."""
    energies = _exact_pair(energies)
    velocity = mechanics.velocity(energies[0])

    def sample_tangent(key: Array) -> TangentState:
        q, p = sample(key)
        return TangentState(q, velocity(params, q, p))

    rest["sample_tangent"] = sample_tangent
    return System(name, params, *energies, sample, periodic, **rest)


def _exact_pair(
    energies: tuple[Hamiltonian, Lagrangian],
) -> tuple[Hamiltonian, Lagrangian]:
    hamiltonian, lagrangian = energies
    return exact(hamiltonian), exact(lagrangian)


def check_count(name: str, count: int, least: int = 1) -> None:
    """Raise a ValueError unless a count is a whole number ≥ least."""
    checks.check_count(name, count, least)


def numbered(symbol: str, count: int) -> tuple[str, ...]:
    """Names q_{1} … q_{n} in mathtext.

    Example:
      >>> numbered("q", 2)
      ('q_{1}', 'q_{2}')
    """
    return tuple(f"{symbol}_{{{i + 1}}}" for i in range(count))


def ring(key: Array, low: float, high: float) -> PhaseState:
    """One (q, p) in a uniform direction, its length uniform in [low, high)."""
    first, second = jax.random.split(key)
    radius = jax.random.uniform(first, (), minval=low, maxval=high)
    angle = jax.random.uniform(second, (), maxval=2 * jnp.pi)
    return PhaseState(radius * jnp.cos(angle)[None], radius * jnp.sin(angle)[None])


def like(params: PyTree, q: Array) -> PyTree:
    """Constants that are arrays, in the dtype of q: a float32 state stays float32."""
    return trees.cast(params, q.dtype, integers=True)


def symmetric2(a: Array | float, b: Array, d: Array | float) -> Array:
    """The symmetric matrix ((a, b), (b, d)), in the dtype of b.

    Example:
      >>> print(symmetric2(2.0, jnp.array(0.5), 1.0))
      [[2.  0.5]
       [0.5 1. ]]
    """
    a, d = like((a, d), b)
    return jnp.stack([jnp.stack([a, b]), jnp.stack([b, d])])
