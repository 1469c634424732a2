"""Frictions and sensors: what may be added to a law, with constants of their own."""

from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp

from jaxphys.names import check_known
from jaxphys.types import Array, State

__all__ = ["FRICTIONS", "SENSORS", "extras_of", "of_each", "sensed", "unsensed"]

#: Frictions that may be added to an energy: Rayleigh's function of one coordinate.
FRICTIONS: dict[str, Callable[[Array, Array, float], Array]] = {
    "viscous": lambda b, v, small: b * v**2 / 2,
    # Smooth where the velocity changes its sign.
    "coulomb": lambda c, v, small: c * jnp.sqrt(v**2 + small**2),
    "quadratic": lambda d, v, small: d * jnp.abs(v) ** 3 / 3,
}

#: What a sensor may do: shown = scale · true + offset; and inputs may act later than
#: they were recorded, u(t − delay).
SENSORS = (
    *("offset_q", "scale_q", "offset_v", "scale_v", "offset_p", "scale_p"),
    "delay_u",
)


def extras_of(
    friction: Sequence[str] | Mapping[str, float],
    sensors: Sequence[str] | Mapping[str, float],
    n: int,
    columns: Sequence[str],
) -> dict[str, float]:
    """Names and first values of the constants of friction and sensors."""
    for name in friction:
        check_known("friction", name, list(FRICTIONS))
    for name in sensors:
        check_known("sensor", name, SENSORS)
        if name[-1] not in columns:
            raise ValueError(
                f"sensors has {name}, and the data have {' and '.join(columns)}; "
                "leave it out."
            )

    def numbers(name: str) -> list[str]:
        one = n == 1 or name == "delay_u"
        return [""] if one else [str(i + 1) for i in range(n)]

    usual = {name: float(name.startswith("scale")) for name in (*friction, *sensors)}
    for given in (friction, sensors):
        if isinstance(given, Mapping):
            usual |= {name: float(x) for name, x in given.items()}
    return {f"{name}{i}": x for name, x in usual.items() for i in numbers(name)}


def of_each(extras: Mapping[str, Array], name: str, n: int) -> Array | None:
    """The constants of a name for every coordinate, (n,), or None without them."""
    numbers = [""] if n == 1 else [str(i + 1) for i in range(n)]
    if name + numbers[0] not in extras:
        return None
    return jnp.stack([extras[name + i] for i in numbers])


def sensed(extras: Mapping[str, Array], x: Array, state: type[State], n: int) -> Array:
    """What the sensors show of a state, (2n,)."""
    parts = []
    for field, part in zip(state._fields, jnp.split(x, 2), strict=True):
        scale = of_each(extras, f"scale_{field}", n)
        offset = of_each(extras, f"offset_{field}", n)
        part = part if scale is None else scale * part
        parts.append(part if offset is None else part + offset)
    return jnp.concatenate(parts)


def unsensed(
    extras: Mapping[str, Array], x: Array, state: type[State], n: int
) -> Array:
    """The state of which the sensors show this, (2n,)."""
    parts = []
    for field, part in zip(state._fields, jnp.split(x, 2), strict=True):
        scale = of_each(extras, f"scale_{field}", n)
        offset = of_each(extras, f"offset_{field}", n)
        part = part if offset is None else part - offset
        parts.append(part if scale is None else part / scale)
    return jnp.concatenate(parts)
