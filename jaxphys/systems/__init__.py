"""Mechanical systems, each a `System` record of constants, energies and a sampler.

Each name is a function of the constants and also has the attributes of the default
system: `systems.double_pendulum(mass2=3.0).params`, `systems.double_pendulum.params`.
"""

from jaxphys.names import check_known
from jaxphys.systems.arms import two_link_arm
from jaxphys.systems.fields import charged_particle, henon_heiles
from jaxphys.systems.gravity import central_force, kepler, n_body, three_body, two_body
from jaxphys.systems.lattices import fput_chain, toda_chain, wave
from jaxphys.systems.oscillators import (
    driven_oscillator,
    duffing,
    linear_chain,
    mass_spring,
    quartic_chain,
)
from jaxphys.systems.pendula import (
    cart_pole,
    double_pendulum,
    elastic_pendulum,
    pendulum,
    pendulum_chain,
)
from jaxphys.systems.record import Family
from jaxphys.systems.relativistic import relativistic_particle, special_relativity
from jaxphys.systems.rigid import free_rigid_body
from jaxphys.types import System

_SYSTEMS: dict[str, Family] = {
    "mass_spring": mass_spring,
    "duffing": duffing,
    "driven_oscillator": driven_oscillator,
    "linear_chain": linear_chain,
    "quartic_chain": quartic_chain,
    "fput_chain": fput_chain,
    "toda_chain": toda_chain,
    "wave": wave,
    "pendulum": pendulum,
    "double_pendulum": double_pendulum,
    "pendulum_chain": pendulum_chain,
    "elastic_pendulum": elastic_pendulum,
    "cart_pole": cart_pole,
    "two_link_arm": two_link_arm,
    "central_force": central_force,
    "kepler": kepler,
    "two_body": two_body,
    "three_body": three_body,
    "n_body": n_body,
    "henon_heiles": henon_heiles,
    "charged_particle": charged_particle,
    "relativistic_particle": relativistic_particle,
    "special_relativity": special_relativity,
    "free_rigid_body": free_rigid_body,
}


def names() -> tuple[str, ...]:
    """The names that `get` knows.

    Example:
      >>> "double_pendulum" in names()
      True
    """
    return tuple(_SYSTEMS)


def get(name: str, **options) -> System:
    """The system of this name; options are those of its function.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> get("linear_chain", coupling=0.5).params
      ChainParams(coupling=0.5)
    """
    return _SYSTEMS[check_known("system", name, _SYSTEMS)](**options)


__all__ = ["get", "names", *_SYSTEMS]
