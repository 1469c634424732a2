"""Constants of a known law from measurements, with errors, and what is not determined.

The whole record is fitted by multiple shooting: constants and the start of each piece
together, by Levenberg–Marquardt, while the rows that join the pieces grow in weight.
The noise of each column is estimated from what is left, and the covariance of the
constants is that of linearised least squares, s² (JᵀJ)⁻¹.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from jaxphys import trees
from jaxphys.data import check_trajectories, continuous
from jaxphys.learning.constants.errors import errors_of
from jaxphys.learning.constants.law import Measured, law_of, measured_by
from jaxphys.learning.constants.result import Identified
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.search import Search, State
from jaxphys.types import PyTree, System, Trajectories

__all__ = ["identify"]


def identify(
    law: System | Callable,
    trajectories: Sequence[Trajectories],
    constants: PyTree = None,
    *,
    fixed: Sequence[str] = (),
    bounds: Mapping[str, tuple[float, float]] | None = None,
    friction: Sequence[str] | Mapping[str, float] = (),
    sensors: Sequence[str] | Mapping[str, float] = (),
    kind: str | None = None,
    initial: Sequence[float] | None = None,
    inputs: str = "held",
    rows: int | None = None,
    substeps: int | None = None,
) -> Identified:
    """Find the constants of a law, and where each motion began.

    Args:
      law: a system, an energy H(params, q, p) or L(params, q, v), or a vector field
        f(t, y, params), of states or of vectors (q, v); with inputs, f(t, y, (params,
        u)).
      trajectories: measured, N = 1 each, with times as uneven as they are. Positions
        alone will do. Inputs u push an energy as generalized forces. Angles that jump
        by whole turns are unwrapped, and a warning says so.
      constants: where to begin, as the law takes them: a NamedTuple, a dict or an
        array of numbers. Of a system, a dict of those that are not its own. They may
        have either sign.
      fixed: names of constants that are known; their values are those of `constants`.
      bounds: name → (low, high), such as {"mass": (0, inf)}.
      friction: "viscous", "coulomb", "quadratic": constants to add to an energy; a
        dict says where they begin.
      sensors: "scale_v", "offset_q" and so on: what is shown is scale · true + offset;
        "delay_u": inputs act so much later than they were recorded; likewise.
      kind: "hamiltonian", "lagrangian" or "field", where the names of the function's
        arguments do not tell.
      initial: the state, (2n,), in which every motion began; None to find it.
      inputs: "held" until the next time, or "linear" to it.
      rows: of a piece; by default half a period of the motion, 50 at most.
      substeps: integrator steps between two times; by default as many as half the step
        makes no difference beside the noise.

    Returns:
      An `Identified`: values with standard errors and correlations, and in words what
      these data do not determine. It prints as a table.

    Raises:
      ValueError: for laws, constants and data that do not fit, and with x64 off.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> jax.config.update("jax_enable_x64", True)
      >>> from jaxphys import data
      >>> t = np.linspace(0.0, 6.0, 61)
      >>> swing = {"t": t, "q": np.cos(2 * t), "v": -2 * np.sin(2 * t)}
      >>> def field(t, y, k):
      ...     return jnp.stack([y[1], -k["stiffness"] * y[0]])
      >>> seen = data.trajectories_from(swing)
      >>> found = identify(field, seen, {"stiffness": 3.0})
      >>> round(found.constants["stiffness"], 3)
      4.0

    Reference: Bock, 1983, for multiple shooting; Seber & Wild, Nonlinear Regression,
    1989, § 2.1, for the errors.
    """
    trees.check_double("constants are found")
    if inputs not in ("held", "linear"):
        raise ValueError(f'inputs is {inputs!r}; expected "held" or "linear".')
    seen = continuous("identify", _checked(trajectories))
    what = measured_by(seen[0])
    made = law_of(law, constants, what, kind=kind, friction=friction, sensors=sensors)
    free, low, high = _limits(made, fixed, bounds or {})
    if rows is not None and rows < 2:
        raise ValueError(f"rows is {rows}; expected 2 or more in a piece.")
    search = Search(
        made,
        seen,
        free,
        (low, high),
        initial=_state(initial, seen),
        linear=inputs == "linear",
        rows=rows,
    )
    return _result(search, search.found(substeps), what, inputs == "linear")


def _checked(trajectories: Sequence[Trajectories]) -> list[Trajectories]:
    if isinstance(trajectories, Trajectories) or not trajectories:
        raise ValueError(
            "identify expects a list of Trajectories, N = 1 each, and one at least; "
            "put one alone in brackets."
        )
    seen = [check_trajectories(each) for each in trajectories]
    kinds = {(type(each.y), each.y.q.shape[2], each.u is None) for each in seen}
    if len(kinds) > 1:
        raise ValueError(
            "the trajectories differ in kind: in coordinates, in momenta or "
            "velocities, or in inputs; expected motions of one system."
        )
    for number, each in enumerate(seen):
        if each.y.q.shape[0] != 1:
            raise ValueError(
                f"trajectory {number} of the list is {each.y.q.shape[0]} in one; "
                "expected each alone: divide them with jaxphys.data.separate."
            )
        if len(each.t) < 2:
            raise ValueError(
                f"trajectory {number} of the list has one time; expected 2 or more: "
                "leave it out."
            )
    return seen


def _limits(
    law: Law, fixed: Sequence[str], bounds: Mapping[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which constants are free, and their bounds."""
    for name in (*fixed, *bounds):
        if name not in law.names:
            raise ValueError(
                f"there is no constant {name}; there are {', '.join(law.names)}."
            )
    free = np.array([name not in fixed for name in law.names])
    if not free.any():
        raise ValueError("all constants are fixed: nothing is left to find.")
    low, high = (np.full(len(free), sign * np.inf) for sign in (-1, 1))
    for name, (least, most) in bounds.items():
        i = law.names.index(name)
        low[i], high[i] = least, most
        if not least <= law.start[i] <= most:
            raise ValueError(
                f"{name} begins at {law.start[i]:g}, outside of its bounds {least:g} "
                f"to {most:g}; begin within them."
            )
    for name, x in zip(law.names, law.start, strict=True):
        if not np.isfinite(x):
            raise ValueError(f"{name} begins at {x}; expected a finite number.")
    return free, low[free], high[free]


def _state(
    initial: Sequence[float] | None, seen: Sequence[Trajectories]
) -> np.ndarray | None:
    """The state in which every motion began, where it is known."""
    if initial is None:
        return None
    n = seen[0].y.q.shape[2]
    if np.shape(initial) != (2 * n,):
        raise ValueError(
            f"initial has shape {np.shape(initial)}; expected ({2 * n},), "
            "positions and velocities or momenta."
        )
    return np.asarray(initial, float)


def _result(
    search: Search, state: State, measured: Measured, linear: bool
) -> Identified:
    """Errors, correlations, and what is not determined."""
    law, free = search.law, search.free
    every = dict(zip(law.names, state.c.tolist(), strict=True))
    names = [n for n, f in zip(law.names, free, strict=True) if f]
    left, pieces = search.left(state), search.shooting.pieces
    columns, missed, missed_part = search.missed(state)
    substeps = search.shooting.substeps
    steps = np.concatenate([np.diff(x.t) for x in search.seen])
    return Identified(
        names=tuple(names),
        values=state.c[free],
        errors=errors_of(search.jacobian(state), state.c[free], names),
        fixed={name: x for name, x in every.items() if name not in names},
        noise=state.noise,
        rms=float(np.sqrt(np.sum(left**2) / pieces.counts.sum())),
        rms_of_columns=columns,
        params=law.params(state.c),
        starts=state.starts[pieces.first],
        joined=state.joined,
        substeps=substeps,
        shown=search.shown(state),
        at_bound=_at_bound(search, state, names),
        missed=tuple(np.round(missed, 1).tolist()),
        missed_part=tuple(missed_part.tolist()),
        law=law,
        every=state.c,
        step=float(np.median(steps)) / substeps,
        measured=measured,
        linear=linear,
    )


def _at_bound(search: Search, state: State, names: Sequence[str]) -> tuple[str, ...]:
    values, low, high = state.c[search.free], search.low, search.high
    return tuple(
        name
        for name, x, a, b in zip(names, values, low, high, strict=True)
        if x <= a or x >= b
    )
