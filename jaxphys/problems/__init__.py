"""Simulators to train a network through, and motions to learn from their trajectories.

A simulator is a function that returns a `Problem`; `matching` has what a learned motion
is trained on.
"""

from collections.abc import Callable

from jaxphys.problems.heat import heat
from jaxphys.problems.identification import identification
from jaxphys.problems.maps import exponential, rotated_sine, scaled_waves
from jaxphys.problems.matching import (
    derivative_matching,
    torque_matching,
    trajectory_matching,
)
from jaxphys.problems.oscillator_control import oscillator_control
from jaxphys.problems.poisson import poisson
from jaxphys.problems.quantum_dipole import quantum_dipole
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


def residuals(
    problem: Problem, model: Model
) -> Callable[[PyTree, tuple[Array, Array]], Array]:
    """The same and then the problem's residual, of (inputs, targets) for one sample.

    Raises:
      ValueError: for a problem that has no residual.

    Example:
      >>> import jax
      >>> from jaxphys import models
      >>> problem = quantum_dipole(num_steps=8)
      >>> model = models.mlp((28, 20, 8))
      >>> goal = jax.numpy.eye(28)[0]
      >>> residuals(problem, model)(model.init(jax.random.key(0)), (goal, goal)).shape
      (28,)
    """
    missed = problem.residual
    if missed is None:
        raise ValueError(f"{problem.name} has no residual; train on its objective.")

    def composed(params: PyTree, both: tuple[Array, Array]) -> Array:
        inputs, targets = both
        return missed(problem.simulate(model.apply(params, inputs), inputs), targets)

    return composed


__all__ = [
    "derivative_matching",
    "exponential",
    "heat",
    "identification",
    "oscillator_control",
    "outputs",
    "poisson",
    "quantum_dipole",
    "residuals",
    "rotated_sine",
    "scaled_waves",
    "torque_matching",
    "trajectory_matching",
]
