"""How a fitted model is judged: by following the motions that were held out."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import metrics
from jaxphys.data import Chunk
from jaxphys.experiments.measures import dtype_of, finite
from jaxphys.motion import Motion, follow, make_stepper
from jaxphys.types import Array, Dynamics, PyTree, State, Trajectories

__all__ = ["THRESHOLD", "Follower"]

#: A rollout counts as valid until its relative error passes this.
THRESHOLD = 0.1

#: A step of the integrator that judges is at most this part of the data's median one.
_SUBSTEPS = 4


class Follower:
    """A model's motion beside what was measured, compiled once for each length.

    Keep one object for one model: it serves any weights.

    Attributes:
      dynamics: the model.

    Example:
      >>> from jaxphys import systems
      >>> from jaxphys.motion import of_system, simulated
      >>> spring = systems.mass_spring()
      >>> seen = simulated(spring, jax.random.key(0), 1, np.linspace(0.0, 1.0, 9))
      >>> follower = Follower(of_system(spring))
      >>> follower.follow(spring.params, seen).y.q.shape
      (1, 9, 1)
      >>> follower.judge(spring.params, [seen])["valid_time"]["median"]
      1.0
    """

    def __init__(self, dynamics: Dynamics):
        self.dynamics = dynamics
        self._motion = Motion(dynamics)
        self._path = jax.jit(
            follow(dynamics, make_stepper(dynamics, "rk4"), substeps=_SUBSTEPS)
        )

    def follow(self, params: PyTree, measured: Trajectories) -> Trajectories:
        """The motion from the first state of one trajectory, at all its times.

        Where the motion takes inputs they are those of the trajectory, each held until
        the next time.

        Args:
          params: weights, whose dtype is computed in.
          measured: N = 1, in the motion's kind of state.
        """
        dtype = dtype_of(params)
        start = jax.tree.map(lambda x: jnp.asarray(x[0, 0], dtype), measured.y)
        u = None if measured.u is None else jnp.asarray(measured.u[0, :-1], dtype)
        chunk = Chunk(jnp.asarray(measured.t, dtype), start, u)
        later = self._path(params, chunk)
        y = jax.tree.map(
            lambda first, rest: np.concatenate([first[None], rest])[None], start, later
        )
        return measured._replace(y=y, rate=None, energy=None)

    def energy(self, params: PyTree, states: State) -> Array:
        """The learned energy of states with any leading axes."""
        return self._motion.energy(params, states)

    def judge(
        self,
        params: PyTree,
        held_out: Sequence[Trajectories],
        *,
        conservative: bool = True,
    ) -> dict[str, dict[str, float]]:
        """Rollouts from held-out starts: errors, valid times, and the learned energy.

        Args:
          params: weights.
          held_out: what it is compared with, N = 1 each, inputs as they were held.
          conservative: whether the motion should keep its energy.

        Returns:
          name → the quartiles over trajectories: low, median, high.
        """
        rows = []
        for each in held_out:
            found = self.follow(params, each)
            path, measured = (_single(motion) for motion in (found, each))
            errors = metrics.relative_error(path, measured)
            times = jnp.asarray(each.t)
            row = {
                "duration": float(each.t[-1] - each.t[0]),
                "valid_time": float(metrics.valid_time(times, errors, THRESHOLD)),
                "rollout_error": float(metrics.geometric_mean(errors, times)),
            }
            if self.dynamics.energy is not None and conservative:
                row |= self._energies(params, path, measured)
            rows.append({name: finite(value) for name, value in row.items()})
        return {name: _quartiles([row[name] for row in rows]) for name in rows[0]}

    def _energies(
        self, params: PyTree, path: State, measured: State
    ) -> dict[str, float]:
        """How the learned energy keeps along the rollout, and along what was measured.

        The unit is what the energy changes by over states as far apart as these.
        """
        along, seen = (
            np.asarray(self.energy(params, jax.tree.map(jnp.asarray, y)))
            for y in (path, measured)
        )
        q = jnp.asarray(measured.q, dtype_of(params))
        spread = np.asarray(self.energy(params, type(measured)(q, jnp.zeros_like(q))))
        unit = max(float(np.ptp(seen)) or 1.0, float(np.ptp(spread)))
        return {
            "energy_drift": float(np.max(np.abs(along - along[0]))) / unit,
            "measured_energy_spread": float(np.std(seen)) / unit,
        }


def _single(motion: Trajectories) -> State:
    """The states of the one trajectory there is, (T, n)."""
    return jax.tree.map(lambda x: x[0], motion.y)


def _quartiles(values: Sequence[Any]) -> dict[str, float]:
    found = metrics.quartiles(jnp.array(values))
    return {name: float(value) for name, value in found._asdict().items()}
