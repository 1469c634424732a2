"""A fast particle in a uniform field, on a line; c = 1 and mass 1.

| system | L |
|---|---|
| `relativistic_particle` | (1 − v²)^(−1/2) − 1 + g q, as published |
| `special_relativity` | −(1 − v²)^(1/2) + g q, Einstein's |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys.systems.record import Family, from_velocities
from jaxphys.types import Array, System, TangentState

__all__ = ["FieldParams", "relativistic_particle", "special_relativity"]


class FieldParams(NamedTuple):
    """Constants of a particle in a uniform field: its strength g."""

    gravity: Array | float


def _sample(key: Array) -> TangentState:
    """q ~ U[−10, 10), v = 0.99999 tanh(2 N(0, 1))."""
    first, second = jax.random.split(key)
    q = jax.random.uniform(first, (1,), minval=-10.0, maxval=10.0)
    return TangentState(q, 0.99999 * jnp.tanh(2 * jax.random.normal(second, (1,))))


def _published_lagrangian(params: FieldParams, q: Array, v: Array) -> Array:
    return jnp.sum((1 - v**2) ** -0.5 - 1 + params.gravity * q)


def _published_hamiltonian(params: FieldParams, q: Array, p: Array) -> Array:
    """H = p v − (1 − v²)^(−1/2) + 1 − g q, with v of p = v (1 − v²)^(−3/2).

    s = 1 − v² is the positive root of p² s³ + s = 1, in hyperbolic functions, or its
    series where p is small.
    """
    small = jnp.abs(p) < jnp.finfo(p.dtype).eps ** 0.25
    x = 1.5 * 3**0.5 * jnp.where(small, 1, p)
    s = jnp.where(small, 1 - p**2 + 3 * p**4, 3 * jnp.sinh(jnp.arcsinh(x) / 3) / x)
    return jnp.sum(p**2 * s**1.5 - s**-0.5 + 1 - params.gravity * q)


@Family
def relativistic_particle(gravity: float = 10.0) -> System:
    """The particle of the LNN paper, L = (1 − v²)^(−1/2) − 1 + g q.

    Its acceleration is g (1 − v²)^(5/2)/(1 + 2v²), its momentum v (1 − v²)^(−3/2). That
    is not special relativity, which `special_relativity` is. Initial states have
    q ~ U[−10, 10), v = 0.99999 tanh(2 N(0, 1)); the paper draws g ~ 10 N(0, 1) anew for
    each.

    Example:
      >>> relativistic_particle().params
      FieldParams(gravity=10.0)

    Reference: Cranmer et al., Lagrangian Neural Networks, 2020.
    """
    return from_velocities(
        "relativistic_particle",
        FieldParams(gravity),
        (_published_hamiltonian, _published_lagrangian),
        _sample,
        (False,),
        coordinates=("q",),
        units=("1",),
        points=lambda params, q: jnp.stack([q, jnp.zeros_like(q)], axis=1),
        separable=True,
        duration=1.0,
        dt=0.0005,
    )


@Family
def special_relativity(gravity: float = 1.0) -> System:
    """A particle under a constant force, L = −(1 − v²)^(1/2) + g q, H = (1 + p²)^(1/2) − g q.

    Its momentum v (1 − v²)^(−1/2) grows as g t, its motion is a hyperbola. Initial
    states have q ~ U[−10, 10), v = 0.99999 tanh(2 N(0, 1)).

    Example:
      >>> special_relativity(2.0).params
      FieldParams(gravity=2.0)
    """  # noqa: E501
    return from_velocities(
        "special_relativity",
        FieldParams(gravity),
        (
            lambda params, q, p: jnp.sum(jnp.sqrt(1 + p**2) - params.gravity * q),
            lambda params, q, v: jnp.sum(-jnp.sqrt(1 - v**2) + params.gravity * q),
        ),
        _sample,
        (False,),
        coordinates=("q",),
        units=("1",),
        points=lambda params, q: jnp.stack([q, jnp.zeros_like(q)], axis=1),
        separable=True,
        duration=5.0,
    )
