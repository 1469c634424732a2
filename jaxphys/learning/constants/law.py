"""A law with unknown constants: an energy or a vector field, friction, and sensors.

Whatever was given becomes one vector field of one vector of constants, and what a
sensor shows of a state.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from jaxphys import mechanics
from jaxphys.learning.constants.extras import (
    FRICTIONS,
    extras_of,
    of_each,
    sensed,
    unsensed,
)
from jaxphys.learning.constants.named import misnamed, named_leaves, naming
from jaxphys.learning.shooting.law import Law
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    PhaseState,
    PyTree,
    State,
    System,
    TangentState,
    Trajectories,
)

__all__ = [
    "KINDS",
    "Learned",
    "Measured",
    "law_of",
    "measured_by",
]


#: What a function of one's own may be.
KINDS = ("hamiltonian", "lagrangian", "field")


class Measured(NamedTuple):
    """What is measured of a motion, without the numbers.

    Attributes:
      state: `PhaseState` or `TangentState`.
      num_coordinates: n.
      num_controls: the size of the input u; 0 for none.
      derived: whether velocities are derivatives of the positions.
      slow: the speed below which a Coulomb friction is smooth.
    """

    state: type[State]
    num_coordinates: int
    num_controls: int
    derived: bool
    slow: float


class Learned(NamedTuple):
    """What is learned beside a law: a term of its energy, or a force.

    Attributes:
      weights: to begin with.
      energy: `energy(weights, q, p)`, or of (q, v), added to that of the law; or None.
      rate: `rate(weights, q, p) -> (n,)`, or of (q, v), added to the rates of p, which
        are forces, or to those of v, which are accelerations; or None.
    """

    weights: PyTree
    energy: Callable[..., Array] | None = None
    rate: Callable[..., Array] | None = None


def measured_by(data: Trajectories) -> Measured:
    """What is measured in these trajectories.

    Example:
      >>> t = np.linspace(0.0, 1.0, 5)[:, None]
      >>> fall = TangentState(-4.9 * t[None] ** 2, -9.8 * t[None])
      >>> measured_by(Trajectories(t[:, 0], fall)).num_coordinates
      1
    """
    return Measured(
        type(data.y),
        data.y.q.shape[2],
        0 if data.u is None else data.u.shape[2],
        "v" in data.meta.get("derived", ()),
        1e-2 * float(np.std(np.asarray(data.y[1], float))) or 1e-6,
    )


def law_of(
    law: System | Callable,
    constants: PyTree,
    seen: Measured,
    *,
    kind: str | None,
    friction: Sequence[str] | Mapping[str, float],
    sensors: Sequence[str] | Mapping[str, float],
    learned: Learned | None = None,
) -> Law:
    """What was given as one vector field of one vector of constants.

    Args:
      law: a system, an energy H(params, q, p) or L(params, q, v), or a vector field
        f(t, y, params), of states or of vectors (2n,).
      constants: where to begin, as the law takes them; None for a system's own.
      seen: what is measured of the motion.
      kind: "hamiltonian", "lagrangian" or "field"; None to tell by the names of the
        function's arguments.
      friction: names from `FRICTIONS`, one constant a coordinate each; or name →
        where to begin.
      sensors: names from `SENSORS`, likewise.
      learned: what is learned beside the law; its weights are the last constants.

    Raises:
      ValueError: where law, constants and data do not fit.
    """
    state, n = seen.state, seen.num_coordinates
    params, energies = _given(law, constants, kind, state, n)
    flat, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.asarray(x, float), params))
    columns = (*state._fields, *(("u",) if seen.num_controls else ()))
    extras = extras_of(friction, sensors, n, columns)
    names = [*named_leaves(params), *extras]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(
            f"two constants are {twice[0]}; rename that of the law, as friction and "
            "sensors have theirs."
        )
    k, known = len(flat), len(names)
    weights, unravel_weights = ravel_pytree(() if learned is None else learned.weights)
    names += [f"w{i}" for i in range(len(weights))]

    def split(c: Array) -> tuple[PyTree, dict[str, Array]]:
        return unravel(c[:k]), dict(zip(extras, c[k:known], strict=True))

    def of_weights(part: Callable | None) -> Callable | None:
        if part is None:
            return None
        return lambda c, *at: part(unravel_weights(c[known:]), *at)

    energies = energies._replace(
        more=of_weights(learned and learned.energy),
        push=of_weights(learned and learned.rate),
    )
    with naming(params):
        _tried(energies, params, n)
    field, observe, enter = _motion(energies, seen, split, tuple(friction), len(names))

    def shown(c: Array, z: Array) -> Array:
        return sensed(split(c)[1], observe(c, z), state, n)

    def entered(c: Array, told: Array) -> Array:
        extras = split(c)[1]
        if seen.derived:
            # Velocities that are derivatives of positions have the scale of these.
            scale = of_each(extras, "scale_q", n)
            told = told if scale is None else told.at[n:].divide(scale)
        return enter(c, unsensed(extras, told, state, n))

    def delay(c: Array) -> Array:
        return split(c)[1]["delay_u"]

    start = np.concatenate([np.asarray(flat, float), list(extras.values()), weights])
    kind_of_state, energy, lagrangian = _own_energies(energies, state, split)
    return Law(
        tuple(names),
        start,
        field,
        shown,
        entered,
        lambda c: split(jnp.asarray(c))[0],
        seen.num_controls > 0,
        kind_of_state,
        energy,
        lagrangian,
        delay=delay if "delay_u" in extras else None,
    )


def _tried(energies, params: PyTree, n: int) -> None:
    """Call an energy of one's own once, so that it tells which constants it misses."""
    energy = energies.lagrangian or energies.hamiltonian
    if energy is not None:
        zero = jnp.zeros(n)
        jax.eval_shape(lambda q, rate: energy(params, q, rate), zero, zero)


def _own_energies(energies, state: type[State], split) -> tuple:
    """The kind of state in which a law moves, its energy and its Lagrangian."""

    if energies.lagrangian is not None:
        lagrangian = energies.of_constants(energies.lagrangian, split)
        return TangentState, mechanics.energy(lagrangian), lagrangian
    if energies.hamiltonian is not None:
        return PhaseState, energies.of_constants(energies.hamiltonian, split), None
    return state, None, None


class _Energies(NamedTuple):
    """What moves: one of the three, and what else acts."""

    hamiltonian: Callable | None = None
    lagrangian: Callable | None = None
    field: Callable | None = None
    force: Callable | None = None
    dissipation: Callable | None = None
    #: What is learned beside it, functions of all constants: a term, and a force.
    more: Callable | None = None
    push: Callable | None = None

    def of_constants(self, given: Callable, split: Callable) -> Callable:
        """An energy as a function of all constants, with what is learned beside it."""

        def energy(c: Array, q: Array, rate: Array) -> Array:
            known = given(split(c)[0], q, rate)
            return known if self.more is None else known + self.more(c, q, rate)

        return energy


def _given(
    law: Any, constants: PyTree, kind: str | None, state: type[State], n: int
) -> tuple[PyTree, _Energies]:
    """The constants, and the energies or the field, of what was given."""
    # Families of systems are functions that know their default system.
    if not isinstance(law, System) and hasattr(law, "hamiltonian"):
        law = law()
    if isinstance(law, System):
        if len(law.periodic) != n:
            raise ValueError(
                f"{law.name} has {len(law.periodic)} coordinates and the data have {n}."
            )
        wants_v = state is TangentState and law.lagrangian is not None
        energies = _Energies(
            hamiltonian=None if wants_v else law.hamiltonian,
            lagrangian=law.lagrangian if wants_v or law.hamiltonian is None else None,
            force=law.force,
            dissipation=law.dissipation,
        )
        return _overridden(law.params, constants), energies
    if not callable(law):
        raise ValueError(
            f"the law is a {type(law).__name__}; expected a system, or a function "
            "H(params, q, p), L(params, q, v) or f(t, y, params)."
        )
    if constants is None:
        raise ValueError(
            "a function as a law needs constants=, where to look for its constants, "
            'such as {"mass": 1.0, "stiffness": 2.0}.'
        )
    kind = kind or _kind_of(law)
    check_known("kind", kind, KINDS)
    return constants, _Energies(**{kind: law})


def _overridden(params: PyTree, constants: PyTree) -> PyTree:
    """A system's constants with those that were given by name."""
    if constants is None or isinstance(constants, type(params)):
        return params if constants is None else constants
    if not isinstance(constants, Mapping):
        raise ValueError(
            f"constants is a {type(constants).__name__}; expected a dict of some of "
            f"{', '.join(params._fields)}, or a {type(params).__name__} of them all."
        )
    for name in constants:
        check_known("constant", name, params._fields)
    return params._replace(**constants)


def _kind_of(law: Callable) -> str:
    names = [name.lower() for name in inspect.signature(law).parameters]
    if len(names) >= 3:
        if names[0] in ("t", "time"):
            return "field"
        if names[2].startswith("p"):
            return "hamiltonian"
        if names[2].startswith(("v", "qd", "dq", "q_d", "w", "omega")):
            return "lagrangian"
    raise ValueError(
        f"the function has arguments {', '.join(names)}; expected H(params, q, p), "
        'L(params, q, v) or f(t, y, params). Say which it is by kind="hamiltonian", '
        '"lagrangian" or "field".'
    )


def _motion(energies, seen, split, friction, size):
    """(field, observe, enter) of vectors z, without sensors."""
    n, pushed = seen.num_coordinates, seen.num_controls > 0
    if energies.field is not None:
        if friction:
            raise ValueError(
                "friction is added to an energy; a vector field has its own: write it "
                "there."
            )
        sizes = size, seen.num_controls
        known, *shown = _field_motion(energies.field, seen.state, split, n, sizes)
        if energies.more is not None:
            raise ValueError(
                "a term of an energy is learned beside an energy; of a vector field a "
                'force is: learned="force".'
            )
        return _pushed(known, energies.push), *shown
    if pushed and seen.num_controls != n:
        raise ValueError(
            f"u has {seen.num_controls} columns and q {n}; inputs that push an energy "
            "are generalized forces, one a coordinate. Give a vector field f(t, y, "
            "(params, u)) in its place."
        )

    def dissipation(args, q, v):
        params, extras = split(args[0])
        total = jnp.zeros(())
        if energies.dissipation is not None:
            total = total + energies.dissipation(params, q, v)
        for name in friction:
            each = of_each(extras, name, n)
            total = total + jnp.sum(FRICTIONS[name](jnp.asarray(each), v, seen.slow))
        return total

    def force(t, y, args):
        push = args[1] if pushed else jnp.zeros(n)
        if energies.force is not None:
            push = push + energies.force(t, y, split(args[0])[0])
        return push

    lossy = friction or energies.dissipation is not None
    acting = {
        "dissipation": dissipation if lossy else None,
        "force": force if pushed or energies.force is not None else None,
    }
    if energies.lagrangian is not None:
        energy = energies.of_constants(energies.lagrangian, split)
        known, *shown = _energy_motion(energy, _OF_VELOCITIES, seen.state, acting)
        return _pushed(known, energies.push), *shown
    energy = energies.of_constants(energies.hamiltonian, split)
    known, *shown = _energy_motion(energy, _OF_MOMENTA, seen.state, acting)
    return _pushed(known, energies.push), *shown


def _pushed(field: Callable, push: Callable | None) -> Callable:
    """A field of vectors with further rates of v or p."""
    if push is None:
        return field

    def both(t: Array, z: Array, args: Any) -> Array:
        q, rate = jnp.split(z, 2)
        return field(t, z, args) + jnp.concatenate([0 * q, push(args[0], q, rate)])

    return both


def _vector(field: Callable, state: type[State]) -> Callable:
    def of_vector(t: Array, z: Array, args: Any) -> Array:
        return jnp.concatenate(field(t, state(*jnp.split(z, 2)), args))

    return of_vector


class _Form(NamedTuple):
    """How an energy of one kind of state becomes a motion.

    Attributes:
      state: of which it is an energy.
      field: from the energy to its vector field.
      other: from the energy to p(params, q, v), or v(params, q, p), which a file may
        have in place of the state's own.
    """

    state: type[State]
    field: Callable
    other: Callable


_OF_VELOCITIES = _Form(
    TangentState, mechanics.lagrangian_vector_field, mechanics.momentum
)
_OF_MOMENTA = _Form(PhaseState, mechanics.hamiltonian_vector_field, mechanics.velocity)


def _energy_motion(energy: Callable, form: _Form, measured: type[State], acting):
    """An energy's vector field, and how what is measured is seen in its states."""

    def of_arguments(args, q, rate):
        return energy(args[0], q, rate)

    field = _vector(form.field(of_arguments, **acting), form.state)
    if measured is form.state:
        return field, _same, _same
    other = form.other(energy)

    def observe(c: Array, z: Array) -> Array:
        q, rate = jnp.split(z, 2)
        return jnp.concatenate([q, other(c, q, rate)])

    def enter(c: Array, seen: Array) -> Array:
        return _inverted(lambda z: observe(c, z), seen)

    return field, observe, enter


def _inverted(observe: Callable, seen: Array, steps: int = 12) -> Array:
    """The state that shows this, by Newton's method from the shown one."""

    def closer(_, z: Array) -> Array:
        return z + jnp.linalg.solve(jax.jacfwd(observe)(z), seen - observe(z))

    return jax.lax.fori_loop(0, steps, closer, seen)


def _field_motion(given: Callable, state: type, split, n: int, sizes: tuple):
    """A user's vector field, of states or of vectors (2n,)."""
    size, inputs = sizes

    def arguments(args: Any) -> Any:
        params = split(args[0])[0]
        return (params, args[1]) if inputs else params

    def of_states(t: Array, y: Any, args: Any) -> Any:
        return given(t, y, arguments(args))

    def of_vector(t: Array, z: Array, args: Any) -> Array:
        return jnp.asarray(given(t, z, arguments(args)))

    args = (jnp.zeros(size), jnp.zeros(inputs or 1))
    half, whole = jnp.zeros(n), jnp.zeros(2 * n)
    found = []
    for field, y in ((of_states, state(half, half)), (of_vector, whole)):
        try:
            shown = jax.eval_shape(field, jnp.zeros(()), y, args)
        except Exception as error:
            if text := misnamed(error, split(args[0])[0]):
                raise ValueError(text) from error
            found.append(f"{type(error).__name__}: {error}")
            continue
        if isinstance(shown, state):
            return _vector(of_states, state), _same, _same
        if getattr(shown, "shape", None) == (2 * n,) and field is of_vector:
            return of_vector, _same, _same
        found.append(str(shown))
    raise ValueError(
        f"the vector field f(t, y, params) returns neither a {state.__name__} of "
        f"shapes ({n},) nor a vector ({2 * n},). Of a state it gives {found[0]}; of a "
        f"vector, {found[1]}."
    )


def _same(c: Array, z: Array) -> Array:
    """States that are shown as they are."""
    return z
