"""Motion of a system by name: integrate, keep the trajectories, draw them.

What `jaxphys simulate` does. `simulate` computes and returns, `run` also writes files:
trajectory.npz, in the layout of `jaxphys.data.save_trajectories`, figures, and an
animation of systems that live in the plane.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxphys import data, integrators, mechanics, ode, plots
from jaxphys.data import Trajectories
from jaxphys.experiments import runner
from jaxphys.experiments.constants import build, plain_names
from jaxphys.names import check_known
from jaxphys.types import Array, PhaseState, PyTree, Step, System, TangentState

_GENERAL: dict[str, Callable[..., Step]] = {
    "rk4": integrators.rk4,
    "euler": integrators.euler,
    "implicit_midpoint": integrators.implicit_midpoint,
    "gauss4": integrators.gauss4,
}
_SPLIT: dict[str, Callable[..., Step]] = {
    "symplectic_euler": integrators.symplectic_euler,
    "leapfrog": integrators.leapfrog,
    "yoshida4": integrators.yoshida4,
    "yoshida6": integrators.yoshida6,
}

#: Every name that `Options.integrator` may have.
INTEGRATORS = (*_GENERAL, *_SPLIT, "variational", *ode.SOLVERS)

#: Times that are saved where nothing else is asked for, at most.
SAVED_INTERVALS = 1000


@dataclasses.dataclass(frozen=True)
class Options:
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


class SimulationInfo(NamedTuple):
    """How a simulation went.

    Attributes:
      failed_at: index of the first saved time at which a trajectory is not finite, or
        that an unsolved step has led to, shape (N,); −1 where there is none.
      message: what went wrong first, when, and what to do; empty where all went well.
      num_steps: steps taken, of all trajectories together.
      dt: the time step; None where it is adaptive.
      compile_seconds, seconds: of compilation, and of integration.
    """

    failed_at: np.ndarray
    message: str
    num_steps: int
    dt: float | None
    compile_seconds: float
    seconds: float


class Simulated(NamedTuple):
    """What `run` leaves: the trajectories, how it went, and the files it wrote."""

    trajectories: Trajectories
    info: SimulationInfo
    out: pathlib.Path
    files: tuple[str, ...]


class Grid(NamedTuple):
    """Saved times: `intervals` of `substeps` steps of `dt` each."""

    intervals: int
    substeps: int
    dt: float


def time_grid(duration: float, dt: float, save_every: int | None = None) -> Grid:
    """Steps of at most dt that fill the duration, and how many lie between two saves.

    Raises:
      ValueError: on a grid that cannot be meant.

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
        least = math.ceil(steps / SAVED_INTERVALS)
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
    check_known("integrator", name, INTEGRATORS)
    if name not in _SPLIT and name != "variational":
        return name
    outside = [kind for kind in ("force", "dissipation") if getattr(system, kind)]
    if outside:
        raise ValueError(
            f"{name} follows an energy alone, and {system.name} has a "
            f"{' and a '.join(outside)} besides, which it would leave out. Take rk4, "
            "gauss4 or an adaptive integrator."
        )
    if name == "variational":
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


def initial_states(system: System, options: Options) -> PhaseState:
    """The states to start from, q and p of shape (N, n), in the dtype asked for.

    Each is drawn by a key of its own, so that more trajectories leave the first ones
    as they were, and so does another dtype.

    Raises:
      ValueError: on a count, a dtype or a state that cannot be meant.
    """
    dtype = runner.model_dtype(runner.RunOptions(dtype=options.dtype))
    if options.trajectories < 1:
        raise ValueError(
            f"trajectories is {options.trajectories}; expected a number ≥ 1."
        )
    if options.state is not None:
        y0 = jax.tree.map(lambda x: x[None], _given_state(system, options))
    else:
        if options.velocities:
            raise ValueError("velocities says how to read state, and there is none.")
        key = jax.random.key(options.seed)
        numbers = jnp.arange(options.trajectories)
        draw = jax.vmap(lambda i: system.sample(jax.random.fold_in(key, i)))
        y0 = jax.jit(draw)(numbers)
    return jax.tree.map(lambda x: x.astype(dtype), y0)


def _given_state(system: System, options: Options) -> PhaseState:
    values, n = options.state, len(system.periodic)
    assert values is not None
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


def _check_tolerances(options: Options) -> None:
    for name in ("rtol", "atol"):
        value = getattr(options, name)
        if value is None:
            continue
        if options.integrator not in ode.SOLVERS:
            raise ValueError(
                f"{name} is for adaptive integrators ({', '.join(ode.SOLVERS)}); "
                f"{options.integrator} takes steps of dt."
            )
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value}; expected a number > 0.")


class _Plan(NamedTuple):
    """Everything a simulation needs, checked."""

    system: System
    options: Options
    grid: Grid
    y0: PhaseState


def _plan(system: System, options: Options) -> _Plan:
    check_integrator(system, options.integrator)
    _check_tolerances(options)
    duration = system.duration if options.duration is None else options.duration
    # A short motion of a system is still made of steps.
    default = system.dt if options.duration is None else min(system.dt, duration)
    dt = default if options.dt is None else options.dt
    grid = time_grid(duration, dt, options.save_every)
    return _Plan(system, options, grid, initial_states(system, options))


def simulate(
    system: System, options: Options = Options()
) -> tuple[Trajectories, SimulationInfo]:
    """Integrate a system from one initial state or many, compiled once.

    Args:
      system: what moves; its external force and dissipation are included.
      options: how; `out` and `animate` are not read.

    Returns:
      `Trajectories` with positions, momenta, velocities and energies, and a
      `SimulationInfo`. Trajectories that go wrong do not raise: they are NaN from
      there on, and end where the last of them does.

    Raises:
      ValueError: for options that cannot be met, before anything is compiled.

    Example:
      >>> from jaxphys import systems
      >>> options = Options("leapfrog", duration=1.0, dt=0.1, dtype="float32")
      >>> motion, info = simulate(systems.get("mass_spring"), options)
      >>> motion.q.shape, info.message
      ((1, 11, 1), '')
    """
    return _integrate(_plan(system, options))


def _integrate(plan: _Plan) -> tuple[Trajectories, SimulationInfo]:
    system, options, grid, y0 = plan
    dtype = y0.q.dtype
    ts = grid.dt * grid.substeps * np.arange(grid.intervals + 1)
    one = (
        _adaptive(system, options)
        if options.integrator in ode.SOLVERS
        else _fixed(system, options.integrator, grid)
    )

    def whole(y0: PhaseState, ts: Array):
        (path, failed_at, status, steps) = jax.vmap(one, (0, None))(y0, ts)
        return jax.vmap(jax.vmap(_told(system)))(path), failed_at, status, steps

    begin = time.perf_counter()
    times = jnp.asarray(ts, dtype)
    compiled = jax.jit(whole).lower(y0, times).compile()
    middle = time.perf_counter()
    found, failed_at, status, steps = jax.block_until_ready(compiled(y0, times))
    end = time.perf_counter()
    failed_at = np.asarray(failed_at)
    q, p, v, energy = (np.asarray(x) for x in found)
    meta = _meta(system, options, grid)
    t = np.asarray(ts, dtype)
    trajectories, failed_at = _valid(Trajectories(t, q, p, v, energy, meta), failed_at)
    info = SimulationInfo(
        failed_at,
        _what_failed(plan, ts, failed_at, np.asarray(status)),
        int(np.sum(np.asarray(steps))),
        _step_of(options, grid),
        middle - begin,
        end - middle,
    )
    return trajectories, info


def _fixed(system: System, name: str, grid: Grid) -> Callable:
    """(y0, ts) → path, index of failure, status, number of steps."""
    step: Step
    if name in _SPLIT:
        step = _SPLIT[name](system.hamiltonian)
    elif name == "variational":
        assert system.lagrangian is not None
        step = integrators.variational(system.lagrangian)
    else:
        step = _GENERAL[name](mechanics.vector_field(system))
    enter, leave = _state_of(system) if name in _GENERAL else (_unchanged, _unchanged)

    def one(y0: PhaseState, ts: Array):
        del ts
        path, info = integrators.rollout(
            step,
            enter(y0),
            dt=grid.dt * grid.substeps,
            num_steps=grid.intervals,
            substeps=grid.substeps,
            args=system.params,
            with_info=True,
        )
        status = jnp.where(info.converged, 3, 4)
        steps = jnp.asarray(grid.intervals * grid.substeps)
        return jax.vmap(leave)(path), info.failed_at, status, steps

    return one


def _adaptive(system: System, options: Options) -> Callable:
    field = mechanics.vector_field(system)
    enter, leave = _state_of(system)

    def one(y0: PhaseState, ts: Array):
        found = ode.solve(
            field,
            enter(y0),
            ts,
            system.params,
            rtol=options.rtol,
            atol=options.atol,
            solver=options.integrator,
            max_steps=MAX_STEPS,
            derivative="forward",
        )
        leaves = jax.tree.leaves(found.ys)
        good = jnp.all(jnp.array([jnp.all(jnp.isfinite(x), 1) for x in leaves]), 0)
        failed_at = jnp.where(jnp.all(good), -1, jnp.argmin(good))
        # Times that were not reached are infinite, and have no energy.
        path = jax.tree.map(lambda x: jnp.where(good[:, None], x, jnp.nan), found.ys)
        return jax.vmap(leave)(path), failed_at, found.status, found.num_steps

    return one


#: The relative energy error from which on a failing trajectory means nothing.
WILD = 100.0

#: Steps after which an adaptive integration gives up.
MAX_STEPS = 200_000


def _unchanged(y: PyTree) -> PyTree:
    return y


def _state_of(system: System) -> tuple[Callable, Callable]:
    """From a PhaseState to what the system's vector field takes, and back."""
    if system.hamiltonian is not None:
        return _unchanged, _unchanged
    assert system.lagrangian is not None
    solve = mechanics.conjugate(system.lagrangian)
    momentum = mechanics.momentum(system.lagrangian)

    def enter(y: PhaseState) -> TangentState:
        return TangentState(y.q, solve(system.params, *y)[0])

    def leave(y: TangentState) -> PhaseState:
        return PhaseState(y.q, momentum(system.params, *y))

    return enter, leave


def _told(system: System) -> Callable[[PhaseState], tuple[Array, Array, Array, Array]]:
    """(q, p, v, energy) of one state."""
    params = system.params

    def of_hamiltonian(y: PhaseState):
        assert system.hamiltonian is not None
        energy, v = jax.value_and_grad(system.hamiltonian, 2)(params, *y)
        return *y, v, energy

    def of_lagrangian(y: PhaseState):
        assert system.lagrangian is not None
        v, _ = mechanics.conjugate(system.lagrangian)(params, *y)
        return *y, v, mechanics.energy(system.lagrangian)(params, y.q, v)

    return of_lagrangian if system.hamiltonian is None else of_hamiltonian


def _valid(
    found: Trajectories, failed_at: np.ndarray
) -> tuple[Trajectories, np.ndarray]:
    """NaN from where each trajectory went wrong, ending with the last that did not.

    Before values stop being finite they are large: a trajectory that fails, of a system
    that conserves energy, went wrong where the energy error came to `WILD`.
    """
    total = len(found.t)
    before = np.full_like(failed_at, -2)
    # What is cut off may lower the scale of the errors that are left.
    while found.meta["conservative"] and not np.array_equal(failed_at, before):
        before = failed_at
        with np.errstate(invalid="ignore", over="ignore"):
            wild = ~(data.energy_error(_masked(found, failed_at)) < WILD)
        wild[:, 0] = False
        first = np.where(np.any(wild, axis=1), np.argmax(wild, axis=1), total)
        failed_at = np.where(failed_at > 0, np.minimum(failed_at, first), failed_at)
    ends = np.where(failed_at < 0, total, np.maximum(failed_at, 1))
    kept = jax.tree.map(
        lambda x: x[:, : ends.max()], _arrays(_masked(found, failed_at))
    )
    return found._replace(t=found.t[: ends.max()], **kept), failed_at


def _arrays(trajectories: Trajectories) -> dict[str, Any]:
    return {name: getattr(trajectories, name) for name in ("q", "p", "v", "energy")}


def _masked(found: Trajectories, failed_at: np.ndarray) -> Trajectories:
    """NaN from where each trajectory failed, its start excepted."""
    ends = np.where(failed_at < 0, len(found.t), np.maximum(failed_at, 1))
    late = np.arange(len(found.t)) >= ends[:, None]

    def mask(x: np.ndarray) -> np.ndarray:
        where = late if x.ndim == 2 else late[..., None]
        return np.where(where, x.dtype.type(np.nan), x)

    masked: dict[str, Any] = {k: mask(x) for k, x in _arrays(found).items()}
    return found._replace(**masked)


def _step_of(options: Options, grid: Grid) -> float | None:
    return None if options.integrator in ode.SOLVERS else grid.dt


def _meta(system: System, options: Options, grid: Grid) -> dict[str, Any]:
    params = system.params
    named = params._asdict() if hasattr(params, "_asdict") else {"params": params}
    return {
        "system": system.name,
        "options": {},
        "params": jax.tree.map(lambda x: np.asarray(x).tolist(), named),
        "coordinates": list(system.coordinates),
        "units": list(system.units),
        "periodic": list(system.periodic),
        "conservative": not (system.force or system.dissipation),
        "integrator": options.integrator,
        "dt": _step_of(options, grid),
        "rtol": options.rtol,
        "atol": options.atol,
        "seed": None if options.state is not None else options.seed,
        "dtype": options.dtype,
        "versions": runner.versions(),
    }


def _what_failed(
    plan: _Plan, ts: np.ndarray, failed_at: np.ndarray, status: np.ndarray
) -> str:
    """What went wrong first, at what time, for what reason, and what to do."""
    failed = np.flatnonzero(failed_at >= 0)
    if not len(failed):
        return ""
    first = failed[np.argmin(failed_at[failed])]
    index = int(failed_at[first])
    which = "" if len(failed_at) == 1 else f"{len(failed)} of {len(failed_at)} failed: "
    before, after = ts[max(index - 1, 0)], ts[index]
    return (
        f"{which}trajectory {first} went wrong between t = {before:.6g} and "
        f"{after:.6g}: {_reason(plan, int(status[first]))}"
    )


def _reason(plan: _Plan, status: int) -> str:
    system, options, grid, _ = plan
    smaller = f"a smaller time step (--dt {grid.dt / 10:.2g})"
    if options.integrator in ode.SOLVERS:
        smaller = "a shorter --duration"
    cures = [smaller]
    if hasattr(system.params, "softening"):
        soft = 2 * float(system.params.softening) or 0.05
        cures.append(f"softening, if bodies met (--softening {soft:g})")
    if status == 4:
        what = "a step's equations were not solved; the step may be too long for them"
        cures.append("rk4 or an adaptive integrator")
    elif status == 2:
        what = (
            f"it took {MAX_STEPS:,} steps without arriving, as where bodies meet or "
            "the problem is stiff"
        )
        cures.append("looser tolerances (--rtol, --atol) or kvaerno5")
    else:
        what = (
            "values grow until they are not finite, as where the time step is too long "
            "or the motion meets a singularity"
        )
        if options.integrator not in ode.SOLVERS:
            cures.append("an adaptive integrator (--integrator dopri8)")
    return f"{what}. Try {', or '.join(cures)}."


def run(name: str, constants: Any, options: Options) -> Simulated:
    """Simulate a system by name, and write trajectories, figures and an animation.

    Args:
      name: one of `jaxphys.systems.names()`.
      constants: an instance of its `constants.system_options`.
      options: how.

    Raises:
      ValueError: for anything that cannot be met, or an output directory that is not
        empty; with nothing written.
    """
    system, chosen = build(name, constants)
    plan = _plan(system, options)
    out = options.out or runner.dated_directory(name)
    runner.check_empty(out)
    print(_announced(plan), flush=True)
    trajectories, info = _integrate(plan)
    meta = {**trajectories.meta, "options": chosen}
    trajectories = trajectories._replace(meta=meta)
    print(_went(trajectories, info), flush=True)
    out.mkdir(parents=True, exist_ok=True)
    data.save_trajectories(out / "trajectory.npz", trajectories)
    files = ["trajectory.npz"]
    if len(trajectories.t) > 1:
        files += _draw(system, trajectories, out, options.animate)
    print(f"{out}: {', '.join(files)}")
    return Simulated(trajectories, info, out, tuple(files))


def _announced(plan: _Plan) -> str:
    system, options, grid, y0 = plan
    count = len(y0.q)
    many = "1 trajectory" if count == 1 else f"{count} trajectories"
    end = grid.dt * grid.substeps * grid.intervals
    how = (
        "adaptive steps"
        if options.integrator in ode.SOLVERS
        else f"{grid.intervals * grid.substeps} steps of dt = {grid.dt:.6g}"
    )
    return (
        f"{system.name}: {many} by {options.integrator}, {how} to t = {end:g}, "
        f"{grid.intervals + 1} states saved, {options.dtype}"
    )


def _went(trajectories: Trajectories, info: SimulationInfo) -> str:
    rate = info.num_steps / max(info.seconds, 1e-9)
    lines = [
        f"{info.seconds:.2g} s, {rate:.3g} steps/s; compiled in "
        f"{info.compile_seconds:.1f} s"
    ]
    energy = trajectories.energy
    assert energy is not None
    if not np.all(np.isfinite(energy[:, 0])):
        return "\n".join([*lines, "the energy of an initial state is not finite"])
    if not trajectories.meta["conservative"]:
        low, high = np.nanmin(energy), np.nanmax(energy)
        lines.append(f"energy from {low:.4g} to {high:.4g}: it is driven or damped")
        return "\n".join(lines)
    worst = float(np.nanmax(data.energy_error(trajectories)))
    lines.append(f"largest relative energy error {worst:.1e}")
    if worst > 0.01 and not info.message:
        lines.append(
            "energy is not conserved: the time step is too long for this motion, the "
            "tolerance too loose, or bodies met; lower --dt or raise --softening"
        )
    return "\n".join(lines)


def _draw(
    system: System, trajectories: Trajectories, out: pathlib.Path, animate: bool
) -> list[str]:
    figures = {
        "phase_space.png": plots.phase_portraits(trajectories),
        "time_series.png": plots.motion(trajectories),
        "energy.png": plots.energy_figure(trajectories),
    }
    for name, figure in figures.items():
        plots.save(figure, out / name)
    files = list(figures)
    if animate and system.points is not None:
        plots.save_animation(_animation(system, trajectories), out / "animation.gif")
        files.append("animation.gif")
    return files


def _animation(system: System, trajectories: Trajectories):
    """The first trajectory that was followed to the end, or the longest, in motion."""
    place = system.points
    assert place is not None
    lengths = np.sum(np.all(np.isfinite(trajectories.q), axis=2), axis=1)
    chosen = int(np.argmax(lengths))
    end = int(lengths[chosen])
    q = jnp.asarray(trajectories.q[chosen, :end])
    points = jax.jit(jax.vmap(lambda q: place(system.params, q)))(q)
    return plots.animation(
        trajectories.t[:end],
        points,
        linked=system.linked,
        title=system.name.replace("_", " "),
        units=plots.planar_units(trajectories),
    )
