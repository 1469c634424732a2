"""Mechanical systems, each a `System` record of constants, energies and a sampler.

| name | H |
|---|---|
| `linear_chain` | Σ (q² + p²)/2 + k/2 Σ (q_i − q_{i+1})² |
| `quartic_chain` | Σ (q² + p²)/2 + α Σ (q_i − q_{i+1})⁴ |
"""

from jaxphys.names import check_known
from jaxphys.systems.oscillators import linear_chain, quartic_chain
from jaxphys.types import System

_SYSTEMS = {"linear_chain": linear_chain, "quartic_chain": quartic_chain}


def names() -> tuple[str, ...]:
    """The names that `get` knows.

    Example:
      >>> names()
      ('linear_chain', 'quartic_chain')
    """
    return tuple(_SYSTEMS)


def get(name: str, **options) -> System:
    """The system of that name; options are those of its function.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> get("linear_chain", coupling=0.5).params
      ChainParams(coupling=0.5)
    """
    return _SYSTEMS[check_known("system", name, _SYSTEMS)](**options)


__all__ = ["get", "linear_chain", "names", "quartic_chain"]
