"""The published experiments by name: a `Config` and a `run(config)` each.

| name | what it trains | source |
|---|---|---|
| `oscillators` | a controller through coupled oscillators | Schnell et al. 2022 |
"""

import importlib
from types import ModuleType

from jaxphys.names import check_known

EXPERIMENTS = {
    "oscillators": "steer coupled oscillators back to where they started",
}


def get(name: str) -> ModuleType:
    """The experiment of that name, a module with `Config`, `METHODS` and `run`.

    Raises:
      ValueError: for an unknown name, with the known ones and the nearest match.

    Example:
      >>> get("oscillators").Config().oscillators
      2
    """
    check_known("experiment", name, EXPERIMENTS)
    return importlib.import_module(f"jaxphys.experiments.{name}")


__all__ = ["EXPERIMENTS", "get"]
