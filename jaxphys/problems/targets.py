"""What is trained, and by which loss: the record between problem and optimizer.

A network that steers a simulator and a model that learns a motion are trained alike:
first weights, a loss on samples, and data that become samples.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from jaxphys import losses
from jaxphys.checks import checked, has
from jaxphys.problems.composed import network_for, outputs, residuals
from jaxphys.types import Array, Problem, PyTree

__all__ = ["Loss", "Target", "steered"]


class Loss(NamedTuple):
    """The mean over samples of `objective(outputs(params, inputs), targets)`."""

    outputs: Callable[[PyTree, PyTree], Array]
    objective: Callable[[Array, PyTree], Array]


class Target(NamedTuple):
    """What is trained.

    Attributes:
      init: `init(key) -> params`.
      trained: the loss that the optimizer lowers.
      judged: the loss that the history records; often the same.
      samples: `samples(data, length) -> (inputs, targets)`, what `trained` reads of a
        data set; length is that of pieces of motion, and 0 where there are none.
      judged_samples: the same for `judged`.
    """

    init: Callable[[Array], PyTree]
    trained: Loss
    judged: Loss
    samples: Callable[[Any, int], tuple[PyTree, PyTree]]
    judged_samples: Callable[[Any, int], tuple[PyTree, PyTree]]


def _as_given(data: tuple[PyTree, PyTree], length: int) -> tuple[PyTree, PyTree]:
    del length
    return data


def _with_inputs(data: tuple[PyTree, PyTree], length: int) -> tuple[PyTree, PyTree]:
    """Both as inputs, for a residual that compares them itself."""
    del length
    return data, data[1]


def _with_targets(data: tuple[PyTree, PyTree], length: int) -> tuple[PyTree, PyTree]:
    """Both as targets, for an objective on the network's own output."""
    del length
    return data[0], data


@checked(problem=has("a Problem", "num_inputs", "simulate", "objective"))
def steered(
    problem: Problem,
    model: Any,
    *,
    residual: bool = False,
    proxy: Callable[[Array, tuple[Array, Array]], Array] | None = None,
) -> Target:
    """A network that is trained through a simulator.

    Args:
      problem, model: what it is trained through, and the network: a Model, a module of
        equinox, nnx or linen, or `(params, apply)`.
      residual: whether the problem's residual is what is squared, of a problem that has
        one: for methods that read second derivatives off an objective.
      proxy: `proxy(control, (inputs, targets)) -> scalar`, an objective on what the
        network puts out, lowered in place of the problem's, such as `optim.sip` makes.

    Example:
      >>> from jaxphys import models, problems
      >>> problem = problems.oscillator_control()
      >>> target = steered(problem, models.mlp((4, 20, 24)))
      >>> target.trained == target.judged
      True
    """
    model = network_for(problem, model)
    judged = Loss(outputs(problem, model), problem.objective)
    trained, samples = judged, _as_given
    if proxy is not None:
        trained, samples = Loss(model.apply, proxy), _with_targets
    elif residual and problem.residual is not None:
        trained = Loss(residuals(problem, model), losses.squared_size)
        samples = _with_inputs
    return Target(model.init, trained, judged, samples, _as_given)
