"""A pendulum under constant torques: its motions, in momenta and in velocities.

H = 5 (1 − cos q) + 3 p²/2 and dp/dt = −∂H/∂q + u. What is compared with models that
know velocities alone is the motion in (q, v), v = 3 p, without torque.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import systems
from jaxphys.experiments import measures
from jaxphys.experiments.experiment import Keys, Samples
from jaxphys.experiments.measures import Axes
from jaxphys.motion import Motion, of_system
from jaxphys.types import Array, PhaseState, PyTree, State, TangentState, Trajectories

__all__ = [
    "PENDULUM",
    "TORQUES",
    "TRUE",
    "field",
    "in_velocities",
    "predicted",
    "samples",
    "with_velocities",
]

TORQUES = (-2.0, -1.0, 0.0, 1.0, 2.0)

#: Time between two points; points of a training trajectory, and of a prediction.
_DT, _TIMES, _PREDICTED = 0.05, 20, 40

#: 1/mass·length² = 3, which makes velocities of momenta; mass·gravity·length = 5.
_INVERSE_MASS = 3.0
PENDULUM = systems.pendulum(mass=1 / 3, length=1.0, gravity=15.0)

_FREE = of_system(PENDULUM)


def _driven(t: Array, y: PhaseState, args: PyTree) -> PhaseState:
    """The pendulum's field under a torque u."""
    params, u = args
    rate = _FREE.vector_field(t, y, params)
    return PhaseState(rate.q, rate.p + u)


#: The pendulum itself; its input is the torque.
TRUE = Motion(_FREE._replace(vector_field=_driven, num_controls=1, conservative=False))


def samples(keys: Keys, count: int) -> Samples:
    """Trajectories from random states, each under all torques.

    The test set follows the states of the training further, without torque.
    """

    def drawn(key: Array) -> PhaseState:
        low, high = -np.pi, 2 * np.pi
        return PhaseState(*jax.random.uniform(key, (2, count, 1), float, low, high))

    first, other = drawn(keys.train), drawn(keys.test)
    train = [_followed(first, torque, _TIMES) for torque in TORQUES]
    clean = [_followed(other, torque, _TIMES) for torque in TORQUES]
    return Samples(train, [_followed(first, 0.0, _PREDICTED)], clean)


def _followed(first: PhaseState, torque: float, times: int) -> Trajectories:
    """True trajectories from a batch of states under one torque."""
    ts = np.arange(times) * _DT
    u = jnp.array([torque])
    path = TRUE.path(PENDULUM.params, first, ts, longest=_DT / 20, u=u)
    y = jax.tree.map(np.asarray, path)
    return Trajectories(ts, y, u=np.full((*y.q.shape[:2], 1), torque))


def in_velocities(found: list[Trajectories]) -> list[Trajectories]:
    """The view with v = 3 p in the place of p."""
    return [x._replace(y=TangentState(x.y.q, _INVERSE_MASS * x.y[1])) for x in found]


def _velocities(motion: Motion, x: Any) -> Any:
    """Velocities of a motion's momenta, or of what are velocities already."""
    return _INVERSE_MASS * x if motion.dynamics.state is PhaseState else x


def with_velocities(motion: Motion, states: State) -> Trajectories:
    """States of a motion, (N, T, 1), in q and v, with their true energies."""
    q, v = np.asarray(states[0]), np.asarray(_velocities(motion, states[1]))
    energy = (5 * (1 - np.cos(q)) + v**2 / 6)[:, :, 0]
    ts = _DT * np.arange(q.shape[1])
    return Trajectories(ts, TangentState(q, v), energy=energy)


def predicted(motion: Motion, params: PyTree, true: Trajectories) -> State:
    """A motion from the first states of trajectories, without torque."""
    quiet = jnp.zeros(1, measures.dtype_of(params))
    return measures.predicted(motion, params, true, _DT / 2, u=quiet)


def field(motion: Motion, params: PyTree, axes: Axes) -> Axes:
    """dq/dt and dv/dt on a grid of q and v, without torque."""
    inner = (axes[0], axes[1] / _velocities(motion, 1.0))
    quiet = jnp.zeros(1, measures.dtype_of(params))
    dq, dx = measures.field_grid(motion.dynamics, params, inner, u=quiet)
    return dq, _velocities(motion, dx)
