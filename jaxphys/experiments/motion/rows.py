"""What the experiments that learn a motion have in common: rows, networks, recipes."""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp

from jaxphys import checkpoint, learning, models
from jaxphys.experiments.experiment import USUAL_SECONDS, Row
from jaxphys.learning import Recipe
from jaxphys.motion import Motion
from jaxphys.problems import Target
from jaxphys.types import Array, Dynamics, PyTree, TangentState, Trajectories

__all__ = ["Make", "View", "damped", "damped_row", "embedded", "network", "row"]

Make = Callable[[Any, jnp.dtype], Dynamics]
_Arguments = Mapping[str, Any]
View = Callable[[list[Trajectories]], list[Trajectories]]


def row(
    model: str,
    optimizer: str,
    make: Make,
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


def damped_row(model: str, make: Make, recipe: Any, **options: Any) -> Row:
    """A row by Levenberg–Marquardt, in float64; arguments are those of `row`."""
    return row(model, "levenberg_marquardt", make, recipe, dtype="float64", **options)


def embedded(y: TangentState) -> Array:
    """What is matched of angles and their velocities: (cos q, sin q, v)."""
    return jnp.concatenate([jnp.cos(y.q), jnp.sin(y.q), y.v])


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


def network(
    kind: str,
    arguments: _Arguments | Callable[[Any], _Arguments],
    layers: str = "hidden",
    *,
    velocities: bool = False,
) -> Make:
    """The `make` of a row: a network by the name of its function in `jaxphys.models`.

    Args:
      kind: one of `checkpoint.KINDS`.
      arguments: of its function, but for dtype; of settings.
      layers: the setting that has the units of each hidden layer, where the arguments
        have no `hidden`.
      velocities: whether its states are of q and v; for `structured`, and for a
        `port_hamiltonian` of such an energy.
    """

    def make(settings: Any, dtype: jnp.dtype) -> Dynamics:
        given = dict(arguments(settings) if callable(arguments) else arguments)
        if "hidden" not in given:
            given["hidden"] = getattr(settings, layers)
        given["dtype"] = dtype
        motion = checkpoint.build(kind, given)
        if not velocities:
            return motion
        of_energy = {name: x for name, x in given.items() if name != "num_controls"}
        return models.in_velocities(motion, models.structured(**of_energy))

    return make
