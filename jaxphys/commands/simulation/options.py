"""How a system is simulated: options, times, initial states, and what is invalid."""

import dataclasses
import math
import pathlib
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxphys import devices, mechanics, ode, trees
from jaxphys.checks import check_count
from jaxphys.commands.simulation.constants import plain_names
from jaxphys.motion import INTEGRATORS
from jaxphys.names import check_known
from jaxphys.types import PhaseState, System

__all__ = [
    "Grid",
    "Plan",
    "SimulateOptions",
    "check_integrator",
    "initial_states",
    "is_adaptive",
    "plan",
    "time_grid",
]

#: Times that are saved where nothing else is asked for, at most.
_SAVED_INTERVALS = 1000
#: Bytes of memory for each byte of states, by `python -m benchmarks run memory`.
_COPIES = 2.5


@dataclasses.dataclass(frozen=True)
class SimulateOptions:
    """What every `jaxphys simulate` understands.

    Attributes:
      integrator: fixed-step `rk4`, `euler`; symplectic `symplectic_euler`, `leapfrog`,
        `yoshida4`, `yoshida6` (for H = T(p) + V(q)), `implicit_midpoint`, `gauss4`,
        `variational`; adaptive `tsit5`, `dopri5`, `dopri8`, `kvaerno5` (stiff).
      duration: how long, in the system's unit of time; by default its own.
      dt: the time step, lowered a little where steps would not fill the duration; by
        default the system's own. Adaptive integrators choose their steps themselves,
        and save at multiples of `save_every` times this.
      save_every: steps from one saved state to the next; by default so many that some
        1000 states are saved.
      trajectories: how many, from random initial states.
      seed: of the initial states.
      dtype: `float64` or `float32`.
      state: the initial state, q₁ … qₙ and then p₁ … pₙ, in place of a random one.
      velocities: whether the second half of `state` is velocities, not momenta.
      rtol: relative tolerance of an adaptive integrator.
      atol: absolute tolerance of an adaptive integrator.
      out: directory of the results; `runs/SYSTEM-DATE-TIME` by default.
      animate: whether to write an animation, of systems that live in the plane.
    """

    integrator: str = "rk4"
    duration: float | None = None
    dt: float | None = None
    save_every: int | None = None
    trajectories: int = 1
    seed: int = 0
    dtype: str = "float64"
    state: tuple[float, ...] | None = None
    velocities: bool = False
    rtol: float | None = None
    atol: float | None = None
    out: pathlib.Path | None = None
    animate: bool = True


class Grid(NamedTuple):
    """Saved times: `intervals` of `substeps` steps of `dt` each."""

    intervals: int
    substeps: int
    dt: float


class Plan(NamedTuple):
    """Everything that a simulation needs, checked."""

    system: System
    options: SimulateOptions
    grid: Grid
    y0: PhaseState

    @property
    def step(self) -> float | None:
        """The time step, None where it is adaptive."""
        return None if is_adaptive(self.options.integrator) else self.grid.dt


def plan(system: System, options: SimulateOptions) -> Plan:
    """The grid and the initial states of a simulation.

    Raises:
      ValueError: for invalid options, or those that do not fit the system.
    """
    check_integrator(system, options.integrator)
    _check_tolerances(options)
    duration = system.duration if options.duration is None else options.duration
    # A short motion of a system is still made of steps.
    default = system.dt if options.duration is None else min(system.dt, duration)
    dt = default if options.dt is None else options.dt
    grid = time_grid(duration, dt, options.save_every)
    _check_memory(system, options, grid)
    return Plan(system, options, grid, initial_states(system, options))


def _check_memory(system: System, options: SimulateOptions, grid: Grid) -> None:
    """Refuse more states than memory holds, before any is computed."""
    check_count("trajectories", options.trajectories)
    # Of each state q, p, their rates and the energy are kept.
    numbers = (grid.intervals + 1) * (4 * len(system.periodic) + 1)
    size = options.trajectories * numbers * trees.real_dtype(options.dtype).itemsize
    devices.check_memory(
        _COPIES * size,
        f"{options.trajectories} trajectories of {grid.intervals + 1} states",
        "lower --trajectories, or save fewer states by a larger --save-every",
    )


def is_adaptive(integrator: str) -> bool:
    """Whether an integrator chooses its steps itself.

    Example:
      >>> is_adaptive("tsit5"), is_adaptive("rk4")
      (True, False)
    """
    return INTEGRATORS[integrator].of == "adaptive"


def time_grid(duration: float, dt: float, save_every: int | None = None) -> Grid:
    """Steps of at most dt that fill the duration, and how many lie between two saves.

    Raises:
      ValueError: for an invalid duration, step or number between saves.

    Example:
      >>> time_grid(10.0, 0.002)
      Grid(intervals=1000, substeps=5, dt=0.002)
    """
    for name, value in (("duration", duration), ("dt", dt)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; expected a finite time > 0.")
    if duration < dt * (1 - 1e-9):
        raise ValueError(
            f"duration {duration:g} is shorter than one step, dt = {dt:g}; raise the "
            "duration or lower dt."
        )
    steps = math.ceil(duration / dt - 1e-6)
    if save_every is None:
        least = math.ceil(steps / _SAVED_INTERVALS)
        # A divisor leaves dt as it is.
        even = (k for k in range(least, 2 * least) if steps % k == 0)
        save_every = next(even, least)
    if not 1 <= save_every <= steps:
        raise ValueError(
            f"save_every is {save_every}; expected steps, from 1 to {steps}, as "
            f"many as there are of dt = {dt:g} in {duration:g}."
        )
    intervals = math.ceil(steps / save_every)
    return Grid(intervals, save_every, duration / (intervals * save_every))


def check_integrator(system: System, name: str) -> str:
    """The same name, or a ValueError where it is unknown or not for this system.

    Example:
      >>> from jaxphys import systems
      >>> check_integrator(systems.get("double_pendulum"), "leapfrog")
      Traceback (most recent call last):
      ...
      ValueError: leapfrog needs H = T(p) + V(q), and double_pendulum is not of that \
form: it would be neither symplectic nor of its order. Take implicit_midpoint or \
gauss4, which are symplectic for every H.
    """
    kind = INTEGRATORS[check_known("integrator", name, INTEGRATORS)].of
    if kind in ("field", "adaptive"):
        return name
    outside = [what for what in ("force", "dissipation") if getattr(system, what)]
    if outside:
        raise ValueError(
            f"{name} follows an energy alone, and {system.name} has a "
            f"{' and a '.join(outside)} besides, which it would leave out. Take rk4, "
            "gauss4 or an adaptive integrator."
        )
    if kind == "lagrangian":
        if system.lagrangian is None:
            raise ValueError(
                f"variational needs a Lagrangian, which {system.name} does not have; "
                "take implicit_midpoint or gauss4."
            )
    elif system.hamiltonian is None or not system.separable:
        raise ValueError(
            f"{name} needs H = T(p) + V(q), and {system.name} is not of that form: it "
            "would be neither symplectic nor of its order. Take implicit_midpoint or "
            "gauss4, which are symplectic for every H."
        )
    return name


def initial_states(system: System, options: SimulateOptions) -> PhaseState:
    """The states to start from, q and p of shape (N, n), in the dtype asked for.

    Each is drawn by a key of its own, so that more trajectories leave the first ones
    as they were, and so does another dtype.

    Raises:
      ValueError: for an invalid number, dtype or state.
    """
    dtype = trees.real_dtype(options.dtype)
    if options.state is not None:
        y0 = jax.tree.map(
            lambda x: x[None], _given_state(system, options.state, options)
        )
    else:
        if options.velocities:
            raise ValueError("velocities says how to read state, and there is none.")
        key = jax.random.key(options.seed)
        numbers = jnp.arange(options.trajectories)
        draw = jax.vmap(lambda i: system.sample(jax.random.fold_in(key, i)))
        y0 = jax.jit(draw)(numbers)
    return jax.tree.map(lambda x: x.astype(dtype), y0)


def _given_state(
    system: System, values: tuple[float, ...], options: SimulateOptions
) -> PhaseState:
    n = len(system.periodic)
    second = "v" if options.velocities else "p"
    if len(values) != 2 * n:
        names = f"q₁ … q_{n} and {second}₁ … {second}_{n}" if n > 1 else f"q, {second}"
        raise ValueError(
            f"state has {len(values)} values; expected {2 * n}, {names}, as "
            f"{system.name} has {n} coordinates ({', '.join(plain_names(system))})."
        )
    if not all(map(math.isfinite, values)):
        raise ValueError(f"state is {values}; expected finite numbers.")
    if options.trajectories != 1:
        raise ValueError(
            f"state is one initial state, and trajectories is {options.trajectories}; "
            "leave one of them out."
        )
    q, rest = jnp.asarray(values[:n]), jnp.asarray(values[n:])
    if options.velocities:
        if system.lagrangian is None:
            raise ValueError(f"{system.name} has no Lagrangian; give momenta.")
        rest = mechanics.momentum(system.lagrangian)(system.params, q, rest)
    return PhaseState(q, rest)


def _check_tolerances(options: SimulateOptions) -> None:
    for name in ("rtol", "atol"):
        value = getattr(options, name)
        if value is None:
            continue
        if not is_adaptive(options.integrator):
            raise ValueError(
                f"{name} is for adaptive integrators ({', '.join(ode.SOLVERS)}); "
                f"{options.integrator} takes steps of dt."
            )
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; expected a number > 0.")
