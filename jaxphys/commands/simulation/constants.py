"""The constants of a system by name, as `jaxphys simulate SYSTEM` takes them.

What a system's function takes becomes a dataclass, of which the command line makes
options with help; `build` makes a system of its fields.
"""

import dataclasses
import inspect
import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxphys import systems
from jaxphys.names import check_known
from jaxphys.types import Array, System

__all__ = ["build", "description", "plain_names", "summary", "system_options"]


def system_options(name: str) -> type:
    """A dataclass of the constants that a system's function takes, with its defaults.

    Arrays become tuples of numbers, and a random key the seed of one.

    Example:
      >>> system_options("double_pendulum")().mass2
      1.0
    """
    family = getattr(systems, check_known("system", name, systems.names()))
    fields = []
    for parameter in inspect.signature(family).parameters.values():
        kind = parameter.annotation
        if kind == Array | None:
            kind = int | None if parameter.name == "key" else tuple[float, ...] | None
        default = dataclasses.field(default=parameter.default)
        fields.append((parameter.name, kind, default))
    made = dataclasses.make_dataclass("SystemOptions", fields, frozen=True)
    made.__doc__ = _attributes(family.__doc__ or "")
    return made


def _attributes(doc: str) -> str:
    """The first line of a docstring, and what it says of its arguments."""
    doc = inspect.cleandoc(doc)
    arguments = doc.partition("\nArgs:\n")[2].partition("\n\n")[0]
    first = summary(doc)
    return f"{first}\n\nAttributes:\n{arguments}" if arguments else first


def summary(doc: str) -> str:
    """The first line of a docstring.

    Example:
      >>> summary("H = p²/2.")
      'H = p²/2.'
    """
    return inspect.cleandoc(doc).partition("\n")[0].rstrip()


def description(name: str) -> str:
    """What a system is, and the defaults that it brings along, for `--help`.

    Example:
      >>> print(description("pendulum").partition("\\n\\n")[2])
      Coordinates θ [rad]. Its own duration is 20, its own time step 0.01.
    """
    system = systems.get(name)
    names = plain_names(system)
    named = [f"{x} [{unit}]" for x, unit in zip(names, system.units, strict=True)]
    if len(named) > 6:
        named = [*named[:2], "…", named[-1]]
    return (
        f"{summary(getattr(systems, name).__doc__)}\n\nCoordinates {', '.join(named)}. "
        f"Its own duration is {system.duration:g}, its own time step {system.dt:g}."
    )


def plain_names(system: System) -> list[str]:
    """Names of the coordinates without mathtext."""
    greek = {r"\theta": "θ", r"\varphi": "φ", r"\psi": "ψ", "{": "", "}": "", "_": ""}
    names = list(system.coordinates)
    for symbol, letter in greek.items():
        names = [name.replace(symbol, letter) for name in names]
    return names


def build(name: str, constants: Mapping[str, Any]) -> tuple[System, dict[str, Any]]:
    """A system from its constants, and those of them that differ from its defaults.

    Args:
      name: of the system.
      constants: fields of its `system_options`.

    Raises:
      ValueError: for unknown names, or constants that its function refuses.

    Example:
      >>> build("double_pendulum", {"mass1": 1.0, "mass2": 3.0})[1]
      {'mass2': 3.0}
    """
    fields = dataclasses.fields(system_options(name))
    defaults = {field.name: field.default for field in fields}
    for key in constants:
        check_known("constant", key, defaults)
    chosen = {key: x for key, x in constants.items() if x != defaults[key]}
    ready = {key: _ready(key, value) for key, value in chosen.items()}
    return systems.get(name, **ready), chosen


def _ready(key: str, value: Any) -> Any:
    """A constant as the system's function takes it: arrays, and a key of a seed."""
    for number in value if isinstance(value, tuple) else (value,):
        if not math.isfinite(number):
            raise ValueError(f"{key} is {value}; expected finite numbers.")
    if key == "key":
        return jax.random.key(value)
    return jnp.asarray(value, float) if isinstance(value, tuple) else value
