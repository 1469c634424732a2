"""Simulators to train a network through, and objectives for motions to be learned.

| simulator | task |
|---|---|
| `oscillator_control` | steer a chain of oscillators by a force on its last mass |
| `quantum_dipole` | steer a particle in a box by a field |
| `poisson` | invert the Laplacian |
| `heat` | find the initial heat from the final one |
| `identification` | find a system's constants from noisy motions |
| `scaled_waves`, `rotated_sine`, `exponential` | small maps, badly conditioned |

| objective | matches |
|---|---|
| `derivative_matching` | time derivatives of states |
| `torque_matching` | forces of accelerations |
| `trajectory_matching` | states along trajectories |

A simulator is a `Problem`. `outputs` composes it with a network, for `make_train_step`.
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
from jaxphys.types import Array, Model, Problem, PyTree, required

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
    """The network, the physics and the residual, `(params, (inputs, targets)) -> (k,)`.

    Raises:
      ValueError: for a problem without a residual.

    Example:
      >>> import jax
      >>> from jaxphys import models
      >>> problem = quantum_dipole(num_steps=8)
      >>> model = models.mlp((28, 20, 8))
      >>> goal = jax.numpy.eye(28)[0]
      >>> residuals(problem, model)(model.init(jax.random.key(0)), (goal, goal)).shape
      (28,)
    """
    residual = required(problem, "residual")

    def composed(params: PyTree, both: tuple[Array, Array]) -> Array:
        inputs, targets = both
        return residual(problem.simulate(model.apply(params, inputs), inputs), targets)

    return composed
