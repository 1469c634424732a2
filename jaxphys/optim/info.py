"""What an optimizer says of its last step, found in its state by type.

The states of `optax.chain`, `optax.inject_hyperparams` or `optax.multi_transform` are
nested, and two stages may have fields of one name. So what a transformation reports is
a record of its own, `StepInfo`, and what it remembers stands beside it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxphys.types import Array, PyTree

__all__ = ["StepInfo", "set_memory", "step_info"]


class StepInfo(NamedTuple):
    """What one step of a second-order method saw; None where it has no such thing.

    Attributes:
      rank: singular values kept (spectral methods).
      damping: λ after the step (Levenberg–Marquardt).
      accepted: whether the step was taken (damped methods).
      concave: share of the outputs in which the objective's curvature is not positive,
        and was taken as that of ½|y|² (damped methods). Where it is not zero, state
        the objective as a sum of squares.
    """

    rank: Array | None = None
    damping: Array | None = None
    accepted: Array | None = None
    concave: Array | None = None


def step_info(opt_state: PyTree) -> StepInfo:
    """What the transformations in a state report of their last step.

    Args:
      opt_state: of any optax transformation, however nested.

    Returns:
      A `StepInfo`; of each field it has the last stage's that has it, and None where
      none has.

    Example:
      >>> from jaxphys import optim
      >>> tx = optax.chain(optim.hig(), optim.levenberg_marquardt(damping=0.5))
      >>> info = step_info(tx.init(jnp.ones(2)))
      >>> print(info.rank, info.damping, step_info(optax.adam(0.1).init(jnp.ones(2))))
      0 0.5 StepInfo(rank=None, damping=None, accepted=None, concave=None)
    """
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda x: isinstance(x, StepInfo))
    merged = StepInfo()
    for stage in nodes:
        if isinstance(stage, StepInfo):
            has = {k: v for k, v in stage._asdict().items() if v is not None}
            merged = merged._replace(**has)
    return merged


def set_memory(opt_state: PyTree, **numbers: float) -> PyTree:
    """An optimizer's state with these numbers in its memory, by their names.

    Methods that differ in a damping or a rate alone then share one compilation.

    Args:
      opt_state: of any optax transformation, however nested.
      numbers: new values, such as of λ, `damping`, or of what
        `optax.inject_hyperparams` keeps.

    Raises:
      ValueError: for a name that the memory does not have, or has twice.

    Example:
      >>> from jaxphys import optim
      >>> state = optim.levenberg_marquardt(damping=1.0).init(jnp.ones(2))
      >>> print(set_memory(state, damping=0.25).damping)
      0.25
    """
    for name, number in numbers.items():
        found = optax.tree.get_all_with_path(opt_state, name)
        found = [(path, value) for path, value in found if _remembered(path, value)]
        if not found:
            raise ValueError(
                f"the optimizer has no {name!r} in its memory; expected a field of its "
                "state, or a number kept by optax.inject_hyperparams."
            )
        if len(found) > 1:
            raise ValueError(
                f"the optimizer has {name!r} in its memory {len(found)} times; "
                "expected one stage with that name."
            )
        new = jnp.full_like(found[0][1], number)
        opt_state = optax.tree.set(opt_state, _remembered, **{name: new})
    return opt_state


def _remembered(path: tuple, value: object) -> bool:
    """Whether a field of a state is memory, and no report of the last step."""
    del value
    return getattr(path[-1], "tuple_name", None) != StepInfo.__name__
