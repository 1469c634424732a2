"""Multiple shooting: a record in pieces, each with a start of its own, joined by rows.

A piece is followed from its start to the first time of the next; that its end is the
next one's start is one more residual, whose weight grows until the pieces are one
trajectory. No piece is long enough for errors of the constants to grow without bound.

Derivatives by constants and starts come from the variational equations, dS/dt =
(∂f/∂z) S + ∂f/∂c: the derivative of a Runge–Kutta step is the same step of these. So a
network of P weights costs some derivatives of f, not P of them.

References: Bock, Recent advances in parameter identification techniques for ODE, 1983;
Hairer, Nørsett & Wanner, Solving Ordinary Differential Equations I, § I.14.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.integrators import rk4, rollout_at
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.pieces import Pieces
from jaxphys.types import Array

__all__ = ["Shooting"]

#: With more unknowns than this, derivatives go from the outputs back.
_FEW = 24


class Shooting:
    """What is compiled of a law and pieces: residuals and their Jacobian.

    The unknowns are those constants that are free, and the start of each piece.

    Attributes:
      pieces: the record.
      substeps: integrator steps between two times; may be set.
    """

    def __init__(self, law: Law, pieces: Pieces, free: np.ndarray):
        self.pieces, self._free = pieces, np.flatnonzero(free)
        self._law, self.substeps = law, 1
        axes = (None, 0, 0, 0, None)
        self._linearised = jax.jit(jax.vmap(self._sensitive(), axes))
        self._followed = jax.jit(jax.vmap(self._path(), axes))

    def _field(self):
        """f(t, z, (c, u)) with inputs that may change from one time to the next."""
        law, inputs = self._law, self.pieces.inputs

        def field(t: Array, z: Array, args: Any) -> Array:
            if not law.takes_input:
                return law.field(t, z, (args, None))
            c, ((before, after), t0, t1, shift) = args
            if law.delay is not None and inputs is not None:
                at = t + shift - law.delay(c)
                u = jax.vmap(jnp.interp, (None, None, 1))(at, inputs.t, inputs.u)
                return law.field(t, z, (c, u))
            part = jnp.where(t1 > t0, (t - t0) / jnp.where(t1 > t0, t1 - t0, 1.0), 0.0)
            return law.field(t, z, (c, before + part * (after - before)))

        return field

    def _path(self):
        """What one piece shows, and where it ends."""
        law, step = self._law, rk4(self._field(), rolled=True)

        def path(c: Array, start: Array, t: Array, u: Any, substeps: Array):
            states = rollout_at(
                step, start, t, args=c, substeps=substeps, controls=_controls(u)
            )
            return jax.vmap(law.observe, (None, 0))(c, states), states[-1]

        return path

    def _sensitive(self):
        """The same with derivatives by (free constants, start), by forward steps."""
        law, places, k = self._law, jnp.asarray(self._free, int), len(self._free)
        field = self._field()

        def by_both(function, c: Array, z: Array):
            """A function of (c, z), (d,), and its Jacobian, (d, k + d)."""

            def joined(x: Array):
                out = function(c.at[places].set(x[:k]), x[k:])
                return out, out

            derivative = jax.jacfwd if k <= _FEW else jax.jacrev
            x = jnp.concatenate([c[places], z])
            jacobian, out = derivative(joined, has_aux=True)(x)
            return out, jacobian

        def along(t: Array, y: tuple, args: Any) -> tuple:
            z, S = y
            c = args[0] if law.takes_input else args

            def rate(c: Array, z: Array) -> Array:
                return field(t, z, (c, args[1]) if law.takes_input else c)

            dz, jacobian = by_both(rate, c, z)
            return dz, (jacobian[:, k:] @ S).at[:, :k].add(jacobian[:, :k])

        step = rk4(along, rolled=True)

        def path(c: Array, start: Array, t: Array, u: Any, substeps: Array):
            d = len(start)
            first = (start, jnp.eye(d, k + d, k, dtype=start.dtype))
            states, S = rollout_at(
                step, first, t, args=c, substeps=substeps, controls=_controls(u)
            )
            shown, jacobian = jax.vmap(by_both, (None, None, 0))(law.observe, c, states)
            jacobian = (jacobian[:, :, k:] @ S).at[:, :, :k].add(jacobian[:, :, :k])
            return shown, states[-1], jacobian, S[-1]

        return path

    def paths(self, c: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each piece shows, (S, L, w), and where it ends, (S, 2n)."""
        return self._shown(c, starts, self.substeps)

    def step_error(self, c: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """How far half the step leads from what is shown, (S, L, w)."""
        shown, _ = self.paths(c, starts)
        finer, _ = self._shown(c, starts, 2 * self.substeps)
        return np.abs(finer - shown)

    def entered(self, c: np.ndarray) -> np.ndarray:
        """The starts that show what was measured there, (S, 2n)."""
        enter = jax.jit(jax.vmap(self._law.enter, (None, 0)))
        return np.array(enter(jnp.asarray(c), jnp.asarray(self.pieces.states[:, 0])))

    def _shown(self, c, starts, substeps: int) -> tuple[np.ndarray, np.ndarray]:
        t, u = self.pieces.t, self.pieces.u
        found = self._followed(c, starts, t, u, jnp.asarray(substeps))
        return np.asarray(found[0]), np.asarray(found[1])

    def linearised(self, c: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, ...]:
        """Shown (S, L, w), ends (S, 2n), and the Jacobian of each by (c, start)."""
        t, u = self.pieces.t, self.pieces.u
        found = self._linearised(c, starts, t, u, jnp.asarray(self.substeps))
        return tuple(np.asarray(x) for x in found)

    @property
    def measured_rows(self) -> int:
        """How many of the rows of `residuals` are of measurements."""
        S, L, w = self.pieces.seen.shape
        d = self.pieces.states.shape[2]
        return S * min(L * w, len(self._free) + d + 1)

    def residuals(
        self,
        c: np.ndarray,
        starts: np.ndarray,
        noise: np.ndarray,
        unit: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Residuals in units of the noise, and their Jacobian by (c, all starts).

        Args:
          c: all constants.
          starts: of the pieces, (S, 2n).
          noise: of what is shown, (w,).
          unit: of states, in which pieces are joined, (2n,).

        Returns:
          r (m,) and J (m, k + 2n S). The measurements come first, as one triangle a
          piece, whose sums of squares and products are those of all of its rows.
        """
        pieces, k = self.pieces, len(self._free)
        S, L, w = pieces.seen.shape
        d = starts.shape[1]
        shown, ends, jac, jac_ends = self.linearised(c, starts)
        r = np.where(pieces.counts, (shown - pieces.seen) / noise, 0.0)
        J = np.where(pieces.counts[..., None], jac / noise[:, None], 0.0)
        rows = np.concatenate([J.reshape(S, L * w, -1), r.reshape(S, L * w, 1)], axis=2)
        if not np.all(np.isfinite(rows)):
            return np.array([np.nan]), np.zeros((1, k + d * S))
        h = self.measured_rows // S
        R = np.asarray(np.linalg.qr(rows, mode="r")) if h < L * w else rows
        join = np.flatnonzero(pieces.joined)
        total = np.zeros((S * h + len(join) * d, k + d * S))
        out = np.concatenate([R[:, :, -1].reshape(-1), np.zeros(len(join) * d)])
        for s in range(S):
            own = slice(s * h, (s + 1) * h)
            total[own, :k] = R[s, :, :k]
            total[own, k + d * s : k + d * (s + 1)] = R[s, :, k:-1]
        scale = 1 / unit
        for i, s in enumerate(join.tolist()):
            own = slice(S * h + i * d, S * h + (i + 1) * d)
            out[own] = scale * (ends[s] - starts[s + 1])
            total[own, :k] = scale[:, None] * jac_ends[s][:, :k]
            total[own, k + d * s : k + d * (s + 1)] = (
                scale[:, None] * jac_ends[s][:, k:]
            )
            total[own, k + d * (s + 1) : k + d * (s + 2)] = -np.diag(scale)
        return out, total


def _controls(u: Any) -> Any:
    """Inputs before and after each step, as the field takes them."""
    return None if u is None else ((u[0][:, 0], u[0][:, 1]), *u[1:])
