"""Simulators to train a network through, and motions to learn from their trajectories.

A simulator is a function that returns a `Problem`; `matching` has what a learned motion
is trained on.
"""

from collections.abc import Callable

from jaxphys.problems.identification import identification
from jaxphys.problems.matching import (
    derivative_matching,
    torque_matching,
    trajectory_matching,
)
from jaxphys.problems.oscillator_control import oscillator_control
from jaxphys.types import Array, Model, Problem, PyTree


def outputs(problem: Problem, model: Model) -> Callable[[PyTree, Array], Array]:
    """The network and then the physics, as `outputs(params, inputs) -> (d,)`.

    Example:
      >>> import jax
      >>> from jaxphys import models
      >>> problem = oscillator_control()
      >>> model = models.mlp((4, 20, 24))
      >>> params = model.init(jax.random.key(0))
      >>> outputs(problem, model)(params, jax.numpy.zeros(4)).shape
      (4,)
    """

    def composed(params: PyTree, inputs: Array) -> Array:
        return problem.simulate(model.apply(params, inputs), inputs)

    return composed


__all__ = [
    "derivative_matching",
    "identification",
    "oscillator_control",
    "outputs",
    "torque_matching",
    "trajectory_matching",
]
