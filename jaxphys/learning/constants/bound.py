"""A law bound to the constants that were found for it, and how sure its motion is.

With the covariance Σ of the constants, a motion from a given state has the variance
S Σ Sᵀ, S being its sensitivity: that of linearised least squares.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.learning.constants.law import Measured
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.rollouts import rollouts
from jaxphys.types import Array, Dynamics, PyTree, State, Trajectories

__all__ = ["BoundLaw", "Followed"]


class Followed(NamedTuple):
    """A motion by a law, and its errors.

    Attributes:
      trajectories: the motion, N = 1, as the sensors show it.
      errors: one standard deviation of q and of v or p, (T, 2n), without the noise of a
        measurement; the start is taken to be exact.
    """

    trajectories: Trajectories
    errors: np.ndarray


class BoundLaw(NamedTuple):
    """A law with its constants: an energy to be called, and a motion to be followed.

    Called as H(q, p), or as (q, v), it is its energy, of true states: sensors are no
    part of it, nor is friction.

    Attributes:
      name: of the law.
      law: the motion as one vector field of one vector of constants.
      c: that vector, (k,).
      covariance: of the constants, (k, k), zero where one is fixed, and without the
        directions that the data do not determine.
      measured: what was measured.
      step: the time step with which it was integrated.
      linear: whether inputs change linearly to the next time, or are held.
    """

    name: str
    law: Law
    c: np.ndarray
    covariance: np.ndarray
    measured: Measured
    step: float
    linear: bool = False

    def __call__(self, q: Array, rate: Array) -> Array:
        """The energy of (q, p), or of (q, v), by these constants."""
        if self.law.energy is None:
            raise ValueError(
                f"{self.name} is a vector field, without an energy; its motion is "
                ".dynamics.vector_field, with .params."
            )
        return self.law.energy(jnp.asarray(self.c), q, rate)

    @property
    def params(self) -> dict[str, float]:
        """Name → value of all constants, those of friction and sensors included."""
        return dict(zip(self.law.names, self.c.tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """Name → standard error, zero of what is fixed.

        Of constants of which only a combination is determined, it is their share.
        """
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        return dict(zip(self.law.names, errors.tolist(), strict=True))

    @property
    def given(self) -> PyTree:
        """The constants in the form in which the law takes them."""
        return self.law.params(jnp.asarray(self.c))

    @property
    def dynamics(self) -> Dynamics:
        """The motion of true states, a `Dynamics`; its weights are `params`."""
        law, pushed = self.law, self.law.takes_input

        def vector(params: PyTree) -> Array:
            return jnp.stack([jnp.asarray(params[name]) for name in law.names])

        def field(t: Array, y: State, args: Any) -> State:
            params, u = args if pushed else (args, None)
            # The law is known in float64; a state of float32 stays one.
            rate = law.field(t, jnp.concatenate(y), (vector(params), u))
            return law.state(*jnp.split(rate.astype(y.q.dtype), 2))

        def of(energy: Callable | None) -> Callable | None:
            if energy is None:
                return None
            return lambda params, q, rate: energy(vector(params), q, rate)

        return Dynamics(
            lambda key: {name: jnp.asarray(x) for name, x in self.params.items()},
            field,
            law.state,
            of(law.energy),
            self.measured.num_controls,
            lagrangian=of(law.lagrangian),
        )

    def follow(
        self, ts: np.ndarray, start: np.ndarray, u: np.ndarray | None = None
    ) -> Followed:
        """The motion from a state, its energy, and how sure it is by the constants.

        Args:
          ts: times, increasing, (T,); the first is that of the start.
          start: the state there as the sensors show it, (2n,): positions, and then
            velocities or momenta, whichever were measured.
          u: inputs, (T, m), of a law that has some.

        Raises:
          ValueError: for a start of another size, times that do not increase, and
            inputs where there are none or none where there are some.
        """
        n = self.measured.num_coordinates
        ts, shown = np.asarray(ts, float), np.asarray(start, float)
        if shown.shape != (2 * n,):
            raise ValueError(
                f"start has shape {shown.shape}; expected ({2 * n},), {n} positions "
                f"and then {n} of {self.measured.state._fields[1]}."
            )
        if ts.ndim != 1 or len(ts) < 2 or not np.all(np.diff(ts) > 0):
            raise ValueError(
                f"ts has shape {ts.shape}; expected at least two times that increase."
            )
        if self.law.takes_input != (u is not None):
            wants = "needs inputs u" if self.law.takes_input else "takes no inputs u"
            raise ValueError(f"this law {wants}, (T, m), one row for each time.")
        empty = np.zeros((1, len(ts), n))
        record = Trajectories(ts, self.measured.state(empty, empty))
        if u is not None:
            record = record._replace(u=np.asarray(u, float).reshape(1, len(ts), -1))
        c = jnp.asarray(self.c)
        state = self.law.enter(c, jnp.asarray(shown))
        # The state that shows this start depends on the sensors' constants.
        entered = np.asarray(jax.jacfwd(self.law.enter)(c, jnp.asarray(shown)))
        both = np.concatenate([np.eye(len(c)), entered])
        (path,), (errors,) = rollouts(
            self.law,
            self.c,
            np.asarray(state)[None],
            [record],
            substeps=max(int(np.ceil(np.max(np.diff(ts)) / self.step - 1e-9)), 1),
            linear=self.linear,
            covariance=both @ self.covariance @ both.T,
        )
        y = self.measured.state(*np.split(path[None], 2, axis=2))
        return Followed(record._replace(y=y, energy=self._energies(path)), errors)

    def _energies(self, path: np.ndarray) -> np.ndarray | None:
        """The energy along what the sensors show, (1, T)."""
        if self.law.energy is None:
            return None
        c, energy = jnp.asarray(self.c), self.law.energy

        @jax.jit
        @jax.vmap
        def of(shown: Array) -> Array:
            return energy(c, *jnp.split(self.law.enter(c, shown), 2))

        return np.asarray(of(jnp.asarray(path)))[None]
