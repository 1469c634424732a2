"""What an optimizer says of its last step, found in its state by type.

The states of `optax.chain`, `optax.inject_hyperparams` or `optax.multi_transform` are
nested, and two stages may have fields of one name. So what a transformation reports is
a record of its own, `StepInfo`, and what it remembers stands beside it.
"""

from typing import NamedTuple

import jax

from jaxphys.types import Array, PyTree

__all__ = ["StepInfo", "step_info"]


class StepInfo(NamedTuple):
    """What one step of a second-order method saw; None where it has no such thing.

    Attributes:
      rank: singular values kept (spectral methods).
      damping: λ after the step (Levenberg–Marquardt).
      accepted: whether the step was taken (damped methods).
      concave: the share of |∂ℓ/∂y|² along directions in which the objective's
        curvature is not positive and was cut, so that the step knows a slope and not
        how far it reaches (Gauss–Newton and damped methods). Where it is not small,
        state the objective as a sum of squares, or as a convex one.
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
      >>> import jax.numpy as jnp, optax
      >>> from jaxphys import optim
      >>> tx = optax.chain(optim.hig(), optim.levenberg_marquardt(damping=0.5))
      >>> info = step_info(tx.init(jnp.ones(2)))
      >>> print(info.rank, info.damping, step_info(optax.adam(0.1).init(jnp.ones(2))))
      0 0.5 StepInfo(rank=None, damping=None, accepted=None, concave=None)
    """
    # A StepInfo is a pytree itself; as a leaf it is found whole, at any depth.
    nodes = jax.tree.leaves(opt_state, is_leaf=lambda x: isinstance(x, StepInfo))
    merged = StepInfo()
    for stage in nodes:
        if isinstance(stage, StepInfo):
            has = {k: v for k, v in stage._asdict().items() if v is not None}
            merged = merged._replace(**has)
    return merged
