"""A law that is known up to constants, and what it misses, learned beside it.

H = H_known(c) + H_θ, or a = a_known(c) + f_θ. Constants, weights and starts are fitted
together to whole records. A ridge keeps the rates small that the learned part adds
along the data, by a weight that the evidence finds; the constants have none. So what
the known part can say, it says.
"""

import contextlib
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys import checkpoint, data, mechanics, trees
from jaxphys.learning.arguments import arguments_for
from jaxphys.learning.constants.bound import BoundLaw
from jaxphys.learning.constants.errors import errors_of
from jaxphys.learning.constants.law import Learned, law_of, measured_by
from jaxphys.learning.constants.result import misses_something
from jaxphys.learning.shooting.law import Law
from jaxphys.learning.shooting.search import Plan, Search, State
from jaxphys.learning.shooting.whole import covariance_of
from jaxphys.names import check_known
from jaxphys.training import one_blas_thread
from jaxphys.types import Array, PyTree, System, TangentState, Trajectories

__all__ = ["LEARNED", "KnownAndLearned", "Network", "known_and_learned"]

#: What can be learned beside a law.
LEARNED = ("friction", "force", "energy")

#: Weights of the rows that join pieces, and how a stage ends.
_WEIGHTS, _TOLERANCE, _ROUNDS, _STEP_ERROR = (1e-1, 1.0, 1e1, 1e2, 1e3), 1e-7, 8, 1e-2

#: Points along the data at which the learned part is kept small.
_POINTS = 200

#: A standard error above this part of the value is told.
_WEAK = 0.3


class Network(NamedTuple):
    """The network of a learned part, from which the part is made again.

    Attributes:
      learned: of `LEARNED`.
      arguments: of its model, as `checkpoint.save_model` takes them.
      weights: of the model.
    """

    learned: str
    arguments: dict[str, Any]
    weights: PyTree

    @property
    def kind(self) -> str:
        """The kind of its model, one of `checkpoint.KINDS`."""
        return "hnn" if self.learned == "energy" else "second_order"

    @property
    def part(self) -> Learned:
        """A term of an energy, or a force, as functions of weights and a state."""
        made: Any = checkpoint.build(self.kind, self.arguments)
        if self.learned == "energy":
            return Learned(self.weights, energy=made.energy)

        def rate(w: PyTree, q: Array, x: Array) -> Array:
            at = TangentState(0 * q if self.learned == "friction" else q, x)
            return made.vector_field(0.0, at, w).v

        return Learned(self.weights, rate=rate)


class KnownAndLearned(NamedTuple):
    """A law with its constants, and what was learned beside it; it prints as a table.

    Attributes:
      constants: name → value of those of the law.
      standard_errors: name → standard error, with the weights and their prior beside
        it; infinite where a constant is not determined, zero of one that is fixed.
      law: both parts together, as one law: an energy, a motion to be followed.
      learned: `learned(q, v)` or `(q, p)`: the acceleration (n,) that is added, of a
        Hamiltonian the force; or the term of the energy.
      known_rms, learned_rms: how large the rates of v or p by each part are along the
        measurements, root mean square, (n,).
      weights: how many there are.
      determined: how many of them the data determine.
      rms: root mean square of what is left, over all numbers.
      noise: standard deviation of each column, (2n,), by what is left.
      starts: where each trajectory begins, (N, 2n).
      joined: whether each trajectory was followed from its beginning to its end.
      network: of the learned part, with its weights.
      shown: the fitted motions, at the times of the measured ones.
      warnings: what to know before the numbers are used, a sentence each.
    """

    constants: dict[str, float]
    standard_errors: dict[str, float]
    law: BoundLaw
    learned: Callable[[Array, Array], Array]
    known_rms: np.ndarray
    learned_rms: np.ndarray
    weights: int
    determined: float
    rms: float
    noise: np.ndarray
    starts: np.ndarray
    joined: bool
    network: Network
    shown: list[Trajectories]
    warnings: tuple[str, ...] = ()

    def force(self, q: Array, v: Array) -> Array:
        """The learned acceleration of a Lagrangian as a force, M(q, v) f_θ(q, v), (n,).

        Raises:
          ValueError: where the law is no Lagrangian, or an energy was learned.
        """
        lagrangian, found = self.law.law.lagrangian, self.learned(q, v)
        if lagrangian is None or jnp.ndim(found) == 0:
            raise ValueError(
                "a force is made of a learned acceleration of a Lagrangian; call "
                ".learned in its place."
            )
        return mechanics.mass_matrix(lagrangian)(jnp.asarray(self.law.c), q, v) @ found

    @property
    def share(self) -> np.ndarray:
        """The learned part over the known one, by their root mean squares, (n,)."""
        return self.learned_rms / self.known_rms

    def rows(self) -> list[list[str]]:
        """Name, value and error of each constant, for people."""
        return [
            [name, f"{x:.6g}", _error_text(self.standard_errors[name])]
            for name, x in self.constants.items()
        ]

    def report(self) -> dict[str, Any]:
        """All numbers as JSON has them; null for what is not finite."""
        errors = self.standard_errors
        lost = [name for name, error in errors.items() if not np.isfinite(error)]
        fixed = {name: x for name, x in self.constants.items() if errors[name] == 0}
        known = [name for name in errors if name not in (*lost, *fixed)]
        share = [float(x) if np.isfinite(x) else None for x in self.share]
        return {
            "constants": {name: self.constants[name] for name in known},
            "standard_errors": {name: errors[name] for name in known},
            "fixed": fixed,
            "undetermined": lost,
            "learned": self.network.learned,
            "known_rms": self.known_rms.tolist(),
            "learned_rms": self.learned_rms.tolist(),
            "share": share,
            "weights": self.weights,
            "determined": float(self.determined),
            "rms": self.rms,
            "noise": self.noise.tolist(),
            "starts": self.starts.tolist(),
            "joined": bool(self.joined),
            "warnings": list(self.warnings),
        }

    def __str__(self) -> str:
        lines = ["  ".join(row) for row in self.rows()]
        shares = [
            f"{known:.3g} and {more:.3g}, a share of {share:.2g}"
            for known, more, share in zip(
                self.known_rms, self.learned_rms, self.share, strict=True
            )
        ]
        lines += [
            f"rms of the known and of the learned acceleration: {'; '.join(shares)}",
            f"the data determine {self.determined:.0f} of {self.weights} weights",
            f"rms of what is left {self.rms:.4g}",
        ]
        return "\n".join([*lines, *(f"note: {text}" for text in self.warnings)])


def _error_text(error: float) -> str:
    """The standard error of a constant in words; zero is that of a fixed one."""
    if error == 0:
        return "fixed"
    return f"± {error:.2g}" if np.isfinite(error) else "not determined"


def _warnings(
    constants: Mapping[str, float],
    errors: Mapping[str, float],
    known_rms: np.ndarray,
    learned_rms: np.ndarray,
) -> list[str]:
    """What to know of constants beside which something was learned."""
    found = [
        f"{name} is not determined beside what is learned: fix it, or measure a "
        "motion in which it matters"
        for name in constants
        if not np.isfinite(errors[name])
    ]
    found += [
        f"{name} is weakly determined: its standard error is "
        f"{errors[name] / abs(x):.2g} times its value"
        for name, x in constants.items()
        if x and _WEAK * abs(x) < errors[name] < np.inf
    ]
    if np.any(learned_rms > known_rms):
        found.append(
            "the learned part is larger than the known one: the law may not be that "
            "of these data"
        )
    return found


def known_and_learned(
    law: System | Callable,
    trajectories: Sequence[Trajectories],
    constants: PyTree = None,
    *,
    learned: str = "friction",
    fixed: Sequence[str] = (),
    friction: Sequence[str] | Mapping[str, float] = (),
    kind: str | None = None,
    periodic: Sequence[bool] | None = None,
    hidden: Sequence[int] = (8,),
    steps: int = 30,
    key: Array | None = None,
    told: Callable[[str], None] | None = None,
) -> KnownAndLearned:
    """Fit the constants of a law, and a network for what it misses, together.

    Args:
      law: a system, an energy or a vector field, as `constants.identify` takes it.
      trajectories: measured, N = 1 each; inputs are generalized forces. Angles that
        jump by whole turns are unwrapped, and a warning says so.
      constants: where to begin, likewise.
      learned: "friction", f_θ(v), or f_θ(p), added to the rates of v, or p; "force",
        f_θ(q, v), which can also do what the law does: its constants are then less
        sure; or "energy", a term L_θ(q, v), or H_θ(q, p), with which the energy stays.
      fixed: names of constants that are known.
      friction: of `constants.FRICTIONS`, where some of it is known.
      kind: "hamiltonian", "lagrangian" or "field", where the names of the function's
        arguments do not tell.
      periodic: which coordinates are angles; by default a system's own, else what the
        `meta` of the data says.
      hidden: units of each hidden layer of the network.
      steps: of each stage of the search, at most.
      key: a random key of the first weights.
      told: called with a line after each stage, such as `print`.

    Returns:
      A `KnownAndLearned`.

    Raises:
      ValueError: for laws, constants and data that do not fit, and with x64 off.

    Example:
      >>> jax.config.update("jax_enable_x64", True)
      >>> t = np.linspace(0.0, 4.0, 33)
      >>> decay = np.exp(-0.1 * t)  # q″ = −4.01 q − 0.2 q′
      >>> swing = {"t": t, "q": decay * np.cos(2 * t)}
      >>> swing["v"] = -decay * (0.1 * np.cos(2 * t) + 2 * np.sin(2 * t))
      >>> def spring(c, q, v):
      ...     return v @ v / 2 - c["k"] * q @ q / 2
      >>> seen = data.trajectories_from(swing)
      >>> options = {"hidden": (2,), "steps": 8}
      >>> found = known_and_learned(spring, seen, {"k": 3.0}, **options)
      >>> abs(found.constants["k"] - 4.01) < 0.05
      True
      >>> push = found.learned(jnp.array([0.1]), jnp.array([1.0]))
      >>> abs(float(push[0]) + 0.2) < 0.04
      True
    """
    trees.check_double("constants are found")
    check_known("learned", learned, LEARNED)
    trajectories = data.continuous("known_and_learned", trajectories)
    measured = measured_by(trajectories[0])
    if periodic is None:
        own = getattr(law, "periodic", None)
        none = (False,) * measured.num_coordinates
        periodic = own or trajectories[0].meta.get("periodic") or none
    network = _network(learned, trajectories, periodic, hidden, key)
    given: dict[str, Any] = {"kind": kind, "friction": friction, "sensors": ()}
    alone = law_of(law, constants, measured, **given)
    both = law_of(law, constants, measured, **given, learned=network.part)
    for name in fixed:
        check_known("constant", name, alone.names)
    free = np.array([name not in fixed for name in both.names])
    sizes = [int(np.size(x)) for x in jax.tree.leaves(network.weights)]
    known = int(free.sum()) - sum(sizes)
    groups = np.concatenate(
        [np.full(known, -1), np.repeat(np.arange(len(sizes)), sizes)]
    )

    def note(weight: float, misfit: float) -> None:
        if told is not None:
            told(f"pieces joined by {weight:g}: {misfit:.3g} times the noise is left")

    plan = Plan(
        weights=_WEIGHTS,
        steps=steps,
        tolerance=_TOLERANCE,
        rounds=_ROUNDS,
        step_error=_STEP_ERROR,
        groups=groups,
        penalty=_penalty(both, alone, trajectories, free),
        told=note,
    )
    with contextlib.ExitStack() as held:
        held.enter_context(one_blas_thread())
        search = Search(both, trajectories, free, plan=plan)
        state = search.found()
    return _result(search, state, alone, network, known, measured)


def _network(
    learned: str,
    trajectories: Sequence[Trajectories],
    periodic: Sequence[bool],
    hidden: Sequence[int],
    key: Array | None,
) -> Network:
    """The network of the learned part, in units of the data, and its first weights."""
    smooth = [data.with_derivatives(each, window="auto") for each in trajectories]
    new = Network(learned, {}, None)
    given = arguments_for(new.kind, smooth, periodic=periodic, hidden=hidden)
    given.pop("num_controls", None)
    init = checkpoint.build(new.kind, given).init
    weights = init(jax.random.key(0) if key is None else key)
    return Network(learned, given, weights)


def _penalty(
    both: Law, alone: Law, trajectories: Sequence[Trajectories], free: np.ndarray
) -> Callable:
    """The rates that the learned part adds along the data, in units of the motion's."""
    z, u = _states(trajectories)
    chosen = np.linspace(0, len(z) - 1, min(len(z), _POINTS)).astype(int)
    z, u = z[chosen], u[chosen]
    unit = _unit(trajectories)
    places = jnp.asarray(np.flatnonzero(free))

    def added(own: Array, c: Array) -> Array:
        _, more = _parts(both, alone, c.at[places].set(own), z, u)
        return (more / unit).reshape(-1)

    slopes = jax.jit(lambda own, c: (added(own, c), jax.jacfwd(added)(own, c)))

    def penalty(c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r, J = slopes(jnp.asarray(c)[places], jnp.asarray(c))
        return np.asarray(r), np.asarray(J)

    return penalty


def _states(trajectories: Sequence[Trajectories]) -> tuple[np.ndarray, np.ndarray]:
    """All states that were measured, (S, 2n), and their inputs."""
    z = np.concatenate([np.concatenate(x.y, axis=2)[0] for x in trajectories])
    inputs = [x.u[0] for x in trajectories if x.u is not None]
    return z, np.concatenate(inputs) if inputs else np.zeros((len(z), 1))


def _unit(trajectories: Sequence[Trajectories]) -> np.ndarray:
    """How fast v or p change along the data, root mean square, (n,)."""
    smooth = [data.with_derivatives(each, window="auto") for each in trajectories]
    rates = [np.asarray(each.rate[1][0]) for each in smooth if each.rate]
    size = np.sqrt(np.mean(np.concatenate(rates) ** 2, axis=0))
    return np.where(size > 0, size, 1.0)


def _parts(
    both: Law, alone: Law, c: Array, z: np.ndarray, u: np.ndarray
) -> tuple[Array, Array]:
    """Rates of v or p by the known part and by what is learned, (S, n) each."""
    k, n = len(alone.names), z.shape[1] // 2

    def parts(shown: Array, u: Array) -> tuple[Array, Array]:
        at, held = both.enter(c, shown), u if both.takes_input else None
        known = alone.field(jnp.zeros(()), at, (c[:k], held))
        return known[n:], both.field(jnp.zeros(()), at, (c, held))[n:] - known[n:]

    return jax.vmap(parts)(jnp.asarray(z), jnp.asarray(u))


def _result(
    search: Search, state: State, alone: Law, network: Network, known: int, measured
) -> KnownAndLearned:
    law, k = search.law, len(alone.names)
    names = [x for x, f in zip(alone.names, search.free, strict=False) if f]
    # The prior of the weights is so many more measurements.
    J = search.jacobian(state)
    prior = np.zeros((len(state.precision), J.shape[1]))
    np.fill_diagonal(prior, np.sqrt(state.precision) * (np.arange(len(prior)) >= known))
    errors = dict.fromkeys(alone.names, 0.0)
    if names:
        values = state.c[search.free][:known]
        found = errors_of(np.concatenate([J, prior]), values, names)
        errors |= dict(zip(names, found.standard.tolist(), strict=True))
    covariance = np.zeros((len(state.c), len(state.c)))
    own = covariance_of(search, state)
    if own is not None:
        places, size = np.flatnonzero(search.free), len(state.precision)
        covariance[np.ix_(places, places)] = own[:size, :size]
    _, unravel = ravel_pytree(network.weights)
    weights = unravel(jnp.asarray(state.c[k:]))
    given = network.part
    part: Any = given.energy or given.rate
    every = jax.jit(functools.partial(_parts, law, alone))(
        jnp.asarray(state.c), *_states(search.seen)
    )
    sizes = [np.sqrt(np.mean(np.asarray(x) ** 2, axis=0)) for x in every]
    left, pieces = search.left(state), search.shooting.pieces
    steps = np.concatenate([np.diff(x.t) for x in search.seen])
    step = float(np.median(steps)) / search.shooting.substeps
    constants = dict(zip(alone.names, state.c[:k].tolist(), strict=True))
    notes = _warnings(constants, errors, *sizes)
    notes += misses_something(*search.missed(state)[1:])
    if not state.joined:
        notes.append("the pieces of the record could not be joined")
    return KnownAndLearned(
        constants=constants,
        standard_errors=errors,
        law=BoundLaw("known and learned", law, state.c, covariance, measured, step),
        learned=lambda q, rate: part(weights, q, rate),
        known_rms=sizes[0],
        learned_rms=sizes[1],
        weights=len(state.c) - k,
        determined=state.determined - known,
        rms=float(np.sqrt(np.sum(left**2) / pieces.counts.sum())),
        noise=state.noise,
        starts=state.starts[pieces.first],
        joined=state.joined,
        network=network._replace(weights=weights),
        shown=search.shown(state),
        warnings=tuple(notes),
    )
