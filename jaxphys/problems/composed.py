"""A network and then a simulator, as one function of weights and inputs."""

import functools
from collections.abc import Callable
from typing import Any

import jax

from jaxphys.checks import checked, has
from jaxphys.models.adapters import as_model
from jaxphys.precision import exact
from jaxphys.types import Array, Model, Problem, PyTree, required

__all__ = ["closed_loop", "network_for", "outputs", "residuals"]


@checked(problem=has("a Problem", "num_inputs", "simulate", "objective"))
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


@checked(problem=has("a Problem", "num_inputs", "simulate", "objective"))
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
        return problem.simulate(_acting(problem, model, params, inputs), inputs)

    return composed


def closed_loop(problem: Problem, model: Any) -> Callable[[PyTree, PyTree], Any]:
    """The motion under a policy, `path(params, start) -> Path`, of one start.

    Args:
      problem: of feedback.
      model: the policy; see `network_for`.

    Raises:
      ValueError: for a problem whose network acts once.

    Example:
      >>> import jax
      >>> from jaxphys import integrators, models, problems
      >>> fall = integrators.euler(lambda t, y, args: -y + args[1])
      >>> problem = problems.feedback(
      ...     fall,
      ...     lambda t, y, u: y,
      ...     lambda key: jax.random.normal(key, (1,)),
      ...     dt=0.1,
      ...     num_steps=5,
      ... )
      >>> model = models.mlp((1, 4, 1))
      >>> params = model.init(jax.random.key(0))
      >>> closed_loop(problem, model)(params, jax.numpy.ones(1)).y.shape
      (6, 1)
    """
    follow = required(problem, "follow")
    model = network_for(problem, model)

    def path(params: PyTree, start: PyTree) -> Any:
        return follow(functools.partial(model.apply, params), start)

    return path


def _acting(problem: Problem, model: Model, params: PyTree, inputs: Array) -> Any:
    """The control that a network gives, if it is of the size that the problem takes.

    Of a problem of feedback it is the network itself.
    """
    if problem.follow is not None:
        return functools.partial(model.apply, params)
    control = model.apply(params, inputs)
    shape = getattr(control, "shape", None)
    if shape != (problem.num_controls,):
        raise ValueError(
            f"the network gave a control of shape {shape} for {problem.name}; expected "
            f"({problem.num_controls},). Give its last layer {problem.num_controls} "
            "outputs."
        )
    return control


@checked(problem=has("a Problem", "num_inputs", "simulate", "objective"))
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
        control = _acting(problem, model, params, inputs)
        return missed(problem.simulate(control, inputs), targets)

    return composed
