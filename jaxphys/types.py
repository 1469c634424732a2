"""The types that all modules share: states, energies, and records of functions.

A state is a NamedTuple of arrays, an energy is a function of one state, and a vector
field is a function of time, one state and its arguments. All are unbatched: batches
come from `jax.vmap`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "Array",
    "Chart",
    "Dynamics",
    "Hamiltonian",
    "Lagrangian",
    "Model",
    "PhaseState",
    "Problem",
    "PyTree",
    "State",
    "Step",
    "System",
    "TangentState",
    "Trajectories",
    "VectorField",
    "check_pair",
    "check_state",
    "phase_state",
    "required",
    "tangent_state",
]

Array = jax.Array
PyTree = Any

# States hold arrays of JAX in computations and arrays of NumPy in `Trajectories`. A
# union of the two would not pass for either of them with a type checker.
_AnyArray = Any


class PhaseState(NamedTuple):
    """A point of phase space: positions `q` and momenta `p`, each of shape (n,)."""

    q: _AnyArray
    p: _AnyArray


class TangentState(NamedTuple):
    """A point of the tangent bundle: positions `q` and velocities `v`, each (n,)."""

    q: _AnyArray
    v: _AnyArray


State = PhaseState | TangentState


def phase_state(flat: Array) -> PhaseState:
    """A flat vector (q₁ … qₙ, p₁ … pₙ) as a `PhaseState`.

    Raises:
      ValueError: if it is not one vector of even length.

    Example:
      >>> print(phase_state(jnp.array([1.0, 2.0, 3.0, 4.0])).p)
      [3. 4.]
    """
    return PhaseState(*_halves("phase_state", flat))


def tangent_state(flat: Array) -> TangentState:
    """A flat vector (q₁ … qₙ, v₁ … vₙ) as a `TangentState`.

    Raises:
      ValueError: if it is not one vector of even length.

    Example:
      >>> print(tangent_state(jnp.array([1.0, 2.0, 3.0, 4.0])).q)
      [1. 2.]
    """
    return TangentState(*_halves("tangent_state", flat))


def _halves(name: str, flat: Array) -> tuple[Array, Array]:
    try:
        flat = jnp.asarray(flat)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} got a {type(flat).__name__}; expected one vector, (2n,)."
        ) from None
    if flat.ndim != 1 or flat.shape[0] % 2:
        raise ValueError(
            f"{name} got shape {flat.shape}; expected one vector of even length, "
            "(2n,): n positions, then n momenta or velocities. For a batch of states "
            "use jax.vmap."
        )
    half = flat.shape[0] // 2
    return flat[:half], flat[half:]


def check_pair(name: str, other: str, q: Array, p: Array, **more: Array) -> None:
    """Raise an error unless q, p and what is more are one state of real numbers.

    Raises:
      TypeError: for what is no array, such as a list.
      ValueError: for a batch, different shapes, and whole or complex numbers.
    """
    for key, x in {"q": q, other: p, **more}.items():
        if not hasattr(x, "shape"):
            raise TypeError(
                f"{name} got {key} as a {type(x).__name__}; expected an array of shape "
                "(n,). Write jax.numpy.array([…]) for a list of floats."
            )
    for key, x in {other: p, **more}.items():
        if jnp.ndim(q) != 1 or jnp.shape(q) != jnp.shape(x):
            raise ValueError(
                f"{name} got q of shape {jnp.shape(q)} and {key} of shape "
                f"{jnp.shape(x)}; expected one state, both of shape (n,). For a batch "
                "use jax.vmap."
            )
    if not jnp.issubdtype(jnp.result_type(q, p), jnp.floating):
        raise ValueError(
            f"{name} got q, {other} of dtype {jnp.result_type(q, p)}; expected a real "
            "floating dtype, as derivatives of integers are not defined."
        )


def check_state(
    name: str, y: PyTree, kind: type[PhaseState] | type[TangentState]
) -> None:
    """Raise a ValueError unless y is one state of this kind."""
    if not isinstance(y, kind):
        make = "phase_state" if kind is PhaseState else "tangent_state"
        got = f"an array of shape {jnp.shape(y)}" if hasattr(y, "shape") else type(y)
        raise ValueError(
            f"{name} got {got}; expected a {kind.__name__}. jaxphys.types.{make} "
            "makes one from a flat vector."
        )
    check_pair(name, kind._fields[1], y[0], y[1])


class Hamiltonian(Protocol):
    """An energy H(params, q, p), a scalar; `params` are constants or weights."""

    def __call__(self, params: PyTree, q: Array, p: Array, /) -> Array: ...


class Lagrangian(Protocol):
    """A Lagrangian L(params, q, v), a scalar; `params` are constants or weights."""

    def __call__(self, params: PyTree, q: Array, v: Array, /) -> Array: ...


class VectorField(Protocol):
    """A right-hand side dy/dt = f(t, y, args), in diffrax's argument order."""

    def __call__(self, t: Any, y: PyTree, args: PyTree, /) -> PyTree: ...


class Step(Protocol):
    """One integrator step, y(t) → y(t + dt)."""

    def __call__(self, t: Array, y: PyTree, dt: Array, args: PyTree, /) -> PyTree: ...


class System(NamedTuple):
    """A mechanical system: constants, energies, and a sampler of initial states.

    Attributes:
      name: the name under which `jaxphys.systems.get` knows it.
      params: a NamedTuple of physical constants; derivatives by them are defined.
      hamiltonian: H(params, q, p), or None if there is none.
      lagrangian: L(params, q, v), or None if there is none.
      sample: `sample(key) -> PhaseState`, a random initial state.
      periodic: one bool per coordinate, True if it is an angle.
      sample_tangent: `sample_tangent(key) -> TangentState`, the same state with
        velocities instead of momenta.
      dissipation: Rayleigh's function R(params, q, v), whose force is −∂R/∂v; or None.
      force: an external generalized force `force(t, y, params) -> (n,)`, which may
        depend on t and y.q only; or None.
      coordinates: a name of each q, in mathtext without dollar signs.
      units: the unit of each q; "1" where quantities are dimensionless.
      points: `points(params, q) -> (k, 2)`, the joints and bodies of a system in the
        plane, for drawing; or None.
      linked: whether rods or springs join the points in order; otherwise each point
        is a separate body.
      separable: whether H = T(p) + V(q), which explicit symplectic methods need.
      duration: a typical time of its motion, in the units of its params.
      dt: a time step with which RK4 is accurate over that time.
    """

    name: str
    params: Any
    hamiltonian: Hamiltonian | None
    lagrangian: Lagrangian | None
    sample: Callable[[Array], PhaseState]
    periodic: tuple[bool, ...]
    sample_tangent: Callable[[Array], TangentState] | None = None
    dissipation: Callable[[PyTree, Array, Array], Array] | None = None
    force: Callable[[Array, PyTree, PyTree], Array] | None = None
    coordinates: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    points: Callable[[PyTree, Array], Array] | None = None
    linked: bool = True
    separable: bool = False
    duration: float = 20.0
    dt: float = 0.01


class Model(NamedTuple):
    """A network as pure functions of its parameters.

    Attributes:
      init: `init(key) -> params`.
      apply: `apply(params, x)` of a plain network; `apply(params, q, p)` of a
        Hamiltonian, `apply(params, q, v)` of a Lagrangian.
      parts: other functions of the same params, by name: "mass" M(params, q),
        "inverse_mass", "potential" V(params, q), "kinetic", "momentum" p(params, q, v),
        "hamiltonian", "lagrangian", "density". `required` reads one of them.
      positive: whether the mass matrix is positive definite for any params.
    """

    init: Callable[[Array], PyTree]
    apply: Callable[..., Array]
    parts: Mapping[str, Callable[..., Array]] = MappingProxyType({})
    positive: bool = False

    # A mapping has no hash. Equal models have equal functions, so theirs serves.
    def __hash__(self) -> int:
        return hash((self.init, self.apply))


class Chart(NamedTuple):
    """Other coordinates z in which a motion is cheaper to integrate.

    Attributes:
      enter: `enter(params, y) -> z`.
      leave: `leave(params, z) -> y`, its inverse.
      vector_field: the same motion, dz/dt = f(t, z, args).
    """

    enter: Callable[[PyTree, PyTree], PyTree]
    leave: Callable[[PyTree, PyTree], PyTree]
    vector_field: VectorField


class Dynamics(NamedTuple):
    """A motion with parameters: a vector field, and an energy if it has one.

    Attributes:
      init: `init(key) -> params`.
      vector_field: f(t, y, params), or f(t, y, (params, u)) with an input u.
      state: the kind of y, `PhaseState` or `TangentState`.
      energy: `energy(params, q, p)`, or `energy(params, q, v)` if y is a TangentState;
        None if the motion has no energy.
      num_controls: size of the input u; 0 for none.
      conservative: whether the vector field is that of Hamilton's equations of the
        energy, so that symplectic steps apply.
      chart: coordinates to integrate in; None for those of y.
      inverse: `inverse(params, q, v, a) -> (n,)`, the external force that gives an
        acceleration; None if it is not known.
      lagrangian: `lagrangian(params, q, v)` of a Lagrangian motion; else None.
    """

    init: Callable[[Array], PyTree]
    vector_field: VectorField
    state: type[PhaseState] | type[TangentState] = PhaseState
    energy: Callable[..., Array] | None = None
    num_controls: int = 0
    conservative: bool = False
    chart: Chart | None = None
    inverse: Callable[..., Array] | None = None
    lagrangian: Lagrangian | None = None


class Trajectories(NamedTuple):
    """Motions of one system, all at the same times: in q and p, or in q and v.

    NumPy arrays, simulated or measured. The class of `y` says which of the two it is.
    Motions with times of their own are a list of `Trajectories`, N = 1 each.

    Attributes:
      t: times, increasing, shape (T,); the steps between them may differ.
      y: the states, a `PhaseState` or a `TangentState` of arrays (N, T, n): N
        trajectories, T times, n coordinates. Angles are not wrapped.
      rate: dy/dt, of the same class and shapes as y, or None where it is not known.
        `rate.q` is the velocity of a motion in q and p.
      u: inputs, shape (N, T, m), each held until the next time; or None.
      energy: shape (N, T), or None.
      meta: whatever else is known, in types that JSON has: numbers, strings, lists and
        dicts. `jaxphys.data.save_trajectories` lists the keys that are used.

    A trajectory that could not be followed to the end is NaN from there on.

    Example:
      >>> t = np.linspace(0.0, 1.0, 5)[:, None]
      >>> fall = TangentState(-4.9 * t[None] ** 2, -9.8 * t[None])
      >>> gravity = np.full((1, 5, 1), -9.8)
      >>> found = Trajectories(t[:, 0], fall, TangentState(fall.v, gravity))
      >>> found.y.q.shape, found.rate.v[0, 0]
      ((1, 5, 1), array([-9.8]))
      >>> found
      Trajectories(N=1, T=5, n=1: q and v; t from 0 to 1; rates)
    """

    t: np.ndarray
    y: State
    rate: State | None = None
    u: np.ndarray | None = None
    energy: np.ndarray | None = None
    meta: Mapping[str, Any] = MappingProxyType({})

    def __repr__(self) -> str:
        shape: Any = getattr(getattr(self.y, "q", None), "shape", ())
        if len(shape) != 3 or not isinstance(self.t, np.ndarray) or not self.t.size:
            return f"Trajectories{tuple(self)!r}"
        N, T, n = shape
        said = [f"N={N}, T={T}, n={n}: {' and '.join(self.y._fields)}"]
        for key, word in (("units", "in"), ("periodic", "angles")):
            value = self.meta.get(key)
            if isinstance(value, (list, tuple)):
                said.append(f"{word} {', '.join(map(str, value))}")
        said.append(f"t from {np.min(self.t):.6g} to {np.max(self.t):.6g}")
        if self.rate is not None:
            said.append("rates")
        if self.u is not None:
            said.append(f"inputs m={np.shape(self.u)[-1]}")
        if self.energy is not None:
            said.append("energy")
        return f"Trajectories({'; '.join(said)})"


class Problem(NamedTuple):
    """A simulator to train a network through.

    The network reads `inputs` and returns a `control`; the physics turns both into
    outputs; the objective compares the outputs with `targets`.

    Attributes:
      name: the title of the problem in results and figures.
      num_inputs, num_controls, num_outputs: sizes of the three vectors of a sample.
      sample: `sample(key, num_samples) -> (inputs, targets)`, batched.
      simulate: `simulate(control, inputs) -> outputs`, one sample.
      objective: `objective(outputs, targets) -> scalar`, one sample.
      residual: `residual(outputs, targets) -> (k,)`, whose sum of squares is the
        objective; None if the objective is a plain sum of squares of the outputs, or
        none at all.
      invert: `invert(control, inputs, targets) -> control`, a control near the given
        one whose outputs are the targets; None if no formula is known.
      check: `check(targets)` raises a ValueError for an invalid batch of targets; None
        if all are valid. Call it before training.
      follow: `follow(policy, inputs)`, the whole motion, of a problem whose network is
        a policy that acts at every step: `simulate` then takes the network, a function
        of what it observes, in place of a control. Of an equation, `follow(network, x)`
        is the solution at a point. None where the network acts once.
    """

    name: str
    num_inputs: int
    num_controls: int
    num_outputs: int
    sample: Callable[[Array, int], tuple[Array, Array]]
    simulate: Callable[[Any, Any], Array]
    objective: Callable[[Array, Array], Array]
    residual: Callable[[Array, Array], Array] | None = None
    invert: Callable[[Array, Array, Array], Array] | None = None
    check: Callable[[Array], None] | None = None
    follow: Callable[[Callable, PyTree], Any] | None = None


#: What is optional in a record: its name in words, and what to do without it.
_OPTIONAL = {
    "hamiltonian": ("Hamiltonian", "mechanics.legendre makes one of a Lagrangian"),
    "lagrangian": ("Lagrangian", "mechanics.legendre makes one of a Hamiltonian"),
    "sample_tangent": ("sampler of velocities", "draw states with sample"),
    "points": ("points to draw", "plot its coordinates"),
    "energy": ("energy", "only its vector_field is known"),
    "inverse": (
        "inverse",
        "models.lagrangian_dynamics has one, and models.forced with direct inputs",
    ),
    "residual": ("residual", "train on its objective"),
    "follow": ("motion", "call simulate with a control"),
    "invert": ("inverse", "optim.local_inverse searches for one"),
    "mass": ("mass matrix", "take models.delan or models.structured"),
    "inverse_mass": ("inverse mass matrix", "take models.structured"),
    "momentum": ("momentum of a velocity", "take models.structured"),
    "potential": (
        "potential",
        "take models.delan, models.structured or models.separable",
    ),
    "kinetic": ("kinetic energy of p alone", "take models.separable"),
    "density": ("density", "take models.lattice"),
}


def required(record: System | Model | Dynamics | Problem, field: str) -> Any:
    """An optional field of a record, or a part of a `Model`, which must be there.

    Args:
      record: a System, Dynamics or Problem, or a Model.
      field: the name of the field; of a Model, the name of one of its parts.

    Raises:
      ValueError: if it is missing, with what to take instead.

    Example:
      >>> required(Model(lambda key: None, lambda params, x: x), "mass")
      Traceback (most recent call last):
      ...
      ValueError: this model has no mass matrix; take models.delan or models.structured.
    """
    if isinstance(record, Model):
        value = record.parts.get(field)
    elif hasattr(record, field):
        value = getattr(record, field)
    else:
        raise TypeError(
            f"got a {type(record).__name__}, which has no {field}; expected a System, "
            "Dynamics, Problem or Model."
        )
    if value is None:
        kind = {Model: "model", Dynamics: "motion"}.get(type(record), "record")
        name = getattr(record, "name", f"this {kind}")
        word, instead = _OPTIONAL.get(field, (field, "give it one"))
        raise ValueError(f"{name} has no {word}; {instead}.")
    return value
