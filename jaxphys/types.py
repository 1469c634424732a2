"""What everything else agrees on: states, energies, and the records of the house.

A state is a NamedTuple of arrays, an energy is a function of one state, and a vector
field is a function of time, one state and its arguments. All are unbatched: batches
come from `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax

Array = jax.Array
PyTree = Any


class PhaseState(NamedTuple):
    """A point of phase space: positions `q` and momenta `p`, each of shape (n,)."""

    q: Array
    p: Array


class TangentState(NamedTuple):
    """A point of the tangent bundle: positions `q` and velocities `v`, each (n,)."""

    q: Array
    v: Array


class Hamiltonian(Protocol):
    """An energy H(params, q, p), a scalar; `params` are constants or weights."""

    def __call__(self, params: PyTree, q: Array, p: Array, /) -> Array: ...


class Lagrangian(Protocol):
    """A Lagrangian L(params, q, v), a scalar; `params` are constants or weights."""

    def __call__(self, params: PyTree, q: Array, v: Array, /) -> Array: ...


class VectorField(Protocol):
    """A right-hand side dy/dt = f(t, y, args), in diffrax's argument order."""

    def __call__(self, t: Array, y: PyTree, args: PyTree, /) -> PyTree: ...


class Step(Protocol):
    """One integrator step, y(t) → y(t + dt)."""

    def __call__(self, t: Array, y: PyTree, dt: Array, args: PyTree, /) -> PyTree: ...


class System(NamedTuple):
    """A mechanical system: its constants, its energies, and where its motion starts.

    Attributes:
      name: the name under which `jaxphys.systems.get` knows it.
      params: a NamedTuple of physical constants, one may differentiate by them.
      hamiltonian: H(params, q, p), or None where there is no such form.
      lagrangian: L(params, q, v), or None where there is no such form.
      sample: `sample(key) -> PhaseState`, a random initial state.
      periodic: one bool a coordinate, True where q is an angle.
    """

    name: str
    params: Any
    hamiltonian: Hamiltonian | None
    lagrangian: Lagrangian | None
    sample: Callable[[Array], PhaseState]
    periodic: tuple[bool, ...]


class Model(NamedTuple):
    """A network as two pure functions: `init(key) -> params`, `apply(params, x)`."""

    init: Callable[[Array], PyTree]
    apply: Callable[..., Array]


class Problem(NamedTuple):
    """A simulator to train a network through.

    The network reads `inputs` and returns a `control`; the physics turns both into
    outputs; the objective compares these with `targets`.

    Attributes:
      name: what the problem is called in results and figures.
      num_inputs, num_controls, num_outputs: sizes of the three vectors of a sample.
      sample: `sample(key, num_samples) -> (inputs, targets)`, batched.
      simulate: `simulate(control, inputs) -> outputs`, one sample.
      objective: `objective(outputs, targets) -> scalar`, one sample.
    """

    name: str
    num_inputs: int
    num_controls: int
    num_outputs: int
    sample: Callable[[Array, int], tuple[Array, Array]]
    simulate: Callable[[Array, Array], Array]
    objective: Callable[[Array, Array], Array]
