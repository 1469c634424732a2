"""How positions and momenta enter a network, and how its values leave it.

Angles enter as (cos q, sin q), so that the learned function has their period; all other
coordinates in units of their spread. Both happen inside the energy, so its derivatives
are those by the true coordinates, and nothing has to be undone.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from jaxphys.checks import check_sizes, checked
from jaxphys.models.adapters import as_model
from jaxphys.models.networks import mlp
from jaxphys.precision import exact
from jaxphys.trees import check_dtype
from jaxphys.types import Array, Model, PyTree

__all__ = [
    "Coordinates",
    "Normalization",
    "check_smooth",
    "coordinates",
    "network",
    "normalization",
]

#: Widths of the hidden layers by default, as in Greydanus et al. 2019.
_HIDDEN = (200, 200)


class Normalization(NamedTuple):
    """Typical sizes of a motion, each of shape (n,), in the units of the data.

    Attributes:
      q_shift: the mean of the positions; zero for angles.
      q_scale, p_scale: the spread of positions, the size of momenta (or velocities).
      q_rate, p_rate: the sizes of their time derivatives.
    """

    q_shift: Any
    q_scale: Any
    p_scale: Any
    q_rate: Any
    p_rate: Any

    def energy(self) -> float:
        """The unit of energy in which the network's derivatives are of size one."""
        both = np.concatenate(
            [
                np.asarray(self.q_rate) * np.asarray(self.p_scale),
                np.asarray(self.p_rate) * np.asarray(self.q_scale),
            ]
        )
        return float(np.exp(np.mean(np.log(both))))


def normalization(q, p, dq, dp, periodic: Sequence[bool] | None = None):
    """The `Normalization` of samples, arrays with the coordinates along the last axis.

    A quantity that is zero throughout has the unit one; angles keep the radian.

    Example:
      >>> q = np.array([[1.0], [3.0]])
      >>> normalization(q, q - 2, 0 * q, 5 + 0 * q).p_rate
      array([5.])
    """

    def size(x) -> np.ndarray:
        flat = np.asarray(x, float).reshape(-1, np.shape(x)[-1])
        root = np.sqrt(np.mean(flat**2, axis=0))
        return np.where(root > 0, root, 1.0)

    flat = np.asarray(q, float).reshape(-1, np.shape(q)[-1])
    middle = np.mean(flat, axis=0)
    angle = np.zeros(flat.shape[1], bool) if periodic is None else np.array(periodic)
    spread = np.where(angle, 1.0, size(flat - middle))
    shift = np.where(angle, 0.0, middle)
    return Normalization(shift, spread, size(p), size(dq), size(dp))


def _identity(num_coordinates: int) -> Normalization:
    """The `Normalization` that changes nothing."""
    one = np.ones(num_coordinates)
    return Normalization(0 * one, one, one, one, one)


class Coordinates(NamedTuple):
    """How a state becomes the input of a network; made by `coordinates`.

    Attributes:
      number: n.
      periodic: which coordinates are angles.
      units: the `Normalization`.
      num_features: size of `position(q)`.
    """

    number: int
    periodic: tuple[bool, ...]
    units: Normalization

    @property
    def num_features(self) -> int:
        """How many numbers `position` gives: two of an angle, else one."""
        return self.number + sum(self.periodic)

    def position(self, q: Array) -> Array:
        """(cos q, sin q) of each angle, (q − shift)/scale of each other coordinate."""
        if jnp.shape(q) != (self.number,):
            raise ValueError(
                f"the model got q of shape {jnp.shape(q)}; it was made for "
                f"{self.number} coordinates, shape ({self.number},). For a batch use "
                "jax.vmap."
            )
        shift, scale = self.units[:2]
        if not any(self.periodic):
            return _in_units(q, shift, scale)
        # The library's own cosine is faster and compiles longer: beside a network it
        # is the compilation that counts.
        features = [_in_units(q, shift, scale), jnp.cos(q), jnp.sin(q)]
        return jnp.concatenate(features)[self._order]

    @property
    def _order(self) -> np.ndarray:
        """Where each feature stands among (q, cos q, sin q)."""
        n = self.number
        places = [
            [n + i, 2 * n + i] if angle else [i]
            for i, angle in enumerate(self.periodic)
        ]
        return np.concatenate(places)

    def momentum(self, p: Array) -> Array:
        """p in units of its size."""
        return _in_units(p, 0, self.units.p_scale)

    def phase(self, q: Array, p: Array) -> Array:
        """Features of position and momentum, one vector."""
        return jnp.concatenate([self.position(q), self.momentum(p)])


def _in_units(x: Array, shift, scale) -> Array:
    """(x − shift)/scale."""
    # Known when traced: without units the network is as fast as one of its own inputs.
    if np.any(np.asarray(shift) != 0):
        x = x - jnp.asarray(shift, x.dtype)
    if np.any(np.asarray(scale) != 1):
        x = x / jnp.asarray(scale, x.dtype)
    return x


def coordinates(
    number: int,
    periodic: Sequence[bool] | None = None,
    units: Normalization | None = None,
) -> Coordinates:
    """The `Coordinates` of a model: sizes checked, defaults filled in.

    Raises:
      ValueError: for sizes that do not fit.

    Example:
      >>> coordinates(2, (True, False)).num_features
      3
    """
    if int(number) != number or number < 1:
        raise ValueError(
            f"num_coordinates is {number}; expected a whole number ≥ 1, the size of q."
        )
    periodic = (False,) * number if periodic is None else _bools(periodic)
    if len(periodic) != number:
        raise ValueError(
            f"periodic has {len(periodic)} entries; expected one for each of "
            f"{number} coordinates."
        )
    units = _identity(number) if units is None else units
    if not isinstance(units, Normalization):
        raise TypeError(
            f"normalization is a {type(units).__name__}; expected a Normalization."
        )
    for name, x in units._asdict().items():
        if np.shape(x) != (number,):
            raise ValueError(
                f"normalization.{name} has shape {np.shape(x)}; expected ({number},)."
            )
    return Coordinates(number, periodic, units)


def _bools(periodic: Sequence[bool]) -> tuple[bool, ...]:
    """The same as a tuple; zeros and ones are bools as well."""
    try:
        given = () if isinstance(periodic, str) else tuple(periodic)
        known = bool(given) and all(x in (0, 1) for x in given)
    except TypeError:
        known = False
    if not known:
        raise TypeError(
            f"periodic is {periodic!r}; expected one bool for each coordinate."
        )
    return tuple(map(bool, given))


def check_smooth(activation: str, what: str = "an energy") -> None:
    """Raise a ValueError for an activation without second derivatives."""
    if activation == "relu":
        raise ValueError(
            f"activation relu cannot learn {what}: its derivative is a step and its "
            "second derivative is zero, so forces would jump between constants and "
            "have no gradient to train by. Use tanh, softplus, sin, silu or gelu."
        )


@checked(hidden=check_sizes, dtype=check_dtype)
def network(
    num_inputs: int,
    num_outputs: int = 1,
    *,
    hidden: Sequence[int] = _HIDDEN,
    activation: str = "tanh",
    kernel_init: str = "orthogonal",
    dtype: DTypeLike = jnp.float32,
    own: Any = None,
) -> Model:
    """The perceptron of a model, or a user's own network in its place.

    Args:
      num_inputs, num_outputs: its sizes.
      hidden, activation, kernel_init, dtype: those of `jaxphys.models.mlp`.
      own: a network of the same sizes: a Model, or a module of equinox, nnx or linen.

    Raises:
      TypeError: if own is no network.
      ValueError: if the own network takes or gives other shapes.
    """
    if own is None:
        sizes = (num_inputs, *hidden, num_outputs)
        return mlp(sizes, activation=activation, kernel_init=kernel_init, dtype=dtype)
    x = jax.ShapeDtypeStruct((num_inputs,), jnp.dtype(dtype))
    net = as_model(own, x, what="own")
    try:
        got = jax.eval_shape(lambda x: net.apply(net.init(jax.random.key(0)), x), x)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"own cannot take its input of shape ({num_inputs},): {error}"
        ) from error
    allowed = {(num_outputs,)} | ({()} if num_outputs == 1 else set())
    if got.shape not in allowed:
        raise ValueError(
            f"own gave shape {got.shape} for an input of shape "
            f"({num_inputs},); expected ({num_outputs},)."
        )

    @exact
    def apply(params: PyTree, x: Array) -> Array:
        return net.apply(params, x).reshape(num_outputs)

    return Model(net.init, apply)
