"""What a model is made with, from the data that it is to learn: sizes and units."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxphys import checkpoint, models
from jaxphys.types import Trajectories

__all__ = ["LAGRANGIANS", "arguments_for", "count_weights", "usual_hidden"]

#: Those that know of generalized forces and of friction beside the energy.
LAGRANGIANS = ("lnn", "delan")

#: Units of one hidden layer at least and most, and numbers of the data for a weight.
_FEWEST, _MOST, _FOR_EACH = 4, 32, 10


def arguments_for(
    kind: str,
    motions: Sequence[Trajectories],
    *,
    periodic: Sequence[bool],
    hidden: Sequence[int] = (),
    activation: str | None = None,
    inputs: str | None = None,
    dissipation: bool = False,
    dtype: str = "float64",
) -> dict[str, Any]:
    """The arguments of a model's function, as JSON has them but for the units.

    Args:
      kind: one of `jaxphys.checkpoint.KINDS`.
      motions: with rates, measured or found.
      periodic: which coordinates are angles.
      hidden: units of each hidden layer; by default what `usual_hidden` says.
      activation: of the network; by default softplus for Lagrangians, else tanh.
      inputs: how the u of the motions act: "direct", as generalized forces, "learned",
        by a matrix, or None where there are none.
      dissipation: whether a Lagrangian has a friction beside it.
      dtype: of the weights.
    """
    q, other = (_rows([each.y[part] for each in motions]) for part in (0, 1))
    rates = [each.rate for each in motions if each.rate is not None]
    dq, force = (_rows([rate[part] for rate in rates]) for part in (0, 1))
    units = models.normalization(q, other, dq, force, periodic=periodic)
    smooth = "softplus" if kind in LAGRANGIANS else "tanh"
    arguments: dict[str, Any] = {
        "num_coordinates": q.shape[1],
        "activation": activation or smooth,
        "kernel_init": "glorot_normal",
        "periodic": list(periodic),
        "normalization": units,
        "dtype": dtype,
    }
    if inputs is not None:
        u = _rows([each.u for each in motions])
        arguments["num_controls"] = u.shape[1]
        if kind in LAGRANGIANS:
            # A force that is known sets the unit of force, and with it that of mass.
            mass = _size(u) / _size(force)
            arguments["inputs"] = inputs
            arguments["normalization"] = units._replace(
                q_rate=mass * units.q_rate, p_rate=mass * units.p_rate
            )
    if kind == "port_hamiltonian":
        arguments = {"num_controls": 0} | arguments | {"dissipation": True}
    elif dissipation:
        arguments["dissipation"] = True
    numbers = q.size + (0 if _derived(motions) else other.size)
    widths = list(hidden) or usual_hidden(kind, arguments, numbers)
    return arguments | {"hidden": widths}


def _derived(motions: Sequence[Trajectories]) -> bool:
    """Whether velocities are derivatives of the positions, and no measurements."""
    return "v" in motions[0].meta.get("derived", ())


def count_weights(kind: str, arguments: Mapping[str, Any]) -> int:
    """How many weights a kind of model has.

    Example:
      >>> count_weights("hnn", {"num_coordinates": 1, "hidden": [8]})
      33
    """
    init = checkpoint.build(kind, arguments).init
    shapes = jax.tree.leaves(jax.eval_shape(init, jax.random.key(0)))
    return sum(int(np.prod(x.shape)) for x in shapes)


def usual_hidden(kind: str, arguments: Mapping[str, Any], numbers: int) -> list[int]:
    """One hidden layer as wide as the data allow: ten numbers for each weight.

    Args:
      kind: of model.
      arguments: of its function, its hidden layers left out.
      numbers: that were measured, to learn from.

    Returns:
      The units of the layer, 4 to 32.

    Example:
      >>> usual_hidden("hnn", {"num_coordinates": 1}, 1000)
      [24]
    """

    def count(units: int) -> int:
        return count_weights(kind, {**arguments, "hidden": [units]})

    # Weights of a model with one hidden layer are linear in its units.
    first, second = count(1), count(2)
    units = 1 + (numbers / _FOR_EACH - first) / (second - first)
    return [int(np.clip(units, _FEWEST, _MOST))]


def _rows(arrays: Sequence[Any]) -> np.ndarray:
    """All times of all trajectories below one another, (S, n)."""
    return np.concatenate([np.reshape(x, (-1, np.shape(x)[-1])) for x in arrays])


def _size(x: np.ndarray) -> float:
    """The typical size of rows, whatever the units of each column; one for zeros."""
    root = np.sqrt(np.mean(x**2, axis=0))
    root = root[root > 0]
    return float(np.exp(np.mean(np.log(root)))) if len(root) else 1.0
