"""A network and then a simulator, as one function of weights and inputs."""

from collections.abc import Callable

from jaxphys.precision import exact
from jaxphys.types import Array, Model, Problem, PyTree, required

__all__ = ["outputs", "residuals"]


def outputs(problem: Problem, model: Model) -> Callable[[PyTree, Array], Array]:
    """The network and then the physics, as `outputs(params, inputs) -> (d,)`.

    Example:
      >>> import jax
      >>> from jaxphys import models, problems
      >>> problem = problems.oscillator_control()
      >>> model = models.mlp((4, 20, 24))
      >>> params = model.init(jax.random.key(0))
      >>> outputs(problem, model)(params, jax.numpy.zeros(4)).shape
      (4,)
    """

    @exact
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
      >>> from jaxphys import models, problems
      >>> problem = problems.quantum_dipole(num_steps=8)
      >>> model = models.mlp((28, 20, 8))
      >>> goal = jax.numpy.eye(28)[0]
      >>> residuals(problem, model)(model.init(jax.random.key(0)), (goal, goal)).shape
      (28,)
    """
    missed = required(problem, "residual")

    @exact
    def composed(params: PyTree, both: tuple[Array, Array]) -> Array:
        inputs, targets = both
        return missed(problem.simulate(model.apply(params, inputs), inputs), targets)

    return composed
