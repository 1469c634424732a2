"""Data of known systems without noise: random states, and two sets drawn alike."""

from collections.abc import Callable

import jax

from jaxphys.experiments.experiment import Keys, Samples
from jaxphys.types import Array, System, TangentState, Trajectories, required

__all__ = ["drawn", "random_states"]


def drawn(
    draw: Callable[[Array, int], Trajectories], keys: Keys, train: int, test: int
) -> Samples:
    """Data for training and for the test, `draw(key, count)` each."""
    first, other = draw(keys.train, train), draw(keys.test, test)
    return Samples([first], [other], [other])


def random_states(system: System, key: Array, count: int) -> TangentState:
    """States in q and v, (N, n) each, from the system's `sample_tangent`."""
    each = jax.vmap(required(system, "sample_tangent"))(jax.random.split(key, count))
    return jax.tree.map(lambda x: x.astype(float), each)
