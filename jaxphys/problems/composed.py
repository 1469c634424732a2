"""A network and then a simulator, as one function of weights and inputs."""

from collections.abc import Callable
from typing import Any

import jax

from jaxphys.models.adapters import as_model
from jaxphys.precision import exact
from jaxphys.types import Array, Model, Problem, PyTree, required

__all__ = ["network_for", "outputs", "residuals"]


def network_for(problem: Problem, network: Any) -> Model:
    """The network of a problem as a `Model`, in whatever form it is handed over.

    Args:
      problem: whose inputs it reads.
      network: a `Model`; a module of equinox, nnx or linen; or `(params, apply)`.

    Raises:
      TypeError: for anything else.

    Example:
      >>> from flax import linen
      >>> from jaxphys import problems
      >>> problem = problems.oscillator_control()
      >>> model = network_for(problem, linen.Dense(problem.num_controls))
      >>> model.init(jax.random.key(0))["kernel"].shape
      (4, 24)
    """
    return as_model(network, jax.ShapeDtypeStruct((problem.num_inputs,), "float32"))


def outputs(problem: Problem, model: Any) -> Callable[[PyTree, Array], Array]:
    """The network and then the physics, as `outputs(params, inputs) -> (d,)`.

    Args:
      problem: the physics.
      model: the network; see `network_for`.

    Example:
      >>> import jax
      >>> from jaxphys import models, problems
      >>> problem = problems.oscillator_control()
      >>> model = models.mlp((4, 20, 24))
      >>> params = model.init(jax.random.key(0))
      >>> outputs(problem, model)(params, jax.numpy.zeros(4)).shape
      (4,)
    """

    model = network_for(problem, model)

    @exact
    def composed(params: PyTree, inputs: Array) -> Array:
        return problem.simulate(_control(problem, model, params, inputs), inputs)

    return composed


def residuals(
    problem: Problem, model: Any
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
    model = network_for(problem, model)

    @exact
    def composed(params: PyTree, both: tuple[Array, Array]) -> Array:
        inputs, targets = both
        control = _control(problem, model, params, inputs)
        return missed(problem.simulate(control, inputs), targets)

    return composed


def _control(problem: Problem, model: Model, params: PyTree, inputs: Array) -> Array:
    """What the network says, if it is of the size that the problem takes."""
    control = model.apply(params, inputs)
    shape = getattr(control, "shape", None)
    if shape != (problem.num_controls,):
        raise ValueError(
            f"the network gave a control of shape {shape} for {problem.name}; expected "
            f"({problem.num_controls},). Give its last layer {problem.num_controls} "
            "outputs."
        )
    return control
