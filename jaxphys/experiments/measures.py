"""How learned motions are judged: by rollouts from unseen states, and by their fields.

A motion is one of (q, p) or of (q, v); whichever it is, its states, rates and energies
are compared with those of the system itself.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, metrics, trees
from jaxphys.experiments.experiment import Keys, Samples, Trained
from jaxphys.motion import Motion, arguments, of_system
from jaxphys.training import NOT_FINITE
from jaxphys.types import (
    Array,
    Dynamics,
    PyTree,
    State,
    System,
    TangentState,
    Trajectories,
)

__all__ = [
    "Axes",
    "Judge",
    "Rollouts",
    "acceleration_error",
    "acceleration_grid",
    "accelerations",
    "dtype_of",
    "field_error",
    "field_grid",
    "finite",
    "lagrangian_errors",
    "mass_at_rest",
    "over_time",
    "predicted",
    "rollout_errors",
    "with_energy",
]


def finite(value: Any) -> float:
    """A number that JSON can hold, as in the history of a training."""
    return float(value) if np.isfinite(value) else NOT_FINITE


def dtype_of(params: PyTree) -> jnp.dtype:
    """The precision of weights or constants."""
    return jnp.result_type(*jax.tree.leaves(params))


class Rollouts(NamedTuple):
    """Motions of a model and of the system from the same states, (N, T, n) each."""

    ts: np.ndarray
    found: State
    true: State


@dataclasses.dataclass(frozen=True, eq=False)
class Judge:
    """Judges motions of one system by rollouts; what it compiles serves every row.

    Attributes:
      system: what was learned.
      duration, times: how long a rollout is, and its number of times.
      longest: the longest time step of RK4.
      rollouts: how many.
      sample: `sample(key) -> state` of their starts; None for those of the test
        trajectories.
    """

    system: System
    duration: float
    times: int
    longest: float
    rollouts: int
    sample: Callable[[Array], PyTree] | None = None
    _true: dict[type, Motion] = dataclasses.field(default_factory=dict, repr=False)

    def shorter(self, **changes: Any) -> "Judge":
        """The same judge of fewer or shorter rollouts; it shares what is compiled."""
        return dataclasses.replace(self, **changes)

    @property
    def ts(self) -> np.ndarray:
        """The times of a rollout."""
        return np.linspace(0.0, self.duration, self.times)

    def truth(self, kind: type[State]) -> Motion:
        """The system's own motion, by momenta or by velocities."""
        if kind not in self._true:
            self._true[kind] = Motion(of_system(self.system, kind))
        return self._true[kind]

    def constants(self, dtype) -> PyTree:
        """The system's constants in a precision."""
        return trees.cast(self.system.params, dtype)

    def starts(self, samples: Samples, keys: Keys, dtype, kind: type[State]) -> State:
        """Where rollouts start, without noise."""
        if self.sample is None:
            (clean,) = samples.clean
            states = kind(*(x[: self.rollouts, 0] for x in clean.y))
        else:
            each = jax.random.split(keys.draw, self.rollouts)
            states = kind(*jax.vmap(self.sample)(each))
        return jax.tree.map(lambda x: jnp.asarray(x, dtype), states)

    def follow(self, motion: Motion, params: PyTree, first: State) -> State:
        """A motion from these states, at the times of a rollout."""
        return motion.path(params, first, self.ts, longest=self.longest)

    def energies(self, states: State) -> Array:
        """The true energy of states with any leading axes."""
        constants = self.constants(states[0].dtype)
        return self.truth(type(states)).energy(constants, states)

    def compare(self, motion: Motion, params: PyTree, first: State) -> Rollouts:
        """A model's motions, and the true ones."""
        true = self.truth(motion.dynamics.state)
        constants = self.constants(first[0].dtype)
        return Rollouts(
            self.ts,
            self.follow(motion, params, first),
            self.follow(true, constants, first),
        )

    def rollouts_of(self, trained: Trained) -> Rollouts:
        """Those of a trained row, in its own precision."""
        motion, params = trained.subject.built, trained.params
        first = self.starts(
            trained.samples, trained.keys, dtype_of(params), motion.dynamics.state
        )
        return self.compare(motion, params, first)

    def measure(self, trained: Trained) -> dict[str, float]:
        """Energies, rates and rollouts of a motion: means, of errors medians too."""
        found, samples = self.rollouts_of(trained), trained.samples
        motion, params = trained.subject.built.dynamics, trained.params
        drifts = jax.vmap(metrics.energy_drift)(self.energies(found.found))
        noisy, clean = (
            field_error(motion, params, x) for x in (samples.test, samples.clean)
        )
        return {
            "energy_mse": finite(jnp.mean(drifts.mean_square)),
            "energy_mse_median": finite(jnp.median(drifts.mean_square)),
            "energy_drift": finite(metrics.quartiles(drifts.relative).median),
            "test_mse": finite(noisy.mean_square / (2 * found.true[0].shape[-1])),
            "field_error": finite(clean.relative),
        } | rollout_errors(found)

    def trajectories(
        self, motion: Motion, params: PyTree, first: State
    ) -> Trajectories:
        """A motion from a batch of states, with the true energy along it."""
        begin = trees.cast(first, dtype_of(params))
        found = self.follow(motion, params, begin)
        return with_energy(self.ts, found, self.energies(found))


def with_energy(ts: np.ndarray, states: State, energy: Array) -> Trajectories:
    """States (N, T, n) and their energies (N, T) as a data set."""
    y = jax.tree.map(np.asarray, states)
    return Trajectories(ts, y, energy=np.asarray(energy))


def over_time(errors: Array, ts: np.ndarray) -> tuple[Array, Array]:
    """Geometric means of the errors (N, T) of motions, and how long they are small."""
    times = jnp.asarray(ts, errors.dtype)
    geometric = jax.vmap(lambda e: metrics.geometric_mean(e, times))(errors)
    return geometric, jax.vmap(lambda e: metrics.valid_time(times, e))(errors)


def rollout_errors(rollouts: Rollouts) -> dict[str, float]:
    """Medians over rollouts of the relative error, and of how long it is small."""
    errors = jax.vmap(metrics.relative_error)(rollouts.found, rollouts.true)
    geometric, valid = over_time(errors, rollouts.ts)
    return {
        "rollout_error": finite(metrics.quartiles(geometric).median),
        "valid_time": finite(metrics.quartiles(valid).median),
    }


def predicted(
    motion: Motion, params: PyTree, true: Trajectories, longest: float, **options: Any
) -> State:
    """A model's motion from the first states of trajectories, at their times.

    Args:
      motion, params: the model; its precision is that of the result.
      true: N trajectories of T times.
      longest: the longest time step.
      options: of `Motion.path`, such as an input.

    Returns:
      States (N, T, n).
    """
    dtype = dtype_of(params)
    first = jax.tree.map(lambda x: jnp.asarray(x[:, 0], dtype), true.y)
    return motion.path(params, first, true.t, longest=longest, **options)


def field_error(
    motion: Dynamics, params: PyTree, trajectories: list[Trajectories]
) -> metrics.DerivativeError:
    """The field against the rates that trajectories come with."""
    moments, rates = data.moments(trajectories)
    return jax.jit(functools.partial(metrics.derivative_error, motion))(
        params, moments.y, rates
    )


def acceleration_error(
    motion: Dynamics, params: PyTree, trajectories: list[Trajectories]
) -> float:
    """The mean squared error of accelerations over their mean square."""
    moments, rates = data.moments(trajectories)

    @jax.jit
    def error(params: PyTree, states: TangentState, wanted: Array) -> Array:
        found = jax.vmap(lambda y: motion.vector_field(0.0, y, params))(states)
        return jnp.mean((found.v - wanted) ** 2) / jnp.mean(wanted**2)

    return finite(error(params, moments.y, rates.v))


def lagrangian_errors(trained: Trained, rollouts: Rollouts) -> dict[str, float]:
    """Errors of a motion in q and v: of its accelerations, and of its rollouts."""
    motion, clean = trained.subject.built.dynamics, trained.samples.clean
    error = acceleration_error(motion, trained.params, clean)
    return {"acceleration_error": error} | rollout_errors(rollouts)


def accelerations(
    motion: Motion, params: PyTree, found: list[Trajectories], *, canonical: bool
) -> Array:
    """q̈ of the first coordinate, as a model has it at the states of a data set, (N,).

    Args:
      motion, params: the model, of a motion with an input.
      found: single states in q and v, or in q and p.
      canonical: whether the second half of a state is a canonical momentum; the
        acceleration is then the rate of dq/dt along the model's own motion. Otherwise
        it is a velocity, and the acceleration its rate.
    """
    field = motion.dynamics.vector_field
    moments, _ = data.moments(found)
    states, inputs = trees.cast((moments.y, moments.u), dtype_of(params))

    def one(y: State, u: Array) -> Array:
        def rate(y: State) -> State:
            return field(0.0, y, (params, u))

        along = rate(y)
        if not canonical:
            return along[1][0]
        return jax.jvp(lambda y: rate(y)[0], (y,), (along,))[1][0]

    return jax.jit(jax.vmap(one))(states, inputs)


def mass_at_rest(energy: Callable[..., Array]) -> Callable[[PyTree, Array], Array]:
    """M(params, q), the curvature of an energy in v at v = 0."""

    def mass(params: PyTree, q: Array) -> Array:
        return jax.hessian(energy, 2)(params, q, jnp.zeros_like(q))

    return mass


Axes = tuple[np.ndarray, np.ndarray]


def field_grid(
    motion: Dynamics,
    params: PyTree,
    axes: Axes,
    base: Any = ((0.0,), (0.0,)),
    u: Array | None = None,
) -> Axes:
    """The rates of the first coordinate and of its momentum (or velocity) on a grid.

    Args:
      motion, params: whose field.
      axes: values of q and of p (or v), (k,) and (l,).
      base: the state of the other coordinates, (n,) each.
      u: the input, of a motion that has one.

    Returns:
      Two arrays (l, k).
    """
    both = ((0, 0), (1, 0))
    return _on_grid(motion, params, axes, base, u, both, both)


def acceleration_grid(
    motion: Dynamics,
    params: PyTree,
    axes: Axes,
    base: Any = ((0.0, 0.0), (0.0, 0.0)),
) -> Axes:
    """The accelerations of the first two coordinates on a grid of these; see above."""
    return _on_grid(
        motion, params, axes, base, None, ((0, 0), (0, 1)), ((1, 0), (1, 1))
    )


#: Which of two numbers of a state or a rate: its half, and its coordinate.
_Two = tuple[tuple[int, int], tuple[int, int]]


def _on_grid(
    motion: Dynamics,
    params: PyTree,
    axes: Axes,
    base: Any,
    u: Array | None,
    varied: _Two,
    shown: _Two,
) -> Axes:
    """Two numbers of the rate, where two of the state have the values of the axes."""
    x, y = np.meshgrid(*axes)
    dtype = dtype_of(params) if jax.tree.leaves(params) else float
    fixed = jnp.asarray(base, dtype)

    def rate(x: Array, y: Array) -> tuple[Array, Array]:
        first, other = varied
        state = motion.state(*fixed.at[first].set(x).at[other].set(y))
        rates = motion.vector_field(0.0, state, arguments(params, u))
        return tuple(rates[half][number] for half, number in shown)

    flat = (jnp.asarray(each.ravel(), dtype) for each in (x, y))
    found = jax.jit(jax.vmap(rate))(*flat)
    first, other = (np.asarray(each).reshape(x.shape) for each in found)
    return first, other
