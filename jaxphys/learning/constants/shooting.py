"""Multiple shooting: a record in pieces, each with a start of its own, joined by rows.

A piece is followed from its start to the first time of the next; that its end is the
next one's start is one more residual, whose weight grows until the pieces are one
trajectory. No piece is long enough for errors of the constants to grow without bound.
All pieces have one length, filled up by times that repeat, so one compiled function
serves every stage.

Reference: Bock, Recent advances in parameter identification techniques for ODE, 1983.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys.integrators import rk4, rollout_at
from jaxphys.learning.constants.law import Law
from jaxphys.types import Array, Trajectories

__all__ = ["Pieces", "Shooting", "cut", "half_period"]


class Pieces(NamedTuple):
    """Trajectories cut into S pieces of L times.

    Attributes:
      t: (S, L); after the end of a piece its last time repeats.
      seen: what was measured, (S, L, 2n).
      counts: whether a number of `seen` is compared, (S, L, 2n).
      u: inputs from each time to the next with these times, or None.
      first: whether a piece begins a trajectory, (S,).
      joined: whether a piece goes on in the next one, (S,).
    """

    t: np.ndarray
    seen: np.ndarray
    counts: np.ndarray
    u: Any
    first: np.ndarray
    joined: np.ndarray


def half_period(trajectories: Sequence[Trajectories]) -> int:
    """How many rows it takes, typically, until a velocity or momentum changes sign."""
    rows, turns = 0, 0
    for each in trajectories:
        x = np.asarray(each.y[1][0])
        # Noise about zero is no turning point.
        quiet = 0.1 * np.std(x, axis=0)
        for column, level in zip(x.T, quiet, strict=True):
            signs = np.sign(column[np.abs(column) > level])
            turns += int(np.sum(signs[1:] != signs[:-1]))
        rows += x.size
    return max(rows // max(turns, 1), 1)


def cut(trajectories: Sequence[Trajectories], rows: int, linear: bool) -> Pieces:
    """Cut trajectories, N = 1 each, into pieces of about this many rows.

    Args:
      trajectories: measured.
      rows: of a piece, 2 or more.
      linear: whether inputs change linearly to the next time, or are held.
    """
    parts: list[tuple[int, int, int]] = []
    joined, first = [], []
    for number, each in enumerate(trajectories):
        total = len(each.t)
        count = max(round((total - 1) / rows), 1)
        edges = np.unique(np.linspace(0, total - 1, count + 1).round().astype(int))
        for a, b in pairwise(edges.tolist()):
            parts.append((number, a, b))
            first.append(a == 0)
            joined.append(b < total - 1)
    length = max(b - a for _, a, b in parts) + 1
    t, seen, counts, u = _filled(trajectories, parts, joined, length, linear)
    return Pieces(t, seen, counts, u, np.array(first), np.array(joined))


def _filled(trajectories, parts, joined, length, linear):
    n = trajectories[0].y.q.shape[2]
    t = np.zeros((len(parts), length))
    seen = np.zeros((len(parts), length, 2 * n))
    counts = np.zeros(seen.shape, bool)
    inputs = trajectories[0].u is not None
    m = trajectories[0].u.shape[2] if inputs else 0
    u = np.zeros((len(parts), length - 1, 2, m))
    for s, (number, a, b) in enumerate(parts):
        each = trajectories[number]
        size = b - a + 1
        t[s, :size], t[s, size:] = each.t[a : b + 1], each.t[b]
        seen[s, :size] = np.concatenate(each.y, axis=2)[0, a : b + 1]
        seen[s, size:] = seen[s, size - 1]
        # The last time of a piece that goes on is compared in the next.
        counts[s, : size - joined[s]] = True
        if "v" in each.meta.get("derived", ()):
            counts[s, :, n:] = False
        if inputs:
            u[s, : size - 1, 0] = each.u[0, a:b]
            u[s, : size - 1, 1] = each.u[0, a + linear : b + linear]
    if not inputs:
        return t, seen, counts, None
    return t, seen, counts, (u, t[:, :-1], t[:, 1:])


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
        path, places = self._path(), jnp.asarray(self._free)

        def both(free, start, constants, t, u, substeps):
            out = path(constants.at[places].set(free), start, t, u, substeps)
            return out, out

        jacobian = jax.jacfwd(both, (0, 1), has_aux=True)
        axes = (None, 0, None, 0, 0, None)
        self._linearised = jax.jit(jax.vmap(jacobian, axes))

    def _path(self):
        law = self._law

        def field(t: Array, z: Array, args: Any) -> Array:
            if not law.takes_input:
                return law.field(t, z, (args, None))
            c, ((before, after), t0, t1) = args
            part = jnp.where(t1 > t0, (t - t0) / jnp.where(t1 > t0, t1 - t0, 1.0), 0.0)
            return law.field(t, z, (c, before + part * (after - before)))

        step = rk4(field, rolled=True)

        def path(c: Array, start: Array, t: Array, u: Any, substeps: Array):
            controls = None
            if u is not None:
                controls = ((u[0][:, 0], u[0][:, 1]), u[1], u[2])
            states = rollout_at(
                step, start, t, args=c, substeps=substeps, controls=controls
            )
            return jax.vmap(law.observe, (None, 0))(c, states), states[-1]

        return path

    def paths(self, c: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What each piece shows, (S, L, 2n), and where it ends, (S, 2n)."""
        return self.linearised(c, starts)[:2]

    def step_error(self, c: np.ndarray, starts: np.ndarray) -> np.ndarray:
        """How far half the step leads from what is shown, (S, L, 2n)."""
        shown, _ = self.paths(c, starts)
        finer = self.linearised(c, starts, 2 * self.substeps)[0]
        return np.abs(finer - shown)

    def entered(self, c: np.ndarray) -> np.ndarray:
        """The starts that show what was measured there, (S, 2n)."""
        enter = jax.jit(jax.vmap(self._law.enter, (None, 0)))
        return np.array(enter(jnp.asarray(c), jnp.asarray(self.pieces.seen[:, 0])))

    def linearised(
        self, c: np.ndarray, starts: np.ndarray, substeps: int | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Shown (S, L, 2n), ends (S, 2n), and the Jacobian of each by (c, start)."""
        count = jnp.asarray(substeps or self.substeps)
        jacobians, (shown, ends) = self._linearised(
            c[self._free], starts, c, self.pieces.t, self.pieces.u, count
        )
        # Of each output by constants and by its start.
        jac_shown, jac_ends = (
            np.concatenate([np.asarray(x) for x in pair], axis=-1) for pair in jacobians
        )
        return np.asarray(shown), np.asarray(ends), jac_shown, jac_ends

    @property
    def measured_rows(self) -> int:
        """How many of the rows of `residuals` are of measurements."""
        S, L, d = self.pieces.seen.shape
        return S * min(L * d, len(self._free) + d + 1)

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
          noise: of what is shown, (2n,).
          unit: of states, in which pieces are joined, (2n,).

        Returns:
          r (m,) and J (m, k + 2n S). The measurements come first, as one triangle a
          piece, whose sums of squares and products are those of all of its rows.
        """
        pieces, k = self.pieces, len(self._free)
        S, L, d = pieces.seen.shape
        shown, ends, jac, jac_ends = self.linearised(c, starts)
        r = np.where(pieces.counts, (shown - pieces.seen) / noise, 0.0)
        J = np.where(pieces.counts[..., None], jac / noise[:, None], 0.0)
        rows = np.concatenate([J.reshape(S, L * d, -1), r.reshape(S, L * d, 1)], axis=2)
        if not np.all(np.isfinite(rows)):
            return np.array([np.nan]), np.zeros((1, k + d * S))
        h = self.measured_rows // S
        R = np.asarray(np.linalg.qr(rows, mode="r")) if h < L * d else rows
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
