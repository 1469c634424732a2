"""What the experiments that learn a motion have in common: a row, and its recipes."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from jaxphys import learning
from jaxphys.experiments.experiment import USUAL_SECONDS, Row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.problems import Target
from jaxphys.types import Array, Dynamics, PyTree, Trajectories

__all__ = ["View", "damped", "row", "with_layers"]

_Make = Callable[[Any, jnp.dtype], Dynamics]
_Sized = Callable[[Any, tuple[int, ...], jnp.dtype], Dynamics]
View = Callable[[list[Trajectories]], list[Trajectories]]


def row(
    model: str,
    optimizer: str,
    make: _Make,
    recipe: Recipe | Callable[[Any], Recipe],
    *,
    observe: Callable[[PyTree], Array] = learning.everything,
    view: View | None = None,
    dtype: str | None = None,
    time_of: str | None = None,
) -> Row:
    """A motion, and how it is learned.

    Args:
      model, optimizer: the two names of the row.
      make: `make(settings, dtype) -> Dynamics`.
      recipe: a `Recipe`, or a function of the settings that gives one.
      observe: what of a state is matched, where trajectories are.
      view: the trajectories as this row sees them.
      dtype: of data and weights, in place of the one asked for.
      time_of: the row whose training time this one has, in place of its own budget.
    """

    def build(settings: Any, dtype: jnp.dtype) -> Motion:
        return Motion(make(settings, dtype))

    def target(motion: Motion, recipe: Recipe) -> Target:
        return learning.matching(motion.dynamics, recipe, observe=observe)

    return Row(
        model=model,
        optimizer=optimizer,
        build=build,
        target=target,
        recipe=recipe if callable(recipe) else lambda settings: recipe,
        dtype=dtype,
        time_of=time_of,
        view=view,
    )


def damped(*batch_sizes: int, seconds: float = USUAL_SECONDS, **options: Any) -> Recipe:
    """Levenberg–Marquardt on batches that grow, each for an equal part of the time.

    Small batches come first, for many updates; large ones end without their noise.

    Args:
      batch_sizes: one after another.
      seconds: the budget.
      options: further fields of `Recipe`.
    """
    return Recipe(
        optimizer="levenberg_marquardt",
        batch_size=batch_sizes[-1],
        batch_growth=batch_sizes[:-1],
        seconds=seconds,
        **options,
    )


def with_layers(make: _Sized, layers: str) -> _Make:
    """The `make` of a row whose layers are a setting of that name.

    Args:
      make: `make(settings, hidden, dtype) -> Dynamics`.
      layers: the setting, such as "hidden" or "compact".
    """

    def made(settings: Any, dtype: jnp.dtype) -> Dynamics:
        return make(settings, getattr(settings, layers), dtype)

    return made
