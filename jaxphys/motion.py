"""Motions: the one way to make a trajectory, of a system or of a learned model.

A `Dynamics` says how a state changes. `of_system` makes one of a mechanical system, as
`jaxphys.models` make them of networks. A `Motion` follows it from batches of states,
and a `Simulator` makes data sets of a known system, to a tolerance; each compiles once.
`INTEGRATORS` is the one table of names.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import integrators, mechanics, ode, trees
from jaxphys.checks import (
    check_count,
    check_function,
    check_key,
    check_positive,
    checked,
    has,
)
from jaxphys.data import Chunk, check_trajectories
from jaxphys.names import check_known
from jaxphys.types import (
    Array,
    Chart,
    Dynamics,
    PhaseState,
    PyTree,
    State,
    Step,
    System,
    TangentState,
    Trajectories,
    VectorField,
    required,
)

__all__ = [
    "FIXED_STEP",
    "INTEGRATORS",
    "Integrator",
    "Motion",
    "Simulator",
    "arguments",
    "chart_of",
    "drawn",
    "follow",
    "make_stepper",
    "of_system",
    "simulated",
]


class Integrator(NamedTuple):
    """How one integrator is made.

    Attributes:
      make: of a vector field, a Hamiltonian or a Lagrangian; of those with adaptive
        steps it is `ode.solve` with the solver's name.
      of: what it is made of: "field", "hamiltonian", "lagrangian" or "adaptive".
    """

    make: Callable[..., Any]
    of: str


#: Every integrator by name.
INTEGRATORS: dict[str, Integrator] = {
    "rk4": Integrator(integrators.rk4, "field"),
    "euler": Integrator(integrators.euler, "field"),
    "implicit_midpoint": Integrator(integrators.implicit_midpoint, "field"),
    "gauss4": Integrator(integrators.gauss4, "field"),
    "symplectic_euler": Integrator(integrators.symplectic_euler, "hamiltonian"),
    "leapfrog": Integrator(integrators.leapfrog, "hamiltonian"),
    "yoshida4": Integrator(integrators.yoshida4, "hamiltonian"),
    "yoshida6": Integrator(integrators.yoshida6, "hamiltonian"),
    "variational": Integrator(integrators.variational, "lagrangian"),
    **{
        name: Integrator(functools.partial(ode.solve, solver=name), "adaptive")
        for name in ode.SOLVERS
    },
}

#: The names of those that take steps of one length.
FIXED_STEP = tuple(name for name, each in INTEGRATORS.items() if each.of != "adaptive")


def _check_state(name: str, state: Any) -> None:
    if state not in (PhaseState, TangentState):
        raise TypeError(f"{name} is {state!r}; expected PhaseState or TangentState.")


@checked(dynamics=has("a Dynamics", "vector_field", "state"))
def make_stepper(dynamics: Dynamics, name: str) -> Callable[[VectorField], Step]:
    """The fixed-step integrator of that name for a motion: `vector_field -> step`.

    Raises:
      ValueError: for an unknown name, an adaptive integrator, or a symplectic one of a
        motion that is not Hamilton's.

    Example:
      >>> from jaxphys import systems
      >>> spring = of_system(systems.mass_spring())
      >>> step = make_stepper(spring, "leapfrog")(spring.vector_field)
    """
    make, of = INTEGRATORS[check_known("integrator", name, FIXED_STEP)]
    if name == "rk4":
        # Its stages in a loop compile four times faster; networks run no slower.
        return functools.partial(integrators.rk4, rolled=True)
    if of == "field":
        return make
    if of == "lagrangian":
        return lambda field: make(required(dynamics, "lagrangian"))
    if not dynamics.conservative:
        general = [key for key, each in INTEGRATORS.items() if each.of == "field"]
        raise ValueError(
            f"{name} integrates a Hamiltonian and would leave out all else of this "
            f"motion; use one of {', '.join(general)}."
        )
    return lambda field: make(required(dynamics, "energy"))


@checked(system=has("a System", "params", "sample"), state=_check_state)
def of_system(system: System, state: type[State] = PhaseState) -> Dynamics:
    """The system's own motion as a Dynamics; its weights are the system's constants.

    Args:
      system: force and dissipation act.
      state: `PhaseState` for Hamilton's equations, `TangentState` for Lagrange's.

    Raises:
      ValueError: for a system without the energy that this takes.

    Example:
      >>> from jaxphys import systems
      >>> pendulum = systems.pendulum()
      >>> motion = of_system(pendulum, TangentState)
      >>> at = TangentState(jnp.ones(1), jnp.zeros(1))
      >>> print(motion.vector_field(0.0, at, pendulum.params).v.round(2))
      [-5.05]
    """

    def constants(key: Array) -> PyTree:
        del key
        return system.params

    alone = system.force is None and system.dissipation is None
    if state is PhaseState:
        return Dynamics(
            constants,
            mechanics.vector_field(system),
            energy=required(system, "hamiltonian"),
            conservative=alone,
        )
    lagrangian = required(system, "lagrangian")
    field = mechanics.lagrangian_vector_field(
        lagrangian, force=system.force, dissipation=system.dissipation
    )
    return Dynamics(
        constants,
        field,
        TangentState,
        mechanics.energy(lagrangian),
        inverse=mechanics.inverse_dynamics(lagrangian, dissipation=system.dissipation),
        lagrangian=lagrangian,
    )


def arguments(params: PyTree, u: Array | None) -> Any:
    """What a vector field takes as its args: the weights, and the input if any."""
    return params if u is None else (params, u)


@checked(dynamics=has("a Dynamics", "vector_field", "state"))
def chart_of(dynamics: Dynamics) -> Chart:
    """The coordinates in which a motion is integrated: its chart's, or its own."""
    own = Chart(lambda params, y: y, lambda params, z: z, dynamics.vector_field)
    return own if dynamics.chart is None else dynamics.chart


@checked(
    make_step=check_function,
    substeps=check_count,
    dynamics=has("a Dynamics", "vector_field", "state"),
)
def follow(
    dynamics: Dynamics,
    make_step: Callable[[VectorField], Step] = integrators.rk4,
    substeps: int = 1,
) -> Callable[[PyTree, Chunk], PyTree]:
    """`path(params, Chunk)`: the states at all its times but the first.

    It is what trajectory matching differentiates. A motion that has a chart is
    integrated in its coordinates.

    Args:
      dynamics: the motion.
      make_step: an integrator, `make_step(vector_field) -> step(t, y, dt, args)`.
      substeps: integrator steps between two times.
    """
    chart = chart_of(dynamics)
    # The gradient of an energy leaves many arrays for the way back, which are copied
    # from loop to loop; kept are products alone, the rest is cheaper computed again.
    field = jax.checkpoint(
        chart.vector_field,
        prevent_cse=False,
        policy=jax.checkpoint_policies.dots_saveable,
    )
    step = make_step(field)

    def path(params: PyTree, chunk: Chunk) -> PyTree:
        small = jnp.diff(chunk.t) / substeps

        def between(y: PyTree, at: tuple):
            t, dt, u = at
            for number in range(substeps):
                y = step(t + number * dt, y, dt, arguments(params, u))
            return y, y

        at = (chunk.t[:-1], small, chunk.u)
        inner = jax.lax.scan(between, chart.enter(params, chunk.y), at)[1]
        return jax.vmap(chart.leave, (None, 0))(params, inner)

    return path


class Motion:
    """A Dynamics with what was compiled of it, for batches of states.

    Keep one object for one motion: it compiles once for each shape, whatever the
    weights.

    Attributes:
      dynamics: whose motion it is.

    Example:
      >>> from jaxphys import systems
      >>> spring = systems.mass_spring()
      >>> motion = Motion(of_system(spring))
      >>> start = PhaseState(jnp.ones((2, 1)), jnp.zeros((2, 1)))
      >>> path = motion.path(spring.params, start, np.linspace(0.0, 1.0, 5))
      >>> path.q.shape, motion.energy(spring.params, path).shape
      ((2, 5, 1), (2, 5))
    """

    def __init__(self, dynamics: Dynamics):
        self.dynamics = dynamics
        chart = chart_of(dynamics)
        step = integrators.rk4(chart.vector_field)

        @functools.partial(jax.jit, static_argnames=("substeps", "num_steps"))
        def path(params, starts, dt, u, *, substeps, num_steps):
            args = arguments(params, u)

            def one(y: PyTree) -> PyTree:
                z = chart.enter(params, y)
                path = integrators.rollout(
                    step, z, dt=dt, num_steps=num_steps, args=args, substeps=substeps
                )
                return jax.vmap(chart.leave, (None, 0))(params, path)

            return jax.vmap(one)(starts)

        @jax.jit
        def energy(params, states):
            return jax.vmap(required(dynamics, "energy"), (None, 0, 0))(params, *states)

        @jax.jit
        def rate(params, states, u):
            def one(y: PyTree) -> PyTree:
                return dynamics.vector_field(0.0, y, arguments(params, u))

            return jax.vmap(one)(states)

        self._path, self._energy, self._rate = path, energy, rate

    def path(
        self,
        params: PyTree,
        starts: State,
        ts: np.ndarray,
        *,
        longest: float = 0.02,
        u: Array | None = None,
    ) -> State:
        """States (N, T, n) from a batch of starts (N, n), by RK4 at even times.

        Args:
          params: weights or constants.
          starts: states, leading axis N, of the dtype to compute in.
          ts: T even times.
          longest: the longest time step.
          u: an input that is held throughout, of a motion that has one.

        Returns:
          The starts included; not finite where a learned field ran away.
        """
        dt = float(ts[1] - ts[0])
        substeps = int(np.ceil(dt / longest - 1e-9))
        return self._path(
            params, starts, dt, u, substeps=substeps, num_steps=len(ts) - 1
        )

    def energy(self, params: PyTree, states: State) -> Array:
        """The energy of states with any leading axes.

        Raises:
          ValueError: for a motion without an energy.
        """
        flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), states)
        return self._energy(params, flat).reshape(states[0].shape[:-1])

    def rate(self, params: PyTree, states: State, u: Array | None = None) -> State:
        """dy/dt at a batch of states (N, n), under one input."""
        return self._rate(params, states, u)


class Simulator:
    """Data sets of one known system, from random states; compiled once for each shape.

    Args:
      system: its dissipation and force act.
      rtol, atol: tolerances of an integration step, those of `ode.solve` by default.

    Example:
      >>> from jaxphys import systems
      >>> simulator = Simulator(systems.mass_spring(1.0, 2.0))
      >>> for seed in (0, 1):
      ...     seen = simulator.simulated(jax.random.key(seed), 3, np.arange(5.0))
      >>> seen.y.q.shape
      (3, 5, 1)
    """

    def __init__(
        self, system: System, *, rtol: float | None = None, atol: float | None = None
    ):
        self.system = system

        @jax.jit
        @functools.partial(jax.vmap, in_axes=(0, None, None))
        def solve(y0: PhaseState, ts: Array, params: PyTree):
            energy = required(system, "hamiltonian")
            field = mechanics.hamiltonian_vector_field(
                energy, force=system.force, dissipation=system.dissipation
            )
            ys = ode.solve(
                field, y0, ts, params, rtol=rtol, atol=atol, derivative="forward"
            ).ys
            # Times that were not reached are infinite, and have no energy.
            good = jnp.isfinite(ys.q).all(1) & jnp.isfinite(ys.p).all(1)
            ys = jax.tree.map(lambda x: jnp.where(good[:, None], x, jnp.nan), ys)
            rates = jax.vmap(field, (0, 0, None))(ts, ys, params)
            return ys, rates, jax.vmap(energy, (None, 0, 0))(params, *ys)

        @jax.jit
        def accelerate(states: TangentState, params: PyTree):
            field = of_system(system, TangentState).vector_field
            return jax.vmap(lambda y: field(0.0, y, params))(states)

        self._solve, self._accelerate = solve, accelerate

    def simulated(
        self,
        key: Array,
        num_trajectories: int,
        ts: np.ndarray | Array,
        *,
        dtype: jnp.dtype | str | None = None,
    ) -> Trajectories:
        """Motions in (q, p), as the function `simulated` has them."""
        required(self.system, "hamiltonian")
        kind = trees.real_dtype(dtype)
        times = np.asarray(ts, kind)
        if times.ndim != 1 or len(times) < 2 or not np.all(np.diff(times) > 0):
            raise ValueError(
                f"ts has shape {times.shape}; expected at least two times in {kind}, "
                "(T,), that increase."
            )
        keys = jax.random.split(key, _count("num_trajectories", num_trajectories))
        starts = PhaseState(*jax.vmap(self.system.sample)(keys))
        starts, params = trees.cast((starts, self.system.params), kind)
        found = jax.tree.map(np.asarray, self._solve(starts, times, params))
        y, rate, energy = found
        meta = {
            "system": self.system.name,
            "periodic": list(self.system.periodic),
            "coordinates": list(self.system.coordinates),
            "units": list(self.system.units),
        }
        return check_trajectories(
            Trajectories(times, y, rate, energy=energy, meta=meta)
        )

    def drawn(
        self, key: Array, num_states: int, *, dtype: jnp.dtype | str | None = None
    ) -> Trajectories:
        """Single states in (q, v), as the function `drawn` has them."""
        sample = required(self.system, "sample_tangent")
        kind = trees.real_dtype(dtype)
        keys = jax.random.split(key, _count("num_states", num_states))
        states = TangentState(*jax.vmap(sample)(keys))
        states, params = trees.cast((states, self.system.params), kind)
        rate = self._accelerate(states, params)
        q, v, a = (np.asarray(x)[:, None] for x in (*states, rate.v))
        return Trajectories(np.zeros(1, kind), TangentState(q, v), TangentState(v, a))


@checked(
    num_trajectories=check_count,
    rtol=check_positive,
    atol=check_positive,
    system=has("a System", "params", "sample"),
    key=check_key,
)
def simulated(
    system: System,
    key: Array,
    num_trajectories: int,
    ts: np.ndarray | Array,
    *,
    dtype: jnp.dtype | str | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> Trajectories:
    """Motions from random initial states, integrated to a tolerance by `ode.solve`.

    Args:
      system: one with a Hamiltonian; its dissipation and force act.
      key: a random key of the initial states, `system.sample` of its parts.
      num_trajectories: N ≥ 1.
      ts: times, increasing, shape (T,), T ≥ 2.
      dtype: of every array; by default float64 where JAX has it on, else float32.
      rtol, atol: tolerances of a step, those of `ode.solve` by default.

    Returns:
      Trajectories of (q, p) with the exact rates and the energy H; in `meta` the
      system's name, periodic, coordinates and units. A motion that could not be
      followed to the end is NaN from there on.

    Raises:
      ValueError: for a system without a Hamiltonian, and for invalid times, counts and
        dtypes.

    Example:
      >>> from jaxphys import systems
      >>> spring = systems.mass_spring(1.0, 2.0)
      >>> seen = simulated(spring, jax.random.key(0), 3, np.linspace(0.0, 1.0, 5))
      >>> seen.y.q.shape, bool(np.allclose(seen.rate.p, -2 * seen.y.q, atol=1e-5))
      ((3, 5, 1), True)
    """
    simulator = Simulator(system, rtol=rtol, atol=atol)
    return simulator.simulated(key, num_trajectories, ts, dtype=dtype)


@checked(
    num_states=check_count, system=has("a System", "params", "sample"), key=check_key
)
def drawn(
    system: System, key: Array, num_states: int, *, dtype: jnp.dtype | str | None = None
) -> Trajectories:
    """Random states, each alone, with the exact acceleration there.

    Args:
      system: one with a Lagrangian; its dissipation and force act.
      key: a random key of the states, `system.sample_tangent` of its parts.
      num_states: N ≥ 1.
      dtype: as in `simulated`.

    Returns:
      Trajectories of (q, v) at one time, N of them, with their rates.

    Raises:
      ValueError: for a system without a Lagrangian, and for invalid counts and dtypes.

    Example:
      >>> from jaxphys import systems
      >>> drawn(systems.double_pendulum(), jax.random.key(0), 5).rate.v.shape
      (5, 1, 2)
    """
    return Simulator(system).drawn(key, num_states, dtype=dtype)


def _count(name: str, number: int) -> int:
    if int(number) != number or number < 1:
        raise ValueError(f"{name} is {number}; expected a whole number ≥ 1.")
    return int(number)
